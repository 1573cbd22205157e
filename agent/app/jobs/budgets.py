"""One daemon's orders in the budgets that it shares with others: reserved before they leave, settled by its own journal, and by nothing else.

An order that the journal knows counts whole until it is over and every signed part of it has ended, then by what was filled; one that the
journal does not know never left, since it is written there before it is signed. So a daemon that died holds what it reserved until it runs
again, or until somebody who knows what became of its orders says so (`fairlead jobs settle`).
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext

from agent.app.jobs.store import Held, JobStore, Reserved, Room
from agent.domain.errors import FairleadError
from agent.domain.events import ParentClosed
from agent.domain.ids import ClOrdId
from agent.domain.units import WIDE, quantize_up, sum_exact
from agent.journal.book import Book

RESCUE = "rescue:"
"""How the budgets begin whose orders are payments; the others are of orders."""
MICRO = Decimal("0.000001")


class Budgets:
    """`owner` is the journal's: what stands in the store under it, this process settles."""

    def __init__(self, store: JobStore, owner: str) -> None:
        self._store, self._owner = store, owner
        self._open: dict[str, str] = {}

    def reserve(
        self,
        budget: str,
        name: str,
        at_ns: int,
        usd: Decimal,
        limit_usd: Decimal,
        since_ns: int,
        fire: Held | None = None,
    ) -> Room | None:
        """As the store's own, which may raise Retry JOBS_STORE: then nothing may be done."""
        wanted = Reserved(budget, self._owner, name, at_ns, quantize_up(usd, MICRO))
        # Before it is asked: an answer that is lost on its way may have reserved it all the same.
        self._open[name] = budget
        return self._store.reserve(wanted, limit_usd, since_ns, fire)

    def counted_usd(self, budget: str, since_ns: int) -> Decimal:
        """What all daemons have in a budget. Raises Retry JOBS_STORE."""
        return sum_exact(row.usd for row in self._store.reserved(budget) if row.counts(since_ns))

    def settle(self, book: Book, budget: str | None = None) -> None:
        """Every open one of this owner by what the journal says of it, of one budget or of all. Raises Retry JOBS_STORE.

        Not between an order's reservation and its record: what the journal does not know is taken for what never left.
        """
        for row in self._store.reserved(budget):
            if row.owner != self._owner or not row.open:
                continue
            if (told := came_to(book, row)) is None:
                self._open[row.name] = row.budget
                continue
            self._store.settle(row.budget, row.owner, row.name, told)
            self._open.pop(row.name, None)

    def watcher(self, book: Book, tell: Callable[[str], None]) -> Callable[[object], None]:
        """Settles an order of a budget once it is closed. A store that is silent then is asked again before the next order of it."""

        def saw(event: object) -> None:
            if isinstance(event, ParentClosed) and event.parent in self._open:
                try:
                    self.settle(book, self._open[event.parent])
                except FairleadError as error:
                    tell(f"what {event.parent} came to is not settled yet: {error}")

        return saw


def came_to(book: Book, row: Reserved) -> Decimal | None:
    """What an open one came to at the price it was reserved at, in USD rounded up; None while more may be spent."""
    if row.budget.startswith(RESCUE):
        part = book.parts.get(ClOrdId(row.name.partition("@")[0]))
        if part is None or part.failed:
            return Decimal(0)
        return row.usd if part.ended else None
    record = book.parents.get(ClOrdId(row.name))
    if record is None:
        return Decimal(0)
    parts = tuple(book.parts_of(record.parent.cl_ord_id))
    if record.closed is None or any(part.authorized is not None and not part.ended for part in parts):
        return None
    with localcontext(WIDE):
        filled = sum_exact(part.base_qty() for part in parts)
        return quantize_up(row.usd * filled / record.parent.qty, MICRO)


def payment_name(part: ClOrdId, now_ns: int) -> str:
    """Of a payment's reservation. The time keeps it apart from one of a journal that is gone, whose names begin anew."""
    return f"{part}@{now_ns}"


def others_words(room: Room) -> str:
    """Who else holds what of a budget that was full; "" where nobody does."""
    held = ", ".join(f"{usd:,.2f} by {owner}" for owner, usd in sorted(room.open_usd.items()))
    return f"; of that {held} for orders of theirs that are not over" if held else ""
