"""Loans of one coin against dollars under each lending model, at any health to begin with, and what a referee says of them.

The integer models get accounts as they are at a moment; the referee knows two amounts, a threshold, and how debt and deposit have grown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from agent.margin import aave_v3_0, aave_v3_6, compound_v3, maker_vault, morpho_blue
from agent.margin.aave_account import Account, Reserve
from agent.margin.model import MarginModel
from agent.margin.ray import RAY

YEAR_S = 31_536_000
COINS = 10
RATE = Fraction(6, 100)
"""A year's, where the recording has none of its own."""
THRESHOLDS = {
    "aave_v3_0": Fraction(825, 1000), "aave_v3_6": Fraction(825, 1000), "short": Fraction(78, 100),
    "compound_v3": Fraction(85, 100), "morpho_blue": Fraction(86, 100), "maker_vault": Fraction(100, 150),
}  # fmt: skip
KINDS = tuple(THRESHOLDS)


@dataclass(frozen=True, slots=True)
class Moment:
    """A step of a replay: the coin's price, and by symbol the (liquidity, borrow) indexes and rates in ray where they were recorded."""

    time_s: int
    px_1e8: int
    indexes: Mapping[str, tuple[int, int, int, int]] | None = None


@dataclass(frozen=True, slots=True)
class Loan:
    """`short`: dollars lent and the coin owed; else the coin lent and dollars owed. Begun at `begun` with a health of `health`."""

    name: str
    kind: str
    begun: Moment
    health: Fraction

    @property
    def model(self) -> MarginModel:
        return {
            "aave_v3_0": aave_v3_0.MODEL, "aave_v3_6": aave_v3_6.MODEL, "short": aave_v3_6.MODEL,
            "compound_v3": compound_v3.MODEL, "morpho_blue": morpho_blue.MODEL, "maker_vault": maker_vault.MODEL,
        }[self.kind]  # type: ignore[return-value]  # fmt: skip

    @property
    def dollars(self) -> int:
        """What is lent or owed of them to begin with, in millionths."""
        worth = COINS * Fraction(self.begun.px_1e8, 10**8)
        share = THRESHOLDS[self.kind]
        usd = worth * self.health / share if self.kind == "short" else worth * share / self.health
        return int(usd * 10**6)

    # ---- the referee's

    def grown(self, now: Moment, symbol: str, side: int) -> Decimal:
        """What one unit of a deposit (side 0) or of a debt (side 1) has become."""
        if now.indexes is not None and self.begun.indexes is not None and self.kind == "aave_v3_0":
            return Decimal(now.indexes[symbol][side]) / self.begun.indexes[symbol][side]
        if side == 0:
            return Decimal(1)
        grows = Decimal(RATE.numerator * (now.time_s - self.begun.time_s)) / (RATE.denominator * YEAR_S)
        return 1 + grows if self.kind == "compound_v3" else grows.exp()

    def exact(self, now: Moment) -> Decimal:
        """The health in 28 digits, of the two amounts alone."""
        px, usd = Decimal(now.px_1e8) / 10**8, Decimal(self.dollars) / 10**6
        share = Decimal(THRESHOLDS[self.kind].numerator) / THRESHOLDS[self.kind].denominator
        if self.kind == "short":
            return usd * self.grown(now, "USDC", 0) * share / (COINS * px * self.grown(now, "WETH", 1))
        return COINS * px * self.grown(now, "WETH", 0) * share / (usd * self.grown(now, "USDC", 1))

    # ---- the models'

    def account(self, now: Moment) -> Any:
        """The account as a chain would tell it at that moment: last updated when it began, or where the recording says."""
        second = int(RATE * 10**18 / YEAR_S)
        began, dollars = self.begun.time_s, self.dollars
        match self.kind:
            case "compound_v3":
                coin = compound_v3.Collateral(
                    "weth", 18, COINS * 10**18, now.px_1e8, 8 * 10**17, 85 * 10**16, 95 * 10**16
                )
                return compound_v3.Account("usdc", 6, 10**8, -dollars, 10**15, 10**15, second, began, (coin,))
            case "morpho_blue":
                return morpho_blue.Account(
                    "usdc", 6, "weth", 18, 86 * 10**16, now.px_1e8 * 10**16, COINS * 10**18, dollars * 10**6, 10**12, 10**18,
                    second, began,
                )  # fmt: skip
            case "maker_vault":
                duty = RAY + int(RATE * RAY / YEAR_S)
                return maker_vault.Account(
                    "weth",
                    "dai",
                    COINS * 10**18,
                    dollars * 10**12,
                    RAY,
                    duty,
                    began,
                    now.px_1e8 * 10**10,
                    RAY,
                    15 * 10**26,
                )
        coins, usd = COINS * 10**18, dollars
        lent, owed = (
            ({"USDC": usd}, {"WETH": coins}) if self.kind == "short" else ({"WETH": coins}, {"USDC": usd})
        )
        rows = []
        for symbol, decimals, px in (("WETH", 18, now.px_1e8), ("USDC", 6, 10**8)):
            supply, debt = lent.get(symbol, 0), owed.get(symbol, 0)
            updated, told = began, (RAY, RAY, 0, int(RATE * RAY))
            if now.indexes is not None and self.begun.indexes is not None and self.kind == "aave_v3_0":
                # Scaled amounts stay as they are; the pool's indexes of that minute grow them.
                before = self.begun.indexes[symbol]
                supply, debt = supply * RAY // before[0], debt * RAY // before[1]
                updated, told = now.time_s, now.indexes[symbol]
            threshold = int(THRESHOLDS[self.kind] * 10_000)
            rows.append(
                Reserve(symbol.lower(), decimals, px, threshold, threshold, supply > 0, updated, supply, told[0], told[2], debt, told[1], told[3])
            )  # fmt: skip
        return Account(tuple(rows))

    def factor(self, now: Moment) -> int:
        found = self.model.at_moves(self.account(now), {}, now.time_s)
        assert found is not None
        return found
