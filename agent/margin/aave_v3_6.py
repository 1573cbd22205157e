"""Aave V3.6 (npm @aave-dao/aave-v3-origin 3.6.0, pool revision 10): 3.5's rounding, and categories apart from a reserve's own settings."""

from __future__ import annotations

from agent.margin.aave_core import AaveModel, Rules
from agent.margin.aave_seize import SeizeRules

MODEL = AaveModel(
    "aave_v3_6",
    Rules(
        taylor=True,
        directed=True,
        averaged=False,
        by_category=True,
        seize=SeizeRules(whole=True, debt_up=True, directed=False),
    ),
)
