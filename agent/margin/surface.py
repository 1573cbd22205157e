"""Where a book of accounts is liquidated: along a shock, over two assets, at its most likely point. Pure.

Every model answers one question (its factor once prices are moved), in integers. Floats only find places: a place is told once the
integers say that it is liquidated there and not a millionth of the shock before it, and whom integers need not look at, since no
rounding brings it there (`screen`). An account that cannot be computed is UNKNOWN at every place.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from agent.margin.model import AT_RISK_1E18, HEALTHY_1E18, MarginModel, State, state_of
from agent.margin.screen import Screening, screened

STEPS = 10**6
"""A shock is told in millionths of itself."""
MOST = 5 * STEPS
"""As far as is looked: five times the shock."""
SCAN = 64
EVERYWHERE = (True,) * (SCAN + 1)
NEVER = 10**30
FARTHEST = 12.0
"""Standard deviations beyond which nothing is looked for."""


@dataclass(frozen=True, slots=True)
class Member:
    """One account of a book; `account` None where it is UNKNOWN, `why` then says so."""

    name: str
    model: MarginModel | None
    account: Any
    timestamp: int
    why: str = ""

    def factor(self, moves: Mapping[str, Fraction]) -> int | None:
        assert self.model is not None
        return self.model.at_moves(self.account, moves, self.timestamp)

    def state(self, moves: Mapping[str, Fraction]) -> State:
        return State.UNKNOWN if self.model is None or self.account is None else state_of(self.factor(moves))

    def bad(self, moves: Mapping[str, Fraction]) -> bool:
        factor = self.factor(moves)
        return factor is not None and factor < HEALTHY_1E18


def along(shock: Mapping[str, Fraction], millionths: int) -> dict[str, Fraction]:
    """The moves at that part of a shock (−20 % is Fraction(-1, 5)); a price never falls below zero."""
    part = Fraction(millionths, STEPS)
    return {asset: max(1 + change * part, Fraction(0)) for asset, change in shock.items()}


def first_part(
    member: Member, shock: Mapping[str, Fraction], most: int = MOST, near: Sequence[bool] = EVERYWHERE
) -> int | None:
    """The first part of the shock, in millionths up to `most`, at which the account is liquidated; None where none is.

    `near` says of now and of each step of the scan whether it may be liquidated there: False is sure, and not computed.

    Both sides may move, so the way is scanned in even steps before it is halved: what lies wholly between two steps of a
    64th of the way may be missed, where an account recovers again within it.
    """
    if near[0] and member.bad(along(shock, 0)):
        return 0
    good = 0
    for n in range(1, SCAN + 1):
        found = most * n // SCAN
        if near[n] and member.bad(along(shock, found)):
            while found - good > 1:
                middle = (good + found) // 2
                good, found = (good, middle) if member.bad(along(shock, middle)) else (middle, found)
            return found
        good = found
    return None


@dataclass(frozen=True, slots=True)
class Fall:
    """An account's place in the order of falling: `part` of the shock in millionths, None where it stands throughout."""

    name: str
    state: State
    part: int | None
    drags: tuple[str, ...] = ()


def order(
    members: Sequence[Member],
    shock: Mapping[str, Fraction],
    within: int = STEPS // 10,
    screen: Screening = screened,
) -> tuple[Fall, ...]:
    """What falls first along a shock. `drags` are those that follow within a tenth of the shock of an account's own fall.

    UNKNOWN comes before all: it may have fallen already. `screen` says at which places integers have to look (`whole`: at all).
    """
    look = screen([(m.model, m.account, m.timestamp) for m in members])
    near = list(
        zip(*(look(along(shock, MOST * n // SCAN), HEALTHY_1E18) for n in range(SCAN + 1)), strict=True)
    )
    at_risk = look({}, AT_RISK_1E18)
    falls = []
    for n, m in enumerate(members):
        if m.model is None or m.account is None:
            falls.append(Fall(m.name, State.UNKNOWN, None))
        else:
            state = m.state({}) if at_risk[n] else State.SAFE
            falls.append(Fall(m.name, state, first_part(m, shock, near=near[n])))
    falls.sort(key=lambda f: (f.state is not State.UNKNOWN, NEVER if f.part is None else f.part, f.name))
    parts = [NEVER if f.part is None else f.part for f in falls if f.state is not State.UNKNOWN]
    first = len(falls) - len(parts)

    def drags(n: int, part: int | None) -> tuple[str, ...]:
        if part is None:
            return ()
        there = range(first + bisect_left(parts, part), first + bisect_right(parts, part + within))
        return tuple(falls[o].name for o in there if o != n)

    return tuple(replace(f, drags=drags(n, f.part)) for n, f in enumerate(falls))


@dataclass(frozen=True, slots=True)
class LikelyPoint:
    """The least unlikely way to be liquidated: `moves` of prices there, `sigmas` away over the horizon.

    `at_the_end` is the chance of standing beyond it when the horizon ends, `within` a bound on touching it before (twice that, by
    reflection). Estimates, by a lognormal world without drift.
    """

    moves: Mapping[str, Fraction]
    sigmas: float
    at_the_end: float
    within: float


def likely_point(
    member: Member,
    vols: Mapping[str, float],
    correlations: Mapping[tuple[str, str], float],
    days: float,
    expand: Callable[[dict[str, Fraction]], Mapping[str, Fraction]] = dict,
) -> LikelyPoint | None:
    """First-order reliability: the point of the surface nearest to now in standard deviations; None where none lies within 12.

    `vols` are yearly, of every asset that may move; a pair without a correlation counts as 0. Where they are of symbols, `expand` gives
    what a symbol's moves do to assets; the point is told in the symbols' own moves.
    """
    assets = sorted(vols)
    if not assets or member.bad({}):
        return None
    count = len(assets)
    spread = np.eye(count)
    for i, a in enumerate(assets):
        for j, b in enumerate(assets):
            if i != j:
                spread[i, j] = correlations.get((a, b), correlations.get((b, a), 0.0))
    scale = np.array([vols[a] for a in assets]) * math.sqrt(days / 365.0)
    # A matrix of guessed correlations need not be positive definite: what is missing is put on its diagonal.
    lowest = float(np.linalg.eigvalsh(spread)[0])
    root = np.linalg.cholesky(spread + np.eye(count) * max(0.0, 1e-9 - lowest))

    def moves(z: np.ndarray[Any, Any]) -> dict[str, Fraction]:
        logs = np.clip(scale * (root @ z), -20.0, 20.0)
        return {
            a: Fraction(math.exp(float(x))).limit_denominator(10**12)
            for a, x in zip(assets, logs, strict=True)
        }

    def gap(z: np.ndarray[Any, Any]) -> float:
        factor = member.factor(expand(moves(z)))
        return 50.0 if factor is None else math.log(max(factor, 1) / HEALTHY_1E18)

    def downhill(z: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
        h = 1e-3
        slope = np.array([(gap(z + h * e) - gap(z - h * e)) / (2 * h) for e in np.eye(count)])
        size = float(np.linalg.norm(slope))
        return -slope / size if size > 1e-9 else None

    def shoot(way: np.ndarray[Any, Any]) -> float | None:
        """How far along a direction the integers say that it is liquidated first."""
        good, found = 0.0, 0.125
        while not member.bad(expand(moves(way * found))):
            good, found = found, found + 0.125
            if found > FARTHEST:
                return None
        for _ in range(50):
            middle = (good + found) / 2.0
            good, found = (good, middle) if member.bad(expand(moves(way * middle))) else (middle, found)
        return found

    # From the surface's own slope where a ray meets it to the next ray: the nearest point is where the two agree.
    way = downhill(np.zeros(count))
    best: tuple[float, np.ndarray[Any, Any]] | None = None
    for _ in range(12):
        far = shoot(way) if way is not None else None
        if way is None or far is None:
            break
        if best is None or far < best[0]:
            best = (far, way)
        turned = downhill(way * far)
        if turned is None or float(np.linalg.norm(turned - way)) < 1e-6:
            break
        way = (way + turned) / float(np.linalg.norm(way + turned))
    if best is None:
        return None
    found, way = best
    tail = math.erfc(found / math.sqrt(2.0)) / 2.0
    return LikelyPoint(moves(way * found), found, tail, min(2.0 * tail, 1.0))


def grid(
    members: Sequence[Member],
    across: Sequence[str],
    up: Sequence[str],
    levels: Sequence[Fraction],
    screen: Screening = screened,
) -> list[list[tuple[State, str]]]:
    """The worst state, and whose, at each pair of changes of two groups of assets; rows go with `up` (one where that is none), both
    in the order of `levels`. `screen` as of `order`.
    """
    rank = {State.UNKNOWN: 3, State.LIQUIDATABLE: 2, State.AT_RISK: 1, State.SAFE: 0}
    look = screen([(m.model, m.account, m.timestamp) for m in members])
    rows = []
    for vertical in levels if up else [Fraction(0)]:
        row = []
        for level in levels:
            moves = {a: 1 + level for a in across} | {a: 1 + vertical for a in up}
            near = look(moves, AT_RISK_1E18)
            states = [
                (m.state(moves) if may else State.SAFE, m.name) for m, may in zip(members, near, strict=True)
            ]
            row.append(max(states, key=lambda s: rank[s[0]], default=(State.SAFE, "")))
        rows.append(row)
    return rows
