"""The search over sets of legs with its loops compiled: the same answers as `agent.routing.support`, to the last bit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from agent.domain.instruments import AssetId
from agent.routing import balance
from agent.routing.balance import Balanced
from agent.routing.graph import Hop
from agent.routing.kernels import legs
from agent.routing.kernels.prices import Steps
from agent.routing.kernels.prices import balanced as balanced_legs
from agent.routing.problem import Problem
from agent.routing.rows import ints
from agent.routing.support import HALVINGS, LESS, LOOKS, NARROWINGS, NEAR, SURE, WAYS, More, Support, Supports

_BY = Steps(*balance.CONSTANTS)


class CompiledSupports(Supports):
    """`Supports` over a graph's legs laid side by side."""

    def __init__(self, problem: Problem, in_time: Callable[[], bool]) -> None:
        super().__init__(problem, in_time)
        self._knots = problem.graph.knots()
        self._numbers: dict[Hop, int | None] = {}

    def _has(self, hop: Hop) -> int | None:
        """The number of a hop that has a curve which a path may join."""
        if hop in self._numbers:
            return self._numbers[hop]
        knots = self._knots
        knots.ask((hop,))
        e = knots.number.get(hop)
        if e is not None and not knots.legs.size[e]:
            e = None
        if e is not None and knots.legs.alone[e] and (hop.asset_in, hop.asset_out) != self._ends:
            e = None
        self._numbers[hop] = e
        return e

    def given(self, hop: Hop, paid: float) -> float:
        e = self._has(hop)
        return 0.0 if e is None else legs.given(self._knots.legs, e, paid)[0]

    def through(self, hops: Sequence[Hop], vi: float, vj: float, least: float, most: float) -> float:
        known = [e for hop in hops if (e := self._has(hop)) is not None]
        if len(known) < len(hops):
            return 0.0
        return legs.through(self._knots.legs, ints(known), vi, vj, least, most, LOOKS, NARROWINGS, NEAR)

    def over(self, hop: Hop, prices: Mapping[AssetId, float]) -> float | None:
        e = self._has(hop)
        if e is None:
            return None
        of = self._knots.legs
        return legs.gain(of, e, prices[hop.asset_in], prices[hop.asset_out]) - float(of.gas[e]) * self._rate

    def balanced(self, hops: Sequence[Hop], order: Sequence[AssetId], start: Mapping[AssetId, float]) -> Balanced | None:  # fmt: skip
        problem = self.problem
        free = [asset for asset in order if asset != problem.buy]
        number = {asset: k for k, asset in enumerate([*free, problem.buy])}
        ends: list[tuple[int, int, int]] = []
        for hop in hops:
            e = self._has(hop)
            if e is None:
                return None
            ends.append((e, number[hop.asset_in], number[hop.asset_out]))
        begin = np.array([*(start[asset] for asset in free), 1.0])
        made = balanced_legs(
            self._knots.legs, np.array(ends, dtype=np.int64), begin, float(problem.amount), self._rate, number[problem.sell],
            ints([number[asset] for asset in order]), _BY,
        )  # fmt: skip
        amounts = made.flows.tolist()
        flows = {
            hop: flow
            for asset in order
            for hop, flow in zip(hops, amounts, strict=True)
            if hop.asset_in == asset and flow
        }
        return Balanced(made.net, flows, dict(zip(number, made.prices.tolist(), strict=True)))

    def more(self, support: Support, made: Balanced, ways: int = WAYS) -> list[More]:
        problem, knots = self.problem, self._knots
        assets = sorted(asset for asset in made.prices if asset in knots.asset)
        used = ints(sorted({int(knots.legs.pool[knots.number[hop]]) for hop in support}))
        numbers = ints([knots.asset[asset] for asset in assets])
        knots.ask_between(numbers)
        limits = legs.Limits(ways, HALVINGS, LESS, abs(made.net) * SURE)
        found = legs.more(
            knots.legs, numbers, np.array([made.prices[asset] for asset in assets]), used,
            (knots.asset[problem.sell], knots.asset[problem.buy]), problem.amount * made.prices[problem.sell], self._rate, limits,
        )  # fmt: skip
        hops = knots.hops
        return [
            More(gain, gas, (hops[one],), {}) if two < 0 else More(gain, gas, (hops[one], hops[two]), {hops[one].asset_out: price})
            for one, two, gain, gas, price in zip(*(column.tolist() for column in found), strict=True)
        ]  # fmt: skip

    def _ways(
        self, i: AssetId, j: AssetId, paid: float, floor: float, prices: Mapping[AssetId, float], used: set[str]
    ) -> list[tuple[tuple[Hop, ...], float, float, dict[AssetId, float]]]:  # fmt: skip
        knots, problem = self._knots, self.problem
        ends = ints([knots.asset[i], knots.asset[j]])
        knots.ask_between(ends)
        inside = ints([knots.asset[asset] for asset in prices])
        taken = ints([knots.pools[name] for name in sorted(used)])
        both = knots.asset[problem.sell], knots.asset[problem.buy]
        found = legs.ways(knots.legs, int(ends[0]), int(ends[1]), paid, floor, inside, taken, both)
        hops, gas = knots.hops, knots.legs.gas
        return [
            ((hops[one],), out, float(gas[one]), {}) if two < 0
            else ((hops[one], hops[two]), out, float(gas[one]) + float(gas[two]), {hops[one].asset_out: prices[i] * paid / held})
            for one, two, held, out in zip(*(column.tolist() for column in found), strict=True)
        ]  # fmt: skip


__all__ = ["CompiledSupports"]
