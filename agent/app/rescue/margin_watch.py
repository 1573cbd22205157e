"""The rescue of an exchange's margin accounts as a job of `fairlead run`: asked again and again, it warns first, and acts at the trigger.

An order under way is never joined by a second one; a condition is told once while it lasts. What was begun goes on to the target after
a restart.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import TYPE_CHECKING

from agent.app.jobs.budgets import Budgets
from agent.app.rescue import exchange, landed
from agent.app.rescue.hedge import of_margin, stands_words
from agent.app.rescue.hedge_keeper import HedgeKeeper
from agent.app.rescue.hedge_lease import HedgeLease
from agent.app.rescue.words import health_words
from agent.app.settings_rescue import MarginRescueTable
from agent.domain.errors import Denied, FairleadError, Reject
from agent.domain.events import Alarmed
from agent.execution.desk import Desk
from agent.margin.model import State

if TYPE_CHECKING:
    from agent.app.wiring import App


class MarginWatch:
    """Runs one rule until cancelled. No order may lose more than the rule says, nor than `most_cost_usd`. `before_act` raises where nothing new may be begun now."""

    def __init__(
        self,
        app: App,
        desk: Desk,
        rule: MarginRescueTable,
        most_cost_usd: Decimal,
        tell: Callable[[str], None],
        before_act: Callable[[], Awaitable[None]] | None = None,
        shared: Budgets | None = None,
    ) -> None:
        self._shared = shared
        self._app, self._desk, self._rule = app, desk, rule
        self._tell, self._before = tell, before_act
        self._most_cost_usd = min(rule.most_cost_usd, most_cost_usd)
        self._told: set[tuple[str, str]] = set()
        self._undone: set[str] = set()
        self._hedge = HedgeKeeper(
            app, desk, rule, self._most_cost_usd, tell, before_act, HedgeLease.of(app, rule)
        )
        self._seen, self._does = set[str](), ""

    @property
    def name(self) -> str:
        return self._rule.name

    async def run(self) -> None:
        """Raises what means that nothing can be recorded, or signed, any more."""
        try:
            while self._hedge.fatal is None:
                try:
                    await self.step()
                    self._told = {(code, name) for code, name in self._told if name}
                except FairleadError as error:
                    if error.verb == "HALT" and error.code != "HALTED":
                        raise
                    await self._say(error.code, "", exchange.trouble(error, self._rule))
                await self._desk.clock.sleep(self._rule.every_s)
            raise self._hedge.fatal
        finally:
            await self._hedge.ended()

    async def step(self) -> None:
        """One look, and what it calls for at each account. Raises what the first of them came to grief by, after the others had their turn."""
        lasting, trouble = set[tuple[str, str]](), list[FairleadError]()
        # Whatever this watch carried to its end it has told of by now.
        await landed.tell_filled(self._desk, self._rule.venue, exchange.source_of(self._rule))
        told = await exchange.exposed(self._app, self._rule)
        until = self._rule.lasts_below(self._rule.target)
        if all(one.judged.state is not State.UNKNOWN and not one.below(until) for one in told):
            self._hedge.over(self._rule.venue, f"its accounts are at {until} again")
        if held := self._hedge.stands:
            text = f"{self._rule.venue}: {stands_words(self._rule, held)} stands against it: it raises no health → it is taken off once its accounts are well"
            lasting.add(await self._say("HEDGE_IN_PLACE", self._rule.venue, text))
        for one in told:
            try:
                await self._account(one, lasting)
            except FairleadError as error:
                if error.verb == "HALT" and error.code != "HALTED":
                    raise
                trouble.append(error)
        self._told = {t for t in self._told if t in lasting or not t[1]}
        if trouble:
            raise trouble[0]

    async def _account(self, one: exchange.Exposed, lasting: set[tuple[str, str]]) -> None:
        rule, ratio = self._rule, health_words(one.ratio_1e18)
        if one.judged.state is State.UNKNOWN:
            why = f"{one.name}: its margin cannot be told, and is not taken for safe: {one.judged.why}"
            lasting.add(await self._say("HEALTH_UNKNOWN", one.name, f"{why} → `fairlead health`"))
        if one.below(rule.warn):
            near = f"{one.name}: equity over maintenance {ratio} is below {rule.warn} → below {rule.trigger} positions are made smaller"
            lasting.add(await self._say("RESCUE_NEAR", one.name, near))
        if one.name not in self._seen and exchange.in_flight(self._desk, rule) is None:
            self._seen.add(one.name)
            if exchange.lately(self._app, self._desk, one):
                self._undone.add(one.name)
        # What the limits cut short goes on to the target, though the trigger is left behind.
        threshold = rule.target if one.name in self._undone else rule.trigger
        if not one.below(threshold):
            self._undone.discard(one.name)
            return
        if exchange.in_flight(self._desk, rule) is not None or self._hedge.holds_up(one.name):
            return
        if self._hedge.comes_first:
            self._hedge.wanted(of_margin(self._app, one))
            return
        if (found := one.least()) is None:
            text = f"{one.name}: {ratio} is below {threshold} and no order reaches {rule.target}: {one.hindrance} → bring margin, or close by hand"
            lasting.add(await self._say("RESCUE_IMPOSSIBLE", one.name, text))
            self._hedge.wanted(of_margin(self._app, one))
            return
        if self._before is not None:
            await self._before()
        cut = found.cuts[0]
        does = f"rescue {rule.name}: {ratio}: {exchange.words(self._app, one, cut)}"
        if does != self._does:  # what is refused again and again is said once
            self._tell(does)
        self._does = does
        try:
            made = await exchange.reduce(self._app, self._desk, one, cut, self._most_cost_usd, self._shared)
        except (Denied, Reject):  # what the limits, or the exchange, do not let be made smaller
            self._hedge.wanted(of_margin(self._app, one))
            raise
        (self._undone.add if made.undone is not None else self._undone.discard)(one.name)
        text = f"{one.name}: {exchange.done_words(self._app, one, made)}; equity over maintenance was {ratio}"
        await self._desk.journal.record(Alarmed("RESCUED", text, self._desk.clock.now_ns()))

    async def _say(self, code: str, name: str, text: str) -> tuple[str, str]:
        key = (code, name)
        if key not in self._told:
            self._told.add(key)
            await self._desk.journal.record(Alarmed(code, text, self._desk.clock.now_ns()))
        return key
