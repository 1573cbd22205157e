"""What the prices of places are sought over: the legs of one order, each between two places an asset can have in a plan.

    F(v) = value of what is sold + sum over pairs of pools of max(0, the best over its legs of arb_e(v) - q_e)

Where the search begins is found here, `agent.routing.planes` goes on from there. The places are those of `agent.routing.certificate.chains`.
What is found is only a proposal, as in `agent.routing.dual`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from copy import copy
from typing import TypeAlias

import numpy as np

from agent.domain.instruments import AssetId
from agent.routing.certificate.chains import Chains
from agent.routing.certificate.gains import Sale
from agent.routing.certificate.units import ONE
from agent.routing.dual import Dual
from agent.routing.tables import Bools, Floats, Ints

_ROOM = 1.05
_APART = 3e-4
_WIDTHS, _AGAIN, _WORTH = (0.3, 0.1, 0.03, 0.01, 0.003, 1e-3), 3, 1e-5
_NOTHING = 1e-60


Leg: TypeAlias = tuple[str, AssetId, AssetId]
"""A pool or a book, and the names sold to it and bought from it."""


class ChainSearch:
    """One order's legs by places. Values are raw units of the bought asset; names, prices and `caps` those of `of`. A leg is an `edge` of the tables
    from the name `source` to the name `target` by number (-1: what is bought, worth `par`); of those with one `pair` only the best counts."""

    def __init__(
        self, dual: Dual, of: Chains, begin: Sequence[Mapping[AssetId, float]], caps: Mapping[AssetId, int], amount: float, pars: Mapping[AssetId, float], out: float, in_time: Callable[[], bool],
    ) -> None:  # fmt: skip
        """`begin` are prices by asset to start from, the best of them; `amount` is sold, of which a raw unit of each source is `pars`."""
        t = dual.tables
        self.sales: list[Sale] = list(of.sales)
        self.dual, self.of, self.amount, self._in_time = dual, of, amount, in_time
        self.moving = False
        """Whether gas may be moved from leg to leg."""
        self.moves: dict[tuple[Leg, bool], None] = {}
        """Legs that programs had gas moved to (`agent.routing.moves`), and whether over what they sell: where the next one begins."""
        self.names = [name for name in of.places if name not in of.targets]
        number = {name: k for k, name in enumerate(self.names)}
        where: Ints = np.full((len(t.nodes), of.hops + 1, 2), -1, dtype=np.int64)
        for name, k in number.items():
            spot = of.places[name]
            if spot.asset in t.number:
                where[t.number[spot.asset], spot.level, int(spot.far)] = k
        sources = [name for name in self.names if name in of.sources]
        assets = [of.places[name].asset for name in self.names]
        starts = [np.log([max(prices.get(asset, 0.0), _NOTHING) for asset in assets]) for prices in begin]
        self.start: Floats = starts[0]
        # What is sold is worth the same wherever it is taken from.
        self.first = np.array([number[name] for name in sources], dtype=np.int64)
        self.pars: Floats = np.log([pars[name] for name in sources])
        self._edges(where, dual.fixed)
        self._known: Floats = np.array([float(min(caps.get(a, 1 << 900), 1 << 900)) for a in assets])
        self._given: Floats = np.array(
            [float(of.caps.get(name, caps.get(name, int(amount)))) for name in sources]
        )
        self._level = np.array([of.places[name].level for name in self.names], dtype=np.int64)
        self._out = out
        with np.errstate(divide="ignore"):
            self.spot: Floats = np.log(t.spot)[self.edge]
        found = []
        for start in starts:
            self._within(start)
            found.append(self._tied(self._swept(start)))
            self._within(found[-1])
        self.start = min(found, key=self.worth)
        self._within(self.start)
        self.start = self.falling(self._shifted(self.start))

    def _edges(self, where: Ints, fixed: Bools) -> None:
        t, hub = self.dual.tables, self.of.hub
        base = self.dual.edges
        i, j = t.i[base], t.j[base]
        out_of_hub = i == (t.number.get(hub, -1) if hub is not None else -1)
        ends = fixed[j]
        parts: list[tuple[Ints, Ints, Ints]] = []
        for level in range(self.of.hops):
            for far in (0, 1):
                source = where[i, level, far]
                after = np.where(out_of_hub, 1, far)
                target = np.where(ends, -1, where[j, level + 1, after])
                good = np.flatnonzero((source >= 0) & (ends | (target >= 0)))
                parts.append((base[good], source[good], target[good]))
        self.edge, self.source, self.target = (np.concatenate(part) for part in zip(*parts, strict=True))
        _, self.pair = np.unique(t.pair[self.edge], return_inverse=True)
        self._pairs = int(self.pair.max()) + 1 if len(self.pair) else 0
        # A raw unit of a target counts as what it is at par.
        value: Floats = np.zeros(len(t.nodes))
        for node in self.of.targets & t.number.keys():
            value[t.number[node]] = np.log(float(self.of.order.par(node)))
        self.par: Floats = value[t.j[self.edge]]
        self.gas: Floats = self.dual.q[self.edge]

    def worth(self, logs: Floats) -> float:
        """F at the prices whose logarithms are given."""
        far = np.where(self.target >= 0, logs[self.target], self.par)
        near = np.flatnonzero(self.spot + far - logs[self.source] > 0)
        e = self.edge[near]
        f = self.dual.sales(np.exp(logs[self.source[near]]), np.exp(far[near]), e, self._cap[near])
        best = np.zeros(self._pairs)
        np.maximum.at(best, self.pair[near], f.gain - self.gas[near] - self.dual.tick_q[e] * f.ticks)
        return float(np.exp(logs[self.first[0]] - self.pars[0])) * self.amount + float(best.sum())

    def keep(self, sales: Collection[Sale]) -> None:
        """Leaves out the legs that are not among `sales`, which are of `of`."""
        self.sales = list(sales)
        left = {(sale.edge.pool.id, *sale.pair) for sale in sales if sale.i != sale.j}
        hops = self.dual.tables.hops
        told = [
            hops[e].book
            or (hops[e].id, self.names[i], self.names[j] if j >= 0 else hops[e].asset_out) in left
            for e, i, j in zip(self.edge, self.source, self.target, strict=True)
        ]
        kept = np.flatnonzero(told)
        self.edge, self.source, self.target = self.edge[kept], self.source[kept], self.target[kept]
        self.pair, self.par, self.spot = self.pair[kept], self.par[kept], self.spot[kept]
        self.gas = self.gas[kept]

    def case(self, of: Chains) -> tuple[ChainSearch, Ints]:
        """The search over the sales and places left to `of`, which is a case of its own, and which of the names here are the names there."""
        other = copy(self)
        other.of = of
        other.keep(of.sales)
        gas = {(sale.edge.pool.id, *sale.pair): sale.edge.gas for sale in of.sales if sale.i != sale.j}
        hops = self.dual.tables.hops
        other.gas = np.array(
            [
                0.0
                if hops[e].book
                else gas[hops[e].id, self.names[i], self.names[j] if j >= 0 else hops[e].asset_out] / ONE
                for e, i, j in zip(other.edge, other.source, other.target, strict=True)
            ]
        )
        held: Ints = np.array([k for k, name in enumerate(self.names) if name in of.nodes], dtype=np.int64)
        number: Ints = np.full(len(self.names) + 1, -1, dtype=np.int64)
        number[held] = np.arange(len(held))
        other.names = [self.names[k] for k in held]
        # A target's number is -1, here as there.
        other.source, other.target = number[other.source], number[other.target]
        other.first = number[self.first]
        return other, held

    def falling(self, logs: Floats) -> Floats:
        """The same, none higher than one that an asset can have before it."""
        number = {name: k for k, name in enumerate(self.names)}
        least = logs.copy()
        for names in self.of.names.values():
            for name in names:
                if name in number:
                    later = [number[other] for other in self.of.later[name] if other in number]
                    least[later] = np.minimum(least[later], least[number[name]])
        return least

    def _within(self, logs: Floats) -> None:
        """Says what flows at most: what the order can be worth, and what is known of every asset."""
        most = np.minimum(self._out * _ROOM / np.exp(logs), self._known)
        most[self.first] = self._given
        self._cap: Floats = most[self.source]

    def _swept(self, logs: Floats) -> Floats:
        """Prices lowered to where the first unit pays on some leg on from there, backwards, and raised to where it does on some leg to there."""
        logs = logs.copy()
        inner, at_level = self._level > 0, self._level[self.source]
        for level in range(self.of.hops - 1, 0, -1):
            at = np.flatnonzero(at_level == level)
            best: Floats = np.full(len(logs), -np.inf)
            far = np.where(self.target >= 0, logs[self.target], self.par)[at]
            np.maximum.at(best, self.source[at], far + self.spot[at] + _APART)
            lower = inner & np.isfinite(best) & (best < logs)
            logs[lower] = best[lower]
        for level in range(self.of.hops - 1):
            at = np.flatnonzero((at_level == level) & (self.target >= 0) & np.isfinite(self.spot))
            least: Floats = np.full(len(logs), np.inf)
            np.minimum.at(least, self.target[at], logs[self.source[at]] - self.spot[at] - _APART)
            higher = inner & np.isfinite(least) & (least > logs)
            logs[higher] = least[higher]
        return logs

    def _shifted(self, logs: Floats) -> Floats:
        """Prices of whole levels and of everything moved as one, for as long as that leads down."""
        places = [self.of.places[name] for name in self.names]
        level, far = self._level, np.array([spot.far for spot in places], dtype=bool)
        moved = [level >= 0, level > 0, far, *(level >= k for k in range(2, self.of.hops)), *(level == k for k in range(1, self.of.hops))]  # fmt: skip
        least = self.worth(logs)
        for width in _WIDTHS:
            for _ in range(_AGAIN):
                before = least
                for block in moved if self._in_time() else ():
                    for step in (-width, width):
                        trial = np.where(block, logs + step, logs)
                        found = self.worth(trial)
                        if found < least:
                            logs, least = trial, found
                            break
                if before - least < _WORTH * before:
                    break
        return logs

    def _tied(self, logs: Floats) -> Floats:
        if len(self.first) > 1:
            logs[self.first[1:]] = logs[self.first[0]] - self.pars[0] + self.pars[1:]
        return logs


__all__ = ["ChainSearch"]
