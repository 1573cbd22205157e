"""Buying an exact quantity the cheapest way found: the router's own split for the right input, its last leg cut to measure.

The split is the sell search's. What it must sell is found by secant steps on its exact output, the last of them with the same
split made a little larger or smaller; then the leg with the most
flow straight into the bought asset is shortened by exact-output quotes until the route pays what was asked and no more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from agent.amm import Reverted, swap_exact_out
from agent.domain.errors import Reject, Usage
from agent.domain.instruments import AssetId, Place
from agent.domain.routes import Route
from agent.domain.units import qty_exact, raw_down
from agent.market.view import MarketView
from agent.routing.certificate.data_fees import charged
from agent.routing.certify import certified
from agent.routing.engine import search_over
from agent.routing.graph import Graph, swap
from agent.routing.greedy import best_split, finished, whole
from agent.routing.plan import Plan, gas_raw_up, make_plan, overhead_raw_up
from agent.routing.problem import Problem, pose, rescale_down
from agent.routing.report import route_of
from agent.routing.search import Split
from agent.routing.spot import within

_STEPS = 8
_NEAR, _CHUNKS = 20, 4000
_CLOSE = 10**6
"""One millionth: the search stops there, and the trimmed leg settles the rest exactly."""


def _always() -> bool:
    return True


def route_buy(
    view: MarketView,
    sell: AssetId,
    buy: AssetId,
    buy_raw: int,
    *,
    max_legs: int = 12,
    max_hops: int = 3,
    cross_domain: bool = False,
    never: frozenset[str] = frozenset(),
    alone: frozenset[str] = frozenset(),
    in_time: Callable[[], bool] = _always,
) -> Route:
    """The cheapest way found to get at least `buy_raw` of `buy`, paid in `sell`; exactly that much unless lots forbid it.

    Raises Usage SAME_ASSET or BAD_AMOUNT, Reject NO_INVENTORY or NO_ROUTE.
    """
    if buy_raw <= 0:
        raise Usage("BAD_AMOUNT", f"the quantity must be greater than zero, not {buy_raw}")
    digest, view = view.digest, charged(view)
    graph = Graph(view, never, alone)
    amount = first_guess(view, graph, sell, buy, buy_raw, cross_domain, max_hops)
    held = inventory(view, sell, cross_domain)
    best: tuple[Problem, Plan] | None = None
    near: tuple[Problem, Split] | None = None
    low: tuple[int, int] | None = None
    for step in range(_STEPS):
        if held is not None and amount > held:
            if best is not None or low is not None and low[0] == held:
                break
            amount = held
        plan = None
        if near is not None and abs(amount - near[0].amount) * _NEAR <= near[0].amount:
            problem, plan = resized(*near, amount)
        if plan is None:
            problem = pose(
                view,
                sell,
                buy,
                amount,
                max_legs=max_legs,
                max_hops=max_hops,
                cross_domain=cross_domain,
                never=never,
                alone=alone,
                graph=graph,
            )
            problem, plan, split = best_split(problem, in_time)
            near = problem, split
        if plan.out >= buy_raw:
            if best is None or plan.amount < best[1].amount:
                best = problem, plan
            if (plan.out - buy_raw) * _CLOSE <= buy_raw:
                break
        elif low is None or plan.amount > low[0]:
            low = plan.amount, plan.out
        price_up = -(-plan.amount * buy_raw // plan.out)
        if plan.out >= buy_raw:
            amount = max(price_up, 1)
        else:
            # More than proportional, and more each time: prices worsen with size, and lots leave some unsold.
            amount = price_up + (amount - plan.amount) + price_up * 4**step // (2 * _CLOSE) + 1
        if best is not None and (amount >= best[1].amount or (low is not None and amount <= low[0])):
            break
    if best is None:
        if held is not None and low is not None and low[0] >= held:
            name = view.assets[sell].symbol
            raise Reject(
                "NO_INVENTORY",
                f"all the {name} held does not buy that much",
                "buy less, or move inventory first",
            )
        raise Reject(
            "NO_ROUTE", f"no path pays that much {view.assets[buy].symbol}", "try a smaller quantity"
        )
    problem, plan = best
    route = route_of(problem, trim(problem, plan, buy_raw))
    return certified(problem, replace(route, market_digest=digest), in_time)


def inventory(view: MarketView, sell: AssetId, cross_domain: bool) -> int | None:
    """All we may sell, in units of `sell`; None where one of its places has no known limit."""
    total = 0
    for asset in view.same(sell) if cross_domain else (sell,):
        if asset not in view.inventory:
            return None
        total += rescale_down(view.inventory[asset], view.assets[asset].decimals, view.assets[sell].decimals)
    return total


def resized(problem: Problem, split: Split, amount: int) -> tuple[Problem, Plan | None]:
    """The same problem for a little more or less, its split in the same proportions and settled again."""
    near = replace(problem, amount=amount)
    search = search_over(near)
    room = {source.asset: source.cap for source in near.sources}
    base: dict[int, int] = {}
    for k, part in split.amounts.items():
        source = near.paths[k].source
        cap = room[source]
        base[k] = (
            part * amount // problem.amount if cap is None else min(part * amount // problem.amount, cap)
        )
        if cap is not None:
            room[source] = cap - base[k]
    rest = amount - sum(base.values())
    kept = {k: part for k, part in base.items() if part}
    scaled = search.run(rest, 1 + rest * _CHUNKS // amount, 0.0, kept, only=frozenset(base))
    plan = whole(near, make_plan(near, scaled)) if not scaled.left else None
    return near, finished(search, scaled, plan)[0] if plan is not None else None


def first_guess(
    view: MarketView,
    graph: Graph,
    sell: AssetId,
    buy: AssetId,
    buy_raw: int,
    cross_domain: bool,
    max_hops: int,
) -> int:
    """What a single backward look says must be sold: the cheapest direct quote, else prices of a reverse path."""
    found: list[int] = []
    for source in view.same(sell) if cross_domain else (sell,):
        for target in view.same(buy) if cross_domain else (buy,):
            for book in view.books:
                mid = book.mid_px()
                if mid and {book.base, book.quote} == {source, target}:
                    wanted = qty_exact(buy_raw, view.assets[buy].decimals)
                    paid = wanted * mid if book.base == target else wanted / mid
                    found.append(raw_down(paid, view.assets[sell].decimals) or 1)
            at_target = rescale_down(buy_raw, view.assets[buy].decimals, view.assets[target].decimals)
            back = graph.paths(target, source, at_target, max_hops) if at_target else []
            if back:
                at_source = int(back[0][0])
                found.append(
                    rescale_down(at_source, view.assets[source].decimals, view.assets[sell].decimals)
                )
    if not found:
        raise Reject(
            "NO_ROUTE",
            f"no path sells {view.assets[sell].symbol} for {view.assets[buy].symbol}",
            "other sizes or places may have one",
        )
    return max(min(found), 1)


def trim(problem: Problem, plan: Plan, buy_raw: int) -> Plan:
    """The same legs with one single-hop pool leg cut down so that the output is exactly `buy_raw` where it can be."""
    excess = plan.out - buy_raw
    sources = {source.asset for source in problem.sources}
    for leg in sorted(plan.legs, key=lambda leg: -leg.out_raw):
        pool = problem.view.pools.get(leg.id)
        straight = leg.asset_in in sources and leg.asset_out in problem.view.same(problem.buy)
        once = sum(other.id == leg.id for other in plan.legs) == 1
        if pool is None or not straight or not once:
            continue
        decimals = problem.view.assets[leg.asset_out].decimals
        cut = rescale_down(excess, problem.view.assets[problem.buy].decimals, decimals)
        if leg.out_raw <= cut:
            continue
        asked = swap_exact_out(
            pool, within(pool, leg.asset_in), within(pool, leg.asset_out), leg.out_raw - cut
        )
        if isinstance(asked, Reverted) or not asked.complete or asked.amount_in > leg.in_raw:
            continue
        shorter = reduced(problem, plan, leg.id, leg.asset_in, asked.amount_in)
        if shorter is not None and shorter.out >= buy_raw:
            return shorter
    return plan


def reduced(problem: Problem, plan: Plan, pool_id: str, asset_in: AssetId, amount_in: int) -> Plan | None:
    """The plan with one leg's input changed, made again exactly: its first legs keep their inputs to the unit."""
    legs = list(plan.legs)
    at = next(k for k, leg in enumerate(legs) if leg.id == pool_id and leg.asset_in == asset_in)
    pool = problem.view.pools[pool_id]
    swapped = swap(pool, asset_in, legs[at].asset_out, amount_in)
    if isinstance(swapped, Reverted) or not swapped.complete:
        return None
    saved = legs[at].in_raw - amount_in
    legs[at] = replace(
        legs[at], in_raw=amount_in, out_raw=swapped.amount_out, fee_raw=swapped.fee, gas=swapped.gas,
        ticks_crossed=swapped.ticks_crossed,
    )  # fmt: skip
    gas: dict[Place, int] = {}
    for leg in legs:
        if leg.gas:
            gas[leg.place] = gas.get(leg.place, 0) + leg.gas
    targets = problem.view.same(problem.buy)
    out = sum(problem.to_buy(leg.out_raw, leg.asset_out) for leg in legs if leg.asset_out in targets)
    sold = plan.amount - rescale_down(
        saved, problem.view.assets[asset_in].decimals, problem.view.assets[problem.sell].decimals
    )
    places = tuple(gas.items())
    gas_raw = gas_raw_up(problem.view, dict(places), problem.buy, problem.native_px)
    return Plan(tuple(legs), sold, out, gas_raw, places, overhead_raw_up(problem, legs))
