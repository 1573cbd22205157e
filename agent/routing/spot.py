"""Marginal prices as floats: estimates that rank candidates and describe impact; they never become an amount."""

from __future__ import annotations

from agent.amm import (
    ConcentratedPool,
    ConcentratedV4Pool,
    ConstantProductPool,
    Pool,
    Reverted,
    SolidlyPool,
    WeightedPool,
    swap_exact_in,
)
from agent.market.book import Book


def within(pool: Pool, asset: str) -> str:
    """What the pool itself calls an asset: the wrapped coin is the coin in a pool that holds the coin."""
    return asset if asset in pool.assets else asset.partition("/")[0] + "/slip44:60"


def ends(pool: Pool, asset_in: str, asset_out: str) -> tuple[int, int]:
    """Where the two assets stand in the pool's own order."""
    return pool.assets.index(within(pool, asset_in)), pool.assets.index(within(pool, asset_out))


def fee_share(pool: Pool, i: int) -> float:
    """The part of the input (of the output for Curve) that the pool keeps when asset `i` is sold."""
    if isinstance(pool, ConstantProductPool | ConcentratedPool):
        return pool.fee_pips / 1e6
    if isinstance(pool, ConcentratedV4Pool):
        return pool.swap_fee_pips(i) / 1e6
    if isinstance(pool, SolidlyPool):
        return pool.fee_1e4 / 1e4
    if hasattr(pool, "fee_1e10"):
        return float(pool.fee_1e10) / 1e10
    return pool.fee_1e18 / 1e18


def mid_rate(pool: Pool, asset_in: str, asset_out: str) -> float:
    """Raw units of `asset_out` per raw unit of `asset_in` at no size and no fee; 0.0 where the pool has no price."""
    i, j = pool.assets.index(asset_in), pool.assets.index(asset_out)
    if isinstance(pool, ConcentratedPool | ConcentratedV4Pool):
        price = (pool.sqrt_price_x96 / 2**96) ** 2
        return price if i == 0 else (1 / price if price else 0.0)
    if isinstance(pool, ConstantProductPool) or (isinstance(pool, SolidlyPool) and not pool.stable):
        return pool.reserves[j] / pool.reserves[i] if pool.reserves[i] else 0.0
    if isinstance(pool, WeightedPool):
        if not pool.balances[i]:
            return 0.0
        return (pool.balances[j] / pool.weights[j]) / (pool.balances[i] / pool.weights[i])
    held = pool.reserves[i] if isinstance(pool, SolidlyPool) else pool.balances[i]
    probe = max(held // 100_000, 1)
    swapped = swap_exact_in(pool, asset_in, asset_out, probe)
    if isinstance(swapped, Reverted):
        return 0.0
    return swapped.amount_out / probe / (1 - fee_share(pool, i))


def net_rate(pool: Pool, asset_in: str, asset_out: str) -> float:
    """`mid_rate` less the fee."""
    return mid_rate(pool, asset_in, asset_out) * (1 - fee_share(pool, pool.assets.index(asset_in)))


def book_mid_rate(book: Book, sells: bool, base_decimals: int, quote_decimals: int) -> float:
    """Raw quote per raw base at the middle of the book (base per quote when buying); 0.0 for a one-sided book."""
    mid = book.mid_px()
    if mid is None:
        return 0.0
    rate = float(mid) * 10.0 ** (quote_decimals - base_decimals)
    return rate if sells else 1 / rate
