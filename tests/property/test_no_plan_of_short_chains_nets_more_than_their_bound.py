"""With a price for every place an asset can have in a plan, the bound holds for any plan of no longer chains, whatever the prices."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from chain_markets import NEAR, ODD, UNIT, USDT, drawn_plan, drawn_prices, market
from click.testing import CliRunner
from markets import DAI, USDC, WETH, document, v2

from agent.app.cli.certificate import check as check_command
from agent.domain.errors import Reject
from agent.domain.instruments import AssetId
from agent.market.file import parse_market
from agent.market.view import MarketView
from agent.routing.certificate.bound import Setting
from agent.routing.certificate.chains import FURTHER, Chains
from agent.routing.certificate.check import check
from agent.routing.certificate.gains import LITTLE
from agent.routing.certificate.seal import seal_of
from agent.routing.certificate.units import SHIFT, Order
from agent.routing.certify import certified
from agent.routing.greedy import best_plan
from agent.routing.native import native_price
from agent.routing.problem import pose
from agent.routing.report import route_json, route_of


def holds(seed: int, plans: int) -> int:
    draw = Random(seed)
    view = market(draw)
    amount = int(10 ** draw.uniform(15, 21.5))
    native = native_price(view, AssetId(USDC))
    setting = Setting(Order(view, AssetId(WETH), AssetId(USDC), amount, False, native))
    hops = draw.randint(2, 4)
    found = [made for _ in range(plans) if (made := drawn_plan(view, draw, amount, hops, native)) is not None]
    nets, most = [plan.net for plan in found], draw.randint(2, 5)
    best = max([*nets, 0])
    few = max([plan.net for plan in found if len(plan.legs) <= most], default=0)
    for hub in draw.sample((None, DAI, ODD), 2):
        for wild in (0.01, 0.2):
            of = Chains(setting, hops, hub and AssetId(hub))
            prices = drawn_prices(of, draw, wild)
            wide = of.bound_raw(prices)
            assert all(net <= wide for net in nets)
            plain = {AssetId(a): repr(NEAR[a]) for a in NEAR if AssetId(a) in setting.nodes}
            known = Chains(setting, hops, hub and AssetId(hub), setting.proof(plain, best).known)
            for tighter in (of, known):
                # Knowing the best of them tightens the bound, up to the two hundredth of the gap at which its rounds end, and to what
                # gains are not told apart by: one less than a part of its gas is told at the rate of the first unit, and the smaller
                # what is in hand is known to be, the more are. Each leg of a chain may lose less by that.
                told = {name: prices[name] for name in tighter.nodes}
                first = tighter.proof(told, best)
                untold = hops * max((sale.edge.gas for sale in tighter.sales), default=0) // LITTLE >> SHIFT
                assert best <= first.bound_raw <= wide + (wide - best) // 200 + untold
                # So do prices over what other prices leave.
                others = drawn_prices(of, draw, wild)
                then = tighter.proof({name: others[name] for name in tighter.nodes}, best, (), first.known)
                assert best <= tighter.proof(told, best, (), then.known).bound_raw
            limited = Chains(setting, hops, hub and AssetId(hub), legs=most)
            first = limited.proof(prices, max(few, 0))
            assert max(few, 0) <= first.bound_raw <= wide + 1
            assert few <= limited.proof(drawn_prices(of, draw, wild), max(few, 0), (), first.known).bound_raw
    return len(nets)


@pytest.mark.parametrize("seed", range(8))
def test_drawn_plans_never_net_more_than_the_bound_of_drawn_prices(seed: int) -> None:
    holds(seed, 40)


@pytest.mark.full
def test_drawn_plans_never_net_more_in_many_markets() -> None:
    assert sum(holds(seed, 100) for seed in range(1000, 2500)) > 50_000


def winding_route() -> tuple[MarketView, dict[str, Any]]:
    """ODD is dear in one pool and cheap in another, with a circle between dollars on the way: more legs than a route has would gain by it."""
    pools = [v2("aa", USDC, WETH, 3_000_000, 1_000), v2("bb", DAI, WETH, 3_000_000, 1_000)]
    rows = (("cc", ODD, WETH, 1000, 1000), ("dd", ODD, USDT, 1000, 3_300_000), ("ee", USDT, WETH, 300_000, 100), ("ff", ODD, USDC, 100, 300_000), ("f1", USDT, DAI, 40_000, 40_000))  # fmt: skip
    for name, one, other, a, b in rows:
        raws = [str(a * 10 ** UNIT[one]), str(b * 10 ** UNIT[other])]
        pools.append({"id": f"eip155:1/0x{name}", "kind": "uniswap_v2", "assets": [one, other], "reserves_raw": raws, "fee_pips": 3000, "gas": 90_000})  # fmt: skip
    made = document(pools)
    made["assets"] = [a for a in made["assets"] if a["id"] not in (ODD, USDT)]
    made["assets"] += [{"id": ODD, "symbol": "ODD", "decimals": 18}, {"id": USDT, "symbol": "USDT", "decimals": 6}]  # fmt: skip
    view = parse_market(json.loads(json.dumps(made)))
    problem = pose(view, AssetId(USDC), AssetId(DAI), 20_000 * 10**6)
    return view, json.loads(json.dumps(route_json(certified(problem, route_of(problem, best_plan(problem))))))


def test_short_chains_prove_more_and_the_check_follows() -> None:
    view, route = winding_route()
    proof = route["certificate"]
    assert proof["branches"][0]["hops"] == proof["universe"]["hops"] >= 3 and check(route, view).valid
    order = Order(view, AssetId(USDC), AssetId(DAI), int(route["in_raw"]), False, route["costs"]["native_px"])
    assert int(proof["bound_raw"]) < Setting(order).bound_raw(proof["prices"], int(route["net_out_raw"]))


def test_prices_and_amounts_out_of_all_range_are_refused_in_words() -> None:
    view = market(Random(5))
    problem = pose(view, AssetId(WETH), AssetId(USDC), 10**19)
    route = json.loads(json.dumps(route_json(certified(problem, route_of(problem, best_plan(problem))))))
    backwards = pose(view, AssetId(USDC), AssetId(WETH), 10**10)
    other = json.loads(
        json.dumps(route_json(certified(backwards, route_of(backwards, best_plan(backwards)))))
    )
    for honest in (route, other):
        for price, amount in (("1e300", None), ("1e300", "9" * 399), ("1e-300", "9" * 399)):
            forged = copy.deepcopy(honest)
            for asset in forged["certificate"]["prices"]:
                forged["certificate"]["prices"][asset] = price
            forged["in_raw"] = amount or forged["in_raw"]
            forged["certificate"]["seal"] = seal_of(forged)
            found = check(forged, view)
            assert not found.valid and found.why


def test_a_proof_over_shorter_chains_than_pay_says_so(tmp_path: Path) -> None:
    """One leg nets a third less than two: what holds of one leg alone must not read as if it held of all."""
    pools = [v2("aa", USDC, DAI, 10_000, 10_000), v2("bb", USDC, WETH, 3_000_000, 1_000), v2("cc", DAI, WETH, 3_000_000, 1_000)]  # fmt: skip
    market = document(pools)
    view = parse_market(market)
    found, files = [], (tmp_path / "route.json", tmp_path / "market.json")
    for most in (1, 3):
        problem = pose(view, AssetId(USDC), AssetId(DAI), 5_000 * 10**6, max_hops=most)
        route = json.loads(json.dumps(route_json(certified(problem, route_of(problem, best_plan(problem))))))
        found.append(check(route, view))
        if most == 1:
            files[0].write_text(json.dumps(route))
            files[1].write_text(json.dumps(market))
    short, longer = found
    assert short.valid and short.hops == 1 and longer.valid and longer.hops is None
    assert short.bound_raw < longer.net_out_raw * 7 // 10
    told = CliRunner().invoke(check_command, [str(file) for file in files])
    assert told.exit_code == 0 and "over chains of at most 1 leg," in told.output


THEN = ("text", "many", "number", "short", "dearer", "strange", "missing", "tighter")


@pytest.mark.parametrize("change", THEN)
def test_further_prices_that_were_tampered_with_are_refused(change: str) -> None:
    view, route = WINDING
    other = copy.deepcopy(route)
    chains = other["certificate"]["branches"][0]
    one = {key: copy.deepcopy(chains[key]) for key in ("prices", "levels", "after")}
    if change == "short":
        one["levels"] = one["levels"][:-1]
    elif change == "dearer":
        one["levels"][-1] = {asset: repr(float(px) * 2) for asset, px in one["levels"][-1].items()}
    elif change == "strange":
        one["prices"]["nothing"] = "1"
    elif change == "missing":
        del one["levels"][0][next(iter(one["levels"][0]))]
    elif change == "tighter":
        other["certificate"]["bound_raw"] = str(int(other["certificate"]["bound_raw"]) - 1)
    rows = {"text": "prices", "number": [3], "many": [one] * (FURTHER + 1)}
    chains["then"] = rows.get(change, [one])
    other["certificate"]["seal"] = seal_of(other)
    found = check(other, view)
    assert not found.valid and found.why


def test_the_same_prices_again_prove_no_more_than_they_do_and_none_are_needed() -> None:
    view, route = WINDING
    other = copy.deepcopy(route)
    chains = other["certificate"]["branches"][0]
    for then in ([], [{key: chains[key] for key in ("prices", "levels", "after")}], None):
        chains["then"] = then
        if then is None:
            # Certificates made before there were further prices have no such field.
            del chains["then"]
        other["certificate"]["seal"] = seal_of(other)
        found = check(other, view)
        assert int(route["net_out_raw"]) <= found.bound_raw <= int(route["certificate"]["bound_raw"])
        assert found.valid or then


CHANGES = ("fewer legs", "more legs", "half legs", "fewer hops", "more hops", "no hops", "untold", "source", "none", "dearer", "missing", "short", "gone", "text", "empty")  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_chains_that_were_tampered_with_are_refused(change: str) -> None:
    view, route = WINDING
    other = copy.deepcopy(route)
    proof = other["certificate"]
    chains = proof["branches"][0]
    if change in ("fewer hops", "more hops", "no hops"):
        chains["hops"] += {"fewer hops": -1, "more hops": 1, "no hops": -chains["hops"]}[change]
        proof["universe"]["hops"] = chains["hops"]
    elif change in ("fewer legs", "more legs", "half legs"):
        chains["legs"] = {"fewer legs": len(route["legs"]) - 1, "more legs": 99, "half legs": 1.5}[change]
        proof["universe"]["legs"] = chains["legs"] if change != "more legs" else 12
    elif change == "untold":
        del proof["universe"]["hops"]
    elif change == "source":
        chains["hub"] = USDC
    elif change == "none":
        chains["hub"] = "nothing"
    elif change == "dearer":
        chains["levels"][-1] = {a: repr(float(px) * 2) for a, px in chains["levels"][-1].items()}
    elif change == "missing":
        del chains["levels"][0][next(iter(chains["levels"][0]))]
    elif change == "short":
        chains["after"] = chains["after"][:-1]
    elif change == "gone":
        proof["branches"] = []
    else:
        proof["branches"] = ["WETH"] if change == "text" else [{}]
    other["certificate"]["seal"] = seal_of(other)
    assert not check(other, view).valid


WINDING = winding_route()


def test_chains_of_no_legs_and_hubs_at_an_end_are_none() -> None:
    view, route = WINDING
    order = Order(view, AssetId(USDC), AssetId(DAI), int(route["in_raw"]), False, route["costs"]["native_px"])
    setting = Setting(order)
    for hops, hub in ((0, None), (9, None), (4, USDC), (4, DAI)):
        with pytest.raises(Reject):
            Chains(setting, hops, hub and AssetId(hub))
