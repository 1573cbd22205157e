"""Compiled searches made ready before they are needed: one order over a market of two pools goes through all that is compiled."""

from __future__ import annotations

from decimal import Decimal

from agent.amm import ConstantProductPool
from agent.domain.instruments import Asset, AssetId, Place
from agent.market.view import GasState, MarketView
from agent.routing.engine import compile_searches
from agent.routing.greedy import best_plan
from agent.routing.problem import pose

_PLACE = Place("eip155:1")
_SOLD, _BOUGHT = AssetId(f"{_PLACE}/erc20:0x{'11' * 20}"), AssetId(f"{_PLACE}/erc20:0x{'22' * 20}")


def warm() -> None:
    """This process plans with compiled searches from now on, and has them loaded. Raises Usage NO_COMPILER."""
    compile_searches()
    view, sold, bought = market()
    best_plan(pose(view, sold, bought, 10**22))


def market() -> tuple[MarketView, AssetId, AssetId]:
    """Two pools between two assets."""
    pools = {
        f"{_PLACE}/0x{k}": ConstantProductPool(f"{_PLACE}/0x{k}", (_SOLD, _BOUGHT), (10**24, 10**24), 3000, 90_000)
        for k in range(2)
    }  # fmt: skip
    view = MarketView(
        assets={a: Asset(a, name, 18) for a, name in ((_SOLD, "A"), (_BOUGHT, "B"))}, pools=pools,
        gas={_PLACE: GasState(1, 10**9, 0, _SOLD)}, reference_px_native={_BOUGHT: Decimal(1)},
    )  # fmt: skip
    return view, _SOLD, _BOUGHT


__all__ = ["market", "warm"]
