"""Assets, and the places they are held in. Identity is (chain, address) or (venue, symbol); symbols are only labels."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NewType

from agent.domain.errors import Usage

AssetId = NewType("AssetId", str)
"""CAIP-19 on a chain (`eip155:1/erc20:0x…`, `eip155:1/slip44:60`), `cex:VENUE/SYMBOL` at an exchange."""
Place = NewType("Place", str)
"""Where something is held or traded: a CAIP-2 chain (`eip155:1`) or `cex:VENUE`."""

_ERC20 = re.compile(r"eip155:(\d+)/erc20:(0x[0-9a-fA-F]{40})")
_NATIVE = re.compile(r"eip155:(\d+)/slip44:60")
_CEX = re.compile(r"cex:([a-z0-9_]+)/([A-Za-z0-9._-]+)")


@dataclass(frozen=True, slots=True)
class Asset:
    id: AssetId
    symbol: str
    decimals: int


def asset_id(text: str) -> AssetId:
    """Checks the form of an asset id. Raises Usage BAD_ASSET_ID."""
    if _ERC20.fullmatch(text) or _NATIVE.fullmatch(text) or _CEX.fullmatch(text):
        return AssetId(text)
    raise Usage("BAD_ASSET_ID", f"'{text}' is no asset id", "use eip155:CHAIN/erc20:0x… or cex:VENUE/SYMBOL")


def erc20_id(chain_id: int, address: str) -> AssetId:
    return AssetId(f"eip155:{chain_id}/erc20:{address}")


def native_id(chain_id: int) -> AssetId:
    return AssetId(f"eip155:{chain_id}/slip44:60")


def cex_id(venue: str, symbol: str) -> AssetId:
    return AssetId(f"cex:{venue}/{symbol}")


def place_of(asset: AssetId) -> Place:
    return Place(asset.partition("/")[0])


@lru_cache(maxsize=4096)
def label_of(name: str) -> str:
    """The symbol in a name people trade by: USDC of `USDC@eip155:1`, which means that asset in that one place."""
    return name.partition("@")[0]


def chain_place(chain_id: int) -> Place:
    return Place(f"eip155:{chain_id}")


@lru_cache(maxsize=4096)
def chain_of(place_or_asset: str) -> int | None:
    """The chain id, or None at an exchange."""
    head = place_or_asset.partition("/")[0]
    kind, _, rest = head.partition(":")
    return int(rest) if kind == "eip155" else None


@lru_cache(maxsize=4096)
def venue_of(place_or_asset: str) -> str | None:
    head = place_or_asset.partition("/")[0]
    kind, _, rest = head.partition(":")
    return rest if kind == "cex" else None


def address_of(asset: AssetId) -> str | None:
    """The token's contract, or None for a native coin or a balance at an exchange."""
    found = _ERC20.fullmatch(asset)
    return found[2] if found else None
