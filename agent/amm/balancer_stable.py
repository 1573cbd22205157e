"""Balancer V2 stable pools (composable and their forerunners): the StableSwap invariant in 18-digit integers.

    A n**n sum(x) + D = A D n**n + D**(n+1) / (n**n prod(x))

Formula source: the StableSwap whitepaper; Newton's iterations, their rounding and their stopping as deployed. Balances
are those of the swappable assets, without the pool's own share token.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from agent.amm import fixed_point as fp
from agent.amm.balancer_vault import settle
from agent.amm.math import ContractRevert, checked
from agent.amm.types import Swapped


@dataclass(frozen=True, slots=True)
class BalancerStablePool:
    """`balances` raw; `amp` = a * a_precision as stored; `scaling` = 10**(18 - decimals) * rate_1e18 of each asset."""

    id: str
    assets: tuple[str, ...]
    balances: tuple[int, ...]
    amp: int
    amp_precision: int
    fee_1e18: int
    rates_1e18: tuple[int, ...]
    scaling: tuple[int, ...]
    gas: int = 0

    kind: ClassVar[str] = "balancer_v2_stable"
    gas_per_tick: ClassVar[int] = 0


def _mul(a: int, b: int) -> int:
    return checked(a * b, "BAL#003")


@lru_cache(maxsize=1024)
def invariant(amp: int, precision: int, balances: tuple[int, ...]) -> int:
    """D of the scaled balances: kept for the last ones, which every quote of the same state asks for."""
    total, n = sum(balances), len(balances)
    if total == 0:
        return 0
    d, amp_n = total, amp * n
    for _ in range(255):
        d_p = d
        for x in balances:
            if x == 0:
                raise ContractRevert("BAL#004")
            d_p = _mul(d_p, d) // _mul(x, n)
        before = d
        top = _mul(_mul(amp_n, total) // precision + _mul(d_p, n), d)
        d = top // (_mul(amp_n - precision, d) // precision + _mul(n + 1, d_p))
        if abs(d - before) <= 1:
            return d
    raise ContractRevert("BAL#321")


def balance_given(amp: int, precision: int, balances: list[int], d: int, index: int) -> int:
    """The balance at `index` that keeps D with all the others given, rounded up."""
    n = len(balances)
    amp_n, total, p_d = amp * n, balances[0], balances[0] * n
    if d == 0:
        # An empty pool has nothing to divide by.
        raise ContractRevert("BAL#004")
    for x in balances[1:]:
        p_d = _mul(_mul(p_d, x), n) // d
        total = fp.add(total, x)
    total -= balances[index]
    d2 = _mul(d, d)
    low = _mul(amp_n, p_d)
    if low == 0:
        raise ContractRevert("BAL#004")
    c = _mul(_mul(-(-d2 // low), precision), balances[index])
    b = total + _mul(d // amp_n, precision)
    y = -(-(d2 + c) // (d + b))
    for _ in range(255):
        before = y
        y = -(-(_mul(y, y) + c) // fp.sub(_mul(y, 2) + b, d))
        if abs(y - before) <= 1:
            return y
    raise ContractRevert("BAL#322")


def _scaled(pool: BalancerStablePool) -> list[int]:
    return [fp.mul_down(x, s) for x, s in zip(pool.balances, pool.scaling, strict=True)]


def exact_in(pool: BalancerStablePool, i: int, j: int, amount_in: int) -> Swapped:
    if amount_in == 0:
        raise ContractRevert("BAL#510")
    fp.require_amount(amount_in)
    fee = fp.mul_up(amount_in, pool.fee_1e18)
    balances = _scaled(pool)
    d = invariant(pool.amp, pool.amp_precision, tuple(balances))
    balances[i] = fp.add(balances[i], fp.mul_down(fp.sub(amount_in, fee), pool.scaling[i]))
    final = balance_given(pool.amp, pool.amp_precision, balances, d, j)
    out = fp.sub(fp.sub(balances[j], final), 1)
    return settle(pool, i, j, amount_in, fp.div_down(out, pool.scaling[j]), fee)


def exact_out(pool: BalancerStablePool, i: int, j: int, amount_out: int) -> Swapped:
    if amount_out == 0:
        raise ContractRevert("BAL#510")
    fp.require_amount(amount_out)
    balances = _scaled(pool)
    d = invariant(pool.amp, pool.amp_precision, tuple(balances))
    balances[j] = fp.sub(balances[j], fp.mul_down(amount_out, pool.scaling[j]))
    final = balance_given(pool.amp, pool.amp_precision, balances, d, i)
    net = fp.div_up(fp.add(fp.sub(final, balances[i]), 1), pool.scaling[i])
    amount_in = fp.div_up(net, fp.complement(pool.fee_1e18))
    return settle(pool, i, j, amount_in, amount_out, amount_in - net)
