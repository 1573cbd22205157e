"""Compiled searches made ready before they are needed: one order over a market of two pools goes through all that is compiled."""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from agent.amm import ConstantProductPool
from agent.domain.instruments import Asset, AssetId, Place
from agent.market.view import GasState, MarketView
from agent.routing.dual import singles
from agent.routing.engine import compile_searches
from agent.routing.greedy import best_plan
from agent.routing.problem import pose
from agent.routing.tables import Tables

_PLACE = Place("eip155:1")
_SOLD, _BOUGHT = AssetId(f"{_PLACE}/erc20:0x{'11' * 20}"), AssetId(f"{_PLACE}/erc20:0x{'22' * 20}")


def warm() -> None:
    """This process plans with compiled searches from now on, and has them loaded. Raises Usage NO_COMPILER."""
    compile_searches()
    view, sold, bought = market()
    best_plan(pose(view, sold, bought, 10**22))
    _priced(view, sold, bought)


def _priced(view: MarketView, sold: AssetId, bought: AssetId) -> None:
    """One step of everything that a certificate's prices are sought by."""
    from agent.routing.compiled_dual import CompiledDual

    tables = Tables(view)
    dual = CompiledDual(tables, frozenset((sold, bought)), [sold], 1e22, {bought: 1.0}, {})
    v = np.ones(len(tables.nodes))
    dual.paying(v, None)
    dual.flows(v, dual.edges, None)
    dual.onward(v, 1.0, (1,))
    dual.settle(v, None, 0.0, singles(np.array([tables.number[sold]])), np.array([1.0, 0.9]))
    dual.solve(v, None, (1.0,), lambda: True, 1)


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
