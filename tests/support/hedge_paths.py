"""A short call hedged hour by hour along random prices, by the clock and by the band: cost of hedging and what risk it left.

All paths step together in arrays; the band is the product's, tabulated in the one number it depends on (see `agent.hedging.band`).
One call on one unit at 100 USD: 30 days, volatility 60 % a year, no drift, no interest.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from agent.hedging.band import edges

Array = NDArray[np.float64]
START, HOURS, VOL, COST = 100.0, 720, 0.6, 0.0005
YEAR_H = 365 * 24
STDS = (0.35, 0.45, 0.55)
STDS_WITH_GAS = (0.6, 0.75, 0.95)
GAS = 0.01
"""USD a trade: what 3 USD are to ten coins at 3,000."""
CLOCKS = (1, 2, 3, 4, 6, 8, 12, 24)
AVERSIONS = (0.03, 0.08, 0.2, 0.5, 1.3, 3.5, 9.0, 24.0)


@dataclass(frozen=True)
class Outcome:
    """Of one rule: the standard deviation of its P&L, its mean cost and number of trades for each path."""

    std: float
    cost: float
    trades: float


@dataclass(frozen=True)
class Market:
    """Prices, deltas and gammas of every path (rows) at every hour (columns)."""

    px: Array
    delta: Array
    gamma: Array


def market(paths: int, seed: int) -> Market:
    draw = np.random.default_rng(seed)
    step = VOL / YEAR_H**0.5
    moves = draw.standard_normal((paths, HOURS)) * step - step**2 / 2
    px = START * np.exp(np.concatenate([np.zeros((paths, 1)), np.cumsum(moves, axis=1)], axis=1))
    left = np.maximum(HOURS - np.arange(HOURS + 1), 1e-9) / YEAR_H
    spread = VOL * np.sqrt(left)
    d1 = np.log(px / START) / spread + spread / 2
    return Market(px, normal_cdf(d1), np.exp(-(d1**2) / 2) / np.sqrt(2 * np.pi) / (px * spread))


def normal_cdf(x: Array) -> Array:
    """Abramowitz and Stegun 26.2.17, within 7.5e-8."""
    t = 1 / (1 + 0.2316419 * np.abs(x))
    series = t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
    upper = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi) * series
    return np.asarray(np.where(x > 0, 1 - upper, upper), dtype=np.float64)


Rule = Callable[[int, Array], Array]
"""(hour, what is held) → what is to be held."""


def hedged(world: Market, rule: Rule, gas: float) -> Outcome:
    """Follows a rule to expiry. `gas` in USD for each trade, besides COST of what is traded."""
    paths = world.px.shape[0]
    held, money, cost = np.zeros(paths), np.zeros(paths), np.zeros(paths)
    trades = 0
    for hour in range(HOURS):
        wanted = rule(hour, held)
        change = wanted - held
        paid = COST * np.abs(change) * world.px[:, hour] + gas * (change != 0)
        money -= change * world.px[:, hour] + paid
        cost += paid
        trades += int(np.count_nonzero(change))
        held = wanted
    final = money + held * world.px[:, -1] - np.maximum(world.px[:, -1] - START, 0)
    return Outcome(float(final.std()), float(cost.mean()), trades / paths)


def by_clock(world: Market, every: int) -> Rule:
    """What a thousandth of a unit would change is not traded: gas for nothing is nobody's plan."""

    def rule(hour: int, held: Array) -> Array:
        if hour % every:
            return held
        return np.asarray(np.where(np.abs(world.delta[:, hour] - held) > 1e-3, world.delta[:, hour], held))

    return rule


@cache
def tabulated() -> tuple[Array, Array]:
    """Fixed costs in units of k S w, and both edges for each."""
    grid = np.logspace(-6, 9, 301)
    return grid, np.array([edges(float(f)) for f in grid])


def by_band(world: Market, aversion: float, gas: float) -> Rule:
    grid, table = tabulated()

    def rule(hour: int, held: Array) -> Array:
        px = world.px[:, hour]
        width = (1.5 * COST * px * world.gamma[:, hour] ** 2 / aversion) ** (1 / 3)
        outer = inner = width
        if gas:
            f = np.log(np.maximum(gas / (COST * px * np.maximum(width, 1e-300)), 1e-6))
            outer = width * np.interp(f, np.log(grid), table[:, 0])
            inner = width * np.interp(f, np.log(grid), table[:, 1])
        drift = held - world.delta[:, hour]
        return np.asarray(
            np.where(np.abs(drift) > outer, world.delta[:, hour] + np.sign(drift) * inner, held)
        )

    return rule


def at_std(outcomes: list[Outcome], std: float) -> float:
    """The least cost at a standard deviation, between the outcomes around it that no other beats in both; both axes logarithmic."""
    best = [
        one
        for one in sorted(outcomes, key=lambda one: one.std)
        if not any(two.std < one.std and two.cost <= one.cost for two in outcomes)
    ]
    stds = [one.std for one in best]
    assert stds[0] <= std <= stds[-1], f"{std} is outside {stds[0]:.3f} … {stds[-1]:.3f}"
    return float(np.exp(np.interp(np.log(std), np.log(stds), np.log([one.cost for one in best]))))


def compare(paths: int, seed: int, gas: float) -> list[tuple[float, float, float]]:
    """For each of STDS: (std, cost by the clock, cost by the band)."""
    world = market(paths, seed)
    clock = [hedged(world, by_clock(world, every), gas) for every in CLOCKS]
    band = [hedged(world, by_band(world, aversion, gas), gas) for aversion in AVERSIONS]
    return [(std, at_std(clock, std), at_std(band, std)) for std in (STDS_WITH_GAS if gas else STDS)]
