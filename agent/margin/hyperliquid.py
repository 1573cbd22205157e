"""Hyperliquid's perpetuals: maintenance is half the initial margin at the highest leverage of a notional's tier, cross or isolated.

An account (or an isolated position) is liquidated once its value is below maintenance. Formulas: the venue's documentation
on margining, margin tiers and liquidations. Keys: `balance` (cross collateral in dollars, without unrealised profit), `positions` of
`asset`, `size`, `entry_px`, `mark_px`, `tiers` ([from notional, highest leverage]), and `isolated` (margin, where isolated).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from agent.margin import fields
from agent.margin.exchange import PX_DECIMALS, Position, number, positive, tier_doubt, with_cums
from agent.margin.model import Health
from agent.margin.perps import PerpAccount, PerpRules, moved, perp_health, ratio_at

RULES = PerpRules(at_equality=False)
BACKSTOP = Fraction(2, 3)
"""Below this part of maintenance the venue's own vault takes what the book did not."""


@dataclass(frozen=True, slots=True)
class Hyperliquid:
    name: str = "hyperliquid"
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


MODEL = Hyperliquid()
