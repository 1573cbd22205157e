"""What a session remembers of its orders: which it said to its venue, and under which numbers the venue knows them. Bounded."""

from __future__ import annotations

from agent.domain.errors import Reconcile, Retry
from agent.domain.ids import ClOrdId
from agent.ports import Clock

KEPT = 10_000
VISIBLE_NS = 60 * 10**9


class Once:
    """Names of orders that were sent: none is sent again."""

    def __init__(self, venue: str) -> None:
        self._venue = venue
        self._sent: dict[ClOrdId, None] = {}

    def take(self, name: ClOrdId) -> None:
        """About to be sent. Raises Reconcile SENT_BEFORE."""
        if name in self._sent:
            raise Reconcile(
                "SENT_BEFORE",
                f"{name} was sent before, and {self._venue} could take it again",
                "ask by client order id",
            )
        self._sent[name] = None
        if len(self._sent) > KEPT:
            del self._sent[next(iter(self._sent))]

    def give_back(self, name: ClOrdId) -> None:
        """Nothing of it was sent."""
        self._sent.pop(name, None)


class Numbers:
    """An order's name and the venue's own number of it, each by the other, and since when they are known."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._names: dict[str, ClOrdId] = {}
        self._numbers: dict[ClOrdId, tuple[str, int]] = {}

    def learn(self, name: ClOrdId, number: str) -> None:
        known, since_ns = self._numbers.get(name, ("", 0))
        self._names[number] = name
        self._numbers[name] = number, since_ns if known == number else self._clock.now_ns()
        if len(self._names) > KEPT:
            del self._names[next(iter(self._names))]
        if len(self._numbers) > KEPT:
            del self._numbers[next(iter(self._numbers))]

    def name(self, number: str) -> ClOrdId | None:
        return self._names.get(number)

    def number(self, name: ClOrdId) -> str | None:
        found = self._numbers.get(name)
        return None if found is None else found[0]

    def must_be_there(self, name: ClOrdId, venue: str) -> None:
        """The venue told its number and now says that it has no such order. Raises Retry NOT_VISIBLE_YET within the first minute; later
        that is an answer."""
        found = self._numbers.get(name)
        if found is not None and self._clock.now_ns() - found[1] < VISIBLE_NS:
            raise Retry("NOT_VISIBLE_YET", f"{venue} does not tell of {found[0]} yet", "ask again")
