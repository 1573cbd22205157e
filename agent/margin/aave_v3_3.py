"""Aave V3.3 (pool revisions 6 and 7): 3.0's arithmetic, with the close factor of the whole position and no dust left behind."""

from __future__ import annotations

from agent.margin.aave_core import AaveModel, Rules
from agent.margin.aave_seize import SeizeRules

MODEL = AaveModel(
    "aave_v3_3",
    Rules(
        taylor=False,
        directed=False,
        averaged=True,
        by_category=False,
        seize=SeizeRules(whole=True, debt_up=False, directed=False),
    ),
)
