"""The greedy split: chunk after chunk to whichever path pays best at the margin, gas included, on shared pool state.

Every quote is the chunk's on the float curve as the earlier chunks left it, so pools shared by paths, and paths that
share inventory, are respected. Amounts promised here rank plans; `agent.routing.plan` makes them real.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from agent.domain.instruments import AssetId, Place
from agent.routing.curves import Curve, Depth, State
from agent.routing.graph import Hop
from agent.routing.ladder import ladder
from agent.routing.problem import Problem

if TYPE_CHECKING:
    from agent.routing.grid import Parts
    from agent.routing.plan import Legs, Plan

_THINNEST = 64
_DUST = 10**6

Key: TypeAlias = tuple[str, str]


class Quote(NamedTuple):
    """One path's answer for one chunk, in units of the bought asset.

    `net` is the output less the gas this chunk adds, `gain` the output less the gas of the ticks it crosses alone.
    """

    net: float
    gain: float
    inputs: list[float]
    after: list[tuple[Key, State]]


@dataclass(frozen=True)
class Split:
    """Where the search put what: amounts by path (units of the sold asset) and planned input by hop (its own units).

    `worth` is the estimate of what its plan is worth.
    """

    amounts: Mapping[int, int]
    flows: Mapping[Hop, int]
    left: int
    worth: float


class Asked(NamedTuple):
    """What `Search.run` takes."""

    amount: int
    chunks_of: int
    share: float
    base: Mapping[int, int] | None = None
    banned: frozenset[Hop] = frozenset()
    only: frozenset[int] | None = None


class Floor(NamedTuple):
    """A run is not wanted that leaves something, or whose worth, and `near` times it, and `slack` more are below `worth`."""

    worth: float
    near: float
    slack: float = 0.0

    def above(self, worth: float) -> bool:
        """Whether a run of that worth is not wanted."""
        return worth + abs(worth) * self.near + self.slack < self.worth


class _Step(NamedTuple):
    """One hop of a path made ready: the curve, the assets' places in it, the hop's number, and its gas when first used."""

    key: Key
    curve: Curve
    i: int
    j: int
    hop: int
    gas: int


class _Run:
    """What one run has put where so far."""

    def __init__(self, problem: Problem) -> None:
        self.states: dict[Key, State] = {}
        self.flows: dict[int, float] = {}
        self.amounts: dict[int, int] = defaultdict(int)
        self.room = {source.asset: source.cap for source in problem.sources}
        self.places: set[Place] = set()
        self.gain = 0.0


def key_of(hop: Hop) -> Key:
    # A book's two sides are separate ladders; a pool is one state however it is entered.
    return (hop.id, hop.asset_in if hop.book else "")


class Search:
    """Marginal quotes over one problem's paths. Holds no state between runs."""

    def __init__(self, problem: Problem, known: Search | None = None) -> None:
        """`known` is a search over the first of the problem's paths, to go on from."""
        self.problem = problem
        self.paths = problem.paths
        view = problem.view
        sold, bought = view.assets[problem.sell].decimals, view.assets[problem.buy].decimals
        self.made: dict[object, tuple[Plan | None, frozenset[Hop]]] = dict(known.made) if known else {}
        """By split, its exact plan and the hops that refused; the paths of `known` have the same numbers here."""
        self.legs: Legs = known.legs if known else {}
        """What pools that stand as they did at the start give, by hop and amount."""
        self._overheads = {place: gas.tx_gas for place, gas in problem.overheads.items()}
        self._room = {source.asset: source.cap for source in problem.sources}
        self._places = [path.place for path in self.paths]
        self._sources = [path.source for path in self.paths]
        self.hops: list[Hop] = list(known.hops) if known else []
        self._steps: list[list[_Step]] = list(known._steps) if known else []
        self._scales: list[tuple[float, float, float]] = list(known._scales) if known else []
        self._curves: dict[Key, Curve] = dict(known._curves) if known else {}
        # By hop: what its first use costs, in units of the bought asset.
        self._firsts: list[float] = list(known._firsts) if known else []
        # A hop is in one place: its step is the same on every path.
        self._made: dict[Hop, _Step] = dict(known._made) if known else {}
        scales: dict[tuple[AssetId, AssetId], tuple[float, float, float]] = {}
        for index in range(len(self._steps), len(self.paths)):
            path, place = self.paths[index], self._places[index]
            extra = problem.overheads.get(place)
            per_leg, rate = extra.tx_gas_per_leg if extra else 0, problem.gas_rate.get(place, 0.0)
            steps = []
            for hop in path.hops:
                step = self._made.get(hop)
                if step is None:
                    step = self._made[hop] = self._step(hop, per_leg, rate)
                steps.append(step)
            self._steps.append(steps)
            ends = path.source, path.target
            if ends not in scales:
                into = 10.0 ** (view.assets[path.source].decimals - sold)
                scales[ends] = into, 10.0 ** (bought - view.assets[path.target].decimals), rate
            self._scales.append(scales[ends])

    @cached_property
    def _users(self) -> dict[Key, list[int]]:
        """By curve the paths that use it."""
        found: dict[Key, list[int]] = defaultdict(list)
        for index, steps in enumerate(self._steps):
            for key in dict.fromkeys(step.key for step in steps):
                found[key].append(index)
        return found

    @cached_property
    def _near(self) -> dict[Place, list[int]]:
        """By place its paths."""
        found: dict[Place, list[int]] = defaultdict(list)
        for index, place in enumerate(self._places):
            found[place].append(index)
        return found

    def _step(self, hop: Hop, per_leg: int, rate: float) -> _Step:
        key, i, j = key_of(hop), 0, 1
        curve = self._curves.get(key)
        if hop.book:
            if curve is None:
                view = self.problem.view
                book = next(book for book in view.books if book.id == hop.id)
                curve = Depth(ladder(view, book, hop.asset_in))
        else:
            ready = self.problem.graph.ready(hop)
            curve, i, j = ready.curve, ready.i, ready.j
        self._curves[key] = curve
        first, number = curve.gas + per_leg, len(self.hops)
        self.hops.append(hop)
        self._firsts.append(first * rate)
        return _Step(key, curve, i, j, number, first)

    def quote(self, index: int, amount: int, run: _Run, share: float) -> Quote | None:
        """`amount` in units of the sold asset; the gas of what is used for the first time counts with weight `share`.

        None where it cannot be swapped.
        """
        scale_in, scale_out, rate = self._scales[index]
        held = amount * scale_in
        gas = ticks = 0.0
        inputs: list[float] = []
        after: list[tuple[Key, State]] = []
        states, flows = run.states, run.flows
        for key, curve, i, j, hop, first in self._steps[index]:
            state = states.get(key)
            sold = curve.sell(curve.start if state is None else state, i, j, held)
            # None of it where there is none, and none where a number has left its range.
            if sold is None or not sold[0] >= 1:
                return None
            inputs.append(held)
            held = sold[0]
            after.append((key, sold[1]))
            if sold[2]:
                ticks += sold[2] * curve.gas_per_tick
            if hop not in flows:
                gas += first
        if share and self._overheads:
            place = self._places[index]
            if place not in run.places:
                gas += self._overheads.get(place, 0)
        gain = held * scale_out - ticks * rate
        return Quote(gain - share * gas * rate, gain, inputs, after)

    def alone(self, index: int, amount: int | None = None) -> Quote | None:
        """The estimate for the whole amount, or `amount`, over one path, None where it cannot take it all."""
        amount = self.problem.amount if amount is None else amount
        cap = self._room[self._sources[index]]
        if cap is not None and cap < amount:
            return None
        return self.quote(index, amount, _Run(self.problem), 1.0)

    def nets(self, amounts: list[int]) -> list[list[tuple[float, int]]]:
        """For each amount what every path that can take it all alone would net, with its number; gas in full."""
        return [
            [(quote.net, k) for k in range(len(self.paths)) if (quote := self.alone(k, amount)) is not None]
            for amount in amounts
        ]

    def placed(self, amounts: Mapping[int, int]) -> Split | None:
        """The split that puts exactly `amounts` on paths; None where one cannot take its own after the others."""
        run = _Run(self.problem)
        for index, part in amounts.items():
            quote = self.quote(index, part, run, 0.0)
            room = run.room[self._sources[index]]
            if quote is None or (room is not None and room < part) or not self._fits(index, run.flows):
                return None
            self._apply(index, part, quote, run)
        return self._split(run, self.problem.amount - sum(amounts.values()))

    def first_gas(self, index: int, split: Split) -> float:
        """What a path's hops that `split` does not use yet cost at first use, in units of the bought asset."""
        return sum(
            self._firsts[step.hop] for step in self._steps[index] if self.hops[step.hop] not in split.flows
        )

    def margins(self, amounts: Mapping[int, int], part: int) -> dict[int, float]:
        """What every path gives per unit for `part` on top of `amounts`, first uses free; of a path that cannot take it, for the largest
        of an eighth, a sixty-fourth … of it that it can. Paths that take none of these are left out."""
        run = _Run(self.problem)
        for index, held in amounts.items():
            quote = self.quote(index, held, run, 0.0)
            if quote is not None:
                self._apply(index, held, quote, run)
        found: dict[int, float] = {}
        for k in range(len(self.paths)):
            size, quote, _ = self._fitting(k, part, {k: 1}, run, 0.0)
            if quote is not None:
                found[k] = quote.gain / size
        return found

    def run(
        self,
        amount: int,
        chunks_of: int,
        share: float,
        base: Mapping[int, int] | None = None,
        banned: frozenset[Hop] = frozenset(),
        only: frozenset[int] | None = None,
    ) -> Split:
        """Puts `amount` on top of `base` in so many equal chunks. `only` limits the paths, `banned` the hops they may use."""
        run = _Run(self.problem)
        for index, part in (base or {}).items():
            quote = self.quote(index, part, run, 0.0)
            if quote is None:
                amount += part
                continue
            self._apply(index, part, quote, run)
        usable = [
            k
            for k in range(len(self.paths))
            if (only is None or k in only) and not (banned and banned.intersection(self.paths[k].hops))
        ]
        sources = self._sources
        quotes: dict[int, tuple[int, Quote | None, float]] = {}
        shrunk: dict[int, int] = dict.fromkeys(usable, 1)
        fits: dict[int, bool] = {}
        chunk = max(-(-amount // chunks_of), 1)
        left, halvings = amount, 0
        while left:
            sizes = {
                asset: min(chunk, left) if cap is None else min(chunk, left, cap)
                for asset, cap in run.room.items()
            }
            best, best_rate = -1, 0.0
            for k in usable:
                size = sizes[sources[k]]
                known = quotes.get(k)
                if known is None or known[0] != (max(size // shrunk[k], 1) if shrunk[k] > 1 else size):
                    known = quotes[k] = self._fitting(k, size, shrunk, run, share)
                if known[1] is None or (best >= 0 and known[2] <= best_rate):
                    continue
                if k not in fits:
                    fits[k] = self._fits(k, run.flows)
                if fits[k]:
                    best, best_rate = k, known[2]
            if best < 0 and left * _DUST < self.problem.amount and self._top_up(run, left):
                left = 0
                break
            if best < 0:
                # Where the last liquidity is thinner than a chunk, smaller chunks still find it.
                halvings += 1
                if halvings > 6 or chunk == 1:
                    break
                chunk = max(chunk // 4, 1)
                quotes.clear()
                continue
            part, quote, _ = quotes[best]
            if quote is None:
                break
            steps = self._steps[best]
            fresh = any(step.hop not in run.flows for step in steps)
            lit = self._places[best] not in run.places
            self._apply(best, part, quote, run)
            left -= part
            for step in steps:
                for k in self._users[step.key]:
                    quotes.pop(k, None)
            if fresh:
                fits.clear()
            if lit and share and self._overheads:
                for k in self._near[self._places[best]]:
                    quotes.pop(k, None)
        return self._split(run, left)

    def runs(self, asked: Iterable[Asked], floor: Floor) -> Iterator[Split]:
        """The runs in turn; those not wanted may be left out."""
        for one in asked:
            yield self.run(*one)

    def gridded(self, broken: Collection[Hop]) -> Parts | None:
        """`combined` of `agent.routing.grid`."""
        from agent.routing.grid import combined

        return combined(self, broken)

    def _split(self, run: _Run, left: int) -> Split:
        return self._answer(dict(run.amounts), run.flows, run.places, run.gain, left)

    def _answer(
        self,
        amounts: Mapping[int, int],
        flows: Mapping[int, float],
        places: Collection[Place],
        gain: float,
        left: int,
    ) -> Split:
        """A run's split: its worth is the gain less what hops and places cost when used at all."""
        fixed = sum(self._firsts[hop] for hop in flows) + sum(
            self._overheads.get(place, 0) * self.problem.gas_rate.get(place, 0.0) for place in sorted(places)
        )
        used = {self.hops[hop]: max(int(flow), 1) for hop, flow in flows.items()}
        return Split(amounts, used, left, gain - fixed)

    def _top_up(self, run: _Run, left: int) -> bool:
        """Gives a rest too small to swap alone to the path that has the most already."""
        for k in sorted(run.amounts, key=lambda k: -run.amounts[k]):
            cap = run.room[self._sources[k]]
            if cap is None or cap >= left:
                run.amounts[k] += left
                return True
        return False

    def _fitting(
        self, k: int, size: int, shrunk: dict[int, int], run: _Run, share: float
    ) -> tuple[int, Quote | None, float]:
        """The quote of the largest part of `size` that the path can still take, and its rate; `shrunk` remembers how small."""
        while True:
            part = max(size // shrunk[k], 1) if size > 0 else size
            quote = self.quote(k, part, run, share) if size > 0 else None
            if quote is not None:
                return part, quote, quote.net / part
            if size <= 0 or shrunk[k] >= _THINNEST:
                return part, None, 0.0
            shrunk[k] *= 8

    def _apply(self, index: int, part: int, quote: Quote, run: _Run) -> None:
        run.states.update(quote.after)
        run.places.add(self._places[index])
        run.gain += quote.gain
        flows = run.flows
        for step, used in zip(self._steps[index], quote.inputs, strict=True):
            flows[step.hop] = flows.get(step.hop, 0.0) + used
        run.amounts[index] += part
        source = self._sources[index]
        cap = run.room[source]
        if cap is not None:
            run.room[source] = cap - part

    def _fits(self, index: int, flows: Mapping[int, float]) -> bool:
        """No more legs than allowed, and no cycle of assets: legs must have an order in which they can execute."""
        fresh = [step.hop for step in self._steps[index] if step.hop not in flows]
        if not fresh:
            return True
        if len(flows) + len(fresh) > self.problem.max_legs:
            return False
        return order_of([self.hops[hop] for hop in (*flows, *fresh)]) is not None


def order_of(hops: list[Hop]) -> list[AssetId] | None:
    """The assets in an order where every hop goes forward, None where the hops make a cycle."""
    # Not sets: what is iterated over must come in the same order in every process.
    onward: dict[AssetId, dict[AssetId, None]] = defaultdict(dict)
    waits: dict[AssetId, int] = defaultdict(int)
    for hop in hops:
        if hop.asset_out not in onward[hop.asset_in]:
            onward[hop.asset_in][hop.asset_out] = None
            waits[hop.asset_out] += 1
            waits[hop.asset_in] += 0
    ready = [asset for asset, count in waits.items() if not count]
    order: list[AssetId] = []
    while ready:
        asset = ready.pop()
        order.append(asset)
        for other in onward[asset]:
            waits[other] -= 1
            if not waits[other]:
                ready.append(other)
    return order if len(order) == len(waits) else None
