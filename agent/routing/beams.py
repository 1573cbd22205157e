"""A graph's pools laid out for the compiled beam, and the paths it finds as hops."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from typing import TYPE_CHECKING

import numpy as np

from agent.amm import Pool
from agent.domain.instruments import AssetId
from agent.routing.graph import Hop
from agent.routing.kernels import beam
from agent.routing.ranked import Hops
from agent.routing.rows import Rows, ints
from agent.routing.tables import Bools, Floats, Ints

if TYPE_CHECKING:
    from agent.routing.graph import Graph


def _key(pool: str) -> tuple[str, str]:
    return pool, ""


class Beams:
    """All edges of a graph by number."""

    def __init__(self, graph: Graph) -> None:
        self.rows: Rows = Rows()
        self.hops: list[Hop] = []
        self.numbers: dict[Hop, int] = {}
        assets = {asset: n for n, asset in enumerate(graph.edges)}
        self.assets: dict[AssetId, int] = assets
        first, other, curve, i, j = [0], list[int](), list[int](), list[int](), list[int]()
        gas, per_tick, alone = list[float](), list[float](), list[bool]()
        for asset in assets:
            for step in graph.steps(asset):
                self.numbers[step.hop] = len(self.hops)
                self.hops.append(step.hop)
                other.append(assets[step.other])
                curve.append(self.rows.number(_key(step.pool), step.curve))
                i.append(step.i)
                j.append(step.j)
                gas.append(float(step.curve.gas))
                per_tick.append(float(step.curve.gas_per_tick))
                alone.append(step.alone)
            first.append(len(other))
        self._curves = len(self.rows)
        self.edges = beam.Edges(
            ints(first), ints(other), ints(curve), ints(i), ints(j), np.array(gas), np.array(per_tick), np.array(alone, dtype=np.bool_)
        )  # fmt: skip
        pools: dict[str, int] = {}
        self.pool: Ints = ints([pools.setdefault(hop.id, len(pools)) for hop in self.hops])
        self.back: Ints = ints([self.numbers[Hop(hop.id, hop.asset_out, hop.asset_in)] for hop in self.hops])
        """By edge, its pool and the edge the other way."""

    def moved(self, graph: Graph, pools: Sequence[Pool]) -> Beams:
        """The same edges over a later state of the same pools, of which `pools` have moved."""
        later = copy(self)
        later.rows = self.rows.moved({_key(pool.id): graph.curve(pool) for pool in pools}, self._curves)
        return later

    def paths(self, source: AssetId, target: AssetId, amount: int, hops: int, width: int) -> Found:
        """What the beam finds from one asset to another."""
        if source not in self.assets or target not in self.assets:
            empty: Ints = np.zeros(0, dtype=np.int64)
            return Found(self, beam.Ways(np.zeros(0), np.zeros(0), empty, empty.reshape(0, hops)))
        market, start = self.rows.laid()
        ways = beam.beam(market, start, self.edges, self.assets[source], self.assets[target], float(amount), hops, width)  # fmt: skip
        order = np.argsort(-ways.out, kind="stable")
        return Found(self, beam.Ways(ways.out[order], ways.gas[order], ways.length[order], ways.edges[order]))


class Found:
    """`Ranked` over rows of edge numbers, best output first: only the paths asked for become hops."""

    def __init__(self, beams: Beams, ways: beam.Ways) -> None:
        self._beams, self._ways = beams, ways

    def _hops(self, rows: Ints) -> Iterable[Hops]:
        hops = self._beams.hops
        return [tuple(hops[e] for e in way if e >= 0) for way in self._ways.edges[rows].tolist()]

    def best(self, most: int) -> Iterable[Hops]:
        return self._hops(np.arange(min(most, len(self._ways.out)), dtype=np.int64))

    def long(self, hops: int, most: int) -> Iterable[Hops]:
        return self._hops(np.flatnonzero(self._ways.length == hops)[:most])

    def netted(self, gas_rate: float, share: int, most: int) -> Iterable[Hops]:
        cost: Floats = self._ways.gas * gas_rate / share - self._ways.out
        return self._hops(np.argsort(cost, kind="stable")[:most])

    def new(self, gas_rate: float, known: set[Hop], most: int) -> Iterable[Hops]:
        marks: Bools = np.zeros(len(self._beams.hops), dtype=np.bool_)
        marks[[self._beams.numbers[hop] for hop in known]] = True
        found = list(self._hops(beam.new_ones(self._ways, gas_rate, marks, most)))
        known.update(hop for hops in found for hop in hops)
        return found


__all__ = ["Beams"]
