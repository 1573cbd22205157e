"""A plan as the `Route` everybody reads: costs, and what each place contributes against its mid price."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

from agent.domain.instruments import AssetId, Place
from agent.domain.routes import (
    Arbitrage,
    CaseProof,
    CaseSplit,
    Certificate,
    ChainProof,
    CircleLeg,
    Costs,
    Leg,
    PlaceSummary,
    Route,
)
from agent.domain.units import WIDE
from agent.routing.certificate.crossings import crossings
from agent.routing.plan import Plan, gas_raw_up
from agent.routing.problem import Problem
from agent.routing.spot import book_mid_rate, mid_rate, within


def _values(problem: Problem, legs: tuple[Leg, ...]) -> dict[AssetId, Fraction]:
    """What a raw unit of each asset on the way became in raw units of the bought asset, from the last leg backwards."""
    worth: dict[AssetId, Fraction] = {
        a: Fraction(10 ** problem.view.assets[problem.buy].decimals, 10 ** problem.view.assets[a].decimals)
        for a in problem.view.same(problem.buy)
    }
    got: dict[AssetId, Fraction] = defaultdict(Fraction)
    used: dict[AssetId, int] = defaultdict(int)
    for leg in reversed(legs):
        got[leg.asset_in] += leg.out_raw * worth.get(leg.asset_out, Fraction(0))
        used[leg.asset_in] += leg.in_raw
        if used[leg.asset_in]:
            worth[leg.asset_in] = got[leg.asset_in] / used[leg.asset_in]
    return worth


def fees_raw_up(problem: Problem, legs: tuple[Leg, ...]) -> int:
    """Pool and taker fees in units of the bought asset, at the prices the legs themselves gave."""
    worth = _values(problem, legs)
    total = sum(
        (leg.fee_raw * worth.get(leg.fee_asset, worth.get(leg.asset_in, Fraction(0))) for leg in legs),
        Fraction(0),
    )
    return -(-total.numerator // total.denominator)


def _mid(problem: Problem, legs: list[Leg], asset_in: AssetId, asset_out: AssetId) -> float:
    """Raw bought per raw sold at no size and no fee, over the legs of one place in their proportions."""
    books = {book.id: book for book in problem.view.books}
    targets = {*problem.view.same(problem.buy), asset_out}
    flows: dict[AssetId, list[tuple[float, AssetId, float]]] = defaultdict(list)
    for leg in legs:
        if leg.id in books:
            book = books[leg.id]
            base, quote = problem.view.assets[book.base].decimals, problem.view.assets[book.quote].decimals
            rate = book_mid_rate(book, book.base == leg.asset_in, base, quote)
        else:
            pool = problem.view.pools[leg.id]
            rate = mid_rate(pool, within(pool, leg.asset_in), within(pool, leg.asset_out))
        # A book with one side has no middle: what the leg gets is the only price there is.
        rate = rate or leg.out_raw / leg.in_raw
        flows[leg.asset_in].append((float(leg.in_raw), leg.asset_out, rate))

    def value(asset: AssetId) -> float:
        if asset in targets:
            return 1.0
        total = sum(amount for amount, _, _ in flows[asset])
        return (
            sum(amount * rate * value(other) for amount, other, rate in flows[asset]) / total
            if total
            else 0.0
        )

    return value(asset_in)


TRANSFER = "transfer"
"""The kind of a leg through a transfer."""


def seconds_of(problem: Problem, legs: Sequence[Leg]) -> tuple[int, int] | None:
    """(usual, ninety-nine times of a hundred at most) seconds of the longest chain of transfers among the legs; None where there are none."""
    known = {crossing.id: crossing.transfer for crossing in crossings(problem.view)}
    behind: dict[AssetId, tuple[int, int]] = {}
    for leg in legs:
        usual, most = behind.get(leg.asset_in, (0, 0))
        if leg.kind == TRANSFER:
            usual, most = usual + known[leg.id].seconds_p50, most + known[leg.id].seconds_p99
        there = behind.get(leg.asset_out, (0, 0))
        behind[leg.asset_out] = max(there[0], usual), max(there[1], most)
    if not any(leg.kind == TRANSFER for leg in legs):
        return None
    return max(usual for usual, _ in behind.values()), max(most for _, most in behind.values())


def _significant(value: Decimal) -> Decimal:
    with localcontext(WIDE) as context:
        context.prec = 12
        return +value


def _summary(problem: Problem, plan: Plan, place: Place) -> PlaceSummary:
    view = problem.view
    legs = [leg for leg in plan.legs if leg.place == place and leg.kind != TRANSFER]
    sources, targets = {s.asset for s in problem.sources}, set(view.same(problem.buy))
    # Where transfers come or go, what is sold first may have landed there, and what is bought last be sent on.
    asset_in = next((leg.asset_in for leg in legs if leg.asset_in in sources), legs[0].asset_in)
    asset_out = next((leg.asset_out for leg in legs if leg.asset_out in targets), legs[-1].asset_out)
    in_raw = sum(leg.in_raw for leg in legs if leg.asset_in == asset_in)
    out_raw = sum(leg.out_raw for leg in legs if leg.asset_out == asset_out)
    shift = view.assets[asset_in].decimals - view.assets[asset_out].decimals
    with localcontext(WIDE):
        avg = (Decimal(out_raw) / Decimal(in_raw)).scaleb(shift)
        mid = Decimal(repr(_mid(problem, legs, asset_in, asset_out))).scaleb(shift)
        impact = ((mid - avg) / mid * 10_000).quantize(Decimal("0.01")) if mid else Decimal(0)
    gas = dict(plan.gas).get(place, 0)
    return PlaceSummary(
        place, asset_in, asset_out, in_raw, out_raw, gas, gas_raw_up(view, {place: gas}, problem.buy, problem.native_px),
        fees_raw_up(problem, tuple(legs)), _significant(avg), _significant(mid), impact,
    )  # fmt: skip


def route_of(problem: Problem, plan: Plan) -> Route:
    """The route of an exact plan."""
    places = tuple(dict.fromkeys(leg.place for leg in plan.legs if leg.kind != TRANSFER))
    costs = Costs(plan.gas_raw, 0, fees_raw_up(problem, plan.legs), problem.native_px)
    return Route(
        problem.sell, problem.buy, plan.amount, plan.out, plan.net, costs, plan.legs,
        tuple(_summary(problem, plan, place) for place in places), problem.view.digest, seconds=seconds_of(problem, plan.legs),
    )  # fmt: skip


def certificate_json(found: Certificate | None) -> dict[str, Any] | None:
    """The `certificate` object of FORMATS, null where none was issued."""
    if found is None:
        return None
    branches: list[dict[str, Any]] = [
        {"off": [list(way) for way in branch.off], "prices": dict(branch.prices)} for branch in found.branches
    ]
    if (hub := found.passing) is not None:
        branches.append({"hub": hub.asset, "prices": dict(hub.before), "after": dict(hub.after)})
    universe: dict[str, Any] = {
        "pools": found.pools,
        "books": found.books,
        "cross_domain": found.cross_domain,
    }
    universe |= {"transfers": found.transfers} if found.transfers else {}
    universe |= {"max_seconds": found.max_seconds} if found.max_seconds is not None else {}
    if (chains := found.chains) is not None:
        first, *then = (_places_json(prices) for prices in (chains, *chains.then))
        branch = {"hops": chains.hops, "hub": chains.hub, "legs": chains.legs, **first, "then": then}
        branches.append(branch | ({"split": _split_json(chains.split)} if chains.split else {}))
        universe |= {"legs": chains.legs} if chains.legs is not None else {}
        universe["hops"] = chains.hops
    return {
        "prices": dict(found.prices),
        "branches": branches,
        "bound_raw": str(found.bound_raw),
        "gap_bps": found.gap_bps,
        "market_digest": found.market_digest,
        "universe": universe,
        "seal": found.seal,
    }


def _places_json(prices: ChainProof) -> dict[str, Any]:
    sides = (("levels", prices.before), ("after", prices.after))
    moves = [[move.sells, move.pool, move.given, move.got, move.gas] for move in prices.moves]
    return {
        "prices": dict(prices.ends),
        **{side: [dict(level) for level in told] for side, told in sides},
    } | ({"gas": moves} if moves else {})


def _split_json(split: CaseSplit) -> dict[str, Any]:
    by: dict[str, Any] = {"asset": split.asset, "at": [list(spot) for spot in split.at]}
    if split.pool is not None:
        by = {"pool": split.pool, "pair": None if split.pair is None else list(split.pair)}
    return {**by, "cases": [_case_json(case) for case in split.cases]}


def _case_json(case: CaseProof) -> dict[str, Any]:
    sets = [_places_json(prices) for prices in case.sets]
    return {"sets": sets} | ({"split": _split_json(case.split)} if case.split else {})


def arbitrage_json(found: Arbitrage) -> dict[str, Any]:
    """What a market holds in itself, circle by circle; values in raw units of the bought asset."""
    return {
        "value_raw": str(found.value_raw),
        "pools": found.pools,
        "complete": found.complete,
        "cycles": [
            {
                "asset": circle.asset,
                "gain_raw": str(circle.gain_raw),
                "value_raw": None if circle.value_raw is None else str(circle.value_raw),
                "legs": [_leg_json(leg) for leg in circle.legs],
            }
            for circle in found.circles
        ],
    }


def _leg_json(leg: Leg | CircleLeg) -> dict[str, str]:
    return {"id": leg.id, "in": leg.asset_in, "out": leg.asset_out, "in_raw": str(leg.in_raw), "out_raw": str(leg.out_raw)}  # fmt: skip


def route_json(route: Route) -> dict[str, Any]:
    """The `route` object of FORMATS. `places` is informative: what each chain or exchange contributes. `arbitrage` is there where it was looked for."""
    beside: dict[str, Any] = {} if route.arbitrage is None else {"arbitrage": arbitrage_json(route.arbitrage)}
    if route.seconds is not None:
        beside["seconds"] = {"p50": route.seconds[0], "p99": route.seconds[1]}
    return beside | {
        "sell": route.sell,
        "buy": route.buy,
        "in_raw": str(route.in_raw),
        "out_raw": str(route.out_raw),
        "net_out_raw": str(route.net_out_raw),
        "costs": {
            "gas_raw": str(route.costs.gas_raw),
            "transfer_raw": str(route.costs.transfer_raw),
            "fees_raw": str(route.costs.fees_raw),
            "native_px": route.costs.native_px,
        },
        "legs": [_leg_json(leg) for leg in route.legs],
        "places": [
            {
                "place": p.place, "in": p.asset_in, "out": p.asset_out, "in_raw": str(p.in_raw), "out_raw": str(p.out_raw),
                "gas": p.gas, "gas_raw": str(p.gas_raw), "fee_raw": str(p.fee_raw), "avg_px": format(p.avg_px, "f"),
                "mid_px": format(p.mid_px, "f"), "impact_bps": float(p.impact_bps),
            }
            for p in route.places
        ],
        "certificate": certificate_json(route.certificate),
        "market_digest": route.market_digest,
        "took_ms": dict(route.took_ms),
    }  # fmt: skip
