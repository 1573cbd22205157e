"""A graph's hops over pools laid out by their knots, for compiled searches over sets of legs."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import TYPE_CHECKING

import numpy as np

from agent.amm import Pool
from agent.domain.instruments import AssetId
from agent.routing.kernels.legs import Legs
from agent.routing.tables import Floats, Ints, pool_rows

if TYPE_CHECKING:
    from agent.routing.graph import Graph, Hop


class Knots:
    """All legs of one state by number: those of `Beams`."""

    def __init__(self, graph: Graph) -> None:
        beams = graph.beams()
        self.hops: list[Hop] = beams.hops
        self.number: dict[Hop, int] = beams.numbers
        self.asset: dict[AssetId, int] = beams.assets
        edges, count = beams.edges, len(beams.hops)
        given: Ints = np.repeat(np.arange(len(self.asset), dtype=np.int64), np.diff(edges.first))
        none: Ints = np.zeros(count, dtype=np.int64)
        self.legs = Legs(
            edges.first, given, edges.other, beams.back, beams.pool, edges.alone, np.zeros(count), none, none, np.ones(count), np.zeros(count), edges.gas,
            np.zeros(count), np.zeros((0, 5)),
        )  # fmt: skip
        self._hops_of: dict[str, list[Hop]] = {}
        for hop in self.hops:
            self._hops_of.setdefault(hop.id, []).append(hop)
        self._lay(graph, graph.pools(self._hops_of))
        self._full = len(self.legs.knots)

    def moved(self, graph: Graph, pools: Sequence[Pool]) -> Knots:
        """The same legs over a later state of the same pools, of which `pools` have moved."""
        if len(self.legs.knots) > 2 * self._full:
            # More of it is left over than is used.
            return Knots(graph)
        later = copy(self)
        later._lay(graph, pools)
        return later

    def _lay(self, graph: Graph, pools: Sequence[Pool]) -> None:
        """Lays the knots of `pools` behind those there are; what these were is left where it is."""
        old = self.legs
        knot, size, rate = old.knot.copy(), old.size.copy(), old.rate.copy()
        keep, spot, tick = old.keep.copy(), old.spot.copy(), old.tick.copy()
        laid: list[Floats] = [old.knots]
        end = len(old.knots)
        for pool in pools:
            rows = {row.hop: row for row in pool_rows(pool, graph.nodes(pool))}
            for hop in self._hops_of.get(pool.id, ()):
                e, row = self.number[hop], rows.get(hop)
                rate[e], size[e] = graph.rate(hop), 0 if row is None else len(row.s)
                if row is not None:
                    knot[e], keep[e], tick[e] = end, row.keep_in, row.per_tick
                    spot[e] = row.s[0] ** 2 * row.keep_in
                    laid.append(np.array((row.s, row.ins, row.outs, row.lin, row.lout)).T)
                    end += len(row.s)
        self.legs = old._replace(knot=knot, size=size, rate=rate, keep=keep, spot=spot, tick=tick, knots=np.concatenate(laid))  # fmt: skip


__all__ = ["Knots"]
