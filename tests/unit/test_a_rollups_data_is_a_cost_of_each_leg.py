"""A market file's data fees: in a plan's choice of legs, in its costs to the unit, and in what its certificate proves."""

from __future__ import annotations

import json
from typing import Any

import pytest
from markets import BASE_USDC, BASE_WETH, USDC, WETH, document, v2

from agent.app.clocked import timed_route
from agent.domain.errors import Usage
from agent.domain.instruments import AssetId
from agent.market.file import parse_market
from agent.market.write import market_json
from agent.routing.buy import route_buy
from agent.routing.certificate.check import check
from agent.routing.report import route_json

POOLS = [v2(name, BASE_USDC, BASE_WETH, 300_000, 100) for name in ("aa", "bb", "cc")]
PRICE = 10**7 + 10**9


def market(**fees: str) -> dict[str, Any]:
    made = json.loads(json.dumps(document(POOLS)))
    made["at"]["eip155:8453"] |= fees
    return dict(made)


def routed(document_of: dict[str, Any]) -> dict[str, Any]:
    view = parse_market(document_of)
    route = timed_route(view, AssetId(BASE_WETH), AssetId(BASE_USDC), 10**18)
    told: dict[str, Any] = json.loads(json.dumps(route_json(route)))
    assert check(told, view).why == ()
    return told


def test_where_data_is_dear_fewer_pools_are_worth_a_leg() -> None:
    free, dear = routed(market()), routed(market(data_wei_per_leg=str(5 * 10**15)))
    assert (len(free["legs"]), len(dear["legs"])) == (3, 1)
    # 90,000 units and ceil(5e15 / 1.01e9) more, at 1.01 gwei and 3000.000003 dollars: by the definition of gas_raw.
    units = 90_000 + -(-5 * 10**15 // PRICE)
    top, bottom = 10**6 * 10**12, 10**18 * 333_333_333
    assert dear["costs"]["native_px"] == "0.000333333333"
    assert int(dear["costs"]["gas_raw"]) == -(-units * PRICE * top // bottom)
    assert int(dear["net_out_raw"]) == int(dear["out_raw"]) - int(dear["costs"]["gas_raw"])
    assert dear["certificate"]["gap_bps"] < 0.5
    # What splitting would earn is less than another leg's data: the bound of a market without them is above it.
    assert int(dear["certificate"]["bound_raw"]) < int(free["net_out_raw"])


def test_a_purchase_counts_them_as_a_sale_does() -> None:
    told = []
    for fees in ({}, {"data_wei_per_leg": str(5 * 10**15)}):
        view = parse_market(market(**fees))
        route = route_buy(view, AssetId(BASE_WETH), AssetId(BASE_USDC), 2_900 * 10**6)
        told.append(json.loads(json.dumps(route_json(route))))
        assert check(told[-1], view).why == () and told[-1]["out_raw"] == str(2_900 * 10**6)
    free, dear = told
    assert (len(free["legs"]), len(dear["legs"])) == (3, 1) and int(dear["in_raw"]) > int(free["in_raw"])
    units = 90_000 + -(-5 * 10**15 // PRICE)
    top, bottom = 10**6 * 10**12, 10**18 * 333_333_333
    assert int(dear["costs"]["gas_raw"]) == -(-units * PRICE * top // bottom)


def test_a_certificate_made_without_them_is_refused() -> None:
    told = routed(market())
    for other in (market(data_wei_per_leg="1000000000000"), market(data_wei="1")):
        assert any("market_digest" in why for why in check(told, parse_market(other)).why)
    told = routed(market(data_wei_per_leg=str(5 * 10**15)))
    assert any("gas_raw" in why for why in check(told, parse_market(market())).why)


def test_a_transactions_own_data_leaves_out_a_chain_that_does_not_earn_it() -> None:
    equivalents = [v2("dd", a, b, 3_000_000, 1_000) for a, b in [(USDC, WETH)]]
    made = json.loads(json.dumps(document([POOLS[0], *equivalents])))
    order = dict(cross_domain=True)

    def places(fee: str) -> set[str]:
        made["at"]["eip155:8453"]["data_wei"] = fee
        found = timed_route(parse_market(made), AssetId(WETH), AssetId(USDC), 10 * 10**18, **order)
        return {str(place.place) for place in found.places}

    assert places("0") == {"eip155:1", "eip155:8453"} and places(str(10**18)) == {"eip155:1"}


def test_the_keys_are_written_as_read_and_need_a_price_of_gas() -> None:
    made = market(data_wei="7", data_wei_per_leg="9")
    at = market_json(parse_market(made))["at"]["eip155:8453"]
    assert (at["data_wei"], at["data_wei_per_leg"]) == ("7", "9")
    made["at"]["eip155:8453"] |= {"base_fee_wei": "0", "priority_fee_wei": "0"}
    with pytest.raises(Usage, match="data_wei"):
        parse_market(made)
