"""An account after a payment, to the last unit, as its protocol's version itself rounds it. Pure.

Aave's scaled balances: `aave_moves`. Compound III's principal is rounded up (Comet.principalValue), Morpho Blue's repaid shares down
(SharesMathLib.toSharesDown), as `changes` has them; Maker's `art` at the rate of a quarter of an hour later, as its payment is built. What is added as collateral there is counted in whole base units.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from agent.margin import aave_moves, maker_vault
from agent.margin.aave_account import Account
from agent.margin.aave_core import AaveModel
from agent.margin.aave_moves import REPAY
from agent.margin.changes import deposited, repaid
from agent.margin.model import MarginModel


def moved(model: MarginModel, account: Any, do: str, asset: str, raw: int, timestamp: int) -> Any:
    """The account once `raw` base units of `asset` are repaid or added in a block of that time."""
    if isinstance(account, Account) and isinstance(model, AaveModel):
        return aave_moves.moved(model, account, do, asset, raw, timestamp)
    if isinstance(account, maker_vault.Account) and do == REPAY:
        left = account.art_1e18 - maker_vault.art_repaid(account, raw, timestamp)
        return replace(account, art_1e18=left)
    return (repaid if do == REPAY else deposited)(model, account, asset, raw, timestamp)


def factor(model: MarginModel, account: Any, timestamp: int) -> int | None:
    """The health factor in 1e18 at that time as the protocol computes it, None without debt."""
    if isinstance(account, Account) and isinstance(model, AaveModel):
        return model.account_data(account, timestamp).health_1e18
    return model.at_moves(account, {}, timestamp)
