"""The settings' jobs, fired once each: a fire's order id is derived from the job and the fire's time, so a restart can
neither repeat it nor, because the next fire is journalled before it comes, forget it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from agent.app.carrier import Carrier
from agent.app.intents import Request, check_max_loss, request_of
from agent.app.job_rules import SECOND, Rule, rule_of
from agent.app.proposals import held_to_price, propose
from agent.app.settings_tree import Job
from agent.domain.errors import FairleadError
from agent.domain.events import Accepted, Alarmed, ParentClosed, Scheduled
from agent.domain.orders import ParentOrder
from agent.execution.desk import Desk
from agent.journal.book import Book

if TYPE_CHECKING:
    from agent.app.wiring import App

RETRY_S = 2.0
PATIENCE_NS = 300 * SECOND


def source_of(job: Job) -> str:
    return f"job:{job.name}"


def words_of(job: Job) -> str:
    """What a job does, as it would be typed."""
    text = f"{job.side} {job.qty.normalize():f} {job.base} for {job.quote}"
    text += f" --limit {job.limit}" if job.limit is not None else ""
    text += f" --algo {job.algo}" if job.algo else ""
    return text + (f" --over {job.over} --slices {job.slices}" if job.over else "")


def last_fire(book: Book, job: Job) -> int | None:
    """When the newest order of a job was due."""
    fires = [
        r.parent.intent.created_ns for r in book.parents.values() if r.parent.intent.source == source_of(job)
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


class Scheduler:
    """Runs every enabled job until cancelled. `max_loss_usd` bounds each of its orders' worst outcome.

    `before_fire` raises where nothing new may be begun now.
    """

    def __init__(
        self,
        app: App,
        desk: Desk,
        carrier: Carrier,
        max_loss_usd: Decimal,
        tell: Callable[[str], None],
        before_fire: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._before_fire = before_fire
        self._app, self._desk, self._carrier, self._tell = app, desk, carrier, tell
        self._max_loss_usd = max_loss_usd

    async def run(self, job: Job) -> None:
        rule, clock, book = rule_of(job), self._desk.clock, self._desk.book
        while True:
            found = due(rule, book.scheduled.get(job.name), last_fire(book, job), clock.now_ns())
            for fire_ns in found.skipped:
                self._tell(f"job {job.name}: the fire of {told(fire_ns)} was missed and is skipped")
            for fire_ns in found.fires:
                await self._fire(job, rule, fire_ns)
            known = book.scheduled.get(job.name)
            if known is None or (known.rule, known.fire_ns) != (rule.text, found.next_ns):
                await self._desk.journal.record_durably(
                    Scheduled(job.name, rule.text, found.next_ns, clock.now_ns())
                )
            await clock.sleep(max((found.next_ns - clock.now_ns()) / 1e9, 0.01))

    async def _fire(self, job: Job, rule: Rule, fire_ns: int) -> None:
        """One order: priced, bounded, taken on. A market that cannot be read is asked again for a while."""
        until = self._desk.clock.now_ns() + min(rule.period_ns(fire_ns) // 2, PATIENCE_NS)
        request = request_of_job(self._app, job)
        while True:
            try:
                if self._before_fire is not None:
                    await self._before_fire()
                found = await propose(
                    self._app, request, salt=f"{job.name} {fire_ns}", source=source_of(job), created_ns=fire_ns,
                    note=self._tell,
                )  # fmt: skip
                check_max_loss(found.preview, self._max_loss_usd)
            except FairleadError as error:
                if error.verb == "HALT":
                    raise
                if error.verb in ("RETRY", "REJECT") and self._desk.clock.now_ns() < until:
                    await self._desk.clock.sleep(RETRY_S)
                    continue
                await self._give_up(job, request, fire_ns, error)
                return
            parent = fresh(held_to_price(found, request), self._desk.clock.now_ns())
            if parent.cl_ord_id in self._desk.book.parents:
                return
            await self._desk.journal.record_durably(Accepted(parent, self._desk.clock.now_ns()))
            self._tell(f"job {job.name} of {told(fire_ns)}: order {parent.cl_ord_id}: {words_of(job)}")
            self._carrier.start(parent)
            return

    async def _give_up(self, job: Job, request: Request, fire_ns: int, why: FairleadError) -> None:
        """The fire is over without an order: it is accepted and closed, so that no restart fires it again."""
        from agent.app.intents import parent_of

        app, now = self._app, self._desk.clock.now_ns()
        desk = next(iter(app.chains.values()))
        protection = desk.wanted or desk.protection
        parent = parent_of(
            request, app.settings.environment.value, app.settings.wallet.address, protection,
            f"{job.name} {fire_ns}", fire_ns, source_of(job),
        )  # fmt: skip
        record = self._desk.journal.record
        if parent.cl_ord_id not in self._desk.book.parents:
            await record(Accepted(parent, now))
            await record(ParentClosed(parent.cl_ord_id, "FAILED", str(why), now))
        await record(Alarmed("JOB_NOT_DONE", f"job {job.name} of {told(fire_ns)}: {why}", now))
        self._tell(f"job {job.name} of {told(fire_ns)} was not done: {why}")


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
