"""Margin accounts at exchanges: the venues' own formulas and worked examples, other positions counted, tables that leap refused."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from agent.analytics import black76
from agent.domain.errors import Usage
from agent.margin import binance_pm, binance_usdm, deribit_pm, deribit_sm, hyperliquid, unified
from agent.margin.model import MarginModel, Side, State
from agent.margin.perps import state_at

ASSETS = {a: 8 for a in ("btc", "eth", "doge", "usdt")}
HYPER = [["0", "10"], ["20000", "5"], ["100000", "3"]]
BRACKETS = [["0", "0.004", "0"], ["50000", "0.005", "50"], ["500000", "0.01", "2550"]]


def account(model: MarginModel, **given: Any) -> Any:
    return model.read({"id": "x", "model": model.name, "chain": "cex:x", **given}, ASSETS)


def position(asset: str, size: str, entry: str, mark: str, **more: Any) -> dict[str, Any]:
    return {"asset": asset, "size": size, "entry_px": entry, "mark_px": mark, **more}


# ---- Hyperliquid


def test_tiers_as_the_venue_documents_them() -> None:
    one = account(hyperliquid.MODEL, balance="1000", positions=[position("doge", "1", "1", "1", tiers=HYPER)])
    tiers = one.positions[0].tiers
    # 5 % up to 20,000, then 10 % less 1,000, then 16.67 % less 7,666.67.
    assert [t.rate for t in tiers] == [Fraction(1, 20), Fraction(1, 10), Fraction(1, 6)]
    assert [t.cum for t in tiers] == [0, 1000, Fraction(23000, 3)]


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize("isolated", [None, "600"])
def test_the_venues_formula_for_the_liquidation_price(side: int, isolated: str | None) -> None:
    more: dict[str, Any] = {"tiers": [["0", "20"]]} | ({"isolated": isolated} if isolated else {})
    size = str(3 * side)
    one = account(hyperliquid.MODEL, balance="600", positions=[position("eth", size, "3000", "3000", **more)])
    health = hyperliquid.MODEL.health(one, 0)
    # price − side·margin available/size/(1 − l·side), l = 1/40.
    available = Fraction(600) - Fraction(9000, 40)
    liquidated = 3000 - side * available / 3 / (1 - Fraction(side, 40))
    (px,) = health.liquidation_px
    assert px.px_raw is not None and abs(Fraction(px.px_raw, 10**8) - liquidated) <= Fraction(1, 10**8)
    assert px.side is (Side.BELOW if side > 0 else Side.ABOVE)
    assert (
        health.maintenance_raw == 225 * 10**8
        and health.collateral_value_raw == (1_200 if isolated else 600) * 10**8
    )
    for step, gone in ((0, True), (side, False)):
        ratio = hyperliquid.MODEL.at_prices(one, {"eth": px.px_raw + step}, 0)
        assert ratio is not None and (ratio < 10**18) is gone


def test_a_cross_price_counts_the_other_positions() -> None:
    alone = [position("eth", "1", "3000", "3000", tiers=[["0", "25"]])]
    both = [*alone, position("btc", "-0.05", "60000", "62000", tiers=[["0", "40"]])]
    prices = []
    for rows in (alone, both):
        (px, *_) = hyperliquid.MODEL.health(
            account(hyperliquid.MODEL, balance="250", positions=rows), 0
        ).liquidation_px
        assert px.px_raw is not None
        prices.append(px.px_raw)
    # 100 lost on the other and its 38.75 of maintenance leave that much less room: (250−100−38.75)/… instead of 250/….
    assert prices[1] - prices[0] == pytest.approx(138.75 / 0.98 * 1e8, rel=1e-9)


def test_an_isolated_position_falls_alone() -> None:
    rows = [
        position("eth", "1", "3000", "2000", tiers=[["0", "25"]], isolated="900"),
        position("btc", "0.1", "60000", "60000", tiers=[["0", "40"]]),
    ]
    health = hyperliquid.MODEL.health(account(hyperliquid.MODEL, balance="5000", positions=rows), 0)
    assert health.state is State.LIQUIDATABLE and health.health_1e18 == 0
    assert health.liquidation_px[1].side is Side.NONE or health.liquidation_px[1].px_raw < 20_000 * 10**8  # type: ignore[operator]


# ---- Binance


@pytest.mark.parametrize("side", [1, -1])
def test_binances_published_formula(side: int) -> None:
    rows = [
        position("btc", str(side), "60000", "61000", brackets=BRACKETS),
        position("eth", "-5", "3000", "3100", brackets=BRACKETS),
    ]
    one = account(binance_usdm.MODEL, balance="9000", positions=rows)
    health = binance_usdm.MODEL.health(one, 0)
    px = health.liquidation_px[0]
    assert px.px_raw is not None
    # (WB − TMM1 + UPNL1 + cum − side·size·entry) / (size·rate − side·size), in the second bracket on both sides.
    maintenance, profit = Fraction("15500") * Fraction("0.004"), Fraction(-500)
    rate, cum = Fraction("0.005"), Fraction(50)
    liquidated = (9000 - maintenance + profit + cum - side * 60000) / (rate - side)
    assert abs(Fraction(px.px_raw, 10**8) - liquidated) <= Fraction(1, 10**8)
    assert 50_000 < liquidated < 500_000
    ratio = binance_usdm.MODEL.at_prices(one, {"btc": px.px_raw}, 0)
    after = binance_usdm.MODEL.at_prices(one, {"btc": px.px_raw + side}, 0)
    assert ratio is not None and after is not None and ratio < 10**18 <= after


def test_binance_liquidates_at_exactly_a_hundred_percent() -> None:
    rows = [position("btc", "0.1", "40000", "40000", brackets=BRACKETS)]
    for balance, state in (("16", State.LIQUIDATABLE), ("16.00000001", State.AT_RISK)):
        assert binance_usdm.MODEL.health(account(binance_usdm.MODEL, balance=balance, positions=rows), 0).state is state  # fmt: skip


def test_a_table_of_brackets_that_leaps_is_refused() -> None:
    wrong = [["0", "0.004", "0"], ["50000", "0.005", "500"]]
    with pytest.raises(Usage, match="leap at 50000"):
        account(binance_usdm.MODEL, balance="1", positions=[position("btc", "1", "1", "1", brackets=wrong)])
    with pytest.raises(Usage, match="do not rise"):
        account(binance_usdm.MODEL, balance="1", positions=[position("btc", "1", "1", "1", brackets=[BRACKETS[1], BRACKETS[0]][::-1][:1] + [["0", "0.1", "0"]])])  # fmt: skip


def portfolio() -> Any:
    """The account of the exchange's FAQ on uniMMR; index prices and collateral rates are ours."""
    flat = [["0", "0.005", "0"]]
    return account(
        binance_pm.MODEL,
        assets=[
            {"asset": "usdt", "equity": "6000", "index_px": "1"},
            {
                "asset": "btc",
                "equity": "0.16",
                "loan": "0.04",
                "index_px": "40000",
                "collateral_rate": "0.95",
            },
            {"asset": "eth", "equity": "5", "loan": "15", "index_px": "3000", "collateral_rate": "0.95"},
        ],
        positions=[
            position("btc", "-0.05", "52000", "40000", brackets=flat, settles="usdt"),
            position("btc", "0.04", "52350", "42000", brackets=flat, settles="usdt"),
            position("btc", "100", "50000", "40000", brackets=flat, settles="btc", contract_usd="100"),
        ],
    )


def test_unimmr_of_the_exchanges_own_example() -> None:
    one = portfolio()
    # The FAQ's figures: profits 600, −414 and −0.05 BTC; maintenance 10, 8.4 and 0.00125 BTC; loans 0.004 BTC and 1.5 ETH.
    assert [f.profit(f.mark_px) for f in one.futures] == [600, -414, Fraction(-5, 100)]
    assert [f.required(f.mark_px) for f in one.futures] == [10, Fraction("8.4"), Fraction("0.00125")]
    equity, required = unified.totals(one, {})
    assert (
        required
        == Fraction("18.4") + (Fraction("0.004") + Fraction("0.00125")) * 40000 + Fraction("1.5") * 3000
    )
    assert equity == 6186 + Fraction("0.11") * 40000 * Fraction("0.95") + 5 * 3000 * Fraction("0.95")
    health = binance_pm.MODEL.health(one, 0)
    assert health.state is State.SAFE and health.health_1e18 == int(equity / required * 10**18)
    lean = replace(one, assets=tuple(replace(h, equity=h.equity / 3) for h in one.assets))
    found = binance_pm.MODEL.health(lean, 0).liquidation_px
    assert Side.BELOW in {px.side for px in found}
    for px in found:
        if px.px_raw is not None:
            step = 1 if px.side is Side.BELOW else -1
            at = [binance_pm.MODEL.at_prices(lean, {px.asset: p}, 0) for p in (px.px_raw, px.px_raw + step)]
            assert at[0] is not None and at[1] is not None and at[0] < 10**18 <= at[1]


# ---- Deribit


def test_black_76_against_direct_integration_and_parity() -> None:
    def integral(forward: float, strike: float, vol: float, years: float) -> float:
        """E[max(F·e^(σ√t·z − σ²t/2) − K, 0)] by Simpson's rule over the normal density."""
        spread, n = vol * math.sqrt(years), 20_000
        low = (math.log(strike / forward) + spread * spread / 2) / spread
        h = (12.0 + abs(low)) / n
        total = 0.0
        for i in range(n + 1):
            z = low + i * h
            weight = 1 if i in (0, n) else 4 if i % 2 else 2
            total += weight * (forward * math.exp(spread * z - spread**2 / 2) - strike) * math.exp(-z * z / 2)
        return total * h / 3 / math.sqrt(2 * math.pi)

    for forward, strike, vol, years in (
        (100.0, 110.0, 0.5, 0.25),
        (100.0, 60.0, 1.2, 0.02),
        (60_000.0, 90_000.0, 0.6, 0.5),
    ):
        both = black76.price(
            *(np.array([x]) for x in (forward, strike, vol, years)), np.array([True, False])[None, :]
        )
        call, put = both[0]
        assert call == pytest.approx(integral(forward, strike, vol, years), rel=1e-9)
        assert call - put == pytest.approx(forward - strike, rel=1e-12)
    now = black76.price(*(np.array([x]) for x in (100.0, 90.0, 0.5, 0.0)), np.array([True]))
    assert now[0] == 10.0


def deribit(**given: Any) -> Any:
    values: dict[str, Any] = {
        "index": "btc",
        "index_px": "60000",
        "equity": "20000",
        "futures": [],
        "options": [],
    }
    return account(deribit_pm.MODEL, **{**values, **given})


def test_a_future_alone_loses_the_end_of_the_range() -> None:
    none = {"future_contingency": "0", "option_contingency": "0"}
    health = deribit_pm.MODEL.health(deribit(futures=[["1", "60000"]], parameters=none), 0)
    assert health.maintenance_raw == pytest.approx(0.16 * 60_000 * 1e8, rel=1e-8)
    assert health.maintenance_raw is not None and health.maintenance_raw > 9_600 * 10**8
    # Equity less what was lost equals 16 % of what is left at (60,000 − 20,000)/0.84.
    (px,) = health.liquidation_px
    assert px.side is Side.BELOW and px.px_raw == pytest.approx(40_000 / 0.84 * 1e8, rel=1e-6)


def test_hedged_futures_pay_only_their_contingency() -> None:
    one = deribit(futures=[["2", "60000"], ["-2", "60000"]], parameters={"future_contingency": "0.01"})
    assert float(deribit_pm.MODEL.maintenance(one)) == pytest.approx(0.01 * 60_000 * 2, rel=1e-8)


def test_a_short_strangle_is_worst_with_volatility_up_and_liquidates_on_both_sides() -> None:
    short = [["-1", "C", "80000", "30", "0.6", "60000"], ["-1", "P", "45000", "30", "0.6", "60000"]]
    one = deribit(options=short, equity="9000")
    book = deribit_pm.Book(one)
    up = book.shifted(1)
    # 30 days: the range itself, 60 % times 1.5; half of 30 days: times (30/15)^0.3 more.
    assert up == pytest.approx([0.9, 0.9])
    nearer = deribit(options=[["-1", "C", "80000", "15", "0.6", "60000"]])
    assert deribit_pm.Book(nearer).shifted(1)[0] == pytest.approx(0.6 * (1 + 0.5 * 2**0.3))
    by_hand = max(
        sum(
            black76.price(*(np.array([x]) for x in (60_000 * (1 + m), k, 0.9, 30 / 365)), np.array([c]))[0]
            - black76.price(*(np.array([x]) for x in (60_000.0, k, 0.6, 30 / 365)), np.array([c]))[0]
            for k, c in ((80_000.0, True), (45_000.0, False))
        )
        for m in np.linspace(-0.16, 0.16, 9)
    )
    assert float(deribit_pm.MODEL.maintenance(one)) == pytest.approx(by_hand + 0.01 * 60_000 * 2, rel=1e-8)
    health = deribit_pm.MODEL.health(one, 0)
    (px,) = health.liquidation_px
    assert px.px_raw is not None
    step = 1 if px.side is Side.BELOW else -1
    edge = [deribit_pm.MODEL.at_prices(one, {"btc": px.px_raw + n}, 0) for n in (0, step)]
    assert edge[0] is not None and edge[1] is not None and edge[0] < 10**18 <= edge[1]
    sides = [deribit_pm.MODEL.at_prices(one, {"btc": p * 10**8}, 0) for p in (40_000, 60_000, 95_000)]
    assert all(s is not None for s in sides) and sides[0] < 10**18 < sides[1] > 10**18 > sides[2]  # type: ignore[operator]


def test_the_exchanges_own_statement_wins_where_it_is_higher() -> None:
    one = deribit(futures=[["1", "60000"]], stated_maintenance="12345.5")
    assert deribit_pm.MODEL.health(one, 0).maintenance_raw == 12_345_50000000
    assert deribit_pm.MODEL.health(replace(one, equity=Fraction(12_000)), 0).state is State.LIQUIDATABLE


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"options": [["1", "X", "1", "1", "1", "1"]]}, '"C" or "P"'),
        ({"options": [["1", "C", "0", "1", "1", "1"]]}, "strike is '0', not above zero"),
        ({"equity": "NaN"}, "equity is 'NaN'"),
        ({"parameters": {"price_range": "1"}}, "price_range is below one"),
        ({"parameters": {"steps": 0}}, "from 1 to 100"),
        ({"index_px": 60000}, "index_px is 60000, not a decimal number in a string"),
    ],
)
def test_wrong_entries_are_refused_by_name(change: dict[str, Any], says: str) -> None:
    with pytest.raises(Usage) as wrong:
        deribit(**change)
    assert says in wrong.value.message


def standard(positions: list[dict[str, Any]], equity: str, settle_px: str = "1") -> Any:
    raw = {
        "id": "x",
        "model": "deribit_sm",
        "chain": "cex:d",
        "settle": "eth",
        "settle_px": settle_px,
        "equity": equity,
    }
    return deribit_sm.MODEL.read(raw | {"positions": positions}, {"eth": 8, "doge": 8, "btc": 8})


def test_a_linear_contract_of_deribit_falls_where_equity_is_what_is_kept_of_it() -> None:
    """Long 10 at 3,000 with 1,500 of equity and a rate of 1 %: 1500 + 10 (p − 3000) = 0.1 p, so p = 28500 / 9.9."""
    one = standard([{"asset": "eth", "size": "10", "mark_px": "3000", "maintenance": "300"}], "1500")
    health = deribit_sm.MODEL.health(one, 0)
    (px,) = health.liquidation_px
    assert health.health_1e18 == 5 * 10**18 and px.px_raw is not None
    assert Fraction(px.px_raw, 10**8) <= Fraction(28500) / Fraction("9.9") < Fraction(px.px_raw + 2, 10**8)
    there, above = (deribit_sm.MODEL.at_prices(one, {"eth": px.px_raw + n}, 0) for n in (0, 1))
    assert there is not None and above is not None and there < 10**18 <= above


@pytest.mark.parametrize(("size", "falls"), [("9000", True), ("-9000", False)])
def test_an_inverse_contract_of_deribit_by_its_own_formula(size: str, falls: bool) -> None:
    """9,000 dollars at 3,000 against 4 coins, 0.03 kept: long it falls where 4 + 9000 (1/3000 − 1/p) = 90/p, at 9090/7; as much short needs
    no price at all, for the coins cover it whole."""
    rows = [{"asset": "btc", "size": size, "mark_px": "3000", "maintenance": "0.03", "inverse": True}]
    one = standard(rows, "4", "3000")
    (px,) = deribit_sm.MODEL.health(one, 0).liquidation_px
    if not falls:
        assert px.side is Side.NONE and px.px_raw is None
        return
    assert px.px_raw is not None and abs(Fraction(px.px_raw, 10**8) - Fraction(9090, 7)) < Fraction(1, 10**7)
    assert deribit_sm.MODEL.health(one, 0).collateral_value_raw == 12_000 * 10**8
    small = deribit_sm.as_perps(one)
    assert state_at(small, small.positions, {}) == deribit_sm.state_at(one, {}), "the same at the marks"
