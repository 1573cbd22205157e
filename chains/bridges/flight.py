"""Money between two chains: where it stands, as a table; a missing key is a prohibition. Pure.

    SENT      signed on the origin, in no block there        DEPOSITED  in a block of the origin: out of the wallet, not there yet
    FILLED    paid out in a block of the destination          ARRIVED    that block is final
    EXPIRED   the destination's final time is past the deadline and nothing was paid out: nothing will be
    REFUNDED  the origin paid it back                         DROPPED    the deposit can no longer be in a block

A reorganisation of the origin takes DEPOSITED back to SENT, one of the destination FILLED back to DEPOSITED. What `held` says is a sum
over both chains that never changes but by the bridge's fee.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from chains.errors import Halt


class Stage(Enum):
    SENT = "SENT"
    DEPOSITED = "DEPOSITED"
    FILLED = "FILLED"
    ARRIVED = "ARRIVED"
    EXPIRED = "EXPIRED"
    REFUNDED = "REFUNDED"
    DROPPED = "DROPPED"


S = Stage
NEXT: dict[Stage, frozenset[Stage]] = {
    S.SENT: frozenset({S.DEPOSITED, S.DROPPED}),
    S.DEPOSITED: frozenset({S.FILLED, S.EXPIRED, S.SENT}),
    S.FILLED: frozenset({S.ARRIVED, S.DEPOSITED}),
    S.EXPIRED: frozenset({S.REFUNDED}),
    S.ARRIVED: frozenset(),
    S.REFUNDED: frozenset(),
    S.DROPPED: frozenset(),
}
OVER = frozenset(stage for stage, after in NEXT.items() if not after)


@dataclass(frozen=True, slots=True)
class Flight:
    """`in_raw` leaves the origin, at least `out_raw` is to arrive; `deadline_s` by the destination's clock. `paid_raw` is what arrived."""

    in_raw: int
    out_raw: int
    deadline_s: int
    stage: Stage = Stage.SENT
    paid_raw: int = 0

    @property
    def over(self) -> bool:
        return self.stage in OVER


@dataclass(frozen=True, slots=True)
class Held:
    """Base units of one flight: still (or again) at the origin, on its way, at the destination, and what the bridge kept."""

    origin: int
    flying: int
    destination: int
    fee: int


def held(flight: Flight) -> Held:
    """The sum of the four is always `in_raw`; `fee` is known once it was paid out, and is counted as flying until then."""
    if flight.stage in (S.SENT, S.DROPPED, S.REFUNDED):
        return Held(flight.in_raw, 0, 0, 0)
    if flight.stage in (S.FILLED, S.ARRIVED):
        return Held(0, 0, flight.paid_raw, flight.in_raw - flight.paid_raw)
    return Held(0, flight.in_raw, 0, 0)


def counted_raw(flight: Flight, haircut_bps: int) -> int:
    """What of it may count at the destination before it is there: less the haircut, floored; nothing once it cannot arrive."""
    if flight.stage is S.ARRIVED or flight.stage is S.FILLED:
        return flight.paid_raw
    if flight.stage is not S.DEPOSITED:
        return 0
    return flight.out_raw * (10_000 - haircut_bps) // 10_000


def moved(flight: Flight, to: Stage, paid_raw: int = 0) -> Flight:
    """Raises Halt FORBIDDEN_TRANSITION where the table has no edge, BRIDGE_SHORT where less was paid out than the contract promises."""
    if to not in NEXT[flight.stage]:
        raise Halt(
            "FORBIDDEN_TRANSITION",
            f"money between chains was {flight.stage.value} and cannot become {to.value}",
            "our record and the chains disagree: `fairlead reconcile`",
        )
    if to is S.FILLED and not flight.out_raw <= paid_raw <= flight.in_raw:
        raise Halt(
            "BRIDGE_SHORT",
            f"{paid_raw} base units were paid out where {flight.out_raw} to {flight.in_raw} were due",
            "look at the fill on the destination chain yourself",
        )
    return replace(flight, stage=to, paid_raw=paid_raw if to in (S.FILLED, S.ARRIVED) else 0)
