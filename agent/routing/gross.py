"""What a sale is worth at best where gas costs nothing and legs are not counted: solved to a given closeness, with flows that reach it.

It says what gas, limits and discreteness cost a plan, and how fast the continuous problem alone is: a state is laid out once, then each sale is a
few dozen steps over it, from the market's own prices or, a block later, from the prices found before. Estimates: nothing here is promised.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agent.domain.instruments import AssetId
from agent.routing.kernels.optimum import carried, solve, web
from agent.routing.tables import Floats, Ints, Tables

CLOSE = 1e-7


@dataclass(frozen=True, slots=True)
class Best:
    """`bound` and `reached` in raw units of the bought asset, `prices` by node of the tables, `flow` what each edge is sold, raw."""

    bound: float
    reached: float
    prices: Floats
    flow: Floats
    steps: int

    @property
    def gap_bps(self) -> float:
        """How much less the flows reach than the bound."""
        return (self.bound - self.reached) / self.bound * 1e4 if self.bound else 0.0


class Gross:
    """One state of a market, laid out."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self.web = web(tables, hubs_of(tables))

    def best(self, sell: AssetId, buy: AssetId, amount: int, start: Floats) -> Best:
        """The best sale of `amount` raw from prices `start` on: the market's own, or those of a sale of before."""
        source, target = self.tables.number[sell], self.tables.number[buy]
        found = solve(self.web, start, source, target, float(amount), CLOSE)
        flow = np.zeros(len(self.web.ends))
        reached = carried(self.web, found.prices, source, target, float(amount), flow)
        return Best(found.value, reached, found.prices, flow, found.steps)


def hubs_of(tables: Tables) -> Ints:
    """Nodes without which no two others share an edge, those with most edges first."""
    near: dict[int, set[int]] = {}
    for i, j in zip(tables.i.tolist(), tables.j.tolist(), strict=True):
        near.setdefault(i, set()).add(j)
        near.setdefault(j, set()).add(i)
    chosen: list[int] = []
    while any(near.values()):
        hub = max(near, key=lambda node: (len(near[node]), -node))
        chosen.append(hub)
        for other in near.pop(hub):
            near[other].discard(hub)
    return np.array(chosen, dtype=np.int64)


__all__ = ["Best", "Gross"]
