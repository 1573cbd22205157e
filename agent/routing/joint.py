"""The best trading with pools whose pairs are counted together, by places: what a bound on short chains counts of them beside single legs.

A pool's best trading at some prices stays a trading it can do at any others, so what it gains is a line below the gain at all prices: a cut.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import log
from typing import NamedTuple

import numpy as np

from agent.amm import BalancerStablePool, CurvePool, SolidlyPool
from agent.amm.math import WAD
from agent.domain.instruments import AssetId
from agent.routing.certificate.chains import Chains
from agent.routing.certificate.gains import Sale, scales, trade_of
from agent.routing.certificate.invariants import settled
from agent.routing.certificate.units import ONE, SHIFT
from agent.routing.tables import Floats, Ints

_ENDLESS = 1e200


class Trading(NamedTuple):
    """What one trading with a pool takes (below 0) and gives of each name, raw, what that is worth less its gas, and the gas."""

    pool: str
    flows: tuple[tuple[AssetId, float], ...]
    net: float
    gas: float
    sale: Sale


class Joint:
    """Those of `sales`, which are of `of`, that take several pairs of a pool together; `numbers` are where names stand in arrays of prices."""

    def __init__(self, of: Chains, sales: Sequence[Sale], numbers: Mapping[AssetId, int]) -> None:
        self.of, self._number = of, numbers
        self.sales = [sale for sale in sales if sale.i == sale.j]
        self._known: dict[tuple[int, tuple[float, ...]], Trading | None] = {}
        self._names: list[tuple[AssetId, ...]] = []
        rows: list[tuple[int, int, int, float, float]] = []
        for number, sale in enumerate(self.sales):
            edge, rates = sale.edge, of.rates_of(sale.edge.pool)
            size = range(len(edge.nodes))
            sold = [k for k in size if k not in edge.never_sold and edge.nodes[k] in of.nodes]
            bought = [k for k in size if k not in edge.never_bought and edge.outs[k] in of.nodes]
            self._names.append(tuple(dict.fromkeys([*(edge.nodes[k] for k in sold), *(edge.outs[k] for k in bought)])))  # fmt: skip
            for a in sold:
                for b in bought:
                    if a != b:
                        got = edge.outs[b]
                        par = log(of.order.par(got)) if got in of.targets else 0.0
                        rows.append((number, numbers[edge.nodes[a]], numbers.get(got, -1), rates[a][b], par))
        self._sale: Ints = np.array([row[0] for row in rows], dtype=np.int64)
        self._from: Ints = np.array([row[1] for row in rows], dtype=np.int64)
        self._to: Ints = np.array([row[2] for row in rows], dtype=np.int64)
        self._rate: Floats = np.array([row[3] for row in rows])
        self._par: Floats = np.array([row[4] for row in rows])

    def best(
        self, logs: Floats, caps: Mapping[AssetId, int], taken: Callable[[Sale], float]
    ) -> list[Trading]:
        """Pool by pool the trading in several pairs that nets most at the prices whose logarithms are given, where one nets anything; of
        a sale's gas so much is `taken`."""
        if not len(self._sale):
            return []
        order = self.of.order
        far = np.where(self._to >= 0, logs[self._to], self._par)
        pays = np.flatnonzero(far + self._rate - logs[self._from] > 0)
        many = np.bincount(self._sale[pays], minlength=len(self.sales))
        value: dict[AssetId, int] = {}
        found: dict[str, tuple[float, Trading]] = {}
        for number in np.flatnonzero(many):
            sale = self.sales[number]
            for name in (*sale.edge.nodes, *sale.edge.outs):
                if name in self._number:
                    value[name] = max(int(min(float(np.exp(logs[self._number[name]])), _ENDLESS) * ONE), 1)
                elif name in self.of.targets:
                    par = order.par(name)
                    value[name] = (par.numerator << SHIFT) // par.denominator
            key = int(number), tuple(value[name] / ONE for name in self._names[number])
            if key not in self._known:
                self._known[key] = _trading(sale, self.of, value, caps)
            made = self._known[key]
            net = 0.0 if made is None else made.net + taken(sale)
            if made is not None and net > found.get(sale.edge.pool.id, (0.0, made))[0]:
                found[sale.edge.pool.id] = net, made
        return [made for _, made in found.values()]


def _trading(
    sale: Sale, of: Chains, value: Mapping[AssetId, int], caps: Mapping[AssetId, int]
) -> Trading | None:
    edge, pool = sale.edge, sale.edge.pool
    if not isinstance(pool, BalancerStablePool | CurvePool | SolidlyPool):
        return None
    trade = trade_of(sale, of.ends, value, caps)
    x: Sequence[float] = [balance * 1.0 for balance in trade.balances]
    if min(x) <= 0:
        return None
    low = [worth / ONE for worth in trade.low]
    high = [float("inf") if worth is None else worth / ONE for worth in trade.high]
    z = settled(pool, x, low, high, [float("inf") if most is None else most * 1.0 for most in trade.cap])
    scale, kept_in, kept_out, whole = scales(pool)
    flows: dict[AssetId, float] = {}
    net = -edge.gas / ONE
    for k, (before, after) in enumerate(zip(x, z, strict=True)):
        if after > before:
            raw = (after - before) * WAD / scale[k] * whole / kept_in
            flows[edge.nodes[k]] = flows.get(edge.nodes[k], 0.0) - raw
            net -= raw * value[edge.nodes[k]] / ONE
        elif after < before:
            raw = (before - after) * WAD / scale[k] * kept_out / whole
            flows[edge.outs[k]] = flows.get(edge.outs[k], 0.0) + raw
            net += raw * value[edge.outs[k]] / ONE
    return Trading(pool.id, tuple(flows.items()), net, edge.gas / ONE, sale)


__all__ = ["Joint", "Trading"]
