"""What a swap gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from agent.amm import Pool


class Swapped(NamedTuple):
    """A swap that executes. All amounts are raw ints.

    `amount_in` is what the pool consumed, `amount_out` what it paid; `fee` is inside them and is counted in `fee_asset`.
    `complete` is false where a price limit or the end of the liquidity stopped the swap short of what was asked.
    `after` is the pool as the contract leaves it.
    """

    amount_in: int
    amount_out: int
    fee: int
    fee_asset: str
    gas: int
    ticks_crossed: int
    complete: bool
    after: Pool


@dataclass(frozen=True, slots=True)
class Reverted:
    """A swap the contract refuses, and the reason it gives (a code of ours where it gives none)."""

    reason: str
