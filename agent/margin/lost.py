"""What of a coin a liquidation would take, at the price of the coin at which it begins: what a hedge is sized by. Pure.

The coin's price is let fall, everything that follows it with it, to where the protocol's own arithmetic first says so; there the model's
largest liquidation is taken (`Health.seized`), which is what a contract's holder loses at once, bonus and all.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from fractions import Fraction
from typing import Any

from agent.margin import aave_account, compound_v3, liquity_v2, maker_vault, morpho_blue
from agent.margin.model import HEALTHY_1E18, MarginModel, moved_px

PARTS = 10**6


def lost(model: MarginModel, account: Any, timestamp: int, falling: Collection[str]) -> dict[str, int]:
    """Base units by asset, of `falling` alone: the assets that follow the coin. Nothing where no fall of it liquidates the account, or its
    model tells no liquidation."""

    def gone(part: int) -> bool:
        factor = model.at_moves(account, dict.fromkeys(falling, Fraction(part, PARTS)), timestamp)
        return factor is not None and factor < HEALTHY_1E18

    low, high = 1, PARTS
    if not gone(low):
        return {}
    if not gone(high):
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if gone(middle) else (low, middle)
        high = low
    seized = model.health(fallen(account, falling, Fraction(high, PARTS)), timestamp).seized
    return {asset: raw for asset, raw in seized.collateral if asset in falling} if seized is not None else {}


def fallen(account: Any, falling: Collection[str], move: Fraction) -> Any:
    """The account with those assets' prices times `move`."""
    match account:
        case aave_account.Account():
            rows = (
                replace(r, price_1e8=moved_px(r.price_1e8, move)) if r.asset in falling else r
                for r in account.reserves
            )
            return replace(account, reserves=tuple(rows))
        case compound_v3.Account():
            held = (
                replace(c, price_1e8=moved_px(c.price_1e8, move)) if c.asset in falling else c
                for c in account.collateral
            )
            return replace(account, collateral=tuple(held))
        case morpho_blue.Account() if account.collateral in falling and account.loan not in falling:
            return replace(account, oracle_price_1e36=moved_px(account.oracle_price_1e36, move))
        case maker_vault.Account() | liquity_v2.Account() if account.collateral in falling:
            return replace(account, price_1e18=moved_px(account.price_1e18, move))
    return account
