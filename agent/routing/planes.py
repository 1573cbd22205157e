"""The least bound over prices of places, by cutting planes.

What a leg gains at prices v is the most of (got v_j - paid v_i - gas) over all it can trade: so every trade is a line below it, and the
bound as a function of the prices is the most of sums of such lines. A linear program over the lines found so far proposes prices within reach
of the best ones; the trades that gain most there are the next lines; a proposal that proves less shortens the reach. (Kelley, "The
cutting-plane method for solving convex programs", 1960; a box as trust region.) Floats throughout: what is found is only a proposal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import highspy
import numpy as np

from agent.domain.instruments import AssetId
from agent.routing.certificate.gains import Sale
from agent.routing.certificate.units import ONE
from agent.routing.chained import ChainSearch
from agent.routing.joint import Joint
from agent.routing.moves import Move, Moves, Touch
from agent.routing.tables import Bools, Floats, Ints

_BPS = 1e-4
_ROUNDS = 80
_FEWEST, _LONGEST, _SHORTER, _LONGER, _GOOD = 1e-3, 2.0, 0.6, 2.0, 0.3
"""The least and most that prices move at once, as logarithms, how that changes, and what part of what was hoped is good."""
_ENDS, _SURE, _LITTLE = 0.01, 0.3, 1e-3
"""It ends where no more than that part of the gap can be gained within a reach of so much (or in proportion), or less than that, in basis points."""
_NEAR, _AFRESH = 0.5, 0.1
_LEAST = 1e-12
_TOLD = 1e-6
"""Smaller parts of a leg are none."""
_HIGHEST = 1e290
_AMENDED = 30
_NONE: Ints = np.zeros(0, dtype=np.int64)


class Load(NamedTuple):
    """What the last program would have a leg do: its group, names sold and bought (-1: a target), the part of a whole leg, and what it sells
    by value, as a part of the net."""

    group: int
    sold: int
    bought: int
    part: float
    flow: float


class _Lines(NamedTuple):
    """Trades: whose gain they are below, names sold and bought (-1: a target), and values at the prices of reference."""

    group: Ints
    sold: Ints
    bought: Ints
    paid: Floats
    got: Floats
    rest: Floats
    leg: Ints


class _Sums(NamedTuple):
    """A joint trade: its group, what it comes to besides the names whose prices move, of these each and its value, and whose it is."""

    group: int
    rest: float
    names: Ints
    values: Floats
    sale: Sale


class Planes:
    """The search for one order's prices; `net` is what its plan nets. Prices are logarithms by the names of `legs`."""

    def __init__(self, legs: ChainSearch, net: float, in_time: Callable[[], bool]) -> None:
        self._legs, self._in_time = legs, in_time
        self._net = net
        self._unit = max(net, 1.0) * _BPS
        self._number = {name: k for k, name in enumerate(legs.names)}
        self._joint = Joint(legs.of, legs.sales, self._number)
        hops = legs.dual.tables.hops
        rows: dict[str | int, int] = {}
        ids = [hops[e].id for e in legs.edge]
        together = legs.of.together
        keys: list[str | int] = [
            name if name in together else int(pair) for name, pair in zip(ids, legs.pair, strict=True)
        ]
        self._group: Ints = np.array([rows.setdefault(key, len(rows)) for key in keys], dtype=np.int64)
        for name in sorted(together):
            rows.setdefault(name, len(rows))
        self._rows = rows
        self._added: list[tuple[_Lines | _Sums, Touch]] = []
        self._moves = Moves(legs, self._unit)

    def lowest(self, logs: Floats, caps: Mapping[AssetId, int], reach: float, enough: float) -> Floats:
        """Prices from `logs` on, none higher than one an asset can have before it, with no more than `caps` in hand by name.

        They first move by no more than `reach`; the search ends where the bound is within `enough` of the net."""
        legs, count = self._legs, len(self._legs.names)
        most: Floats = np.array([float(min(caps.get(name, 1 << 960), 1 << 960)) for name in legs.names])
        self._cap: Floats = most[legs.source]
        held = {name: int(min(cap, _HIGHEST)) for name, cap in zip(legs.names, most, strict=True)}
        self._ref: Floats = np.exp(logs)
        model = self._model()
        self._moves = moves = Moves(legs, self._unit)
        moves.begin(model)
        self._last, self._added = model, []
        joint: list[_Sums] = []
        at: Floats = np.ones(count)
        values = moves.read(np.zeros(model.getNumCol()))
        least, lines = self._sum(at, joint)
        self._add(model, lines)
        least += self._joined(model, at, held, joint)
        for _ in range(_ROUNDS):
            if not self._in_time() or least * self._unit <= enough:
                break
            names = np.arange(count, dtype=np.int32)
            low, high = np.maximum(at * np.exp(-reach), _LEAST), at * np.exp(reach)
            model.changeColsBounds(count, names, low, high)
            if (solution := self._solved(model)) is None:
                break
            hoped = least + self._net / self._unit - model.getInfo().objective_function_value
            done, duals = solution
            # A solver keeps bounds to within a tolerance, and the least prices are far below it: below nought they would be none.
            trial = np.clip(done[:count], low, np.maximum(low, high))
            found, lines = self._sum(trial, joint)
            gained = least - found
            if gained > 0:
                least, at, values = found, trial, moves.read(done)
            if gained > _GOOD * hoped:
                reach = min(reach * _LONGER, _LONGEST)
            elif gained <= 0:
                reach = max(reach * _SHORTER, _FEWEST)
            touched = [touch for _, touch in self._added]
            self._add(model, lines)
            if hoped < _LITTLE or hoped < _ENDS * least * min(reach / _SURE, 1.0):
                # Trading in several pairs of a pool is looked at where the rest is settled: it takes long to work out.
                moves.set(values)
                more = self._joined(model, at, held, joint)
                # So is gas that no plan could leave out.
                every = [touch for _, touch in self._added]
                new = moves.broken(model, touched, duals, every) if legs.moving else 0
                values = np.concatenate((values, np.zeros(new)))
                if more <= _LITTLE + _ENDS * least and not new:
                    break
                least, reach = least + more, max(reach, _AFRESH)
        moves.set(values)
        return np.asarray(np.log(self._ref * at))

    def _solved(self, model: Any) -> tuple[Floats, Floats] | None:
        """The program's columns and multipliers, with its gas counted from here on; None where it finds none."""
        for _ in range(_AMENDED):
            model.run()
            if model.getModelStatus() != highspy.HighsModelStatus.kOptimal:
                return None
            solution = model.getSolution()
            done, duals = np.array(solution.col_value), np.array(solution.row_dual)
            self._moves.set(self._moves.read(done))
            if not self._moves.short(model):
                return done, duals
        return None

    def _model(self) -> Any:
        """The program without lines: a column a price, by that of reference, and one a group, in basis points of the net."""
        legs, count = self._legs, len(self._legs.names)
        model = highspy.Highs()  # type: ignore[no-untyped-call]
        model.setOptionValue("output_flag", False)
        model.setOptionValue("threads", 1)
        size = count + len(self._rows) + 1
        cost = np.zeros(size)
        first = legs.first[0]
        self._held = float(self._ref[first] / np.exp(legs.pars[0])) * legs.amount / self._unit
        cost[first], cost[count:] = self._held, 1.0
        # The price of a leg: of more gains than there may be legs, only the best count.
        cost[-1] = legs.of.legs or 0.0
        low = np.concatenate((np.ones(count), np.zeros(size - count)))
        high = np.concatenate((np.ones(count), np.full(size - count, highspy.kHighsInf)))
        if legs.of.legs is None:
            high[-1] = 0.0
        model.addVars(size, low, high)
        model.changeColsCost(size, np.arange(size, dtype=np.int32), cost)
        for name, k in self._number.items():
            for later in legs.of.later[name]:
                if later != name and later in self._number:
                    other = self._number[later]
                    pair = np.array([k, other], dtype=np.int32)
                    model.addRow(
                        0.0, highspy.kHighsInf, 2, pair, np.array([1.0, -self._ref[other] / self._ref[k]])
                    )
        for other, par in zip(legs.first[1:], legs.pars[1:], strict=True):
            # What is sold is worth the same wherever it is taken from.
            ratio = self._ref[other] / np.exp(par) / (self._ref[first] / np.exp(legs.pars[0]))
            model.addRow(0.0, 0.0, 2, np.array([first, other], dtype=np.int32), np.array([1.0, -ratio]))
        return model

    def _sum(self, at: Floats, joint: list[_Sums]) -> tuple[float, _Lines]:
        """The bound at prices `at` times those of reference, less the net, and the lines that touch it there."""
        legs = self._legs
        logs = np.log(self._ref * at)
        far = np.where(legs.target >= 0, logs[legs.target], legs.par)
        near = np.flatnonzero(legs.spot + far - logs[legs.source] > 0)
        e, source, target = legs.edge[near], legs.source[near], legs.target[near]
        u, v = np.exp(logs[source]), np.exp(far[near])
        flows = legs.dual.sales(u, v, e, self._cap[near])
        paid, got, ticks = self._stopped(e, u, v, flows.paid, flows.got, flows.ticks)
        fixed = legs.gas[near] + self._moves.extra[near] + legs.dual.tick_q[e] * ticks
        x = got * v - paid * u - fixed
        group, best = self._group[near], np.zeros(len(self._rows))
        np.maximum.at(best, group, x)
        for line in joint:
            best[line.group] = max(
                best[line.group],
                (line.rest + float(line.values @ at[line.names])) * self._unit + self._moves.taken(line.sale),
            )
        kept = np.flatnonzero(x > np.maximum(best[group] * _NEAR, 0.0))
        inner: Bools = target[kept] >= 0
        worth = got[kept] * np.where(inner, self._ref[np.maximum(target[kept], 0)], v[kept]) / self._unit
        # What is moved stands in columns of its own.
        rest = np.where(inner, 0.0, worth) - (fixed[kept] - self._moves.extra[near[kept]]) / self._unit
        lines = _Lines(
            group[kept],
            source[kept],
            target[kept],
            paid[kept] * self._ref[source[kept]] / self._unit,
            worth,
            rest,
            near[kept],
        )
        paying = best if legs.of.legs is None else np.sort(best)[-legs.of.legs :]
        total = self._held * float(at[legs.first[0]]) + float(paying.sum()) / self._unit
        return total - self._net / self._unit, lines

    def _stopped(
        self, e: Ints, u: Floats, v: Floats, paid: Floats, got: Floats, ticks: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """The same sales, ended at the tick where they net most."""
        t, per = self._legs.dual.tables, self._legs.dual.tick_q[e]
        some = np.flatnonzero((per > 0) & (ticks > 0))
        if not len(some):
            return paid, got, ticks
        many = ticks[some].astype(np.int64) + 1
        row = np.repeat(some, many)
        begins = np.cumsum(many) - many
        k = t.first[e[row]] + np.arange(len(row)) - np.repeat(begins, many)
        passed = (k - t.first[e[row]]).astype(np.float64)
        nets = v[row] * t.outs[k] - u[row] * t.ins[k] / t.keep[e[row]] - per[row] * passed
        best = np.maximum.reduceat(nets, begins)
        better = best > v[some] * got[some] - u[some] * paid[some] - per[some] * ticks[some]
        hits = np.flatnonzero((nets == np.repeat(best, many)) & np.repeat(better, many))
        paid, got, ticks = paid.copy(), got.copy(), ticks.copy()
        paid[row[hits]], got[row[hits]] = t.ins[k[hits]] / t.keep[e[row[hits]]], t.outs[k[hits]]
        ticks[row[hits]] = passed[hits]
        return paid, got, ticks

    def moved(self) -> list[Move]:
        """The gas that is moved from leg to leg beside the prices found."""
        return self._moves.moved()

    def extra(self) -> Floats:
        """By leg, the gas that is moved to it less what is taken from it, raw units of the bought asset."""
        return self._moves.extra[: len(self._legs.edge)]

    def loads(self) -> list[Load]:
        """What the last program has legs do: of each trade it found a part, by the multiplier of its line."""
        self._last.run()
        if self._last.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            return []
        weights = np.array(self._last.getSolution().row_dual)
        found: dict[tuple[int, int, int], list[float]] = {}
        for lines, touch in self._added:
            at = touch.first
            if isinstance(lines, _Sums):
                if weights[at] > _TOLD:
                    sums = found.setdefault((lines.group, -1, -1), [0.0, 0.0])
                    sums[0] += float(weights[at])
                continue
            many = len(lines.group)
            for k in np.flatnonzero(weights[at : at + many] > _TOLD):
                weight = float(weights[at + k])
                sums = found.setdefault(
                    (int(lines.group[k]), int(lines.sold[k]), int(lines.bought[k])), [0.0, 0.0]
                )
                sums[0] += weight
                sums[1] += weight * float(lines.paid[k]) * _BPS
        return [Load(*key, *sums) for key, sums in found.items()]

    def told(self, group: int) -> tuple[str, tuple[AssetId, AssetId] | None, float]:
        """The pool of a group, its pair (None: all of them together), and the gas of a leg as a part of the net; of a book no gas."""
        legs, pair = self._legs, None
        rows = np.flatnonzero(self._group == group)
        if len(rows):
            k = int(rows[0])
            hop = legs.dual.tables.hops[legs.edge[k]]
            if hop.book:
                return hop.id, None, 0.0
            pool, gas = hop.id, float(legs.gas[rows].min())
            pair = None if pool in legs.of.together else (hop.asset_in, hop.asset_out)
        else:
            pool = next(str(name) for name, row in self._rows.items() if row == group)
            gas = min((sale.edge.gas for sale in legs.sales if sale.edge.pool.id == pool), default=0) / ONE
        return pool, pair, gas / max(self._net, 1.0)

    def _add(self, model: Any, lines: _Lines) -> None:
        many = len(lines.group)
        if not many:
            return
        leg = np.full(many, len(self._legs.names) + len(self._rows))
        columns = np.stack((lines.group + len(self._legs.names), lines.sold, leg, lines.bought), axis=1)
        values = np.stack((np.ones(many), lines.paid, np.ones(many), -lines.got), axis=1)
        told: Bools = columns >= 0
        rows = np.nonzero(told)[0]
        told_at, told_of = columns[told], values[told]
        if extra := self._moves.entries(lines.leg):
            # One leg may be both what gas is moved to and what it is taken from.
            rows = np.concatenate((rows, *(at for at, _, _ in extra)))
            told_at = np.concatenate((told_at, *(np.full(len(at), column) for at, column, _ in extra)))
            told_of = np.concatenate((told_of, *(np.full(len(at), sign) for at, _, sign in extra)))
            order = np.argsort(rows, kind="stable")
            rows, told_at, told_of = rows[order], told_at[order], told_of[order]
        begins = np.searchsorted(rows, np.arange(many)).astype(np.int32)
        first = model.getNumRow()
        taken = model.addRows(
            many, lines.rest, np.full(many, highspy.kHighsInf), len(rows), begins, told_at.astype(np.int32), told_of
        )  # fmt: skip
        if taken != highspy.HighsStatus.kError:
            self._added.append((lines, Touch(first, lines.leg, None)))

    def _joined(self, model: Any, at: Floats, caps: Mapping[AssetId, int], joint: list[_Sums]) -> float:
        """Adds the lines of what pools gain by several pairs at once: returns how much more that is than was counted."""
        before, _ = self._sum(at, joint)
        for made in self._joint.best(np.log(self._ref * at), caps, self._moves.taken):
            rest, names, values = -made.gas, list[int](), list[float]()
            for name, flow in made.flows:
                if name in self._number:
                    names.append(self._number[name])
                    values.append(flow * float(self._ref[names[-1]]) / self._unit)
                else:
                    rest += flow * float(self._legs.of.order.par(name))
            line = _Sums(
                self._rows[made.pool],
                rest / self._unit,
                np.array(names, dtype=np.int64),
                np.array(values),
                made.sale,
            )
            joint.append(line)
            count = len(self._legs.names)
            less = self._moves.joint_entries(made.sale)
            columns = np.concatenate(
                ([line.group + count, count + len(self._rows)], line.names, less)
            ).astype(np.int32)
            first = model.getNumRow()
            taken = model.addRow(
                line.rest,
                highspy.kHighsInf,
                len(columns),
                columns,
                np.concatenate(([1.0, 1.0], -line.values, np.full(len(less), -1.0))),
            )
            # Numbers beyond the solver's range it refuses: where what an order nets is next to nothing.
            if taken != highspy.HighsStatus.kError:
                self._added.append((line, Touch(first, _NONE, made.sale)))
        return self._sum(at, joint)[0] - before


__all__ = ["Planes"]
