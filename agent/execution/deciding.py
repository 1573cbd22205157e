"""What decides: an algo's next step, a plan, a review, a rehearsal. Each method gathers facts and hands them to a pure function.

Nothing here can sign or send: the desk adds that, and the shadow does without.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal, localcontext
from typing import Protocol

from agent.algos.step import Algorithm, Progress, Step, slice_of
from agent.domain.errors import Denied, FairleadError, Reject, Retry
from agent.domain.events import (
    Approved,
    Attributed,
    Breach,
    ParentClosed,
    PartFailed,
    Planned,
    Prepared,
    Proved,
    Simulated,
)
from agent.domain.ids import ClOrdId
from agent.domain.instruments import AssetId
from agent.domain.order_state import TERMINAL
from agent.domain.orders import ChildOrder, ParentOrder, Part, Side
from agent.domain.risk import BreachReason, Limits
from agent.domain.routes import Certificate, Route
from agent.domain.units import WIDE, ZERO
from agent.execution.attribution import attribute
from agent.execution.halt import Switch
from agent.execution.planning import net_px, planned
from agent.execution.recorder import Recorder
from agent.journal.book import Book
from agent.journal.records import PartRecord
from agent.market.smallest import BELOW_MINIMUM
from agent.market.view import MarketView
from agent.ports import Clock
from agent.risk.validator import Situation, review

WHY_ENDED = {
    "FILLED": "all of it was done and is final",
    "CANCELED": "cancelled by its owner",
    "EXPIRED": "its time was over",
    "PARTLY_FILLED": "no place takes an order as small as the rest",
    "LAPSED": "the exchange ended it with its list: the entry was not filled whole, or by its own rules",
}
LOOK_AGAIN_NS = 5 * 10**9
"""A waiting parent is asked again at the latest after this, whatever the record tells."""


class Market(Protocol):
    """The live market: one block-consistent view, and the planner over it."""

    async def view(self, base: str, quote: str) -> MarketView: ...

    def route(self, view: MarketView, child: ChildOrder) -> Route:
        """Raises Reject NO_ROUTE, Denied NO_INVENTORY, Retry STALE_MARKET."""
        ...

    def proof(self, view: MarketView, child: ChildOrder, route: Route) -> Certificate:
        """How far that plan can be from the best one over the same view."""
        ...


class World(Protocol):
    """Facts for a review: prices, balances, gas, ages, the wallets' readiness."""

    async def situation(self, plan: Planned, view: MarketView, book: Book) -> Situation: ...


class Workshop(Protocol):
    """Makes a part concrete and rehearses it on this machine."""

    async def prepare(self, part: Part, approved: Approved, view: MarketView) -> Prepared: ...

    async def simulate(
        self, prepared: Prepared, approved: Approved, view: MarketView
    ) -> Simulated | PartFailed: ...


@dataclass(kw_only=True)
class Deciding:
    environment: str
    clock: Clock
    journal: Recorder
    book: Book
    limits: Limits
    switch: Switch
    market: Market
    world: World
    workshop: Workshop
    algos: Mapping[str, Algorithm]
    decimals: Mapping[AssetId, int]
    lots: Mapping[str, Decimal]
    views: dict[ClOrdId, MarketView] = field(default_factory=dict)
    """What each child was planned on, until it is over."""
    too_small: dict[ClOrdId, str] = field(default_factory=dict)
    """Why the rest of a parent that waits for a price could not be ordered, when it was looked at last."""
    news: dict[ClOrdId, asyncio.Future[None]] = field(default_factory=dict)
    _unheard: list[asyncio.Future[None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.journal.watchers.append(self._told)

    # ------------------------------------------------------------------ the parent

    async def next_step(self, parent: ParentOrder) -> Step:
        """What the algo wants now. A cancelled parent gets no further slice, and ends when its last part has."""
        self.news[parent.cl_ord_id] = news = asyncio.get_running_loop().create_future()
        self._unheard.append(news)
        record = self.book.parents[parent.cl_ord_id]
        algo = self.algos[parent.intent.algo]
        progress = self.progress(parent)
        if record.cancel_requested:
            if progress.working > 0 or progress.unsettled:
                return Step(wake_ns=self.clock.now_ns() + 250_000_000)
            return Step(done="CANCELED")
        if algo.wants_px and progress.working == 0 and progress.leaves > progress.lot:
            px_now = await self._px_now(parent, progress.leaves)
            progress = self.progress(parent, px_now)
        return algo.step(parent, progress, self.clock.now_ns())

    def _told(self, event: object) -> None:
        for news in self._unheard:
            if not news.done():
                news.set_result(None)
        self._unheard.clear()

    def progress(self, parent: ParentOrder, px_now: Decimal | None = None) -> Progress:
        record = self.book.parents[parent.cl_ord_id]
        working = ZERO
        failed = unsettled = 0
        with localcontext(WIDE):
            for name in record.children:
                child = self.book.children[name]
                if self.book.child_ended(name):
                    filled = any(self.book.parts[part].fills for part in child.parts)
                    failed += not filled and not self.book.was_interrupted(name)
                    continue
                unsettled += 1
                if not child.parts:
                    working += child.child.qty
                for part in child.parts:
                    working += self._still_working(child.child, self.book.parts[part])
            leaves = max(self.book.leaves(parent.cl_ord_id) - working, ZERO)
        last = self.book.children[record.children[-1]] if record.children else None
        return Progress(
            last=last.child if last is not None else None,
            last_ns=last.sliced_ns if last is not None else 0,
            leaves=leaves,
            working=working,
            children=len(record.children),
            failed=failed,
            unsettled=unsettled,
            denied=bool(record.children) and self.book.was_denied(record.children[-1]),
            accepted_ns=record.accepted_ns,
            px_now=px_now,
            lot=self._least(parent),
            too_small=bool(self._why_too_small(parent, leaves)),
        )

    def _why_too_small(self, parent: ParentOrder, leaves: Decimal) -> str:
        """Why no place takes an order of what is left, by the last slice or the last look; "" where one may."""
        name = next(reversed(self.book.parents[parent.cl_ord_id].children), None)
        child = self.book.children[name] if name is not None else None
        if child is None or child.child.qty < leaves:  # what is left grew since: a fill was taken back
            return self.too_small.get(parent.cl_ord_id, "")
        if child.breach is not None:
            reasons = child.breach.reasons
            if all(reason.rule == BELOW_MINIMUM for reason in reasons):
                return "; ".join(reason.message for reason in reasons)
        elif child.parts and all(self.book.parts[part].failed == BELOW_MINIMUM for part in child.parts):
            places = ", ".join(self.book.parts[part].part.place for part in child.parts)
            return (
                f"{child.child.qty.normalize():f} {child.child.base} is below the smallest order at {places}"
            )
        return self.too_small.get(parent.cl_ord_id, "")

    def _still_working(self, child: ChildOrder, record: PartRecord) -> Decimal:
        """What a part may still fill: all of a transaction until it is mined, what an exchange order has left while it is open."""
        if record.ended or (record.fills if record.on_chain else record.status in TERMINAL):
            return ZERO
        part = record.part
        asset, raw = (
            (part.asset_in, part.in_raw) if child.side is Side.SELL else (part.asset_out, part.out_raw)
        )
        with localcontext(WIDE):
            return max(Decimal(raw).scaleb(-self.decimals[asset]) - record.base_kept(), ZERO)

    def _least(self, parent: ParentOrder) -> Decimal:
        """Less than this is not worth another slice: the market's lot, or what the slippage allows of a purchase."""
        lot = self.lots.get(parent.intent.base, Decimal("0.000001"))
        if parent.side is Side.SELL:
            return lot
        with localcontext(WIDE):
            return max(lot, parent.qty * parent.intent.max_slippage_bps / 10_000)

    async def _px_now(self, parent: ParentOrder, qty: Decimal) -> Decimal | None:
        trial = slice_of(parent, -1, qty, parent.intent.expire_ns)
        self.too_small.pop(parent.cl_ord_id, None)
        try:
            view = await self.market.view(trial.base, trial.quote)
            return net_px(trial, self.market.route(view, trial), view)
        except (Denied, Reject, Retry) as none:
            if none.code == BELOW_MINIMUM:
                self.too_small[parent.cl_ord_id] = none.message
            return None

    async def wait_until(self, parent: ParentOrder, wake_ns: int | None) -> None:
        """Until then, or until the record tells something new since the step was asked for."""
        now = self.clock.now_ns()
        told = self.news[parent.cl_ord_id]
        if told.done():
            await asyncio.sleep(0)  # whoever it began has its turn first
            return
        wake = now + 50_000_000 if wake_ns is None else min(wake_ns, now + LOOK_AGAIN_NS)
        sleep = asyncio.ensure_future(self.clock.sleep(max((wake - now) / 1e9, 0.001)))
        try:
            await asyncio.wait((sleep, told), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleep.cancel()

    def closing(self, parent: ParentOrder, status: str) -> ParentClosed:
        self.news.pop(parent.cl_ord_id, None)
        filled, wanted = self.book.filled_base(parent.cl_ord_id), parent.qty
        why = self._why_failed(parent) if status == "FAILED" else WHY_ENDED[status]
        if status == "PARTLY_FILLED":
            why = f"{why}: {self._why_too_small(parent, self.book.leaves(parent.cl_ord_id))}"
        self.too_small.pop(parent.cl_ord_id, None)
        text = f"{filled.normalize():f} of {wanted.normalize():f} {parent.intent.base}: {why}"
        return ParentClosed(parent.cl_ord_id, status, text, self.clock.now_ns())

    def _why_failed(self, parent: ParentOrder) -> str:
        for name in reversed(self.book.parents[parent.cl_ord_id].children):
            child = self.book.children[name]
            if child.breach is not None:
                return "; ".join(reason.message for reason in child.breach.reasons)
            for part in child.parts:
                if self.book.parts[part].failed:
                    return f"{self.book.parts[part].part.place}: {self.book.parts[part].failed}"
        return "its slices were not filled"

    def attribute(self, parent: ParentOrder) -> Attributed:
        return attribute(self.book, parent.cl_ord_id, self.decimals, self.clock.now_ns())

    # ------------------------------------------------------------------ a child

    async def plan(self, child: ChildOrder) -> Planned | Breach:
        try:
            view = await self.market.view(child.base, child.quote)
            # How long the search took is no part of the story: equal events give equal journals.
            route = self.market.route(view, child)
            route = replace(route, took_ms=()) if route.took_ms else route
            plan = planned(child, route, view, self.clock.now_ns())
        except FairleadError as error:
            if error.verb == "HALT":
                raise
            return Breach(
                child.cl_ord_id, (BreachReason(error.code, error.message, error.hint),), self.clock.now_ns()
            )
        limit = child.limit_px
        if limit is not None and not child.rests:  # what rests waits for its price where it stands
            px = net_px(child, plan.route, view)
            if px < limit if child.side is Side.SELL else px > limit:
                reason = BreachReason(
                    "LIMIT", f"the net price is {px:.6f}, the limit {limit}", "wait, or move --limit"
                )
                return Breach(child.cl_ord_id, (reason,), self.clock.now_ns())
        self.views[child.cl_ord_id] = view
        return plan

    def prove(self, plan: Planned) -> Proved:
        """The certificate of a plan, sought when nothing waits for it any more."""
        child = plan.child
        found = self.market.proof(self.views.pop(child.cl_ord_id), child, plan.route)
        return Proved(child.cl_ord_id, found, self.clock.now_ns())

    async def review(self, plan: Planned) -> Approved | Breach:
        try:
            situation = await self.world.situation(plan, self.views[plan.child.cl_ord_id], self.book)
        except FairleadError as error:
            if error.verb == "HALT":
                raise
            reason = BreachReason(error.code, error.message, error.hint)
            self.views.pop(plan.child.cl_ord_id)
            return Breach(plan.child.cl_ord_id, (reason,), self.clock.now_ns())
        verdict = review(plan, self.limits, situation)
        if isinstance(verdict, Breach):
            self.views.pop(plan.child.cl_ord_id)
        return verdict

    # ------------------------------------------------------------------ a part

    async def prepare(self, part: Part, approved: Approved) -> Prepared:
        return await self.workshop.prepare(part, approved, self.views[part.child])

    async def simulate(self, prepared: Prepared, approved: Approved) -> Simulated | PartFailed:
        return await self.workshop.simulate(prepared, approved, self.views[prepared.part.child])
