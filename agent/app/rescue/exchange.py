"""A margin account at an exchange: how near its liquidation is, the least that its positions have to shrink, and that order on the one road.

An order to make a position smaller says so to the exchange itself (reduce-only), so that it can never turn the position round, whatever
became of it since. It is an order like any other: planned over the book, reviewed, signed, followed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import TYPE_CHECKING

from agent.algos.step import REDUCE_ONLY
from agent.app.cli.common import first_error
from agent.app.cli.output import note
from agent.app.intents import Request, check_max_loss
from agent.app.jobs.budgets import Budgets
from agent.app.jobs.guard import budgets_of
from agent.app.proposals import held_to_price, propose
from agent.app.settings_rescue import MarginRescueTable
from agent.app.watching.margins import judged_now
from agent.domain.errors import Denied, FairleadError, Reject, Retry, Usage
from agent.domain.ids import ClOrdId
from agent.domain.instruments import AssetId, cex_id
from agent.domain.orders import Side
from agent.domain.units import WIDE, div_up, raw_up
from agent.execution.desk import Desk
from agent.execution.spine import work
from agent.journal.living import DAY_NS
from agent.margin.accounts import Judged
from agent.margin.perps import PerpAccount, PerpRules, ratio_at
from agent.margin.reducing import Cut, Reduction, reduction, shrinkable
from agent.ports import TellsMargin, VenueInstrument

if TYPE_CHECKING:
    from agent.app.wiring import App

FEE_BPS = 10
"""What closing is taken to cost besides slippage, until its plan tells."""
WAD = 10**18
LOOKS, LOOK_S = 10, 1.0
"""How often an exchange is asked until an order shows in its positions."""


@dataclass(frozen=True)
class Exposed:
    """One margin account as it was told. `markets` are its contracts that the settings name and the exchange trades, by asset; `unnamed` are
    the others."""

    rule: MarginRescueTable
    judged: Judged
    account: PerpAccount | None
    rules: PerpRules | None
    markets: Mapping[str, VenueInstrument]
    unnamed: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.judged.id

    @property
    def ratio_1e18(self) -> int | None:
        """Equity over maintenance margin; None where nothing is open. Judged also where nothing is made smaller here."""
        if self.account is None or self.rules is None:
            return self.judged.health.health_1e18 if self.judged.health is not None else None
        return ratio_at(self.account, self.rules, {})

    @property
    def hindrance(self) -> str:
        """Why no order reaches the target."""
        if self.account is None:
            return f"accounts of the kind {self.judged.model} are judged here, not made smaller"
        return ", ".join(self.unnamed) or "its own margin is isolated"

    def below(self, threshold: Decimal) -> bool:
        ratio = self.ratio_1e18
        return ratio is not None and ratio < raw_up(threshold, 18)

    def least(self) -> Reduction | None:
        """What restores the target; None where nothing that may be traded does."""
        if self.account is None or self.rules is None:
            return None
        lots = {asset: Fraction(market.lot) for asset, market in self.markets.items()}
        loss = self.rule.max_slippage_bps + FEE_BPS
        return reduction(self.account, self.rules, raw_up(self.rule.target, 18), lots, loss)


async def exposed(app: App, rule: MarginRescueTable) -> list[Exposed]:
    """Every margin account there. Raises Usage NO_MARGIN where the exchange tells none, Retry where it does not answer."""
    venue = app.venues.get(rule.venue)
    if venue is None:
        why = app.unreachable.get(rule.venue, "")
        raise Usage("NO_MARGIN", f"{rule.venue} takes no orders here {why}".rstrip(), "see `fairlead doctor`")
    if not isinstance(venue, TellsMargin):
        raise Usage(
            "NO_MARGIN",
            f"{rule.venue} tells no margin accounts here",
            "binance_usdm, deribit, dydx and hyperliquid do",
        )
    judged, instruments = await asyncio.gather(judged_now(venue), venue.instruments())
    traded = {
        str(asset): market
        for market in instruments
        if market.contract == "linear"
        and (asset := cex_id(rule.venue, market.symbol)) in app.directory.symbols
    }
    found = []
    for one in judged:
        shrinks = shrinkable(one.member.model, one.member.account) if one.member is not None else None
        if shrinks is not None:
            account, rules = shrinks
            rows = [p.asset for p in account.positions]
            markets = {asset: traded[asset] for asset in rows if asset in traded}
            found.append(
                Exposed(rule, one, account, rules, markets, tuple(a for a in rows if a not in traded))
            )
        else:
            found.append(Exposed(rule, one, None, None, {}, ()))
    return found


def source_of(rule: MarginRescueTable) -> str:
    """Whose order it is, as jobs are named."""
    return f"rescue:{rule.name}"


def in_flight(desk: Desk, rule: MarginRescueTable) -> ClOrdId | None:
    """The order of that rule that is not over."""
    mine = (r for r in desk.book.parents.values() if r.parent.intent.source == source_of(rule))
    return next((r.parent.cl_ord_id for r in mine if r.closed is None), None)


def words(app: App, one: Exposed, cut: Cut) -> str:
    """What an order does, as it would be typed."""
    symbol = app.directory.symbols.get(AssetId(cut.asset), cut.asset)
    return f"{'buy back' if cut.buys else 'sell'} {qty_of(cut):f} {symbol}, reduce-only"


def qty_of(cut: Cut) -> Decimal:
    """Exact: a number of lots, or all there is."""
    with localcontext(WIDE):
        return Decimal(cut.qty.numerator) / Decimal(cut.qty.denominator)


def size_of(one: Exposed, asset: str) -> Fraction:
    """Of the cross position; zero where none is open."""
    positions = one.account.positions if one.account is not None else ()
    return next((p.size for p in positions if p.asset == asset and p.isolated is None), Fraction(0))


async def shown(app: App, one: Exposed, cut: Cut) -> None:
    """Returns once the exchange tells another position than before the order: planned on the old one, it would be made smaller twice.
    Raises Retry MARGIN_NOT_SHOWN."""
    before = size_of(one, cut.asset)
    for look in range(LOOKS):
        if look:
            await app.clock.sleep(LOOK_S)
        told = [other for other in await exposed(app, one.rule) if other.name == one.name]
        if all(size_of(other, cut.asset) != before for other in told if other.account is not None):
            return
    text = f"{one.name}: an order of {cut.asset} was filled, and its position is told as before"
    raise Retry("MARGIN_NOT_SHOWN", text, "look at the exchange's own page; it is asked again")


def dollars_up(usd: Fraction) -> Decimal:
    """To the cent, for people."""
    return div_up(Decimal(usd.numerator), Decimal(usd.denominator), 2)


@dataclass(frozen=True)
class Made:
    """An order that was filled, and what of the planned one the rule's limits left undone."""

    cl_ord_id: ClOrdId
    cut: Cut
    undone: Cut | None


def budget_of(rule: MarginRescueTable) -> str:
    return f"margins:{rule.name}"


def allowed(one: Exposed, cut: Cut, room_usd: Decimal | None) -> Cut:
    """As many whole lots of it as one order may be worth, and the day has room for. Raises Reject RESCUE_OVER_LIMIT where that is none, or
    less than the exchange takes."""
    rule, market = one.rule, one.markets[cut.asset]
    most = rule.most_usd if room_usd is None else min(rule.most_usd, room_usd)
    if cut.notional <= Fraction(most):
        return cut
    px, lot = cut.notional / cut.qty, Fraction(market.lot)
    qty = max(Fraction(most), Fraction(0)) / px // lot * lot
    if qty == 0 or qty < Fraction(market.min_qty) or qty * px < Fraction(market.min_notional):
        day = "" if room_usd is None else f", and {room_usd:.2f} of per_day_usd is left"
        raise Reject(
            "RESCUE_OVER_LIMIT",
            f"{rule.name}: no order of {cut.asset} is small enough: most_usd is {rule.most_usd}{day}",
            "raise margin_rescues.most_usd or per_day_usd, or close it by hand",
        )
    return Cut(cut.asset, qty, cut.buys, qty * px)


@dataclass(frozen=True)
class _Day:
    """What orders of a rule came to within 24 hours, by all daemons. Each raises Retry JOBS_STORE."""

    desk: Desk
    rule: MarginRescueTable
    shared: Budgets

    def room_usd(self) -> Decimal:
        assert self.rule.per_day_usd is not None
        self.shared.settle(self.desk.book, budget_of(self.rule))
        since_ns = self.desk.clock.now_ns() - DAY_NS
        return WIDE.subtract(self.rule.per_day_usd, self.shared.counted_usd(budget_of(self.rule), since_ns))

    def reserve(self, name: ClOrdId, cut: Cut) -> None:
        """Raises Denied RESCUE_OVER_DAY."""
        assert self.rule.per_day_usd is not None
        now_ns = self.desk.clock.now_ns()
        worth = div_up(Decimal(cut.notional.numerator), Decimal(cut.notional.denominator), 6)
        room = self.shared.reserve(
            budget_of(self.rule), name, now_ns, worth, self.rule.per_day_usd, now_ns - DAY_NS
        )
        if room is None or not room.granted:
            before = Decimal(0) if room is None else room.counted_usd
            raise Denied(
                "RESCUE_OVER_DAY",
                f"{self.rule.name}: {worth:.2f} USD on top of {before:.2f} of the last 24 hours are more than per_day_usd ({self.rule.per_day_usd})",
                "raise margin_rescues.per_day_usd, or close it by hand",
            )

    def over(self) -> None:
        with suppress(Retry):  # settled before the next one else, and counted whole until then
            self.shared.settle(self.desk.book, budget_of(self.rule))


async def reduce(
    app: App, desk: Desk, one: Exposed, cut: Cut, most_cost_usd: Decimal, shared: Budgets | None = None
) -> Made:
    """The order, or as much of it as the rule's limits allow, to its end, until it shows. Raises as `allowed`, `propose` and `shown`, Denied
    MAX_LOSS or RESCUE_OVER_DAY, Reject NOT_EXECUTED."""
    rule, place, planned = one.rule, f"cex:{one.rule.venue}", cut
    day = _Day(desk, rule, shared or budgets_of(app.settings)) if rule.per_day_usd is not None else None
    cut = allowed(one, planned, day.room_usd() if day is not None else None)
    quote = next(
        s for a, s in app.directory.symbols.items() if a == cex_id(rule.venue, one.markets[cut.asset].quote)
    )
    request = Request(
        Side.BUY if cut.buys else Side.SELL,
        f"{app.directory.symbols[AssetId(cut.asset)]}@{place}",
        f"{quote}@{place}",
        qty_of(cut),
        None,
        "market",
        (REDUCE_ONLY,),
        rule.max_slippage_bps,
    )
    earlier = [r for r in desk.book.parents.values() if r.parent.intent.source == source_of(rule)]
    salt = f"{one.name} {len(earlier)}"
    now = desk.clock.now_ns()
    found = await propose(app, request, salt=salt, source=source_of(rule), created_ns=now, note=note)
    check_max_loss(found.preview, most_cost_usd)
    parent = held_to_price(found, request)
    if day is not None:
        day.reserve(parent.cl_ord_id, cut)
    try:
        await work(parent, desk)
    except BaseExceptionGroup as group:
        raise first_error(group) from None
    finally:
        if day is not None:
            day.over()
    if desk.book.filled_base(parent.cl_ord_id):
        await shown(app, one, cut)
    closed = desk.book.parents[parent.cl_ord_id].closed
    if closed is None or closed.status != "FILLED":
        why = closed.why if closed is not None else "its story goes on"
        raise Reject("NOT_EXECUTED", f"{one.name}: the order {parent.cl_ord_id}: {why}", "it is planned anew")
    left = planned.qty - cut.qty
    undone = Cut(cut.asset, left, cut.buys, planned.notional - cut.notional) if left else None
    return Made(parent.cl_ord_id, cut, undone)


def done_words(app: App, one: Exposed, made: Made) -> str:
    """What was done, by which order, and what the limits left."""
    told = f"{words(app, one, made.cut)} by the order {made.cl_ord_id}"
    if made.undone is None:
        return told
    limit = f"most_usd is {one.rule.most_usd}" + (
        f", per_day_usd {one.rule.per_day_usd}" if one.rule.per_day_usd is not None else ""
    )
    return f"{told}; still missing: {words(app, one, made.undone)} ({limit})"


def trouble(error: FairleadError, rule: MarginRescueTable) -> str:
    return f"rescue {rule.name}: {error.message} → {error.hint or 'it is tried again'}"
