"""Curve StableSwap pools: the invariant of the whitepaper, with `exchange`'s order of rounding.

    A n**n sum(x) + D = A D n**n + D**(n+1) / (n**n prod(x))

The output is reduced by one unit of 18 digits, then by the fee (taken from the output, in the output asset), and only
then unscaled; the administrators' share of the fee leaves the pool's balance at once. There is no exact-output verb in
the contract: `exact_out` finds the smallest input whose exchange pays at least what is asked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import ClassVar

from agent.amm.inverse import least_input
from agent.amm.math import UINT256_MAX, WAD, ContractRevert, checked
from agent.amm.types import Swapped

_FEE = 10**10


@dataclass(frozen=True, slots=True)
class CurvePool:
    """`balances` raw; `amp` = a * a_precision as stored; `scaling` = 10**(18 - decimals) * rate_1e18 of each asset."""

    id: str
    assets: tuple[str, ...]
    balances: tuple[int, ...]
    amp: int
    amp_precision: int
    fee_1e10: int
    admin_fee_1e10: int
    rates_1e18: tuple[int, ...]
    scaling: tuple[int, ...]
    gas: int = 0

    kind: ClassVar[str] = "curve_stableswap"
    gas_per_tick: ClassVar[int] = 0


def _mul(a: int, b: int) -> int:
    return checked(a * b, "overflow")


@lru_cache(maxsize=1024)
def invariant(amp: int, precision: int, xp: tuple[int, ...]) -> int:
    """D of the scaled balances: kept for the last ones, which every quote of the same state asks for."""
    total, n = sum(xp), len(xp)
    if total == 0:
        return 0
    d, ann = total, amp * n
    for _ in range(255):
        d_p = d
        for x in xp:
            if x == 0:
                raise ContractRevert("division by zero")
            d_p = _mul(d_p, d) // (x * n)
        before = d
        d = _mul(ann * total // precision + d_p * n, d) // (
            (ann - precision) * d // precision + (n + 1) * d_p
        )
        if abs(d - before) <= 1:
            break
    return d


def balance_given(amp: int, precision: int, xp: list[int], d: int, j: int) -> int:
    """The scaled balance at `j` that keeps D with all the others given."""
    n = len(xp)
    ann, c, total = amp * n, d, 0
    for k, x in enumerate(xp):
        if k != j:
            total += x
            if x == 0:
                raise ContractRevert("division by zero")
            c = _mul(c, d) // (x * n)
    c = _mul(_mul(c, d), precision) // (ann * n)
    b = total + d * precision // ann
    y = d
    for _ in range(255):
        before = y
        y = (_mul(y, y) + c) // (2 * y + b - d)
        if abs(y - before) <= 1:
            break
    return y


def exact_in(pool: CurvePool, i: int, j: int, amount_in: int) -> Swapped:
    if amount_in < 0 or amount_in > UINT256_MAX:
        raise ContractRevert("overflow")
    xp = [_mul(x, s) // WAD for x, s in zip(pool.balances, pool.scaling, strict=True)]
    d = invariant(pool.amp, pool.amp_precision, tuple(xp))
    old = xp[j]
    xp[i] += _mul(amount_in, pool.scaling[i]) // WAD
    gross = old - balance_given(pool.amp, pool.amp_precision, xp, d, j) - 1
    if gross < 0:
        raise ContractRevert("underflow")
    fee = _mul(gross, pool.fee_1e10) // _FEE
    amount_out = _mul(gross - fee, WAD) // pool.scaling[j]
    admin = fee * pool.admin_fee_1e10 // _FEE * WAD // pool.scaling[j]
    balances = list(pool.balances)
    balances[i] += amount_in
    balances[j] -= amount_out + admin
    if balances[j] < 0:
        raise ContractRevert("underflow")
    after = replace(pool, balances=tuple(balances))
    return Swapped(
        amount_in, amount_out, -(-fee * WAD // pool.scaling[j]), pool.assets[j], pool.gas, 0, True, after
    )


def exact_out(pool: CurvePool, i: int, j: int, amount_out: int) -> Swapped:
    if amount_out <= 0 or amount_out >= pool.balances[j]:
        raise ContractRevert("underflow")
    guess = amount_out * pool.scaling[j] // pool.scaling[i]
    return least_input(lambda amount_in: exact_in(pool, i, j, amount_in), amount_out, guess)
