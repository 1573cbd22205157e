"""At every exchange that tells its margin accounts and takes orders of contracts: what is told is what the exchange's own engine has, the least
reduction reaches the ratio there by that model's arithmetic, and the order that makes it so cannot turn the position round."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from deribit_rig import Signer as DeribitSigner
from deribit_rig import deribit_paper, deribit_session
from dydx_rig import ADDRESS, dydx_paper, dydx_session
from hyper_rig import hyper_paper, hyper_session
from hyper_server import ACCOUNT
from paper import KEY, Door
from usdm_rig import usdm_paper, usdm_session
from venue_rigs import AT_ANY_PRICE

from agent.app.testvenue.futures import FuturesEngine
from agent.app.watching.margins import judged_now
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder
from agent.margin.perps import PerpAccount, PerpRules, ratio_at
from agent.margin.reducing import Reduction, reduction, shrinkable
from agent.ports import HoldsPositions, TellsMargin

LOSS_BPS = 60
At = Callable[[], AbstractAsyncContextManager[tuple[Door, Any, str]]]


@asynccontextmanager
async def at_binance() -> AsyncIterator[tuple[Door, Any, str]]:
    async with usdm_paper() as door:
        yield door, usdm_session(door.url), KEY


@asynccontextmanager
async def at_dydx() -> AsyncIterator[tuple[Door, Any, str]]:
    async with dydx_paper() as door:
        yield door, dydx_session(door.url), ADDRESS


@asynccontextmanager
async def at_hyperliquid() -> AsyncIterator[tuple[Door, Any, str]]:
    async with hyper_paper(FuturesEngine) as door:
        yield door, hyper_session(door.url), ACCOUNT


@asynccontextmanager
async def at_deribit() -> AsyncIterator[tuple[Door, Any, str]]:
    async with deribit_paper(combos=False) as door:
        yield door, deribit_session(door.url, DeribitSigner(limit=AT_ANY_PRICE)), KEY


@pytest.fixture(
    params=[at_binance, at_dydx, at_hyperliquid, at_deribit],
    ids=["binance_usdm", "dydx", "hyperliquid", "deribit"],
)
def exchange(request: pytest.FixtureRequest) -> At:
    found: At = request.param
    return found


async def sent(venue: Any, number: int, side: Side, qty: str, px: str, *, reduces: bool = False) -> Decimal:
    """What was filled of an order that takes at once."""
    symbol = (await venue.instruments())[0].symbol
    name: Any = f"fl-margin-{number}"
    order = VenueOrder(
        name, symbol, side, OrdType.LIMIT, TimeInForce.IOC, Decimal(qty), Decimal(px), reduce_only=reduces
    )
    placed = await venue.submit(await venue.authorize(order))
    assert isinstance(placed.cum_qty, Decimal)
    return placed.cum_qty


async def told(venue: TellsMargin) -> tuple[PerpAccount, PerpRules, int]:
    """The one account there, and its ratio."""
    (judged,) = await judged_now(venue)
    assert judged.member is not None, judged.why
    shrinks = shrinkable(judged.member.model, judged.member.account)
    assert shrinks is not None
    account, rules = shrinks
    ratio = ratio_at(account, rules, {})
    assert ratio is not None and judged.health is not None and judged.health.health_1e18 is not None
    # What the chain rounds is taken against the account: a millionth at the most, never for it.
    assert 0 <= judged.health.health_1e18 - ratio < judged.health.health_1e18 // 10**6
    return account, rules, ratio


def least(account: PerpAccount, rules: PerpRules, lot: Decimal, target_1e18: int) -> Reduction:
    (position,) = account.positions
    found = reduction(account, rules, target_1e18, {position.asset: Fraction(lot)}, LOSS_BPS)
    assert found is not None
    return found


@pytest.mark.parametrize("side", [Side.SELL, Side.BUY])
async def test_the_least_that_reaches_the_ratio_there(exchange: At, side: Side) -> None:
    async with exchange() as (door, venue, key):
        await venue.start()
        try:
            assert all(j.health is not None and not j.health.liquidation_px for j in await judged_now(venue))
            px, back = ("2900", "3100") if side is Side.SELL else ("3100", "2900")
            assert await sent(venue, 1, side, "20", px) == 20
            account, rules, before = await told(venue)
            assert door.here is not None
            engine: Any = door.here.venue.engine
            (symbol,) = engine.specs
            (position,) = account.positions
            equity = engine.free[key, "USDC"] + engine.gain(key, symbol)
            assert abs(account.balance + position.profit(position.mark_px) - Fraction(equity)) < Fraction(
                1, 10**4
            )
            assert position.size == engine.position(key, symbol).qty and position.mark_px == engine.mark(
                symbol
            )
            target = before * 5 // 4
            (cut,) = least(account, rules, (await venue.instruments())[0].lot, target).cuts
            assert cut.buys is (side is Side.SELL) and 0 < cut.qty < 20
            qty = f"{Decimal(cut.qty.numerator) / Decimal(cut.qty.denominator):f}"
            other = Side.BUY if side is Side.SELL else Side.SELL
            assert await sent(venue, 2, other, qty, back, reduces=True) == Decimal(qty)
            left, *_ = await told(venue)
            # The order itself moved the mark: it was planned at the one before.
            after = ratio_at(left, rules, {position.asset: position.mark_px})
            assert after is not None and target <= after < target * 102 // 100, "that much, and no more"
            # An order that was planned on what is there no more closes what is left, and turns nothing round.
            assert await sent(venue, 3, other, "20", back, reduces=True) == 20 - Decimal(qty)
            assert isinstance(venue, HoldsPositions) and await venue.positions() == ()
        finally:
            await venue.close()


async def test_what_is_filled_in_part_while_the_price_moves_on_is_planned_anew(exchange: At) -> None:
    """The best bid takes a part; the market falls before the next look; what is still missing then is found from what is there, and is no more."""
    async with exchange() as (door, venue, _):
        await venue.start()
        try:
            market = (await venue.instruments())[0]
            assert await sent(venue, 1, Side.BUY, "20", "3100") == 20
            account, rules, before = await told(venue)
            target = before * 5 // 4
            (cut,) = least(account, rules, market.lot, target).cuts
            planned = Decimal(cut.qty.numerator) / Decimal(cut.qty.denominator)
            bid = (await venue.book(market.symbol)).bids[0][0]
            part = await sent(venue, 2, Side.SELL, f"{planned:f}", f"{bid:f}", reduces=True)
            assert 0 < part < planned
            await door.house("SELL", "2985", "8")
            account, rules, ratio = await told(venue)
            (position,) = account.positions
            assert position.size == Fraction(20) - Fraction(part) and ratio < target
            (rest,) = least(account, rules, market.lot, target).cuts
            assert rest.qty != cut.qty - Fraction(part), "not what was left of the old plan"
            qty = Decimal(rest.qty.numerator) / Decimal(rest.qty.denominator)
            assert await sent(venue, 3, Side.SELL, f"{qty:f}", "2900", reduces=True) == qty
            left, *_ = await told(venue)
            after = ratio_at(left, rules, {position.asset: position.mark_px})
            assert after is not None and target <= after < target * 102 // 100
            assert left.positions[0].size == Fraction(20) - Fraction(part) - rest.qty
        finally:
            await venue.close()
