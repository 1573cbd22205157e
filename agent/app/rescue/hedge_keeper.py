"""One rule's hedge in `fairlead run`: opened where nothing else helps, kept while the account is in danger, taken off once it is not.

One task at a time, beside the watch; what is refused is told once, and tried again after a pause. Of several daemons that share a store the
one with the lease opens it: the others say whose it is, and go on with their other means.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from agent.app.rescue import hedge, orders
from agent.app.rescue.hedge import Crisis, Rule
from agent.app.rescue.hedge_lease import Begins, HedgeLease, leased
from agent.domain.errors import Denied, FairleadError, Retry
from agent.domain.events import Alarmed
from agent.execution.desk import Desk

if TYPE_CHECKING:
    from agent.app.wiring import App

PAUSE_S = 5.0
HOLDS_S = 30.0
"""An order of it that is on its way holds up other means so long: none is paid beside it. One whose fate is not known then holds up nothing."""


class HedgeKeeper:
    """`before` raises where nothing new may be begun now."""

    def __init__(
        self,
        app: App,
        desk: Desk,
        rule: Rule,
        most_cost_usd: Decimal,
        tell: Callable[[str], None],
        before: Callable[[], Awaitable[None]] | None,
        lease: HedgeLease | None = None,
    ) -> None:
        self._app, self._desk, self._rule, self._tell, self._before = app, desk, rule, tell, before
        self._most_cost_usd = most_cost_usd
        self._task: asyncio.Task[None] | None = None
        self._not_before_ns, self._told = 0, set[str]()
        self._began_ns = desk.clock.now_ns()  # what an earlier process left open counts from here
        self._account, self._lease, self._leased = "", lease, True  # what an earlier process left
        self._held = False
        self.fatal: FairleadError | None = None
        self.refused = False

    @property
    def configured(self) -> bool:
        return self._rule.hedge_at is not None

    @property
    def stands(self) -> Decimal:
        return hedge.stands(self._desk.book, self._rule)

    @property
    def busy(self) -> bool:
        """Whether an order of it is on its way, or about to be."""
        if self._task is not None and not self._task.done():
            return True
        return orders.open_of(self._desk, hedge.source_of(self._rule)) is not None

    @property
    def holds(self) -> bool:
        """Whether other means wait for it."""
        return self.busy and self._desk.clock.now_ns() - self._began_ns < int(HOLDS_S * 1e9)

    def holds_up(self, account: str) -> bool:
        """Whether that account's do: an order of an earlier process may be any account's."""
        return self.holds and self._account in ("", account)

    @property
    def comes_first(self) -> bool:
        """Whether the rule has it before all other means, and nothing has kept it from that."""
        stuck = self.busy and not self.holds
        return self._rule.hedge_first and self.configured and not self.refused and not stuck

    def wanted(self, crisis: Crisis) -> None:
        """Opens it where none stands, or goes on where one was opened in part."""
        if self.stands:
            self._hold()
        if self.configured and (not self.stands or hedge.lacks(self._desk.book, self._rule)):
            self._begin(crisis.account, self._open(crisis))

    def over(self, account: str, why: str) -> None:
        """Takes it off where one stands."""
        self.refused = False
        if not self.configured:
            return
        if not self.stands and not self.busy:
            self._give_back()
        if self.stands:
            self._begin(account, self._close(account, why))
        elif hedge.taken_off_untold(self._desk.book, self._rule):
            self._begin(account, self._removed(account, why, Decimal(0)))

    def _hold(self) -> None:
        """What stands is held in the store, too, where it was opened before the store knew of hedges, or with another store."""
        if self._lease is None or self._held:
            return
        now_ns = self._desk.clock.now_ns()
        try:
            if not self._lease.claim(now_ns):
                self._lease.begin(now_ns)
            self._held = True
        except (Retry, Denied):
            return

    def _give_back(self) -> None:
        """Another daemon may open one: nothing of this one's stands, or is about to. A silent store is asked again at the next look."""
        if self._lease is not None and self._leased:
            try:
                self._lease.finish()
                self._leased = self._held = False
            except Retry:
                return

    async def ended(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _begin(self, account: str, does: Coroutine[Any, Any, None]) -> None:
        if self.busy or self._desk.clock.now_ns() < self._not_before_ns:
            does.close()
            return
        self._began_ns, self._account = self._desk.clock.now_ns(), account
        self._task = asyncio.create_task(self._guarded(does), name=f"hedge {self._rule.name}")

    async def _guarded(self, does: Coroutine[Any, Any, None]) -> None:
        try:
            if self._before is not None:
                try:
                    await self._before()
                except BaseException:
                    does.close()
                    raise
            await does
            self._told.clear()
        except FairleadError as error:
            if error.verb == "HALT" and error.code != "HALTED":
                self.fatal = error
                return
            self._not_before_ns = self._desk.clock.now_ns() + int(PAUSE_S * 1e9)
            self.refused = True
            if error.code == hedge.GONE:
                await self._alarm(error.code, error.message)
            elif error.code not in self._told:
                self._told.add(error.code)
                await self._alarm("HEDGE_IMPOSSIBLE", f"{error.code}: {hedge.trouble(self._rule, error)}")

    async def _open(self, crisis: Crisis) -> None:
        self._leased = True
        await leased(self._lease, self._desk, self._rule, partial(self._opened, crisis))

    async def _opened(self, crisis: Crisis, begins: Begins) -> None:
        offer = await hedge.offered(self._app, crisis)
        left = hedge.lacks(self._desk.book, self._rule)
        if self.stands and left < offer.smallest:
            self._not_before_ns = self._desk.clock.now_ns() + int(PAUSE_S * 1e9)
            return
        self._tell(f"rescue {self._rule.name}: {hedge.words(offer)}")
        held = await hedge.open_one(self._app, self._desk, offer, self._most_cost_usd, begins)
        self.refused = False
        text = f"{crisis.account}: {hedge.stands_words(self._rule, held)} bounds what a liquidation would cost; its health is as it was"
        until = self._rule.lasts_below(self._rule.target)
        await self._alarm("HEDGED", f"{text} → it is taken off at {until}; pay in, or repay, all the same")

    async def _close(self, account: str, why: str) -> None:
        self._tell(
            f"rescue {self._rule.name}: {why}: the hedge {hedge.stands_words(self._rule, self.stands)} is taken off"
        )
        held = await hedge.close_one(self._app, self._desk, self._rule, account, self._most_cost_usd)
        await self._removed(account, why, held)

    async def _removed(self, account: str, why: str, held: Decimal) -> None:
        left = f"; left is {hedge.stands_words(self._rule, held)}" if held else ""
        text = f"{self._rule.name}: {account}: {why}: the hedge at {self._rule.hedge_at} was taken off{left}"
        await self._alarm(hedge.REMOVED, text)

    async def _alarm(self, code: str, text: str) -> None:
        await self._desk.journal.record(Alarmed(code, text, self._desk.clock.now_ns()))
