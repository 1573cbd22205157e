"""Binance's notional brackets as accounts/1 writes them: [floor, rate, cum], decimal strings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.margin import fields
from agent.margin.exchange import Tier, number, tier_doubt


def read_brackets(raw: Mapping[str, Any], where: str) -> tuple[Tier, ...]:
    """Raises Usage where the table leaps between brackets: a wrong deduction there is a wrong liquidation price."""
    found = []
    for n, row in enumerate(fields.rows(raw, "brackets", where)):
        if not isinstance(row, list) or len(row) != 3:
            raise fields.wrong(f"{where}, bracket {n}: [floor, rate, cum]")
        named = {"floor": row[0], "rate": row[1], "cum": row[2]}
        found.append(Tier(*(number(named, key, where) for key in named)))
    if why := tier_doubt(found):
        raise fields.wrong(f"{where}: {why}")
    return tuple(found)
