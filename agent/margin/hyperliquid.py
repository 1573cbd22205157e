"""Hyperliquid's perpetuals: maintenance is half the initial margin at the highest leverage of a notional's tier, cross or isolated.

An account (or an isolated position) is liquidated once its value is below maintenance. Formulas: the venue's documentation
on margining, margin tiers and liquidations. Keys: `balance` (cross collateral in dollars, without unrealised profit), `positions` of
`asset`, `size`, `entry_px`, `mark_px`, `tiers` ([from notional, highest leverage]), and `isolated` (margin, where isolated).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.margin import fields
from agent.margin.exchange import Position, number, positive, tier_doubt, with_cums
from agent.margin.perps import PerpModel, PerpRules

RULES = PerpRules(at_equality=False)


def _position(raw: Any, where: str, decimals: Mapping[str, int]) -> Position:
    if not isinstance(raw, Mapping):
        raise fields.wrong(f"{where} is not an object")
    fields.only(raw, where, {"asset", "size", "entry_px", "mark_px", "tiers", "isolated"})
    bounds = []
    for n, tier in enumerate(fields.rows(raw, "tiers", where)):
        if not isinstance(tier, list) or len(tier) != 2:
            raise fields.wrong(f"{where}, tier {n}: [from notional, highest leverage]")
        row = {"from": tier[0], "leverage": tier[1]}
        bounds.append((number(row, "from", where), 1 / (2 * positive(row, "leverage", where))))
    tiers = with_cums(bounds)
    if why := tier_doubt(tiers):
        raise fields.wrong(f"{where}: {why}")
    return Position(
        fields.listed(raw, "asset", where, decimals),
        number(raw, "size", where),
        positive(raw, "entry_px", where),
        positive(raw, "mark_px", where),
        tiers,
        number(raw, "isolated", where) if "isolated" in raw else None,
    )


MODEL = PerpModel("hyperliquid", RULES, _position)
