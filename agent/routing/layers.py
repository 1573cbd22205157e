"""The tables of a market twice over: once before a hub is sold and once after, for prices that differ on the two sides."""

from __future__ import annotations

from collections.abc import Collection
from copy import copy

import numpy as np

from agent.domain.instruments import AssetId
from agent.routing.certificate.passing import after
from agent.routing.pricing import MarketPrices


def layered(market: MarketPrices, one: Collection[AssetId]) -> MarketPrices:
    """`market` with every node doubled but those in `one`, which both halves share; edges of the second half follow those of the first."""
    t = market.tables
    count = len(t.nodes)
    far = np.array([k if node in one else k + count for k, node in enumerate(t.nodes)], dtype=np.int64)
    both = copy(t)
    both.nodes = [*t.nodes, *(after(node) for node in t.nodes)]
    both.number = {node: k for k, node in enumerate(both.nodes)}
    both.hops = [*t.hops, *t.hops]
    both.i, both.j = np.concatenate((t.i, far[t.i])), np.concatenate((t.j, far[t.j]))
    for name in ("keep", "gas", "per_tick", "first", "last", "spot", "row", "place"):
        held = getattr(t, name)
        setattr(both, name, np.concatenate((held, held)))
    twice = copy(market)
    twice.tables = both
    twice.values = np.concatenate((market.values, market.values))
    twice.blocks = [*market.blocks, *(far[block] for block in market.blocks)]
    twice.parts = np.concatenate((market.parts, market.parts))
    return twice


__all__ = ["layered"]
