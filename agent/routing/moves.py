"""Which gas is moved from leg to leg beside the prices a linear program seeks: columns of it, added where what it does no plan could do.

The program uses a leg in part. Where it uses one that sells an asset by more than all those together that can have bought it, or one that buys it by
more than those that can sell it on, the inequality of `agent.routing.certificate.forcing` is broken, and its multiplier becomes a column. Rows that keep
gas from coming below zero are added where it would. Floats throughout.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import highspy
import numpy as np

from agent.domain.instruments import AssetId
from agent.routing.certificate.chains import asset_of
from agent.routing.certificate.crossings import pairs
from agent.routing.certificate.forcing import before
from agent.routing.certificate.gains import Sale
from agent.routing.certificate.units import ONE
from agent.routing.chained import ChainSearch, Leg
from agent.routing.tables import Bools, Floats, Ints

_BROKEN = 0.02
"""A part of a leg's gas that no plan could leave out, in basis points of the net."""
_MOST = 400
"""No more columns in all."""
_KEPT = 1 - 1e-9
_CHEAP = 1e-3
_SLACK = 1e-6
"""A program keeps to its rows but for as much as a tenth of that."""


class Move(NamedTuple):
    """Gas, raw units of the bought asset: see `GasMove`."""

    sells: bool
    pool: str
    given: AssetId
    got: AssetId
    gas: float


def _numbers(known: dict[Any, int], names: Sequence[Any]) -> Ints:
    return np.array([known.setdefault(name, len(known)) for name in names], dtype=np.int64)


class Touch(NamedTuple):
    """Lines of a program by their first row: whose trades they are, by number, or of several pairs of a pool together those of `sale`."""

    first: int
    legs: Ints
    sale: Sale | None


class _Column(NamedTuple):
    leg: int
    sells: bool
    number: int
    takers: Bools
    """The legs whose gas it is."""
    asset: AssetId
    pool: str


class Moves:
    """The columns of one program. Gas is counted in `unit` raw units; a leg is one of `legs` by number."""

    def __init__(self, legs: ChainSearch, unit: float) -> None:
        self._legs, self._unit = legs, unit
        t, of = legs.dual.tables, legs.of
        hops = t.hops
        self._number = {name: k for k, name in enumerate(legs.names)}
        self.told: list[Leg] = [
            (hops[e].id, legs.names[i], legs.names[j] if j >= 0 else hops[e].asset_out)
            for e, i, j in zip(legs.edge, legs.source, legs.target, strict=True)
        ]
        """What the legs are in any program. After those of `legs` come sales too small for it, whose gas counts all the same."""
        here = set(self.told)
        small = [
            sale for sale in legs.sales if sale.i != sale.j and (sale.edge.pool.id, *sale.pair) not in here
        ]
        self.told += [(sale.edge.pool.id, *sale.pair) for sale in small]
        self._gas: Floats = np.concatenate((legs.gas, [sale.edge.gas / ONE for sale in small]))
        pools: dict[str, int] = {}
        assets: dict[AssetId, int] = {}
        self._pool = _numbers(pools, [pool for pool, _, _ in self.told])
        self._given = _numbers(assets, [asset_of(given) for _, given, _ in self.told])
        self._got = _numbers(assets, [asset_of(got) for _, _, got in self.told])
        self._source: Ints = np.array(
            [self._number.get(given, -1) for _, given, _ in self.told], dtype=np.int64
        )
        self._target: Ints = np.array([self._number.get(got, -1) for _, _, got in self.told], dtype=np.int64)
        barred = {*of.order.sources, *of.order.targets}
        barred |= {asset for pair in pairs(of.order.view) for asset in pair}
        self._barred: Bools = np.array([asset in barred for asset in assets], dtype=bool)
        self._joint: dict[str, tuple[frozenset[AssetId], float]] = {}
        """Of pools whose pairs are counted together, the assets that any way to take several can trade, and the least gas of one."""
        for sale in legs.sales:
            if sale.i == sale.j:
                held, gas = self._joint.get(sale.edge.pool.id, (frozenset(), np.inf))
                trades = {asset_of(name) for name in (*sale.edge.nodes, *sale.edge.outs)}
                self._joint[sale.edge.pool.id] = held | trades, min(gas, sale.edge.gas / ONE)
        self._columns: list[_Column] = []
        self._rows: dict[int | str, int] = {}
        """Rows that keep the gas of a leg from coming below zero, or that of several pairs of a pool."""
        self._values: Floats = np.zeros(0)
        self.extra: Floats = np.zeros(len(self._gas))
        """By leg, the gas that is moved to it less what is taken from it."""
        self._taken: dict[int, float] = {}

    def begin(self, model: Any) -> None:
        """The columns of programs before, for a program without lines."""
        where = {leg: k for k, leg in enumerate(self.told)}
        self._add(model, [(where[leg], sells) for leg, sells in self._legs.moves if leg in where], [])

    def _takers(self, leg: int, sells: bool) -> Bools:
        """The legs by which a plan that uses `leg` can have bought what it sells, or can sell what it buys."""
        of, (_, given, got) = self._legs.of, self.told[leg]
        none: Bools = np.zeros(len(self._gas), dtype=bool)
        asset, other = (self._given[leg], self._got[leg]) if sells else (self._got[leg], self._given[leg])
        if self._barred[asset]:
            return none
        if sells:
            names = before(of, given)
            at, end, far = self._target, self._got, self._given
        else:
            names = of.later[got]
            at, end, far = self._source, self._given, self._got
        numbers = [self._number[name] for name in names if name in self._number]
        found: Bools = (
            (end == asset) & (far != other) & (self._pool != self._pool[leg]) & np.isin(at, numbers)
        )
        return found

    def _signs(self, row: int | str) -> list[tuple[int, float]]:
        """Of the row of a leg or a pool, the columns that are in it."""
        if isinstance(row, str):
            held = self._joint[row][0]
            return [(c.number, -1.0) for c in self._columns if c.asset in held and c.pool != row]
        return [
            (c.number, 1.0 if c.leg == row else -1.0) for c in self._columns if c.leg == row or c.takers[row]
        ]

    def short(self, model: Any) -> bool:
        """Adds rows for what would have less than no gas as it is counted now; whether there was any."""
        near = _SLACK / 10 * self._unit
        few: list[int | str] = [
            int(k) for k in np.flatnonzero(self._gas + self.extra < -near) if int(k) not in self._rows
        ]
        for pool, (held, least) in self._joint.items():
            taken = sum(
                value
                for c, value in zip(self._columns, self._values, strict=True)
                if c.asset in held and c.pool != pool
            )
            if taken * self._unit > least + near and pool not in self._rows:
                few.append(pool)
        for row in few:
            self._rows[row] = model.getNumRow()
            signs = self._signs(row)
            most = (self._joint[row][1] if isinstance(row, str) else float(self._gas[row])) / self._unit
            columns = np.array([column for column, _ in signs], dtype=np.int32)
            model.addRow(
                -max(most - _SLACK, 0.0),
                highspy.kHighsInf,
                len(columns),
                columns,
                np.array([sign for _, sign in signs]),
            )
        return bool(few)

    def _add(self, model: Any, moves: Sequence[tuple[int, bool]], touched: Sequence[Touch]) -> None:
        added = 0
        for leg, sells in moves:
            takers = self._takers(leg, sells)
            if not takers.any():
                continue
            column = self._column(leg, sells, model.getNumCol(), takers)
            self._columns.append(column)
            index: list[int] = []
            value: list[float] = []
            for row, at in self._rows.items():
                sign = dict(self._signs(row)).get(column.number)
                if sign is not None:
                    index.append(at)
                    value.append(sign)
            for touch in touched:
                if touch.sale is not None:
                    if self._takes(column, touch.sale):
                        index.append(touch.first)
                        value.append(-1.0)
                    continue
                for hit, sign in ((touch.legs == leg, 1.0), (takers[touch.legs], -1.0)):
                    rows = np.flatnonzero(hit)
                    index += (touch.first + rows).tolist()
                    value += [sign] * len(rows)
            model.addCol(
                0.0, 0.0, highspy.kHighsInf, len(index), np.array(index, dtype=np.int32), np.array(value)
            )
            self._legs.moves[self.told[leg], sells] = None
            added += 1
        self._values = np.concatenate((self._values, np.zeros(added)))

    def _column(self, leg: int, sells: bool, number: int, takers: Bools) -> _Column:
        pool, given, got = self.told[leg]
        return _Column(leg, sells, number, takers, asset_of(given if sells else got), pool)

    def _takes(self, column: _Column, sale: Sale) -> bool:
        """Whether gas is taken from pairs counted together."""
        edge = sale.edge
        if edge.pool.id == column.pool:
            return False
        names, never = (edge.outs, edge.never_bought) if column.sells else (edge.nodes, edge.never_sold)
        return any(asset_of(name) == column.asset for k, name in enumerate(names) if k not in never)

    def entries(self, legs: Ints) -> list[tuple[Ints, int, float]]:
        """Of lines of trades of `legs`, in each column those that it is in, with its sign."""
        found = []
        for column in self._columns:
            for hit, sign in ((legs == column.leg, 1.0), (column.takers[legs], -1.0)):
                at = np.flatnonzero(hit)
                if len(at):
                    found.append((at, column.number, sign))
        return found

    def joint_entries(self, sale: Sale) -> list[int]:
        """The columns of gas taken from pairs counted together."""
        return [column.number for column in self._columns if self._takes(column, sale)]

    def read(self, solution: Floats) -> Floats:
        """The gas of every column of a solution."""
        return (
            np.maximum(solution[[column.number for column in self._columns]], 0.0)
            if self._columns
            else np.zeros(0)
        )

    def set(self, values: Floats) -> None:
        """Counts with so much gas in every column from here on."""
        self._values = values
        self._taken.clear()
        self.extra = np.zeros(len(self._gas))
        for column, value in zip(self._columns, (values * self._unit).tolist(), strict=True):
            if value > 0:
                self.extra[column.leg] += value
                self.extra[column.takers] -= value

    def taken(self, sale: Sale) -> float:
        """What is taken from pairs counted together, raw."""
        if (held := self._taken.get(id(sale))) is None:
            held = self._taken[id(sale)] = self._unit * sum(
                value
                for column, value in zip(self._columns, self._values.tolist(), strict=True)
                if value > 0 and self._takes(column, sale)
            )
        return held

    def moved(self) -> list[Move]:
        """The gas that is moved as it is counted now."""
        columns = zip(self._columns, self._values.tolist(), strict=True)
        return [
            Move(column.sells, *self.told[column.leg], value * self._unit * _KEPT)
            for column, value in columns
            if value > 0
        ]

    def _alike(self, used: Floats, weights: Floats) -> Floats:
        """`used`, and as much for legs that are as cheap as one that is used without a trade: it would be the next."""
        rest: Floats = np.zeros(len(used))
        for row, at in self._rows.items():
            if not isinstance(row, str) and at < len(weights):
                rest[row] = max(float(weights[at]), 0.0)
        likely = used.copy()
        cheap = self._gas + self.extra < _CHEAP * self._unit
        for column in self._columns:
            part = float(rest[column.takers].sum())
            if part > 0:
                alike = column.takers & cheap
                likely[alike] = np.maximum(likely[alike], part)
        return likely

    def broken(self, model: Any, touched: Sequence[Touch], weights: Floats, every: Sequence[Touch]) -> int:
        """Adds columns for what the program does that no plan could: `weights` is how much of each row's trade it does, `every` all rows there are
        now. Returns how many."""
        used: Floats = np.zeros(len(self._gas))
        sums: list[tuple[Sale, float]] = []
        for touch in touched:
            if touch.sale is not None:
                sums.append((touch.sale, float(weights[touch.first])))
            else:
                np.add.at(
                    used, touch.legs, np.maximum(weights[touch.first : touch.first + len(touch.legs)], 0.0)
                )
        # What keeps a leg's gas from coming below zero is a use of it as well.
        pools: list[tuple[str, float]] = []
        for row, at in self._rows.items():
            part = max(float(weights[at]), 0.0) if at < len(weights) else 0.0
            if isinstance(row, str):
                pools.append((row, part))
            else:
                used[row] += part
        likely = self._alike(used, weights)
        found: list[tuple[float, int, bool]] = []
        have = {(column.leg, column.sells) for column in self._columns}
        for leg in np.flatnonzero(likely * self._gas > _BROKEN * self._unit).tolist():
            for sells in (True, False):
                takers = self._takers(leg, sells)
                if (leg, sells) in have or not takers.any():
                    continue
                column = self._column(leg, sells, -1, takers)
                there = float(used[takers].sum()) + sum(
                    part for sale, part in sums if part > 0 and self._takes(column, sale)
                )
                there += sum(
                    part
                    for pool, part in pools
                    if column.asset in self._joint[pool][0] and pool != column.pool
                )
                short = float(likely[leg]) - there
                if short * self._gas[leg] > _BROKEN * self._unit:
                    found.append((short * float(self._gas[leg]), leg, sells))
        found.sort(reverse=True)
        chosen = [(leg, sells) for _, leg, sells in found[: max(_MOST - len(self._columns), 0)]]
        self._add(model, chosen, every)
        return len(chosen)


__all__ = ["Move", "Moves", "Touch"]
