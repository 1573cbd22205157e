"""What readers of pools are told and tell: which pools, where V4 stands, tokens, and all of it at one block."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from chains.types import Address, BlockRef


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """One pool to read. `id` is its contract; for V4 and Balancer the 32-byte pool id.

    `fee_pips` is what a V2 pair takes (it does not say) where the reader is given no factories' fees.
    """

    kind: str
    id: str
    fee_pips: int = 3000
    gas: int | None = None


@dataclass(frozen=True, slots=True)
class V4Contracts:
    """Where V4 stands on the chain: the manager that holds the pools, and the lenses that read them."""

    pool_manager: Address
    state_view: Address
    position_manager: Address


@dataclass(frozen=True, slots=True)
class Token:
    """A token's own metadata. The zero address is the chain's coin."""

    address: Address
    symbol: str
    decimals: int


@dataclass(frozen=True, slots=True)
class PoolSnapshot:
    """All pools at `block`; `skipped` says which could not be read, and why."""

    block: BlockRef
    pools: tuple[dict[str, Any], ...]
    tokens: dict[Address, Token]
    skipped: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Known:
    """What of a pool never changes, and its ticks as last read."""

    spec: PoolSpec
    tokens: tuple[Address, ...]
    values: dict[str, Any] = field(default_factory=dict)
    ticks: list[tuple[int, int]] | None = None
