"""A bound divided into cases: every plan belongs to the cases its legs say it does, and nets no more than each of these proves."""

from __future__ import annotations

import copy
import json
from random import Random
from typing import Any

import pytest
from chain_markets import NEAR, Drawn, drawn_plan, drawn_prices, market
from markets import USDC, WETH

from agent.domain.errors import Reject
from agent.domain.instruments import AssetId
from agent.market.view import MarketView
from agent.routing.certificate.bound import Known, Setting
from agent.routing.certificate.cases import DEEPEST, By, Limits, Standing, Traded, cases
from agent.routing.certificate.chains import FURTHER, Chains
from agent.routing.certificate.check import check
from agent.routing.certificate.seal import seal_of
from agent.routing.certificate.units import Order
from agent.routing.certify import certified
from agent.routing.greedy import best_plan
from agent.routing.native import native_price
from agent.routing.problem import pose
from agent.routing.report import route_json, route_of

INNER = sorted(asset for asset in NEAR if asset not in (WETH, USDC))


def question(of: Chains, known: Known, draw: Random) -> By:
    """Something to ask of the plans left: about a pair that has gas to pay, or about an asset that can stand at several places."""
    paying = sorted({sale.edge.pool.id for sale in known.sales if sale.edge.gas})
    several = [asset for asset in INNER if len(of.names.get(AssetId(asset), ())) > 1]
    if paying and (not several or draw.random() < 0.5):
        name = draw.choice(paying)
        pool = next(sale.edge.pool for sale in known.sales if sale.edge.pool.id == name)
        return Traded(
            name, None if name in of.together else (AssetId(pool.assets[0]), AssetId(pool.assets[1]))
        )
    asset = AssetId(draw.choice(several))
    spots = sorted(of.places[name][1:] for name in of.names[asset])
    return Standing(asset, tuple(draw.sample(spots, draw.randint(1, len(spots) - 1))))


def stands(plan: Drawn, asset: str, hub: str | None) -> tuple[int, bool] | None:
    """Where a plan's asset stands: the legs of the longest chain to it, and whether one of them leads through the hub."""
    place: dict[str, tuple[int, bool]] = {WETH: (0, False)}
    for _, given, got in plan.legs:
        level, far = place[given]
        before = place.get(got, (0, False))
        place[got] = max(before[0], level + 1), before[1] or far or given == hub
    return place.get(asset)


def first_case(plan: Drawn, by: By, hub: str | None) -> tuple[bool, ...]:
    """Of which case a plan is; of both where it does not have the asset at all."""
    if isinstance(by, Traded):
        return (any(name == by.pool for name, _, _ in plan.legs),)
    at = stands(plan, by.asset, hub)
    return (True, False) if at is None else (at in by.at,)


def holds(seed: int, plans: int, deep: int = 2) -> int:
    draw = Random(seed)
    view = market(draw)
    amount = int(10 ** draw.uniform(15, 21.5))
    native = native_price(view, AssetId(USDC))
    setting = Setting(Order(view, AssetId(WETH), AssetId(USDC), amount, False, native))
    hops, hub = draw.randint(2, 4), draw.choice((None, *INNER))
    every = [plan for _ in range(plans) if (plan := drawn_plan(view, draw, amount, hops, native)) is not None]
    ranked = sorted(plan.net for plan in every)
    known_net = max(draw.choice([0, *ranked[len(ranked) // 2 :]]), 0)
    told = 0

    def follow(of: Chains, known: Known, left: list[Drawn], depth: int) -> None:
        nonlocal told
        for wild in (0.01, 0.2):
            prices = drawn_prices(of, draw, wild)
            proof = of.proof({name: prices[name] for name in of.nodes}, known_net, (), known)
            assert all(plan.net <= max(proof.bound_raw, known_net) for plan in left)
            known = proof.known
            told += len(left)
        if depth == deep:
            return
        try:
            by = question(of, known, draw)
            parts = cases(of, known, by)
        except (Reject, IndexError):
            # Nothing is left that can be asked.
            return
        for first, part in zip((True, False), parts, strict=True):
            inside = [plan for plan in left if first in first_case(plan, by, hub)]
            follow(part, Known(tuple(part.sales), known.caps), inside, depth + 1)

    root = Chains(setting, hops, hub and AssetId(hub))
    wide = root.proof(drawn_prices(root, draw, 0.01), known_net)
    follow(root, wide.known, every, 0)
    return told


@pytest.mark.parametrize("seed", range(8))
def test_drawn_plans_never_net_more_than_the_cases_they_belong_to(seed: int) -> None:
    holds(seed, 40)


@pytest.mark.full
def test_drawn_plans_never_net_more_in_many_markets() -> None:
    assert sum(holds(seed, 80) for seed in range(1000, 2000)) > 100_000


def divided_route(seed: int, amount: int) -> tuple[MarketView, dict[str, Any]]:
    view = market(Random(seed))
    problem = pose(view, AssetId(WETH), AssetId(USDC), amount)
    return view, json.loads(json.dumps(route_json(certified(problem, route_of(problem, best_plan(problem))))))


BY_POOL, BY_PLACE = divided_route(1, 10**16), divided_route(8, 10**19)


@pytest.mark.parametrize("made", [BY_POOL, BY_PLACE])
def test_cases_prove_more_than_the_whole_and_the_check_follows(
    made: tuple[MarketView, dict[str, Any]],
) -> None:
    view, route = made
    proof = route["certificate"]
    assert check(route, view).valid and proof["gap_bps"] < 0.5
    other = copy.deepcopy(route)
    del other["certificate"]["branches"][0]["split"]
    found = check(other, view)
    assert not found.valid and found.bound_raw > int(proof["bound_raw"]) * 1.0001


@pytest.mark.parametrize(
    ("limits", "named"),
    [
        (Limits(cases=7), "more than 7 cases"),
        (Limits(deep=1), "more than 1 in one another"),
        (Limits(work=400), "more prices for more sales"),
    ],
)
def test_the_check_of_a_certificate_ends_at_a_limit(limits: Limits, named: str) -> None:
    view, route = BY_PLACE
    found = check(route, view, limits)
    assert not found.valid and named in found.why[0]


CHANGES = ("one case", "three cases", "text", "no sets", "many sets", "other pool", "other pair", "no places", "every place", "other asset",
           "source", "half a level", "missing", "dearer", "nested", "tighter", "swapped")  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_cases_that_were_tampered_with_are_refused(change: str) -> None:
    by_place = change in ("no places", "every place", "other asset", "source", "half a level")
    view, route = BY_PLACE if by_place else BY_POOL
    other = copy.deepcopy(route)
    proof = other["certificate"]
    split = proof["branches"][0]["split"]
    case = next(case for case in split["cases"] if case["sets"])
    if change in ("one case", "three cases"):
        split["cases"] = (split["cases"] * 2)[: 1 if change == "one case" else 3]
    elif change == "text":
        split["cases"][0] = "none"
    elif change in ("no sets", "many sets"):
        case["sets"] = None if change == "no sets" else case["sets"] * (FURTHER + 1)
    elif change in ("other pool", "other pair"):
        split |= {"pool": "eip155:1/0xff"} if change == "other pool" else {"pair": [WETH, USDC]}
    elif change in ("no places", "every place", "half a level"):
        sides = [[level, far] for level in range(9) for far in (False, True)]
        split["at"] = {"no places": [], "every place": sides, "half a level": [[1.5, False]]}[change]
    elif change in ("other asset", "source"):
        split["asset"] = "nothing" if change == "other asset" else WETH
    elif change == "missing":
        del case["sets"][0]["levels"][0][next(iter(case["sets"][0]["levels"][0]))]
    elif change == "dearer":
        case["sets"][0]["levels"][-1] = {a: repr(float(px) * 2) for a, px in NEAR.items()}
    elif change == "nested":
        for _ in range(DEEPEST):
            inner = {"pool": split["pool"], "pair": split["pair"], "cases": [{"sets": []}, {"sets": []}]}
            case["split"], case = inner, inner["cases"][1]
    elif change == "tighter":
        proof["bound_raw"] = str(int(proof["bound_raw"]) - 1)
    elif change == "swapped":
        split["cases"] = split["cases"][::-1]
    other["certificate"]["seal"] = seal_of(other)
    found = check(other, view)
    assert not found.valid and found.why
