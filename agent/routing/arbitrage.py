"""The arbitrage a market holds in itself, traded out exactly: the same pools at prices that agree.

At the prices where all gains from trading in circles are least (the dual of `agent.routing.dual` with nothing sold, and no gas), each
pool trades to its own best at those prices. What pools pay and take then cancels asset by asset but for the gain itself and dust.
Floats choose the amounts; every trade is an exact swap, and the new market is what the pools hold after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from agent.amm import Pool, Reverted, WeightedPool
from agent.domain.instruments import AssetId
from agent.market.view import MarketView
from agent.routing.dual import Dual
from agent.routing.graph import swap
from agent.routing.pricing import MarketPrices

_ROUNDS, _AGAIN = 8, 40


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
        gas = {place: replace(held, base_fee_wei=0, priority_fee_wei=0) for place, held in view.gas.items()}
        bare = replace(view, books=(), gas=gas)
        market = MarketPrices(bare)
        pools, made, worth = dict(view.pools), 0, 0.0
        t, v = market.tables, market.values
        dual = Dual(t, frozenset(t.nodes), (), 0.0, {}, {}, circular=True)
        flows = dual.flows(v, dual.edges, None)
        for k in np.argsort(-flows.gain):
            hop, amount = t.hops[int(dual.edges[k])], int(flows.paid[k])
            if flows.gain[k] <= 0 or amount <= 0:
                continue
            # A weighted pool takes three tenths of a balance at once: one far from its price is sold to again.
            for _ in range(_AGAIN if isinstance(pools[hop.id], WeightedPool) else 1):
                swapped = swap(pools[hop.id], hop.asset_in, hop.asset_out, amount)
                if isinstance(swapped, Reverted) or not swapped.amount_in:
                    break
                # A pool that ends before its best price took what it could.
                taken = swapped.amount_in
                net = swapped.amount_out * v[t.number[hop.asset_out]] - taken * v[t.number[hop.asset_in]]
                if net <= 0:
                    break
                after: Pool = swapped.after
                pools[hop.id] = after
                got[hop.asset_in] = got.get(hop.asset_in, 0) - taken
                got[hop.asset_out] = got.get(hop.asset_out, 0) + swapped.amount_out
                made, worth = made + 1, worth + float(net)
        if not made:
            break
        view = replace(view, pools=pools)
        trades, gain = trades + made, gain + worth
        if worth < 1e-9 * gain:
            break
    return Levelled(view, got, trades, gain)


__all__ = ["Levelled", "traded_out"]
