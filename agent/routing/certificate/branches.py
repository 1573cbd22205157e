"""Sets of cases that hold every plan once, each with prices of its own: the bound is that of the worst case."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from agent.domain.errors import Reject
from agent.domain.instruments import AssetId

MAX_PAIRS = 3


class Branch(NamedTuple):
    """Prices for the plans that trade none of the pairs `off`, each (sold, bought)."""

    off: tuple[tuple[AssetId, AssetId], ...]
    prices: Mapping[AssetId, str]


def covered(branches: Sequence[Branch]) -> None:
    """A plan that goes forward never trades two assets both ways: each branch forbids one way of every chosen pair, and all
    combinations must be there. Raises Reject BAD_CERTIFICATE."""
    seen = {frozenset(branch.off) for branch in branches}
    pairs = {frozenset(way) for branch in branches for way in branch.off}
    whole = all(
        len(branch.off) == len(pairs) and {frozenset(way) for way in branch.off} == pairs
        for branch in branches
    )
    if not whole or len(seen) != len(branches) or len(branches) != 1 << len(pairs) or len(pairs) > MAX_PAIRS:
        raise Reject("BAD_CERTIFICATE", "branches: they do not cover every plan once", "each chosen pair is forbidden one way or the other")  # fmt: skip


__all__ = ["MAX_PAIRS", "Branch", "covered"]
