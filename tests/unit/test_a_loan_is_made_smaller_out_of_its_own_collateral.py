"""Withdrawn, sold, repaid in rounds: never below the floor, a unit less does not do, and together as much as the closed form says."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from troubled_loans import AT, account

from agent.margin import aave_v3_0, aave_v3_6
from agent.margin.aave_account import Account, Reserve
from agent.margin.aave_core import AaveModel
from agent.margin.aave_moves import REPAY, WITHDRAW, moved
from agent.margin.ray import RAY
from agent.margin.unwind import MOST_ROUNDS, after, cheapest_unwinding, unwinding

TARGET, FLOOR, LOSS, GAS = 135 * 10**16, 102 * 10**16, 60, Decimal(4)
ETH, USD = 10**18, 10**6
ALL = ("weth", "wbtc", "usdc", "dai")


def loan(debt: int, threshold: int = 8_250) -> Account:
    """Ten ether at 3,000 against dollars, without interest."""
    return Account((
        Reserve("weth", 18, 3_000 * 10**8, 8_000, threshold, True, AT, 10 * ETH, RAY, 0, 0, RAY, 0),
        Reserve("usdc", 6, 10**8, 0, 0, False, AT, 0, RAY, 0, debt * USD, RAY, 0),
    ))  # fmt: skip


def factor(model: AaveModel, one: Account) -> int:
    found = model.account_data(one, AT).health_1e18
    return 10**36 if found is None else found


@pytest.mark.parametrize("model", [aave_v3_0.MODEL, aave_v3_6.MODEL], ids=lambda m: str(m.name))
def test_the_rounds_come_to_what_the_closed_form_says(model: AaveModel) -> None:
    one = loan(21_500)  # health 1.151
    found = unwinding(model, one, AT, TARGET, ("weth", "usdc"), LOSS, FLOOR, GAS)
    assert found is not None and len(found.rounds) == 3
    # x dollars repaid, x/(1 − f) of collateral sold for them: H (D − x) = C − LT x/(1 − f).
    health, kept = Fraction(TARGET, 10**18), Fraction(10_000 - LOSS, 10_000)
    exact = (health * 21_500 - 24_750) / (health - Fraction(825, 1000) / kept)
    assert abs(found.back_raw - exact * USD) < 10 and float(found.cost_usd) == pytest.approx(
        float(exact / kept * LOSS / 10_000 + 12), abs=0.01
    )
    states = after(model, one, found, AT)
    assert all(factor(model, state) >= FLOOR for state in states)
    assert [r.after_1e18 for r in found.rounds] == [factor(model, s) for s in states[1::2]]
    assert factor(model, states[-1]) >= TARGET
    last = found.rounds[-1]
    less = moved(model, states[-3], WITHDRAW, "weth", last.out_raw - 10**13, AT)
    assert factor(model, moved(model, less, REPAY, "usdc", last.back_raw - 3 * 10**4, AT)) < TARGET
    more = moved(model, one, WITHDRAW, "weth", found.rounds[0].out_raw + 1, AT)
    assert factor(model, more) < FLOOR, "the first round takes out all that the floor leaves"


def test_where_the_edge_is_too_near_there_is_no_way() -> None:
    model = aave_v3_6.MODEL
    assert unwinding(model, loan(24_300), AT, TARGET, ("weth", "usdc"), LOSS, FLOOR, GAS) is None, (
        "below the floor"
    )
    near = unwinding(model, loan(24_000), AT, TARGET, ("weth", "usdc"), LOSS, FLOOR, GAS)
    assert near is None or 2 < len(near.rounds) <= MOST_ROUNDS
    # Selling what counts for nearly all its worth, at a loss that is more than the rest, saves nothing.
    assert unwinding(model, loan(27_000, 9_900), AT, TARGET, ("weth", "usdc"), 2_000, FLOOR, GAS) is None
    assert unwinding(model, loan(15_000), AT, TARGET, ("weth", "usdc"), LOSS, FLOOR, GAS) is None, (
        "nothing is due"
    )


def test_of_all_pairs_the_cheapest_and_never_below_the_floor() -> None:
    found_some = 0
    for seed in range(40):
        model = (aave_v3_0.MODEL, aave_v3_6.MODEL)[seed % 2]
        one = account(seed)
        found = cheapest_unwinding(model, one, AT, TARGET, LOSS, FLOOR, GAS, ALL)
        if found is None:
            continue
        found_some += 1
        states = after(model, one, found, AT)
        assert all(factor(model, s) >= FLOOR for s in states) and factor(model, states[-1]) >= TARGET
        for lent, debt in (("weth", "usdc"), ("weth", "dai"), ("wbtc", "usdc"), ("wbtc", "dai")):
            other = unwinding(model, one, AT, TARGET, (lent, debt), LOSS, FLOOR, GAS)
            assert other is None or other.cost_usd >= found.cost_usd
        assert cheapest_unwinding(model, one, AT, TARGET, LOSS, FLOOR, GAS, ("usdc", "dai")) is None
    assert found_some > 5


def test_a_withdrawal_of_all_leaves_nothing_and_of_a_unit_rounds_as_the_version_does() -> None:
    draw = random.Random(3)
    for model in (aave_v3_0.MODEL, aave_v3_6.MODEL):
        for seed in range(30):
            one = account(seed)
            held = next(model.supply_raw(r, AT) for r in one.reserves if r.asset == "weth")
            gone = moved(model, one, WITHDRAW, "weth", held, AT)
            assert next(r.scaled_supply_raw for r in gone.reserves if r.asset == "weth") == 0
            raw = draw.randrange(1, held)
            left = next(
                model.supply_raw(r, AT)
                for r in moved(model, one, WITHDRAW, "weth", raw, AT).reserves
                if r.asset == "weth"
            )
            assert held - raw - 2 <= left <= held - raw + (0 if model.rules.directed else 2)
    flat = replace(loan(0), reserves=loan(0).reserves)
    assert moved(aave_v3_6.MODEL, flat, WITHDRAW, "weth", 1, AT).reserves[0].scaled_supply_raw == 10 * ETH - 1
