"""OKX's multi-currency margin: liquidated where adjusted equity no longer exceeds maintenance and the fees of closing.

Every asset counts at its discount rate, tier by tier, and whole where it is below zero: that is a liability, for which its tier's rate must
stay; the margin level is adjusted equity over maintenance margin with liquidation fees,
the exchange warns at 300 % and liquidates at 100 %. Formulas: the exchange's help page on multi-currency margin trading. Keys: those of
`unified`. Its tiers go by contracts, not by value, so that a position's `brackets` are one row, [0, the rate of its tier, 0].
Options and portfolio margin are not computed here; an isolated position is an account of its own.
"""

from __future__ import annotations

from fractions import Fraction

from agent.margin.unified import Rules, UnifiedModel

MODEL = UnifiedModel(
    "okx_multi", Rules(Fraction(1), Fraction(3), fees=True, tiers=True, order_loss=True, lends=True)
)
