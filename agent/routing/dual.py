"""Node prices that make the certificate's bound small: damped Newton on the smoothed dual, in prices scaled by their values.

    F(v) = value of what is sold + sum over edges of max(0, arb_e(v) - q_e), the kink rounded

arb_e is the gain of the best sale on edge e that is within `cap`, q_e its gas. The smoothing shrinks step by step; what is found
is only a proposal: `agent.routing.certificate` computes what it proves. Source of the dual: Angeris, Evans, Chitra, Boyd,
"Optimal routing for constant function market makers" (2022), with the fixed costs kept inside.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agent.domain.instruments import AssetId
from agent.routing.newton import newton_step
from agent.routing.tables import PRICE_STRIDE, SIZE_STRIDE, Floats, Ints, Tables

_NEAR = 0.90
_MATTERS = 0.6
_BEYOND = 1.05
_SLACK = 1e-6
_ENDLESS = 1e200
STEPS = 14
MOST = 0.5
PARTS = np.array([1.0, 0.7, 0.4, 0.2, 0.1, 0.04, 0.015, 0.005])


@dataclass
class Flows:
    """Edge by edge: gross input, output, gain, curvature in values, ticks passed."""

    paid: Floats
    got: Floats
    gain: Floats
    bend: Floats
    ticks: Floats


class Dual:
    """The dual of one order over the edges between `nodes`. Values are raw units of the bought asset."""

    def __init__(
        self,
        tables: Tables,
        nodes: frozenset[AssetId],
        sources: Sequence[AssetId],
        amount: float,
        targets: Mapping[AssetId, float],
        gas_rate: Mapping[str, float],
        ways: Collection[tuple[AssetId, AssetId]] | None = None,
        circular: bool = False,
    ) -> None:
        self.tables = tables
        t = tables
        kept = np.array([node in nodes for node in t.nodes], dtype=bool)
        fixed = np.array([node in targets for node in t.nodes], dtype=bool)
        from_source = np.array([node in sources for node in t.nodes], dtype=bool)
        usable = kept[t.i] & kept[t.j]
        if not circular:
            usable &= ~fixed[t.i] & ~from_source[t.j]
        if ways is not None:
            trades = np.zeros((len(t.nodes), len(t.nodes)), dtype=bool)
            number = t.number
            known = [(number[given], number[got]) for given, got in ways if given in number and got in number]
            trades.ravel()[np.array([given * len(t.nodes) + got for given, got in known], dtype=np.int64)] = (
                True
            )
            usable &= trades[t.i, t.j]
        self.edges: Ints = np.flatnonzero(usable)
        self.kept, self.fixed = kept, fixed
        self._around: dict[bytes, tuple[Ints, Ints]] = {}
        with np.errstate(divide="ignore"):
            self._spot: Floats = np.log(t.spot)
        self._most: Floats | None = None
        self._least: Floats = np.full(len(t.i), np.log(_NEAR))
        rates = np.array([gas_rate.get(place, 0.0) for place in t.places])[t.place]
        self.q: Floats = t.gas * rates[t.i]
        self.tick_q: Floats = t.per_tick * rates[t.i]
        self.supply: Floats = np.zeros(len(t.nodes))
        self.group: Ints = np.arange(len(t.nodes), dtype=np.int64)
        if sources:
            # The same asset in several places keeps one price: what is sold is worth it wherever it is taken from.
            first = t.number[sources[0]]
            self.supply[first] = amount
            self.group[[t.number[node] for node in sources]] = first

    def flow_of(self, worth: float) -> None:
        """Says how much can flow at most: an edge on which all of that does not earn most of its gas is left out."""
        self._least = np.log1p(_MATTERS * self.q / (worth * _BEYOND)) - _SLACK

    def sold_on(self, most: Floats) -> None:
        """Says how much of each node is sold on at most, raw: more that an edge buys of it gains nothing."""
        self._most = most[self.tables.j]

    def near(self, v: Floats, edges: Ints) -> Ints:
        """The edges whose first unit pays enough at `v` to matter."""
        t = self.tables
        logs = np.log(v)
        return edges[(self._spot + logs[t.j] - logs[t.i] > self._least)[edges]]

    def flows(self, v: Floats, edges: Ints, cap: Floats | None) -> Flows:
        """The best sale on every edge at prices `v`, of no more than `cap` (by node, gross raw; None: any size)."""
        i, j = self.tables.i[edges], self.tables.j[edges]
        return self.sales(v[i], v[j], edges, None if cap is None else cap[i])

    def sales(self, vi: Floats, vj: Floats, edges: Ints, cap: Floats | None) -> Flows:
        """`flows` with the prices and caps given edge by edge."""
        t = self.tables
        keep = t.keep[edges]
        first, last = t.first[edges], t.last[edges]
        ratio = vi / (vj * keep)
        want = np.sqrt(ratio)
        at = np.searchsorted(t.price_key, t.row[edges] * PRICE_STRIDE - np.log(want), side="right") - 1
        at = np.clip(at, first, last)
        high = t.s[at]
        low = np.where(at < last, t.s[np.minimum(at + 1, len(t.s) - 1)], high)
        stop = np.maximum(np.minimum(want, high), low)
        net = t.ins[at] + t.lin[at] * (1 / np.maximum(stop, 1e-160) - 1 / np.maximum(high, 1e-160))
        got = t.outs[at] + t.lout[at] * (high - stop)
        inside = (want < high) & (want > low)
        bend = np.where(inside, vi * t.lin[at] / (2 * keep * np.maximum(stop, 1e-160)), 0.0)
        if cap is not None:
            most = cap * keep
            over = np.flatnonzero(net > most)
            if len(over):
                o, m = edges[over], most[over]
                k = np.searchsorted(
                    t.size_key, t.row[o] * SIZE_STRIDE + np.log(np.maximum(m, 1e-300)), side="right"
                )
                k = np.clip(k - 1, first[over], last[over])
                with np.errstate(divide="ignore", invalid="ignore"):
                    inverse = 1 / np.maximum(t.s[k], 1e-160) + np.where(
                        t.lin[k] > 0, (m - t.ins[k]) / t.lin[k], 0.0
                    )
                got[over] = t.outs[k] + t.lout[k] * (t.s[k] - 1 / inverse)
                net[over], bend[over], at[over] = m, 0.0, k
        ticks = (at - first).astype(np.float64)
        paid = net / keep
        gain = vj * got - vi * paid
        per = self.tick_q[edges]
        back = np.flatnonzero((per > 0) & (ticks > 0))
        if len(back):
            # Where the last stretch does not earn its tick, the sale ends at the tick.
            b = at[back]
            short = vj[back] * t.outs[b] - vi[back] * t.ins[b] / keep[back]
            worse = gain[back] - short < per[back]
            ends = back[worse]
            e = at[ends]
            paid[ends], got[ends], bend[ends] = t.ins[e] / keep[ends], t.outs[e], 0.0
            gain[ends] = short[worse]
            ticks[ends] -= 1
        if self._most is not None:
            # As the bound counts it: all that is sold on at the rate of the first unit.
            most = np.minimum(self._most[edges], _ENDLESS)
            # What is bought and not sold on has no such limit, at the very price of a flat stretch neither.
            enough = np.flatnonzero((most < _ENDLESS) & (gain > most * (vj - vi / t.spot[edges])))
            got[enough], bend[enough] = most[enough], 0.0
            paid[enough] = most[enough] / t.spot[edges[enough]]
            gain[enough] = vj[enough] * got[enough] - vi[enough] * paid[enough]
        return Flows(paid, got, gain, bend, ticks)

    def value(self, v: Floats, edges: Ints, cap: Floats | None, tau: float) -> float:
        """The smoothed dual at `v`; exact where `tau` is 0."""
        f = self.flows(v, edges, cap)
        x = f.gain - self.q[edges] - self.tick_q[edges] * f.ticks
        return float(self.supply @ v + _bent(x, tau).sum())

    def worth(self, v: Floats, cap: Floats | None, tau: float) -> float:
        """`value` over every edge that pays."""
        return self.value(v, self.near(v, self.edges), cap, tau)

    def paying(self, v: Floats, cap: Floats | None) -> tuple[Ints, Floats]:
        """The edges that pay for their gas at `v`, and by how much."""
        edges = self.near(v, self.edges)
        f = self.flows(v, edges, cap)
        x = f.gain - self.q[edges] - self.tick_q[edges] * f.ticks
        return edges[x > 0], x[x > 0]

    def onward(self, v: Floats, flow: float, rounds: Collection[int]) -> list[Floats]:
        """Prices at which no edge pays for a flow worth up to `flow`: what a unit still nets on the best way on, gas and all.

        `v` says how much of each node such a flow is. Backwards from the targets, as many edges far as each of `rounds` (ascending)
        says; a node no way leads on from keeps its price in `v`.
        """
        t = self.tables
        edges = np.tile(self.edges, len(PARTS))
        i, j = t.i[edges], t.j[edges]
        size = flow / v[i]
        source = np.flatnonzero(self.supply)
        if len(source):
            size = np.where(np.isin(i, source), np.minimum(size, self.supply[i]), size)
        size *= np.repeat(PARTS, len(self.edges))
        net = size * t.keep[edges]
        k = np.searchsorted(
            t.size_key, t.row[edges] * SIZE_STRIDE + np.log(np.maximum(net, 1e-300)), side="right"
        )
        k = np.clip(k - 1, t.first[edges], t.last[edges])
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            inverse = 1 / np.maximum(t.s[k], 1e-160) + np.where(
                t.lin[k] > 0, (net - t.ins[k]) / t.lin[k], 0.0
            )
            got = (t.outs[k] + t.lout[k] * (t.s[k] - 1 / inverse)) / size
            cost = (self.q[edges] + self.tick_q[edges] * (k - t.first[edges])) / size
        best = np.where(self.fixed, v, 0.0)
        found = []
        for number in range(1, max(rounds) + 1):
            worth = np.where(best[j] > 0, best[j] * got - cost, 0.0)
            best = best.copy()
            np.maximum.at(best, i, worth)
            if number in rounds:
                found.append(np.where(best > 0, best, v))
        return found

    def settle(
        self, v: Floats, cap: Floats | None, tau: float, blocks: Iterable[Ints], steps: Floats
    ) -> Floats:
        """One pass over `blocks` of nodes: each takes the best of its prices times `steps`, all the others standing still."""
        t, v = self.tables, v.copy()
        reach = float(np.abs(np.log(steps)).max())
        for block in blocks:
            edges, moved = self.around(block)
            if not len(edges) or self.fixed[moved].any():
                continue
            inside = np.zeros(len(v), dtype=bool)
            inside[moved] = True
            m = len(steps)
            # An edge that does not pay at any of the steps has no part in the choice between them.
            logs, i, j = np.log(v), t.i[edges], t.j[edges]
            near = self._spot[edges] + logs[j] - logs[i] > self._least[edges] - reach * (
                inside[i] != inside[j]
            )
            edges, i, j = edges[near], i[near], j[near]
            vi, vj = np.repeat(v[i][None, :], m, 0), np.repeat(v[j][None, :], m, 0)
            vi[:, inside[i]] *= steps[:, None]
            vj[:, inside[j]] *= steps[:, None]
            every = np.repeat(edges[None, :], m, 0).ravel()
            most = None if cap is None else np.repeat(cap[i][None, :], m, 0).ravel()
            f = self.sales(vi.ravel(), vj.ravel(), every, most)
            x = f.gain - self.q[every] - self.tick_q[every] * f.ticks
            total = _bent(x, tau).reshape(m, len(edges)).sum(1) + float(self.supply[moved] @ v[moved]) * steps
            v[moved] *= steps[int(np.argmin(total))]
        return v

    def around(self, block: Ints) -> tuple[Ints, Ints]:
        """The edges into and out of a block's nodes, or of any that share their prices; and all those nodes."""
        key = block.tobytes()
        found = self._around.get(key)
        if found is None:
            t = self.tables
            moved = np.flatnonzero(np.isin(self.group, self.group[block]))
            inside = np.zeros(len(self.group), dtype=bool)
            inside[moved] = True
            found = self.edges[(inside[t.i] | inside[t.j])[self.edges]], moved
            self._around[key] = found
        return found

    def solve(
        self, v: Floats, cap: Floats | None, taus: tuple[float, ...], in_time: Callable[[], bool], steps: int = STEPS
    ) -> Floats:  # fmt: skip
        """Prices from `v` on, through the smoothings `taus` in turn."""
        t = self.tables
        v = v.copy()
        edges = self.near(v, self.edges)
        for tau in taus:
            damp = 1e-3
            best = None
            for _ in range(steps):
                if not in_time():
                    return v
                f = self.flows(v, edges, cap)
                q = self.q[edges] + self.tick_q[edges] * f.ticks
                x = f.gain - q
                now = float(self.supply @ v + _bent(x, tau).sum())
                share, spread_all = _slopes(x, tau)
                busy = share > 1e-9
                ends = t.i[edges][busy], t.j[edges][busy]
                w = share[busy]
                gi, gj = -v[ends[0]] * f.paid[busy], v[ends[1]] * f.got[busy]
                i, j = self.group[ends[0]], self.group[ends[1]]
                bend = w * f.bend[busy]
                spread = spread_all[busy]
                n = len(v)
                grad = self.supply * v
                grad += np.bincount(i, w * gi, n) + np.bincount(j, w * gj, n)
                names, local = np.unique(
                    np.concatenate((i, j, np.flatnonzero(self.supply))), return_inverse=True
                )
                m = len(names)
                li, lj = local[: len(i)], local[len(i) : 2 * len(i)]
                flat = np.concatenate((li * m + li, lj * m + lj, li * m + lj, lj * m + li))
                hess = np.bincount(
                    flat,
                    np.concatenate(
                        (bend + spread * gi * gi, bend + spread * gj * gj, -bend + spread * gi * gj, -bend + spread * gi * gj)
                    ),
                    m * m,
                ).reshape(m, m)  # fmt: skip
                free = np.flatnonzero(~self.fixed[names])
                if not len(free):
                    return v
                g = grad[names[free]]
                h: Floats = np.asarray(hess[np.ix_(free, free)], dtype=np.float64)
                scale = np.diag(h) + np.abs(g) + 1e-12 * abs(now)
                moved = False
                for _ in range(7):
                    try:
                        step = newton_step(h + np.diag(damp * scale), g)
                    except np.linalg.LinAlgError:
                        damp *= 10
                        continue
                    trial = v.copy()
                    moves = np.zeros(n)
                    moves[names[free]] = np.clip(step, -MOST, MOST)
                    trial *= np.exp(moves[self.group])
                    after = self.worth(trial, cap, tau)
                    if after < now:
                        moved = True
                        damp = max(damp / 10, 1e-10)
                        break
                    damp *= 8
                if not moved:
                    break
                v = trial
                edges = self.near(v, self.edges)
                if best is not None and best - after < 1e-9 * abs(after) + abs(tau) * 2e-3:
                    break
                best = after
        return v


def _bent(x: Floats, tau: float) -> Floats:
    """max(x, 0) with its kink rounded: over the whole range where `tau` is above 0, between tau and -tau where below."""
    if tau > 0:
        return np.where(x > 30 * tau, x, tau * np.log1p(np.exp(np.minimum(x / tau, 30.0))))
    if tau < 0:
        return np.where(x > -tau, x, np.maximum(x - tau, 0.0) ** 2 / (-4 * tau))
    return np.maximum(x, 0.0)


def _slopes(x: Floats, tau: float) -> tuple[Floats, Floats]:
    """First and second derivative of `_bent`."""
    if tau > 0:
        share = 1 / (1 + np.exp(-np.clip(x / tau, -50, 50)))
        return share, share * (1 - share) / tau
    share = np.clip((x - tau) / (-2 * tau), 0.0, 1.0)
    return share, np.where((share > 0) & (share < 1), 1 / (-2 * tau), 0.0)


def singles(nodes: Ints) -> list[Ints]:
    """Every node a block of its own."""
    return [nodes[k : k + 1] for k in range(len(nodes))]


__all__ = ["Dual", "Flows", "singles"]
