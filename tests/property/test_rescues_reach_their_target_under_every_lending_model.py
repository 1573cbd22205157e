"""Aave's versions, Compound III, Morpho Blue, a Maker vault: a plan reaches its target at every time asked for, and its last unit is needed."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest
from random_books import AT, aave, comet, maker, morpho

from agent.margin.aave_moves import ADD_COLLATERAL, REPAY
from agent.margin.changes import deposits, owed
from agent.margin.rescue import Means, Move, health_after, healthy, needs, plans
from agent.margin.worths import assets_of, raw_worth, worth_usd

TARGET, TIMES, PX = 135 * 10**16, (AT, AT + 180), Decimal("0.98")


def checked(kind: Any, seed: int) -> int:
    """How many plans there were."""
    draw = random.Random(seed)
    model, one = kind(draw)
    if healthy(model, one, TIMES, TARGET, []):
        return 0
    ways = [(REPAY, a) for a in owed(model, one, AT)] + [(ADD_COLLATERAL, a) for a in deposits(model, one)]
    assert ways and {a for _, a in ways} <= set(assets_of(one))
    means = [Means(do, a, raw_worth(one, a, Decimal(10) ** draw.randrange(-1, 8), PX), Decimal(3)) for do, a in ways]  # fmt: skip
    found = plans(model, one, TIMES, TARGET, means, PX)
    for plan in found:
        *before, last = plan.moves
        assert healthy(model, one, TIMES, TARGET, plan.moves)
        assert plan.health_1e18 == health_after(model, one, AT, plan.moves)
        assert not healthy(model, one, TIMES, TARGET, [*before, Move(last.means, last.raw - 1)])
        assert plan.paid_usd == sum(worth_usd(one, m.means.asset, m.raw, PX) for m in plan.moves)
    everything = [Move(m, m.most_raw) for m in means if m.most_raw > 0]
    for need in needs(model, one, TIMES, TARGET, means, PX) if not found else ():
        brought = Means(need.do, need.asset, need.raw, Decimal(0))
        assert healthy(model, one, TIMES, TARGET, [*everything, Move(brought, need.raw)])
    return len(found)


@pytest.mark.parametrize("kind", [aave, comet, morpho, maker])
def test_the_last_unit_is_needed(kind: Any) -> None:
    assert sum(checked(kind, seed) for seed in range(25)) > 5


@pytest.mark.full
@pytest.mark.parametrize("kind", [aave, comet, morpho, maker])
def test_the_last_unit_is_needed_in_thousands(kind: Any) -> None:
    assert sum(checked(kind, seed) for seed in range(100, 2_100)) > 500
