"""Which places get no order of ours, and why: until the books were compared there, or while a difference there has no explanation.

A lock holds new signatures back and nothing else: following, cancelling, freezing and `panic` go on, and so does what ends an order that
was signed before, such as taking an offer's allowance back. Two kinds of order pass it, since they can only make a risk smaller and are
sized by what the place itself tells, not by the books: an exchange's reduce-only order, and a rescue's payment, which a chain that does not answer
cannot rehearse. An exit of a coin does not: the books may have sold it already. One that stands at the exchange stays there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from agent.domain.errors import Denied
from agent.domain.events import Simulated
from agent.domain.instruments import Place

NOT_COMPARED = "NOT_COMPARED"
"""The one lock that opens by itself: the place is compared as soon as it answers."""
LOCKED = "PLACE_LOCKED"
RESCUE = "rescue "
"""How the journal's sentence of a rescue's payment begins."""


@dataclass(frozen=True, slots=True)
class Lock:
    """`code` names the kind of difference, `why` tells both sides of it, `remedy` what opens the place again."""

    place: Place
    code: str
    why: str
    remedy: str

    @property
    def opens_itself(self) -> bool:
        return self.code == NOT_COMPARED

    def denied(self) -> Denied:
        return Denied(LOCKED, f"{self.place} is locked ({self.code}): {self.why}", self.remedy)


class Locks:
    """Of one process. A place that nobody locked is open."""

    def __init__(self) -> None:
        self._shut: dict[Place, Lock] = {}

    def __iter__(self) -> Iterator[Lock]:
        return iter(tuple(self._shut.values()))

    def __contains__(self, place: object) -> bool:
        return place in self._shut

    def at(self, place: Place) -> Lock | None:
        return self._shut.get(place)

    def shut(self, lock: Lock) -> None:
        self._shut[lock.place] = lock

    def open(self, place: Place) -> None:
        self._shut.pop(place, None)

    def refuse(self, simulated: Simulated, what: str = "", follows: bool = False) -> None:
        """`what`: the journal's sentence of what is no trade; `follows`: it belongs to an order that was signed before. Raises Denied
        PLACE_LOCKED."""
        lock = self._shut.get(simulated.part.place)
        if lock is None or follows or (simulated.order is not None and simulated.order.reduce_only):
            return
        if simulated.order is None and what.startswith(RESCUE):  # it was rehearsed there: the chain answers
            return
        raise lock.denied()


__all__ = ["LOCKED", "NOT_COMPARED", "RESCUE", "Lock", "Locks"]
