"""The desk and a contract: planned over its book, sold short with the margin there is, held to the last digit as the fills say, and the
leg of a hedge that the coins themselves cannot be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dydx_rig import dydx_paper, dydx_session
from hypothesis import given
from hypothesis import strategies as st
from planned_contracts import PERP, USDC, Desk, known, settings
from settings_values import values
from usdm_rig import usdm_paper, usdm_session

from agent.app import template
from agent.app.comparison import unnamed_positions
from agent.app.contracts import as_holdings, spendable_down
from agent.app.jobs.carry import carry_of
from agent.app.jobs.facts import held
from agent.app.jobs.hedging import hedge_request
from agent.app.places import directory
from agent.app.settings import parse
from agent.app.settings_jobs import HedgeJob
from agent.app.testvenue.futures import futures_of
from agent.app.watching.margins import judged_now
from agent.domain.errors import Denied
from agent.domain.instruments import AssetId, Place
from agent.domain.orders import Side
from agent.domain.reports import Balance, Position
from agent.domain.risk import OraclePrice
from agent.domain.units import raw_down
from agent.hedging import carry, delta
from agent.hedging.policy import State
from agent.journal.book import Book
from agent.transport.clock import SystemClock
from agent.venues.binance_usdm import BinanceUsdm

D = Decimal
DYDX = AssetId("cex:paper/ETH-USD")


KNOWN = known(PERP)


SETTINGS = settings(PERP)


@asynccontextmanager
async def desk() -> AsyncIterator[Desk]:
    async with usdm_paper() as door:
        venue = usdm_session(door.url)
        await venue.start()
        try:
            yield Desk(venue)
        finally:
            await venue.close()


async def test_a_short_is_planned_sent_booked_and_closed_and_both_books_agree_at_every_step() -> None:
    async with desk() as one:
        await one.trade(Side.SELL, "2")
        assert one.booked[PERP] == -2 and await one.there() == one.booked
        (market,) = await one.venue.instruments()
        assert (market.contract, market.taker_fee_bps) == ("linear", 10)  # this account's own rate
        place = Place("cex:paper")
        assert await unnamed_positions(one.venue, place, KNOWN.assets) == []
        (strange,) = await unnamed_positions(one.venue, place, {USDC})
        assert strange.kind == "position" and "-2 ETHUSDC" in strange.what and not strange.explained
        await one.trade(Side.BUY, "0.5")
        await one.trade(Side.SELL, "1.25")
        assert one.booked[PERP] == D("-2.75") and await one.there() == one.booked
        await one.trade(Side.BUY, "4")  # through zero: long from here
        assert one.booked[PERP] == D("1.25") and await one.there() == one.booked
        await one.trade(Side.SELL, "1.25")
        assert one.booked[PERP] == 0 and await one.there() == one.booked


async def test_at_a_chain_of_its_own_both_books_agree_at_every_step_as_well() -> None:
    """dYdX tells prices of entry to some places only: what positions cost cancels out of what is held."""
    async with dydx_paper() as door:
        venue = dydx_session(door.url)
        await venue.start()
        try:
            one = Desk(venue, DYDX)
            for side, qty in ((Side.SELL, "2"), (Side.BUY, "0.5"), (Side.BUY, "4"), (Side.SELL, "2.5")):
                await door.fault("account", "partial", count=2)  # half of an answer costs a plan a moment
                await one.trade(side, qty)
                assert await one.there() == one.booked
            assert one.booked[DYDX] == 0
        finally:
            await venue.close()


async def test_a_hedge_sells_the_contract_where_coins_elsewhere_are_to_count_for_nothing() -> None:
    async with desk() as one:
        given = {"base": "ETH", "instrument": "ETH-PERP", "quote": "USDC", "risk_aversion": "0.001", "cost_bps": "5"}  # fmt: skip
        delta.check(given)
        app: Any = SimpleNamespace(settings=SETTINGS, chains={}, venues={"paper": one.venue}, directory=KNOWN, unreachable={}, pretended={})  # fmt: skip
        px = {"ETH": D(3000), "USDC": D(1)}
        for _ in range(2):
            there = await held(app, ["ETH-PERP"], "USDC")
            decided = delta.decide(given, State(0, px, {"ETH": D(3), **there}))
            if not decided.wishes:
                break
            (wish,) = decided.wishes
            assert (wish.side, wish.base) == (Side.SELL, "ETH-PERP") and 0 < wish.qty <= 3
            qty = wish.qty - wish.qty % D("0.0001")
            await one.trade(wish.side, f"{qty:f}")
        assert not decided.wishes and one.booked[PERP] < D("-2.9"), decided.why


CARRY = HedgeJob.model_validate({"name": "basis", "every": "5m", "hedge": "carry", "algo": "market"})


def job_app(venue: BinanceUsdm) -> Any:
    """What a job's fire sees of the world: this exchange, two sources of each price, and no chain."""
    feed = {"kind": "chainlink", "chain": "ethereum", "address": f"0x{'5' * 40}"}
    changed = values(oracles__USDC=[feed, feed | {"chain": "base"}])
    changed["assets"] |= {"ETH-PERP": ["cex:paper/ETHUSDC"]}
    changed["venues"][0] |= {"module": "binance_usdm"}
    path = Path("/nowhere/fairlead.toml")
    settings = parse(template.render(changed, path), path).settings
    now_s = SystemClock().now_ns() // 10**9

    async def prices() -> tuple[OraclePrice, ...]:
        told = {"ETH": D(3_000), "USDC": D(1)}
        return tuple(
            OraclePrice(source, name, px, now_s) for name, px in told.items() for source in ("a", "b")
        )

    return SimpleNamespace(
        settings=settings, directory=directory(settings, {}), venues={"paper": venue}, chains={}, unreachable={}, pretended={},
        clock=SystemClock(), oracles=SimpleNamespace(prices=prices),
    )  # fmt: skip


async def test_a_carry_is_told_what_its_exchange_pays_and_how_near_its_short_is_to_liquidation() -> None:
    given = {
        "base": "ETH", "instrument": "ETH-PERP", "quote": "USDC", "size": "6", "tranche": "3", "keep": "0", "enter": "5", "cost_bps": "20",
    }  # fmt: skip
    carry.check(given)
    hour_ms = 3_600_000
    async with usdm_paper() as door:
        venue = usdm_session(door.url)
        await venue.start()
        one = Desk(venue)
        app: Any = SimpleNamespace(venues={"paper": venue}, directory=KNOWN, clock=SystemClock())
        assert door.here is not None
        engine, now_ms = futures_of(door.here.venue.engine), SystemClock().now_ns() // 10**6
        with pytest.raises(Denied) as untold:
            await carry_of(app, given)
        assert untold.value.code == "FUNDING_UNKNOWN"
        for n in range(9, 0, -1):
            engine.fund("ETHUSDC", D("0.0001"), now_ms - n * 8 * hour_ms + 60_000)
        engine.fund("ETHUSDC", D("9"), now_ms - 100 * hour_ms)  # before the hours that are asked about
        told = await carry_of(app, given)
        assert told is not None and told.room is None
        assert told.yearly == 9 * D("0.0001") * 8_760 / 72
        px, holds = {"ETH": D(3_000), "USDC": D(1)}, {"ETH": D(0), "ETH-PERP": D(0), "USDC": D(90_000)}
        (wish,) = carry.decide(given, State(0, px, holds, carry=told)).wishes
        assert (wish.side, wish.base, wish.qty) == (Side.SELL, "ETH-PERP", D(3))
        asked, why = await hedge_request(
            job_app(venue),
            CARRY.model_copy(update={"hedge_with": given | {"keep": "50"}}),
            Book(),
            "job:basis",
        )
        assert asked is not None and (asked.side, asked.base, asked.quote, asked.qty) == (
            Side.SELL,
            "ETH-PERP",
            "USDC",
            D(3),
        ), why
        await one.trade(wish.side, "3")
        told = await carry_of(app, given)
        assert told is not None and told.room is not None and told.room > 1
        (account,) = await judged_now(venue)
        assert account.member is not None
        there, here = (
            account.member.factor({PERP: 1 + Fraction(told.room) - Fraction(n, 10**6)}) for n in (0, 1)
        )
        assert there is not None and here is not None and there < 10**18 <= here, "to a millionth"
        before, total = (await one.there())[USDC], engine.total("USDC")
        engine.fund("ETHUSDC", D("0.001"), now_ms)
        paid = (await one.there())[USDC] - before
        assert D(0) <= 3 * engine.mark("ETHUSDC") * D("0.001") - paid < D("1e-7"), "a short is paid"
        assert engine.total("USDC") == total, (
            "by those who are long, and the exchange keeps what rounding leaves"
        )
        await venue.close()


@given(
    wallet=st.decimals(0, 10**6, places=2),
    qty=st.decimals(-500, 500, places=4),
    entry=st.decimals(100, 9_000, places=2),
    ask=st.decimals(100, 9_000, places=2),
    margin=st.decimals(0, 10**6, places=2),
)
def test_no_order_makes_a_position_larger_than_the_account_is_worth_or_has_margin_for(
    wallet: Decimal, qty: Decimal, entry: Decimal, ask: Decimal, margin: Decimal
) -> None:
    free = min(wallet, margin)
    position = Position("ETHUSDC", PERP, qty, qty * entry, entry, ask, USDC)
    told = as_holdings([Balance(USDC, free, wallet - free)], [position] if qty else [], KNOWN.assets)
    held_now = {b.asset: b for b in told}
    worth = wallet + qty * (ask - entry)
    assert sum((b.free + b.locked) * (ask if b.asset == PERP else 1) for b in told) == worth
    sold, spent = spendable_down(held_now, PERP, USDC, ask)
    assert sold >= max(qty, D(0)) and spent >= 0
    tiny = D("1e-9")
    for after in (qty - sold, qty + spent / ask):
        assert abs(after) * ask <= max(worth, abs(qty) * ask, D(0)) + tiny
        added = abs(after) - abs(qty) if after * qty > 0 else abs(after)
        assert added * ask <= free + tiny
    assert raw_down(sold, 8) >= 0
    # what the settings do not name stays what it is: a wallet, and no contract
    assert as_holdings([Balance(USDC, wallet)], [position], {USDC}) == [Balance(USDC, wallet)]
