"""How a purchase is cut into parts: others settle it for exactly its quantity, for at most the plan's cost and the slippage."""

from __future__ import annotations

from decimal import Decimal

import pytest
from markets import BASE_USDC, BASE_WETH, USDC, WETH, document, v2

from agent.domain.ids import ClOrdId
from agent.domain.instruments import AssetId
from agent.domain.orders import ChildOrder, Side
from agent.domain.units import less_bps_down, plus_bps_down
from agent.execution.planning import cut
from agent.market.file import parse_market
from agent.routing.buy import route_buy
from chains.types import Protection

VIEW = parse_market(
    document([v2("01", USDC, WETH, 9e6, 3000), v2("02", BASE_USDC, BASE_WETH, 6e6, 2000), v2("03", USDC, WETH, 3e6, 1000)])
)  # fmt: skip


def child(qty: Decimal, protection: Protection) -> ChildOrder:
    name = ClOrdId("fl-x")
    return ChildOrder(name, name, 0, Side.BUY, "ETH", "USDC", qty, None, 50, protection, 0)


@pytest.mark.parametrize("qty", [Decimal("0.5"), Decimal("37.123456789012345678"), Decimal("200")])
def test_what_comes_is_the_quantity_and_the_slippage_stands_on_what_goes(qty: Decimal) -> None:
    route = route_buy(VIEW, AssetId(USDC), AssetId(WETH), int(qty.scaleb(18)), cross_domain=True)
    parts = cut(child(qty, Protection.INTENT), route, VIEW)
    assert sum(part.out_raw for part in parts) == int(qty.scaleb(18)) <= route.out_raw
    for part, place in zip(parts, route.places, strict=True):
        assert part.floor_raw == part.out_raw
        assert part.in_raw == plus_bps_down(place.in_raw, 50)
    if qty == 200:
        assert len(parts) == 2, "a purchase over two chains is exact as a whole"


def test_a_purchase_of_our_own_spends_what_was_planned_for_a_floor() -> None:
    qty = Decimal("0.5")
    route = route_buy(VIEW, AssetId(USDC), AssetId(WETH), int(qty.scaleb(18)), cross_domain=True)
    for part, place in zip(cut(child(qty, Protection.PRIVATE), route, VIEW), route.places, strict=True):
        assert (part.in_raw, part.out_raw) == (place.in_raw, place.out_raw)
        assert part.floor_raw == less_bps_down(place.out_raw, 50)
