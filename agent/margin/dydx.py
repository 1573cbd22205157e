"""dYdX v4's cross subaccounts: maintenance is each market's own fraction of a position's worth at the oracle price, with no tiers.

A subaccount is liquidated once its net collateral, USDC and positions at oracle prices, is below the sum of those: the rule of the chain's
published margin code, which rounds each position's worth to a millionth of a dollar. Keys: `balance` (USDC with what positions cost put
back), `positions` of `asset`, `size`, `entry_px`, `mark_px` (the oracle's), `maintenance` (the market's fraction).
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from agent.margin import fields
from agent.margin.exchange import Position, number, positive, tier_doubt, with_cums
from agent.margin.perps import PerpModel, PerpRules

RULES = PerpRules(at_equality=False)


def _position(raw: Any, where: str, decimals: Mapping[str, int]) -> Position:
    if not isinstance(raw, Mapping):
        raise fields.wrong(f"{where} is not an object")
    fields.only(raw, where, {"asset", "size", "entry_px", "mark_px", "maintenance"})
    tiers = with_cums([(Fraction(0), positive(raw, "maintenance", where))])
    if why := tier_doubt(tiers):
        raise fields.wrong(f"{where}: {why}")
    return Position(
        fields.listed(raw, "asset", where, decimals),
        number(raw, "size", where),
        positive(raw, "entry_px", where),
        positive(raw, "mark_px", where),
        tiers,
    )


MODEL = PerpModel("dydx", RULES, _position)
