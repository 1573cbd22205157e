"""The real signer process, asked over its socket by a hostile agent that frames its own requests."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.app.chaos.custody import wallet as c
from chains.devnet.funding import create_safe, give_eth, give_token
from chains.devnet.jsonrpc import Rpc
from chains.errors import Halt
from chains.types import Address, Environment, UnsignedTx
from contracts.hashing import keccak
from keys import safe
from keys.client import start_signer
from keys.safe import SafeTx
from keys.signer.ledger import SpendLedger

Answer = dict[str, Any]
WHO_SENDS = "0xfa171eAd0000000000000000000000000000BEeF"


@dataclass
class SignerRoom:
    """A funded Safe on chain 1 and the process that holds its keys. `changes` are the owners' mistakes, for a control."""

    rpc: Rpc
    folder: Path
    changes: dict[str, Any] = field(default_factory=dict)
    exchange_limit: dict[str, str] = field(default_factory=lambda: dict(c.EXCHANGE_LIMIT))
    sends_to: str = ""
    process: subprocess.Popen[bytes] | None = None
    grants: int = 0
    asked: int = 0

    @property
    def socket(self) -> Path:
        return self.folder / "signer.sock"

    @property
    def config(self) -> Path:
        return self.folder / "signer.json"

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger.jsonl"

    def prepare(self, url: str) -> None:
        """The Safe, its money, and the signer's files."""
        made = create_safe(url, [o.address for o in c.OWNERS], 2, c.SALT)
        if made != c.SAFE:
            raise Halt("CHAOS_WORLD", f"the Safe stands at {made}, not at {c.SAFE}")
        give_token(url, c.WETH, c.SAFE, 200 * c.ETH)
        give_token(url, c.USDC, c.SAFE, 500_000 * 10**6)
        give_eth(url, c.SAFE, 20 * c.ETH)
        give_eth(url, c.AGENT.address, c.ETH)
        chains = [c.chain_json(**self.changes)]
        c.signer_files(self.folder, "devnet", self.exchange_limit, self.sends_to, chains=chains)

    def fresh(self, history: c.EmptyLedger | None = None) -> None:
        """A signer with that history and no other; the one that runs stays where it has none and none is asked for."""
        if self.process is not None and history is None and not self.grants and self._granted() == 0:
            return
        self.stop()
        self.ledger.unlink(missing_ok=True)
        if history is not None:
            self._remember(history)
        self.grants = self._granted()
        self.restart()

    def restart(self) -> None:
        self.stop()
        self.process = start_signer(self.socket, self.config, self.folder / "signer.log")

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)
            self.process = None

    def _granted(self) -> int:
        return self.ledger.read_bytes().count(b"\n") if self.ledger.exists() else 0

    def _remember(self, history: c.EmptyLedger) -> None:
        """The same past as records of the signer's own ledger, in the files of this throw-away signer."""
        ledger, at = SpendLedger(self.ledger), int(time.time())
        empty = {
            "chain_id": 1,
            "safe": c.SAFE,
            "safe_nonce": 999,
            "safe_hash": "",
            "deadline": 0,
            "spend": {},
        }
        sent = {"sender": c.AGENT.address, "nonce": 999, "content": "00" * 32, "gas_wei": "0"}
        records: list[tuple[str, dict[str, Any]]] = []
        if history.spends:
            spend = {token: str(raw) for token, raw in history.spends.items()}
            records.append(("safe_tx", empty | {"safe_hash": keccak(b"spent").hex(), "spend": spend}))
        if history.gas:
            records.append(("tx", empty | sent | {"gas_wei": str(history.gas)}))
        for one in history.safe_signed:
            records.append(
                (
                    "safe_tx",
                    empty | {"safe_nonce": 0, "safe_hash": one.digest.hex(), "deadline": one.deadline},
                )
            )
        for one in history.sender_signed:
            records.append(
                ("tx", empty | sent | {"nonce": 0, "content": one.digest.hex(), "deadline": one.deadline})
            )
        for n, (kind, facts) in enumerate(records):
            ledger.record(kind, f"past-{n}", f"past-{n}", at, facts)
        ledger.close()

    # ------------------------------------------------------------------ asking
    def raw(self, frame: bytes) -> bytes:
        """What the signer answers to these bytes: one frame's body, or nothing where it hangs up."""
        with socket.socket(socket.AF_UNIX) as wire:
            wire.settimeout(20)
            wire.connect(str(self.socket))
            wire.sendall(frame)
            wire.shutdown(socket.SHUT_WR)
            told = b""
            while part := wire.recv(1 << 16):
                told += part
        return told[4:]

    def ask(self, method: str, params: dict[str, Any], request_id: str = "") -> Answer:
        self.asked += 1
        message = {
            "id": request_id or f"thief-{time.time_ns()}-{self.asked}",
            "method": method,
            "params": params,
        }
        body = json.dumps(message).encode()
        told = self.raw(len(body).to_bytes(4, "big") + body)
        answer: Answer = (
            json.loads(told) if told else {"error": {"code": "HUNG_UP", "message": "", "hint": ""}}
        )
        return answer

    def safe_tx(
        self,
        tx: SafeTx,
        chain_id: int = 1,
        wallet: str = c.SAFE,
        environment: Environment = Environment.DEVNET,
        now: int = c.NOW,
        request_id: str = "",
    ) -> Answer:
        asked = {
            "environment": environment.value,
            "tx": safe.to_json(chain_id, Address(wallet), tx),
            "chain_time": now,
        }
        answer = self.ask("sign_safe_tx", asked, request_id)
        # An attack by a request's id has been answered: under another id the same batch may well be honest.
        return answer if "result" in answer or request_id else self._by_the_other_door(asked, answer)

    def _by_the_other_door(self, asked: dict[str, Any], refused: Answer) -> Answer:
        """What `sign_safe_tx` refuses is asked of `sign_batch` too, and sent at once where that signs it."""
        outer = {"nonce": 0, "gas": 2_000_000, "max_fee_wei": str(10**10), "max_priority_fee_wei": str(10**9)}
        answer = self.ask("sign_batch", asked | {"sender": c.AGENT.address, "outer": outer})
        if "result" not in answer:
            return refused
        self.rpc("anvil_setBalance", c.AGENT.address, hex(100 * c.ETH))
        self.rpc("eth_sendRawTransaction", answer["result"]["raw"])
        return answer

    def outer(
        self, tx: UnsignedTx, sender: str = c.AGENT.address, now: int = c.NOW, safe_nonce: int = 0
    ) -> Answer:
        fields = {
            "chain_id": tx.chain_id,
            "nonce": tx.nonce,
            "to": tx.to,
            "value": str(tx.value),
            "data": "0x" + tx.data.hex(),
            "gas": tx.gas,
            "max_fee_wei": str(tx.fees.max_fee_wei),
            "max_priority_fee_wei": str(tx.fees.max_priority_fee_wei),
        }
        asked = {"environment": "devnet", "sender": sender, "tx": fields, "safe_nonce": safe_nonce}
        return self.ask("sign_tx", asked | {"chain_time": now})

    def exchange(
        self,
        method: str,
        path: str,
        query: str,
        venue: str = "paper",
        *,
        request_id: str = "",
        door: str = "sign",
    ) -> Answer:
        """`door`: sign, or send for what the signer granted under that id and sends itself."""
        asked = {"environment": "devnet", "venue": venue, "method": method, "path": path, "query": query}
        return self.ask(f"{door}_exchange", asked, request_id)

    def uses(self, tx: SafeTx, answer: Answer) -> None:
        """Signatures that were given are executed, by somebody with gas and no rights."""
        given = answer.get("result", {}).get("signatures")
        if not given:
            return
        digest = bytes.fromhex(answer["result"]["safe_tx_hash"][2:])
        signatures = [bytes.fromhex(text[2:]) for text in given.values()]
        packed = safe.pack_signatures(digest, signatures, [o.address for o in c.OWNERS], 2)
        self.rpc("anvil_impersonateAccount", WHO_SENDS)
        self.rpc("anvil_setBalance", WHO_SENDS, hex(100 * c.ETH))
        data = "0x" + safe.exec_transaction(tx, packed).hex()
        self.rpc.transact({"from": WHO_SENDS, "to": c.SAFE, "data": data, "gas": hex(8_000_000)})


def refusal(answer: Answer) -> str:
    """The signer's words: rule, what it decoded, remedy; empty where it did what was asked."""
    if "error" not in answer:
        return ""
    told = answer["error"]
    return f"{told['code']}: {told['message']} → {told['hint']}"
