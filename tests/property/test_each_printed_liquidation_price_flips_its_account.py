"""Random books of several accounts under every lending model and at an exchange: none is called safe that is not, and each price that
is printed, put into a fresh account, is the last integer at which its own arithmetic says that it is liquidated."""

from __future__ import annotations

import random

import pytest
from random_books import AT, FIRST, KINDS, book, flips, hold, more

from agent.margin import aave_v3_4
from agent.margin.model import Side, State
from agent.margin.surface import Member


def holds(count: int, seed: int) -> None:
    draw, printed, gone, models = random.Random(seed), 0, 0, set[str]()
    for _ in range(count):
        for member in book(draw):
            assert member.model is not None
            printed += hold(member)
            gone += member.state({}) is State.LIQUIDATABLE
            models.add(member.model.name)
    # What was drawn is of every kind, and about its edge: a third has fallen, the others have somewhere to fall.
    # (Aave's four versions are of one kind.)
    assert len(models) == len(set(KINDS)) + 3 and printed > 2 * count and count / 4 < gone < count


def test_several_hundred_books() -> None:
    holds(400, 5)


@pytest.mark.full
@pytest.mark.timeout(7_200)
def test_a_million_books() -> None:
    for part in range(10):
        holds(100_000, 1_001 + part)


@pytest.mark.parametrize(
    "count", [150, pytest.param(60_000, marks=[pytest.mark.full, pytest.mark.timeout(7_200)])]
)
def test_troves_gmx_positions_unified_accounts_and_crvusd_loans(count: int) -> None:
    draw, printed, gone, models = random.Random(77), 0, 0, set[str]()
    for _ in range(count):
        member = Member("one", *more(draw), AT)
        assert member.model is not None
        printed += hold(member)
        gone += member.state({}) is State.LIQUIDATABLE
        models.add(member.model.name)
    assert models == {"liquity_v2", "gmx_v2", "bybit_uta", "okx_multi", "crvusd"}
    assert printed > count and count / 5 < gone < 4 * count / 5


def test_a_price_about_which_two_floors_flicker_is_the_first_on_the_way() -> None:
    """Dust, both lent and owed, whose two values move once in several ticks: between the first bad price and the last good one the
    contract's answer goes to and fro."""
    draw = random.Random(1)
    drawn = [book(draw, FIRST) for _ in range(65)][64]
    (member,) = [m for m in drawn if m.model is aave_v3_4.MODEL]
    health = aave_v3_4.MODEL.health(member.account, AT)
    told = next(px for px in health.liquidation_px if px.asset == "usdc")
    assert told.side is Side.ABOVE and told.px_raw is not None
    flips(aave_v3_4.MODEL, member.account, told, bad_now=False)

    def bad(px: int) -> bool:
        factor = aave_v3_4.MODEL.at_prices(member.account, {"usdc": px}, AT)
        return factor is not None and factor < 10**18

    near = [bad(px) for px in range(told.px_raw - 200, told.px_raw + 40)]
    assert not any(near[:200]) and near[200] and not all(near[200:])
