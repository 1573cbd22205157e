"""The arbitrage a market holds in itself, traded out exactly: the same pools at prices that agree.

At the prices where all gains from trading in circles are least (the dual of `agent.routing.dual` with nothing sold, and no gas), each
pool trades to its own best at those prices. What pools pay and take then cancels asset by asset but for the gain itself and dust.
Floats choose the amounts; every trade is an exact swap, and the new market is what the pools hold after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from agent.amm import Pool, Reverted
from agent.domain.instruments import AssetId
from agent.market.view import MarketView
from agent.routing.dual import Dual
from agent.routing.graph import swap
from agent.routing.pricing import MarketPrices
from agent.routing.tables import Floats

_ROUNDS = 4
_STEPS = 40
_TAUS = (1e-4, 1e-6, 1e-8, 1e-10)
_FINE = tuple(np.exp(np.array([0, 1, -1, 0.3, -0.3, 0.1, -0.1]) * width) for width in (0.1, 0.01, 1e-3, 1e-4, 1e-5))  # fmt: skip


@dataclass(frozen=True)
class Levelled:
    """`view` is the market afterwards, with its own digest; `got` what the trades left of every asset, raw units, below zero where
    they took some; `trades` how many there were, and `gain` their float worth in raw units of the first chain's gas token."""

    view: MarketView
    got: Mapping[AssetId, int]
    trades: int
    gain: float


def traded_out(view: MarketView) -> Levelled:
    """The market after its zero-gas arbitrage between pools; books are left as they are."""
    got: dict[AssetId, int] = {}
    trades, gain = 0, 0.0
    for _ in range(_ROUNDS):
        bare = replace(view, books=())
        market = MarketPrices(bare)
        pools, made, worth = dict(view.pools), 0, 0.0
        v = _agreed(market)
        t = market.tables
        dual = Dual(t, frozenset(t.nodes), (), 0.0, {}, {}, circular=True)
        flows = dual.flows(v, dual.edges, None)
        for k in np.argsort(-flows.gain):
            hop, amount = t.hops[int(dual.edges[k])], int(flows.paid[k])
            if flows.gain[k] <= 0 or amount <= 0:
                continue
            swapped = swap(pools[hop.id], hop.asset_in, hop.asset_out, amount)
            if isinstance(swapped, Reverted) or not swapped.complete:
                continue
            net = swapped.amount_out * v[t.number[hop.asset_out]] - amount * v[t.number[hop.asset_in]]
            if net <= 0:
                continue
            after: Pool = swapped.after
            pools[hop.id] = after
            got[hop.asset_in] = got.get(hop.asset_in, 0) - amount
            got[hop.asset_out] = got.get(hop.asset_out, 0) + swapped.amount_out
            made, worth = made + 1, worth + float(net)
        if not made:
            break
        view = replace(view, pools=pools)
        trades, gain = trades + made, gain + worth
        if worth < 1e-9 * gain:
            break
    return Levelled(view, got, trades, gain)


def _agreed(market: MarketPrices) -> Floats:
    """The prices at which every unconnected part of the market has least to gain from itself, gas left out."""
    t, values = market.tables, market.values.copy()
    degree = np.bincount(t.i, minlength=len(t.nodes))
    for part in np.unique(market.parts):
        nodes = np.flatnonzero(market.parts == part)
        root = t.nodes[int(nodes[np.argmax(degree[nodes])])]
        names = frozenset(t.nodes[int(k)] for k in nodes)
        dual = Dual(t, names, (), 0.0, {root: 1.0}, {}, circular=True)
        v = values.copy()
        v[nodes] /= v[t.number[root]]
        scale = dual.value(v, dual.edges, None, 0.0)
        if scale <= 0:
            continue
        order = nodes[np.argsort(-degree[nodes])]
        for width, tau in zip(_FINE, (*_TAUS, _TAUS[-1]), strict=True):
            v = dual.settle(v, None, 0.0, order, width)
            v = dual.solve(v, None, (tau * scale, -tau * scale), lambda: True, _STEPS)
        values[nodes] = v[nodes] * values[t.number[root]]
    return values


__all__ = ["Levelled", "traded_out"]
