"""The `[bridge]` table: what is offered for bringing money to another chain, how long is waited, and how much may be on its way."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from agent.app.settings_table import Table
from agent.app.settings_types import Bps, PositiveMoney


class BridgeTable(Table):
    fee_bps: Bps = Field(
        10,
        description="What a relayer of Across is offered of what is sent. None takes too little: it then comes back.",
    )
    usual_s: Annotated[int, Field(ge=1, le=3_600)] = Field(
        15,
        description="How long a relayer takes as a rule; a loan with less time than that is not waited for.",
    )
    life_s: Annotated[int, Field(ge=300, le=21_600)] = Field(
        1_800,
        description="How long a relayer may take at most. What nobody took by then comes back, which can take hours more.",
    )
    haircut_bps: Bps = Field(
        100, description="How much less than what is to arrive counts anywhere before it has arrived."
    )
    most_usd: PositiveMoney = Field(
        Decimal("10000"), description="The most that may be sent at once, in USD."
    )
    in_flight_usd: PositiveMoney = Field(
        Decimal("20000"), description="The most that may be on its way at any time, in USD."
    )
