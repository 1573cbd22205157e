"""What was signed once, used again: the agent's raw transactions and the owners' words out of the journal, on this chain and others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

from agent.app.chaos.custody.attack import MAX
from agent.app.chaos.custody.moves import Move, Room
from agent.app.chaos.custody.world import (
    AGENT,
    ETH,
    GAS,
    MULTI_SEND,
    OWNERS,
    THIEF,
    USDC_ONE,
    Gated,
    scope_of,
)
from chains.devnet.addresses import CHAINS
from chains.devnet.jsonrpc import Rpc, RpcError
from chains.types import Address, Call
from contracts.codec import decode_revert, encode
from contracts.hashing import address_bytes
from keys import safe as safes
from keys import scope as scopes
from keys.scope import ROLE

REPLAYS, ELSEWHERE, FILES = "replays", "other chains", "the machine's files"
BASE = 8453


def _sent(rpc: Rpc, raw: bytes) -> str:
    """What the chain says of a raw transaction: its refusal, or how it ended."""
    try:
        tx_hash = rpc("eth_sendRawTransaction", "0x" + raw.hex())
    except RpcError as refused:
        return str(refused)
    return f"mined with status {rpc.mined(tx_hash)['status']}"


def _keeps(room: Room, raw: bytes) -> None:
    """The journal keeps what was signed, and the thief has the journal."""
    room.gate.kept["raw"] = raw


def _traded(room: Room) -> None:
    w = room.gate
    raw = w.signed(w.through(w.trade(ETH // 10, data=w.single(ETH // 10))))
    w.mined(raw)
    _keeps(room, raw)


def _held(after: Callable[[Gated], object]) -> Callable[[Room], object]:
    """A trade signed and kept back until something has changed."""

    def before(room: Room) -> object:
        w = room.gate
        _keeps(room, w.signed(w.through(w.trade())))
        return after(w)

    return before


def _again(room: Room) -> str:
    return _sent(room.gate.rpc, room.gate.kept["raw"])


def _of_base(room: Room) -> str:
    w = room.gate
    return _sent(w.rpc, w.signed(w.through(w.trade()), chain_id=BASE))


def _nonce_of_before(room: Room) -> str:
    w = room.gate
    return _sent(w.rpc, w.signed(w.through(w.trade()), nonce=0))


def _freezes(w: Gated) -> object:
    return w.safe_calls(w.gate, "gate", "freeze")


def _rotates(w: Gated) -> object:
    return w.safe_calls(w.roles, "zodiac_roles", "assignRoles", AGENT, (ROLE,), (False,))


REPLAYED = (
    Move(REPLAYS, "the agent's last transaction once more", _again, "nonce too low", _traded),
    Move(REPLAYS, "another trade at a nonce that is used", _nonce_of_before, "nonce too low", _traded),
    Move(REPLAYS, "a transaction signed for another chain", _of_base, "chain id"),
    Move(
        REPLAYS, "a trade held until after its deadline", _again, "status 0x0", _held(lambda w: w.later(120))
    ),
    Move(REPLAYS, "a trade held until after the freeze", _again, "status 0x0", _held(_freezes)),
    Move(REPLAYS, "a trade held until after the rotation", _again, "status 0x0", _held(_rotates)),
    Move(
        REPLAYS,
        "a trade held until the price has risen",
        _again,
        "status 0x0",
        _held(lambda w: w.prices("3030")),
    ),
)


# ---------------------------------------------------------------------- the same Safe on another chain
def _on_base(room: Room, call: Call, sender: str = AGENT) -> str:
    """Sent on the other chain with the agent's key, whatever a simulation says; the simulation's words."""
    w = room.gate
    with Rpc(w.urls[BASE]) as rpc:
        asked = {"from": sender, "to": call.to, "data": "0x" + call.data.hex()}
        try:
            rpc("eth_call", asked, "latest")
            said = ""
        except RpcError as refused:
            said = decode_revert(bytes.fromhex(str(refused.data)[2:])) if refused.data else "reverted"
        nonce = int(rpc("eth_getTransactionCount", AGENT, "latest"), 16)
        _sent(rpc, w.signed(call, GAS, nonce, BASE))
    return said


def _owners_batch(room: Room) -> str:
    """The owners' own grant, their signatures of chain 1, handed to the same Safe elsewhere."""
    w = room.gate
    tx = scopes.safe_tx(w.scope, w.creation, MULTI_SEND, 0)
    return _on_base(room, Call(w.safe, safes.exec_transaction(tx, _signatures(w, tx, 1))))


def _signatures(w: Gated, tx: safes.SafeTx, chain_id: int) -> bytes:
    digest = safes.safe_tx_hash(chain_id, w.safe, tx)
    return safes.pack_signatures(digest, [o.sign(digest) for o in OWNERS[:2]], [o.address for o in OWNERS], 2)


def _owners_payment(room: Room) -> str:
    w = room.gate
    tx = safes.SafeTx(Address(CHAINS[BASE].usdc), 0, encode("erc20", "transfer", (THIEF, USDC_ONE)), 0, 0)
    return _on_base(room, Call(w.safe, safes.exec_transaction(tx, _signatures(w, tx, 1))))


def _taken_from_the_safe(room: Room) -> str:
    data = encode("erc20", "transferFrom", (room.gate.safe, THIEF, USDC_ONE))
    return _on_base(room, Call(Address(CHAINS[BASE].usdc), data))


def _module_of_base(room: Room) -> str:
    return _on_base(room, Call(room.gate.safe, encode("safe", "enableModule", (AGENT,))))


def _raw_of_chain_1(room: Room) -> str:
    w = room.gate
    with Rpc(w.urls[BASE]) as rpc:
        return _sent(rpc, w.signed(w.through(w.trade())))


def _no_gate_there(room: Room) -> str:
    """Neither Gate nor modifier stands there: what is sent to them is a call of nothing, which takes nothing."""
    w = room.gate
    said = _on_base(room, w.through(w.trade()))
    return said or "called nothing"


OTHER_CHAINS = (
    Move(ELSEWHERE, "the owners' grant of chain 1", _owners_batch, "GS026"),
    Move(ELSEWHERE, "a payment the owners signed for chain 1", _owners_payment, "GS026"),
    Move(ELSEWHERE, "the Safe's USDC there", _taken_from_the_safe, "exceeds allowance"),
    Move(ELSEWHERE, "the agent as a module there", _module_of_base, "GS031"),
    Move(ELSEWHERE, "the agent's raw transaction of chain 1", _raw_of_chain_1, "chain id"),
    Move(ELSEWHERE, "the agent's trade signed for there", _no_gate_there, "called nothing"),
)


# ---------------------------------------------------------------------- files: settings that say more than the chain does
def _richer(w: Gated) -> scopes.Scope:
    """The settings' scope, rewritten by whoever has the machine."""
    scope = scope_of(w.safe)
    thousand = tuple(replace(token, allowance_raw=MAX) for token in scope.tokens)
    return replace(
        scope, tokens=thousand, per_day_usd=Decimal(10**9), burst_usd=Decimal(10**9 - 1), slack_bps=1_000
    )


def _own_settings(index: int) -> Callable[[Room], str]:
    """One call of the batch that the rewritten settings make, sent by the agent itself, since no owner signs it."""

    def act(room: Room) -> str:
        w = room.gate
        part = scopes.batch(_richer(w), w.creation, standing=(w.gate, w.roles))[index]
        call = Call(Address(part.to), part.data)
        said = w.why(call)
        w.sends(call)
        return said

    return act


def _own_batch(room: Room) -> str:
    """All of it, as the Safe transaction the owners would sign, signed by the agent."""
    w = room.gate
    tx = scopes.safe_tx(_richer(w), w.creation, MULTI_SEND, w.nonce(), standing=(w.gate, w.roles))
    own = b"".join(bytes(12) + address_bytes(AGENT) + bytes(32) + b"\x01" for _ in range(2))
    call = Call(w.safe, safes.exec_transaction(tx, own))
    said = w.why(call)
    w.sends(call, 4_000_000)
    return said


def _bigger_trade(room: Room) -> str:
    """A trade within the rewritten settings, which the agent's own code believes in."""
    w = room.gate
    call = w.through(w.trade(100 * ETH, data=w.single(100 * ETH)))
    said = w.why(call)
    w.sends(call)
    return said


def _other_receiver(room: Room) -> str:
    """The settings' wallet replaced by the thief's account: the Gate does not know a wallet by that name."""
    w = room.gate
    call = w.through(w.trade(data=w.single(recipient=THIEF)))
    said = w.why(call)
    w.sends(call)
    return said


def _renewed(room: Room) -> str:
    w = room.gate
    said = w.why(Call(w.gate, encode("gate", "renew")))
    w.sends(Call(w.gate, encode("gate", "renew")))
    return said


def _rewritten() -> tuple[Move, ...]:
    """The calls of a batch in their order: a token, the other, the pair, the routes, …; the last ones are approvals."""
    names = (
        "a token's feed replaced", "the other token's feed replaced", "the pair's source replaced", "a route listed", "a second route listed",
        "a third route listed",
    )  # fmt: skip
    return tuple(
        Move(FILES, f"settings rewritten: {name}", _own_settings(n), "NotTheSafe")
        for n, name in enumerate(names)
    )


MACHINE = (
    *_rewritten(),
    Move(FILES, "settings rewritten: the whole batch, signed by the agent", _own_batch, "GS026"),
    Move(FILES, "settings rewritten: a trade a hundred times as large", _bigger_trade, "OverBudget"),
    Move(FILES, "settings rewritten: another wallet to be paid", _other_receiver, "ReceivedBelowMinimum"),
    Move(FILES, "settings rewritten: the term renewed by the agent", _renewed, "NotTheSafe"),
)


def moves() -> list[Move]:
    return [*REPLAYED, *OTHER_CHAINS, *MACHINE]
