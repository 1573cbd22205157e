"""The prices of a few legs compiled: `balanced` of `agent.routing.balance`, step by step in the same order."""

from __future__ import annotations

from math import exp, sqrt
from typing import NamedTuple

import numpy as np

from agent.routing.kernels.jit import compiled, inlined
from agent.routing.kernels.legs import Legs, best, given
from agent.routing.tables import Floats, Ints


class Steps(NamedTuple):
    """The constants of `agent.routing.balance`, by their names there."""

    steps: int
    tries: int
    damp: float
    least_damp: float
    most_damp: float
    close: float
    most: float
    steep: float
    noise: float
    flat: float


@inlined
def _measured(legs: Legs, ends: Ints, at: Floats, amount: float, first: int, grad: Floats, bends: Floats) -> float:  # fmt: skip
    total = amount * at[first]
    grad[:] = 0.0
    bends[:] = 0.0
    grad[first] = total
    for n in range(len(ends)):
        e, i, j = ends[n, 0], ends[n, 1], ends[n, 2]
        vi, vj = at[i], at[j]
        if vi >= legs.spot[e] * vj:
            continue
        paid, got, bend = best(legs, e, vi, vj)
        total += vj * got - vi * paid
        grad[i] -= vi * paid
        grad[j] += vj * got
        bends[i, i] += bend
        bends[j, j] += bend
        bends[i, j] -= bend
        bends[j, i] -= bend
    return float(total)


@inlined
def _worst(grad: Floats, n: int) -> float:
    most = 0.0
    for a in range(n):
        most = max(most, abs(grad[a]))
    return most


@inlined
def _slope(grad: Floats, move: Floats) -> float:
    total = 0.0
    for a in range(len(move)):
        total += grad[a] * move[a]
    return total


@inlined
def _step(bends: Floats, grad: Floats, n: int, damp: float, least: float, most: float, lower: Floats, half: Floats, move: Floats) -> None:  # fmt: skip
    for a in range(n):
        for b in range(a):
            done = 0.0
            for c in range(b):
                done += lower[a, c] * lower[b, c]
            lower[a, b] = (bends[a, b] - done) / lower[b, b]
        own = bends[a, a] + damp * (bends[a, a] + abs(grad[a])) + least
        squares = before = 0.0
        for c in range(a):
            squares += lower[a, c] * lower[a, c]
        lower[a, a] = sqrt(max(own - squares, least, 1e-300))
        for c in range(a):
            before += lower[a, c] * half[c]
        half[a] = (-grad[a] - before) / lower[a, a]
    for a in range(n - 1, -1, -1):
        rest = 0.0
        for c in range(a + 1, n):
            rest += lower[c, a] * move[c]
        move[a] = (half[a] - rest) / lower[a, a]
    for a in range(n):
        move[a] = min(max(move[a], -most), most)


@compiled
def lowest(legs: Legs, ends: Ints, start: Floats, amount: float, first: int, by: Steps) -> Floats:
    """`_lowest`: `ends` are hop, what it sells and what it buys; the last of the prices, which is 1, stands."""
    n = len(start) - 1
    v, trial = start.copy(), start.copy()
    grad, bends, grad_then, bends_then = np.zeros(n + 1), np.zeros((n + 1, n + 1)), np.zeros(n + 1), np.zeros((n + 1, n + 1))  # fmt: skip
    lower, half, move = np.zeros((n, n)), np.zeros(n), np.zeros(n)
    now = _measured(legs, ends, v, amount, first, grad, bends)
    damp = by.damp
    for _ in range(by.steps):
        worst = _worst(grad, n)
        if worst <= by.close * now or damp > by.most_damp:
            break
        _step(bends, grad, n, damp, by.flat * now, by.most, lower, half, move)
        slope, part, done, after = _slope(grad, move), 1.0, False, now
        low, high, at_low, at_high = 0.0, 1.0, slope, 0.0
        for _ in range(by.tries):
            for a in range(n):
                trial[a] = v[a] * exp(part * move[a])
            after = _measured(legs, ends, trial, amount, first, grad_then, bends_then)
            there = _slope(grad_then, move)
            done = after < now or (-slope < by.noise * now and _worst(grad_then, n) < worst)
            if done and (there > by.steep * slope or part == 1):
                break
            if there < 0:
                at_high = at_high / 2 if low != 0 else at_high
                low, at_low = part, there
            else:
                at_low = at_low / 2 if high < 1 else at_low
                high, at_high = part, there
            share = at_low / (at_low - at_high) if at_high > 0 else 0.5
            part = low + (high - low) * min(max(share, 0.05), 0.95)
        if done:
            v[:n] = trial[:n]
            now = after
            grad, grad_then = grad_then, grad
            bends, bends_then = bends_then, bends
            damp = max(damp / 10, by.least_damp)
        else:
            damp *= 100
    return v


class Made(NamedTuple):
    """Prices, what each leg is sold (0: it is not used) and what they are worth, gas off: minus infinity where nothing was found."""

    prices: Floats
    flows: Floats
    net: float


@compiled
def balanced(legs: Legs, ends: Ints, start: Floats, amount: float, rate: float, first: int, order: Ints, by: Steps) -> Made:  # fmt: skip
    """`balanced`: `order` are the assets, by their numbers in `ends`, as they are sold; the last number is what is bought."""
    prices = lowest(legs, ends, start, amount, first, by)
    bought, count = len(start) - 1, len(ends)
    paid, flows, held = np.zeros(count), np.zeros(count), np.zeros(len(start))
    for n in range(count):
        paid[n] = best(legs, ends[n, 0], prices[ends[n, 1]], prices[ends[n, 2]])[0]
    held[first] = amount
    gas = 0.0
    for at in range(len(order)):
        asset = order[at]
        if asset == bought or held[asset] == 0:
            continue
        total = 0.0
        for n in range(count):
            if ends[n, 1] == asset and paid[n] > 0:
                total += paid[n]
        if total == 0:
            return Made(prices, np.zeros(count), -np.inf)
        for n in range(count):
            if ends[n, 1] != asset or not paid[n] > 0:
                continue
            part = held[asset] * paid[n] / total
            if part < 1:
                continue
            e = ends[n, 0]
            got, ticks = given(legs, e, part)
            flows[n] = part
            held[ends[n, 2]] += got
            gas += legs.gas[e] + legs.tick[e] * ticks
    return Made(prices, flows, held[bought] - gas * rate)


__all__ = ["Made", "Steps", "balanced", "lowest"]
