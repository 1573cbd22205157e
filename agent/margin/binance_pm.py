"""Binance portfolio margin: one ratio, uniMMR, over cross-margin loans, USD-M and COIN-M futures.

uniMMR = Σ adjusted equity / Σ maintenance. Liquidation begins at 105 %, and the exchange warns from 150 %. Formulas: the exchange's FAQ on
uniMMR. Keys: those of `unified`.
"""

from __future__ import annotations

from fractions import Fraction

from agent.margin.unified import Rules, UnifiedModel

MODEL = UnifiedModel("binance_pm", Rules(liquidated_at=Fraction(105, 100), warned_at=Fraction(150, 100)))
