"""One form for every attack, whatever it is made against, and the room it is made in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from agent.app.chaos.custody.attack import Attack
from agent.app.chaos.custody.exchange_room import ExchangeRoom
from agent.app.chaos.custody.signer_room import SignerRoom
from agent.app.chaos.custody.world import Gated


@dataclass
class Room:
    """What the thief has: the agent's key and a chain (`gate`), the signer's socket and files (`signer`), an
    account at the same exchange (`exchange`), luck (`chance`)."""

    gate: Gated
    signer: SignerRoom
    exchange: ExchangeRoom
    chance: Random = field(default_factory=lambda: Random(0))


@dataclass(frozen=True)
class Move:
    """`act` makes the attack in a room that `before` prepared, and tells what the thief was told.

    `repelled`: it has to fail, and to be refused in words that contain `rule`. Otherwise it may pass, within the bound.
    `first`: tried before all others in every seed.
    """

    family: str
    name: str
    act: Callable[[Room], str]
    rule: str = ""
    before: Callable[[Room], object] = lambda room: None
    repelled: bool = True
    first: bool = False


def against_the_gate(family: str, attack: Attack) -> Move:
    """Sent for real, whatever a simulation says of it."""

    def act(room: Room) -> str:
        call = attack.call(room.gate)
        said = room.gate.why(call, attack.sender)
        room.gate.sends(call, sender=attack.sender)
        return said

    return Move(family, attack.name, act, attack.rule, lambda room: attack.before(room.gate))
