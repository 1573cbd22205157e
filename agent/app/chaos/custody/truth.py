"""What the referee reads of a chain: its own client, its own encoding, nothing of the code it judges but the hash function."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

from contracts.hashing import keccak

GUARD_SLOT = "0x4a204f620c8c5ccdca3fd54d003badd85ba500436a431f0cbda4f558c93c34c8"
HANDLER_SLOT = "0x6c9a6c4a39284e37ed1cf53d337577d14212a4870fb976a4366c693b939918d5"
SENTINEL = 1


@cache
def selector(signature: str) -> str:
    return keccak(signature.encode())[:4].hex()


@cache
def topic(signature: str) -> str:
    return "0x" + keccak(signature.encode()).hex()


def word(value: int | str) -> str:
    """A number or an address as 32 bytes of hex."""
    return f"{int(value, 16) if isinstance(value, str) else value:064x}"


class Chain:
    """JSON-RPC over a connection of the referee's own. `at` is a block's number or a tag. Raises OSError, ValueError."""

    def __init__(self, url: str) -> None:
        at = urlsplit(url)
        self.path = at.path or "/"
        self.wire = HTTPConnection(at.hostname or "", at.port, timeout=60)

    def ask(self, method: str, *params: Any) -> Any:
        body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)})
        for fresh in (False, True):
            try:
                self.wire.request("POST", self.path, body, {"Content-Type": "application/json"})
                told = json.loads(self.wire.getresponse().read())
                break
            except (HTTPException, ConnectionError):
                self.wire.close()
                if fresh:
                    raise
        if "error" in told:
            raise ValueError(f"{method}: {told['error'].get('message')}")
        return told["result"]

    def head(self) -> tuple[int, int]:
        """(number, time)"""
        block = self.ask("eth_getBlockByNumber", "latest", False)
        return int(block["number"], 16), int(block["timestamp"], 16)

    def words(self, to: str, signature: str, *arguments: int | str) -> list[int]:
        """The answer of a view as 32-byte numbers; empty where it reverts or nothing stands there."""
        data = "0x" + selector(signature) + "".join(word(a) for a in arguments)
        try:
            told = self.ask("eth_call", {"to": to, "data": data}, "latest")[2:]
        except ValueError:
            return []
        return [int(told[i : i + 64], 16) for i in range(0, len(told) // 64 * 64, 64)]

    def one(self, to: str, signature: str, *arguments: int | str) -> int:
        found = self.words(to, signature, *arguments)
        return found[0] if found else 0

    def wei(self, of: str) -> int:
        return int(self.ask("eth_getBalance", of, "latest"), 16)

    def slot(self, of: str, slot: str) -> str:
        return str(self.ask("eth_getStorageAt", of, slot, "latest"))

    def code(self, of: str) -> str:
        return keccak(bytes.fromhex(self.ask("eth_getCode", of, "latest")[2:])).hex()

    def logs(self, since: int) -> list[dict[str, Any]]:
        if since > self.head()[0]:
            return []
        found: list[dict[str, Any]] = self.ask("eth_getLogs", {"fromBlock": hex(since), "toBlock": "latest"})
        return found


@dataclass(frozen=True)
class Wallet:
    """What is watched. `tokens` and `scaled` (aTokens, and debts with a minus) map an address to (decimals, true price in USD).

    `gate`, `roles` and `pool` are empty where the wallet has none; `spend_ledger` is the file of a signer that signs for it.
    """

    name: str
    url: str
    safe: str
    agent: str
    thief: str
    gate: str
    roles: str
    pool: str
    spend_ledger: str
    tokens: Mapping[str, tuple[int, str]]
    supplied: Mapping[str, tuple[int, str]]
    owed: Mapping[str, tuple[int, str]]
    spenders: tuple[str, ...]
    native_usd: str
    bound: Mapping[str, str]


def settings_of(chain: Chain, w: Wallet) -> dict[str, Any]:
    """What no attack may change, ever: owners, modules, guards, code, the Gate's and the modifier's settings, allowances."""
    found: dict[str, Any] = {
        "owners": chain.words(w.safe, "getOwners()"),
        "threshold": chain.one(w.safe, "getThreshold()"),
        "nonce": chain.one(w.safe, "nonce()"),
        "modules": chain.words(w.safe, "getModulesPaginated(address,uint256)", SENTINEL, 20),
        "singleton": chain.slot(w.safe, "0x0"),
        "guard": chain.slot(w.safe, GUARD_SLOT),
        "fallback handler": chain.slot(w.safe, HANDLER_SLOT),
        "code": chain.code(w.safe),
    }
    if w.gate:
        for view in (
            *(
                "agent()",
                "limits()",
                "isSealed()",
                "frozen()",
                "expiry()",
                "delay()",
                "lendingPool()",
                "gas()",
            ),
            *("sequencer()", "sequencerGrace()", "epoch()"),
        ):
            found[f"gate {view}"] = chain.words(w.gate, view)
        found["gate code"] = chain.code(w.gate)
    if w.roles:
        for view in ("owner()", "target()", "avatar()"):
            found[f"roles {view}"] = chain.words(w.roles, view)
        found["roles modules"] = chain.words(w.roles, "getModulesPaginated(address,uint256)", SENTINEL, 20)
        found["roles code"] = chain.code(w.roles)
    if w.pool:
        found["eMode"] = chain.one(w.pool, "getUserEMode(address)", w.safe)
    return found


def allowances_of(chain: Chain, w: Wallet, spenders: set[str]) -> dict[str, int]:
    """Every allowance and delegation that the Safe or the Gate could have given; they may fall and never rise."""
    found = {}
    for holder, name in ((w.safe, "Safe"), (w.gate, "Gate")):
        for token in (*w.tokens, *w.supplied) if holder else ():
            for spender in spenders:
                raw = chain.one(token, "allowance(address,address)", holder, spender)
                found[f"{name} lets {spender} take {token}"] = raw
    for token in w.owed:
        for spender in spenders:
            raw = chain.one(token, "borrowAllowance(address,address)", w.safe, spender)
            found[f"Safe lets {spender} borrow {token}"] = raw
    return found


def balances_of(chain: Chain, w: Wallet) -> dict[str, int]:
    """What belongs to the Safe, in base units; what is lent or owed without interest, so that time alone changes nothing."""
    found = {f"token {t}": chain.one(t, "balanceOf(address)", w.safe) for t in w.tokens}
    for token in (*w.supplied, *w.owed):
        found[f"scaled {token}"] = chain.one(token, "scaledBalanceOf(address)", w.safe)
    found["ether of the Safe"] = chain.wei(w.safe)
    return found
