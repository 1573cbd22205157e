"""How a function is compiled: kept in the folder of the bytecode, or the user's cache where that cannot be written; IEEE arithmetic as written."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """`function`, compiled at its first call for the types it is called with. No reordering, no fused operations: bits matter."""
    try:
        return cast(F, numba.njit(function, cache=True, error_model="numpy", fastmath=False))
    except RuntimeError:
        # No folder to keep it in: compiled anew in every process.
        return cast(F, numba.njit(function, error_model="numpy", fastmath=False))


def inlined(function: F) -> F:
    """`compiled` for what allocates nothing and is called very often: put where it is called, and arrays handed to it are not counted (each would be
    twice, in memory that all cores see)."""
    try:
        return cast(
            F,
            numba.njit(
                function, cache=True, error_model="numpy", fastmath=False, forceinline=True, _nrt=False
            ),
        )
    except RuntimeError:
        return cast(
            F, numba.njit(function, error_model="numpy", fastmath=False, forceinline=True, _nrt=False)
        )


__all__ = ["compiled", "inlined"]
