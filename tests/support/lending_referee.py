"""A second, plain reckoning of lending accounts, apart from the models: exact fractions, each rounded where its protocol rounds it.

For versions whose contracts are on no package index: Aave 3.3, 3.4, 3.5 and 3.7, Compound III, Maker. Written from what is published of
them: Aave's notes, change logs, audits and LiquidationLogic of 3.3, 3.4 and 3.7, Comet's absorb, dss' Vat, Spot, Jug and Dog. It is no
contract: where both misread what is published, both are wrong. 3.6 is reckoned here, too, so that its contract, which can be run, judges
this judge.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction as F
from math import ceil, floor
from typing import Any

from agent.margin.aave_account import Account
from agent.margin.compound_v3 import Account as Comet
from agent.margin.maker_vault import Account as Vault

RAY, YEAR, BPS = 10**27, 31_536_000, 10_000
Round = Callable[[F], int]


def half_up(x: F) -> int:
    return floor(x + F(1, 2))


@dataclass(frozen=True)
class Version:
    """How one version of Aave rounds: balances and values of what is lent and owed, bonus and fee of a liquidation."""

    lent: Round
    owed: Round
    owed_value: Round
    pays_for: Round
    bonus: Round
    without_bonus: Round
    fee: Round
    series: bool
    mean: bool
    own_threshold: bool


_OLD = Version(
    half_up, half_up, floor, half_up, half_up, half_up, half_up, series=False, mean=True, own_threshold=True
)
_NEW = Version(
    floor, ceil, ceil, ceil, half_up, half_up, half_up, series=True, mean=False, own_threshold=True
)
AAVE = {
    "aave_v3_3": _OLD,
    "aave_v3_4": _OLD,
    "aave_v3_5": _NEW,
    "aave_v3_6": Version(floor, ceil, ceil, ceil, half_up, half_up, half_up, True, False, False),
    "aave_v3_7": Version(floor, ceil, ceil, ceil, floor, floor, ceil, True, False, False),
}  # fmt: skip


def _compounded(rate: int, seconds: int, series: bool) -> int:
    """Growth of a debt in ray. Before 3.5 three terms of (1 + rate/year)^seconds, since then of the exponential series, by Horner."""
    if not seconds:
        return RAY
    if series:
        x = floor(F(rate * seconds, YEAR))
        inner = half_up(F(x * floor(F(x, 6)), RAY))
        return RAY + x + half_up(F(x * (floor(F(x, 2)) + inner), RAY))
    second = floor(F(half_up(F(rate * rate, RAY)), YEAR**2))
    third = floor(F(half_up(F(second * rate, RAY)), YEAR))
    pairs, triples = seconds * (seconds - 1), seconds * (seconds - 1) * max(seconds - 2, 0)
    terms = (F(rate * seconds, YEAR), F(pairs * second, 2), F(triples * third, 6))
    return RAY + sum(floor(term) for term in terms)


def aave(name: str, account: Account, at: int) -> tuple[int, int, int, int | None]:
    """(collateral, debt, mean threshold in bps, health factor) as getUserAccountData has them; None without debt."""
    v, emode = AAVE[name], account.emode
    lent = owed = 0
    weighted = 0
    for r in account.reserves:
        member = emode is not None and r.asset in emode.assets
        gone = at - r.last_update
        index = r.liquidity_index_1e27
        if gone:
            index = half_up(F((RAY + floor(F(r.liquidity_rate_1e27 * gone, YEAR))) * index, RAY))
        counts = r.collateral_enabled and (r.liquidation_threshold_bps > 0 or not v.own_threshold)
        if counts:
            balance = v.lent(F(r.scaled_supply_raw * index, RAY))
            value = floor(F(balance * r.price_1e8, 10**r.decimals))
            threshold = (
                emode.liquidation_threshold_bps
                if member and emode is not None
                else r.liquidation_threshold_bps
            )
            lent, weighted = lent + value, weighted + value * threshold
        grown = r.borrow_index_1e27
        if gone:
            grown = half_up(F(_compounded(r.borrow_rate_1e27, gone, v.series) * grown, RAY))
        balance = v.owed(F(r.scaled_debt_raw * grown, RAY)) + r.stable_debt_raw
        owed += v.owed_value(F(balance * r.price_1e8, 10**r.decimals))
    mean = floor(F(weighted, lent)) if lent else 0
    if not owed:
        return lent, owed, mean, None
    if v.mean:
        return lent, owed, mean, half_up(F(half_up(F(lent * mean, BPS)) * 10**18, owed))
    return lent, owed, mean, floor(F(half_up(F(weighted * 10**18, owed)), BPS))


def liquidated(name: str, given: dict[str, Any]) -> tuple[int, int, int, int] | None:
    """(debt repaid, collateral lost, of it the fee, bad debt) of the largest call on a pair; None where dust would be left.

    `given` has the words of `aave_seize.largest`. Half the whole debt at most where health is above 0.95 and both sides of the pair
    are worth 2,000 dollars; else all of the pair's debt. What stays of both must be worth 1,000.
    """
    v = AAVE[name]
    px, unit, held = given["collateral_px"], given["collateral_unit"], given["collateral_raw"]
    debt_px, debt_unit, debt = given["debt_px"], given["debt_unit"], given["debt_raw"]
    bonus = F(given["bonus_bps"], BPS)
    worth = v.owed_value(F(debt * debt_px, debt_unit))
    cover, half = debt, half_up(F(given["total_debt"], 2))
    large = min(floor(F(held * px, unit)), worth) >= 2_000 * 10**8
    if large and F(given["health_1e18"], 10**18) > F(95, 100) and worth > half:
        cover = floor(F(half * debt_unit, debt_px))
    lost = v.bonus(floor(F(cover * debt_px * unit, px * debt_unit)) * bonus)
    if lost > held:
        lost, cover = held, v.pays_for(floor(F(held * px * debt_unit, debt_px * unit)) / bonus)
    fee = 0
    if given["fee_bps"]:
        fee = v.fee(F((lost - v.without_bonus(lost / bonus)) * given["fee_bps"], BPS))
    debt_left, left = debt - cover, held - lost
    if debt_left > 0 and left > 0:
        kept = min(v.owed_value(F(debt_left * debt_px, debt_unit)), floor(F(left * px, unit)))
        if kept < 1_000 * 10**8:
            return None
    bad = debt_left if floor(F(lost * px, unit)) == given["total_collateral"] else 0
    return cover, lost, fee, max(bad, 0)


def comet(account: Comet, at: int) -> tuple[bool, bool, int, int]:
    """(liquidatable, enough to borrow by, debt in base units, what absorbing leaves to the protocol) of a Compound III account."""
    gone, borrows = at - account.last_update, account.principal_raw < 0
    index = account.borrow_index_1e15 if borrows else account.supply_index_1e15
    rate = account.borrow_rate_1e18 if borrows else account.supply_rate_1e18
    index += floor(F(index * rate * gone, 10**18))
    base = floor(F(abs(account.principal_raw) * index, 10**15))
    worth = floor(F(base * account.base_price_1e8, 10**account.base_decimals))
    values = [floor(F(c.balance_raw * c.price_1e8, 10**c.decimals)) for c in account.collateral]

    def counted(factors: list[int]) -> int:
        return sum(floor(F(value * factor, 10**18)) for value, factor in zip(values, factors, strict=True))

    if not borrows:
        return False, True, 0, 0
    gives = counted([c.liquidation_factor_1e18 for c in account.collateral])
    paid = floor(F(gives * 10**account.base_decimals, account.base_price_1e8))
    return (
        counted([c.liquidate_cf_1e18 for c in account.collateral]) < worth,
        counted([c.borrow_cf_1e18 for c in account.collateral]) >= worth,
        base,
        max(base - paid, 0),
    )


def vault(account: Vault, at: int) -> tuple[bool, int, int, tuple[int, int] | None]:
    """(unsafe, debt and what the collateral stands for in 1e-45 dollars, (debt, collateral) that a bark takes or None)."""
    gone, power, square = at - account.last_update, RAY, account.duty_1e27
    for bit in reversed(bin(gone)[2:]) if gone else "":
        if bit == "1":
            power = half_up(F(power * square, RAY))
        square = half_up(F(square * square, RAY))
    rate = floor(F(power * account.rate_1e27, RAY))
    per_unit = floor(F(floor(F(account.price_1e18 * 10**9 * RAY, account.par_1e27)) * RAY, account.mat_1e27))
    debt, stands_for = account.art_1e18 * rate, account.ink_1e18 * per_unit
    if debt <= stands_for:
        return False, debt, stands_for, None
    art = part = account.art_1e18
    if account.room_1e45 is not None:
        part = min(art, floor(F(floor(F(account.room_1e45 * 10**18, rate)), account.chop_1e18)))
        if account.room_1e45 <= 0:
            return True, debt, stands_for, None
    if part < art:
        if (art - part) * rate < account.dust_1e45:
            part = art
        elif part * rate < account.dust_1e45:
            return True, debt, stands_for, None
    taken = floor(F(account.ink_1e18 * part, art))
    return True, debt, stands_for, (floor(F(part * rate, RAY)), taken) if taken else None
