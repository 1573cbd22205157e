"""Sales to pools and what each can gain at the prices of a bound: the curve's own best sale, rounded up. One function for every kind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import log
from typing import Any, NamedTuple

from agent.amm import (
    BalancerStablePool,
    ConcentratedPool,
    ConcentratedV4Pool,
    ConstantProductPool,
    CurvePool,
    Pool,
    SolidlyPool,
    WeightedPool,
)
from agent.amm.math import WAD
from agent.domain.instruments import AssetId
from agent.routing.certificate.invariants import Trade, gain_up, weighted_gain_up
from agent.routing.certificate.ranges import PIPS, first_unit_up, product_gain_up, ranges_gain_up
from agent.routing.certificate.spots import MARGIN

LITTLE = 8
"""What is less than one part in so many of the gas is too little to be computed more exactly."""
_FEE = 10_000
_OVER = 1 + 1e-9
# No union where it is asked for: that would be made anew each time.
_RANGES = (ConcentratedPool, ConcentratedV4Pool)


@dataclass(slots=True, eq=False)
class Edge:
    """One pool with the nodes its assets are, and what its use and a crossed tick cost, as values rounded down."""

    pool: Pool
    nodes: tuple[AssetId, ...]
    gas: int
    per_tick: int
    never_sold: frozenset[int] = frozenset()
    """Of a pool whose pairs are counted together, the assets that no plan sells to it."""
    never_bought: frozenset[int] = frozenset()
    bought: tuple[AssetId, ...] | None = None
    """The nodes its assets are where they are bought, if others than where they are sold."""
    idle: int = field(init=False)
    """What using it loses at least where it gains nothing: its gas, less a unit free of its fee that is too little to be told."""

    def __post_init__(self) -> None:
        self.idle = self.gas - self.gas // LITTLE if isinstance(self.pool, SolidlyPool) else self.gas

    @property
    def outs(self) -> tuple[AssetId, ...]:
        return self.bought or self.nodes


class Sale:
    """Selling the edge's asset `i` for its asset `j`; where both are 0, all trading with a pool taken together. `pair` are the nodes."""

    __slots__ = ("edge", "i", "j", "pair")

    def __init__(self, edge: Edge, i: int, j: int) -> None:
        self.edge, self.i, self.j = edge, i, j
        nodes = edge.nodes
        self.pair = nodes[i], nodes[j]

    def __iter__(self) -> Iterator[Any]:
        return iter((self.edge, self.i, self.j))


@dataclass(slots=True)
class Gain:
    """What a sale can earn: `gross` without gas, `net` with it (negative where it does not pay)."""

    sale: Sale
    gross: int
    net: int
    out_of: AssetId | None
    """The one asset it takes in, where it can take in but one."""
    used: tuple[float, ...] | None = None
    """Of pairs taken together, how much of each asset is taken in where it was looked at, raw: with more than that in hand it gains the same."""

    def bound_by(self, caps: Mapping[AssetId, int]) -> bool:
        """Whether tighter `caps` may make it less; one that they do not touch is the same bound as before."""
        if self.used is None:
            return True
        return any(
            used > caps.get(node, used) for used, node in zip(self.used, self.sale.edge.nodes, strict=True)
        )


class Ends(NamedTuple):
    """What a plan passes through, what it sells and what it buys."""

    nodes: frozenset[AssetId]
    sources: frozenset[AssetId]
    targets: frozenset[AssetId]


def gain_of(sale: Sale, ends: Ends, value: Mapping[AssetId, int], caps: Mapping[AssetId, int]) -> Gain:
    """The most a sale can gain at prices `value` (by raw unit) when no more than `caps` can be sold, rounded up."""
    edge, i, j = sale.edge, sale.i, sale.j
    pool = edge.pool
    given, got = sale.pair
    if isinstance(pool, WeightedPool):
        gross = weighted_gain_up(pool, i, j, value[given], value[got], caps.get(given))
    elif isinstance(pool, _RANGES):
        fee = pool.fee_pips if isinstance(pool, ConcentratedPool) else pool.swap_fee_pips(i)
        gross, net = ranges_gain_up(pool, i, PIPS - fee, value[given], value[got], caps.get(given), edge.per_tick)  # fmt: skip
        return Gain(sale, gross, net - edge.gas, given)
    elif isinstance(pool, ConstantProductPool) or (isinstance(pool, SolidlyPool) and not pool.stable):
        keep, whole = _kept(pool)
        v_in, v_out = value[given], value[got]
        x, y, cap = pool.reserves[i], pool.reserves[j], caps.get(given)
        if isinstance(pool, SolidlyPool):
            gross = product_gain_up(x, y, keep, whole, v_in, v_out, cap) + free_unit_up(pool, v_in)
        else:
            gross = first_unit_up(x, y, keep, whole, v_in, v_out, cap)
    else:
        return _invariant(sale, ends, value, caps)
    return Gain(sale, gross, gross - edge.gas, given)


def _invariant(sale: Sale, ends: Ends, value: Mapping[AssetId, int], caps: Mapping[AssetId, int]) -> Gain:
    edge, pool = sale.edge, sale.edge.pool
    if not isinstance(pool, BalancerStablePool | CurvePool | SolidlyPool):
        raise TypeError(pool)
    gross, taken = gain_up(pool, trade_of(sale, ends, value, caps), edge.gas // LITTLE)
    if sale.i != sale.j:
        gross += free_unit_up(pool, value[edge.nodes[sale.i]])
        return Gain(sale, gross, gross - edge.gas, sale.pair[0])
    scale = scales(pool)
    used = tuple(
        net * WAD * scale.whole / (s * scale.kept_in) * _OVER
        for net, s in zip(taken, scale.units, strict=True)
    )
    return Gain(sale, gross, gross - edge.gas, None, used)


class Scales(NamedTuple):
    """A pool's own units per raw unit, times `WAD`; of what comes in and of what goes out it keeps or gives so many parts of `whole`."""

    units: tuple[int, ...]
    kept_in: int
    kept_out: int
    whole: int


def scales(pool: BalancerStablePool | CurvePool | SolidlyPool) -> Scales:
    """The scales of a pool with an invariant."""
    if isinstance(pool, SolidlyPool):
        return Scales((WAD * WAD // pool.units[0], WAD * WAD // pool.units[1]), _FEE - pool.fee_1e4, _FEE, _FEE)  # fmt: skip
    if isinstance(pool, CurvePool):
        return Scales(pool.scaling, 10**10, 10**10 - pool.fee_1e10, 10**10)
    return Scales(pool.scaling, WAD - pool.fee_1e18, WAD, WAD)


def trade_of(sale: Sale, ends: Ends, value: Mapping[AssetId, int], caps: Mapping[AssetId, int]) -> Trade:
    """What a pool with an invariant can be traded at the prices and within the caps, in its own units."""
    edge, pool = sale.edge, sale.edge.pool
    if not isinstance(pool, BalancerStablePool | CurvePool | SolidlyPool):
        raise TypeError(pool)
    scale, kept_in, kept_out, whole = scales(pool)
    balances: tuple[int, ...]
    if isinstance(pool, SolidlyPool):
        balances = (pool.reserves[0] * WAD // pool.units[0], pool.reserves[1] * WAD // pool.units[1])
    else:
        balances = tuple(x * s // WAD for x, s in zip(pool.balances, scale, strict=True))
    low: list[int] = []
    high: list[int | None] = []
    cap: list[int | None] = []
    for k, (node, got, s) in enumerate(zip(edge.nodes, edge.outs, scale, strict=True)):
        if node not in ends.nodes or (k in edge.never_sold and k in edge.never_bought):
            # Never traded here: it may have any price at all.
            low.append(0)
            high.append(None)
            cap.append(0)
            continue
        most = caps.get(node)
        one_way = sale.i != sale.j
        only_in = node in ends.sources or k in edge.never_bought or (one_way and k == sale.i)
        only_out = node in ends.targets or k in edge.never_sold or (one_way and k == sale.j)
        # Per unit of the pool's own scale.
        low.append(0 if only_in else -(-value[got] * WAD * kept_out // (s * whole)))
        high.append(None if only_out else value[node] * WAD * whole // (s * kept_in))
        if only_out:
            cap.append(0)
        elif most is None:
            cap.append(None)
        else:
            cap.append(-(-most * s * kept_in // (WAD * whole)) + 1)
    return Trade(balances, tuple(low), tuple(high), tuple(cap))


def free_unit_up(pool: Pool, v_in: int) -> int:
    """What a pool leaves a sale of an asset worth `v_in` beyond its curve: Solidly's fee is rounded down, by less than a unit.

    A sale then puts in net as much as one larger by less than 1 / (1 - fee) units would, had the fee not been rounded.
    """
    if not isinstance(pool, SolidlyPool) or not 0 < pool.fee_1e4 < _FEE:
        return 0
    return -(-v_in * _FEE // (_FEE - pool.fee_1e4))


def free_pays(edge: Edge, first: float, v_in: int) -> bool:
    """Whether what goes in free of the fee may pay, and be worth telling, though the first unit after the fee does not: `first` is the
    logarithm of what that is worth by what it was."""
    pool = edge.pool
    if not isinstance(pool, SolidlyPool) or not (free := free_unit_up(pool, v_in)):
        return False
    return free * LITTLE >= edge.gas and first - log(1 - pool.fee_1e4 / _FEE) > -MARGIN


def _kept(pool: ConstantProductPool | SolidlyPool) -> tuple[int, int]:
    if isinstance(pool, ConstantProductPool):
        return PIPS - pool.fee_pips, PIPS
    return 10_000 - pool.fee_1e4, 10_000


__all__ = [
    "LITTLE",
    "Edge",
    "Ends",
    "Gain",
    "Sale",
    "free_pays",
    "free_unit_up",
    "gain_of",
    "scales",
    "trade_of",
]
