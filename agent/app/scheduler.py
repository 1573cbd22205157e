"""The settings' jobs, fired once each: a fire's order id is derived from the job and the fire's time, so a restart can
neither repeat it nor, because the next fire is journalled before it comes, forget it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Protocol

from agent.app.intents import Request, check_max_loss, request_of
from agent.app.job_rules import SECOND, Rule
from agent.app.jobs.guard import Fire, Guard, source_of
from agent.app.jobs.hedging import hedge_request
from agent.app.jobs.triggers import jitter_ns, trigger_of
from agent.app.jobs.watched import moments
from agent.app.proposals import held_to_price, propose
from agent.app.settings_jobs import HedgeJob, Timing
from agent.app.settings_tree import Job
from agent.domain.errors import FairleadError
from agent.domain.events import Accepted, Alarmed, Fired, ParentClosed, Scheduled
from agent.domain.orders import ParentOrder
from agent.execution.deciding import Deciding
from agent.journal.book import Book

if TYPE_CHECKING:
    from agent.app.wiring import App

RETRY_S, NAP_S = 2.0, 30.0
BACK_NS = 60 * SECOND
"""A clock that went back so far is told of: fires of times that had been come again, and those that were carried are not carried twice."""
PATIENCE_NS = 300 * SECOND


def words_of(job: Timing) -> str:
    """What a job does, as it would be typed."""
    if isinstance(job, HedgeJob):
        return f"hedge {job.hedge} " + " ".join(f"{key}={value}" for key, value in job.hedge_with.items())
    assert isinstance(job, Job)
    text = f"{job.side} {job.qty.normalize():f} {job.base} for {job.quote}"
    text += f" --limit {job.limit}" if job.limit is not None else ""
    text += f" --algo {job.algo}" if job.algo else ""
    return text + (f" --over {job.over} --slices {job.slices}" if job.over else "")


def last_fire(book: Book, job: Timing, now_ns: int) -> int | None:
    """When the newest order of a job was due. One of a time that has not come is of a clock that was set back since: it keeps no other
    fire from being carried, and is itself not carried again when its time comes."""
    fires = [
        r.parent.intent.created_ns
        for r in book.parents.values()
        if r.parent.intent.source == source_of(job) and r.parent.intent.created_ns <= now_ns
    ]
    return max(fires, default=None)


@dataclass(frozen=True, slots=True)
class Due:
    """`fires` are to be carried now, `skipped` are too old for that, `next_ns` comes next."""

    fires: tuple[int, ...]
    skipped: tuple[int, ...]
    next_ns: int


def due(rule: Rule, known: Scheduled | None, fired_ns: int | None, now_ns: int) -> Due:
    """What a job owes: of the fires since the one last planned, the newest is carried late, older ones are skipped.

    A job that was never seen, or whose rule has changed, owes nothing yet.
    """
    if known is None or known.rule != rule.text:
        return Due((), (), rule.next_after(now_ns))
    first = known.fire_ns if fired_ns is None else max(known.fire_ns, fired_ns + 1)
    missed = rule.between(first, now_ns)
    return Due(tuple(missed[-1:]), tuple(missed[:-1]), rule.next_after(now_ns))


def _back(name: str, was_ns: int, now_ns: int) -> str:
    return (
        f"job {name}: this machine's clock went back by {(was_ns - now_ns) // SECOND} s, from {told(was_ns)} to {told(now_ns)}: "
        "what was carried before is not carried again when its time comes; set the clock (NTP)"
    )


class Starts(Protocol):
    """Whoever works the orders of the jobs."""

    def start(self, parent: ParentOrder) -> None: ...


class Scheduler:
    """Runs every enabled job until cancelled. `max_loss_usd` bounds each of its orders' worst outcome.

    `before_fire` raises where nothing new may be begun now. `guard` says which fires are ours and lets none through that must not be.
    `salt` keeps the ids of a shadow's orders apart from those of the daemon it stands beside.
    """

    def __init__(
        self,
        app: App,
        desk: Deciding,
        carrier: Starts,
        max_loss_usd: Decimal,
        tell: Callable[[str], None],
        before_fire: Callable[[], Awaitable[None]] | None = None,
        *,
        guard: Guard,
        salt: str = "",
    ) -> None:
        self._salt = salt
        self._before_fire, self._guard = before_fire, guard
        self._app, self._desk, self._carrier, self._tell = app, desk, carrier, tell
        self._max_loss_usd = max_loss_usd
        self.firing: set[str] = set()
        """Names of the jobs that are at a fire just now: they are not to be cancelled."""

    async def run(self, job: Timing) -> None:
        rule = trigger_of(job)
        if not isinstance(rule, Rule):
            async for fire in moments(self._app, self._desk.clock, job, rule, self._guard.quiet_until):
                await self._fire(job, fire, PATIENCE_NS)
            return
        clock, book = self._desk.clock, self._desk.book
        # What the job wrote last was written then, whatever the clock says now.
        known = book.scheduled.get(job.name)
        ran_ns = known.at_ns if known is not None else 0
        while True:
            now_ns = clock.now_ns()
            found = due(rule, book.scheduled.get(job.name), last_fire(book, job, now_ns), now_ns)
            if ran_ns - now_ns > BACK_NS:
                self._tell(_back(job.name, ran_ns, now_ns))
                await self._desk.journal.record(Alarmed("CLOCK_BACK", _back(job.name, ran_ns, now_ns), now_ns))  # fmt: skip
            ran_ns = now_ns
            for fire_ns in found.skipped:
                self._tell(f"job {job.name}: the fire of {told(fire_ns)} was missed and is skipped")
                await self._fired(job, str(fire_ns), "MISSED", "nothing ran then")
            for fire_ns in found.fires:
                patience = min(rule.period_ns(fire_ns) // 2, PATIENCE_NS)
                await self._fire(job, Fire(str(fire_ns), fire_ns, resume=True), patience)
            known = book.scheduled.get(job.name)
            if known is None or (known.rule, known.fire_ns) != (rule.text, found.next_ns):
                await self._desk.journal.record_durably(
                    Scheduled(job.name, rule.text, found.next_ns, clock.now_ns())
                )
            # In short naps: while one lasts, the clock may be set, or stand still with the machine.
            await clock.sleep(min(max((found.next_ns - clock.now_ns()) / 1e9, 0.01), NAP_S))

    async def _fired(self, job: Timing, key: str, outcome: str, why: str) -> None:
        await self._desk.journal.record(Fired(job.name, key, outcome, why, self._desk.clock.now_ns()))

    async def _fire(self, job: Timing, fire: Fire, patience_ns: int) -> None:
        clock = self._desk.clock
        late_ns = clock.now_ns() - fire.at_ns
        missed = job.missed == "skip" and late_ns > patience_ns
        if not missed and (
            wait_ns := jitter_ns(job, fire.key)
        ):  # a job that is taken away meanwhile ends here
            await clock.sleep(max(fire.at_ns + wait_ns - clock.now_ns(), 1) / 1e9)
        self.firing.add(job.name)
        try:
            outcome, why = (
                ("MISSED", f"it came {late_ns // SECOND} s late")
                if missed
                else await self._outcome(job, fire, patience_ns)
            )
            if self._stale(job, fire, outcome):
                self._over(job, fire)
                return
            if outcome in ("SKIPPED", "MISSED", "NOTHING"):
                self._tell(f"job {job.name} of {told(fire.at_ns)}: {outcome.lower()}: {why}")
            if outcome:
                await self._fired(job, fire.key, outcome, why)
                self._over(job, fire)
        finally:
            self.firing.discard(job.name)

    def _over(self, job: Timing, fire: Fire) -> None:
        """A store that does not answer now leaves the fire as begun, which nobody runs again either."""
        try:
            self._guard.finish(job, fire)
        except FairleadError as error:
            self._tell(f"job {job.name} of {told(fire.at_ns)}: {error}")

    def _stale(self, job: Timing, fire: Fire, outcome: str) -> bool:
        """Whether it is the same as last time and of a job that may look every block: the journal holds news, not looks."""
        before = self._desk.book.fired.get(job.name)
        same = before is not None and before[-1].outcome == outcome
        return same and not fire.resume and outcome in ("NOTHING", "SHADOW", "SKIPPED")

    async def _outcome(self, job: Timing, fire: Fire, patience_ns: int) -> tuple[str, str]:
        """What became of a fire, and why; ("", "") where another daemon runs it."""
        clock, book = self._desk.clock, self._desk.book
        until = clock.now_ns() + patience_ns
        try:
            if not self._guard.claim(job, fire, clock.now_ns(), until):
                return "", ""
            halted = self._app.switch.why() or (book.halted.why if book.halted is not None else "")
            if why := f"trading is halted: {halted}" if halted else self._guard.refusal(job, book):
                return "SKIPPED", why
        except FairleadError as error:
            if error.verb == "HALT":
                raise
            return await self._no_order(job, fire, error)
        return await self._order(job, fire, until)

    async def _order(self, job: Timing, fire: Fire, until: int) -> tuple[str, str]:
        """One order: decided, priced, bounded, taken on. A market that cannot be read is asked again for a while."""
        clock, book = self._desk.clock, self._desk.book
        request: Request | None = None
        while True:
            try:
                if self._before_fire is not None:
                    await self._before_fire()
                request, why = await wanted(self._app, job, book)
                if request is None:
                    return "NOTHING", why
                found = await propose(
                    self._app, request, salt=f"{self._salt}{job.name} {fire.key}", source=source_of(job), created_ns=fire.at_ns,
                    note=self._tell,
                )  # fmt: skip
                check_max_loss(found.preview, self._max_loss_usd)
                worth = await self._guard.worth(job, request, book, clock.now_ns())
                if over := self._guard.over_budget(job, worth, book, clock.now_ns()):
                    return "SKIPPED", over
                if job.shadow:
                    seen = found.preview
                    self._tell(f"job {job.name} of {told(fire.at_ns)} would {words_of(job)}: {seen.net:,.2f}")
                    return "SHADOW", f"{request.side.value} {request.qty} {request.base}: {seen.net:f}"
                name = found.parent.cl_ord_id
                why_not = self._guard.begin(job, fire, name, worth, book, clock.now_ns())
                if why_not is None or why_not:
                    return ("", "") if why_not is None else ("SKIPPED", why_not)
            except FairleadError as error:
                if error.verb == "HALT":
                    raise
                if error.verb in ("RETRY", "REJECT") and clock.now_ns() < until:
                    await clock.sleep(RETRY_S)
                    continue
                if request is None:
                    return await self._no_order(job, fire, error)
                await self._give_up(job, request, fire, error)
                return "FAILED", str(error)
            parent = fresh(held_to_price(found, request), clock.now_ns())
            if any(
                r.parent.intent.source == source_of(job) and r.parent.intent.created_ns == fire.at_ns
                for r in book.parents.values()
            ):
                return "", ""
            await self._desk.journal.record_durably(Accepted(parent, clock.now_ns()))
            self._tell(
                f"job {job.name} of {told(fire.at_ns)}: order {parent.cl_ord_id}: "
                f"{words_of(job)}{f': {why}' if why else ''}"
            )
            self._carrier.start(parent)
            return "ORDER", parent.cl_ord_id

    async def _no_order(self, job: Timing, fire: Fire, why: FairleadError) -> tuple[str, str]:
        await self._alarm(job, fire, why)
        return "FAILED", str(why)

    async def _give_up(self, job: Timing, request: Request, fire: Fire, why: FairleadError) -> None:
        """The fire is over without an order: it is accepted and closed, so that no restart fires it again."""
        from agent.app.intents import parent_of

        app, now = self._app, self._desk.clock.now_ns()
        desk = next(iter(app.chains.values()))
        protection = desk.wanted or desk.protection
        parent = parent_of(
            request, app.settings.environment.value, app.settings.wallet.address, protection,
            f"{self._salt}{job.name} {fire.key}", fire.at_ns, source_of(job),
        )  # fmt: skip
        record = self._desk.journal.record
        if parent.cl_ord_id not in self._desk.book.parents:
            await record(Accepted(parent, now))
            await record(ParentClosed(parent.cl_ord_id, "FAILED", str(why), now))
        await self._alarm(job, fire, why)

    async def _alarm(self, job: Timing, fire: Fire, why: FairleadError) -> None:
        now, what = self._desk.clock.now_ns(), f"job {job.name} of {told(fire.at_ns)}"
        await self._desk.journal.record(Alarmed("JOB_NOT_DONE", f"{what}: {why}", now))
        self._tell(f"{what} was not done: {why}")


async def wanted(app: App, job: Timing, book: Book) -> tuple[Request | None, str]:
    """The order a fire asks for now, or None; with the reason where it was decided. Raises FairleadError where it cannot be told."""
    if isinstance(job, HedgeJob):
        return await hedge_request(app, job, book, source_of(job))
    assert isinstance(job, Job)
    return request_of_job(app, job), ""


def request_of_job(app: App, job: Job) -> Request:
    from agent.app.wiring import algorithms

    return request_of(
        app.directory,
        algorithms(),
        job.side,
        f"{job.qty:f}",
        job.base,
        job.quote,
        limit=f"{job.limit:f}" if job.limit is not None else None,
        algo=job.algo,
        over=job.over,
        slices=job.slices,
        max_slippage_bps=job.max_slippage_bps,
    )


def fresh(parent: ParentOrder, now_ns: int) -> ParentOrder:
    """A late fire's order lives as long as one in time would."""
    from dataclasses import replace

    late = max(now_ns - parent.intent.created_ns, 0)
    return replace(parent, intent=replace(parent.intent, expire_ns=parent.intent.expire_ns + late))


def told(at_ns: int) -> str:
    from agent.app.follow import instant

    return instant(at_ns).replace(".000000000Z", "Z")
