"""Balancer V2's 18-digit fixed point, with its logarithm and exponential, to the last digit.

e**x is taken apart into the powers e**(2**k), k = 7 … -4, and a Taylor series of the rest; ln(x) likewise, with a
36-digit series for x within 10 % of one. `pow_up` and `pow_down` widen the result by the published error of 1e-14.
Exponents of exactly 1, 2 and 4 are multiplied out, as the factories of 2022 and later do.
"""

from __future__ import annotations

from agent.amm.math import UINT256_MAX, WAD, ContractRevert, checked, quotient_toward_zero

_E20, _E36 = 10**20, 10**36
_MAX_EXPONENT, _MIN_EXPONENT = 130 * WAD, -41 * WAD
_LN36_LOW, _LN36_HIGH = WAD - 10**17, WAD + 10**17
_MILD_EXPONENT_BOUND = (1 << 254) // _E20
_MAX_POW_RELATIVE_ERROR = 10_000

# e**128 and e**64 without decimals, then (x, e**x) with 20 decimals for x = 32 … 1/16.
_X0, _A0 = 128 * WAD, 38877084059945950922200000000000000000000000000000000000
_X1, _A1 = 64 * WAD, 6235149080811616882910000000
_POWERS = (
    (32 * _E20, 7896296018268069516100000000000000),
    (16 * _E20, 888611052050787263676000000),
    (8 * _E20, 298095798704172827474000),
    (4 * _E20, 5459815003314423907810),
    (2 * _E20, 738905609893065022723),
    (1 * _E20, 271828182845904523536),
    (_E20 // 2, 164872127070012814685),
    (_E20 // 4, 128402541668774148407),
    (_E20 // 8, 113314845306682631683),
    (_E20 // 16, 106449445891785942956),
)


def mul_down(a: int, b: int) -> int:
    return checked(a * b, "BAL#003") // WAD


def mul_up(a: int, b: int) -> int:
    return -(-checked(a * b, "BAL#003") // WAD)


def div_down(a: int, b: int) -> int:
    if b == 0:
        raise ContractRevert("BAL#004")
    return checked(a * WAD, "BAL#005") // b


def div_up(a: int, b: int) -> int:
    if b == 0:
        raise ContractRevert("BAL#004")
    return -(-checked(a * WAD, "BAL#005") // b)


def add(a: int, b: int) -> int:
    return checked(a + b, "BAL#000")


def sub(a: int, b: int) -> int:
    return checked(a - b, "BAL#001")


def complement(a: int) -> int:
    return WAD - a if a < WAD else 0


def exp(x: int) -> int:
    """e**x, x signed with 18 decimals."""
    if not _MIN_EXPONENT <= x <= _MAX_EXPONENT:
        raise ContractRevert("BAL#009")
    if x < 0:
        return WAD * WAD // exp(-x)
    first = 1
    if x >= _X0:
        x, first = x - _X0, _A0
    elif x >= _X1:
        x, first = x - _X1, _A1
    x *= 100
    product = _E20
    for power, value in _POWERS[:8]:
        if x >= power:
            x -= power
            product = product * value // _E20
    total, term = _E20 + x, x
    for n in range(2, 13):
        term = term * x // _E20 // n
        total += term
    return product * total // _E20 * first // 100


def _ln(a: int) -> int:
    if a < WAD:
        return -_ln(WAD * WAD // a)
    total = 0
    if a >= _A0 * WAD:
        a, total = a // _A0, total + _X0
    if a >= _A1 * WAD:
        a, total = a // _A1, total + _X1
    total *= 100
    a *= 100
    for power, value in _POWERS:
        if a >= value:
            a = a * _E20 // value
            total += power
    z = (a - _E20) * _E20 // (a + _E20)
    z_squared = z * z // _E20
    num = series = z
    for n in (3, 5, 7, 9, 11):
        num = num * z_squared // _E20
        series += num // n
    return (total + 2 * series) // 100


def _ln36(x: int) -> int:
    x *= WAD
    z = quotient_toward_zero((x - _E36) * _E36, x + _E36)
    z_squared = z * z // _E36
    num = series = z
    for n in (3, 5, 7, 9, 11, 13, 15):
        num = quotient_toward_zero(num * z_squared, _E36)
        series += quotient_toward_zero(num, n)
    return 2 * series


def pow(x: int, y: int) -> int:
    """x ** y, both unsigned with 18 decimals, with an error of up to 1e-14 either way."""
    if y == 0:
        return WAD
    if x == 0:
        return 0
    if x >> 255:
        raise ContractRevert("BAL#006")
    if y >= _MILD_EXPONENT_BOUND:
        raise ContractRevert("BAL#007")
    if _LN36_LOW < x < _LN36_HIGH:
        ln = _ln36(x)
        whole = quotient_toward_zero(ln, WAD)
        exponent = whole * y + quotient_toward_zero((ln - whole * WAD) * y, WAD)
    else:
        exponent = _ln(x) * y
    exponent = quotient_toward_zero(exponent, WAD)
    if not _MIN_EXPONENT <= exponent <= _MAX_EXPONENT:
        raise ContractRevert("BAL#008")
    return exp(exponent)


def pow_up(x: int, y: int) -> int:
    if y == WAD:
        return x
    if y == 2 * WAD:
        return mul_up(x, x)
    if y == 4 * WAD:
        square = mul_up(x, x)
        return mul_up(square, square)
    raw = pow(x, y)
    return add(raw, add(mul_up(raw, _MAX_POW_RELATIVE_ERROR), 1))


def pow_down(x: int, y: int) -> int:
    if y == WAD:
        return x
    if y == 2 * WAD:
        return mul_down(x, x)
    if y == 4 * WAD:
        square = mul_down(x, x)
        return mul_down(square, square)
    raw = pow(x, y)
    error = add(mul_up(raw, _MAX_POW_RELATIVE_ERROR), 1)
    return raw - error if raw >= error else 0


def require_amount(amount: int) -> int:
    """`amount`, refused with the vault's own code where it cannot be an amount at all."""
    if amount < 0 or amount > UINT256_MAX:
        raise ContractRevert("BAL#510")
    return amount
