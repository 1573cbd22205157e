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


def _f(x0: int, y: int) -> int:
    a = x0 * y // WAD
    b = x0 * x0 // WAD + y * y // WAD
    return checked(a * b, "overflow") // WAD


def _k(x: int, y: int) -> int:
    return checked((x * y // WAD) * (x * x // WAD + y * y // WAD), "overflow") // WAD


def _y(x0: int, k: int, y: int) -> int:
    # Only distance is bounded by the loop: the contract stops when a step rounds to zero and one more unit settles k.
    for _ in range(255):
        at = _f(x0, y)
        slope = 3 * x0 * (y * y // WAD) // WAD + (x0 * x0 // WAD) * x0 // WAD
        if slope == 0:
            raise ContractRevert("division by zero")
        if at < k:
            step = (k - at) * WAD // slope
            if step == 0:
                if at == k:
                    return y
                if _k(x0, y + 1) > k:
                    return y + 1
                step = 1
            y += step
        else:
            step = (at - k) * WAD // slope
            if step == 0:
                if at == k or _f(x0, y - 1) < k:
                    return y
                step = 1
            y -= step
    raise ContractRevert("!y")


def exact_in(pool: SolidlyPool, i: int, j: int, amount_in: int) -> Swapped:
    if amount_in < 0 or amount_in > UINT256_MAX // 10_000:
        raise ContractRevert("overflow")
    fee = amount_in * pool.fee_1e4 // 10_000
    net = amount_in - fee
    reserve_in, reserve_out = pool.reserves[i], pool.reserves[j]
    if not reserve_in or not reserve_out:
        raise ContractRevert("IL")
    if pool.stable:
        x, y = reserve_in * WAD // pool.units[i], reserve_out * WAD // pool.units[j]
        k = _k(x, y)
        amount_out = (y - _y(net * WAD // pool.units[i] + x, k, y)) * pool.units[j] // WAD
    else:
        amount_out = net * reserve_out // (reserve_in + net)
    if amount_out <= 0:
        raise ContractRevert("IOA")
    if amount_out >= reserve_out:
        raise ContractRevert("IL")
    reserves = list(pool.reserves)
    reserves[i] += net
    reserves[j] -= amount_out
    after = replace(pool, reserves=(reserves[0], reserves[1]))
    return Swapped(amount_in, amount_out, fee, pool.assets[i], pool.gas, 0, True, after)


def exact_out(pool: SolidlyPool, i: int, j: int, amount_out: int) -> Swapped:
    if amount_out <= 0 or amount_out >= pool.reserves[j]:
        raise ContractRevert("IL")
    guess = amount_out * pool.units[i] // pool.units[j]
    return least_input(lambda amount_in: exact_in(pool, i, j, amount_in), amount_out, guess)
