"""What a session remembers of its orders: which it said to its venue, and under which numbers the venue knows them. Bounded; pure."""

from __future__ import annotations

from agent.domain.errors import Reconcile
from agent.domain.ids import ClOrdId

KEPT = 10_000


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
    """An order's name and the venue's own number of it, each by the other."""

    def __init__(self) -> None:
        self._names: dict[str, ClOrdId] = {}
        self._numbers: dict[ClOrdId, str] = {}

    def learn(self, name: ClOrdId, number: str) -> None:
        self._names[number], self._numbers[name] = name, number
        if len(self._names) > KEPT:
            del self._names[next(iter(self._names))]
        if len(self._numbers) > KEPT:
            del self._numbers[next(iter(self._numbers))]

    def name(self, number: str) -> ClOrdId | None:
        return self._names.get(number)

    def number(self, name: ClOrdId) -> str | None:
        return self._numbers.get(name)

    def forget(self) -> None:
        """As a process that begins anew."""
        self._names.clear()
        self._numbers.clear()
