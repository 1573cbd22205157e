"""Solidly's stable curve reverts for single amounts between those that trade, and for all of them above some: what buys an amount for the least is below
either. Found against the published code, which takes our least and refuses a unit less."""

from __future__ import annotations

import pytest

from agent.amm import Reverted, SolidlyPool, Swapped, swap_exact_in, swap_exact_out

SMALL = SolidlyPool("p", ("A", "B"), (60024183, 27141688), 5, True, (10**6, 10**6))
HUGE = SolidlyPool(
    "p", ("A", "B"), (4795639410732261, 6102586829348235328826114084), 30, True, (10**6, 10**18)
)


def bought(pool: SolidlyPool, wanted: int) -> Swapped:
    found = swap_exact_out(pool, "A", "B", wanted)
    assert isinstance(found, Swapped) and found.amount_out >= wanted
    assert swap_exact_in(pool, "A", "B", found.amount_in) == found
    return found


def test_no_amount_at_all_below_the_least_buys_it() -> None:
    wanted = 6532
    found = bought(SMALL, wanted)
    below = [swap_exact_in(SMALL, "A", "B", amount) for amount in range(found.amount_in)]
    reasons = {swap.reason for swap in below if isinstance(swap, Reverted)}
    assert "invariant overflow" in reasons
    assert max(swap.amount_out for swap in below if isinstance(swap, Swapped)) < wanted


def test_nearly_the_whole_reserve_is_bought_below_where_amounts_overflow() -> None:
    wanted = 5783842338394380522076766208
    found = bought(HUGE, wanted)
    over = swap_exact_in(HUGE, "A", "B", 2 * found.amount_in)
    assert isinstance(over, Reverted) and over.reason == "overflow"
    less = swap_exact_in(HUGE, "A", "B", found.amount_in - 1)
    assert isinstance(less, Swapped) and less.amount_out < wanted


@pytest.mark.parametrize("short", (1, 10**3, 10**6))
def test_what_no_amount_buys_is_refused(short: int) -> None:
    refused = swap_exact_out(HUGE, "A", "B", HUGE.reserves[1] - short)
    assert isinstance(refused, Reverted) and refused.reason == "overflow"
