"""A vault owes nothing or at least its dust (Vat.frob): payments that leave less are not planned, those that are taken are."""

from __future__ import annotations

import random
from dataclasses import replace
from decimal import Decimal

from agent.margin.aave_moves import ADD_COLLATERAL, REPAY
from agent.margin.maker_vault import MODEL, Account, owed_raw, rate_at
from agent.margin.ray import RAY
from agent.margin.rescue import Means, Move, Plan, best_effort, healthy, needs, plans

AT, LATE, WAD = 1_700_000_000, 180, 10**18
TIMES, TARGET = (AT, AT + LATE), 135 * 10**16
ETH, DAI = "weth", "dai"
FEE = 1_000000001547125957863212448
"""5 % a year, by the second."""


def vault(owed: int, dust: int, ink: int = 10, late_s: int = 0) -> Account:
    """`owed` whole DAI at a rate of 1.05 against `ink` ETH at 1,500 and 150 %; a contract pays at the rate of its block."""
    figures = (
        ink * WAD,
        owed * WAD * 100 // 105,
        RAY * 105 // 100,
        FEE,
        AT - 3_600,
        1_500 * WAD,
        RAY,
        RAY * 3 // 2,
    )
    return Account(ETH, DAI, *figures, dust_1e45=dust * 10**45, late_s=late_s)


def dai(whole: int) -> Means:
    return Means(REPAY, DAI, whole * WAD, Decimal(1))


def frob(one: Account, plan: Plan, at: int) -> Account:
    """Vat.frob with its own rule, as FurtherPayments calls it in a block of that time. None of it is the planner's."""
    for move in plan.moves:
        rate = rate_at(one, at)
        ink, art = one.ink_1e18, one.art_1e18
        if move.means.do == REPAY:
            whole = move.raw >= -(-art * rate // RAY)
            art -= art if whole else move.raw * RAY // rate
        else:
            ink += move.raw
        assert art == 0 or art * rate >= one.dust_1e45, "Vat/dust"
        one = replace(one, ink_1e18=ink, art_1e18=art)
    return one


def test_where_the_least_repayment_would_leave_dust_the_whole_is_paid() -> None:
    one = vault(8_000, 7_500)
    (plan,) = plans(MODEL, one, TIMES, TARGET, [dai(9_000)])
    assert plan.moves[0].raw == owed_raw(one, AT + LATE), "and in a block of any time until then"
    assert [frob(one, plan, at).art_1e18 for at in TIMES] == [0, 0]
    # With no dust, or one that is far below, no more than is needed.
    (less,) = plans(MODEL, replace(one, dust_1e45=10**45), TIMES, TARGET, [dai(9_000)])
    assert less.moves[0].raw < 1_000 * WAD


def test_what_does_not_pay_it_whole_pays_down_to_the_dust_and_collateral_the_rest() -> None:
    one = vault(8_000, 7_500)
    weth = Means(ADD_COLLATERAL, ETH, 5 * WAD, Decimal(2))
    assert plans(MODEL, one, TIMES, TARGET, [dai(2_000)]) == []
    effort = best_effort(MODEL, one, TIMES, [dai(2_000)], Decimal(10**6))
    assert effort is not None and 499 * WAD < effort.moves[0].raw < 501 * WAD
    assert all(one.dust_1e45 <= frob(one, effort, at).art_1e18 * rate_at(one, at) for at in TIMES)
    found = plans(MODEL, one, TIMES, TARGET, [dai(2_000), weth])
    assert found and all(frob(one, p, at) for p in found for at in TIMES)
    (need,) = [n for n in needs(MODEL, one, TIMES, TARGET, []) if n.do == REPAY]
    assert need.raw == owed_raw(one, AT + LATE)


def test_what_is_missing_is_told_beside_what_the_dust_keeps_from_being_paid() -> None:
    """2,000 DAI of 8,000 leave less than the dust: 500 of it are taken, and collateral besides would do."""
    one = vault(8_000, 7_500, 8)
    found = {n.do: n.raw for n in needs(MODEL, one, TIMES, TARGET, [dai(2_000)])}
    assert found.keys() == {REPAY, ADD_COLLATERAL}
    paid = best_effort(MODEL, one, TIMES, [dai(2_000)], Decimal(10**6))
    assert paid is not None
    more = Means(ADD_COLLATERAL, ETH, found[ADD_COLLATERAL], Decimal(0))
    whole = Plan((*paid.moves, Move(more, more.most_raw)), Decimal(0), Decimal(0), None)
    assert all(healthy(MODEL, frob(one, whole, at), [at], TARGET, []) for at in TIMES)


def test_below_the_dust_only_the_whole_is_taken() -> None:
    one, weth = vault(7_000, 7_500, 8), Means(ADD_COLLATERAL, ETH, 50 * WAD, Decimal(0))
    assert not healthy(MODEL, one, TIMES, TARGET, [])
    assert best_effort(MODEL, one, TIMES, [dai(6_000), weth], Decimal(10**6)) is None
    assert plans(MODEL, one, TIMES, TARGET, [dai(6_000), weth]) == []
    (plan,) = plans(MODEL, one, TIMES, TARGET, [dai(8_000), weth])
    assert frob(one, plan, AT + LATE).art_1e18 == 0


def test_the_vat_takes_every_plan_for_drawn_vaults() -> None:
    draw, told = random.Random(5), 0
    for _ in range(150):
        dust = draw.choice((0, 1_000, 7_500, 9_000))
        one = vault(draw.randint(6_000, 12_000), dust, draw.randint(6, 13), draw.choice((0, 900)))
        means = [
            dai(draw.randint(1, 13_000)),
            Means(ADD_COLLATERAL, ETH, draw.randint(1, 6 * WAD), Decimal(2)),
        ]
        effort = best_effort(MODEL, one, TIMES, means, Decimal(draw.randint(100, 20_000)))
        for plan in [*plans(MODEL, one, TIMES, TARGET, means), *([effort] if effort else [])]:
            frob(one, plan, draw.choice(TIMES))
            told += 1
    assert told > 150
