"""Paradex' portfolio margin by hand: the table's worst loss, the least charge on delta, provisions, and prices that flip it."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from agent.domain.errors import Usage
from agent.margin import paradex_pm
from agent.margin.changes import deposited
from agent.margin.model import Side, State
from agent.margin.paradex_pm import Book

MODEL = paradex_pm.MODEL


def read(**given: Any) -> paradex_pm.Account:
    values: dict[str, Any] = {
        "index": "btc",
        "index_px": "70000",
        "equity": "20000",
        "perps": [],
        "options": [],
    }
    return MODEL.read({"id": "x", "model": "paradex_pm", "chain": "cex:x", **values, **given}, {"btc": 8})


def scholes(spot: float, strike: float, years: float, rate: float, vol: float, is_call: bool) -> float:
    spread = vol * math.sqrt(years)
    d1 = (math.log(spot / strike) + rate * years) / spread + spread / 2
    normal = [0.5 * math.erfc(-d / math.sqrt(2)) for d in (d1, d1 - spread)]
    call = spot * normal[0] - strike * math.exp(-rate * years) * normal[1]
    return call if is_call else call - spot + strike * math.exp(-rate * years)


def test_the_table_is_the_published_one() -> None:
    table = paradex_pm.SCENARIOS
    assert len(table) == 24 and table[0] == (0.16, 0.4, 1.0) and table[15] == (-0.16, 0.4, 1.0)
    assert table[1:3] == ((0.12, 0.4, 1.0), (0.12, -0.22, 1.0)) and table[16] == (-0.66, 0.4, 0.18)


def test_the_pages_example_of_the_charge_on_delta() -> None:
    """Long one perpetual, short five calls of a delta of 0.3, spot 70,000: 2 % of 0.5 and 1 % of 1.0, 1,400 dollars."""
    charge = paradex_pm.delta_charge(paradex_pm.Parameters(), np.array([1.0, -1.5]), 70_000.0)
    assert charge == pytest.approx(1_400)
    # Deltas of our own: of a perpetual its basis, of an option its formula's.
    one = Book(read(perps=[["1", "70070", "0"]], options=[["-5", "C", "70000", "30", "0.5", "4000"]]))
    d1 = 0.5 * math.sqrt(30 / 365) / 2
    normal = 0.5 * math.erfc(-d1 / math.sqrt(2))
    assert one.deltas(0.0) == pytest.approx([1.001, -5 * normal], rel=1e-6)


def test_a_perpetual_alone_loses_sixteen_percent_of_its_mark_and_half_is_kept() -> None:
    one = read(perps=[["2", "70070", "0.0001"]], perp_fee="0.0003")
    maintenance, initial = Book(one).required()
    # The basis stays: 16 % of the mark. It pays funding of 0.01 % of the spot, and 3 basis points to close.
    loss, funding, fees = 0.16 * 2 * 70_070, 0.0001 * 2 * 70_000, 0.0003 * 2 * 70_070
    assert initial == pytest.approx(loss + funding + fees) and maintenance == pytest.approx(
        loss / 2 + funding + fees
    )
    short = read(perps=[["-2", "70070", "0.0001"]])
    assert Book(short).required()[1] == pytest.approx(max(0.16, 5 * 0.024, 0.5 * 0.24) * 2 * 70_070)
    health = MODEL.health(one, 0)
    assert health.initial_raw is not None and health.maintenance_raw is not None
    assert health.initial_raw > health.maintenance_raw >= int(maintenance * 1e8)


def test_options_are_repriced_on_the_shocked_spot_with_the_shocked_volatility() -> None:
    strike, days, vol, rate, mark = 75_000.0, 16.0, 0.5, 0.03, 1_700.0
    row = ["-3", "C", "75000", "16", "0.5", "1700"]
    found = Book(read(options=[row], rate="0.03")).worst()
    losses = []
    for spot, shock, part in paradex_pm.SCENARIOS:
        shifted = vol * (1 + shock * (30 / days) ** 0.3)
        shifted = max(shifted, 0.4) if shock > 0 else shifted
        there = scholes(70_000 * (1 + spot), strike, days / 365, rate, shifted, True)
        losses.append(3 * (there - mark) * part)
    assert found == pytest.approx(max(losses), rel=1e-12)
    # Half an hour before its end it begins to settle: a quarter of an hour is left of it, half of it moves.
    half = Book(read(options=[["-3", "C", "75000", "0.010416666666666666", "0.5", "0"]])).worst()
    assert half == pytest.approx(max((max(70_000 * (1 + s) - 75_000, 0) * 3 * p for s, _, p in paradex_pm.SCENARIOS)) / 2, rel=1e-6)  # fmt: skip


def test_a_volatility_that_rises_counts_for_no_less_than_the_least_and_one_that_falls_has_no_least() -> None:
    book = Book(read(options=[["1", "C", "70000", "40", "0.05", "600"]]))
    up, same, down = book.shifted(np.array([0.4, 0.0, -0.22]))[:, 0]
    assert (up, same) == (0.4, 0.05) and down == pytest.approx(0.05 * (1 - 0.22 * 0.75**0.13))


def test_closing_an_option_costs_no_more_than_an_eighth_of_its_mark() -> None:
    rows = [["2", "C", "140000", "30", "0.5", "8"], ["-1", "P", "70000", "30", "0.5", "4000"]]
    dear = Book(read(options=rows, option_fee="0.0003"))
    assert dear.provisions(0.0) == pytest.approx(2 * 8 * 0.125 + 0.0003 * 70_000)


def strangle(**given: Any) -> paradex_pm.Account:
    marks = [scholes(70_000, k, 30 / 365, 0, 0.5, c) for k, c in ((85_000, True), (58_000, False))]
    rows = [
        ["-2", "C", "85000", "30", "0.5", f"{marks[0]:.6f}"],
        ["-2", "P", "58000", "30", "0.5", f"{marks[1]:.6f}"],
    ]
    return read(**{"options": rows, **given})


def test_a_short_strangle_is_liquidated_on_both_sides_and_by_volatility() -> None:
    one = strangle(equity="17000")
    moves = [MODEL.at_moves(one, {"btc": Fraction(m, 100)}, 0) for m in (60, 100, 150)]
    assert moves[0] is not None and moves[1] is not None and moves[2] is not None
    assert moves[0] < 10**18 < moves[1] > 10**18 > moves[2]
    (px,) = MODEL.health(one, 0).liquidation_px
    assert px.px_raw is not None and px.side is not Side.NONE
    step = 1 if px.side is Side.BELOW else -1
    for raw, gone in ((px.px_raw, True), (px.px_raw + step, False)):
        there = MODEL.at_prices(one, {"btc": raw}, 0)
        assert there is not None and (there < 10**18) is gone
    shaken = MODEL.at_vol(one, Fraction(3))
    assert shaken.equity < one.equity and shaken.options[0].mark_px > one.options[0].mark_px
    worse, now = MODEL.at_moves(shaken, {}, 0), MODEL.at_moves(one, {}, 0)
    assert worse is not None and now is not None and worse < 10**18 < now
    assert deposited(MODEL, one, "USD", 10**8, 0).equity == one.equity + 1


def flips(count: int, seed: int) -> None:
    draw, printed = random.Random(seed), 0
    for _ in range(count):
        rows = [
            [f"{draw.uniform(-3, 3):.3f}", draw.choice("CP"), str(draw.randrange(40_000, 110_000)), str(draw.randrange(1, 300)),
             f"{draw.uniform(0.2, 1.5):.3f}", f"{draw.uniform(10, 9_000):.2f}"]
            for _ in range(draw.randrange(4))
        ]  # fmt: skip
        perps = [
            [
                f"{draw.uniform(-2, 2):.3f}",
                f"{draw.uniform(69_000, 71_000):.1f}",
                f"{draw.uniform(-1e-3, 1e-3):.6f}",
            ]
        ]
        one = read(perps=perps, options=rows, perp_fee="0.0003", option_fee="0.0003")
        one = replace(
            one, equity=Fraction(Book(one).required()[0]) * Fraction(draw.randrange(900, 3_000), 1_000)
        )
        health = MODEL.health(one, 0)
        assert (health.state is State.LIQUIDATABLE) == (
            one.equity < Fraction(health.maintenance_raw or 0, 10**8)
        )
        (px,) = health.liquidation_px
        if px.px_raw is not None:
            printed += 1
            steps = (0, 1 if px.side is Side.BELOW else -1)
            bad, good = (MODEL.at_prices(one, {"btc": px.px_raw + n}, 0) for n in steps)
            assert bad is not None and good is not None and bad < 10**18 <= good, one
    assert printed > count // 2


def test_every_printed_price_flips_at_one_step_of_the_price() -> None:
    flips(8, 3)


@pytest.mark.full
def test_a_thousand_books_do() -> None:
    flips(1_000, 4)


def test_an_exchanges_own_higher_statement_wins_now_and_says_nothing_of_other_prices() -> None:
    one = strangle(equity="17000", stated_maintenance="17001")
    assert MODEL.health(one, 0).state is State.LIQUIDATABLE
    assert MODEL.at_moves(one, {}, 0) == 17_000 * 10**18 // 17_001
    near = MODEL.at_moves(one, {"btc": Fraction(1_000_001, 10**6)}, 0)
    assert near is not None and near > 10**18


def test_a_mark_off_the_formula_stays_so_wherever_the_price_goes() -> None:
    one = strangle(parameters={"scenarios": [["0.16", "0.4", "1"], ["-0.16", "0.4", "1"]]})
    dearer = replace(one, options=tuple(replace(o, mark_px=o.mark_px + 100) for o in one.options))
    for at in (-0.1, 0.0, 0.2):
        # What was sold is worth 400 more than the formula says already: so much less is left to lose.
        assert Book(dearer).worst(at) + 400 == pytest.approx(Book(one).worst(at), rel=1e-9)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"perps": [["1", "70000"]]}, "[size, mark_px, funding_8h]"),
        ({"perps": [["1", "70000", "2"]]}, "funding_8h is '2', not from -1 to 1"),
        ({"options": [["1", "X", "1", "1", "1", "1"]]}, '[size, "C" or "P", strike, days, vol, mark_px]'),
        ({"options": [["1", "C", "1", "-1", "1", "1"]]}, "days is '-1', not from 0"),
        ({"parameters": {"hedged": "-0.1"}}, "hedged is '-0.1'"),
        ({"parameters": {"days_floor": "0"}}, "days_floor is zero"),
        ({"parameters": {"scenarios": [["-1", "0", "1"]]}}, "nothing is left to price"),
        ({"parameters": {"scenarios": []}}, "1 to 200 scenarios"),
        ({"index_px": "0"}, "not above zero"),
    ],
)
def test_wrong_entries_are_refused_by_name(change: dict[str, Any], says: str) -> None:
    with pytest.raises(Usage) as wrong:
        read(**change)
    assert says in wrong.value.message
