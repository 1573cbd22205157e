"""What a market would give to whoever trades in circles through it, told apart from any route: it is nobody's sale, and no route counts it.

At the prices where circles gain least (`MarketPrices` without gas), every pool whose own best sale there earns more than its gas is sold that much, exactly.
What those sales are worth is what the market holds; floats choose the amounts and value what is left of each asset.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agent.amm import Reverted
from agent.domain.instruments import AssetId, place_of
from agent.market.view import MarketView
from agent.routing.arbitrage import bare
from agent.routing.dual import Dual
from agent.routing.graph import swap
from agent.routing.pricing import MarketPrices

_MOST, _NAMED = 400, 3


@dataclass(frozen=True)
class Circles:
    """`worth_raw` in raw units of `asset`, gas paid; `trades` exact swaps; `pools` those that most of it comes from, the first first."""

    asset: AssetId
    worth_raw: int
    trades: int
    pools: tuple[str, ...]


def circles(view: MarketView, asset: AssetId) -> Circles | None:
    """What the pools hold that `asset` can be reached from, None where it is nothing. A fifth of a second for 800 pools."""
    market = MarketPrices(bare(view))
    t, v = market.tables, market.values
    if asset not in t.number:
        return None
    part, unit = market.parts[t.number[asset]], float(v[t.number[asset]])
    dual = Dual(t, frozenset(t.nodes), (), 0.0, {}, {}, circular=True)
    flows = dual.flows(v, dual.edges, None)
    worth, trades, by_pool = 0.0, 0, dict[str, float]()
    for k in np.argsort(-flows.gain)[:_MOST]:
        hop, amount = t.hops[int(dual.edges[k])], int(flows.paid[k])
        i, j = t.number[hop.asset_in], t.number[hop.asset_out]
        if flows.gain[k] <= 0:
            break
        if market.parts[i] != part or hop.book or hop.id in by_pool or amount <= 0:
            continue
        swapped = swap(view.pools[hop.id], hop.asset_in, hop.asset_out, amount)
        if isinstance(swapped, Reverted):
            continue
        gas = view.gas.get(place_of(hop.asset_in))
        paid = swapped.gas * gas.price_wei * float(v[t.number[gas.native_as]]) if gas is not None and gas.native_as in t.number else 0.0  # fmt: skip
        net = swapped.amount_out * float(v[j]) - swapped.amount_in * float(v[i]) - paid
        if net > 0:
            by_pool[hop.id] = net
            worth, trades = worth + net, trades + 1
    named = sorted(by_pool, key=lambda name: -by_pool[name])[:_NAMED]
    raw = int(worth / unit) if unit > 0 else 0
    return Circles(asset, raw, trades, tuple(named)) if raw > 0 else None


__all__ = ["Circles", "circles"]
