"""Solidly pools (Velodrome, Aerodrome and kin): x y = k where volatile, x**3 y + y**3 x = k where stable.

The fee leaves the pool with the input: only the net input is traded and stays in the reserves. There is no exact-output
verb in the contract: `exact_out` finds the smallest input that pays at least what is asked.

Formula source: the pools' published `getAmountOut`, Newton's iteration and its stopping included.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from agent.amm.inverse import least_input
from agent.amm.math import UINT256_MAX, WAD, ContractRevert, checked
from agent.amm.types import Swapped


@dataclass(frozen=True, slots=True)
class SolidlyPool:
    """`units` is 10**decimals of each asset; `fee_1e4` in ten-thousandths of the input."""

    id: str
    assets: tuple[str, str]
    reserves: tuple[int, int]
    fee_1e4: int
    stable: bool
    units: tuple[int, int]
    gas: int = 0

    @property
    def kind(self) -> str:
        return "solidly_stable" if self.stable else "solidly_volatile"

    @property
    def gas_per_tick(self) -> int:
        return 0


def _mul(a: int, b: int) -> int:
    return checked(a * b, "overflow")


def _f(x0: int, y: int) -> int:
    a = _mul(x0, y) // WAD
    b = _mul(x0, x0) // WAD + _mul(y, y) // WAD
    return _mul(a, b) // WAD


def _k(units: tuple[int, int], x: int, y: int) -> int:
    """The stable invariant of raw balances."""
    return _f(_mul(x, WAD) // units[0], _mul(y, WAD) // units[1])


def _y(units: tuple[int, int], x0: int, k: int, y: int) -> int:
    # Only distance is bounded by the loop: the contract stops when a step rounds to zero and one more unit settles k.
    for _ in range(255):
        at = _f(x0, y)
        slope = _mul(3 * x0, _mul(y, y) // WAD) // WAD + _mul(_mul(x0, x0) // WAD, x0) // WAD
        if slope == 0:
            raise ContractRevert("division by zero")
        if at < k:
            step = _mul(k - at, WAD) // slope
            if step == 0:
                # The contract asks its invariant of raw balances here, of what is scaled already: with fewer than 18 decimals
                # that is as good as always more than k, or overflows. The latter is this amount's alone, no bound of amounts.
                try:
                    more = _k(units, x0, y + 1) > k
                except ContractRevert:
                    raise ContractRevert("invariant overflow") from None
                if more:
                    return y + 1
                step = 1
            y += step
        else:
            step = _mul(at - k, WAD) // slope
            if step == 0:
                if at == k or _f(x0, y - 1) < k:
                    return y
                step = 1
            y -= step
            if y < 0:
                raise ContractRevert("underflow")
    raise ContractRevert("!y")


def amount_out(pool: SolidlyPool, i: int, j: int, amount_in: int) -> int:
    """The contract's own quote, before anything that only its swap refuses. Raises ContractRevert."""
    net = checked(amount_in, "overflow") - _mul(amount_in, pool.fee_1e4) // 10_000
    reserve_in, reserve_out = pool.reserves[i], pool.reserves[j]
    if not pool.stable:
        if reserve_in + net == 0:
            raise ContractRevert("division by zero")
        return _mul(net, reserve_out) // (reserve_in + net)
    k = _k(pool.units, *pool.reserves)
    x, y = _mul(reserve_in, WAD) // pool.units[i], _mul(reserve_out, WAD) // pool.units[j]
    given = y - _y(pool.units, _mul(net, WAD) // pool.units[i] + x, k, y)
    return _mul(checked(given, "underflow"), pool.units[j]) // WAD


def exact_in(pool: SolidlyPool, i: int, j: int, amount_in: int) -> Swapped:
    if amount_in < 0 or amount_in > UINT256_MAX // 10_000:
        raise ContractRevert("overflow")
    if not all(pool.reserves):
        raise ContractRevert("IL")
    fee = amount_in * pool.fee_1e4 // 10_000
    got = amount_out(pool, i, j, amount_in)
    if got <= 0:
        raise ContractRevert("IOA")
    if got >= pool.reserves[j]:
        raise ContractRevert("IL")
    reserves = list(pool.reserves)
    reserves[i] += amount_in - fee
    reserves[j] -= got
    after = replace(pool, reserves=(reserves[0], reserves[1]))
    # The swap itself compares the invariants, to the last unit, and may refuse what the quote said.
    if pool.stable and _k(pool.units, *after.reserves) < _k(pool.units, *pool.reserves):
        raise ContractRevert("K")
    return Swapped(amount_in, got, fee, pool.assets[i], pool.gas, 0, True, after)


def exact_out(pool: SolidlyPool, i: int, j: int, amount_out: int) -> Swapped:
    if amount_out <= 0 or amount_out >= pool.reserves[j]:
        raise ContractRevert("IL")
    guess = amount_out * pool.units[i] // pool.units[j]
    return least_input(lambda amount_in: exact_in(pool, i, j, amount_in), amount_out, guess)
