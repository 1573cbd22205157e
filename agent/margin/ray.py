"""Fixed-point integers as Aave's WadRayMath, PercentageMath and MathUtils compute them, rounding in the name: never floats.

Wads have 18 decimals, rays 27, percentages are basis points. Formulas: aave core-v3 1.19.3 (binomial interest) and
aave-v3-origin 3.6.0 (Taylor interest, floors and ceilings), protocol/libraries/math.
"""

from __future__ import annotations

RAY = 10**27
WAD = 10**18
PERCENT = 10_000
SECONDS_PER_YEAR = 365 * 86_400


def div_up(a: int, b: int) -> int:
    """ceil(a / b) for a >= 0, b > 0."""
    return -(-a // b)


def ray_mul_half_up(a: int, b: int) -> int:
    return (a * b + RAY // 2) // RAY


def ray_mul_down(a: int, b: int) -> int:
    return a * b // RAY


def ray_mul_up(a: int, b: int) -> int:
    return div_up(a * b, RAY)


def wad_div_half_up(a: int, b: int) -> int:
    return (a * WAD + b // 2) // b


def percent_mul_half_up(value: int, bps: int) -> int:
    return (value * bps + PERCENT // 2) // PERCENT


def percent_mul_down(value: int, bps: int) -> int:
    return value * bps // PERCENT


def percent_mul_up(value: int, bps: int) -> int:
    return div_up(value * bps, PERCENT)


def percent_div_half_up(value: int, bps: int) -> int:
    return (value * PERCENT + bps // 2) // bps


def percent_div_down(value: int, bps: int) -> int:
    return value * PERCENT // bps


def percent_div_up(value: int, bps: int) -> int:
    return div_up(value * PERCENT, bps)


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


def taylor_interest(rate: int, seconds: int) -> int:
    """Growth, in ray, of compounding without end: 1 + x + x²/2 + x³/6 nested as the later contracts nest it."""
    x = rate * seconds // SECONDS_PER_YEAR
    return RAY + x + ray_mul_half_up(x, x // 2 + ray_mul_half_up(x, x // 6))


def ray_div_half_up(a: int, b: int) -> int:
    return (a * RAY + b // 2) // b


def ray_div_down(a: int, b: int) -> int:
    return a * RAY // b
