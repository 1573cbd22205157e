"""The wallet whose keys a signer process holds: a Safe of three owners, a policy, honest batches, and the signer's files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chains.types import Address, Environment, Fees, UnsignedTx
from contracts import universal_router as ur
from contracts.codec import encode
from contracts.hashing import keccak
from contracts.multisend import Part, calldata
from keys.curve import SigningKey
from keys.local_keystore import LocalKeystore
from keys.policy import Signed
from keys.policy_orders import GrantedOrder
from keys.safe import DELEGATECALL, SafeTx
from keys.secrets import Secret
from keys.settings import ChainPolicy, PolicySettings, chain_policy

WETH = "0xC02aaA39b223FE8D0A0e5C4F27eAD9083C756Cc2"
USDC = "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48"
USDT = "0xdAC17F958D2ee523a2206206994597C13D831ec7"
PERMIT2 = "0x000000000022D473030F116dDEE9F6B43aC78BA3"
ROUTER = "0x66a9893cC07D91D95644AEDD05D03f95e1dBA8Af"
ROUTER02 = "0x68b3465833fb72A70ecDF485E0e4C7bD8665Fc45"
V2_ROUTER = "0x7a250d5630B4cF539739dF2C5dAcb4c659F2488D"
VAULT = "0xBA12222222228d8Ba445958a75a0704d566BF2C8"
AAVE = "0x87870Bca3F3fD6335C3F4ce8392D69350B4fA4E2"
MULTISEND = "0x9641d764fc13c8B624c04430C7356C1C7C8102e2"
SAFE = "0x502c5109D4EA816c4A35EF92d8C098023D3A07cd"
SALT = 4_711
"""The proxy factory puts the 2-of-3 Safe of OWNERS with this salt there, on every chain."""
THIEF = "0x00000000000000000000000000000000DeaDBeef"
NOW = 1_800_000_000
DEADLINE = NOW + 300
ETH = 10**18

OWNERS = [SigningKey(keccak(b"owner %d" % i)) for i in range(3)]
AGENT = SigningKey(keccak(b"agent"))
RELAY = SigningKey(keccak(b"relay"))


def chain_json(safe: str = SAFE, **changes: Any) -> dict[str, Any]:
    """A chain's entry of the signer's settings."""
    return {
        "chain_id": 1,
        "safe": safe,
        "owners": [o.address for o in OWNERS],
        "threshold": 2,
        "weth": WETH,
        "contracts": {
            PERMIT2: "permit2",
            ROUTER: "universal_router",
            ROUTER02: "swap_router_02",
            V2_ROUTER: "uniswap_v2_router",
            VAULT: "balancer_v2_vault",
            AAVE: "aave_v3_pool",
            MULTISEND: "multi_send",
        },
        "spenders": [PERMIT2, ROUTER, ROUTER02, V2_ROUTER, VAULT, AAVE],
        "tokens": {
            WETH: {"per_tx_raw": str(30 * ETH), "per_day_raw": str(100 * ETH)},
            USDC: {"per_tx_raw": str(100_000 * 10**6), "per_day_raw": str(300_000 * 10**6)},
            USDT: {"per_tx_raw": str(100_000 * 10**6), "per_day_raw": str(300_000 * 10**6)},
        },
        "native": {"per_tx_raw": str(10 * ETH), "per_day_raw": str(20 * ETH)},
        "max_deadline_s": 900,
    } | changes


def settings(environment: Environment = Environment.DEVNET, **changes: Any) -> PolicySettings:
    policy: ChainPolicy = chain_policy(chain_json(**changes))
    return PolicySettings(environment, {1: policy}, frozenset({AGENT.address}))


@dataclass
class EmptyLedger:
    """A ledger view given as plain values."""

    spends: dict[str, int] = field(default_factory=dict)
    safe_signed: tuple[Signed, ...] = ()
    sender_signed: tuple[Signed, ...] = ()
    gas: int = 0
    known: tuple[bytes, ...] = ()
    granted: tuple[GrantedOrder, ...] = ()

    def counted(self, spend_id: bytes) -> bool:
        return spend_id in self.known

    def spent(self, chain_id: int, safe: str, token: str, since: int) -> int:
        return self.spends.get(token, 0)

    def gas_spent(self, chain_id: int, sender: str, since: int) -> int:
        return self.gas

    def gas_of_nonce(self, chain_id: int, sender: str, nonce: int, since: int) -> int:
        return 0

    def safe_nonce(self, chain_id: int, safe: str, nonce: int) -> tuple[Signed, ...]:
        return self.safe_signed

    def sender_nonce(self, chain_id: int, sender: str, nonce: int) -> tuple[Signed, ...]:
        return self.sender_signed

    def orders(self, chain_id: int, safe: str) -> tuple[GrantedOrder, ...]:
        return self.granted


def call(to: str, contract: str, function: str, *args: Any, value: int = 0) -> Part:
    return Part(to, value, encode(contract, function, args))


def approve(token: str, spender: str, amount: int) -> Part:
    return call(token, "erc20", "approve", spender, amount)


def permit(token: str, spender: str, amount: int, expiration: int = DEADLINE) -> Part:
    return call(PERMIT2, "permit2", "approve", token, spender, amount, expiration)


def v3_command(
    amount: int, minimum: int = 1, recipient: str = ur.MSG_SENDER, user_pays: bool = True
) -> ur.Command:
    args = {
        "recipient": recipient,
        "amountIn": amount,
        "amountOutMin": minimum,
        "path": ur.v3_path([WETH, USDC], [500]),
        "payerIsUser": user_pays,
    }
    return ur.Command("V3_SWAP_EXACT_IN", args)


def v2_command(amount: int, minimum: int = 1, recipient: str = ur.MSG_SENDER) -> ur.Command:
    args = {
        "recipient": recipient,
        "amountIn": amount,
        "amountOutMin": minimum,
        "path": (WETH, USDC),
        "payerIsUser": True,
    }
    return ur.Command("V2_SWAP_EXACT_IN", args)


def route(commands: list[ur.Command], deadline: int = DEADLINE, value: int = 0) -> Part:
    return Part(ROUTER, value, ur.execute(commands, deadline))


def batch(*parts: Part, nonce: int = 0) -> SafeTx:
    return SafeTx(Address(MULTISEND), 0, calldata(parts), DELEGATECALL, nonce)


def sell(
    amount: int = 5 * ETH, minimum: int = 9_000 * 10**6, deadline: int = DEADLINE, nonce: int = 0
) -> SafeTx:
    """An honest sale: exact approvals through Permit2, one V3 and one V2 swap, everything dated and bounded."""
    half = amount // 2
    return batch(
        approve(WETH, PERMIT2, amount),
        permit(WETH, ROUTER, amount, deadline),
        route([v3_command(half, minimum // 2), v2_command(amount - half, minimum // 2)], deadline),
        nonce=nonce,
    )


def outer(
    data: bytes,
    nonce: int = 0,
    to: str = SAFE,
    value: int = 0,
    gas: int = 1_500_000,
    max_fee: int = 30 * 10**9,
) -> UnsignedTx:
    return UnsignedTx(1, nonce, Address(to), value, data, gas, Fees(max_fee, 10**9))


EXCHANGE_LIMIT = {"per_order": "12000", "per_day": "30000", "px_from": "1000", "px_to": "10000"}
"""An order of 1.2 ETH at the most, and two and a half of them a day."""


def signer_files(
    folder: Path,
    environment: str = "devnet",
    exchange_limit: Mapping[str, str] = EXCHANGE_LIMIT,
    sends_to: str = "",
    **changes: Any,
) -> Path:
    """Keystores, password files and the settings of a signer for this world; returns the settings' path."""
    store = LocalKeystore(folder / "keystore")
    password = folder / "password"
    password.write_text("correct horse")
    password.chmod(0o600)
    for name, text in (("api-key", "public-ish-key"), ("api-secret", "exchange-secret-value")):
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    world = Environment(environment)
    names = {"agent": AGENT, "relay": RELAY, "owner-0": OWNERS[0], "owner-1": OWNERS[1]}
    for name in names:
        secret = keccak(name.replace("-", " ").encode())
        store.import_secret(name, world, Secret(secret), Secret(b"correct horse"), n=2)
    reference = f"file:{password}"
    config: dict[str, Any] = {
        "environment": environment,
        "ledger": str(folder / "ledger.jsonl"),
        "keystore": str(folder / "keystore"),
        "senders": [{"key": "agent", "password": reference}],
        "owners": [{"key": "owner-0", "password": reference}, {"key": "owner-1", "password": reference}],
        "relay_auth": {"key": "relay", "password": reference},
        "exchanges": {
            "paper": {
                "dialect": "binance",
                "api_key": f"file:{folder}/api-key",
                "secret": f"file:{folder}/api-secret",
                "symbols": ["ETHUSDC", "BTCUSDC"],
                "limits": {"ETHUSDC": dict(exchange_limit)},
                **({"sends_to": sends_to} if sends_to else {}),
            }
        },
        "chains": [chain_json()],
    } | changes
    path = folder / "signer.json"
    path.write_text(json.dumps(config))
    return path
