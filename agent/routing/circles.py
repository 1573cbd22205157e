"""The circles of a market's pools that give more than they take, as they stand before any order: found one after the other, each an exact swap.

A circle is a chain of pools that ends in the asset it began with. Where the product of its rates, fees off, is above one at a small amount, the
sum of their negative logarithms around it is below zero, and Bellman-Ford names such a circle in as many rounds as there are assets (Cormen et al.,
Introduction to Algorithms, ch. 24: currency arbitrage). Each is then carried out at the amount that earns most, on what those before it left. Gas is not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import log

import numpy as np

from agent.amm import Pool, Reverted
from agent.domain.instruments import AssetId
from agent.domain.routes import Arbitrage, Circle, CircleLeg, Route
from agent.market.view import MarketView
from agent.routing.certificate.seal import seal_of
from agent.routing.certificate.worth import worth_down
from agent.routing.graph import Graph, Hop, swap
from agent.routing.problem import Problem
from agent.routing.report import route_json

MOST_CIRCLES, MOST_LEGS = 256, 16
PROBE = 1e-3
"""What earns nothing on this part of a gas token is dust: a pool of a few raw units can have any price."""
_LARGEST = 1e60
_PAYS = 1e-9
"""Of a circle whose rates promise less than this share nothing is left in whole units."""
_ROUNDS = 200
_FINER = 40
_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True, slots=True)
class _Edge:
    hop: Hop
    start: int
    end: int


class _Market:
    """The pools as the circles so far left them, with the rate of every hop at a small amount."""

    def __init__(self, view: MarketView, graph: Graph) -> None:
        self.states: dict[str, Pool] = dict(view.pools)
        hops = [Hop(pool.id, a, b) for a, near in graph.edges.items() for pool, b in near]
        names = sorted({hop.asset_in for hop in hops})
        number = {name: k for k, name in enumerate(names)}
        self.edges = [_Edge(hop, number[hop.asset_in], number[hop.asset_out]) for hop in hops]
        self.starts = np.array([edge.start for edge in self.edges], dtype=np.int64)
        self.ends = np.array([edge.end for edge in self.edges], dtype=np.int64)
        self.of: dict[str, list[int]] = {}
        for k, edge in enumerate(self.edges):
            self.of.setdefault(edge.hop.id, []).append(k)
        self.count = len(names)
        self._probe = {name: _probe(graph, name) for name in names}
        self.costs = np.array([self._cost(edge.hop) for edge in self.edges], dtype=np.float64)

    def _cost(self, hop: Hop) -> float:
        pool = self.states[hop.id]
        amount = self._probe[hop.asset_in]
        swapped = swap(pool, hop.asset_in, hop.asset_out, amount)
        if isinstance(swapped, Reverted) or not swapped.complete or swapped.amount_out <= 0:
            return np.inf
        # A part taken off every rate: what rounds to nothing is no circle.
        return log(amount) - log(swapped.amount_out) + _PAYS

    def moved(self, states: dict[str, Pool]) -> None:
        """The pools of a circle stand where it left them."""
        self.states |= states
        for name in states:
            for k in self.of[name]:
                self.costs[k] = self._cost(self.edges[k].hop)

    def without(self, hops: Sequence[Hop]) -> None:
        """A circle that gives nothing in whole units is looked at no more."""
        for k in (k for hop in hops[:1] for k in self.of[hop.id] if self.edges[k].hop == hop):
            self.costs[k] = np.inf

    def found(self) -> tuple[Hop, ...] | None:
        """Hops of one circle whose rates multiply to more than one, None where there is none."""
        far, came = np.zeros(self.count), np.full(self.count, -1, dtype=np.int64)
        for step in range(self.count + 1):
            reach = far[self.starts] + self.costs
            best = far.copy()
            np.minimum.at(best, self.ends, reach)
            nearer = best < far - 1e-15
            if not nearer.any():
                return None
            hits = np.flatnonzero(nearer[self.ends] & (reach == best[self.ends]))
            came[self.ends[hits]] = hits
            far = best
            # A circle stands among the last steps long before every asset had its round.
            if step % 4 == 3 and (circle := self._closed(came)) is not None:
                return circle
        return self._closed(came)

    def _closed(self, came: np.ndarray[tuple[int], np.dtype[np.int64]]) -> tuple[Hop, ...] | None:
        seen = np.zeros(self.count, dtype=np.int64)
        for root in range(self.count):
            node, mark = root, root + 1
            while seen[node] == 0 and came[node] >= 0:
                seen[node] = mark
                node = int(self.starts[came[node]])
            if seen[node] == mark and came[node] >= 0:
                taken, at = list[int](), node
                while True:
                    taken.append(int(came[at]))
                    at = int(self.starts[came[at]])
                    if at == node:
                        break
                if float(self.costs[taken].sum()) < 0:
                    return tuple(self.edges[k].hop for k in reversed(taken))
        return None

    def carried(self, hops: Sequence[Hop], amount: int) -> tuple[int, tuple[CircleLeg, ...], dict[str, Pool]]:
        """(gain, legs, the pools afterwards) of `amount` around the circle, raw units of where it begins; a gain of -1 where a pool reverts."""
        states: dict[str, Pool] = {}
        legs, held = list[CircleLeg](), amount
        for hop in hops:
            swapped = swap(states.get(hop.id) or self.states[hop.id], hop.asset_in, hop.asset_out, held)
            if isinstance(swapped, Reverted) or not swapped.complete or swapped.amount_out <= 0:
                return -1, (), {}
            legs.append(CircleLeg(hop.id, hop.asset_in, hop.asset_out, held, swapped.amount_out))
            states[hop.id], held = swapped.after, swapped.amount_out
        return held - amount, tuple(legs), states

    def best_amount(self, hops: Sequence[Hop]) -> int:
        """About the amount that earns most: what is earned rises to it and falls after it."""
        best, most, amount = 0, 0, max(self._probe[hops[0].asset_in] >> 8, 1)
        for _ in range(_ROUNDS):
            gain = self.carried(hops, amount)[0]
            if gain > most:
                best, most = amount, gain
            elif best and gain < most:
                break
            amount *= 4
        if not best:
            return 0
        low, high = best // 4, best * 4
        for _ in range(_FINER):
            if high - low < 4:
                break
            part = int((high - low) * _GOLDEN)
            one, two = high - part, low + part
            gains = [self.carried(hops, at)[0] for at in (one, two)]
            for at, gain in zip((one, two), gains, strict=True):
                if gain > most:
                    best, most = at, gain
            low, high = (low, two) if gains[0] >= gains[1] else (one, high)
        return best


def _probe(graph: Graph, asset: AssetId) -> int:
    """Raw units of an asset that are worth about PROBE of its chain's gas token, by the market's own prices; one where it has none."""
    market = graph.prices()
    worth = market.values[market.tables.number[asset]] if asset in market.tables.number else 0.0
    amount = PROBE * 1e18 / worth if worth > 0 else 1.0
    return int(min(max(amount, 1.0), _LARGEST))


def _turned(hops: tuple[Hop, ...], wanted: Sequence[AssetId]) -> tuple[Hop, ...]:
    """The circle from the first of `wanted` that it passes."""
    for asset in wanted:
        for k, hop in enumerate(hops):
            if hop.asset_in == asset:
                return (*hops[k:], *hops[:k])
    return hops


def arbitrage_of(problem: Problem, in_time: Callable[[], bool]) -> Arbitrage:
    """The circles of the problem's pools, MOST_CIRCLES at the most, and what they earn in the bought asset before gas, rounded down.

    What is earned in another asset counts as `worth_down` says; `complete` says that no circle was left that earns on a small amount."""
    view, graph = problem.view, problem.graph
    market = _Market(view, graph)
    circles = list[Circle]()
    natives = (gas.native_as for gas in view.gas.values())
    wanted = (problem.buy, *natives, *sorted(view.reference_px_native))
    complete, skipped = False, False
    # A circle that gives nothing costs a look as well.
    for _ in range(2 * MOST_CIRCLES):
        if len(circles) == MOST_CIRCLES or not in_time():
            break
        hops = market.found()
        if hops is None:
            complete = not skipped
            break
        hops = _turned(hops, wanted)
        gain, legs, after = market.carried(hops, market.best_amount(hops) if len(hops) <= MOST_LEGS else 0)
        if gain <= 0:
            # Others may go by the hop that is left out with it.
            market.without(hops)
            skipped = True
            continue
        market.moved(after)
        asset = hops[0].asset_in
        worth = worth_down(view, problem.buy, problem.native_px, asset, gain, market.states)
        circles.append(Circle(asset, legs, gain, worth))
    total = sum((circle.value_raw or 0) for circle in circles)
    pools = len({leg.id for circle in circles for leg in circle.legs})
    return Arbitrage(tuple(circles), total, pools, complete)


def with_arbitrage(problem: Problem, route: Route, in_time: Callable[[], bool]) -> Route:
    """The route with what its market holds in itself beside it, and its seal over both; as it is where the time is spent."""
    if not in_time():
        return route
    told = replace(route, arbitrage=arbitrage_of(problem, in_time))
    proof = told.certificate
    return (
        told if proof is None else replace(told, certificate=replace(proof, seal=seal_of(route_json(told))))
    )


__all__ = ["MOST_CIRCLES", "MOST_LEGS", "arbitrage_of", "with_arbitrage"]
