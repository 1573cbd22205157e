"""Bounds of plans with short chains, by one set of prices after another, and divided into cases while they are wide: branch and bound, the worst
case first.

The linear program of `planes` says what it would do that no plan can: pay for a part of a leg, or sell an asset at two places. The question that
decides most of it is asked next, and both answers get prices of their own over the sales and amounts that are left to them. The worst case is
the bound. Which question is asked is a guess; what each case proves is computed in integers by the checker's own code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np

from agent.domain.errors import Reject
from agent.domain.instruments import AssetId
from agent.domain.routes import GasMove
from agent.routing.certificate.bound import Known, Proof
from agent.routing.certificate.cases import (
    DEEPEST,
    MOST_CASES,
    MOST_WORK,
    By,
    Standing,
    Traded,
    cases,
    weight,
)
from agent.routing.certificate.chains import FURTHER, Chains
from agent.routing.certificate.forcing import forced
from agent.routing.certificate.units import ONE
from agent.routing.chained import ChainSearch
from agent.routing.moves import Move
from agent.routing.planes import Load, Planes
from agent.routing.tables import Floats

_FAR, _NEARER, _PATIENCE = 0.3, 0.1, 2
"""How far prices of places move at first, as logarithms, and over what earlier ones leave; so many times in turn without
gain end the search."""
_SETS, _WORTH = 2, 20
"""Sets of prices that a case of several gets, and what part of the gap another one has to gain."""
_WORK, _MORE = 16_000, 100_000
"""Cases are looked at while the sales left to each (`weight`) come to no more than that in all, and than as much of the second figure as the gap was
closed by since."""
_LARGE = 2_000
"""Cases of that much work get no second set of prices where the first proves nothing."""
_FEW = 0.02
"""Less than that part of a leg, or all but that, is no part."""
_SIDES = tuple((level, far) for far in (False, True) for level in range(1, 9))


class Proved(NamedTuple):
    """Prices by place, gas moved beside them, and what they prove."""

    prices: Mapping[AssetId, str]
    moves: tuple[GasMove, ...]
    bound: int


class Case:
    """A bound over what is left of plans in one case: `sets` are prices it was found by, each with what it proves, and `split` what divides it further.

    `known` is what was proved before (None: nothing), `bound` the least proved of all that are in the case."""

    def __init__(
        self, of: Chains, legs: ChainSearch, logs: Floats, known: Known | None, bound: int | None = None
    ) -> None:
        self.of, self.legs, self.logs, self.known, self.bound = of, legs, logs, known, bound
        self.sets: list[Proved] = []
        self.planes: Planes | None = None
        self.split: tuple[By, Case, Case] | None = None
        self.depth = 0

    @property
    def worst(self) -> int:
        """The bound: of the cases in it, where there are any."""
        own = self.bound or 0
        return own if self.split is None else min(own, max(case.worst for case in self.split[1:]))


class Terms(NamedTuple):
    """What every case is looked at with: `written` writes prices of places, `tight` is how close, as one part in so many, is close enough."""

    net: int
    written: Callable[[Mapping[AssetId, float], Chains], Mapping[AssetId, str]]
    tight: int
    in_time: Callable[[], bool]
    moves: Callable[[Sequence[Move]], tuple[GasMove, ...]]

    def wide(self, bound: int | None) -> bool:
        return bound is None or (self.in_time() and (bound - self.net) * self.tight > bound)


def priced(case: Case, terms: Terms, most: int, patience: int = _PATIENCE) -> Case:
    """Finds up to `most` sets of prices for a case, from its `logs` on, each over what the one before leaves."""
    legs, of, idle = case.legs, case.of, 0
    net = float(max(terms.net, 0)) + of.paid / ONE
    caps = of.caps if case.known is None else case.known.caps
    reach = _FAR if case.known is None else _NEARER
    for _ in range(most):
        if not terms.wide(case.bound) or idle >= patience:
            break
        legs.keep(of.sales if case.known is None else case.known.sales)
        case.planes = Planes(legs, net, terms.in_time)
        case.logs = case.planes.lowest(legs.falling(case.logs), caps, reach, net / terms.tight)
        values = {name: float(np.exp(case.logs[k])) for k, name in enumerate(legs.names)}
        prices = terms.written(values, of)
        proof, moves = _forced(of, prices, terms.net, case.known, terms.moves(case.planes.moved()))
        before, found = case.bound, proof.bound_raw
        # What rules out much may tighten the next bound though it is no tighter itself.
        better = before is None or (before - found) * _WORTH >= before - terms.net
        idle = 0 if better else idle + 1
        case.bound = found if before is None else min(before, found)
        case.sets.append(Proved(prices, moves, found))
        case.known = proof.known
        caps, reach = case.known.caps, _NEARER
    return case


def _forced(
    of: Chains, prices: Mapping[AssetId, str], net: int, known: Known | None, moves: tuple[GasMove, ...]
) -> tuple[Proof, tuple[GasMove, ...]]:
    """What the prices prove with gas moved, or without where that takes more from a leg than it has."""
    try:
        return forced(of, prices, net, known, moves), moves
    except Reject:
        if not moves:
            raise
    return forced(of, prices, net, known, ()), ()


def divided(root: Case, terms: Terms, most: int = MOST_CASES) -> Case:
    """Divides a case that was looked at, while its bound is wide."""
    waiting: list[tuple[int, int, Case]] = [(-(root.bound or 0), 0, root)]
    count = work = told = 0
    first = (root.bound or 0) - terms.net
    while count + 2 <= most and terms.wide(-waiting[0][0]):
        if work > _WORK + _MORE * (1 - (-waiting[0][0] - terms.net) / first):
            break
        _, _, case = heappop(waiting)
        # No part is more work than the whole, of which there may be another set; the checker looks at no more in all.
        if case.depth == DEEPEST or told + (2 * _SETS + 1) * weight(case.of) > MOST_WORK:
            break
        by = _question(case, terms)
        if by is None and len(case.sets) < FURTHER:
            # What the program did in part may have been ruled out since.
            before = len(case.sets)
            by = _question(priced(case, terms, 1), terms)
            told += weight(case.of) * (len(case.sets) - before)
        if by is None or case.known is None:
            break
        made: list[Case] = []
        for of in cases(case.of, case.known, by):
            legs, held = case.legs.case(of)
            known = Known(tuple(of.sales), case.known.caps)
            one = priced(
                Case(of, legs, case.logs[held], known, case.bound),
                terms,
                _SETS,
                _PATIENCE if weight(of) < _LARGE else 1,
            )
            count, work, told = count + 1, work + (done := weight(of) * len(one.sets)), told + done
            heappush(waiting, (-(one.bound or 0), count, one))
            one.depth = case.depth + 1
            made.append(one)
        case.split = by, made[0], made[1]
    return root


def _question(case: Case, terms: Terms) -> By | None:
    """What to ask next: of all that the program does in part the one thing that weighs most."""
    if case.planes is None or case.known is None or case.bound is None:
        return None
    loads = case.planes.loads()
    gap = (case.bound - terms.net) / max(terms.net, 1)
    most, best, parts = 0.0, None, dict[int, float]()
    for load in loads:
        parts[load.group] = parts.get(load.group, 0.0) + load.part
    for group, part in parts.items():
        pool, pair, gas = case.planes.told(group)
        weight = gas * min(part, 1 - part)
        if _FEW < part < 1 - _FEW and weight > most:
            by = Traded(pool, pair)
            if any(by.holds(sale) and sale.edge.gas for sale in case.known.sales):
                most, best = weight, by
    found: By | None = best
    for asset, flows in _standing(case, loads).items():
        names = case.of.names[asset]
        for at in _sides(flows):
            there = sum(flow for spot, flow in flows.items() if spot in at)
            weight = min(there, sum(flows.values()) - there, 1.0) * gap
            inside = sum(case.of.places[name][1:] in at for name in names)
            if weight > most and 0 < inside < len(names):
                most, found = weight, Standing(asset, at)
    return found


def _standing(case: Case, loads: list[Load]) -> dict[AssetId, dict[tuple[int, bool], float]]:
    """How much of every asset is sold at each of its places, as a part of the net."""
    found: dict[AssetId, dict[tuple[int, bool], float]] = {}
    for load in loads:
        if load.sold >= 0:
            asset, level, far = case.of.places[case.legs.names[load.sold]]
            if asset not in case.of.sources:
                spots = found.setdefault(asset, {})
                spots[level, far] = spots.get((level, far), 0.0) + load.flow
    return {asset: spots for asset, spots in found.items() if len(spots) > 1}


def _sides(flows: Mapping[tuple[int, bool], float]) -> list[tuple[tuple[int, bool], ...]]:
    """Divisions of places in two: by the side of the hub, and by the level."""
    levels = sorted({level for level, _ in flows})
    found = [tuple(spot for spot in _SIDES if spot[0] <= most) for most in levels[:-1]]
    if len({far for _, far in flows}) > 1:
        found.append(tuple(spot for spot in _SIDES if spot[1]))
    return found


__all__ = ["Case", "Proved", "Terms", "divided", "priced"]
