"""Uniswap V3 pools: the pool contract's checks around the shared walk (see `agent.amm.steps`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from agent.amm.math import INT256_MAX, ContractRevert
from agent.amm.steps import default_limit, walk
from agent.amm.ticks import MAX_SQRT_PRICE, MIN_SQRT_PRICE, TickTable
from agent.amm.types import Swapped


@dataclass(frozen=True, slots=True)
class ConcentratedPool:
    """`assets` are (token0, token1); `table` holds the initialised ticks; `liquidity` is what is active at `tick`."""

    id: str
    assets: tuple[str, str]
    fee_pips: int
    tick_spacing: int
    sqrt_price_x96: int
    tick: int
    liquidity: int
    table: TickTable
    gas: int = 0
    gas_per_tick: int = 0

    kind: ClassVar[str] = "uniswap_v3"


def swap(pool: ConcentratedPool, i: int, amount: int, exact_in: bool, limit: int | None) -> Swapped:
    """Swap asset `i` for the other: `amount` raw is the input, or the output where `exact_in` is false."""
    down = i == 0
    if limit is None:
        limit = default_limit(down)
    if amount == 0:
        raise ContractRevert("AS")
    if amount < 0 or amount > INT256_MAX:
        raise ContractRevert("int256 overflow")
    price = pool.sqrt_price_x96
    if price == 0:
        raise ContractRevert("LOK")
    if not (MIN_SQRT_PRICE < limit < price if down else price < limit < MAX_SQRT_PRICE):
        raise ContractRevert("SPL")
    w = walk(
        price,
        pool.tick,
        pool.liquidity,
        pool.table,
        pool.tick_spacing,
        pool.fee_pips,
        down,
        amount,
        exact_in,
        limit,
        False,
    )
    after = ConcentratedPool(
        pool.id, pool.assets, pool.fee_pips, pool.tick_spacing, w.sqrt_price_x96, w.tick, w.liquidity, pool.table, pool.gas,
        pool.gas_per_tick,
    )  # fmt: skip
    gas = pool.gas + pool.gas_per_tick * w.crossed
    return Swapped(w.amount_in, w.amount_out, w.fee, pool.assets[i], gas, w.crossed, w.complete, after)
