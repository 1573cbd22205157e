"""A graph's hops over pools laid out by their knots, for compiled searches over sets of legs: pool by pool, as they are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from typing import TYPE_CHECKING

import numpy as np

from agent.amm import Pool
from agent.domain.instruments import AssetId
from agent.routing.kernels.legs import Legs
from agent.routing.tables import Bools, Floats, Ints, pool_rows

if TYPE_CHECKING:
    from agent.routing.graph import Graph, Hop

_BEGIN = 1024


class Knots:
    """All legs of one state by number: those of `Beams`. Of pools that nobody asked for there are no knots, and no rates."""

    def __init__(self, graph: Graph) -> None:
        beams = graph.beams()
        self._graph = graph
        self.hops: list[Hop] = beams.hops
        self.number: dict[Hop, int] = beams.numbers
        self.asset: dict[AssetId, int] = beams.assets
        edges, count = beams.edges, len(beams.hops)
        given: Ints = np.repeat(np.arange(len(self.asset), dtype=np.int64), np.diff(edges.first))
        none: Ints = np.zeros(count, dtype=np.int64)
        self.legs = Legs(
            edges.first, given, edges.other, beams.back, beams.pool, edges.alone, np.zeros(count), none, none.copy(), np.ones(count), np.zeros(count), edges.gas,
            np.zeros(count), np.zeros((_BEGIN, 5)),
        )  # fmt: skip
        self.pools: dict[str, int] = {
            hop.id: pool for hop, pool in zip(beams.hops, beams.pool.tolist(), strict=True)
        }
        self._of: dict[int, list[int]] = {}
        for e, pool in enumerate(beams.pool.tolist()):
            self._of.setdefault(pool, []).append(e)
        self._laid: Bools = np.zeros(len(self._of), dtype=np.bool_)
        self._end = 0

    def moved(self, graph: Graph, pools: Sequence[Pool]) -> Knots:
        """The same legs over a later state of the same pools, of which `pools` have moved."""
        if self._end > 2 * int(self.legs.size.sum()) + _BEGIN:
            # More of it is left over than is used.
            return Knots(graph)
        later, old = copy(self), self.legs
        later._graph, later._laid = graph, self._laid.copy()
        later.legs = old._replace(
            rate=old.rate.copy(), knot=old.knot.copy(), size=old.size.copy(), keep=old.keep.copy(), spot=old.spot.copy(), tick=old.tick.copy(),
            knots=old.knots.copy(),
        )  # fmt: skip
        gone = {pool.id for pool in pools}
        for number, edges in self._of.items():
            if self.hops[edges[0]].id in gone:
                later._laid[number] = False
                later.legs.size[edges], later.legs.rate[edges] = 0, 0.0
        return later

    def ask(self, hops: Iterable[Hop]) -> None:
        """Lays the pools of these hops."""
        self._ask({int(self.legs.pool[e]) for hop in hops if (e := self.number.get(hop)) is not None})

    def ask_between(self, assets: Ints) -> None:
        """Lays the pools between two of the assets, and between one of them and an asset that leads to another."""
        legs = self.legs
        edges = np.concatenate([np.arange(legs.first[a], legs.first[a + 1]) for a in assets])
        given, other = legs.given[edges], legs.other[edges]
        inside: Bools = np.zeros(len(self.asset), dtype=np.bool_)
        inside[assets] = True
        pairs = np.unique(given * len(self.asset) + other)
        near = np.bincount(pairs % len(self.asset), minlength=len(self.asset))
        wanted = legs.pool[edges[inside[other] | (near[other] > 1)]]
        self._ask(set(wanted[~self._laid[wanted]].tolist()))

    def _ask(self, pools: set[int]) -> None:
        for number in sorted(pools):
            if not self._laid[number]:
                self._lay(number)

    def _lay(self, number: int) -> None:
        edges, graph = self._of[number], self._graph
        [pool] = graph.pools([self.hops[edges[0]].id])
        rows = {row.hop: row for row in pool_rows(pool, graph.nodes(pool))}
        for e in edges:
            hop = self.hops[e]
            row, legs = rows.get(hop), self.legs
            legs.rate[e] = graph.rate(hop)
            if row is None:
                continue
            end = self._end + len(row.s)
            if end > len(legs.knots):
                wider: Floats = np.zeros((2 * end, 5))
                wider[: self._end] = legs.knots[: self._end]
                self.legs = legs = legs._replace(knots=wider)
            legs.knots[self._end : end] = np.array((row.s, row.ins, row.outs, row.lin, row.lout)).T
            legs.knot[e], legs.size[e], legs.keep[e] = self._end, len(row.s), row.keep_in
            legs.spot[e], legs.tick[e] = row.s[0] ** 2 * row.keep_in, row.per_tick
            self._end = end
        self._laid[number] = True


__all__ = ["Knots"]
