"""Aave V3.0.x (npm @aave/core-v3 1.19.3, and forks of it such as Spark's), to the last integer.

Half-up everywhere, debt by three binomial terms, thresholds averaged and floored to basis points, close factor per reserve.
"""

from __future__ import annotations

from agent.margin.aave_account import Account, EMode, Reserve
from agent.margin.aave_core import VALUE_UNIT, AaveModel, AccountData, Rules
from agent.margin.aave_seize import SeizeRules

MODEL = AaveModel(
    "aave_v3_0",
    Rules(
        taylor=False,
        directed=False,
        averaged=True,
        by_category=False,
        seize=SeizeRules(whole=False, debt_up=False, directed=False),
    ),
)
account_data = MODEL.account_data

__all__ = ["MODEL", "VALUE_UNIT", "Account", "AccountData", "EMode", "Reserve", "account_data"]
