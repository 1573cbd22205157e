"""Bybit's unified trading account, cross margin: liquidated where its maintenance margin rate reaches 100 %.

That rate is total maintenance margin (positions, with the fee to close them, and loans) over the margin balance (every asset at its
collateral value ratio, tier by tier) less what open orders would lose. Told here as the inverse, so that one is where liquidation
begins; the account is called at risk from 85 % of maintenance on. Formulas: the exchange's glossary of the unified account and its rules of
liquidation. Keys: those of `unified`; `brackets` deduct as Bybit's risk limits do. Options and portfolio margin are not computed here.
"""

from __future__ import annotations

from fractions import Fraction

from agent.margin.unified import Rules, UnifiedModel

MODEL = UnifiedModel(
    "bybit_uta", Rules(Fraction(1), Fraction(100, 85), fees=True, tiers=True, order_loss=True, lends=True)
)
