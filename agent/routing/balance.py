"""What a few given legs are worth together at best: prices of the assets between them at which every leg's best sale fits the next, by Newton steps.

    F(v) = amount * v[sold] + sum over legs of max(0, gain of the leg's best sale at v),   v[bought] = 1

Its least value bounds what the legs can give, and the sales at its prices give it. So at these prices a leg's gain bounds from below what the plan loses without it,
and that of a leg which is not there from above what it would win with it: a search needs to look only where gas decides otherwise.
Floats: amounts found here rank supports of plans, `agent.routing.plan` makes them real. Source: Angeris, Evans, Chitra, Boyd, "Optimal routing
for constant function market makers" (2022). In plain Python here, and compiled to the same bits in `kernels/prices.py`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, inf, sqrt
from typing import TYPE_CHECKING

from agent.domain.instruments import AssetId
from agent.routing.graph import Hop

if TYPE_CHECKING:
    from agent.routing.tables import Row

_STEPS, _TRIES, _DAMP, _LEAST_DAMP, _MOST_DAMP = 60, 5, 1e-4, 1e-9, 1e6
_CLOSE = 1e-9
_MOST = 0.7
"""The furthest the logarithm of a price goes in one step."""
_STEEP, _NOISE, _FLAT = 0.3, 1e-8, 1e-14
"""A step that ends where the way still leads down by more than that share of how it began goes on; below that share of the value its sum says little."""

CONSTANTS = (_STEPS, _TRIES, _DAMP, _LEAST_DAMP, _MOST_DAMP, _CLOSE, _MOST, _STEEP, _NOISE, _FLAT)
"""In the order in which the compiled steps take them."""


class Leg:
    """One hop's curve: knots by falling square root of the price. `gas` is that of its use, `tick` that of a knot passed."""

    __slots__ = ("falling", "gas", "hop", "i", "ins", "j", "keep", "lin", "lout", "outs", "s", "spot", "tick")

    def __init__(self, row: Row) -> None:
        self.hop, self.keep = row.hop, row.keep_in
        self.i, self.j = row.hop.asset_in, row.hop.asset_out
        self.s, self.ins, self.outs, self.lin, self.lout = row.s, row.ins, row.outs, row.lin, row.lout
        self.falling = [-s for s in row.s]
        self.spot = row.s[0] ** 2 * row.keep_in
        self.gas, self.tick = row.gas, row.per_tick

    def best(self, vi: float, vj: float) -> tuple[float, float, float]:
        """What the best sale takes, gross, and gives, and how fast its value grows with the logarithm of a price."""
        if vi >= self.spot * vj:
            return 0.0, 0.0, 0.0
        want = sqrt(vi / (vj * self.keep))
        k = max(bisect_left(self.falling, -want) - 1, 0)
        if k == len(self.s) - 1:
            return self.ins[k] / self.keep, self.outs[k], 0.0
        lin = self.lin[k]
        net = self.ins[k] + lin * (1 / want - 1 / self.s[k])
        return net / self.keep, self.outs[k] + self.lout[k] * (self.s[k] - want), 0.5 * vi * lin / (self.keep * want)  # fmt: skip

    def gain(self, vi: float, vj: float) -> float:
        """What the best sale is worth beyond what it takes, gas left out."""
        paid, got, _ = self.best(vi, vj)
        return got * vj - paid * vi

    def given(self, paid: float) -> tuple[float, int]:
        """What a sale of `paid` gives, and how many knots it passes."""
        net = paid * self.keep
        k = max(bisect_right(self.ins, net) - 1, 0)
        if k == len(self.s) - 1 or self.lin[k] <= 0:
            return self.outs[k], k
        stop = 1 / (1 / self.s[k] + (net - self.ins[k]) / self.lin[k])
        return self.outs[k] + self.lout[k] * (self.s[k] - stop), k


@dataclass(frozen=True)
class Balanced:
    """`net` is what the legs are worth, gas off, `flows` what each leg that is used is sold, raw, `prices` those of the assets, raw units of the bought one."""

    net: float
    flows: Mapping[Hop, float]
    prices: Mapping[AssetId, float]


def balanced(
    legs: Sequence[Leg], order: Sequence[AssetId], sold: AssetId, bought: AssetId, amount: float, start: Mapping[AssetId, float], rate: float
) -> Balanced:  # fmt: skip
    """The best sale of `amount` raw over `legs`, whose assets stand in `order`, from prices `start` on; a unit of gas costs `rate` raw units of `bought`.
    `net` is minus infinity where none was found."""
    prices = _lowest(legs, order, sold, bought, amount, start)
    onward: dict[AssetId, list[tuple[Leg, float]]] = {asset: [] for asset in order}
    for leg in legs:
        paid, _, _ = leg.best(prices[leg.i], prices[leg.j])
        if paid > 0:
            onward[leg.i].append((leg, paid))
    held, flows, gas = dict.fromkeys(order, 0.0), dict[Hop, float](), 0
    held[sold] = amount
    for asset in order:
        if asset == bought or not held[asset]:
            continue
        # Loops, not `sum`, here and below: from Python 3.12 on that rounds otherwise, and the compiled sums must be these.
        total = 0.0
        for _, paid in onward[asset]:
            total += paid
        if not total:
            return Balanced(-inf, {}, prices)
        for leg, paid in onward[asset]:
            part = held[asset] * paid / total
            if part < 1:
                continue
            got, ticks = leg.given(part)
            flows[leg.hop] = part
            held[leg.j] += got
            gas += leg.gas + leg.tick * ticks
    return Balanced(held[bought] - gas * rate, flows, prices)


def _lowest(
    legs: Sequence[Leg], order: Sequence[AssetId], sold: AssetId, bought: AssetId, amount: float, start: Mapping[AssetId, float]
) -> dict[AssetId, float]:  # fmt: skip
    """Prices where F is least."""
    number = {asset: k for k, asset in enumerate(asset for asset in order if asset != bought)}
    n, free = len(number), list(number)
    ends = [(leg, number.get(leg.i, n), number.get(leg.j, n)) for leg in legs]
    first = number[sold]
    v = [start[asset] for asset in free] + [1.0]

    def measured(at: Sequence[float]) -> tuple[float, list[float], list[list[float]]]:
        total = amount * at[first]
        grad, bends = [0.0] * (n + 1), [[0.0] * (n + 1) for _ in range(n + 1)]
        grad[first] = total
        for leg, i, j in ends:
            vi, vj = at[i], at[j]
            if vi >= leg.spot * vj:
                continue
            paid, got, bend = leg.best(vi, vj)
            total += vj * got - vi * paid
            grad[i] -= vi * paid
            grad[j] += vj * got
            bends[i][i] += bend
            bends[j][j] += bend
            bends[i][j] -= bend
            bends[j][i] -= bend
        return total, grad[:n], bends

    now, grad, bends = measured(v)
    damp = _DAMP
    for _ in range(_STEPS):
        worst = max(map(abs, grad))
        if worst <= _CLOSE * now or damp > _MOST_DAMP:
            break
        move = _step(bends, grad, damp, _FLAT * now)
        slope, part, done = _dot(grad, move), 1.0, False
        low, high, at_low, at_high = 0.0, 1.0, slope, 0.0
        for _ in range(_TRIES):
            trial = [price * exp(part * m) for price, m in zip(v, move, strict=False)] + [1.0]
            after = measured(trial)
            there = _dot(after[1], move)
            done = after[0] < now or (-slope < _NOISE * now and max(map(abs, after[1])) < worst)
            if done and (there > _STEEP * slope or part == 1):
                break
            # A pool at rest began to trade on the way: where is sought by the slopes at both ends.
            if there < 0:
                low, at_low, at_high = part, there, at_high / 2 if low else at_high
            else:
                high, at_high, at_low = part, there, at_low / 2 if high < 1 else at_low
            share = at_low / (at_low - at_high) if at_high > 0 else 0.5
            part = low + (high - low) * min(max(share, 0.05), 0.95)
        if done:
            v, (now, grad, bends), damp = trial, after, max(damp / 10, _LEAST_DAMP)
        else:
            damp *= 100
    return {**dict(zip(free, v, strict=False)), bought: 1.0}


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    """As far as the shorter goes."""
    total = 0.0
    for x, y in zip(one, other, strict=False):
        total += x * y
    return total


def _step(bends: Sequence[Sequence[float]], grad: Sequence[float], damp: float, least: float) -> list[float]:
    """The damped Newton step, by Cholesky's factors; none of its parts longer than a price may go at once."""
    n = len(grad)
    lower: list[list[float]] = []
    half: list[float] = []
    for a in range(n):
        row = list[float]()
        for b in range(a):
            other = lower[b]
            row.append((bends[a][b] - _dot(row, other)) / other[b])
        own = bends[a][a] + damp * (bends[a][a] + abs(grad[a])) + least
        row.append(sqrt(max(own - _dot(row, row), least, 1e-300)))
        half.append((-grad[a] - _dot(row, half)) / row[a])
        lower.append(row)
    move = [0.0] * n
    for a in range(n - 1, -1, -1):
        rest = _dot([lower[c][a] for c in range(a + 1, n)], move[a + 1 :])
        move[a] = (half[a] - rest) / lower[a][a]
    return [min(max(m, -_MOST), _MOST) for m in move]


__all__ = ["Balanced", "Leg", "balanced"]
