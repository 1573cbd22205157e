"""Fires that no clock tells: blocks that were built, prices and healths that stand beyond a level."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import TYPE_CHECKING

from agent.app.cli.output import note
from agent.app.jobs.facts import crossed_px
from agent.app.jobs.guard import Fire
from agent.app.jobs.triggers import Blocks, Condition
from agent.app.settings_jobs import Timing
from agent.domain.errors import FairleadError
from agent.domain.units import qty_exact
from agent.ports import Clock
from chains.types import Address

if TYPE_CHECKING:
    from agent.app.wiring import App

LOOK_S = 1.0
CONDITION_S = 5.0
Quiet = Callable[[Timing, int], int]


async def moments(
    app: App, clock: Clock, job: Timing, trigger: Blocks | Condition, quiet_until: Quiet
) -> AsyncIterator[Fire]:
    """Every fire as it comes, for ever. What cannot be read fires nothing, and is said once until it reads again."""
    if isinstance(trigger, Blocks):
        async for fire in _blocks(app, clock, trigger):
            yield fire
        return
    blind, noticed_ns = False, 0
    while True:
        value, quiet = None, 0
        try:
            quiet = quiet_until(job, trigger.again_ns)
            if (
                quiet - clock.now_ns() > trigger.again_ns
            ):  # it fired later than now: the clock was set back since
                noticed_ns = noticed_ns or clock.now_ns()
                quiet = noticed_ns + trigger.again_ns
            else:
                noticed_ns = 0
            value = await _value(app, trigger)
        except FairleadError as error:
            if error.verb == "HALT":
                raise
        if value is None and not blind:
            note(f"job {job.name}: {trigger.text}: it is not known now, and fires nothing")
        blind = value is None
        if value is not None and trigger.holds(value) and clock.now_ns() >= quiet:
            at_ns = clock.now_ns()
            yield Fire(str(at_ns), at_ns)
            noticed_ns = noticed_ns and at_ns
        await clock.sleep(CONDITION_S)


async def _blocks(app: App, clock: Clock, trigger: Blocks) -> AsyncIterator[Fire]:
    last: int | None = None
    chain = app.settings.chain(trigger.chain)
    assert chain is not None
    while True:
        try:
            passed = trigger.passed((await app.gateways[chain.chain_id].block("latest")).number)
        except FairleadError as error:
            if error.verb == "HALT":
                raise
            passed = last or 0
        if last is not None and passed > last:
            yield Fire(f"block {passed}", clock.now_ns())
        last = max(passed, last or 0) or None
        await clock.sleep(LOOK_S)


async def _value(app: App, trigger: Condition) -> Decimal | None:
    """None where it is unknown; without debt there is no health that could be low."""
    if trigger.kind == "price":
        return await crossed_px(app, trigger.subject, trigger.below)
    from agent.app.watching.aave import chain_health

    chain = app.settings.chain(trigger.subject)
    assert chain is not None
    found = await chain_health(
        chain, app.chains[chain.chain_id].account_view(), Address(app.settings.wallet.address)
    )
    if found is None or found.trouble or found.health is None:
        return None
    factor = found.health.health_1e18
    return Decimal("Infinity") if factor is None else qty_exact(factor, 18)
