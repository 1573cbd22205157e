"""Which fires are this daemon's, and which are let through: leases, stops, overlap and budget."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext

from agent.app.intents import Request
from agent.app.job_checks import LATE_NS
from agent.app.jobs.budgets import Budgets, others_words
from agent.app.jobs.postgres_store import Database, PostgresStore
from agent.app.jobs.sqlite_store import SqliteStore
from agent.app.jobs.store import ALL, CLAIMED, Held, JobStore
from agent.app.jobs.triggers import Condition, most_jitter_ns, trigger_of
from agent.app.settings_jobs import HedgeJob, Timing
from agent.app.settings_tree import Settings
from agent.domain.errors import Denied
from agent.domain.ids import ClOrdId, digest_of
from agent.domain.instruments import label_of
from agent.domain.units import WIDE
from agent.journal.book import Book
from agent.journal.living import DAY_NS
from agent.journal.records import ParentRecord
from keys.secrets import resolve

SLACK_NS = 60 * 10**9
"""A lease outlives the patience of whoever prices under it by so much."""
Px = Callable[[str], Awaitable[Decimal | None]]
"""The confirmed price of a symbol in USD now, or None."""


@dataclass(frozen=True, slots=True)
class Fire:
    """`key` names it among the job's fires; `resume` where the journal tells whether it was done already."""

    key: str
    at_ns: int
    resume: bool = False


@dataclass(frozen=True, slots=True)
class Worth:
    """What an order may come to, and the prices of its assets and of those its job traded before, by symbol, in USD."""

    usd: Decimal
    px: Mapping[str, Decimal]


def store_of(settings: Settings) -> JobStore:
    """Raises Usage as the reference to a database does."""
    if settings.daemon.jobs_database is not None:
        return PostgresStore(Database.of(resolve(settings.daemon.jobs_database).text().strip()))
    return SqliteStore(settings.daemon.jobs_store or settings.journal.path.parent / "jobs.db")


def owner_of(settings: Settings) -> str:
    """Who asks: the same after a restart, another one for another journal or host."""
    return f"{socket.gethostname()}:{digest_of(str(settings.journal.path))[:8]}"


def budgets_of(settings: Settings) -> Budgets:
    """Raises as `store_of`."""
    return Budgets(store_of(settings), owner_of(settings))


def counted(
    book: Book, source: str, since_ns: int, grace_ns: int = 0
) -> Iterator[tuple[ClOrdId, ParentRecord]]:
    """The orders of a source since then, and open ones however old.

    An order is of the time when it was due; where it was taken on more than `grace_ns` later, of that time: what was made up for
    today was spent today.
    """
    for name, record in book.parents.items():
        intent = record.parent.intent
        if intent.source == source and (
            record.closed is None or max(intent.created_ns, record.accepted_ns - grace_ns) >= since_ns
        ):
            yield name, record


def symbols_of(book: Book, source: str, since_ns: int, grace_ns: int = 0) -> set[str]:
    """What `spent_usd` needs prices of: the base of what is open, the quote of what was done."""
    return {_priced_by(record) for _, record in counted(book, source, since_ns, grace_ns)}


def spent_usd(
    book: Book, source: str, since_ns: int, px: Mapping[str, Decimal], grace_ns: int = 0
) -> Decimal:
    """What the orders of a source came to since then, each at the price of its own assets: ended ones by their fills, open ones whole.
    Raises Denied PRICE_UNKNOWN."""
    total = Decimal(0)
    with localcontext(WIDE):
        for name, record in counted(book, source, since_ns, grace_ns):
            symbol = _priced_by(record)
            if (each := px.get(symbol)) is None:
                raise _unpriced(symbol)
            total += each * (record.parent.intent.qty if record.closed is None else book.filled_quote(name))
    return total


def _priced_by(record: ParentRecord) -> str:
    intent = record.parent.intent
    return label_of(intent.base if record.closed is None else intent.quote)


def _unpriced(symbol: str) -> Denied:
    return Denied("PRICE_UNKNOWN", f"a budget in USD needs a price of {symbol}", f"check oracles.{symbol}")


class Guard:
    """`shared` is what several daemons may have in common; `px` prices budgets."""

    def __init__(self, shared: JobStore, owner: str, px: Px) -> None:
        self._store, self._owner, self._px = shared, owner, px
        self.budgets = Budgets(shared, owner)

    def claim(self, job: Timing, fire: Fire, now_ns: int, until_ns: int) -> bool:
        """Whether this daemon runs the fire. Raises Retry JOBS_STORE."""
        trigger = trigger_of(job)
        spacing = trigger.again_ns if isinstance(trigger, Condition) else 0
        return self._store.claim(
            job.name, fire.key, fire.at_ns, self._owner, now_ns, until_ns + SLACK_NS, spacing, fire.resume
        )

    def finish(self, job: Timing, fire: Fire) -> None:
        self._store.finish(job.name, fire.key, self._owner)

    def quiet_until(self, job: Timing, again_ns: int) -> int:
        """When a condition that holds may fire again, by what any daemon did."""
        done = [one.at_ns for one in self._store.leases(job.name) if one.state != CLAIMED]
        return max(done, default=-again_ns) + again_ns

    def refusal(self, job: Timing, book: Book) -> str:
        """Why this fire is not to be, or ''."""
        stopped = self._store.stopped()
        for name in (ALL, job.name):
            if name in stopped:
                return f"stopped: {stopped[name]}"
        overlap = job.overlap or ("skip" if isinstance(job, HedgeJob) else "allow")
        if overlap == "skip":
            works = [
                name
                for name, record in book.parents.items()
                if record.parent.intent.source == source_of(job) and record.closed is None
            ]
            if works:
                return f"{works[0]} of an earlier fire still works"
        return ""

    async def worth(self, job: Timing, request: Request, book: Book, now_ns: int) -> Worth | None:
        """None where the job has no budget. Raises Denied PRICE_UNKNOWN."""
        if job.budget_usd is None:
            return None
        px = dict[str, Decimal]()
        before = symbols_of(book, source_of(job), now_ns - DAY_NS, _grace(job))
        for symbol in dict.fromkeys((request.base, request.quote, *sorted(before))):
            found = await self._px(symbol)
            if found is None:
                raise _unpriced(symbol)
            px[symbol] = found
        with localcontext(WIDE):
            return Worth(request.qty * px[request.base], px)

    def over_budget(self, job: Timing, worth: Worth | None, book: Book, now_ns: int) -> str:
        """Why the budget does not hold this order by our own journal, or ''."""
        if worth is None or job.budget_usd is None:
            return ""
        spent = spent_usd(book, source_of(job), now_ns - DAY_NS, worth.px, _grace(job))
        if WIDE.add(spent, worth.usd) <= job.budget_usd:
            return ""
        return _over(job.budget_usd, worth.usd, spent, "")

    def begin(
        self, job: Timing, fire: Fire, name: str, worth: Worth | None, book: Book, now_ns: int
    ) -> str | None:
        """Begins the fire, and reserves what its order may come to in the same transaction. '' where that is done, else why the budget that
        all daemons share does not hold it; None where the lease is no longer ours. Raises Retry JOBS_STORE: nothing may be done then."""
        known = ClOrdId(name) in book.parents  # reserved when it was begun, with what it was then
        if known or worth is None or job.budget_usd is None:
            return "" if self._store.begin(job.name, fire.key, self._owner, now_ns) else None
        budget = source_of(job)
        self.budgets.settle(book, budget)
        # In time a daily order is not held up by yesterday's that began a moment later in its day.
        at_ns = max(fire.at_ns, now_ns - _grace(job))
        room = self.budgets.reserve(
            budget, name, at_ns, worth.usd, job.budget_usd, now_ns - DAY_NS, Held(job.name, fire.key, now_ns)
        )
        if room is None or room.granted:
            return None if room is None else ""
        return _over(job.budget_usd, worth.usd, room.counted_usd, others_words(room))


def source_of(job: Timing) -> str:
    """Whose an order of the job is, and which budget it goes by."""
    return f"job:{job.name}"


def _grace(job: Timing) -> int:
    return LATE_NS + most_jitter_ns(job)


def _over(budget_usd: Decimal, usd: Decimal, counted: Decimal, others: str) -> str:
    return f"{usd:,.2f} USD more than the {counted:,.2f} of the last 24 hours is over its budget of {budget_usd:,.2f}{others}"
