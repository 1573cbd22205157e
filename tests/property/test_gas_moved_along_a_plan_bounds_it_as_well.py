"""Gas moved to a leg from those that a plan with it cannot leave out: no plan pays more than before, so none nets more than what prices prove with it."""

from __future__ import annotations

import copy
import json
from random import Random
from typing import Any

import pytest
from chain_markets import NEAR, Drawn, drawn_plan, drawn_prices, market
from markets import DAI, USDC, WETH

from agent.domain.errors import Reject
from agent.domain.instruments import AssetId
from agent.domain.routes import GasMove
from agent.market.view import MarketView
from agent.routing.certificate.bound import Known, Setting
from agent.routing.certificate.chains import Chains, name_of
from agent.routing.certificate.check import check
from agent.routing.certificate.forcing import Moved, forced
from agent.routing.certificate.gains import Sale
from agent.routing.certificate.seal import seal_of
from agent.routing.certificate.units import Order
from agent.routing.certify import certified
from agent.routing.greedy import best_plan
from agent.routing.native import native_price
from agent.routing.problem import pose
from agent.routing.report import route_json, route_of

INNER = sorted(asset for asset in NEAR if asset not in (WETH, USDC))


def drawn_moves(of: Chains, sales: tuple[Sale, ...], draw: Random) -> list[GasMove]:
    """Some gas moved to some legs, no more than what it is taken from has."""
    single = [sale for sale in sales if sale.i != sale.j]
    moves: list[GasMove] = []
    for sale in draw.sample(single, min(len(single), 12)):
        given, got = sale.pair
        sells = draw.random() < 0.6
        if given in of.sources if sells else got in of.targets:
            continue
        # A leg's gas here is 90,000 at some price: 0.01 to 10 dollars.
        trial = GasMove(sells, sale.edge.pool.id, given, got, repr(10 ** draw.uniform(-2, 1)))
        how = Moved(of, [*moves, trial])
        if all(how.gas(one) >= 0 for one in sales):
            moves.append(trial)
    return moves


def sales_of(of: Chains, plan: Drawn, hub: str | None) -> list[Sale] | None:
    """The legs of a plan as sales, each under the names its assets stand at; None where one pool gives two legs that are counted as one."""
    place: dict[str, tuple[int, bool]] = {WETH: (0, False)}
    for _, given, got in plan.legs:
        level, far = place[given]
        before = place.get(got, (0, False))
        place[got] = max(before[0], level + 1), before[1] or far or given == hub
    found = []
    for name, given, got in plan.legs:
        level, far = place[given]
        sold = AssetId(given) if given == WETH else name_of(AssetId(given), level, far)
        bought = AssetId(got) if got == USDC else name_of(AssetId(got), level + 1, far or given == hub)
        found += [s for s in of.sales if s.i != s.j and s.edge.pool.id == name and s.pair == (sold, bought)]
    used = [sale.edge.pool.id for sale in found]
    return None if any(used.count(name) > 1 for name in of.together) or len(found) < len(plan.legs) else found


def whole(plan: Drawn) -> bool:
    """Whether all that a plan buys on the way it sells on."""
    sold = {given for _, given, _ in plan.legs}
    return all(got in sold or got == USDC for _, _, got in plan.legs)


def world(seed: int) -> tuple[Random, MarketView, Chains, str, int]:
    draw = Random(seed)
    view = market(draw)
    amount = int(10 ** draw.uniform(15, 21.5))
    native = native_price(view, AssetId(USDC))
    setting = Setting(Order(view, AssetId(WETH), AssetId(USDC), amount, False, native))
    hub = draw.choice((None, *INNER))
    return draw, view, Chains(setting, draw.randint(2, 4), hub and AssetId(hub)), native, amount


def paid_less(seed: int, plans: int, taken: bool = True) -> int:
    """How many drawn plans have gas moved; without `taken`, as if it were only added."""
    draw, view, of, native, amount = world(seed)
    told = 0
    for _ in range(plans):
        plan = drawn_plan(view, draw, amount, of.hops, native)
        moves = drawn_moves(of, tuple(of.sales), draw)
        if plan is None or not whole(plan) or (sales := sales_of(of, plan, of.hub)) is None or not moves:
            continue
        how = Moved(of, moves)
        if not taken:
            how._over = ({}, {})
        assert sum(map(how.gas, sales)) <= sum(sale.edge.gas for sale in sales)
        told += sum(how.gas(sale) != sale.edge.gas for sale in sales) > 0
    return told


@pytest.mark.parametrize("seed", range(6))
def test_a_plan_pays_no_more_gas_than_before(seed: int) -> None:
    paid_less(seed, 30)


def test_plans_are_told_apart_by_what_is_moved() -> None:
    assert sum(paid_less(seed, 20) for seed in range(100, 105)) > 20


def holds(seed: int, plans: int) -> None:
    draw, view, of, native, amount = world(seed)
    every = [
        plan for _ in range(plans) if (plan := drawn_plan(view, draw, amount, of.hops, native)) is not None
    ]
    ranked = sorted(plan.net for plan in every)
    known_net = max(draw.choice([0, *ranked[len(ranked) // 2 :]]), 0)
    known: Known | None = None
    for wild in (0.01, 0.2, 0.01):
        prices = {name: text for name, text in drawn_prices(of, draw, wild).items() if name in of.nodes}
        moves = drawn_moves(of, tuple(of.sales), draw)
        proof = forced(of, prices, known_net, known, moves)
        assert all(plan.net <= max(proof.bound_raw, known_net) for plan in every)
        known = proof.known


@pytest.mark.parametrize("seed", range(8))
def test_no_drawn_plan_nets_more_than_the_bound(seed: int) -> None:
    holds(seed, 30)


@pytest.mark.full
def test_no_drawn_plan_nets_more_in_many_markets() -> None:
    for seed in range(1000, 2000):
        holds(seed, 60)
        paid_less(seed, 60)


def test_gas_that_is_only_added_is_seen_at_once() -> None:
    with pytest.raises(AssertionError):
        for seed in range(20):
            paid_less(seed, 30, taken=False)


def proved_route() -> tuple[MarketView, dict[str, Any]]:
    """A market with a route whose certificate moves gas."""
    view = market(Random(20))
    problem = pose(view, AssetId(WETH), AssetId(USDC), 10**18)
    return view, json.loads(json.dumps(route_json(certified(problem, route_of(problem, best_plan(problem))))))


VIEW, ROUTE = proved_route()


def sets_of(part: Any) -> list[dict[str, Any]]:
    """The sets of prices of a certificate, those of its cases too, that move gas."""
    if isinstance(part, list):
        return [one for each in part for one in sets_of(each)]
    if not isinstance(part, dict):
        return []
    return [part] * ("gas" in part) + [one for each in part.values() for one in sets_of(each)]


def changed(what: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The route with `what` for the gas of its first set that moves any, sealed again, and why it is refused."""
    route = copy.deepcopy(ROUTE)
    held = sets_of(route["certificate"]["branches"])[0]
    held["gas"] = what(held["gas"])
    route["certificate"]["seal"] = seal_of(route)
    return route, check(route, VIEW).why


def test_the_check_follows_moved_gas_and_without_it_proves_less() -> None:
    assert check(ROUTE, VIEW).valid
    route = copy.deepcopy(ROUTE)
    for one in sets_of(route["certificate"]["branches"]):
        del one["gas"]
    assert check(route, VIEW).bound_raw > int(ROUTE["certificate"]["bound_raw"])


@pytest.mark.parametrize(
    ("what", "named"),
    [
        (lambda gas: [[*one[:4], "1000000"] for one in gas], "more than all is taken"),
        (lambda gas: [[True, gas[0][1], WETH, gas[0][3], "0.1"]], "none is moved over"),
        (lambda gas: [[False, gas[0][1], gas[0][2], USDC, "0.1"]], "none is moved over"),
        (lambda gas: [[True, gas[0][1], DAI, gas[0][3], "0.1"]], "none is moved over"),
        (lambda gas: [[*gas[0][:4], "-0.1"]], "no amount of it"),
        (lambda gas: [[*gas[0][:4], "NaN"]], "no amount of it"),
        (lambda gas: [[*gas[0][:4], "1e999999"]], "no amount of it"),
        (lambda gas: [[*gas[0][:4], 1]], "not a list of"),
        (lambda gas: [gas[0][:4]], "not a list of"),
        (lambda gas: [["yes", *gas[0][1:]]], "not a list of"),
        (lambda gas: {}, "not a list of"),
        (lambda gas: gas * 4_001, "not a list of"),
    ],
)
def test_what_is_no_gas_to_move_is_refused_by_name(what: Any, named: str) -> None:
    _, why = changed(what)
    assert any(named in one for one in why)


def test_a_bound_with_more_than_all_taken_is_rejected() -> None:
    draw, _, of, _, _ = world(3)
    sale = next(s for s in of.sales if s.i != s.j and s.pair[0] not in of.sources and s.edge.gas)
    prices = {name: text for name, text in drawn_prices(of, draw, 0.01).items() if name in of.nodes}
    move = GasMove(True, sale.edge.pool.id, *sale.pair, "1e12")
    with pytest.raises(Reject, match="more than all is taken"):
        forced(of, prices, 0, None, [move])
