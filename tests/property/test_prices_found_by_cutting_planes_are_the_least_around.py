"""What cutting planes find is worth no less anywhere near, counted leg by leg; and with no time left it is where they began."""

from __future__ import annotations

from copy import copy
from random import Random

import numpy as np
import pytest
from markets import USDC, WETH, random_market
from small_markets import small_market

from agent.domain.instruments import AssetId
from agent.market.view import MarketView
from agent.routing.certificate.bound import Setting
from agent.routing.certificate.chains import Chains, asset_of
from agent.routing.certificate.units import Order
from agent.routing.chained import ChainSearch
from agent.routing.dual import Dual
from agent.routing.graph import Graph
from agent.routing.native import native_price
from agent.routing.planes import Planes


class Sought:
    """The legs of one order by places, and what prices of them are worth where nothing limits what is in hand."""

    def __init__(self, view: MarketView, amount: int) -> None:
        graph = Graph(view)
        native = native_price(view, AssetId(USDC))
        self.order = Order(view, AssetId(WETH), AssetId(USDC), amount, False, native)
        self.of = Chains(Setting(self.order), 3, None)
        market = graph.prices()
        gas = {
            str(place): float(told.price_wei) * self.gas_unit(native, view)
            for place, told in view.gas.items()
        }
        dual = Dual(
            market.tables,
            self.of.nodes | {asset_of(n) for n in self.of.nodes},
            [AssetId(WETH)],
            0.0,
            {AssetId(USDC): 1.0},
            gas,
        )
        value = dict(zip(market.tables.nodes, market.values, strict=True))
        begin = {node: worth / value[AssetId(USDC)] for node, worth in value.items()}
        out = amount * begin[AssetId(WETH)]
        self.legs = ChainSearch(
            dual, self.of, [begin], {}, float(amount), {AssetId(WETH): 1.0}, 1e6 * out, lambda: True
        )
        self.net = out * 0.9

    def gas_unit(self, native: str, view: MarketView) -> float:
        px = float(native)
        return 10.0 ** view.assets[AssetId(USDC)].decimals / (10.0**18 * px) if px else 0.0

    def lowest(self, in_time: bool = True) -> list[float]:
        planes = Planes(self.legs, self.net, lambda: in_time)
        found = [float(at) for at in planes.lowest(self.legs.start, self.of.caps, 0.3, 0.0)]
        self.extra = planes.extra()
        return found

    def worth(self, logs: list[float]) -> float:
        """With the gas moved that was found beside the prices."""
        legs = copy(self.legs)
        legs.gas = legs.gas + self.extra
        return legs.worth(legs.falling(np.array(logs)))


@pytest.mark.parametrize("seed", range(6))
def test_no_prices_near_are_worth_less(seed: int) -> None:
    draw = Random(seed)
    view = small_market(draw) if seed % 2 else random_market(seed)
    sought = Sought(view, 10 ** draw.randint(17, 20))
    found = sought.lowest()
    least = sought.worth(found)
    # The search ends where a hundredth of what the bound is above the net is left to gain.
    room = 0.02 * abs(least - sought.net) + 1e-6 * least
    assert least <= sought.legs.worth(sought.legs.falling(sought.legs.start)) + room
    assert least <= sought.legs.worth(sought.legs.falling(np.array(found))) + room
    for width in (1e-4, 1e-3, 1e-2, 0.1):
        for _ in range(12):
            other = [at + draw.gauss(0, width) for at in found]
            assert sought.worth(other) >= least - room


def test_without_time_the_prices_stay() -> None:
    sought = Sought(small_market(Random(1)), 10**18)
    assert sought.lowest(in_time=False) == [float(at) for at in sought.legs.start]
