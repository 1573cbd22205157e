"""Exact integer arithmetic of automated market makers, one curve a file.

    swap_exact_in(pool, asset_in, asset_out, amount_in)    -> Swapped | Reverted
    swap_exact_out(pool, asset_in, asset_out, amount_out)  -> Swapped | Reverted

Pools are frozen values; a swap returns the pool after it. Amounts, prices, liquidity and the state after are equal to
the named contract's to the last unit; what the contract would revert on is a `Reverted` value.
"""

from __future__ import annotations

from typing import TypeAlias

from agent.amm import (
    balancer_stable,
    concentrated,
    concentrated_v4,
    constant_product,
    curve_stableswap,
    solidly,
    weighted,
)
from agent.amm.balancer_stable import BalancerStablePool
from agent.amm.concentrated import ConcentratedPool
from agent.amm.concentrated_v4 import ConcentratedV4Pool
from agent.amm.constant_product import ConstantProductPool
from agent.amm.curve_stableswap import CurvePool
from agent.amm.math import ContractRevert
from agent.amm.solidly import SolidlyPool
from agent.amm.ticks import TickTable
from agent.amm.types import Reverted, Swapped
from agent.amm.weighted import WeightedPool
from chains.errors import Usage

Pool: TypeAlias = (
    ConstantProductPool
    | ConcentratedPool
    | ConcentratedV4Pool
    | WeightedPool
    | BalancerStablePool
    | CurvePool
    | SolidlyPool
)


__all__ = [
    "BalancerStablePool",
    "ConcentratedPool",
    "ConcentratedV4Pool",
    "ConstantProductPool",
    "CurvePool",
    "Pool",
    "Reverted",
    "SolidlyPool",
    "Swapped",
    "TickTable",
    "WeightedPool",
    "swap_exact_in",
    "swap_exact_out",
]


def _index(pool: Pool, asset: str) -> int:
    try:
        return pool.assets.index(asset)
    except ValueError:
        raise Usage(
            "ASSET_NOT_IN_POOL", f"pool {pool.id} does not hold {asset}", f"it holds {', '.join(pool.assets)}"
        ) from None


def _swap(
    pool: Pool, asset_in: str, asset_out: str, amount: int, exact_in: bool, limit: int | None
) -> Swapped | Reverted:
    i, j = _index(pool, asset_in), _index(pool, asset_out)
    if i == j:
        raise Usage(
            "SAME_ASSET", f"pool {pool.id} cannot swap {asset_in} for itself", "name two different assets"
        )
    try:
        if isinstance(pool, ConcentratedPool):
            return concentrated.swap(pool, i, amount, exact_in, limit)
        if isinstance(pool, ConcentratedV4Pool):
            return concentrated_v4.swap(pool, i, amount, exact_in, limit)
        if limit is not None:
            raise Usage(
                "NO_PRICE_LIMIT",
                f"a {pool.kind} pool takes no square-root price limit",
                "leave the limit out",
            )
        if isinstance(pool, ConstantProductPool):
            verb = constant_product.exact_in if exact_in else constant_product.exact_out
            return verb(pool, i, j, amount)
        if isinstance(pool, WeightedPool):
            return (weighted.exact_in if exact_in else weighted.exact_out)(pool, i, j, amount)
        if isinstance(pool, BalancerStablePool):
            return (balancer_stable.exact_in if exact_in else balancer_stable.exact_out)(pool, i, j, amount)
        if isinstance(pool, SolidlyPool):
            return (solidly.exact_in if exact_in else solidly.exact_out)(pool, i, j, amount)
        return (curve_stableswap.exact_in if exact_in else curve_stableswap.exact_out)(pool, i, j, amount)
    except ContractRevert as revert:
        return Reverted(revert.reason)


def swap_exact_in(
    pool: Pool, asset_in: str, asset_out: str, amount_in: int, *, limit_sqrt_price_x96: int | None = None
) -> Swapped | Reverted:
    """Sell `amount_in` raw of `asset_in` to the pool. Raises Usage for an asset the pool does not hold."""
    return _swap(pool, asset_in, asset_out, amount_in, True, limit_sqrt_price_x96)


def swap_exact_out(
    pool: Pool, asset_in: str, asset_out: str, amount_out: int, *, limit_sqrt_price_x96: int | None = None
) -> Swapped | Reverted:
    """Buy `amount_out` raw of `asset_out` from the pool. Raises Usage for an asset the pool does not hold."""
    return _swap(pool, asset_in, asset_out, amount_out, False, limit_sqrt_price_x96)
