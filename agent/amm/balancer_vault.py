"""What Balancer's vault does for any of its pools once a pool has named its price (Vault.swap, BalanceAllocation)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from agent.amm import fixed_point as fp
from agent.amm.math import UINT112_MAX, ContractRevert
from agent.amm.types import Swapped

if TYPE_CHECKING:
    from agent.amm.balancer_stable import BalancerStablePool
    from agent.amm.weighted import WeightedPool


def settle(
    pool: BalancerStablePool | WeightedPool, i: int, j: int, amount_in: int, amount_out: int, fee: int
) -> Swapped:
    """Raw amounts; raises ContractRevert BAL#526 where a balance leaves its 112 bits."""
    balances = list(pool.balances)
    balances[i] += amount_in
    balances[j] = fp.sub(balances[j], amount_out)
    if balances[i] > UINT112_MAX:
        raise ContractRevert("BAL#526")
    after = replace(pool, balances=tuple(balances))
    return Swapped(amount_in, amount_out, fee, pool.assets[i], pool.gas, 0, True, after)
