"""A hedge at another place: a contract sold against what a liquidation would take, as large as its own account survives. Pure.

It raises no account's health: it earns what the coin loses from here on, so that what a liquidation takes is paid for elsewhere. Sizing
is in lots, downwards: never more than is exposed, than the limit, nor than the account there has margin for after a move against it by
`shock`, by that exchange's own rule. Every position that such a move hurts is moved with it, none that it helps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from agent.domain.orders import Side
from agent.domain.units import WIDE, div_up
from agent.margin.exchange import Position, Tier
from agent.margin.perps import PerpAccount, PerpRules, ratio_at

UNTOLD_RATE = Fraction(1, 10)
"""Maintenance of a contract whose tiers the exchange tells only with a position."""
WAD = 10**18


@dataclass(frozen=True, slots=True)
class Market:
    """The contract: `px` its middle, `spread_bps` what crossing half the spread takes, `funding_daily` what a long pays a day as a share of the
    notional, None where the exchange does not tell. `smallest` is the least an order is for."""

    asset: str
    px: Fraction
    lot: Fraction
    smallest: Fraction
    fee_bps: Fraction
    spread_bps: Fraction
    funding_daily: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Away:
    """`qty` of the `wanted` is hedged. `cost_usd`: fees and spread, in and out again. `funding_usd`: what is expected to be paid over the days,
    below zero where it is received; None where unknown. `ratio_1e18`: equity over maintenance there after the shock."""

    side: Side
    qty: Fraction
    wanted: Fraction
    notional: Fraction
    cost_usd: Decimal
    funding_usd: Decimal | None
    ratio_1e18: int | None
    bound_by: str


def opened(account: PerpAccount, market: Market, side: Side, qty: Fraction) -> PerpAccount:
    """The account once so much was traded at the middle, fee and spread lost."""
    signed = qty if side is Side.BUY else -qty
    lost = qty * market.px * (market.fee_bps + market.spread_bps) / 10_000
    cross = [p for p in account.positions if p.asset == market.asset and p.isolated is None]
    balance = account.balance - lost + sum((p.profit(market.px) for p in cross), Fraction(0))
    tiers = cross[0].tiers if cross else (Tier(Fraction(0), UNTOLD_RATE, Fraction(0)),)
    size = sum((p.size for p in cross), Fraction(0)) + signed
    held = Position(market.asset, size, market.px, market.px, tiers)
    others = tuple(p for p in account.positions if p not in cross)
    return PerpAccount(balance, (*others, held) if size else others)


def shocked(account: PerpAccount, side: Side, shock: Fraction) -> Mapping[str, Fraction]:
    """Prices after the move: up against what is short where the hedge is, down against what is long where that is."""
    if side is Side.SELL:
        return {p.asset: p.mark_px * (1 + shock) for p in account.positions if p.size < 0}
    return {p.asset: p.mark_px * max(1 - shock, Fraction(0)) for p in account.positions if p.size > 0}


def survives(
    account: PerpAccount, rules: PerpRules, market: Market, side: Side, qty: Fraction, shock: Fraction
) -> bool:
    ratio = after(account, rules, market, side, qty, shock)
    return ratio is None or ratio >= WAD


def after(
    account: PerpAccount, rules: PerpRules, market: Market, side: Side, qty: Fraction, shock: Fraction
) -> int | None:
    with_it = opened(account, market, side, qty)
    return ratio_at(with_it, rules, shocked(with_it, side, shock))


def away(
    account: PerpAccount,
    rules: PerpRules,
    market: Market,
    exposed: Fraction,
    most_usd: Fraction,
    shock: Fraction,
    days: int,
) -> Away | None:
    """`exposed` in units of the contract: above zero what falls with the price is hedged by a sale. None where no order is small enough."""
    side = Side.SELL if exposed > 0 else Side.BUY
    wanted = abs(exposed) // market.lot
    limited = min(wanted, most_usd // (market.px * market.lot))
    low, high = 0, int(limited) + 1
    while high - low > 1:
        middle = (low + high) // 2
        well = survives(account, rules, market, side, middle * market.lot, shock)
        low, high = (middle, high) if well else (low, middle)
    qty = low * market.lot
    if qty == 0 or qty < market.smallest:
        return None
    notional = qty * market.px
    bound = "the margin there" if low < limited else "hedge_most_usd" if limited < wanted else ""
    lost = notional * 2 * (market.fee_bps + market.spread_bps) / 10_000
    funding = None
    if market.funding_daily is not None:
        worth = div_up(Decimal(notional.numerator), Decimal(notional.denominator), 6)
        paid = WIDE.multiply(WIDE.multiply(worth, market.funding_daily), Decimal(days))
        funding = -paid if side is Side.SELL else paid
    return Away(
        side,
        qty,
        wanted * market.lot,
        notional,
        div_up(Decimal(lost.numerator), Decimal(lost.denominator), 6),
        funding,
        after(account, rules, market, side, qty, shock),
        bound,
    )
