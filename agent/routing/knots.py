"""A graph's hops over pools laid out by their knots, for compiled searches over sets of legs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from agent.amm import Pool
from agent.domain.instruments import AssetId
from agent.routing.kernels.legs import Legs
from agent.routing.rows import ints
from agent.routing.tables import Floats, pool_rows

if TYPE_CHECKING:
    from agent.routing.graph import Graph, Hop


class Block(NamedTuple):
    """One hop's: what counts of the input, what the first unit gives, gas of a tick passed, and by knot the square root of the price, in, out and the liquidity of both."""

    keep: float
    spot: float
    tick: float
    knots: Floats


Blocks: TypeAlias = "Mapping[Hop, Block]"


def blocks_of(pool: Pool, nodes: Sequence[AssetId]) -> Blocks:
    """A pool's, by hop; none where it is empty or has no price."""
    return {
        row.hop: Block(row.keep_in, row.s[0] ** 2 * row.keep_in, float(row.per_tick), np.array((row.s, row.ins, row.outs, row.lin, row.lout)).T)
        for row in pool_rows(pool, nodes)
    }  # fmt: skip


class Knots:
    """All legs of one state by number: those of `Beams`."""

    def __init__(self, graph: Graph) -> None:
        beams = graph.beams()
        self.hops: Sequence[Hop] = beams.hops
        self.number: Mapping[Hop, int] = beams.numbers
        self.asset: Mapping[AssetId, int] = beams.assets
        self.assets: Sequence[AssetId] = list(beams.assets)
        edges, hops = beams.edges, self.hops
        blocks = [graph.blocks(hop.id).get(hop) for hop in hops]
        counts = ints([0 if block is None else len(block.knots) for block in blocks])
        keep = np.array([1.0 if block is None else block.keep for block in blocks])
        spot = np.array([0.0 if block is None else block.spot for block in blocks])
        laid = [block.knots for block in blocks if block is not None]
        self.legs = Legs(
            edges.first, np.repeat(np.arange(len(self.assets), dtype=np.int64), np.diff(edges.first)), edges.other, beams.back, beams.pool,
            edges.alone, np.array([graph.rate(hop) for hop in hops]), np.cumsum(counts) - counts, counts, keep, spot, edges.gas,
            np.array([0.0 if block is None else block.tick for block in blocks]), np.concatenate(laid) if laid else np.zeros((0, 5)),
        )  # fmt: skip


__all__ = ["Block", "Blocks", "Knots", "blocks_of"]
