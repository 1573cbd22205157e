"""What every table of attacks on the Gate is written in: the attack, and the thief's ways to make a call and to prepare a world."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agent.app.chaos.custody.world import (
    AGENT,
    ETH,
    MULTI_SEND,
    OWNERS,
    POOL_005,
    ROUTER02,
    THIEF,
    USDC,
    USDC_ONE,
    WETH,
    Gated,
)
from chains.devnet.addresses import CHAINS
from chains.devnet.artifacts import artifact
from chains.devnet.demo import sqrt_price_x96
from chains.devnet.funding import give_eth, give_token
from chains.errors import Halt
from chains.types import Address, Call
from contracts import universal_router as ur
from contracts.codec import encode
from contracts.gate import SALT, init_code
from contracts.hashing import keccak
from keys.safe import SafeTx, exec_transaction, pack_signatures, safe_tx_hash
from keys.scope import ROLE, safe_tx

DAI = Address(CHAINS[1].mocks["DAI"][0])
NPM = Address(CHAINS[1].uniswap.v3_npm)
FOREVER = 2**40
MAX = 2**256 - 1


@dataclass(frozen=True)
class Attack:
    """`call` makes the transaction in a world that `before` prepared; `rule` is what the refusal has to say.

    `sender` is the agent's account, whose key the thief has, or the thief's own."""

    name: str
    rule: str
    call: Callable[[Gated], Call]
    before: Callable[[Gated], object] = lambda w: None
    sender: str = AGENT


def role(
    to: Callable[[Gated], str], data: Callable[[Gated], bytes], op: int = 0, value: int = 0
) -> Callable[[Gated], Call]:
    """Through the Roles modifier, with the role, to wherever the thief likes."""

    def made(w: Gated) -> Call:
        args = (to(w), value, data(w), op, ROLE, True)
        return Call(w.roles, encode("zodiac_roles", "execTransactionWithRole", args))

    return made


def trade(**changes: Any) -> Callable[[Gated], Call]:
    """A trade whose named fields are changed; values may be functions of the world."""

    def made(w: Gated) -> Call:
        now = {k: v(w) if callable(v) else v for k, v in changes.items()}
        return w.through(w.trade(now.pop("amount", ETH), **now))

    return made


def direct(to: Callable[[Gated], str], data: Callable[[Gated], bytes]) -> Callable[[Gated], Call]:
    return lambda w: Call(Address(to(w)), data(w))


def routed(commands: Callable[[Gated], list[ur.Command]]) -> Callable[[Gated], bytes]:
    return lambda w: ur.execute(commands(w), w.now() + 60)


def v3(recipient: str, payer: bool = False, path: tuple[str, ...] = (WETH, USDC)) -> ur.Command:
    args = {
        "recipient": recipient,
        "amountIn": ETH,
        "amountOutMin": 0,
        "path": ur.v3_path(list(path), [500] * (len(path) - 1)),
        "payerIsUser": payer,
    }
    return ur.Command("V3_SWAP_EXACT_IN", args)


def to_safe(w: Gated) -> str:
    return w.safe


def to_gate(w: Gated) -> str:
    return w.gate


def to_roles(w: Gated) -> str:
    return w.roles


def fixed(address: str) -> Callable[[Gated], str]:
    return lambda w: address


def data(contract: str, function: str, *args: Any) -> Callable[[Gated], bytes]:
    """Calldata whose arguments may be functions of the world."""
    return lambda w: encode(contract, function, tuple(a(w) if callable(a) else a for a in args))


def leveraged(w: Gated) -> object:
    w.does(w.lend("supply", WETH, 20 * ETH))
    return w.does(w.lend("borrow", USDC, 26_000 * USDC_ONE))


def spent(w: Gated) -> None:
    w.does(w.trade(9 * ETH, data=w.single(9 * ETH)))


def unsigned_safe_tx(w: Gated) -> bytes:
    tx = SafeTx(WETH, 0, encode("erc20", "transfer", (THIEF, ETH)), 0, w.nonce())
    agent_twice = b"".join(bytes(12) + bytes.fromhex(AGENT[2:]) + bytes(32) + b"\x01" for _ in range(2))
    return exec_transaction(tx, agent_twice)


def replayed(w: Gated) -> bytes:
    """The owners' own batch of the scope, its nonce spent, sent once more."""
    tx = safe_tx(w.scope, w.creation, MULTI_SEND, 0)
    digest = safe_tx_hash(1, w.safe, tx)
    packed = pack_signatures(digest, [o.sign(digest) for o in OWNERS[:2]], [o.address for o in OWNERS], 2)
    return exec_transaction(tx, packed)


def words(*values: int | str | bytes) -> bytes:
    """32-byte words: numbers, addresses as hex, bytes32."""
    made = b""
    for value in values:
        if isinstance(value, str):
            made += bytes(12) + bytes.fromhex(value[2:])
        elif isinstance(value, bytes):
            made += value
        else:
            made += (value % 2**256).to_bytes(32, "big")
    return made


def named(signature: str, *values: int | str | bytes | Callable[[Gated], str]) -> Callable[[Gated], bytes]:
    """Calldata of a function that no interface of ours lists, by its signature; the values are static words."""
    return lambda w: keccak(signature.encode())[:4] + words(*(v(w) if callable(v) else v for v in values))


def tail(content: bytes) -> bytes:
    """A dynamic value's length and padded content."""
    return words(len(content)) + content + bytes(-len(content) % 32)


def again(w: Gated) -> bytes:
    return SALT + init_code(w.creation, w.safe)


def dirty(inner: bytes) -> bytes:
    """The first address of the tuple with a bit set above its 160."""
    at = 4 + 32
    return inner[:at] + b"\x01" + inner[at + 1 :]


def as_thief(w: Gated, to: str, calldata_: bytes) -> None:
    tx = {"from": THIEF, "to": to, "data": "0x" + calldata_.hex(), "gas": hex(8_000_000)}
    if w.rpc.transact(tx)["status"] != "0x1":
        raise Halt("CHAOS_WORLD", f"the thief's own call to {to} reverted")


def rich_thief(w: Gated) -> None:
    w.rpc("anvil_impersonateAccount", THIEF)
    give_eth(w.url, THIEF, 100 * ETH)
    give_token(w.url, WETH, THIEF, 20_000 * ETH)
    give_token(w.url, USDC, THIEF, 3_000_000 * USDC_ONE)
    for token in (WETH, USDC):
        for spender in (CHAINS[1].uniswap.v3_npm, ROUTER02):
            as_thief(w, token, encode("erc20", "approve", (spender, MAX)))


def own_pool(w: Gated) -> None:
    rich_thief(w)
    npm, at = artifact("NonfungiblePositionManager"), CHAINS[1].uniswap.v3_npm
    price = sqrt_price_x96("1500", False)
    as_thief(w, at, npm.call("createAndInitializePoolIfNecessary", USDC, WETH, 10_000, price))
    pool = (USDC, WETH, 10_000, -887_200, 887_200, 10**12, 10**21, 0, 0, THIEF, FOREVER)
    as_thief(w, at, npm.call("mint", pool))


def push_pool(w: Gated) -> object:
    """The first half of a sandwich: the honest pool sold down by more than the slack."""
    rich_thief(w)
    before = w.read(POOL_005, "uniswap_v3_pool", "slot0")[1]
    as_thief(w, ROUTER02, w.single(150 * ETH, recipient=THIEF))
    if w.read(POOL_005, "uniswap_v3_pool", "slot0")[1] - before <= 110:
        raise Halt("CHAOS_WORLD", "the pool was not moved by more than the slack")
    return None
