"""The search over compiled loops: the same answers as `agent.routing.search`, to the last bit, many times faster."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from agent.routing.graph import Hop
from agent.routing.kernels import chunks
from agent.routing.kernels.whole import BITS, MOST, Pair, pair
from agent.routing.problem import Problem
from agent.routing.rows import ints
from agent.routing.search import Search, Split
from agent.routing.tables import Bools, Ints

_DUST = 10**6


def _pairs(wholes: list[int]) -> tuple[Ints, Ints]:
    parts = [pair(whole) for whole in wholes]
    return ints([high for high, _ in parts]), ints([low for _, low in parts])


class CompiledSearch(Search):
    """A `Search` whose loops are compiled. Amounts beyond 2**104 are left to the interpreted ones."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        rows = problem.graph.beams().rows
        assets: dict[str, int] = {}
        for hop in self.hops:
            assets.setdefault(hop.asset_in, len(assets))
            assets.setdefault(hop.asset_out, len(assets))
        sources = {source.asset: n for n, source in enumerate(problem.sources)}
        places = {place: n for n, place in enumerate(dict.fromkeys(self._places))}
        curve, i, j, hops = list[int](), list[int](), list[int](), list[int]()
        slot, width, sharers, shared = list[int](), list[int](), list[int](), list[int]()
        gas, per_tick = list[float](), list[float]()
        first, held = [0], 0
        users = {key: sorted(using) for key, using in self._users.items()}
        for steps in self._steps:
            for step in steps:
                number = rows.number(step.key, step.curve)
                curve.append(number)
                i.append(step.i)
                j.append(step.j)
                hops.append(step.hop)
                gas.append(float(step.gas))
                per_tick.append(float(step.curve.gas_per_tick))
                slot.append(held)
                width.append(rows.width(number))
                held += width[-1]
                sharers.append(len(shared))
                shared += users[step.key]
            first.append(len(curve))
        into, onto, rates = (np.array(column) for column in zip(*self._scales, strict=True))
        self._laid = chunks.Paths(
            ints(first), ints(curve), ints(i), ints(j), ints(hops), np.array(gas), np.array(per_tick), ints([*slot, held]), ints(width),
            into, onto, rates, ints([sources[asset] for asset in self._sources]), ints([places[place] for place in self._places]),
            ints([assets[hop.asset_in] for hop in self.hops]), ints([assets[hop.asset_out] for hop in self.hops]),
            ints([*sharers, len(shared)]), ints(shared), np.array([float(self._overheads.get(place, 0)) for place in places]),
            bool(self._overheads),
        )  # fmt: skip
        self._every: Ints = np.arange(len(self.paths), dtype=np.int64)
        self._rows = rows
        self._by_place = list(places)
        caps = [source.cap for source in problem.sources]
        self._caps = _pairs([cap or 0 for cap in caps])
        self._capped: Bools = np.array([cap is not None for cap in caps])
        self._small = problem.amount < MOST and all((cap or 0) < MOST for cap in caps)

    def nets(self, amounts: list[int]) -> list[list[tuple[float, int]]]:
        if not self._small or any(amount >= MOST for amount in amounts):
            return super().nets(amounts)
        market, start = self._rows.laid()
        found = chunks.alone(market, self._laid, start, np.array([float(amount) for amount in amounts]))
        caps = [self._room[asset] for asset in self._sources]
        return [
            [(net, k) for k, (net, cap) in enumerate(zip(row, caps, strict=True)) if net == net and (cap is None or cap >= amount)]
            for amount, row in zip(amounts, found.tolist(), strict=True)
        ]  # fmt: skip

    def margins(self, amounts: Mapping[int, int], part: int) -> dict[int, float]:
        if not self._small or part < 0 or part >= MOST or any(held >= MOST for held in amounts.values()):
            return super().margins(amounts, part)
        market, start = self._rows.laid()
        found = chunks.margins(market, self._laid, start, ints(list(amounts)), *_pairs(list(amounts.values())), *pair(part))  # fmt: skip
        return {k: rate for k, rate in enumerate(found.tolist()) if rate == rate}

    def run(
        self,
        amount: int,
        chunks_of: int,
        share: float,
        base: Mapping[int, int] | None = None,
        banned: frozenset[Hop] = frozenset(),
        only: frozenset[int] | None = None,
    ) -> Split:
        kept = dict(base or {})
        if not self._small or not 0 <= amount + sum(kept.values()) < MOST:
            return super().run(amount, chunks_of, share, base, banned, only)
        usable = self._every
        if banned or only is not None:
            usable = ints([
                k for k in (range(len(self.paths)) if only is None else sorted(only))
                if k < len(self.paths) and not (banned and banned.intersection(self.paths[k].hops))
            ])  # fmt: skip
        market, start = self._rows.laid()
        dust = pair((self.problem.amount - 1) // _DUST)
        while True:
            chunk = pair(max(-(-amount // chunks_of), 1))
            found = chunks.run(
                market, self._laid, start, ints(list(kept)), *_pairs(list(kept.values())), usable, pair(amount), chunk, share,
                *self._caps, self._capped, dust, self.problem.max_legs,
            )  # fmt: skip
            if not len(found.refused):
                return self._found(found)
            amount += sum(kept.pop(k) for k in found.refused.tolist())

    def _found(self, found: chunks.Split) -> Split:
        order, hops = found.order.tolist(), found.hops.tolist()
        high, low, flow = found.high.tolist(), found.low.tolist(), found.flow.tolist()
        return self._answer(
            {k: (high[k] << BITS) + low[k] for k in order},
            {hop: flow[hop] for hop in hops},
            [place for place, lit in zip(self._by_place, found.lit.tolist(), strict=True) if lit],
            found.gain,
            _whole(found.left),
        )


def _whole(parts: Pair) -> int:
    return (parts[0] << BITS) + parts[1]


__all__ = ["CompiledSearch"]
