"""When a mined transaction counts. Pure: heads and receipts in, a verdict out.

A chain's rule names the level that settles. Until then a receipt is PROVISIONAL; where the canonical chain has another
block at its height it is REORGED.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from chains.types import BlockRef, Hash32

REWOUND_BLOCKS = 64
"""So far below a head that we saw another one may begin: deeper than any reorganisation that was not one of the consensus itself."""


class Level(Enum):
    """What settles: the head plus so many blocks, or the consensus' own tags."""

    DEPTH = "depth"
    SAFE = "safe"
    FINALIZED = "finalized"


@dataclass(frozen=True, slots=True)
class FinalityRule:
    """`collateral` is the level from which collateral counts, `settle` the one that ends an order; `depth` blocks for DEPTH."""

    settle: Level
    collateral: Level
    depth: int = 0


class Verdict(Enum):
    PROVISIONAL = "PROVISIONAL"
    FINAL = "FINAL"
    REORGED = "REORGED"


@dataclass(frozen=True, slots=True)
class Heads:
    """What a chain says of itself; `safe` and `finalized` are None where the endpoint has no such tag."""

    latest: BlockRef
    safe: BlockRef | None = None
    finalized: BlockRef | None = None


def reached(level: Level, heads: Heads, height: int, depth: int = 0) -> bool:
    """Whether a block at `height` is at least as settled as `level`. A missing tag settles nothing."""
    match level:
        case Level.DEPTH:
            return heads.latest.number - height >= depth
        case Level.SAFE:
            return any(h is not None and height <= h.number for h in (heads.safe, heads.finalized))
        case Level.FINALIZED:
            return heads.finalized is not None and height <= heads.finalized.number


def judge(
    rule: FinalityRule, heads: Heads, height: int, block_hash: Hash32, canonical: Hash32 | None
) -> Verdict:
    """`canonical` is the hash the chain now has at `height`; None where the chain is not that high any more.

    FINAL is checked after REORGED: a settled height with another block in it is a reorganisation, never a settlement.
    """
    if canonical is None:
        return Verdict.REORGED if heads.latest.number >= height else Verdict.PROVISIONAL
    if canonical != block_hash:
        return Verdict.REORGED
    return Verdict.FINAL if reached(rule.settle, heads, height, rule.depth) else Verdict.PROVISIONAL


def collateral_counts(rule: FinalityRule, heads: Heads, height: int) -> bool:
    return reached(rule.collateral, heads, height, rule.depth)


def first_block(made_at: int) -> int:
    """The first block that can hold what was made when `made_at` was the head: where a reorganisation takes that away, the block that
    then holds it can have a lower number."""
    return max(made_at - REWOUND_BLOCKS, 0)
