"""What every margin model answers, and how a caller finds one: `agent/margin/<name>.py` exposes MODEL."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import cache
from importlib import import_module
from typing import Any, Protocol, runtime_checkable

HEALTHY_1E18 = 10**18
"""Below this the account may be liquidated."""
AT_RISK_1E18 = 11 * 10**17
"""Below this an account that may not be liquidated yet is called at risk."""


class State(Enum):
    """UNKNOWN where no model here computes as the contract does: it is not safe."""

    SAFE = "SAFE"
    AT_RISK = "AT_RISK"
    LIQUIDATABLE = "LIQUIDATABLE"
    UNKNOWN = "UNKNOWN"


class Side(Enum):
    BELOW = "below"
    ABOVE = "above"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class LiquidationPx:
    """The price of `asset`, all others as they are, at which liquidation begins: `px_raw` in the model's price unit.

    BELOW: the highest price at which the account is liquidatable; ABOVE: the lowest; NONE: no price of it alone does that.
    `decimals` are the price's own, where they are not those of the model.
    """

    asset: str
    side: Side
    px_raw: int | None
    now_raw: int
    decimals: int | None = None

    @property
    def distance_pct_down(self) -> Decimal | None:
        """How far the price may still move, in percent of now, rounded down to two decimals; 0 where it is passed."""
        if self.px_raw is None or self.now_raw == 0:
            return None
        left = self.now_raw - self.px_raw if self.side is Side.BELOW else self.px_raw - self.now_raw
        return Decimal(max(left, 0) * 10_000 // self.now_raw).scaleb(-2)


@dataclass(frozen=True, slots=True)
class Seized:
    """What the largest liquidation that is allowed now takes, in base units: debt repaid, collateral lost, and of it the protocol's fee.

    `bad_debt_raw` stays unpaid with nothing left to take.
    """

    debt_asset: str
    repaid_raw: int
    collateral: tuple[tuple[str, int], ...]
    fee_raw: int = 0
    bad_debt_raw: int = 0


@dataclass(frozen=True, slots=True)
class Health:
    """An account as its protocol computes it. Values are ints of `value_unit`; `health_1e18` is None without debt.

    `seconds_to_liquidation` is at fixed prices, and never too late: 0 where liquidatable, None where interest alone never
    does it within a century. `maintenance_raw` is the margin a margin account must keep, None for loans, `initial_raw` what it must
    have to take more on, None where the model does not say; `bankruptcy_px` where closing a position would leave its share of the
    account with nothing; `seized` is None unless liquidatable.
    """

    state: State
    health_1e18: int | None
    collateral_value_raw: int
    debt_value_raw: int
    value_unit: str
    liquidation_px: tuple[LiquidationPx, ...]
    seconds_to_liquidation: int | None
    maintenance_raw: int | None = None
    seized: Seized | None = None
    initial_raw: int | None = None
    bankruptcy_px: tuple[LiquidationPx, ...] = ()

    @property
    def distance_pct_down(self) -> Decimal | None:
        """The smallest move of a single price, in percent, that makes the account liquidatable; None where none does."""
        if self.state is State.LIQUIDATABLE:
            return Decimal(0)
        left = [d for px in self.liquidation_px if (d := px.distance_pct_down) is not None]
        return min(left) if left else None


class MarginModel(Protocol):
    """One version of one protocol's arithmetic."""

    @property
    def name(self) -> str: ...

    @property
    def price_decimals(self) -> int: ...

    def read(self, account: Mapping[str, Any], decimals: Mapping[str, int]) -> Any:
        """An entry of an accounts/1 file as this model's own account. Raises Usage naming the wrong key."""
        ...

    def health(self, account: Any, timestamp: int) -> Health: ...

    def at_moves(self, account: Any, moves: Mapping[str, Fraction], timestamp: int) -> int | None:
        """The factor (1e18, below one exactly where liquidated, None without debt) once assets' prices are times `moves`, floored."""
        ...


@runtime_checkable
class ToldModel(Protocol):
    """A model whose accounts may say beside themselves what their exchange tells of them."""

    def disagreement(self, account: Any, timestamp: int) -> str:
        """In what the exchange's figures are not those computed, "" where they are."""
        ...


@runtime_checkable
class VolModel(Protocol):
    """A model of options: its accounts move with volatility as well."""

    def at_vol(self, account: Any, factor: Fraction) -> Any:
        """The account with every volatility times `factor`."""
        ...


def moved_px(px_raw: int, move: Fraction) -> int:
    """A price times a move, floored to its own unit."""
    return int(px_raw * move.numerator // move.denominator)


def state_of(health_1e18: int | None) -> State:
    if health_1e18 is None or health_1e18 >= AT_RISK_1E18:
        return State.SAFE
    return State.AT_RISK if health_1e18 >= HEALTHY_1E18 else State.LIQUIDATABLE


@cache
def models() -> Mapping[str, MarginModel]:
    """Every model of this package by name."""
    import agent.margin as package

    found: dict[str, MarginModel] = {}
    for module in pkgutil.iter_modules(package.__path__):
        loaded = import_module(f"agent.margin.{module.name}")
        if hasattr(loaded, "MODEL"):
            found[module.name] = loaded.MODEL
    return found


def known_models() -> Sequence[str]:
    return sorted(models())
