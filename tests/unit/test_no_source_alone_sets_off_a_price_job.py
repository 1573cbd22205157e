"""A price condition holds where more than half of the fresh sources say so: one that is off moves a mean, and fires nothing."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from settings_values import parsed_with_jobs

from agent.app.jobs.facts import crossed_px
from agent.app.places import directory
from agent.domain.risk import OraclePrice

NOW_S = 1_800_000_000


@pytest.mark.parametrize(
    ("told", "below", "px"),
    [
        ([2600, 3100], True, 3100),
        ([2600, 3100], False, 2600),
        ([2800, 2850], True, 2850),
        ([2600, 3000, 3100], True, 3000),
        ([2600, 2890, 3100], True, 2890),
        ([2600, 2700, 3000, 3100], True, 3000),
        ([2600], True, None),
        ([], False, None),
    ],
)
async def test_no_source_alone_sets_off_a_price_job(told: list[int], below: bool, px: int | None) -> None:
    settings = parsed_with_jobs()
    old = OraclePrice("stale", "ETH", Decimal(1), NOW_S - 10**6)
    fresh = [OraclePrice(f"source {n}", "ETH", Decimal(px), NOW_S) for n, px in enumerate(told)]

    async def prices() -> tuple[OraclePrice, ...]:
        return (old, *fresh)

    app: Any = SimpleNamespace(
        settings=settings,
        directory=directory(settings, {}),
        oracles=SimpleNamespace(prices=prices),
        clock=SimpleNamespace(now_ns=lambda: NOW_S * 10**9),
    )
    found = await crossed_px(app, "ETH", below)
    assert found == (None if px is None else Decimal(px))
