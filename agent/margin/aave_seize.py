"""What liquidating an Aave V3 account takes: close factor, bonus, the protocol's fee, leftovers and bad debt. Pure integers.

Sources: LiquidationLogic of core-v3 1.19.3 (per-reserve close factor) and of aave-v3-origin 3.3.0, 3.4.0 and 3.6.0 (whole-position
close factor from 3.3 on, and no dust left behind); 3.7 rounds bonus and fee against the liquidator instead of half-up.
"""

from __future__ import annotations

from dataclasses import dataclass

from agent.margin.model import Seized
from agent.margin.ray import (
    RAY,
    div_up,
    percent_div_down,
    percent_div_half_up,
    percent_div_up,
    percent_mul_down,
    percent_mul_half_up,
    percent_mul_up,
    ray_div_half_up,
    ray_mul_down,
    ray_mul_half_up,
)

CLOSE_FACTOR_HEALTH_1E18 = 95 * 10**16
CLOSE_FACTOR_BPS = 5_000
FULL_CLOSE_BELOW_1E8 = 2_000 * 10**8
LEAST_LEFTOVER_1E8 = 1_000 * 10**8


@dataclass(frozen=True, slots=True)
class SeizeRules:
    """`whole`: the close factor is of the whole position, small ones are closed at once and no dust is left (3.3 on).
    `debt_up`: what debt is worth, and the debt that a whole collateral pays for, are rounded up (3.5 on). `directed`: 3.7's rounding.
    """

    whole: bool
    debt_up: bool
    directed: bool


@dataclass(frozen=True, slots=True)
class Available:
    """The liquidator's collateral, the debt it costs, the protocol's fee (in collateral), and what left the account in base value."""

    collateral_raw: int
    debt_raw: int
    fee_raw: int
    collateral_base: int


def available(
    rules: SeizeRules,
    collateral_px: int,
    collateral_unit: int,
    debt_px: int,
    debt_unit: int,
    cover_raw: int,
    collateral_raw: int,
    bonus_bps: int,
    fee_bps: int,
) -> Available:
    """LiquidationLogic._calculateAvailableCollateralToLiquidate; prices are not zero."""
    base = debt_px * cover_raw * collateral_unit // (collateral_px * debt_unit)
    most = (percent_mul_down if rules.directed else percent_mul_half_up)(base, bonus_bps)
    taken, needed = most, cover_raw
    if most > collateral_raw:
        taken = collateral_raw
        quotient = collateral_px * taken * debt_unit // (debt_px * collateral_unit)
        needed = (percent_div_up if rules.debt_up else percent_div_half_up)(quotient, bonus_bps)
    value, fee = taken * collateral_px // collateral_unit, 0
    if fee_bps:
        without = (percent_div_down if rules.directed else percent_div_half_up)(taken, bonus_bps)
        fee = (percent_mul_up if rules.directed else percent_mul_half_up)(taken - without, fee_bps)
    return Available(taken - fee, needed, fee, value)


def fee_paid(fee_raw: int, taken_raw: int, scaled_supply_raw: int, index_1e27: int, *, directed: bool) -> int:
    """The fee as the treasury gets it: in aTokens, and no more of them than burning the liquidator's part leaves.

    Rounding alone cuts it, by a base unit, where all of a collateral goes. LiquidationLogic.executeLiquidationCall of core-v3 1.19.3
    (scaled amounts half-up) and of aave-v3-origin 3.6.0 (`directed`: both rounded up, the balance down).
    """
    if directed:
        burnt, wanted = div_up(taken_raw * RAY, index_1e27), div_up(fee_raw * RAY, index_1e27)
    else:
        burnt, wanted = ray_div_half_up(taken_raw, index_1e27), ray_div_half_up(fee_raw, index_1e27)
    left = max(scaled_supply_raw - burnt, 0)
    if wanted <= left:
        return fee_raw
    return (ray_mul_down if directed else ray_mul_half_up)(left, index_1e27)


def most_debt(
    rules: SeizeRules,
    debt_raw: int,
    debt_base: int,
    collateral_base: int,
    total_debt_base: int,
    health_1e18: int,
    debt_px: int,
    debt_unit: int,
) -> int:
    """How much of one reserve's debt a single call may repay."""
    if not rules.whole:
        half = health_1e18 > CLOSE_FACTOR_HEALTH_1E18
        return percent_mul_half_up(debt_raw, CLOSE_FACTOR_BPS if half else 10_000)
    if (
        collateral_base >= FULL_CLOSE_BELOW_1E8
        and debt_base >= FULL_CLOSE_BELOW_1E8
        and health_1e18 > CLOSE_FACTOR_HEALTH_1E18
    ):
        half_base = percent_mul_half_up(total_debt_base, CLOSE_FACTOR_BPS)
        if debt_base > half_base:
            return half_base * debt_unit // debt_px
    return debt_raw


def debt_value(rules: SeizeRules, raw: int, px: int, unit: int) -> int:
    """What a debt is worth in the base currency: floored before 3.5, rounded up since."""
    return div_up(raw * px, unit) if rules.debt_up else raw * px // unit


def leaves_dust(
    rules: SeizeRules,
    debt_left: int,
    debt_px: int,
    debt_unit: int,
    collateral_left: int,
    collateral_px: int,
    collateral_unit: int,
) -> bool:
    """Whether the contract would refuse what is left of both (from 3.3 on): each is gone, or both are 1,000 or more."""
    if debt_left == 0 or collateral_left == 0:
        return False
    return (
        debt_value(rules, debt_left, debt_px, debt_unit) < LEAST_LEFTOVER_1E8
        or collateral_left * collateral_px // collateral_unit < LEAST_LEFTOVER_1E8
    )


def largest(
    rules: SeizeRules, *, collateral_asset: str, collateral_raw: int, collateral_px: int, collateral_unit: int, debt_asset: str,
    debt_raw: int, debt_px: int, debt_unit: int, bonus_bps: int, fee_bps: int, total_collateral: int, total_debt: int,
    health_1e18: int,
) -> Seized | None:  # fmt: skip
    """The largest call on that pair that the contract takes now; None where it would leave dust at the largest."""
    debt_base = debt_value(rules, debt_raw, debt_px, debt_unit)
    collateral_base = collateral_raw * collateral_px // collateral_unit
    cover = most_debt(
        rules, debt_raw, debt_base, collateral_base, total_debt, health_1e18, debt_px, debt_unit
    )
    found = available(
        rules,
        collateral_px,
        collateral_unit,
        debt_px,
        debt_unit,
        cover,
        collateral_raw,
        bonus_bps,
        fee_bps,
    )
    debt_left = debt_raw - found.debt_raw
    left = collateral_raw - found.collateral_raw - found.fee_raw
    dust = leaves_dust(rules, debt_left, debt_px, debt_unit, left, collateral_px, collateral_unit)
    if rules.whole and dust:
        return None
    bad_debt = max(debt_left, 0) if rules.whole and found.collateral_base == total_collateral else 0
    whole = found.collateral_raw + found.fee_raw
    return Seized(debt_asset, found.debt_raw, ((collateral_asset, whole),), found.fee_raw, bad_debt)
