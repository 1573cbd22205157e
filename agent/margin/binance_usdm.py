"""Binance USD-M futures, single-asset mode: cross and isolated, by notional brackets with their deductions.

Maintenance is |size|·mark·rate − cum of the bracket; liquidation begins where margin balance no longer exceeds it (a margin ratio of
100 %). Formulas: the exchange's FAQ on USD-M liquidation prices. Keys: `balance` (wallet balance in dollars), `positions` of `asset`,
`size`, `entry_px`, `mark_px`, `brackets` ([floor, rate, cum]), and `isolated` (wallet of the position, where isolated).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.margin import fields
from agent.margin.binance_brackets import read_brackets
from agent.margin.exchange import Position, number, positive
from agent.margin.perps import PerpModel, PerpRules

RULES = PerpRules(at_equality=True)


def _position(raw: Any, where: str, decimals: Mapping[str, int]) -> Position:
    if not isinstance(raw, Mapping):
        raise fields.wrong(f"{where} is not an object")
    fields.only(raw, where, {"asset", "size", "entry_px", "mark_px", "brackets", "isolated"})
    return Position(
        fields.listed(raw, "asset", where, decimals),
        number(raw, "size", where),
        positive(raw, "entry_px", where),
        positive(raw, "mark_px", where),
        read_brackets(raw, where),
        number(raw, "isolated", where) if "isolated" in raw else None,
    )


MODEL = PerpModel("binance_usdm", RULES, _position)
