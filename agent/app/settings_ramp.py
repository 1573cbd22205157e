"""The `[ramp]` table: how little a venue, chain or pool that is new may have open at once, and what raises it."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from agent.app.settings_table import Table
from agent.app.settings_types import Money, Name, PositiveMoney


class RampTable(Table):
    start_usd: Money = Field(
        Decimal(0),
        description='What may be open at once, in USD, at a venue or chain, or in a pool, where nothing of yours has settled yet; "250" is what `init` writes. 0: nothing starts small.',
    )
    factor: Annotated[int, Field(ge=2, le=100, strict=True)] = Field(
        4, description="How many times as much it is with every step up."
    )
    settled: Annotated[int, Field(ge=1, le=1_000, strict=True)] = Field(
        3,
        description="How many orders must have settled there for each step; together they must have been worth at least the cap they stood under.",
    )
    most_usd: PositiveMoney = Field(
        Decimal("10000"), description="A step that would bring this much ends it: then the limits alone hold."
    )
    known: tuple[Name, ...] = Field(
        (),
        description="Chains and venues, by name, that are not new to you. Their pools still are, one by one.",
    )
