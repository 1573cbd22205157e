"""256-bit arithmetic as contracts do it: exact, rounding in the name, overflow a revert.

Every curve computes on plain ints and raises ContractRevert where the contract would revert; the public verbs of
`agent.amm` turn that into a `Reverted` value, so no caller outside this package ever meets the exception.
"""

from __future__ import annotations

UINT256_MAX = (1 << 256) - 1
INT256_MAX = (1 << 255) - 1
UINT160_MAX = (1 << 160) - 1
UINT128_MAX = (1 << 128) - 1
INT128_MAX = (1 << 127) - 1
UINT112_MAX = (1 << 112) - 1
WAD = 10**18


class ContractRevert(Exception):
    """The contract would revert here, with this reason (empty where it gives none)."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def div_up(a: int, b: int) -> int:
    """ceil(a / b) for a >= 0, b > 0."""
    return -(-a // b)


def mul_div_down(a: int, b: int, c: int) -> int:
    """floor(a * b / c) with a 512-bit product; reverts when c is zero or the quotient does not fit a uint256."""
    if c == 0:
        raise ContractRevert("division by zero")
    q = a * b // c
    if q > UINT256_MAX:
        raise ContractRevert("mulDiv overflow")
    return q


def mul_div_up(a: int, b: int, c: int) -> int:
    """ceil(a * b / c) with a 512-bit product; reverts when c is zero or the quotient does not fit a uint256."""
    if c == 0:
        raise ContractRevert("division by zero")
    q = -(-a * b // c)
    if q > UINT256_MAX:
        raise ContractRevert("mulDiv overflow")
    return q


def checked(value: int, reason: str) -> int:
    """`value`, or a revert with `reason` when it is not a uint256."""
    if value < 0 or value > UINT256_MAX:
        raise ContractRevert(reason)
    return value


def quotient_toward_zero(a: int, b: int) -> int:
    """a / b as Solidity divides signed integers (Python's // floors)."""
    q = abs(a) // abs(b)
    return q if (a < 0) == (b < 0) else -q
