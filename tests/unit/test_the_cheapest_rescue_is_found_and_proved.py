"""Plans that restore a target health: the last unit is needed, the cheapest comes first, and what is missing would do."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest
from settings_values import values
from troubled_loans import AT, GAS, account, means

from agent.app.settings import parse
from agent.app.template import render, toml
from agent.domain.errors import Usage
from agent.margin import aave_v3_0, aave_v3_6
from agent.margin.aave_account import Account, Reserve
from agent.margin.aave_moves import ADD_COLLATERAL, REPAY
from agent.margin.ray import RAY
from agent.margin.rescue import Means, Move, best_effort, health_after, healthy, liquidation_usd, needs, plans
from agent.margin.worths import worth_usd

TARGET = 135 * 10**16


def check(count: int) -> None:
    reached = missed = 0
    for seed in range(count):
        model = (aave_v3_0.MODEL, aave_v3_6.MODEL)[seed % 2]
        one, at_hand = account(seed), means(random.Random(-seed - 1))
        times = (AT, AT + 180)
        if healthy(model, one, times, TARGET, []):
            assert all(
                healthy(model, one, times, TARGET, p.moves) for p in plans(model, one, times, TARGET, at_hand)
            )
            continue
        found = plans(model, one, times, TARGET, at_hand)
        assert [p.cost_usd for p in found] == sorted(p.cost_usd for p in found)
        for plan in found:
            assert healthy(model, one, times, TARGET, plan.moves)
            assert plan.health_1e18 == health_after(model, one, AT, plan.moves)
            *before, last = plan.moves
            assert not healthy(model, one, times, TARGET, [*before, Move(last.means, last.raw - 1)]), (
                "a unit less would do"
            )
            assert all(m.raw <= m.means.most_raw for m in plan.moves)
        everything = [Move(m, m.most_raw) for m in at_hand if m.swap_from == ""]
        if not found:
            missed += 1
            assert not healthy(model, one, times, TARGET, everything), (
                "all of the wallet's own would do, and no plan says so"
            )
            for need in needs(model, one, times, TARGET, at_hand):
                brought = Means(need.do, need.asset, need.raw, Decimal(0))
                assert healthy(model, one, times, TARGET, [*everything, Move(brought, need.raw)])
                assert not healthy(model, one, times, TARGET, [*everything, Move(brought, need.raw - 1)])
        reached += bool(found)
    assert reached > count // 4 and missed > 0


def test_every_plan_reaches_its_target_and_a_unit_less_does_not() -> None:
    check(60)


@pytest.mark.full
def test_ten_thousand_plans_reach_their_target_and_a_unit_less_does_not() -> None:
    check(10_000)


def test_what_costs_least_comes_first_and_of_equals_what_pays_least() -> None:
    rows = (
        Reserve("weth", 18, 2_000 * 10**8, 8000, 8250, True, AT, 10 * 10**18, RAY, 0, 0, RAY, 0),
        Reserve("usdc", 6, 10**8, 0, 0, False, AT, 0, RAY, 0, 15_000 * 10**6, RAY, 0),
    )
    one, model = Account(rows), aave_v3_0.MODEL
    repay = Means(REPAY, "usdc", 10_000 * 10**6, GAS)
    add = Means(ADD_COLLATERAL, "weth", 10 * 10**18, GAS)
    sale = Means(REPAY, "usdc", 10_000 * 10**6, 2 * GAS, 60, "weth")
    found = plans(model, one, (AT,), TARGET, [sale, add, repay])
    assert [p.moves[0].means for p in found] == [repay, add, sale]
    # x = D − C/H = 15,000 − 16,500/1.35, and x = (H·D − C)/LT = 3,750/0.825 dollars of WETH
    assert found[0].moves[0].raw == 2_777_777_778
    assert abs(found[1].moves[0].raw - 2_272_727_272_727_272_728) <= 10**8  # values are cut at 1e-8 dollars
    assert found[0].paid_usd < found[1].paid_usd and found[0].cost_usd == found[1].cost_usd == GAS
    # What the wallet has of one is too little: all of it, and the rest of the other.
    short = Means(REPAY, "usdc", 1_000 * 10**6, GAS)
    both, *_ = plans(model, one, (AT,), TARGET, [short, Means(ADD_COLLATERAL, "weth", 2 * 10**18, GAS)])
    assert [m.means.do for m in both.moves] == [REPAY, ADD_COLLATERAL] and both.moves[0].raw == 10**9
    assert plans(model, one, (AT,), TARGET, [short]) == []
    need = needs(model, one, (AT,), TARGET, [short])[0]
    assert (need.do, need.raw) == (REPAY, 1_777_777_778) and worth_usd(one, "usdc", need.raw) == Decimal(
        "1777.777778"
    )


def rescued(**keys: object) -> None:
    from pathlib import Path

    path = Path("/nowhere/fairlead.toml")
    table = {"name": "house", "chain": "ethereum", **keys}
    text = (
        render(values(), path) + "\n[[rescues]]\n" + "".join(f"{k} = {toml(v)}\n" for k, v in table.items())
    )
    assert parse(text, path).settings.rescues[0].name == "house"


def test_thresholds_in_the_wrong_order_are_refused_by_name() -> None:
    rescued()
    for keys, says in (
        ({"chain": "etherum"}, "did you mean 'ethereum'?"),
        ({"trigger": "1"}, "rescues[0].trigger"),
        ({"target": "1.1"}, "rescues[0].target"),
        ({"warn": "1.1"}, "rescues[0].warn"),
        ({"most_usd": "30000"}, "rescues[0].most_usd"),
    ):
        with pytest.raises(Usage) as error:
            rescued(**keys)
        assert says in error.value.message, error.value.message


def test_where_the_target_is_out_of_reach_all_that_helps_is_paid() -> None:
    one, model = account(5), aave_v3_0.MODEL
    little = [
        Means(ADD_COLLATERAL, "weth", 10**16, GAS),
        Means(REPAY, "usdc", 50 * 10**6, GAS),
        Means(REPAY, "usdc", 40 * 10**6, 2 * GAS, 60, "weth"),
        Means(REPAY, "dai", 10**18, GAS),
    ]
    assert plans(model, one, (AT,), 3 * 10**18, little) == []
    effort = best_effort(model, one, (AT,), little, Decimal(1_000))
    assert effort is not None and effort.health_1e18 is not None
    # A dai costs three dollars to pay in, and the WETH is not counted twice.
    assert [(m.means.do, m.means.asset, m.raw) for m in effort.moves] == [
        (REPAY, "usdc", 50 * 10**6), (ADD_COLLATERAL, "weth", 10**16),
    ]  # fmt: skip
    assert effort.health_1e18 > (health_after(model, one, AT, []) or 0)
    held = best_effort(model, one, (AT,), little, Decimal(20))
    assert held is not None and Decimal("19.99") < held.paid_usd <= 20
    assert best_effort(model, one, (AT,), little, Decimal(2)) is None, "it would cost more than it pays in"
    assert best_effort(model, one, (AT,), [Means(REPAY, "usdc", 10**12, GAS)], Decimal(10**6)) is not None


def test_a_payment_that_costs_more_than_it_pays_in_is_made_where_a_liquidation_would_take_far_more() -> None:
    """Twenty thousand owed: five hundred would be taken, a quarter of it may be spent, and ten dollars may be what was missing."""
    rows = (
        Reserve("weth", 18, 3_000 * 10**8, 8000, 8250, True, AT, 8 * 10**18, RAY, 0, 0, RAY, 0),
        Reserve("usdc", 6, 10**8, 0, 0, False, AT, 0, RAY, 0, 19_790 * 10**6, RAY, 0),
    )
    one, model = Account(rows), aave_v3_6.MODEL
    assert abs(liquidation_usd(model, one, AT) - Decimal("494.75")) < 1

    def done(usd: str, fee: str) -> bool:
        held = [Means(REPAY, "usdc", int(Decimal(usd) * 10**6), Decimal(fee))]
        return best_effort(model, one, (AT,), held, Decimal(1_000)) is not None

    assert done("20.50", "25") and done("20.50", "120")
    assert not done("20.50", "124"), "more than a quarter of what would be lost"
    assert not done("19", "25"), "less than a thousandth of health"
    assert done("19", "18"), "it pays in more than it costs"
