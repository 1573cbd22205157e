"""The dual of one order over compiled loops: what `agent.routing.dual` does, many times faster. Both find prices; which ones may differ."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

import numpy as np

from agent.routing.dual import MOST, PARTS, STEPS, Dual, Flows
from agent.routing.kernels import duals
from agent.routing.newton import newton_step
from agent.routing.tables import Bools, Floats, Ints

_ENDLESS = 1e200


class CompiledDual(Dual):
    """A `Dual` whose loops are compiled."""

    def _net(self) -> duals.Net:
        found: duals.Net | None = self.__dict__.get("_made")
        if found is None:
            t = self.tables
            most = (
                np.full(len(t.i), np.inf)
                if self._most is None
                else np.where(self._most < _ENDLESS, self._most, np.inf)
            )
            costs = np.column_stack((t.keep, t.spot, self._spot, self._least, self.q, self.tick_q, most))
            ends = np.column_stack((t.i, t.j, t.first, t.last))
            found = self.__dict__["_made"] = duals.Net(self.edges, ends, costs, t.knots)
        return found

    def flow_of(self, worth: float) -> None:
        super().flow_of(worth)
        self.__dict__.pop("_made", None)

    def sold_on(self, most: Floats) -> None:
        super().sold_on(most)
        self.__dict__.pop("_made", None)

    def _limit(self, cap: Floats | None) -> Floats:
        return np.full(len(self.tables.nodes), np.inf) if cap is None else cap

    def sales(self, vi: Floats, vj: Floats, edges: Ints, cap: Floats | None) -> Flows:
        limit = np.full(len(edges), np.inf) if cap is None else cap
        return Flows(*duals.sales(self._net(), vi, vj, edges, limit))

    def worth(self, v: Floats, cap: Floats | None, tau: float) -> float:
        return float(self.supply @ v) + duals.value(self._net(), v, self._limit(cap), tau)

    def paying(self, v: Floats, cap: Floats | None) -> tuple[Ints, Floats]:
        return duals.paying(self._net(), v, self._limit(cap))

    def onward(self, v: Floats, flow: float, rounds: Collection[int]) -> list[Floats]:
        size = flow / v
        source = np.flatnonzero(self.supply)
        size[source] = np.minimum(size[source], self.supply[source])
        found = duals.onward(self._net(), v, size, PARTS, self.fixed, max(rounds))
        return [np.where(best > 0, best, v) for k, best in enumerate(found, 1) if k in rounds]

    def settle(
        self, v: Floats, cap: Floats | None, tau: float, blocks: Iterable[Ints], steps: Floats
    ) -> Floats:
        v, logs, net, limit = v.copy(), np.log(v), self._net(), self._limit(cap)
        reach = float(np.abs(np.log(steps)).max())
        inside: Bools = np.zeros(len(v), dtype=bool)
        for block in blocks:
            edges, moved = self.around(block)
            if not len(edges) or self.fixed[moved].any():
                continue
            inside[moved] = True
            held = float(self.supply[moved] @ v[moved])
            best = duals.settled(net, v, logs, limit, tau, edges, inside, held, steps, reach)
            inside[moved] = False
            if best != 1.0:
                v[moved] *= best
                logs[moved] = np.log(v[moved])
        return v

    def solve(
        self, v: Floats, cap: Floats | None, taus: tuple[float, ...], in_time: Callable[[], bool], steps: int = STEPS
    ) -> Floats:  # fmt: skip
        net, limit = self._net(), self._limit(cap)
        for tau in taus:
            damp, best = 1e-3, None
            for _ in range(steps):
                if not in_time():
                    return v
                now, names, g, h = duals.slopes(net, v, limit, tau, self.supply, self.group, self.fixed)
                if not len(names):
                    return v
                scale = np.diag(h) + np.abs(g) + 1e-12 * abs(now)
                found = self._stepped(v, limit, tau, damp, now, (names, g, h, scale))
                if found is None:
                    break
                v, after, damp = found
                if best is not None and best - after < 1e-9 * abs(after) + abs(tau) * 2e-3:
                    break
                best = after
        return v

    def _stepped(
        self, v: Floats, limit: Floats, tau: float, damp: float, now: float, at: tuple[Ints, Floats, Floats, Floats]
    ) -> tuple[Floats, float, float] | None:  # fmt: skip
        """Prices after one step, the value there, and how far to damp the next."""
        names, g, h, scale = at
        for _ in range(7):
            try:
                step = newton_step(h + np.diag(damp * scale), g)
            except np.linalg.LinAlgError:
                damp *= 10
                continue
            moves = np.zeros(len(v))
            moves[names] = np.clip(step, -MOST, MOST)
            trial = v * np.exp(moves[self.group])
            after = self.worth(trial, limit, tau)
            if after < now:
                return trial, after, max(damp / 10, 1e-10)
            damp *= 8
        return None


__all__ = ["CompiledDual"]
