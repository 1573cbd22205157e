"""The search over compiled loops: the same answers as `agent.routing.search`, to the last bit, many times faster."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import numpy as np

from agent.domain.instruments import AssetId
from agent.routing.graph import Hop
from agent.routing.grid import KEPT, SPLITS, STEP, Parts
from agent.routing.kernels import chunks, grid
from agent.routing.kernels.whole import BITS, MOST, Pair, pair
from agent.routing.problem import Problem
from agent.routing.rows import ints
from agent.routing.search import Asked, Floor, Key, Search, Split
from agent.routing.tables import Bools, Ints

_DUST = 10**6


def _rows(rows: Sequence[tuple[int, ...]], width: int) -> Ints:
    return np.array(rows, dtype=np.int64).reshape(len(rows), width)


class CompiledSearch(Search):
    """A `Search` whose loops are compiled. Amounts beyond 2**104 are left to the interpreted ones."""

    def __init__(self, problem: Problem, known: Search | None = None) -> None:
        super().__init__(problem, known)
        self._known: dict[object, Split] = {}
        self._rows = rows = problem.graph.beams().rows
        before = known if isinstance(known, CompiledSearch) else None
        places = {place: n for n, place in enumerate(dict.fromkeys(self._places))}
        sources = {source.asset: n for n, source in enumerate(problem.sources)}
        # By hop: the curve, both assets' places in it, the hop, how many numbers its state has, the curve's number among these paths.
        self._laid_hops: list[tuple[int, int, int, int, int, int]] = list(before._laid_hops) if before else []
        self._costs: list[tuple[float, float]] = list(before._costs) if before else []
        self._locals: dict[Key, int] = dict(before._locals) if before else {}
        locals_ = self._locals
        for hop in self.hops[len(self._laid_hops) :]:
            step = self._made[hop]
            number, local = rows.number(step.key, step.curve), locals_.setdefault(step.key, len(locals_))
            self._laid_hops.append((number, step.i, step.j, step.hop, rows.width(number), local))
            self._costs.append((float(step.gas), float(step.curve.gas_per_tick)))
        at = ints([step.hop for path in self._steps for step in path])
        lengths = ints([len(path) for path in self._steps])
        steps = np.array(self._laid_hops, dtype=np.int64)[at]
        held = np.cumsum(steps[:, 4])
        table = np.column_stack((steps[:, :4], held - steps[:, 4], steps[:, 4:]))
        by_curve = np.argsort(steps[:, 5], kind="stable")
        assets: dict[AssetId, int] = {}
        ends = [
            tuple(assets.setdefault(a, len(assets)) for a in (h.asset_in, h.asset_out)) for h in self.hops
        ]
        homes = [(sources[a], places[place]) for a, place in zip(self._sources, self._places, strict=True)]
        self._laid = chunks.Paths(
            np.concatenate((ints([0]), np.cumsum(lengths))), int(held[-1]), table, np.array(self._costs)[at], np.array(self._scales), _rows(homes, 2),
            _rows(ends, 2), np.searchsorted(steps[by_curve, 5], np.arange(len(locals_) + 1)), np.repeat(np.arange(len(self.paths)), lengths)[by_curve],
            np.array([float(self._overheads.get(place, 0)) for place in places]), bool(self._overheads),
        )  # fmt: skip
        self._every: Ints = np.arange(len(self.paths), dtype=np.int64)
        self._by_place = list(places)
        caps = [source.cap for source in problem.sources]
        self._small = problem.amount < MOST and all((cap or 0) < MOST for cap in caps)
        self._dust = pair((problem.amount - 1) // _DUST)
        self._caps = _rows([(cap is not None, *pair(cap or 0)) for cap in caps] if self._small else [], 3)

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
        found = chunks.margins(market, self._laid, start, _base(amounts), *pair(part))  # fmt: skip
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
        key = amount, chunks_of, share, tuple((base or {}).items()), banned, only
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._run(amount, chunks_of, share, base, banned, only)
        return found

    def _run(
        self,
        amount: int,
        chunks_of: int,
        share: float,
        base: Mapping[int, int] | None,
        banned: frozenset[Hop],
        only: frozenset[int] | None,
    ) -> Split:
        kept = dict(base or {})
        if not self._small or not 0 <= amount + sum(kept.values()) < MOST:
            return super().run(amount, chunks_of, share, base, banned, only)
        usable = self._every
        if banned or only is not None:
            usable = ints(self._usable(banned, only))
        market, start = self._rows.laid()
        while True:
            chunk = pair(max(-(-amount // chunks_of), 1))
            found = chunks.run(
                market, self._laid, start, _base(kept), usable, pair(amount), chunk, share,
                self._caps, self._dust, self.problem.max_legs,
            )  # fmt: skip
            if not len(found.refused):
                return self._found(found)
            amount += sum(kept.pop(k) for k in found.refused.tolist())

    def runs(self, asked: Iterable[Asked], floor: Floor) -> Iterator[Split]:
        several = list(asked)
        # All at once: a call costs as much as a short run.
        bases = {id(one.base): one.base or {} for one in several}
        sums = {name: sum(base.values()) for name, base in bases.items()}
        fits = all(0 <= one.amount + sums[id(one.base)] < MOST for one in several)
        if len(several) < 2 or self._overheads or not self._small or not fits:
            yield from super().runs(several, floor)
            return
        laid = {name: [(k, *pair(part)) for k, part in base.items()] for name, base in bases.items()}
        rows: list[tuple[int, ...]] = []
        base: list[tuple[int, int, int]] = []
        base_ends, usable, usable_ends = list[int](), list[int](), list[int]()
        for one in several:
            base += laid[id(one.base)]
            usable += self._usable(one.banned, one.only)
            base_ends.append(len(base))
            usable_ends.append(len(usable))
            rows.append((*pair(one.amount), *pair(max(-(-one.amount // one.chunks_of), 1))))
        market, start = self._rows.laid()
        worths = chunks.worths(
            market, self._laid, start, _rows(base, 3), ints(base_ends), ints(usable), ints(usable_ends), _rows(rows, 4),
            np.array([one.share for one in several], dtype=np.float64), np.array(self._firsts, dtype=np.float64), self._caps, self._dust, self.problem.max_legs,
        )  # fmt: skip
        for one, worth in zip(several, worths.tolist(), strict=True):
            if not floor.above(worth):
                yield self.run(*one)

    def _usable(self, banned: frozenset[Hop], only: frozenset[int] | None) -> list[int]:
        paths = self.paths
        among = [k for k in (range(len(paths)) if only is None else sorted(only)) if k < len(paths)]
        return [k for k in among if banned.isdisjoint(paths[k].hops)] if banned else among

    def gridded(self, broken: Collection[Hop]) -> Parts | None:
        amounts = [self.problem.amount * percent // 100 for percent in range(STEP, 101, STEP)]
        if not self._small:
            return super().gridded(broken)
        market, start = self._rows.laid()
        found = chunks.alone(market, self._laid, start, np.array([float(amount) for amount in amounts]))
        for k, asset in enumerate(self._sources):
            cap = self._room[asset]
            if cap is not None and cap < amounts[-1]:
                found[[cap < amount for amount in amounts], k] = np.nan
        if broken:
            found[:, [k for k, path in enumerate(self.paths) if any(hop in broken for hop in path.hops)]] = np.nan  # fmt: skip
        pools: dict[str, int] = {}
        through = [[pools.setdefault(hop.id, len(pools)) for hop in path.hops] for path in self.paths]
        marks: Bools = np.zeros((len(self.paths), len(pools)), dtype=np.bool_)
        marks[np.repeat(self._every, [len(path) for path in through]), ints([n for path in through for n in path])] = True  # fmt: skip
        parts = grid.combined(self._laid, found, marks, grid.Grid(len(amounts), SPLITS, KEPT, self.problem.max_legs))  # fmt: skip
        return tuple((steps * STEP, path) for steps, path in parts.tolist()) or None

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


def _base(amounts: Mapping[int, int]) -> Ints:
    return _rows([(k, *pair(part)) for k, part in amounts.items()], 3)


def _whole(parts: Pair) -> int:
    return (parts[0] << BITS) + parts[1]


__all__ = ["CompiledSearch"]
