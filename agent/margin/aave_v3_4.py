"""Aave V3.4 (pool revision 8): computes an account as 3.3 does."""

from __future__ import annotations

from agent.margin.aave_core import AaveModel, Rules
from agent.margin.aave_seize import SeizeRules

MODEL = AaveModel(
    "aave_v3_4",
    Rules(
        taylor=False,
        directed=False,
        averaged=True,
        by_category=False,
        seize=SeizeRules(whole=True, debt_up=False, directed=False),
    ),
)
