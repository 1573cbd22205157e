"""A margin account at an exchange: how near its liquidation is, the least that its positions have to shrink, and that order on the one road.

An order to make a position smaller says so to the exchange itself (reduce-only), so that it can never turn the position round, whatever
became of it since. It is an order like any other: planned over the book, reviewed, signed, followed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import TYPE_CHECKING

from agent.algos.step import REDUCE_ONLY
from agent.app.cli.common import first_error
from agent.app.cli.output import note
from agent.app.intents import Request, check_max_loss
from agent.app.proposals import held_to_price, propose
from agent.app.settings_rescue import MarginRescueTable
from agent.app.watching.margins import judged_now
from agent.domain.errors import FairleadError, Reject, Retry, Usage
from agent.domain.ids import ClOrdId
from agent.domain.instruments import AssetId, cex_id
from agent.domain.orders import Side
from agent.domain.units import WIDE, div_up, raw_up
from agent.execution.desk import Desk
from agent.execution.spine import work
from agent.margin.accounts import Judged
from agent.margin.perps import PerpAccount, PerpModel, ratio_at
from agent.margin.reducing import Cut, Reduction, reduction
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
    model: PerpModel | None
    markets: Mapping[str, VenueInstrument]
    unnamed: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.judged.id

    @property
    def ratio_1e18(self) -> int | None:
        """Equity over maintenance margin; None where nothing is open. Judged also where nothing is made smaller here."""
        if self.account is None or self.model is None:
            return self.judged.health.health_1e18 if self.judged.health is not None else None
        return ratio_at(self.account, self.model.rules, {})

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
        if self.account is None or self.model is None:
            return None
        lots = {asset: Fraction(market.lot) for asset, market in self.markets.items()}
        loss = self.rule.max_slippage_bps + FEE_BPS
        return reduction(self.account, self.model.rules, raw_up(self.rule.target, 18), lots, loss)


async def exposed(app: App, rule: MarginRescueTable) -> list[Exposed]:
    """Every margin account there. Raises Usage NO_MARGIN where the exchange tells none, Retry where it does not answer."""
    venue = app.venues.get(rule.venue)
    if venue is None:
        why = app.unreachable.get(rule.venue, "")
        raise Usage("NO_MARGIN", f"{rule.venue} takes no orders here {why}".rstrip(), "see `fairlead doctor`")
    if not isinstance(venue, TellsMargin):
        raise Usage("NO_MARGIN", f"{rule.venue} tells no margin accounts here", "binance_usdm does")
    judged, instruments = await asyncio.gather(judged_now(venue), venue.instruments())
    traded = {
        str(asset): market
        for market in instruments
        if market.contract == "linear"
        and (asset := cex_id(rule.venue, market.symbol)) in app.directory.symbols
    }
    found = []
    for one in judged:
        account = one.member.account if one.member is not None else None
        model = one.member.model if one.member is not None else None
        if isinstance(account, PerpAccount) and isinstance(model, PerpModel):
            rows = [p.asset for p in account.positions]
            markets = {asset: traded[asset] for asset in rows if asset in traded}
            found.append(
                Exposed(rule, one, account, model, markets, tuple(a for a in rows if a not in traded))
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


async def reduce(app: App, desk: Desk, one: Exposed, cut: Cut, most_cost_usd: Decimal) -> ClOrdId:
    """The order, to its end, until it shows. Raises as `propose` and `shown`, Denied MAX_LOSS or RESCUE_OVER_LIMIT, Reject NOT_EXECUTED."""
    rule, place = one.rule, f"cex:{one.rule.venue}"
    if cut.notional > Fraction(rule.most_usd):
        worth = dollars_up(cut.notional)
        raise Reject(
            "RESCUE_OVER_LIMIT",
            f"{rule.name}: {words(app, one, cut)} is worth {worth:,}, most_usd is {rule.most_usd}",
            "raise margin_rescues.most_usd, or close it by hand",
        )
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
    try:
        await work(parent, desk)
    except BaseExceptionGroup as group:
        raise first_error(group) from None
    if desk.book.filled_base(parent.cl_ord_id):
        await shown(app, one, cut)
    closed = desk.book.parents[parent.cl_ord_id].closed
    if closed is None or closed.status != "FILLED":
        why = closed.why if closed is not None else "its story goes on"
        raise Reject("NOT_EXECUTED", f"{one.name}: the order {parent.cl_ord_id}: {why}", "it is planned anew")
    return parent.cl_ord_id


def trouble(error: FairleadError, rule: MarginRescueTable) -> str:
    return f"rescue {rule.name}: {error.message} → {error.hint or 'it is tried again'}"
