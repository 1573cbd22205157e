"""Hedging by the band: its formula against what it was derived from, and its cost beside a clock's at the same risk, by simulation."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest
from hedge_paths import COST, GAS, by_band, compare, market

from agent.hedging.band import Band, band_of, edges


@pytest.mark.parametrize("f", [1e-6, 0.01, 0.5, 7.0, 4_000.0])
def test_both_ends_of_a_trade_satisfy_the_conditions_they_come_from(f: float) -> None:
    """Both are roots of one cubic, and the trade between them is worth its fixed cost: by quadrature, not by the closed form."""
    outer, inner = edges(f)
    c_outer, c_inner = ((u**3 + 2) / (2 * u) for u in (outer, inner))
    assert c_outer == pytest.approx(c_inner, rel=1e-6) and inner <= 1 <= outer
    points = np.linspace(inner, outer, 20_001)
    gain = c_outer * points - points**3 / 2 - 1
    worth = float(np.sum((gain[1:] + gain[:-1]) / 2 * np.diff(points)))
    assert worth == pytest.approx(f, rel=1e-3)


def test_without_a_fixed_cost_it_is_the_whalley_wilmott_width_and_without_a_proportional_one_the_quartic() -> (
    None
):
    gamma, px, aversion = Decimal("0.02"), Decimal(100), Decimal(1)
    plain = band_of(gamma, px, Decimal("0.0005"), Decimal(0), aversion)
    assert plain.outer == plain.inner
    assert float(plain.outer) == pytest.approx((1.5 * 0.0005 * 100 * 0.02**2) ** (1 / 3))
    fixed = band_of(gamma, px, Decimal(0), Decimal("0.01"), aversion)
    assert fixed.inner == 0 and float(fixed.outer) == pytest.approx((12 * 0.01 * 0.02**2) ** 0.25)
    near = band_of(gamma, px, Decimal("5e-10"), Decimal("0.01"), aversion)
    assert near.outer == pytest.approx(fixed.outer, rel=Decimal("1e-6"))


def test_a_trade_goes_to_the_inner_edge_and_no_further() -> None:
    band = Band(Decimal("0.5"), Decimal("0.2"))
    assert band.correction(Decimal("0.5")) == 0 == band.correction(Decimal("-0.5"))
    assert band.correction(Decimal("0.7")) == Decimal("-0.5")
    assert band.correction(Decimal("-0.51")) == Decimal("0.31")


@pytest.mark.parametrize("gas", [0.0, GAS])
def test_the_simulations_band_is_the_products(gas: float) -> None:
    """The arrays decide as `band_of` does, path by path."""
    world, aversion, hour = market(40, 5), 0.3, 400
    held = world.delta[:, hour] + np.linspace(-1, 1, 40)
    wanted = by_band(world, aversion, gas)(hour, held)
    traded = 0
    for path in range(40):
        gamma, px, delta = (Decimal(float(a[path, hour])) for a in (world.gamma, world.px, world.delta))
        band = band_of(gamma, px, Decimal(str(COST)), Decimal(str(gas)), Decimal(str(aversion)))
        change = band.correction(Decimal(float(held[path])) - delta)
        assert float(change) == pytest.approx(wanted[path] - held[path], abs=2e-4)
        traded += change != 0
    assert 10 < traded < 40


@pytest.mark.parametrize("gas", [0.0, GAS])
@pytest.mark.parametrize("paths", [300, pytest.param(8_000, marks=pytest.mark.full)])
def test_the_band_saves_a_third_and_more(paths: int, gas: float) -> None:
    """The first figures are those of `scripts/bench hedging`, at a smaller count."""
    for std, clock, band in compare(paths, 1, gas):
        assert band <= 0.65 * clock, (std, clock, band)
