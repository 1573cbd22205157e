"""How a function is compiled: kept in the folder of the bytecode, or the user's cache where that cannot be written; IEEE arithmetic as written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numba.core.options import DefaultOptions

F = TypeVar("F", bound=Callable[..., object])


_AS_WRITTEN: dict[str, Any] = {"error_model": "numpy", "fastmath": False}
# Where a later numba calls it otherwise, arrays are counted again: slower, and the same.
_UNCOUNTED: dict[str, Any] = {"_nrt": False} if hasattr(DefaultOptions, "_nrt") else {}
_IN_PLACE: dict[str, Any] = {**_AS_WRITTEN, **_UNCOUNTED, "forceinline": True}


def _made(function: F, options: dict[str, Any]) -> F:
    try:
        return cast(F, numba.njit(function, cache=True, **options))
    except RuntimeError:
        # No folder to keep it in: compiled anew in every process.
        return cast(F, numba.njit(function, **options))


def compiled(function: F) -> F:
    """`function`, compiled at its first call for the types it is called with. No reordering, no fused operations: bits matter."""
    return _made(function, _AS_WRITTEN)


def inlined(function: F) -> F:
    """`compiled` for what makes no array and is called very often: put where it is called, and arrays handed to it are not counted. (Each would be, up and
    down, by atomic operations: many times the work of a sale.)"""
    return _made(function, _IN_PLACE)


__all__ = ["compiled", "inlined"]
