"""Uniswap V4 pools without hooks: the pool library's checks around the shared walk (see `agent.amm.steps`).

The swap fee joins the protocol's share p and the providers' l in pips: p + l - floor(p * l / 10**6). The protocol's
share differs by direction. Amounts must fit an int128, the width of V4's balance deltas.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from agent.amm.math import INT128_MAX, INT256_MAX, ContractRevert
from agent.amm.steps import PIPS, default_limit, walk
from agent.amm.ticks import MAX_SQRT_PRICE, MIN_SQRT_PRICE, TickTable
from agent.amm.types import Swapped


@dataclass(frozen=True, slots=True)
class ConcentratedV4Pool:
    """`assets` are (currency0, currency1); `protocol_fee_pips` is (0 for 1, 1 for 0)."""

    id: str
    assets: tuple[str, str]
    lp_fee_pips: int
    protocol_fee_pips: tuple[int, int]
    tick_spacing: int
    sqrt_price_x96: int
    tick: int
    liquidity: int
    table: TickTable
    gas: int = 0
    gas_per_tick: int = 0

    kind: ClassVar[str] = "uniswap_v4"

    def swap_fee_pips(self, i: int) -> int:
        """The whole fee taken from the input when asset `i` is sold."""
        protocol, lp = self.protocol_fee_pips[i], self.lp_fee_pips
        return protocol + lp - protocol * lp // PIPS


def swap(pool: ConcentratedV4Pool, i: int, amount: int, exact_in: bool, limit: int | None) -> Swapped:
    """Swap asset `i` for the other: `amount` raw is the input, or the output where `exact_in` is false."""
    down = i == 0
    if limit is None:
        limit = default_limit(down)
    if amount == 0:
        raise ContractRevert("SwapAmountCannotBeZero")
    if amount < 0 or amount > INT256_MAX:
        raise ContractRevert("SafeCastOverflow")
    price = pool.sqrt_price_x96
    if price == 0:
        raise ContractRevert("PoolNotInitialized")
    fee_pips = pool.swap_fee_pips(i)
    if fee_pips >= PIPS and not exact_in:
        raise ContractRevert("InvalidFeeForExactOut")
    if limit >= price if down else limit <= price:
        raise ContractRevert("PriceLimitAlreadyExceeded")
    if limit <= MIN_SQRT_PRICE if down else limit >= MAX_SQRT_PRICE:
        raise ContractRevert("PriceLimitOutOfBounds")
    w = walk(
        price,
        pool.tick,
        pool.liquidity,
        pool.table,
        pool.tick_spacing,
        fee_pips,
        down,
        amount,
        exact_in,
        limit,
        True,
    )
    if w.amount_in > INT128_MAX or w.amount_out > INT128_MAX:
        raise ContractRevert("SafeCastOverflow")
    after = ConcentratedV4Pool(
        pool.id, pool.assets, pool.lp_fee_pips, pool.protocol_fee_pips, pool.tick_spacing, w.sqrt_price_x96, w.tick,
        w.liquidity, pool.table, pool.gas, pool.gas_per_tick,
    )  # fmt: skip
    gas = pool.gas + pool.gas_per_tick * w.crossed
    return Swapped(w.amount_in, w.amount_out, w.fee, pool.assets[i], gas, w.crossed, w.complete, after)
