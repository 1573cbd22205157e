"""Uniswap V2 and its forks: x * y = k, the fee taken from the input.

    out = floor(in * (1 - f) * y / (x + in * (1 - f)))          in = floor(x * out / ((y - out) * (1 - f))) + 1

Formula source: the pair's own constraint (both balances net of fee keep k) and the router library that everybody calls.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import gcd
from typing import ClassVar

from agent.amm.math import UINT112_MAX, ContractRevert, checked, div_up
from agent.amm.types import Swapped

PIPS = 1_000_000


@dataclass(frozen=True, slots=True)
class ConstantProductPool:
    """`reserves` are raw, in the order of `assets`; `fee_pips` is in millionths of the input."""

    id: str
    assets: tuple[str, str]
    reserves: tuple[int, int]
    fee_pips: int
    gas: int = 0

    kind: ClassVar[str] = "uniswap_v2"
    gas_per_tick: ClassVar[int] = 0


@lru_cache(maxsize=1 << 10)
def _fee_ratio(fee_pips: int) -> tuple[int, int]:
    # Forks differ in the fee's denominator (997/1000, 9975/10000); reduced, the quotients are equal and overflow alike.
    g = gcd(PIPS - fee_pips, PIPS)
    return (PIPS - fee_pips) // g, PIPS // g


def _settle(pool: ConstantProductPool, i: int, amount_in: int, amount_out: int) -> Swapped:
    if amount_out == 0:
        raise ContractRevert("UniswapV2: INSUFFICIENT_OUTPUT_AMOUNT")
    balance_in = pool.reserves[i] + amount_in
    if balance_in > UINT112_MAX:
        raise ContractRevert("UniswapV2: OVERFLOW")
    balance_out = pool.reserves[1 - i] - amount_out
    reserves = (balance_in, balance_out) if i == 0 else (balance_out, balance_in)
    after = ConstantProductPool(pool.id, pool.assets, reserves, pool.fee_pips, pool.gas)
    fee = div_up(amount_in * pool.fee_pips, PIPS)
    return Swapped(amount_in, amount_out, fee, pool.assets[i], pool.gas, 0, True, after)


def amount_out(amount_in: int, reserve_in: int, reserve_out: int, keep: int = 997, whole: int = 1000) -> int:
    """What a sale gives, rounded down, and nothing else: `getAmountOut` of UniswapV2Library, with `keep / whole` of the input left by the fee.

    Raises ContractRevert where the library reverts; what the pair itself then says to the trade is not asked.
    """
    if 0 < amount_in <= UINT112_MAX and reserve_in and reserve_out:
        # Nothing below two reserves of 112 bits and a fee's denominator can leave 256 bits.
        net = amount_in * keep
        return net * reserve_out // (reserve_in * whole + net)
    if amount_in <= 0:
        raise ContractRevert("UniswapV2Library: INSUFFICIENT_INPUT_AMOUNT")
    if reserve_in == 0 or reserve_out == 0:
        raise ContractRevert("UniswapV2Library: INSUFFICIENT_LIQUIDITY")
    net = checked(amount_in * keep, "ds-math-mul-overflow")
    numerator = checked(net * reserve_out, "ds-math-mul-overflow")
    denominator = checked(reserve_in * whole + net, "ds-math-add-overflow")
    return numerator // denominator


def exact_in(pool: ConstantProductPool, i: int, j: int, amount_in: int) -> Swapped:
    keep, whole = _fee_ratio(pool.fee_pips)
    return _settle(pool, i, amount_in, amount_out(amount_in, pool.reserves[i], pool.reserves[j], keep, whole))


def exact_out(pool: ConstantProductPool, i: int, j: int, amount_out: int) -> Swapped:
    reserve_in, reserve_out = pool.reserves[i], pool.reserves[j]
    if amount_out <= 0:
        raise ContractRevert("UniswapV2Library: INSUFFICIENT_OUTPUT_AMOUNT")
    if reserve_in == 0 or reserve_out == 0:
        raise ContractRevert("UniswapV2Library: INSUFFICIENT_LIQUIDITY")
    if amount_out >= reserve_out:
        raise ContractRevert("ds-math-sub-underflow")
    keep, whole = _fee_ratio(pool.fee_pips)
    numerator = checked(
        checked(reserve_in * amount_out, "ds-math-mul-overflow") * whole, "ds-math-mul-overflow"
    )
    denominator = checked((reserve_out - amount_out) * keep, "ds-math-mul-overflow")
    if denominator == 0:
        raise ContractRevert("division by zero")
    return _settle(pool, i, numerator // denominator + 1, amount_out)
