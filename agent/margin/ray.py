"""Fixed-point integers as Aave's WadRayMath, PercentageMath and MathUtils (v3.0.x) compute them: half-up, never floats.

Wads have 18 decimals, rays 27, percentages are basis points. Formulas: aave core-v3 1.19.3, protocol/libraries/math.
"""

from __future__ import annotations

RAY = 10**27
WAD = 10**18
PERCENT = 10_000
SECONDS_PER_YEAR = 365 * 86_400


def ray_mul_half_up(a: int, b: int) -> int:
    return (a * b + RAY // 2) // RAY


def wad_div_half_up(a: int, b: int) -> int:
    return (a * WAD + b // 2) // b


def percent_mul_half_up(value: int, bps: int) -> int:
    return (value * bps + PERCENT // 2) // PERCENT


def linear_interest(rate: int, seconds: int) -> int:
    """Growth, in ray, of what earns `rate` (ray per year) for `seconds`."""
    return RAY + rate * seconds // SECONDS_PER_YEAR


def binomial_interest(rate: int, seconds: int) -> int:
    """Growth, in ray, of compounding each second: three terms of (1 + rate/year)^seconds, each rounded as the contract does."""
    if seconds == 0:
        return RAY
    less_one, less_two = seconds - 1, max(seconds - 2, 0)
    squared = ray_mul_half_up(rate, rate) // (SECONDS_PER_YEAR * SECONDS_PER_YEAR)
    cubed = ray_mul_half_up(squared, rate) // SECONDS_PER_YEAR
    second = seconds * less_one * squared // 2
    third = seconds * less_one * less_two * cubed // 6
    return RAY + rate * seconds // SECONDS_PER_YEAR + second + third
