"""How far an exposure may drift before a trade is worth its cost, and how far back that trade goes.

The Whalley–Wilmott band (A. E. Whalley, P. Wilmott: "An asymptotic analysis of an optimal hedging model for option pricing with
transaction costs", Mathematical Finance 7, 1997), half-width for proportional costs k, risk aversion a, price S and gamma Γ:

    w = (3 k S Γ² / (2 a))^(1/3)          a trade goes back to the edge, no further

With a fixed cost F for each trade besides (their 1999 paper treats the general case) a trade starts at A > w and ends at B < w. Ours is
the ergodic impulse control of the same asymptotics, derived here: the drift y from the target moves with variance (ΓσS)² and costs
aσ²S²y²/2 per unit of time, so between trades the value's slope is V'(y) = αy − βy³ with β = a/(3Γ²); σ and S² cancel. At both ends of a
trade the slope equals its marginal cost, V'(A) = V'(B) = kS, and the trade is worth its fixed cost, ∫ from B to A of (V' − kS) = F.
F = 0 gives A = B = w; k = 0 gives B = 0 and A = (12 F Γ² / a)^(1/4). In units of w only f = F / (k S w) is left:

    u³ − 2cu + 2 = 0 has the roots B/w < A/w,   c (A² − B²)/2 − (A⁴ − B⁴)/8 − (A − B) = f

Floats search for c; what comes out is rounded down to a Decimal, and a narrower band only hedges sooner.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from math import acos, cos, inf, pi, sqrt

PLACES = Decimal(1).scaleb(-18)


@dataclass(frozen=True, slots=True)
class Band:
    """Half-widths in units of the exposure: beyond `outer` a trade is due, and it ends at `inner`."""

    outer: Decimal
    inner: Decimal

    def correction(self, drift: Decimal) -> Decimal:
        """What to add to the exposure: zero inside the band, else just enough to stand at `inner` on the same side."""
        if abs(drift) <= self.outer:
            return Decimal(0)
        return (self.inner if drift > 0 else -self.inner) - drift


def band_of(gamma: Decimal, px: Decimal, cost: Decimal, fixed_usd: Decimal, risk_aversion: Decimal) -> Band:
    """`gamma` in units of the asset for each USD of its price, `px` in USD, `cost` as a fraction of what is traded, `fixed_usd` for each
    trade, `risk_aversion` in 1/USD and positive: a variance of v USD² is as bad as losing risk_aversion · v / 2 USD.
    """
    slope, a = float(gamma) ** 2 / float(risk_aversion), float(cost) * float(px)
    width, fixed = (1.5 * a * slope) ** (1 / 3), float(fixed_usd)
    if width == 0:
        return Band(down((12 * fixed * slope) ** 0.25), Decimal(0))
    outer, inner = edges(fixed / (a * width))
    return Band(down(width * outer), down(width * inner))


def edges(f: float) -> tuple[float, float]:
    """(A, B) in units of w for a fixed cost of f k S w; (1, 1) for none."""
    if f <= 0:
        return 1.0, 1.0
    low, high = 1.5, 3.0
    while _worth(high) < f and high < inf:
        low, high = high, high * 2
    for _ in range(200):
        middle = (low + high) / 2
        if not low < middle < high:
            break
        low, high = (middle, high) if _worth(middle) < f else (low, middle)
    return _roots(high)


def _roots(c: float) -> tuple[float, float]:
    angle = acos(max(-((1.5 / c) ** 1.5), -1.0)) / 3
    scale = 2 * sqrt(2 * c / 3)
    return scale * cos(angle), scale * cos(angle - 2 * pi / 3)


def _worth(c: float) -> float:
    outer, inner = _roots(c)
    return c * (outer**2 - inner**2) / 2 - (outer**4 - inner**4) / 8 - (outer - inner)


def down(value: float) -> Decimal:
    return Decimal(value).quantize(PLACES, ROUND_FLOOR)
