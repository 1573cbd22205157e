"""From a market and a plan to the certificate's prices: prices of the market once, then those of one order around its plan."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from agent.domain.instruments import AssetId, Place
from agent.market.view import MarketView
from agent.routing.blocks import blocks_of, tied_of
from agent.routing.dual import Dual, singles
from agent.routing.engine import dual_over
from agent.routing.tables import Bools, Floats, Ints, Tables, depth_prices

_WIDE = np.exp([0, 0.003, -0.003, 0.01, -0.01, 0.03, -0.03, 0.1, -0.1, 0.3, -0.3, 0.7, -0.7, 1.5, -1.5, 3, -3, 6, -6])  # fmt: skip
_CLUSTER = np.exp([0, 0.0003, -0.0003, 0.001, -0.001, 0.003, -0.003, 0.01, -0.01, 0.03, -0.03, 0.06, -0.06, 0.1, -0.1, 0.13, -0.13, 0.2, -0.2])  # fmt: skip
_COARSE = _CLUSTER[[0, 5, 6, 9, 10, 13, 14, 17, 18]]
_WIDTHS = (0.1, 0.01, 1e-3, 1e-4, 1e-5)
_FINE = tuple(
    np.exp(np.array([0, 1, -1, 0.5, -0.5, 0.25, -0.25, 0.12, -0.12, 0.06, -0.06]) * width)
    for width in _WIDTHS
)
_ROUNDS, _ENOUGH = 4, 0.9
_FINER = tuple(np.exp(np.array([0, 1, -1, 0.3, -0.3, 0.1, -0.1]) * width) for width in (0.1, 0.01, 1e-3, 1e-4, 1e-5))  # fmt: skip
_BEHIND = (0.995, 0.98, 0.95, 0.9, 0.85, 0.75, 0.5, 0.2)
_TYPICAL_GAS = 100_000
_ROOM = 1.0003
_HOT = 24
_NOTHING = 1e-40
_LITTLE = 0.02
_ENDLESS = 1e300
_FAR_OFF, _LEGS = 300.0, 20.0
_SETTLES = 3
_NEAR = 200
"""Within one part in so many of what a plan nets a proof rules most of the rest out."""


class MarketPrices:
    """The curves of one market as tables, and prices at which its pools have little to gain from each other."""

    def __init__(self, view: MarketView, typical: Mapping[str, int] | None = None) -> None:
        """`typical` as of `Tables`."""
        self.tables = Tables(view, typical)
        t = self.tables
        self.values: Floats = np.ones(len(t.nodes))
        self.parts: Ints = np.zeros(len(t.nodes), dtype=np.int64)
        self.blocks: list[Ints] = []
        """Which of the unconnected parts of the market a node is in; values are in units of each part's own root."""
        done: set[AssetId] = set()
        degree = np.bincount(t.i, minlength=len(t.nodes)) if len(t.i) else np.zeros(0, dtype=np.int64)
        for root in (gas.native_as for gas in view.gas.values()):
            self._component(view, root, degree, done)
        for k in np.argsort(-degree):
            if t.nodes[int(k)] not in done:
                self._component(view, t.nodes[int(k)], degree, done)

    def _component(self, view: MarketView, root: AssetId, degree: Ints, done: set[AssetId]) -> None:
        t = self.tables
        if root in done or root not in t.number:
            return
        found = depth_prices(view, t, root)
        done.update(found)
        nodes = np.array([t.number[node] for node in found], dtype=np.int64)
        v: Floats = np.full(len(t.nodes), 1e-30)
        v[nodes] = [found[t.nodes[int(k)]] for k in nodes]
        rates = {str(place): float(gas.price_wei) for place, gas in view.gas.items()}
        scale = max([rate for rate in rates.values()] or [0.0]) * _TYPICAL_GAS or float(
            np.median(1 / v[nodes])
        )
        dual = dual_over(t, frozenset(found), (), 0.0, {root: 1.0}, rates, circular=True)
        if not any(rates.values()) and len(nodes) > 2:
            # No gas hides a difference: what is left of any is what a proof is short of.
            v = agreed(dual, v, nodes[np.argsort(-degree[nodes])], blocks_of(t, v, t.number[root]))
            self._keep(v, nodes, root, len(done))
            return
        if len(nodes) < 3:
            # The middle of the one pair they are is as good as any.
            self.values[nodes], self.parts[nodes] = v[nodes], len(done)
            return
        for _ in range(_SETTLES):
            v = dual.settle(v, None, -0.3 * scale, singles(nodes[np.argsort(-degree[nodes])]), _WIDE)
        v = dual.solve(v, None, (0.3 * scale, 0.1 * scale, 0.03 * scale), lambda: True, 25)
        self._keep(v, nodes, root, len(done))

    def _keep(self, v: Floats, nodes: Ints, root: AssetId, part: int) -> None:
        self.values[nodes], self.parts[nodes] = v[nodes], part
        self.blocks += blocks_of(self.tables, v, self.tables.number[root])


def agreed(dual: Dual, v: Floats, order: Ints, blocks: Sequence[Ints]) -> Floats:
    """Prices from `v` on at which all that trading in circles could gain is least, gas left out; `order` are the nodes that may move."""
    scale = dual.value(v, dual.edges, None, 0.0)
    if scale <= 0:
        return v
    for _ in range(_ROUNDS):
        for width in _FINER:
            v = dual.settle(v, None, 0.0, (*blocks, *singles(order)), width)
        now = dual.value(v, dual.edges, None, 0.0)
        if now > scale * _ENOUGH:
            break
        scale = now
    return v


def _blocks(dual: Dual, blocks: Sequence[Ints], free: Bools) -> list[Ints]:
    """The market's blocks as an order has them: a block that holds what is bought stays, and all the others move; first all of it."""
    free = free & dual.kept
    everything, found = np.flatnonzero(free), []
    for block in blocks:
        inside = np.zeros(len(free), dtype=bool)
        inside[block] = True
        found.append(
            np.flatnonzero(free & ~inside) if dual.fixed[block].any() else np.flatnonzero(free & inside)
        )
    return [everything, *(block for block in found if 1 < len(block) < len(everything))]


def order_prices(
    market: MarketPrices,
    nodes: frozenset[AssetId],
    sources: Mapping[AssetId, tuple[float, float]],
    amount: float,
    targets: Mapping[AssetId, float],
    gas_rate: Mapping[Place, float],
    out: float,
    net: float,
    in_time: Callable[[], bool],
    ways: Collection[tuple[AssetId, AssetId]] | None = None,
    together: bool = False,
    far: Ints | None = None,
    begin: Mapping[AssetId, float] | None = None,
    enough: float = 0.0,
    known: Mapping[AssetId, int] | None = None,
    plain: bool = False,
    brief: bool = False,
) -> dict[AssetId, float]:
    """Values of a raw unit of every node in raw units of the bought asset, for the bound around a plan of output `out`.

    `amount` is sold; `sources` are what each can give at most and how much of `amount` a raw unit of it is, `targets` what a raw
    unit counts as; `ways` are the pairs that may be traded (None: any).
    `begin` are prices found before, to start from too. `far` are nodes (by number) that may all be worth less than they are elsewhere. `together` also moves most of the market as one, which finds more and sometimes goes too far. What no pool or book prices is worth next to nothing.
    `known` is how much of a node is ever sold. `plain` prices are the best multiple of the market's own, `brief` ones those after the first steps, node by node, where these come near `net`. The search ends where the bound is within `enough` of `net`.
    """
    t = market.tables
    buys = [node for node in targets if node in t.number]
    sells = [node for node in sources if node in t.number]
    if not buys or not sells:
        return dict.fromkeys(nodes, _NOTHING)
    gas = {str(place): rate for place, rate in gas_rate.items()}
    dual = dual_over(t, nodes, sells, amount / sources[sells[0]][1], targets, gas, ways)
    dual.flow_of(max(out, 1.0))
    ever = np.full(len(t.nodes), np.inf)
    if known is not None:
        ever[:] = [min(float(known[n]), _ENDLESS) if n in known else _ENDLESS for n in t.nodes]
        onward = ever.copy()
        onward[[t.number[node] for node in (*buys, *sells)]] = np.inf
        dual.sold_on(onward)
    base = market.values.copy()
    for node in reversed(buys):
        k = t.number[node]
        inside = market.parts == market.parts[k]
        base[inside] = market.values[inside] * (targets[node] / market.values[k])
    fixed = np.array([t.number[node] for node in buys])
    given = np.array([t.number[node] for node in sells])
    most_given = np.array([sources[node][0] for node in sells])
    pars = np.array([sources[node][1] for node in sells])
    total = amount * float(base[given[0]]) / float(pars[0])
    q = max(max(gas_rate.values(), default=0.0) * _TYPICAL_GAS, out * 1e-7)

    def placed(scale: float) -> Floats:
        v = base * scale
        v[given] = pars * (max(net, 1.0) / amount)
        v[fixed] = [targets[t.nodes[int(k)]] for k in fixed]
        return v

    def caps(v: Floats) -> Floats:
        most = out * _ROOM / v
        most[given] = most_given
        return np.asarray(np.minimum(most, ever))

    def worth(v: Floats) -> float:
        return dual.worth(v, caps(v), 0.0)

    def hot(v: Floats, limit: Floats) -> Ints:
        edges, gain = dual.paying(v, limit)
        busy = edges[np.argsort(-gain)[:_HOT]]
        return np.unique(np.concatenate((t.i[busy], t.j[busy], given)))

    sold = np.isin(np.arange(len(t.nodes)), given)
    inner = ~sold & ~np.isin(np.arange(len(t.nodes)), fixed)
    starts = [placed(float(s * m)) for s in (1.0, out / total) for m in _COARSE]
    if plain:
        best = min(starts, key=worth)
        return {node: float(best[t.number[node]]) if node in t.number else _NOTHING for node in nodes}
    # Small orders pay for whole legs: then the value of a node is what the whole flow nets on its best way on.
    for v in dual.onward(placed(1.0), out, (2, 3, 4, 6)):
        v[given] = pars * float(np.max(v[given] / pars))
        starts.append(v)
        w = v.copy()
        w[given] = pars * (max(net, 1.0) / amount)
        starts.append(w)
    if begin is not None:
        before_it = np.array([begin.get(node, 0.0) for node in t.nodes])
        starts.append(np.where(before_it > 0, before_it, starts[0]))
    if far is not None:
        # What lies behind a mispriced pool is worth less by as much as it is mispriced.
        for share in _BEHIND:
            w = min(starts, key=worth).copy()
            w[far] *= share
            starts.append(w)
    blocks = _blocks(dual, market.blocks, inner | sold) if together else []
    # What transfers tie moves as one: to one of them alone every step is a loss.
    tied = [part for group in tied_of(t) if len(part := group[(inner | sold)[group]]) > 1]
    found = [worth(start) for start in starts]
    best, least = starts[int(np.argmin(found))], min(found)
    v = best
    first, free = True, not any(gas_rate.values())
    for reach, width, taus in zip(
        _WIDTHS,
        _FINE,
        ((-0.3, -0.1), (-0.1, -0.03), (-0.03, -0.01), (-0.01, -0.002), (-0.01, -0.002)),
        strict=True,
    ):
        if not in_time() or least - net <= enough:
            break
        if free and reach * net > _FAR_OFF * (least - net):
            # Steps this long lead past anything that is still to be gained.
            continue
        # Most of the market moves as one: against what is bought, and against what is sold.
        for moves in (inner, inner | sold) if together else ():
            scaled = [np.where(moves, v * step, v) for step in (*width, *_CLUSTER[:1])]
            v = min(scaled, key=worth)
        # What deep pools tie together does too, where more than single legs' gas is at stake.
        fine = (least - net) > _LEGS * q
        if blocks and fine:
            v = dual.settle(v, caps(v), 0.0, blocks, width)
        if far is not None:
            shifted = [np.where(np.isin(np.arange(len(v)), far), v * step, v) for step in width]
            v = min(shifted, key=worth)
        limit = caps(v)
        if first:
            first = False
            v = dual.settle(v, limit, 0.0, (*tied, *singles(hot(v, limit))), _CLUSTER)
            if brief and (now := worth(v)) - net < net / _NEAR:
                best = v if now < least else best
                break
        v = dual.solve(v, limit, tuple(tau * q for tau in taus), in_time)
        v = dual.settle(v, limit, 0.0, (*tied, *singles(hot(v, limit))), width)
        now = worth(v)
        before = least
        if now < least:
            best, least = v, now
        else:
            v = best
        if least - net <= enough or (
            (reach * net < least - net if free or fine else reach < _WIDTHS[0])
            and before - least < _LITTLE * (least - net)
        ):
            break
    return {node: float(best[t.number[node]]) if node in t.number else _NOTHING for node in nodes}


__all__ = ["MarketPrices", "agreed", "order_prices"]
