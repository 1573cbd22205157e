"""A purchase by flash: exact on the pools' integers, a unit less does not do, as much as the closed form says, within what it may lose."""

from __future__ import annotations

import random
from decimal import Decimal
from fractions import Fraction
from math import isqrt

import pytest
from troubled_loans import AT, GAS, account

from agent.amm import ConcentratedPool, Swapped, swap_exact_out
from agent.amm.ticks import TickTable, tick_at_sqrt_price
from agent.margin import aave_v3_0, aave_v3_6
from agent.margin.aave_account import Account, Reserve
from agent.margin.aave_core import AaveModel
from agent.margin.aave_moves import REPAY, WITHDRAW, moved
from agent.margin.changes import owed
from agent.margin.flash import FLASH, Purchase, largest, loss_usd, most_raw, purchases
from agent.margin.ray import RAY
from agent.margin.rescue import Means, Move, best_effort, cost_usd, healthy, needs, plans
from agent.margin.worths import worth_usd

TARGET = 135 * 10**16
MODELS = (aave_v3_0.MODEL, aave_v3_6.MODEL)
DECIMALS = {"weth": 18, "wbtc": 8, "usdc": 6, "dai": 18}


def pool(a: str, b: str, px: Fraction, fee: int = 500, deep: int = 10**6) -> ConcentratedPool:
    """Liquid all the way, one whole `a` costing `px` whole `b`; `deep`: how many whole `b` lie there, about."""
    raw = px * 10 ** DECIMALS[b] / 10 ** DECIMALS[a]
    sqrt = isqrt(raw.numerator * 2**192 // raw.denominator)
    liquidity = deep * 10 ** DECIMALS[b] * 2**96 // sqrt
    end = 887_200
    table = TickTable((-end, end), (liquidity, -liquidity))
    return ConcentratedPool(
        f"{a}/{b}/{fee}", (a, b), fee, 10, sqrt, tick_at_sqrt_price(sqrt), liquidity, table
    )


def pools_of(one: Account, r: random.Random) -> dict[str, ConcentratedPool]:
    """About the protocol's own prices, on either side of them."""
    px = {row.asset: Fraction(row.price_1e8, 10**8) for row in one.reserves}

    def near(a: str, b: str, fee: int = 500) -> ConcentratedPool:
        return pool(a, b, px[a] / px[b] * Fraction(r.randrange(9_950, 10_050), 10_000), fee)

    found = [near("weth", "usdc"), near("weth", "usdc", 3000), near("dai", "usdc", 100), near("wbtc", "usdc")]
    return {p.id: p for p in found}


def means(model: AaveModel, one: Account, pools: dict[str, ConcentratedPool], usd: Decimal) -> list[Means]:
    found = []
    lent = {row.asset: model.supply_raw(row, AT) for row in one.reserves}
    for debt, due in owed(model, one, AT).items():
        for given in ("weth", "wbtc"):
            for way in purchases(pools, debt, given, 2, max(due // 8, 1)):
                most = most_raw(one, way, due, lent[given], usd)
                found += [Means(FLASH, debt, most, GAS, buys=way)] if most else []
    return found


def check(count: int) -> None:
    reached = 0
    for seed in range(count):
        model, one, r = MODELS[seed % 2], account(seed), random.Random(seed)
        times = (AT, AT + 180)
        if healthy(model, one, times, TARGET, []):
            continue
        at_hand = means(model, one, pools_of(one, r), Decimal(200))
        for plan in plans(model, one, times, TARGET, at_hand):
            reached += 1
            (move,) = plan.moves
            way = move.means.buys
            assert way is not None and move.raw <= move.means.most_raw
            assert healthy(model, one, times, TARGET, [move])
            assert not healthy(model, one, times, TARGET, [Move(move.means, move.raw - 1)]), (
                "a unit less does"
            )
            taken = way.takes(move.raw)
            assert taken is not None
            after = moved(model, one, REPAY, move.means.asset, move.raw, AT)
            after = moved(model, after, WITHDRAW, way.lent, taken, AT)
            assert plan.health_1e18 == model.account_data(after, AT).health_1e18
            lost = worth_usd(one, way.lent, taken) - worth_usd(one, move.means.asset, move.raw)
            assert plan.cost_usd == GAS + max(lost, Decimal(0)) and lost <= 200
    assert reached > count // 4


def test_every_plan_reaches_its_target_and_a_unit_less_does_not() -> None:
    check(40)


@pytest.mark.full
def test_three_thousand_plans_reach_their_target_and_a_unit_less_does_not() -> None:
    check(3_000)


def loan(debt: int) -> Account:
    """Ten ether at 3,000 against dollars, without interest."""
    return Account((
        Reserve("weth", 18, 3_000 * 10**8, 8_000, 8_250, True, AT, 10 * 10**18, RAY, 0, 0, RAY, 0),
        Reserve("usdc", 6, 10**8, 0, 0, False, AT, 0, RAY, 0, debt * 10**6, RAY, 0),
    ))  # fmt: skip


@pytest.mark.parametrize("model", MODELS, ids=lambda m: str(m.name))
@pytest.mark.parametrize("debt", [19_000, 21_500, 26_000])
def test_it_comes_to_what_the_closed_form_says_below_one_as_well(model: AaveModel, debt: int) -> None:
    one = loan(debt)
    deep = {"p": pool("weth", "usdc", Fraction(3_000), 500, 10**15)}
    (plan,) = plans(model, one, (AT,), TARGET, means(model, one, deep, Decimal(10**6)))
    # x dollars repaid, x / (1 − fee) of collateral taken for them: H (D − x) = C − LT x / (1 − fee).
    health, kept = Fraction(TARGET, 10**18), Fraction(10**6 - 500, 10**6)
    exact = (health * debt - 24_750) / (health - Fraction(825, 1_000) / kept)
    assert abs(plan.moves[0].raw - exact * 10**6) < 100
    assert abs(plan.cost_usd - GAS - Decimal(float(exact / kept - exact))) < Decimal("0.01")


def test_a_way_over_two_pools_is_two_exact_purchases() -> None:
    pools = pools_of(account(3), random.Random(3))
    straight, *_ = purchases(pools, "usdc", "weth", 4, 10**8)
    assert len(straight.pools) == 1 and {p.fee_pips for p in straight.pools} <= {500, 3000}
    around = purchases(pools, "dai", "weth", 4, 10**18)
    assert [w.tokens for w in around] == [("dai", "usdc", "weth")] * 2
    raw = 123 * 10**18
    for way in around:
        first = swap_exact_out(way.pools[0], "usdc", "dai", raw)
        assert isinstance(first, Swapped)
        second = swap_exact_out(way.pools[1], "weth", "usdc", first.amount_in)
        assert isinstance(second, Swapped) and way.takes(raw) == second.amount_in
    assert (around[0].takes(10**18) or 0) <= (around[1].takes(10**18) or 0)
    assert purchases({}, "usdc", "weth", 4, 1) == []


def test_no_more_than_the_pools_the_loan_and_the_limit_leave() -> None:
    one = loan(21_500)
    puddle = Purchase(("usdc", "weth"), (pool("weth", "usdc", Fraction(3_000), 500, 20_000),))
    assert puddle.takes(10**15) is None and puddle.takes(0) is None
    due = 21_500 * 10**6
    most = most_raw(one, puddle, due, 10 * 10**18, Decimal(100))
    at, above = (loss_usd(one, puddle, raw) for raw in (most, most + 1))
    assert at is not None and above is not None and at <= 100 < above
    few = most_raw(one, puddle, due, 10**18, Decimal(10**6))
    assert (puddle.takes(few) or 0) <= 10**18 < (puddle.takes(few + 1) or 0)
    assert most_raw(one, puddle, due, 10 * 10**18, Decimal(-1)) == 0
    assert largest(lambda raw: raw <= 7, 100) == 7 and largest(lambda raw: True, 9) == 9


def test_where_it_cannot_do_alone_it_is_the_rest_of_a_plan_and_never_what_is_missing() -> None:
    one, model = loan(21_500), aave_v3_0.MODEL
    deep = {"p": pool("weth", "usdc", Fraction(3_000), 500, 10**9)}
    (flash,) = means(model, one, deep, Decimal(2))
    assert plans(model, one, (AT,), TARGET, [flash]) == []
    short = best_effort(model, one, (AT,), [flash], Decimal(10_000))
    assert short is not None and short.moves[0].raw == flash.most_raw and short.cost_usd <= 2 + GAS
    cash = Means(REPAY, "usdc", 2_500 * 10**6, GAS)
    found = plans(model, one, (AT,), TARGET, [flash, cash])
    assert found and [[m.means.do for m in p.moves] for p in found] == [[REPAY, FLASH]]
    assert found[0].cost_usd == sum((cost_usd(one, m) for m in found[0].moves), Decimal(0))
    alone, with_it = (needs(model, one, (AT,), TARGET, m) for m in ([], [flash]))
    assert alone == with_it, "what it could do is no money of the wallet's"
    other = Means(FLASH, "usdc", flash.most_raw, GAS, buys=flash.buys)
    assert all(len(p.moves) == 1 or p.moves[0].means is cash for p in plans(model, one, (AT,), TARGET, [flash, other, cash]))  # fmt: skip


def test_what_would_make_it_worse_keeps_nothing_that_helps_from_being_done() -> None:
    """At a pool a third below the protocol's price more security is lost than debt: what the wallet has is paid, and nothing is sold."""
    model = aave_v3_0.MODEL
    rows = (
        Reserve("weth", 18, 3_000 * 10**8, 8_000, 8_250, True, AT, 10 * 10**18, RAY, 0, 0, RAY, 0),
        Reserve("usdc", 6, 10**8, 0, 0, False, AT, 0, RAY, 0, 22_500 * 10**6, RAY, 0),
    )
    one = Account(rows)
    (flash,) = means(model, one, {"p": pool("weth", "usdc", Fraction(2_000), 500, 10**9)}, Decimal(10_000))
    cash = Means(REPAY, "usdc", 2_000 * 10**6, GAS)
    assert plans(model, one, (AT,), TARGET, [flash, cash]) == []
    assert best_effort(model, one, (AT,), [flash], Decimal(50_000)) is None
    short = best_effort(model, one, (AT,), [flash, cash], Decimal(50_000))
    assert short is not None and [m.means for m in short.moves] == [cash]
