"""Between a line that does not wait and the ladders: what was heard and not yet applied, by instrument, the most important first. Pure.

Updates of a book cannot replace each other as states can: each instrument has a list of its own, which a whole snapshot makes
void, and which is given up once it is longer than a snapshot would take to fetch. So memory is bounded by
`instruments` times `each`, and the newest state always wins: where updates were given up, the book is fetched again.
"""

from __future__ import annotations

from agent.domain.errors import Usage
from agent.market.conflation import Conflation, Priority
from agent.market.feed import BookDelta, BookSnapshot

Update = BookDelta | BookSnapshot


class Intake:
    """`superseded` and `given_up` count updates by the priority their instrument had. Raises Usage INTAKE_CAPACITY."""

    def __init__(self, instruments: int, each: int) -> None:
        if each < 1:
            raise Usage(
                "INTAKE_CAPACITY", f"{each} updates an instrument keep nothing", "give one or more each"
            )
        self.each = each
        self.turns: Conflation[list[Update]] = Conflation(instruments)
        self.superseded = dict.fromkeys(Priority, 0)
        self.given_up = dict.fromkeys(Priority, 0)
        self.most = 0

    def __len__(self) -> int:
        return len(self.turns)

    def put(self, update: Update, priority: Priority) -> str | None:
        """The instrument whose updates were given up for this one, its own perhaps: its book has to be fetched again."""
        symbol = update.symbol
        found = self.turns.waiting(symbol)
        waiting = [] if found is None else found[1]
        if isinstance(update, BookSnapshot):
            self.superseded[priority] += len(waiting)
            waiting.clear()
        elif len(waiting) >= self.each:
            self.given_up[priority] += len(waiting) + 1
            self.turns.forget(symbol)
            return symbol
        waiting.append(update)
        self.most = max(self.most, len(waiting))
        if found is not None and found[0] is priority:
            return None  # it keeps its turn
        self.turns.forget(symbol)
        gone = self.turns.put(symbol, priority, waiting)
        if gone is None:
            return None
        other, its_priority, lost = gone
        self.given_up[its_priority] += len(lost)
        return other

    def take(self) -> tuple[str, list[Update]] | None:
        """What waits of the most important instrument, in the order it came."""
        taken = self.turns.take()
        return None if taken is None else (taken[0], taken[2])

    def clear(self) -> None:
        """The line broke: what it said before is worth nothing without what it did not say."""
        while self.turns.take() is not None:
            pass
