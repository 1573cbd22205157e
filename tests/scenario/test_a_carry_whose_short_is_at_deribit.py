"""`--hedge carry` with the short at Deribit: paid by its hourly funding, its margin account watched, both legs ended when the funding turns."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from deribit_rig import DATED, PERPETUAL, deribit_paper, deribit_session
from paper import Door
from planned_contracts import Desk, known
from settings_values import values

from agent.app import template
from agent.app.contracts import as_holdings
from agent.app.job_checks import job_problems
from agent.app.jobs.carry import carry_of
from agent.app.jobs.facts import held
from agent.app.settings import parse
from agent.app.settings_jobs import HedgeJob
from agent.app.testvenue.futures import futures_of
from agent.app.watching.margins import judged_now
from agent.domain.errors import Denied, Usage
from agent.domain.instruments import AssetId
from agent.domain.orders import Side
from agent.domain.reports import Balance
from agent.hedging import carry
from agent.hedging.policy import State
from agent.margin.model import State as Is
from agent.transport.clock import SystemClock
from agent.venues.deribit import Deribit, codec
from agent.venues.deribit.margin import document, refused

D = Decimal
PERP = AssetId(f"cex:paper/{PERPETUAL}")
GIVEN = {
    "base": "ETH", "instrument": "ETH-PERP", "quote": "USDC", "size": "6", "tranche": "3", "keep": "0", "enter": "5", "cost_bps": "20",
    "hours": "24", "step": "0.1",
}  # fmt: skip
HOUR_MS, SYMBOL = 3_600_000, "ETHUSDC"
INVERSE_ROW = {
    "kind": "future", "instrument_name": "BTC-PERPETUAL", "instrument_type": "reversed", "base_currency": "BTC", "quote_currency": "USD",
    "settlement_currency": "BTC", "tick_size": "0.5", "contract_size": "10", "min_trade_amount": "10", "maker_commission": "0",
    "taker_commission": "0.0005",
}  # fmt: skip
PX = {"ETH": D(3_000), "USDC": D(1)}


@asynccontextmanager
async def there() -> AsyncIterator[tuple[Door, Deribit, Any, Any]]:
    async with deribit_paper() as door:
        venue = deribit_session(door.url)
        await venue.start()
        try:
            names = known(PERP)
            configured: Any = SimpleNamespace(symbols=(PERPETUAL,))
            app: Any = SimpleNamespace(
                venues={"paper": venue}, directory=names, clock=SystemClock(), chains={}, unreachable={}, pretended={},
                settings=SimpleNamespace(chains=(), venue=lambda name: configured),
            )  # fmt: skip
            assert door.here is not None
            yield door, venue, app, futures_of(door.here.venue.engine)
        finally:
            await venue.close()


def paid(engine: Any, rate: str, hours: int = 24) -> None:
    """Every hour of the last ones, and one long before them."""
    now_ms = SystemClock().now_ns() // 10**6
    engine.funding[SYMBOL] = []
    engine.fund(SYMBOL, D(9), now_ms - 100 * HOUR_MS)
    for n in range(hours, 0, -1):
        engine.fund(SYMBOL, D(rate), now_ms - n * HOUR_MS + 60_000)


async def decided(app: Any, engine: Any, long: str) -> Any:
    """What the carry wishes for where so much of the coin is held elsewhere."""
    short = await held(app, ["ETH-PERP"], "USDC")
    state = State(0, PX, {"ETH": D(long), **short, "USDC": D(90_000)}, carry=await carry_of(app, GIVEN))
    return carry.decide(GIVEN, state).wishes


async def test_it_is_begun_held_and_ended_when_the_funding_turns() -> None:
    carry.check(GIVEN)
    async with there() as (_, venue, app, engine):
        with pytest.raises(Denied) as untold:
            await carry_of(app, GIVEN)
        assert untold.value.code == "FUNDING_UNKNOWN"
        paid(engine, "0.00005")
        told = await carry_of(app, GIVEN)
        assert told is not None and told.room is None and told.yearly == D("0.00005") * 8_760
        one, long = Desk(venue, PERP), D(0)
        for _ in range(5):  # by tranches, the short first: never more than one apart
            wishes = await decided(app, engine, str(long))
            if not wishes:
                break
            (wish,) = wishes
            assert wish.qty == 3
            if wish.base == "ETH":
                long += wish.qty if wish.side is Side.BUY else -wish.qty
            else:
                assert wish.side is Side.SELL
                await one.trade(wish.side, f"{wish.qty:f}")
            assert abs(long + (await one.there())[PERP]) <= 3
        assert long == 6 and (await one.there())[PERP] == -6
        assert await one.there() == one.booked
        told = await carry_of(app, GIVEN)
        assert told is not None and told.room is not None and 0 < told.room
        (account,) = await judged_now(venue)
        assert account.member is not None and (account.model, account.state) == ("deribit_sm", Is.SAFE)
        safe, lost = (
            account.member.factor({PERP: 1 + Fraction(told.room) + Fraction(n, 10**6)}) for n in (-1, 1)
        )
        assert safe is not None and lost is not None and lost < 10**18 <= safe, "to a millionth"
        paid(engine, "-0.00001")
        for _ in range(5):
            wishes = await decided(app, engine, str(long))
            if not wishes:
                break
            (wish,) = wishes
            if wish.base == "ETH":
                assert wish.side is Side.SELL
                long -= wish.qty
            else:
                assert wish.side is Side.BUY
                await one.trade(wish.side, f"{wish.qty:f}")
        assert long == 0 and (await one.there())[PERP] == 0


async def test_an_account_near_its_liquidation_has_less_of_it_and_one_that_is_not_known_none() -> None:
    async with there() as (door, venue, app, engine):
        paid(engine, "0.00005")
        one = Desk(venue, PERP)
        await one.trade(Side.SELL, "6")
        key = next(iter(door.here.venue.accounts)) if door.here is not None else ""
        # All but two thousand dollars are taken out by hand: a rise of 10 % is as much as it bears.
        engine.free[key, "USDC"] = engine.position(key, SYMBOL).cost * 0 + D(2_000)
        told = await carry_of(app, GIVEN)
        assert told is not None and told.room is not None and told.room < D("0.15")
        (wish,) = await decided(app, engine, "6")
        assert (wish.side, wish.base) == (Side.BUY, "ETH-PERP")
        await door.fault("account", "error_before", count=None)
        with pytest.raises(Exception) as silent:
            await carry_of(app, GIVEN)
        assert getattr(silent.value, "verb", "") == "RETRY"


async def test_what_expires_is_paid_nothing_and_a_month_of_hours_is_asked_for_by_weeks() -> None:
    async with there() as (_, venue, app, engine):
        assert await venue.funding(DATED, 0) == ()
        now_ms = SystemClock().now_ns() // 10**6
        for n in range(1_000, 0, -1):
            engine.fund(SYMBOL, D(n).scaleb(-8), now_ms - n * HOUR_MS + 60_000)
        told = await venue.funding(PERPETUAL, (now_ms - 1_000 * HOUR_MS) * 10**6)
        assert [rate for _, rate in told] == [D(n).scaleb(-8) for n in range(1_000, 0, -1)]
        assert [at for at, _ in told] == sorted({at for at, _ in told})


def inverse(size: str, equity: str, mark: str = "50000", **summary: Any) -> Any:
    """The accounts/1 document of an account in bitcoin with BTC-PERPETUAL open in it, whose rate is one in a hundred."""
    markets = codec.markets([INVERSE_ROW], D(0), D(5))
    stays = abs(D(size)) / D(mark) / 100
    position = {
        "kind": "future",
        "instrument_name": "BTC-PERPETUAL",
        "size": size,
        "mark_price": mark,
        "index_price": mark,
        "maintenance_margin": str(stays),
    }
    told = {
        "currency": "BTC",
        "equity": equity,
        "maintenance_margin": str(stays),
        "margin_model": "segregated_sm",
        "cross_collateral_enabled": False,
    } | summary
    if (no := refused("deribit", {"summaries": [told]})) is not None:
        raise no
    return document("deribit", {"summaries": [told]}, [position], markets, 1_700_000_000)


def test_an_inverse_short_as_large_as_its_coins_is_worth_the_same_at_any_price() -> None:
    from agent.margin.accounts import judge

    contract = AssetId("cex:deribit/BTC-PERPETUAL")
    (whole,) = judge(inverse("-50000", "1"))
    assert whole.health is not None and whole.member is not None
    assert not [px for px in whole.health.liquidation_px if px.asset == contract and px.px_raw is not None]
    # Equity in coins is 1 + 50,000·(1/p − 1/50,000) = 50,000/p: as many dollars at every price.
    for moved in (Fraction(1, 2), Fraction(3)):
        factor = whole.member.factor({contract: moved})
        assert factor is not None and abs(Fraction(factor, 10**18) - 100) < Fraction(1, 10**6)
    (twice,) = judge(inverse("-100000", "1"))
    assert twice.health is not None
    (px,) = [p for p in twice.health.liquidation_px if p.asset == contract]
    # 1 + 100,000·(1/p − 1/50,000) = 0.01·100,000/p where p = 99,000: the coin was half of what was sold.
    assert px.px_raw is not None and abs(px.px_raw - 99_000 * 10**8) <= 1
    (long,) = judge(inverse("50000", "1"))
    assert long.health is not None
    (px,) = [p for p in long.health.liquidation_px if p.asset == contract]
    # A long loses coins ever faster as the price falls: 1 + 50,000·(1/50,000 − 1/p) = 500/p where p = 25,250.
    assert px.px_raw is not None and abs(px.px_raw - 25_250 * 10**8) <= 1


@pytest.mark.parametrize(
    "told",
    [{"margin_model": "cross_pm"}, {"margin_model": "cross_sm"}, {"cross_collateral_enabled": True}],
)
def test_an_account_that_is_margined_otherwise_is_not_judged_by_this_model(told: dict[str, Any]) -> None:
    with pytest.raises(Usage) as no:
        inverse("-50000", "1", **told)
    assert no.value.code == "MARGIN_MODEL" and "segregated" in no.value.hint
    says = "equity 1 BTC, maintenance margin 0.01 BTC, 100.00 times"
    assert no.value.message.endswith(f"the exchange itself says: {says}")


def test_where_nothing_has_to_be_kept_the_exchange_says_nothing_of_it() -> None:
    row = {"currency": "BTC", "equity": "2.5", "maintenance_margin": "0", "margin_model": "cross_pm"}
    no = refused("deribit", {"summaries": [row, {**row, "currency": "ETH", "maintenance_margin": "3.0001"}]})
    assert no is not None and "BTC" not in no.message
    assert no.message.endswith("equity 2.5 ETH, maintenance margin 3.0001 ETH, 0.83 times")


def test_the_coins_that_an_inverse_short_has_sold_are_no_delta() -> None:
    """Two bitcoins, one of them sold for dollars at 50,000: what is left of them is the whole of the delta, at any price and once a day's
    gains were paid."""
    coin, contract = AssetId("cex:deribit/BTC"), AssetId("cex:deribit/BTC-PERPETUAL")
    reader = codec.Reader("deribit", codec.markets([INVERSE_ROW], D(0), D(5)))
    for mark, balance, gain in (("50000", "2", "0"), ("40000", "2", "0.25"), ("40000", "2.25", "0")):
        row = {"instrument_name": "BTC-PERPETUAL", "size": "-50000", "average_price": "50000", "mark_price": mark, "floating_profit_loss": gain}  # fmt: skip
        position = reader.position(row)
        assert position is not None and position.inverse
        told = {b.asset: b.free + b.locked for b in as_holdings([Balance(coin, D(balance))], [position], {coin, contract})}  # fmt: skip
        assert told[contract] == 50_000, "so many dollars are held"
        worth = told[coin] * D(mark) + told[contract]
        assert worth == (D(balance) + D(gain)) * D(mark), "what the exchange calls equity"
        assert told[coin] == D(balance) + D(gain) - 50_000 / D(mark)


def carried(module: str, symbol: str, hedge: str = "carry", given: Any = None, **more: Any) -> list[str]:
    """What the settings' check says of a carry whose short is there."""
    changed = values(**more)
    changed["venues"][0] |= {"module": module, "symbols": [symbol]}
    changed["assets"]["ETH-PERP"] = [f"cex:paper/{symbol}"]
    path = Path("/nowhere/fairlead.toml")
    job = HedgeJob.model_validate({"name": "basis", "every": "5m", "hedge": hedge, "algo": "market", "hedge_with": given or GIVEN})  # fmt: skip
    found = parse(template.render(changed, path), path).settings
    return [message for _, message, _ in job_problems(found, job, "hedges[0]")]


def test_settings_name_a_perpetual_that_orders_go_to_and_that_tells_what_it_pays() -> None:
    assert carried("deribit", PERPETUAL) == carried("binance_usdm", "ETHUSDC") == []
    assert carried("deribit", "ETH-PERPETUAL") == carried("hyperliquid", "ETH-PERP") == []
    (no,) = carried("deribit", "BTC-PERPETUAL")
    assert "BTC-PERPETUAL is paid for in cex:paper/BTC, which is no ETH here" in no
    delta = {
        "base": "ETH",
        "instrument": "ETH-PERP",
        "quote": "USDC",
        "risk_aversion": "0.001",
        "cost_bps": "5",
    }
    assert carried("deribit", PERPETUAL, "delta", delta) == []
    (no,) = carried("deribit", "ETH-PERPETUAL", "delta", delta)
    assert "only the carry" in no, "so many dollars would be hedged as so many coins"
    (no,) = carried("kraken", "ETHUSDC")
    assert "tells what a short of 'ETH-PERP' is paid" in no


def test_an_option_beside_it_is_not_left_out() -> None:
    row = {"kind": "option", "instrument_name": "BTC-27DEC30-50000-C", "size": "1"}
    with pytest.raises(Usage) as no:
        document("deribit", {"summaries": []}, [row], {}, 0)
    assert no.value.code == "MARGIN_MODEL" and "BTC-27DEC30-50000-C" in no.value.message
