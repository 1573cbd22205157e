"""Aave V3.7 (pool revision 11): 3.6 with isolated categories, and seizing rounded against the liquidator."""

from __future__ import annotations

from agent.margin.aave_core import AaveModel, Rules
from agent.margin.aave_seize import SeizeRules

MODEL = AaveModel(
    "aave_v3_7",
    Rules(
        taylor=True,
        directed=True,
        averaged=False,
        by_category=True,
        seize=SeizeRules(whole=True, debt_up=True, directed=True),
    ),
)
