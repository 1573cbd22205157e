"""Prices for the bound on plans of short chains: one for every place an asset can have in a plan (`agent.routing.certificate.chains`).

    F(v) = value of what is sold + sum over pairs of pools of max(0, the best over its edges of arb_e(v) - q_e)

An edge is a leg between two places. The kinks are rounded, tau log(1 + sum of exp(x / tau) - exp(-q / tau)): an edge that does not pay adds
nothing. Newton steps in the logarithms of prices, kept near by a penalty on their length, lead down while tau shrinks step by step.
What is found is only a proposal, as in `agent.routing.dual`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from agent.domain.instruments import AssetId
from agent.routing.certificate.chains import Chains
from agent.routing.dual import Dual
from agent.routing.tables import Bools, Floats, Ints

_ROOM = 1.05
_WIDEST, _NARROWER, _NARROWEST = 2e-3, 0.2, 0.01
"""The first smoothing, by what a plan nets; what each is of the one before; and the last, by the gas of a leg."""
_STEPS, _TRIES, _REACH = 50, 8, 0.5
_WORK = 5e7
"""So many second derivatives are worked out in all: the more prices, the fewer steps."""
_DONE = 0.05
_LOOSE, _LOOSER, _NEAREST = 1.0, 30.0, 100.0
_WEIGHS = 1e-7
_APART = 3e-4
_WIDTHS, _AGAIN, _WORTH = (0.3, 0.1, 0.03, 0.01, 0.003, 1e-3), 3, 1e-5
_NOTHING = 1e-60


class _At(NamedTuple):
    """The rounded sum at some prices, the true one, and edge by edge what matters of it."""

    value: float
    exact: float
    edges: Ints
    share: Floats
    paid: Floats
    got: Floats
    bend: Floats


class ChainSearch:
    """The search over one order's edges. Values are raw units of the bought asset; names, prices and `caps` those of `of`."""

    def __init__(
        self, dual: Dual, of: Chains, begin: Sequence[Mapping[AssetId, float]], caps: Mapping[AssetId, int], amount: float, pars: Mapping[AssetId, float], out: float, in_time: Callable[[], bool],
    ) -> None:  # fmt: skip
        """`begin` are prices by asset to start from, the best of them; `amount` is sold, of which a raw unit of each source is `pars`."""
        t = dual.tables
        self.dual, self.of, self._amount, self._in_time = dual, of, amount, in_time
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
        self._first = np.array([number[name] for name in sources], dtype=np.int64)
        self._pars: Floats = np.log([pars[name] for name in sources])
        self._edges(where, dual.fixed)
        self._known: Floats = np.array([float(min(caps.get(a, 1 << 900), 1 << 900)) for a in assets])
        self._given: Floats = np.array(
            [float(of.caps.get(name, caps.get(name, int(amount)))) for name in sources]
        )
        self._level = np.array([of.places[name].level for name in self.names], dtype=np.int64)
        self._out = out
        with np.errstate(divide="ignore"):
            self._spot: Floats = np.log(t.spot)[self.edge]
        found = []
        for start in starts:
            self._within(start)
            found.append(self._tied(self._swept(start)))
            self._within(found[-1])
        self.start = min(found, key=lambda logs: self.at(logs, 0.0).exact)
        self._within(self.start)
        self.start = self._shifted(self.start)
        self._within(self.start)

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
        self.edge, self._from, self._to = (np.concatenate(part) for part in zip(*parts, strict=True))
        _, self._pair = np.unique(t.pair[self.edge], return_inverse=True)
        self._pairs = int(self._pair.max()) + 1 if len(self._pair) else 0
        self._q: Floats = self.dual.q[self.edge]
        # A raw unit of a target counts as what it is at par.
        value: Floats = np.zeros(len(t.nodes))
        for node in self.of.targets & t.number.keys():
            value[t.number[node]] = np.log(float(self.of.order.par(node)))
        self._par: Floats = value[t.j[self.edge]]

    def at(self, logs: Floats, tau: float) -> _At:
        """F at the prices whose logarithms are given, rounded by `tau`."""
        far = np.where(self._to >= 0, logs[self._to], self._par)
        edges = np.flatnonzero(self._spot + far - logs[self._from] > 0)
        e, pair = self.edge[edges], self._pair[edges]
        f = self.dual.sales(np.exp(logs[self._from[edges]]), np.exp(far[edges]), e, self._cap[edges])
        q = self._q[edges]
        x = f.gain - q - self.dual.tick_q[e] * f.ticks
        best = np.zeros(self._pairs)
        np.maximum.at(best, pair, x)
        held = float(np.exp(logs[self._first[0]] - self._pars[0])) * self._amount
        exact = held + float(best.sum())
        if not tau:
            return _At(exact, exact, edges, x, f.paid, f.got, f.bend)
        near = np.exp((x - best[pair]) / tau)
        total = np.exp(-best / tau) + np.bincount(pair, near - np.exp(-(q + best[pair]) / tau), self._pairs)
        total = np.maximum(total, _NOTHING)
        value = held + float((best + tau * np.log(total)).sum())
        return _At(value, exact, edges, near / total[pair], f.paid, f.got, f.bend)

    def _within(self, logs: Floats) -> None:
        """Says what flows at most: what the order can be worth, and what is known of every asset."""
        most = np.minimum(self._out * _ROOM / np.exp(logs), self._known)
        most[self._first] = self._given
        self._cap: Floats = most[self._from]

    def _swept(self, logs: Floats) -> Floats:
        """Prices lowered to where the first unit pays on some leg on from there, backwards, and raised to where it does on some leg to there."""
        logs = logs.copy()
        inner, at_level = self._level > 0, self._level[self._from]
        for level in range(self.of.hops - 1, 0, -1):
            at = np.flatnonzero(at_level == level)
            best: Floats = np.full(len(logs), -np.inf)
            far = np.where(self._to >= 0, logs[self._to], self._par)[at]
            np.maximum.at(best, self._from[at], far + self._spot[at] + _APART)
            lower = inner & np.isfinite(best) & (best < logs)
            logs[lower] = best[lower]
        for level in range(self.of.hops - 1):
            at = np.flatnonzero((at_level == level) & (self._to >= 0) & np.isfinite(self._spot))
            least: Floats = np.full(len(logs), np.inf)
            np.minimum.at(least, self._to[at], logs[self._from[at]] - self._spot[at] - _APART)
            higher = inner & np.isfinite(least) & (least > logs)
            logs[higher] = least[higher]
        return logs

    def _shifted(self, logs: Floats) -> Floats:
        """Prices of whole levels and of everything moved as one, for as long as that leads down."""
        places = [self.of.places[name] for name in self.names]
        level, far = self._level, np.array([spot.far for spot in places], dtype=bool)
        moved = [level >= 0, level > 0, far, *(level >= k for k in range(2, self.of.hops)), *(level == k for k in range(1, self.of.hops))]  # fmt: skip
        least = self.at(logs, 0.0).exact
        for width in _WIDTHS:
            for _ in range(_AGAIN):
                before = least
                for block in moved if self._in_time() else ():
                    for step in (-width, width):
                        trial = np.where(block, logs + step, logs)
                        found = self.at(trial, 0.0).exact
                        if found < least:
                            logs, least = trial, found
                            break
                if before - least < _WORTH * before:
                    break
        return logs

    def _slopes(self, logs: Floats, now: _At, tau: float) -> tuple[Floats, Floats]:
        """Gradient and a positive semidefinite part of the second derivatives, by name."""
        count = len(logs)
        busy = np.flatnonzero(now.share > _WEIGHS)
        edges, w = now.edges[busy], now.share[busy]
        i, j = self._from[edges], self._to[edges]
        goes = np.flatnonzero(j >= 0)
        j_in = j[goes]
        far = np.where(j >= 0, logs[j], self._par[edges])
        u, r = -np.exp(logs[i]) * now.paid[busy], np.exp(far) * now.got[busy]
        bend = w * now.bend[busy]
        slope: Floats = np.asarray(np.bincount(i, w * u, count), dtype=np.float64)
        slope += np.bincount(j_in, (w * r)[goes], count)
        slope[self._first[0]] += np.exp(logs[self._first[0]] - self._pars[0]) * self._amount
        c = w / tau
        cross = (-bend + c * u * r)[goes]
        flat = [i * count + i, j_in * count + j_in, i[goes] * count + j_in, j_in * count + i[goes]]
        parts = [bend + c * u * u, (bend + c * r * r)[goes], cross, cross]
        # Of one pair only one edge counts: what all two of its edges share is taken out again.
        _, pair, many = np.unique(self._pair[edges], return_inverse=True, return_counts=True)
        order = np.argsort(pair, kind="stable")
        one = np.repeat(np.arange(len(order)), many[pair[order]])
        ends = np.cumsum(many[pair[order]])
        other = np.arange(len(one)) - np.repeat(ends - many[pair[order]], many[pair[order]])
        other += (np.cumsum(many) - many)[pair[order]][one]
        one, other = order[one], order[other]
        less = -w[one] * w[other] / (tau * np.maximum(np.bincount(pair, w), 1.0))[pair[one]]
        for at, worth in ((i, u), (j, r)):
            for to, much in ((i, u), (j, r)):
                inside = np.flatnonzero((at[one] >= 0) & (to[other] >= 0))
                flat.append(at[one[inside]] * count + to[other[inside]])
                parts.append(less[inside] * worth[one[inside]] * much[other[inside]])
        bends = np.bincount(np.concatenate(flat), np.concatenate(parts), count * count)
        return slope, np.asarray(bends.reshape(count, count), dtype=np.float64)

    def _tied(self, logs: Floats) -> Floats:
        if len(self._first) > 1:
            logs[self._first[1:]] = logs[self._first[0]] - self._pars[0] + self._pars[1:]
        return logs

    def solve(self, net: float, enough: float) -> dict[AssetId, float]:
        """The best prices found, by name. The search ends where the bound is within `enough` of `net`."""
        logs = self.start.copy()
        best, least = logs, self.at(logs, 0.0).exact
        gas = float(np.median(self._q)) if len(self._q) else 0.0
        last = max(gas, net * 1e-7) * _NARROWEST
        unit = max(net, 1.0)
        tau, near = unit * _WIDEST, 1.0
        steps = max(int(_WORK / len(logs) ** 2), _STEPS)
        while tau > last and steps > 0 and self._in_time() and least - net > enough:
            for _ in range(min(_STEPS, steps)):
                steps -= 1
                now = self.at(logs, tau)
                if now.exact < least:
                    best, least = logs, now.exact
                slope, bends = self._slopes(logs, now, tau)
                free = np.flatnonzero((np.diag(bends) > 0) | (slope != 0))
                g, h = slope[free], bends[np.ix_(free, free)]
                moved = None
                for _ in range(_TRIES):
                    try:
                        step = -np.linalg.solve(h + near * unit * np.eye(len(free)), g)
                    except np.linalg.LinAlgError:
                        near *= 6
                        continue
                    reach = float(np.abs(step).max(initial=0.0))
                    if reach > _REACH:
                        near *= max(3.0, reach)
                        continue
                    trial = logs.copy()
                    trial[free] += step
                    after = self.at(self._tied(trial), tau).value
                    hoped = -float(g @ step + 0.5 * step @ h @ step)
                    if after < now.value:
                        moved = trial
                        if now.value - after > 0.5 * hoped:
                            near = max(near / 6, 1e-9)
                        elif now.value - after < 0.1 * hoped:
                            near *= 4
                        break
                    near *= 6
                if moved is None:
                    break
                logs = moved
                if now.value - after < 1e-9 * now.value + tau * _DONE and reach < 0.1:
                    if near < _LOOSE:
                        break
                    near /= _LOOSER
                if not self._in_time():
                    break
            exact = self.at(logs, 0.0).exact
            if exact < least:
                best, least = logs, exact
            tau, near = tau * _NARROWER, min(near, _NEAREST)
        return {name: float(np.exp(best[k])) for k, name in enumerate(self.names)}


__all__ = ["ChainSearch"]
