"""Honest calls of the agent with something in them changed at random: refused or harmless, and never more than the bound."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from agent.app.chaos.custody.moves import Move, Room
from agent.app.chaos.custody.world import ETH, THIEF, USDC, USDC_ONE, WETH, Gated
from chains.types import Call
from contracts.codec import encode
from keys.scope import ROLE

FAMILY = "honest calls, mutated"
Mutation = Callable[[Random, bytes], bytes]


def _bit(chance: Random, data: bytes) -> bytes:
    at = chance.randrange(4, len(data))
    return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]


def _word(value: int) -> Mutation:
    def mutated(chance: Random, data: bytes) -> bytes:
        at = 4 + 32 * chance.randrange((len(data) - 4) // 32)
        return data[:at] + value.to_bytes(32, "big") + data[at + 32 :]

    return mutated


def _longer(chance: Random, data: bytes) -> bytes:
    return data + chance.randbytes(chance.randrange(1, 200))


def _shorter(chance: Random, data: bytes) -> bytes:
    return data[: chance.randrange(4, len(data))]


def _swapped(chance: Random, data: bytes) -> bytes:
    n = (len(data) - 4) // 32
    a, b = sorted(chance.sample(range(n), 2))
    pieces = [data[4 + 32 * i : 36 + 32 * i] for i in range(n)]
    pieces[a], pieces[b] = pieces[b], pieces[a]
    return data[:4] + b"".join(pieces) + data[4 + 32 * n :]


MUTATIONS: dict[str, Mutation] = {
    "a bit turned over": _bit,
    "a word all ones": _word(2**256 - 1),
    "a word nought": _word(0),
    "a word the thief": _word(int(THIEF, 16)),
    "bytes behind its end": _longer,
    "its end cut off": _shorter,
    "two words exchanged": _swapped,
}


def _lent(w: Gated, chance: Random) -> bytes:
    return w.lend("supply", WETH, chance.randrange(1, 10 * ETH))


def _borrowed(w: Gated, chance: Random) -> bytes:
    return w.lend("borrow", USDC, chance.randrange(1, 1_000 * USDC_ONE))


def _sold(w: Gated, chance: Random) -> bytes:
    amount = chance.randrange(10**15, 9 * ETH)
    return w.trade(amount, data=w.single(amount))


def _refuel(w: Gated, chance: Random) -> bytes:
    return w.refuel(chance.randrange(1, ETH // 20))


HONEST: dict[str, Callable[[Gated, Random], bytes]] = {
    "a sale": _sold,
    "a supply": _lent,
    "a loan": _borrowed,
    "gas money": _refuel,
}


def told(w: Gated, call: Call) -> str:
    """What a simulation says of the call, and how it ended when it was sent."""
    said = w.why(call) or "passed"
    return f"{said}, status {w.sends(call)['status']}"


def _mutant(name: str, make: Callable[[Gated, Random], bytes], mutation: str) -> Move:
    def act(room: Room) -> str:
        w = room.gate
        call = w.through(MUTATIONS[mutation](room.chance, make(w, room.chance)))
        return told(w, call)

    return Move(FAMILY, f"{name}, {mutation}", act, repelled=False, before=_supplied)


def _supplied(room: Room) -> object:
    return room.gate.does(room.gate.lend("supply", WETH, ETH))


def _outer(mutation: str) -> Move:
    """The modifier's own calldata, with the trade in it."""

    def act(room: Room) -> str:
        w = room.gate
        args = (w.gate, 0, _sold(w, room.chance), 0, ROLE, True)
        data = encode("zodiac_roles", "execTransactionWithRole", args)
        call = Call(w.roles, MUTATIONS[mutation](room.chance, data))
        return told(w, call)

    return Move(FAMILY, f"the modifier's call, {mutation}", act, repelled=False)


def _routed(mutation: str) -> Move:
    """The router's calldata alone: what the Gate does not read and only counts the end of."""

    def act(room: Room) -> str:
        w, amount = room.gate, room.chance.randrange(10**15, 9 * ETH)
        call = w.through(w.trade(amount, data=MUTATIONS[mutation](room.chance, w.single(amount))))
        return told(w, call)

    return Move(FAMILY, f"the router's call, {mutation}", act, repelled=False)


def moves() -> list[Move]:
    found = [_mutant(name, make, mutation) for name, make in HONEST.items() for mutation in MUTATIONS]
    return found + [_outer(m) for m in MUTATIONS] + [_routed(m) for m in MUTATIONS]
