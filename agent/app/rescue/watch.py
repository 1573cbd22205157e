"""The rescue as a job of `fairlead run`: it looks at every new block, warns first, acts at the trigger, and says why where it cannot.

What is in flight is never begun again: the journal knows a payment before it is signed, and names are derived from what it knows. A
condition is told once while it lasts; after a restart it may be told once more, never less.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from agent.app.bridging import following
from agent.app.jobs.budgets import Budgets
from agent.app.jobs.guard import budgets_of
from agent.app.rescue import acting, bringing, landed, pricing
from agent.app.rescue.doubts import Doubt
from agent.app.rescue.hedge import of_loan, stands_words
from agent.app.rescue.hedge_keeper import HedgeKeeper
from agent.app.rescue.hedge_lease import HedgeLease
from agent.app.rescue.sight import Sight, look, next_s
from agent.app.rescue.words import health_words, missing_words, owners_words, unwinding_words
from agent.app.settings_rescue import RescueTable
from agent.domain.errors import Denied, FairleadError
from agent.domain.events import Alarmed
from agent.execution.desk import Desk
from agent.margin.rescue import Plan

if TYPE_CHECKING:
    from agent.app.bridging.sending import Deposit
    from agent.app.rescue.pricing import Options
    from agent.app.wiring import App

RETRY_S = 2.0
BRINGS = "rescue brings"
"""The name of a task at whose end money is on its way."""


@dataclass(eq=False)
class _Start:
    """A step that was begun when the journal knew of so many, and may not be in it yet."""

    begun: int


class RescueWatch:
    """Runs one rule until cancelled. A payment may cost neither more than the rule says nor than `most_cost_usd`. `before_act` raises where nothing new may be begun now."""

    def __init__(
        self,
        app: App,
        desk: Desk,
        rule: RescueTable,
        most_cost_usd: Decimal,
        tell: Callable[[str], None],
        before_act: Callable[[], Awaitable[None]] | None = None,
        shared: Budgets | None = None,
    ) -> None:
        self._shared = shared or budgets_of(app.settings)
        self._app, self._desk, self._rule, self._tell, self._before = app, desk, rule, tell, before_act
        self._most_cost_usd = min(rule.most_cost_usd, most_cost_usd)
        self._told: set[tuple[str, int]] = set()
        self._refused: set[tuple[str, ...]] = set()
        self._works = f"rescue {rule.name} at work"
        self._unread = self._undone = ""
        self._tasks: set[asyncio.Task[None]] = set()
        self._starting: _Start | None = None
        self._not_before_ns = 0
        self._fatal: FairleadError | None = None
        self._hedge = HedgeKeeper(
            app, desk, rule, self._most_cost_usd, tell, before_act, HedgeLease.of(app, rule)
        )

    @property
    def name(self) -> str:
        return self._rule.name

    async def run(self) -> None:
        """Raises what means that nothing can be recorded, or signed, any more."""
        chain = self._app.settings.chain(self._rule.chain)
        assert chain is not None, "the settings were checked"
        watch = self._app.chains[chain.chain_id]
        try:
            while self._fatal is None and self._hedge.fatal is None:
                told = watch.heads_told()
                try:
                    await self.step()
                    self._unread = ""
                except FairleadError as error:
                    if error.verb == "HALT" and error.code != "HALTED":
                        raise
                    self._unread = await self._failed(error, self._unread)
                    await self._desk.clock.sleep(RETRY_S)
                await watch.next_look(told)
            raise self._fatal or self._hedge.fatal or AssertionError("nothing ended it")
        finally:
            await self._hedge.ended()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def step(self) -> None:
        """One look, and what it calls for."""
        over, crossings = acting.over(self._desk.book), dict(self._desk.book.crossings)
        sight = await look(self._app, self._rule)
        if sight is None:
            self._hedge.over(self._rule.name, "the account is gone")
            await self._say(
                "RESCUE_NO_MARKET",
                f"{self._rule.chain} has no {self._rule.market or 'Aave V3'} market, or the wallet nothing in it",
                "drop the rule",
            )
            return
        if not any(
            task.get_name() == self._works for task in self._tasks
        ):  # what is at work here tells of itself
            await landed.tell(self._desk, sight)
        conditions = [(d.code, d.message, d.hint) for d in sight.doubts]
        if sight.below(self._rule.warn):
            text = f"{sight.name}: health factor {health_words(sight.health_1e18)} is below {self._rule.warn}"
            conditions.append(
                (
                    "RESCUE_NEAR",
                    text,
                    f"below {self._rule.trigger} it is rescued; `fairlead rescue` shows how",
                )
            )
        if held := self._hedge.stands:
            text = f"{sight.name}: {stands_words(self._rule, held)} stands against it: it raises no health"
            conditions.append(("HEDGE_IN_PLACE", text, "it is taken off once the account is well"))
        await self._conditions(conditions)
        if not sight.unknown and not sight.below(self._rule.lasts_below(self._rule.target)):
            self._hedge.over(sight.name, f"health factor {health_words(sight.health_1e18)}")
        if not sight.below(self._rule.trigger):
            self._undone = ""
            self._refused.clear()
        elif not self._busy(sight):
            # What arrived during the look may be in no balance that was seen: it would be brought a second time.
            if (
                await acting.seen_since(self._desk.book, sight, over)
                and crossings == self._desk.book.crossings
            ):
                await self._rescue(sight)

    def _busy(self, sight: Sight) -> bool:
        """Whether a step is on its way to a block, or about to be; after a failure for a moment, too."""
        book, now = self._desk.book, self._desk.clock.now_ns()
        if self._hedge.holds:
            return True
        starting = self._starting is not None and acting.begun(book, sight) == self._starting.begun
        return starting or now < self._not_before_ns or bool(acting.in_flight(book, sight))

    async def _rescue(self, sight: Sight) -> None:
        app, desk = self._app, self._desk
        if self._hedge.comes_first:
            self._hedge.wanted(of_loan(sight, next_s(app, sight)))
            return
        spent = acting.counted_usd(app, desk, sight, self._shared)
        found = pricing.options(app, sight, spent, next_s(app, sight))
        if (stop := found.stopped) is not None:
            await self._cannot(sight, [stop], [], 0)
            self._hedge.wanted(of_loan(sight, next_s(app, sight)))
            return
        lines = [line for need in found.missing for line in missing_words(app, sight, need)]
        lines += [unwinding_words(app, sight, found.unwound)] if found.unwound is not None else []
        lines += [owners_words(app, sight, plan) for plan in found.owners[:1]]
        # What is missing is told again each time it has doubled.
        size = found.missing[0].raw.bit_length() if found.missing else 0
        own = [d for d in found.doubts if d not in sight.doubts]
        comes, slow = await self._brings(sight, found, spent)
        own += slow
        if comes and not found.plans and not slow:
            return
        if not found.plans:
            await self._cannot(sight, own, lines, size)
            self._hedge.wanted(of_loan(sight, next_s(app, sight)))
            return
        if found.short:
            why = [f"{d.code}: {d.message} → {d.hint}" for d in own] + (
                ["it needs " + "; or ".join(lines)] if lines else []
            )
            text = f"{sight.name}: the target {self._rule.target} is out of reach, what helps is done: "
            await self._say("RESCUE_SHORT", text + "; ".join(why), "", size)
        if self._before is not None:
            await self._before()
        plan = found.plans[0]
        does = ", then ".join(acting.words(app, sight, move) for move in plan.moves)
        self._tell(f"rescue {self._rule.name}: health factor {health_words(sight.health_1e18)}: {does}")
        # It is followed to its finality beside the watch: a price that falls on is seen meanwhile.
        self._starting = start = _Start(acting.begun(desk.book, sight))
        task = asyncio.create_task(self._carry(sight, found.plans, start), name=self._works)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _brings(self, sight: Sight, found: Options, spent: Decimal) -> tuple[bool, list[Doubt]]:
        """Whether what is missing is on its way from another chain, or was sent for now; and why it was not, or may come too late."""
        app, desk = self._app, self._desk
        waited = bringing.awaited(app, desk, sight)
        if waited:
            told = ", ".join(following.words(app, one) for one in waited)
            await self._say(
                "RESCUE_WAITS", f"{sight.name}: on its way: {told}", "it is paid in once it is there"
            )
        if waited or any(not task.done() and task.get_name() == BRINGS for task in self._tasks):
            late = bringing.too_slow(app, sight)
            return True, [late] if late is not None else []
        if not found.missing or app.roads is not None or not sight.on_chains or not sight.rule.bridge:
            return False, []
        if (slow := bringing.too_slow(app, sight)) is not None:
            return False, [slow]
        for one in bringing.choices(app, sight, found.missing, bringing.room_usd(sight, spent)):
            try:
                if self._before is not None:
                    await self._before()
                ready = await bringing.prepare(app, desk.book, sight, one, self._most_cost_usd)
            except FairleadError as error:
                if error.verb == "HALT":
                    raise
                key = (error.code, one.way.given, one.way.received)  # the amount is another at every look
                if key not in self._refused:
                    self._refused.add(key)
                    text = (
                        f"{sight.name}: {bringing.words(app, one)}: {error.message}; the next best is tried"
                    )
                    await desk.journal.record(Alarmed("RESCUE_PLAN_REFUSED", text, desk.clock.now_ns()))
                continue
            self._tell(f"rescue {self._rule.name}: {bringing.words(app, one)}, to pay it in")
            task = asyncio.create_task(self._begin(ready), name=BRINGS)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return True, []
        return False, []

    async def _begin(self, ready: Deposit) -> None:
        try:
            await bringing.begin(self._app, self._desk, ready)
        except FairleadError as error:
            if error.verb == "HALT" and error.code != "HALTED":
                self._fatal = error
                return
            self._not_before_ns = self._desk.clock.now_ns() + int(RETRY_S * 1e9)
            self._undone = await self._failed(error, self._undone)

    async def _carry(self, sight: Sight, plans: Sequence[Plan], start: _Start) -> None:
        desk = self._desk
        try:
            done, _ = await acting.act_first(
                self._app, desk, sight, plans, self._most_cost_usd, self._refused, self._shared
            )
        except FairleadError as error:
            if error.verb == "HALT" and error.code != "HALTED":
                self._fatal = error
                return
            self._not_before_ns = desk.clock.now_ns() + int(RETRY_S * 1e9)
            self._undone = await self._failed(error, self._undone)
            if error.code in acting.UNSIGNED or isinstance(error, Denied):  # nothing left: no means does
                self._hedge.wanted(of_loan(sight, next_s(self._app, sight)))
            return
        finally:
            if self._starting is start:
                self._starting = None
        self._undone = ""
        self._refused.clear()
        self._told = {(code, size) for code, size in self._told if code != "RESCUE_IMPOSSIBLE"}
        if done is None:
            return
        await acting.tell(desk, sight, done)

    async def _cannot(self, sight: Sight, why: list[Doubt], lines: list[str], size: int) -> None:
        told = [f"{d.code}: {d.message} → {d.hint}" for d in why]
        told += ["it needs " + "; or ".join(lines)] if lines else []
        told = told or ["nothing in the wallet repays or secures it"]
        text = f"{sight.name}: health factor {health_words(sight.health_1e18)} is below {self._rule.trigger} and nothing can be done: "
        await self._say("RESCUE_IMPOSSIBLE", text + "; ".join(told), "", size)

    async def _conditions(self, found: list[tuple[str, str, str]]) -> None:
        """Tells what is new, forgets what is over."""
        lasting = (
            {"RESCUE_IMPOSSIBLE", "RESCUE_SHORT", "RESCUE_WAITS"}
            if any(code == "RESCUE_NEAR" for code, _, _ in found)
            else set()
        )
        for code, message, hint in found:
            await self._say(code, message, hint)
        stays = {code for code, _, _ in found} | lasting
        self._told = {(code, size) for code, size in self._told if code in stays}

    async def _failed(self, error: FairleadError, before: str) -> str:
        """Told once for as long as nothing else comes of it; gives what to compare the next one with."""
        if error.code != before:
            text = f"rescue {self._rule.name}: {error.message} → {error.hint or 'it is tried again'}"
            await self._desk.journal.record(Alarmed(error.code, text, self._desk.clock.now_ns()))
        return error.code

    async def _say(self, code: str, message: str, hint: str, size: int = 0) -> None:
        if (code, size) in self._told:
            return
        self._told.add((code, size))
        text = f"{message} → {hint}" if hint else message
        await self._desk.journal.record(Alarmed(code, text, self._desk.clock.now_ns()))


def shown(rule: RescueTable) -> str:
    """What the rule does, for `fairlead jobs`."""
    return f"rescue the {rule.market or 'Aave V3'} account on {rule.chain} up to {plain_of(rule.target)}"


def plain_of(value: Decimal) -> str:
    return f"{value.normalize():f}"
