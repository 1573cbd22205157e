"""What a rollup charges for a leg's data on Ethereum, counted as gas of its chain: in the plan, in its costs and in the bound alike.

    gas of a leg = the pool's gas + ceil(data_wei_per_leg / (base fee + priority fee))

and a transaction's `data_wei` as `tx_gas` is: it weighs in the choice of chains, and is no part of a route's own gas.
"""

from __future__ import annotations

from dataclasses import replace

from agent.domain.instruments import Place
from agent.market.view import MarketView, pool_place


def charged(view: MarketView) -> MarketView:
    """The view with data fees in its pools' gas; itself where no chain charges any."""
    if not any(gas.data_wei or gas.data_wei_per_leg for gas in view.gas.values()):
        return view
    per_leg: dict[Place, int] = {}
    gas = {}
    for place, state in view.gas.items():
        # A market file with data fees and no price of gas is refused.
        price = max(state.price_wei, 1)
        per_leg[place] = -(-state.data_wei_per_leg // price)
        once = state.tx_gas + -(-state.data_wei // price)
        gas[place] = replace(state, tx_gas=once, data_wei=0, data_wei_per_leg=0)
    pools = {
        name: replace(pool, gas=pool.gas + more) if (more := per_leg.get(pool_place(name), 0)) else pool
        for name, pool in view.pools.items()
    }
    return replace(view, pools=pools, gas=gas)


__all__ = ["charged"]
