"""Aave V3.5 (pool revision 9): supply floored, debt and its value rounded up, eˣ by its series, health from the unaveraged sum."""

from __future__ import annotations

from agent.margin.aave_core import AaveModel, Rules
from agent.margin.aave_seize import SeizeRules

MODEL = AaveModel(
    "aave_v3_5",
    Rules(
        taylor=True,
        directed=True,
        averaged=False,
        by_category=False,
        seize=SeizeRules(whole=True, debt_up=True, directed=False),
    ),
)
