"""A job priced when it is due, and told: nothing is written, nothing is signed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING

from agent.app.job_rules import Rule
from agent.app.jobs.guard import Fire, source_of
from agent.app.jobs.triggers import jitter_ns, trigger_of
from agent.app.jobs.watched import moments
from agent.app.proposals import propose
from agent.app.readonly import read_book
from agent.app.scheduler import told, wanted, words_of
from agent.app.settings_jobs import Timing
from agent.domain.errors import FairleadError
from agent.journal.book import Book

if TYPE_CHECKING:
    from agent.app.wiring import App


async def priced(app: App, job: Timing, say: Callable[[str], None]) -> None:
    """Until cancelled."""
    async for fire in _fires(app, job):
        when = f"job {job.name} of {told(fire.at_ns)}"
        try:
            request, why = await wanted(app, job, read_book(app.settings) or Book())
            if request is None:
                say(f"{when} would do nothing: {why}")
                continue
            found = await propose(
                app,
                request,
                salt=f"{job.name} {fire.key}",
                source=source_of(job),
                created_ns=fire.at_ns,
                note=say,
            )
        except FairleadError as error:
            say(f"{when} would not be done: {error}")
            continue
        seen = found.preview
        loss = f", at worst {seen.worst_loss_usd:,.2f} USD lost" if seen.worst_loss_usd is not None else ""
        order = f" ({request.side.value.lower()} {request.qty} {request.base})" if why else ""
        say(f"{when} would {words_of(job)}{order}: {seen.net:,.2f} at {seen.net_px:,.4f}{loss}")


async def _fires(app: App, job: Timing) -> AsyncIterator[Fire]:
    trigger = trigger_of(job)
    if not isinstance(trigger, Rule):
        last: dict[str, int] = {}

        def quiet_until(_: Timing, again_ns: int) -> int:
            return last.get("at", -again_ns) + again_ns

        async for fire in moments(app, app.clock, job, trigger, quiet_until):
            last["at"] = fire.at_ns
            yield fire
        return
    while True:
        fire_ns = trigger.next_after(app.clock.now_ns())
        due_ns = fire_ns + jitter_ns(job, str(fire_ns))
        await app.clock.sleep(max((due_ns - app.clock.now_ns()) / 1e9, 0.01))
        yield Fire(str(fire_ns), fire_ns)
