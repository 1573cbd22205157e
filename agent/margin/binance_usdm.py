"""Binance USD-M futures, single-asset mode: cross and isolated, by notional brackets with their deductions.

Maintenance is |size|·mark·rate − cum of the bracket; liquidation begins where margin balance no longer exceeds it (a margin ratio of
100 %). Formulas: the exchange's FAQ on USD-M liquidation prices. Keys: `balance` (wallet balance in dollars), `positions` of `asset`,
`size`, `entry_px`, `mark_px`, `brackets` ([floor, rate, cum]), and `isolated` (wallet of the position, where isolated).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from agent.margin import fields
from agent.margin.binance_brackets import read_brackets
from agent.margin.exchange import PX_DECIMALS, Position, number, positive
from agent.margin.model import Health
from agent.margin.perps import PerpAccount, PerpRules, moved, perp_health, ratio_at

RULES = PerpRules(at_equality=True)


@dataclass(frozen=True, slots=True)
class BinanceUsdm:
    name: str = "binance_usdm"
    price_decimals: int = PX_DECIMALS

    def read(self, account: Mapping[str, Any], decimals: Mapping[str, int]) -> PerpAccount:
        where = f"account {account.get('id', '?')}"
        fields.only(account, where, {"id", "model", "chain", "balance", "positions"})
        rows = fields.rows(account, "positions", where)
        found = tuple(_position(r, f"{where}, position {n}", decimals) for n, r in enumerate(rows))
        names = [p.asset for p in found]
        if len(set(names)) < len(names):
            raise fields.wrong(f"{where}: an asset has two positions")
        return PerpAccount(number(account, "balance", where), found)

    def health(self, account: PerpAccount, timestamp: int) -> Health:
        return perp_health(account, RULES)

    def at_prices(self, account: PerpAccount, prices_1e8: Mapping[str, int], timestamp: int) -> int | None:
        return ratio_at(account, RULES, {a: Fraction(p, 10**8) for a, p in prices_1e8.items()})

    def at_moves(self, account: PerpAccount, moves: Mapping[str, Fraction], timestamp: int) -> int | None:
        return ratio_at(account, RULES, moved(account, moves))


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


MODEL = BinanceUsdm()
