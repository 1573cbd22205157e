"""Where two pools of one pair disagree, the bound counts the circle between them; branches forbid one way each, and prove more."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from markets import DAI, USDC, WETH, document, v2

from agent.domain.errors import Reject
from agent.domain.instruments import AssetId
from agent.market.file import parse_market
from agent.market.view import MarketView
from agent.routing.certificate.bound import Setting
from agent.routing.certificate.branches import Branch, covered
from agent.routing.certificate.check import check
from agent.routing.certificate.seal import seal_of
from agent.routing.certificate.units import Order
from agent.routing.certify import certified
from agent.routing.greedy import best_plan
from agent.routing.problem import pose
from agent.routing.report import route_json, route_of

ODD = "eip155:1/erc20:0x1111111111111111111111111111111111111111"
OTHER = "eip155:1/erc20:0x2222222222222222222222222222222222222222"
A, B, C = AssetId("a"), AssetId("b"), AssetId("c")


def odd_pool(name: str, other: str, odd: float, others: float, decimals: int) -> dict[str, Any]:
    reserves = [str(int(odd * 10**18)), str(int(others * 10**decimals))]
    return {"id": f"eip155:1/0x{name}", "kind": "uniswap_v2", "assets": [ODD, other], "reserves_raw": reserves, "fee_pips": 3000, "gas": 90_000}  # fmt: skip


def torn_market() -> MarketView:
    """ODD is worth 1 OTHER in one pool and 1.1 in another, and either can be had and left without the other."""
    pools = [
        v2("aa", USDC, WETH, 3_000_000, 1_000),
        v2("bb", DAI, WETH, 3_000_000, 1_000),
        odd_pool("cc", OTHER, 1_000, 1_000, 18),
        odd_pool("dd", OTHER, 1_000, 1_100, 18),
        odd_pool("ee", USDC, 100, 300_000, 6),
        odd_pool("ff", DAI, 100, 300_000, 18),
    ]
    for name, asset, size in (("a1", USDC, 6), ("a2", DAI, 18)):
        pools.append({**odd_pool(name, asset, 100, 300_000, size), "assets": [OTHER, asset]})
    made = document(pools)
    made["assets"] += [
        {"id": ODD, "symbol": "ODD", "decimals": 18},
        {"id": OTHER, "symbol": "OTHER", "decimals": 18},
    ]
    return parse_market(json.loads(json.dumps(made)))


VIEW = torn_market()


def torn_route() -> dict[str, Any]:
    # Chains as long as these have no prices of their own: the branches have to prove it.
    problem = pose(VIEW, AssetId(USDC), AssetId(DAI), 20_000 * 10**6, max_hops=9)
    route = certified(problem, route_of(problem, best_plan(problem)))
    plain: dict[str, Any] = json.loads(json.dumps(route_json(route)))
    return plain


ROUTE = torn_route()


def test_the_circle_is_branched_away_and_the_check_follows() -> None:
    proof = ROUTE["certificate"]
    assert proof["branches"] and check(ROUTE, VIEW).valid
    setting = Setting(
        Order(VIEW, AssetId(USDC), AssetId(DAI), int(ROUTE["in_raw"]), False, ROUTE["costs"]["native_px"])
    )
    assert int(proof["bound_raw"]) < setting.bound_raw(proof["prices"], int(ROUTE["net_out_raw"]))
    assert int(proof["bound_raw"]) >= int(ROUTE["net_out_raw"])


def test_branches_that_leave_plans_out_are_refused() -> None:
    for k in range(len(ROUTE["certificate"]["branches"])):
        for change in ("gone", "free", "twice", "turned"):
            other = copy.deepcopy(ROUTE)
            branches = other["certificate"]["branches"]
            if change == "gone":
                del branches[k]
            elif change == "free":
                branches[k]["off"] = []
            elif change == "twice":
                branches.append(branches[k])
            else:
                branches[k]["off"] = [way[::-1] for way in branches[k]["off"]]
            other["certificate"]["seal"] = seal_of(other)
            assert not check(other, VIEW).valid, change


@pytest.mark.parametrize(
    "offs",
    [
        [[(A, B)]],
        [[(A, B)], [(A, B)]],
        [[(A, B)], [(B, A)], []],
        [[(A, B)], [(A, C)]],
        [[(A, B), (A, C)], [(B, A), (A, C)], [(A, B), (C, A)]],
        [[(A, B), (B, A)], []],
    ],
)
def test_only_every_combination_once_covers_all_plans(offs: list[list[tuple[AssetId, AssetId]]]) -> None:
    with pytest.raises(Reject) as caught:
        covered([Branch(tuple(off), {}) for off in offs])
    assert caught.value.code == "BAD_CERTIFICATE"


def test_both_ways_of_one_pair_and_all_of_two_cover_them() -> None:
    covered([Branch(((A, B),), {}), Branch(((B, A),), {})])
    ways = [(one, other) for one in ((A, B), (B, A)) for other in ((A, C), (C, A))]
    covered([Branch(way, {}) for way in ways])
