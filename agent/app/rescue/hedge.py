"""A hedge at another exchange for an account that nothing brings back to health: what it would be, what stands, opened once, taken off again.

It pays nothing in and raises no health. What stands is told by the journal: the orders of the rule's own source, so that a restart opens
none beside it. An exchange that tells no such position any more has closed it, or its owner has (`HEDGE_GONE`): what is told of the rule
then begins anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import TYPE_CHECKING

from agent.algos.step import REDUCE_ONLY
from agent.app.cli.output import plain
from agent.app.intents import Request
from agent.app.rescue import orders
from agent.app.rescue.sight import Sight
from agent.app.settings_rescue import MarginRescueTable, RescueTable
from agent.app.watching.margins import judged_now
from agent.domain.errors import Denied, FairleadError, Reject, Retry, Usage
from agent.domain.ids import ClOrdId
from agent.domain.instruments import AssetId, cex_id
from agent.domain.orders import Side
from agent.domain.units import WIDE
from agent.execution.desk import Desk
from agent.hedging.elsewhere import Away, Market, away
from agent.margin.lost import lost
from agent.margin.perps import PerpAccount, PerpRules
from agent.margin.reducing import shrinkable
from agent.margin.shocks import coin_of
from agent.margin.worths import worth_usd
from agent.ports import HoldsPositions, TellsFunding, TellsMargin, VenueInstrument

if TYPE_CHECKING:
    from agent.app.rescue.exchange import Exposed
    from agent.app.wiring import App
    from agent.journal.book import Book

Rule = RescueTable | MarginRescueTable
DAY_NS = 86_400 * 10**9
FUNDING_DAYS = 3
"""Over how many days funding is averaged."""
LOOKS, LOOK_S = 10, 1.0
GONE, REMOVED = "HEDGE_GONE", "HEDGE_REMOVED"


@dataclass(frozen=True)
class Crisis:
    """An account in trouble: what its liquidation would take of the coin now, in USD; below zero where it is short of it."""

    rule: Rule
    account: str
    exposed_usd: Decimal


@dataclass(frozen=True)
class Offer:
    """What the hedge would be; `market` is the contract's own."""

    crisis: Crisis
    market: VenueInstrument
    found: Away
    smallest: Fraction


def source_of(rule: Rule) -> str:
    """Whose orders they are, as jobs are named."""
    return f"hedge:{rule.name}"


def coin(rule: Rule) -> str:
    return coin_of(rule.hedge_of or (rule.hedge_with or "").partition("-")[0])


def of_loan(sight: Sight, time_s: int) -> Crisis:
    """What liquidators would take of a lending account's collateral that is the coin's, by the protocol's prices."""
    one, unit = sight.one, sight.unit_usd
    if one.account is None or unit is None:
        return Crisis(sight.rule, sight.name, Decimal(0))
    falling = [asset for asset, symbol in one.symbols.items() if coin_of(symbol) == coin(sight.rule)]
    try:
        taken = lost(one.engine, one.account, time_s, falling)
    except ArithmeticError:  # the protocol itself computes nothing there
        return Crisis(sight.rule, sight.name, Decimal(0))
    with localcontext(WIDE):
        usd = sum((worth_usd(one.account, a, raw, unit) for a, raw in taken.items()), Decimal(0))
    return Crisis(sight.rule, sight.name, usd)


def of_margin(app: App, one: Exposed) -> Crisis:
    """All that is open of the coin: an exchange liquidates a cross account whole."""
    found = Fraction(0)
    for p in one.account.positions if one.account is not None else ():
        symbol = app.directory.symbols.get(AssetId(p.asset), p.asset.partition("/")[2])
        if coin_of(symbol) == coin(one.rule):
            found += p.size * p.mark_px
    with localcontext(WIDE):
        return Crisis(one.rule, one.name, Decimal(found.numerator) / Decimal(found.denominator))


# what stands


def stands(book: Book, rule: Rule) -> Decimal:
    """Contracts held for it by the journal: below zero sold short."""
    total = Decimal(0)
    for record in book.parents.values():
        if record.parent.intent.source == source_of(rule) and record.accepted_ns > _gone_ns(book, rule):
            filled = book.filled_base(record.parent.cl_ord_id)
            total = WIDE.add(total, filled if record.parent.side is Side.BUY else -filled)
    return total


def _gone_ns(book: Book, rule: Rule) -> int:
    told = [a.at_ns for a in book.alarms if a.code == GONE and a.message.startswith(f"{rule.name}: ")]
    return max(told, default=0)


def lacks(book: Book, rule: Rule) -> Decimal:
    """What the order that opened it was for and did not get; 0 where all was done, or nothing stands."""
    left = Decimal(0)
    total = Decimal(0)
    for record in book.parents.values():
        if record.parent.intent.source != source_of(rule) or record.accepted_ns <= _gone_ns(book, rule):
            continue
        filled = book.filled_base(record.parent.cl_ord_id)
        reduces = REDUCE_ONLY in record.parent.intent.algo_params
        left = Decimal(0) if reduces else WIDE.subtract(record.parent.qty, filled)
        total = WIDE.add(total, filled if record.parent.side is Side.BUY else -filled)
    return left if total else Decimal(0)


def taken_off_untold(book: Book, rule: Rule) -> bool:
    """Whether its last order took it off and nobody was told: the process died meanwhile."""
    mine = [r for r in book.parents.values() if r.parent.intent.source == source_of(rule)]
    if not mine or REDUCE_ONLY not in mine[-1].parent.intent.algo_params or mine[-1].closed is None:
        return False
    told = [
        a.at_ns for a in book.alarms if a.code in (GONE, REMOVED) and a.message.startswith(f"{rule.name}: ")
    ]
    return max(told, default=0) < mine[-1].accepted_ns and not stands(book, rule)


def stands_words(rule: Rule, qty: Decimal) -> str:
    way = "short" if qty < 0 else "long"
    return f"{way} {plain(abs(qty))} {rule.hedge_with} at {rule.hedge_at}"


# what it would be


async def offered(app: App, crisis: Crisis) -> Offer:
    """Raises Denied HEDGE_NOTHING, HEDGE_TOO_LARGE or HEDGE_CONTRACT, Usage NO_MARGIN, Retry where the exchange does not answer or its account
    cannot be told."""
    rule = crisis.rule
    assert rule.hedge_at is not None and rule.hedge_with is not None
    venue = app.venues.get(rule.hedge_at)
    if venue is None:
        why = app.unreachable.get(rule.hedge_at, "")
        raise Retry(
            "HEDGE_VENUE", f"{rule.hedge_at} takes no orders here {why}".rstrip(), "`fairlead doctor`"
        )
    if not isinstance(venue, TellsMargin):
        raise Usage("NO_MARGIN", f"{rule.hedge_at} tells no margin accounts here", "hedge at one that does")
    market = _market(app, rule, await venue.instruments())
    book = await venue.book(market.symbol)
    if not book.bids or not book.asks:
        raise Retry("NO_MARKET", f"{rule.hedge_at}: a side of {market.symbol} is empty", "it is asked again")
    bid, ask = Fraction(book.bids[0][0]), Fraction(book.asks[0][0])
    px = (bid + ask) / 2
    account, rules = await _account(app, rule, market)
    exposed = Fraction(crisis.exposed_usd) / px
    if exposed == 0:
        raise Denied(
            "HEDGE_NOTHING",
            f"{crisis.account}: no fall of {coin(rule)} alone has it liquidated",
            "hedge_of says which coin the contract is of",
        )
    smallest = max(Fraction(market.min_qty), Fraction(market.min_notional) / bid)
    told = Market(
        cex_id(rule.hedge_at, market.symbol),
        px,
        Fraction(market.lot),
        smallest,
        Fraction(market.taker_fee_bps),
        (ask - bid) / px / 2 * 10_000,
        await _funding(app, rule, market),
    )
    shock, most = Fraction(rule.hedge_shock), Fraction(rule.hedge_most_usd)
    found = away(account, rules, told, exposed, most, shock, int(rule.hedge_days))
    if found is None:
        raise Denied(
            "HEDGE_TOO_LARGE",
            f"{rule.hedge_at} has no margin for the least order of {market.symbol} after a move of {plain(rule.hedge_shock * 100)} % against it, "
            f"or hedge_most_usd ({rule.hedge_most_usd}) is below it",
            f"bring margin to {rule.hedge_at}, or raise hedge_most_usd",
        )
    return Offer(crisis, market, found, smallest)


def _market(app: App, rule: Rule, listed: object) -> VenueInstrument:
    for market in listed:  # type: ignore[attr-defined]
        assert isinstance(market, VenueInstrument)
        asset = AssetId(cex_id(rule.hedge_at or "", market.symbol))
        if app.directory.symbols.get(asset) == rule.hedge_with and market.contract == "linear":
            return market
    raise Denied(
        "HEDGE_CONTRACT",
        f"{rule.hedge_at} lists no linear contract that [assets] calls {rule.hedge_with}",
        "correct hedge_with, or [assets]",
    )


async def _account(app: App, rule: Rule, market: VenueInstrument) -> tuple[PerpAccount, PerpRules]:
    """The account there that the contract settles in; where nothing is open in it, its dollars alone. Raises Retry HEDGE_UNKNOWN."""
    venue = app.venues[rule.hedge_at or ""]
    assert isinstance(venue, TellsMargin)
    judged, balances, listed = await asyncio.gather(judged_now(venue), venue.balances(), venue.instruments())
    settles = {str(cex_id(venue.name, one.symbol)): one.quote for one in listed}
    for one in judged:
        if one.member is None:
            raise Retry(
                "HEDGE_UNKNOWN", f"{one.id}: its margin cannot be told: {one.why}", "`fairlead health`"
            )
        shrinks = shrinkable(one.member.model, one.member.account)
        if shrinks is None:
            raise Retry(
                "HEDGE_UNKNOWN",
                f"{one.id}: accounts of the kind {one.model} are not hedged in",
                "hedge elsewhere",
            )
        if any(settles.get(p.asset) == market.quote for p in shrinks[0].positions):
            return shrinks
    held = [b for b in balances if b.asset == cex_id(venue.name, market.quote)]
    cash = sum((Fraction(b.free) + Fraction(b.locked) for b in held), Fraction(0))
    return PerpAccount(cash, ()), PerpRules(at_equality=True)


async def _funding(app: App, rule: Rule, market: VenueInstrument) -> Decimal | None:
    """What a long paid a day as a share of the notional, on average; None where the exchange does not tell."""
    venue = app.venues[rule.hedge_at or ""]
    if not isinstance(venue, TellsFunding):
        return None
    since_ns = app.clock.now_ns() - FUNDING_DAYS * DAY_NS
    try:
        rates = await venue.funding(market.symbol, since_ns)
    except (Retry, Reject):
        return None
    if not rates:
        return None
    with localcontext(WIDE):
        return sum((rate for _, rate in rates), Decimal(0)) / FUNDING_DAYS


# what is done


async def open_one(
    app: App,
    desk: Desk,
    offer: Offer,
    most_cost_usd: Decimal,
    begins: Callable[[ClOrdId], None] | None = None,
) -> Decimal:
    """What stands then; `begins` may raise where its order may not be recorded. Raises as `orders.carried`, Denied HEDGE_TOO_DEAR, Reject NOT_EXECUTED."""
    rule, found = offer.crisis.rule, offer.found
    if found.cost_usd > most_cost_usd:
        raise Denied(
            "HEDGE_TOO_DEAR",
            f"{rule.name}: the hedge would cost up to {found.cost_usd:.2f} USD, most_cost_usd is {most_cost_usd}",
            "raise most_cost_usd, or make hedge_most_usd smaller",
        )
    qty, missing = _decimal(found.qty), lacks(desk.book, rule)
    return await _sent(
        app,
        desk,
        offer.crisis.account,
        rule,
        offer.market,
        found.side,
        min(qty, missing or qty),
        (),
        most_cost_usd,
        begins,
    )


async def close_one(app: App, desk: Desk, rule: Rule, account: str, most_cost_usd: Decimal) -> Decimal:
    """By a reduce-only order of what stands, or of less where the exchange tells less. Raises as `orders.carried`, Reject NOT_EXECUTED, and
    HEDGE_GONE where nothing is told of it any more, or less than an order is for."""
    venue, held = app.venues.get(rule.hedge_at or ""), stands(desk.book, rule)
    if venue is None or not isinstance(venue, HoldsPositions):
        raise Retry("HEDGE_VENUE", f"{rule.hedge_at} takes no orders here", "`fairlead doctor`")
    market = _market(app, rule, await venue.instruments())
    there = sum(
        (p.qty for p in await venue.positions() if p.asset == cex_id(venue.name, market.base)), Decimal(0)
    )
    if there * held <= 0:
        raise Reject(
            GONE,
            f"{rule.name}: {rule.hedge_at} tells no hedge of {account} any more: it was closed there",
            "nothing is left to be taken off",
        )
    side = Side.BUY if held < 0 else Side.SELL
    qty, px = min(abs(held), abs(there)), (await venue.book(market.symbol)).asks
    if qty < market.min_qty or (px and WIDE.multiply(qty, px[0][0]) < market.min_notional):
        raise Reject(
            GONE,
            f"{rule.name}: what is left of the hedge of {account}, {plain(qty)} {rule.hedge_with}, is less than {rule.hedge_at} takes an order for",
            "close it by hand",
        )
    return await _sent(app, desk, account, rule, market, side, qty, (REDUCE_ONLY,), most_cost_usd)


async def _sent(
    app: App,
    desk: Desk,
    account: str,
    rule: Rule,
    market: VenueInstrument,
    side: Side,
    qty: Decimal,
    terms: tuple[tuple[str, str], ...],
    most_cost_usd: Decimal,
    begins: Callable[[ClOrdId], None] | None = None,
) -> Decimal:
    base, quote = orders.pair(app, rule.hedge_at or "", market)
    request = Request(side, base, quote, qty, None, "market", terms, rule.max_slippage_bps)
    name = await orders.carried(app, desk, request, account, source_of(rule), most_cost_usd, begins)
    filled = desk.book.filled_base(name)
    if not filled:
        closed = desk.book.parents[name].closed
        why = closed.why if closed is not None else "its story goes on"
        raise Reject("NOT_EXECUTED", f"{rule.name}: the order {name}: {why}", "it is planned anew")
    return stands(desk.book, rule)


def _decimal(value: Fraction) -> Decimal:
    with localcontext(WIDE):
        return Decimal(value.numerator) / Decimal(value.denominator)


def words(offer: Offer) -> str:
    """What it does and what it is, as it would be typed, and what it costs."""
    rule, found = offer.crisis.rule, offer.found
    part = "" if not found.bound_by else f" of {plain(_decimal(found.wanted))}"
    bound = "" if not found.bound_by else f" (bound by {found.bound_by})"
    does = f"{found.side.value.lower()} {plain(_decimal(found.qty))}{part} {rule.hedge_with} at {rule.hedge_at}{bound}"
    funding = "funding untold" if found.funding_usd is None else _funding_words(found.funding_usd, rule)
    left = "none" if found.ratio_1e18 is None else plain(round(Decimal(found.ratio_1e18).scaleb(-18), 4))
    return (
        f"hedge, which raises no health: {does}; fee and spread in and out {found.cost_usd:.2f} USD, {funding}; equity over maintenance "
        f"there after {plain(rule.hedge_shock * 100)} % against it: {left}"
    )


def _funding_words(usd: Decimal, rule: Rule) -> str:
    does = "to be paid" if usd > 0 else "to be received"
    return f"funding of {abs(usd):.2f} USD {does} over {rule.hedge_days} days"


def trouble(rule: Rule, error: FairleadError) -> str:
    return f"{rule.name}: the hedge at {rule.hedge_at}: {error.message} → {error.hint or 'it is tried again'}"
