"""PMRM_2 against the contract's published portfolio cases, its parts against other arithmetic, and what it cannot compute."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from decimal import Context, Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agent.analytics import black76
from agent.domain.errors import Usage
from agent.margin import derive_black, derive_pm
from agent.margin.accounts import judge
from agent.margin.changes import deposited
from agent.margin.derive_black import UNIT
from agent.margin.derive_matrix import margin
from agent.margin.fixes import cheapest
from agent.margin.model import LiquidationPx, Side, State

GOLDEN = json.loads((Path(__file__).parents[1] / "golden/derive_portfolio_cases.json").read_text())
NOW = 1_700_000_000
MODEL = derive_pm.MODEL
WIDE = Context(prec=60)


def read(**given: Any) -> derive_pm.Account:
    names = {row["asset"] for row in given.get("collateral", [])} | {"ETH", "BTC"}
    return MODEL.read({"id": "x", "model": "derive_pm", "chain": "cex:x", **given}, dict.fromkeys(names, 18))


def strangle(**given: Any) -> derive_pm.Account:
    options = [["-10", "C", "3600", "0.7"], ["-10", "P", "2400", "0.8"]]
    expiry = {"expires": NOW + 20 * 86_400, "forward_px": "3010", "rate": "0.05", "options": options}
    return read(**{"index": "ETH", "index_px": "3000", "cash": "8000", "expiries": [expiry], **given})


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: str(case["case"]))
def test_the_contracts_published_cases_to_1e_12(case: dict[str, Any]) -> None:
    account = read(**case["account"])
    found = margin(account.book, account.parameters, GOLDEN["at"])
    figures = {
        "worth": found.worth,
        "initial": found.worth - found.initial,
        "maintenance": found.worth - found.maintenance,
    }
    for name, raw in figures.items():
        published = Fraction(case[name])
        assert abs(Fraction(raw, UNIT) - published) <= max(abs(published), 1) / 10**12, name
    state = MODEL.health(account, GOLDEN["at"]).state
    assert (state is State.LIQUIDATABLE) == (Fraction(case["maintenance"]) < 0)


def test_exponential_and_logarithm_are_right_to_a_unit_of_the_last_decimal() -> None:
    draw = random.Random(5)
    for _ in range(300):
        x = draw.randrange(-41 * UNIT, 60 * UNIT)
        exact = WIDE.multiply(WIDE.exp(Decimal(x).scaleb(-18)), Decimal(UNIT))
        assert abs(derive_black.exp_down(x) - exact) <= max(1, exact / 10**24)
        y = int(10 ** draw.uniform(0, 40))
        exact = WIDE.multiply(WIDE.ln(Decimal(y).scaleb(-18)), Decimal(UNIT))
        assert abs(derive_black.ln_down(y) - exact) <= 1
    assert derive_black.exp_down(0) == UNIT and derive_black.ln_down(UNIT) == 0
    assert derive_black.exp_down(-42 * UNIT - UNIT // 2) == 0
    for wrong in (lambda: derive_black.ln_down(0), lambda: derive_black.exp_down(136 * UNIT)):
        with pytest.raises(OverflowError):
            wrong()


def test_prices_are_the_chains_own_but_for_its_last_decimals() -> None:
    off = []
    for moneyness, spread, published in (map(int, row) for row in GOLDEN["calls"]["rows"]):
        off.append(abs(derive_black.standard_call(moneyness, spread) - published))
        assert off[-1] * UNIT <= derive_black.ERROR_1E18 * (UNIT + moneyness)
    assert len(off) == 60 and sum(one == 0 for one in off) >= 57


def test_integer_prices_agree_with_those_by_floats_and_keep_parity() -> None:
    draw = random.Random(7)
    for _ in range(200):
        forward, vol, years = draw.uniform(100, 1e5), draw.uniform(0.05, 2.5), draw.uniform(0.001, 2)
        strike = forward * draw.uniform(0.3, 3)
        raw = [int(x * 1e18) for x in (forward, strike, vol)]
        root = derive_black.sqrt_down(int(years * 1e18))
        call, put = (derive_black.price(*raw, root, UNIT, is_call) for is_call in (True, False))
        for is_call, found in ((True, call), (False, put)):
            columns = (np.array([x]) for x in (forward, strike, vol, years))
            floats = black76.price(*columns, np.array([is_call]))[0]
            assert found / 1e18 == pytest.approx(floats, rel=1e-9, abs=forward * 1e-13)
        assert abs(call - put - (raw[0] - raw[1])) <= 3 * max(raw[0], raw[1]) // UNIT + 2
    # The ends: no time left, no volatility, a forward or a strike of nothing, more volatility than matters.
    assert derive_black.price(100 * UNIT, 90 * UNIT, UNIT, 0, UNIT, True) == 10 * UNIT
    assert derive_black.price(100 * UNIT, 90 * UNIT, UNIT, 0, UNIT, False) == 0
    assert derive_black.price(0, 90 * UNIT, UNIT, UNIT, UNIT // 2, False) == 45 * UNIT
    assert derive_black.price(100 * UNIT, 0, UNIT, UNIT, UNIT // 2, True) == 50 * UNIT
    assert derive_black.price(100 * UNIT, 90 * UNIT, 25 * UNIT, UNIT, UNIT, True) == 100 * UNIT


def test_a_perpetual_alone_is_worst_at_the_end_of_the_range() -> None:
    one = read(
        index="ETH", index_px="3000", cash="2000", perp={"size": "3", "mark_px": "3003", "unsettled": "-10"}
    )
    found = margin(one.book, one.parameters, NOW)
    # 18 % of 3 at the mark, of which 0.8 counts, and 1.5 % of the notional at the spot; initial: all of it, and half a percent more.
    worst, notional = Fraction(18, 100) * 3 * 3003, 9000
    assert found.worth == 1990 * UNIT
    assert Fraction(found.maintenance, UNIT) == worst * Fraction(8, 10) + notional * Fraction(15, 1000)
    assert Fraction(found.initial, UNIT) == worst + notional * Fraction(20, 1000)
    (px,) = MODEL.health(one, NOW).liquidation_px
    # 1990 + 3·3003·(m − 1) = m·(0.8·worst + 135)
    exact = (3 * 3003 - 1990) / (3 * 3003 - Fraction(found.maintenance, UNIT)) * 3000
    assert px.side is Side.BELOW and abs(Fraction(px.px_raw or 0, 10**8) - exact) <= Fraction(1, 10**8)
    flips(one, px)


def at_px(one: derive_pm.Account, px: LiquidationPx, raw: int) -> int | None:
    now = one.book.spot if px.asset == one.book.index else one.book.collateral[0].px
    return MODEL.at_moves(one, {px.asset: Fraction(raw * 10**10, now)}, NOW)


def flips(one: derive_pm.Account, px: LiquidationPx) -> None:
    assert px.px_raw is not None
    bad, good = (at_px(one, px, px.px_raw + step) for step in (0, 1 if px.side is Side.BELOW else -1))
    assert bad is not None and good is not None and bad < UNIT <= good


def test_a_short_strangle_is_liquidated_on_the_nearer_side_by_one_tick() -> None:
    for cash, size in (("8000", "0.1"), ("8000", "-6"), ("20000", "4")):
        one = strangle(cash=cash, perp={"size": size, "mark_px": "3000"})
        health = MODEL.health(one, NOW)
        (px,) = health.liquidation_px
        assert health.state is not State.LIQUIDATABLE and health.maintenance_raw is not None
        flips(one, px)
    sides = [MODEL.at_moves(strangle(), {"ETH": Fraction(move, 100)}, NOW) for move in (50, 100, 150)]
    assert sides[0] is not None and sides[1] is not None and sides[2] is not None
    assert sides[0] < UNIT < sides[1] > UNIT > sides[2]


def test_collateral_has_a_price_of_its_own_unless_it_is_the_index() -> None:
    held = {
        "balance": "3",
        "index_px": "2900",
        "cancels_risk": True,
        "mm_haircut": "0.05",
        "im_haircut": "0.01",
    }
    apart = strangle(cash="0", collateral=[held | {"asset": "wstETH"}])
    index, other = MODEL.health(apart, NOW).liquidation_px
    assert (index.asset, other.asset, other.side) == ("ETH", "wstETH", Side.BELOW)
    flips(apart, other)
    flips(apart, index)
    same = strangle(cash="0", collateral=[held | {"asset": "ETH"}])
    assert len(MODEL.health(same, NOW).liquidation_px) == 1


def test_volatility_worth_and_cash_move_it_as_they_should() -> None:
    one = strangle()
    calm, shaken = (MODEL.at_moves(MODEL.at_vol(one, Fraction(v, 10)), {}, NOW) for v in (10, 13))
    assert calm is not None and shaken is not None and shaken < calm == MODEL.at_moves(one, {}, NOW)
    short = strangle(cash="3000")
    assert MODEL.health(short, NOW).state is State.LIQUIDATABLE
    fix = cheapest(MODEL, short, NOW)
    assert fix is not None and fix.do == "deposit" and fix.factor_after_1e18 is not None
    less = MODEL.at_moves(deposited(MODEL, short, "USD", fix.raw - 1, NOW), {}, NOW)
    assert less is not None and less < 11 * 10**17 <= fix.factor_after_1e18


def test_a_unit_of_the_last_decimal_decides() -> None:
    for one in (strangle(), read(index="ETH", index_px="3000", perp={"size": "-2.5", "mark_px": "3001"})):
        found = margin(one.book, one.parameters, NOW)
        short = found.maintenance - found.worth
        for more, state in ((-1, State.LIQUIDATABLE), (0, State.AT_RISK), (1, State.AT_RISK)):
            at_edge = replace(one, book=replace(one.book, cash=one.book.cash + short + more))
            assert MODEL.health(at_edge, NOW).state is state


def test_nothing_but_cash_has_no_ratio_and_debt_alone_is_liquidatable() -> None:
    assert MODEL.health(read(index="ETH", index_px="3000", cash="5"), NOW).health_1e18 is None
    assert (
        MODEL.health(read(index="ETH", index_px="3000", cash="-0.000000000000000001"), NOW).state
        is State.LIQUIDATABLE
    )


def test_what_the_chain_would_revert_on_is_unknown_and_never_safe() -> None:
    expiry = {
        "expires": NOW + 400 * 86_400,
        "forward_px": "3000",
        "rate": "700",
        "options": [["-1", "C", "3000", "0.7"]],
    }
    raw = {"id": "x", "model": "derive_pm", "chain": "cex:x", "index": "cex:x/ETH", "index_px": "3000", "cash": "9999999", "expiries": [expiry], "parameters": {}}  # fmt: skip
    document = {
        "fairlead": "accounts/1", "at": {"cex:x": {"timestamp": NOW}}, "accounts": [raw],
        "assets": [{"id": "cex:x/ETH", "symbol": "ETH", "decimals": 18}],
    }  # fmt: skip
    (judged,) = judge(document)
    assert judged.state is State.UNKNOWN and "cannot compute" in judged.why
    one = MODEL.read(raw, {"cex:x/ETH": 18})
    assert MODEL.at_moves(one, {}, NOW) == 0
    # A forward of nothing has no logarithm: whatever else the account holds, it is not safe there.
    assert MODEL.at_moves(strangle(cash="9999999"), {"ETH": Fraction(0)}, NOW) == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"index_px": "0"}, "index_px is '0', not above zero"),
        ({"cash": "0.0000000000000000001"}, "more than the chain's 18 decimals"),
        ({"confidence": "1.5"}, "confidence is '1.5', not from 0 to 1"),
        ({"perp": {"size": "1"}}, "mark_px is missing"),
        ({"expiries": [{"expires": 1, "forward_px": "0", "options": []}]}, "not above zero together"),
        ({"expiries": [{"expires": 1, "forward_px": "1", "options": [["1", "X", "1", "1"]]}]}, '"C" or "P"'),
        ({"parameters": {"mm_factor": "0.1"}}, "mm_factor is '0.1', which the contract would not take"),
        ({"parameters": {"scenarios": []}}, "1 to 40 scenarios"),
        ({"parameters": {"scenarios": [["1.1", "abs", "1"]]}}, "a tilt leaves the spot at 1"),
        ({"parameters": {"dte_floor_s": 0}}, "dte_floor_s is from 1 second"),
        ({"colateral": []}, "did you mean 'collateral'"),
    ],
)
def test_wrong_entries_are_refused_by_name(change: dict[str, Any], says: str) -> None:
    with pytest.raises(Usage) as wrong:
        strangle(**change)
    assert says in wrong.value.message
