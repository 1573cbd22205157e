"""Deribit's segregated standard margin: each currency an account of its own, liquidated where its equity no longer exceeds maintenance.

Futures and perpetuals alone: linear ones in dollars, inverse ones (`contract_usd` 1: `size` in dollars) in the coin that secures them, so
that a short of as many dollars as the coin is worth has a constant worth in dollars and no rise liquidates it. The exchange tells what
each position must keep now; that share of its value is its rate at every price. The true one grows with the position in coins, which of
an inverse short shrinks as the price rises. Called at risk from 90 % of the equity on. Formulas: the venue's support pages on
standard margin and inverse futures; checked by hand against them. Keys: those of `unified`.
"""

from __future__ import annotations

from fractions import Fraction

from agent.margin.unified import Rules, UnifiedModel

MODEL = UnifiedModel("deribit_sm", Rules(Fraction(1), Fraction(100, 90)))
