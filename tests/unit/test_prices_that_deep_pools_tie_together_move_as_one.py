"""Blocks of assets: found along the deepest ties, and moved together where no single price could move alone."""

from __future__ import annotations

from math import log

import numpy as np
from markets import DAI, USDC, WETH, document, v2

from agent.domain.instruments import AssetId
from agent.market.file import parse_market
from agent.routing.blocks import blocks_of
from agent.routing.dual import Dual, singles
from agent.routing.pricing import agreed
from agent.routing.tables import Tables


def dollars() -> tuple[Tables, Dual, np.ndarray]:
    """Two dollars tied by a deep pool of a tenth of a basis point; both cost 3000 a WETH, and the prices at hand say 3003."""
    pools = [
        v2("aa", USDC, WETH, 3_000_000, 1_000, 100),
        v2("bb", DAI, WETH, 3_000_000, 1_000, 100),
        v2("cc", DAI, USDC, 9e11, 9e11, 10),
    ]
    tables = Tables(parse_market(document(pools)))
    dual = Dual(tables, frozenset(tables.nodes), (), 0.0, {AssetId(WETH): 1.0}, {}, circular=True)
    near = {WETH: 1.0, USDC: 10.0**12 / 3003, DAI: 1 / 3003}
    return tables, dual, np.array([near[node] for node in tables.nodes])


def test_the_block_below_the_root_is_what_the_deepest_pool_ties() -> None:
    tables, _, v = dollars()
    found = blocks_of(tables, v, tables.number[AssetId(WETH)])
    assert [{tables.nodes[int(k)] for k in block} for block in found] == [{USDC, DAI}]


def test_together_they_reach_what_neither_reaches_alone() -> None:
    tables, dual, v = dollars()
    root = tables.number[AssetId(WETH)]
    alone = np.flatnonzero(np.arange(len(v)) != root)
    steps = np.exp(np.array([0.0, 1e-3, -1e-3]))
    still = dual.settle(v, None, 0.0, singles(alone), steps)
    moved = dual.settle(v, None, 0.0, blocks_of(tables, v, root), steps)
    before, one, both = (dual.value(x, dual.edges, None, 0.0) for x in (v, still, moved))
    assert one == before and both < before * 1e-2
    best = agreed(dual, v, alone, blocks_of(tables, v, root))
    assert dual.value(best, dual.edges, None, 0.0) <= both
    usdc, dai = (tables.number[AssetId(a)] for a in (USDC, DAI))
    assert abs(log(best[usdc] / best[dai]) - log(1e12)) < 2e-5
