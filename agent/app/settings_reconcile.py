"""The `[reconcile]` table: how much less than the books an exchange may hold before it is locked."""

from __future__ import annotations

from decimal import Decimal

from pydantic import Field

from agent.app.settings_table import Table
from agent.app.settings_types import Money


class ReconcileTable(Table):
    tolerance_usd: Money = Field(
        Decimal(50),
        description="What an exchange may hold less than the books say by nothing that explains it, in USD, before it is locked at a start: "
        "interest, fees and funding of contracts come to less. `fairlead reconcile --adopt` takes more over.",
    )
