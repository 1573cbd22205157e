"""Balancer V2 weighted pools: the product of balances to the power of their weights is kept.

    out = b_out * (1 - (b_in / (b_in + in)) ** (w_in / w_out))      in = b_in * ((b_out / (b_out - out)) ** (w_out / w_in) - 1)

Formula source: the Balancer whitepaper, sections "Out-Given-In" and "In-Given-Out"; every rounding as deployed, the fee
taken from the input before scaling to 18 digits (added to it after unscaling where the output is given).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from agent.amm import fixed_point as fp
from agent.amm.balancer_vault import settle
from agent.amm.math import ContractRevert
from agent.amm.types import Swapped

_MAX_RATIO = 3 * 10**17


@dataclass(frozen=True, slots=True)
class WeightedPool:
    """`balances` raw, `weights` and `fee_1e18` with 18 decimals, `scaling` = 10**(18 + 18 - decimals) of each asset."""

    id: str
    assets: tuple[str, ...]
    balances: tuple[int, ...]
    weights: tuple[int, ...]
    fee_1e18: int
    scaling: tuple[int, ...]
    gas: int = 0

    kind: ClassVar[str] = "balancer_v2_weighted"
    gas_per_tick: ClassVar[int] = 0


def exact_in(pool: WeightedPool, i: int, j: int, amount_in: int) -> Swapped:
    if amount_in == 0:
        raise ContractRevert("BAL#510")
    fp.require_amount(amount_in)
    fee = fp.mul_up(amount_in, pool.fee_1e18)
    net = fp.mul_down(fp.sub(amount_in, fee), pool.scaling[i])
    balance_in = fp.mul_down(pool.balances[i], pool.scaling[i])
    balance_out = fp.mul_down(pool.balances[j], pool.scaling[j])
    if net > fp.mul_down(balance_in, _MAX_RATIO):
        raise ContractRevert("BAL#304")
    base = fp.div_up(balance_in, fp.add(balance_in, net))
    power = fp.pow_up(base, fp.div_down(pool.weights[i], pool.weights[j]))
    amount_out = fp.div_down(fp.mul_down(balance_out, fp.complement(power)), pool.scaling[j])
    return settle(pool, i, j, amount_in, amount_out, fee)


def exact_out(pool: WeightedPool, i: int, j: int, amount_out: int) -> Swapped:
    if amount_out == 0:
        raise ContractRevert("BAL#510")
    fp.require_amount(amount_out)
    scaled = fp.mul_down(amount_out, pool.scaling[j])
    balance_in = fp.mul_down(pool.balances[i], pool.scaling[i])
    balance_out = fp.mul_down(pool.balances[j], pool.scaling[j])
    if scaled > fp.mul_down(balance_out, _MAX_RATIO):
        raise ContractRevert("BAL#305")
    base = fp.div_up(balance_out, fp.sub(balance_out, scaled))
    ratio = fp.sub(fp.pow_up(base, fp.div_up(pool.weights[j], pool.weights[i])), 10**18)
    net = fp.div_up(fp.mul_up(balance_in, ratio), pool.scaling[i])
    amount_in = fp.div_up(net, fp.complement(pool.fee_1e18))
    return settle(pool, i, j, amount_in, amount_out, amount_in - net)
