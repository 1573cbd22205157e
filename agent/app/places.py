"""The settings' symbols as what the desk trades: which asset stands for a symbol in each place, with its decimals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property

from agent.app.settings_tree import Settings
from agent.domain.errors import Usage
from agent.domain.instruments import Asset, AssetId, Place, chain_of, chain_place, place_of

CEX_DECIMALS = 8
"""Exchanges keep balances to eight decimals; base units of `cex:` assets are hundred-millionths."""


@dataclass(frozen=True)
class Directory:
    """`groups` maps a name people trade by to every asset that is that to them; `assets` knows decimals and labels.

    Neither changes once it is made: what is read off them for every order is read off them once.
    """

    groups: Mapping[str, tuple[AssetId, ...]]
    assets: Mapping[AssetId, Asset]

    def group(self, symbol: str) -> tuple[AssetId, ...]:
        """`SYMBOL@PLACE` is what of it is in that place. Raises Usage UNKNOWN_ASSET naming the nearest known symbol."""
        symbol, _, place = symbol.partition("@")
        if place:
            found = tuple(a for a in self.group(symbol) if place_of(a) == place)
            if not found:
                raise Usage("UNKNOWN_ASSET", f"there is no {symbol} at {place}", "add it under [assets]")
            return found
        known = self.groups.get(symbol) or self.groups.get(symbol.upper())
        if known:
            return known
        near = get_close_matches(symbol.upper(), self.groups, n=1)
        raise Usage(
            "UNKNOWN_ASSET",
            f"'{symbol}' is no asset of the settings",
            f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(self.groups))}",
        )

    def name(self, symbol: str) -> str:
        """The group's own spelling."""
        self.group(symbol)
        label, at, place = symbol.partition("@")
        return (label if label in self.groups else label.upper()) + at + place

    def symbol_of(self, asset: AssetId) -> str | None:
        """The widest group the asset belongs to."""
        names = [name for name, members in self.groups.items() if asset in members]
        return max(names, key=lambda name: len(self.groups[name])) if names else None

    @cached_property
    def symbols(self) -> dict[AssetId, str]:
        return {asset: name for asset in self.assets if (name := self.symbol_of(asset)) is not None}

    @cached_property
    def labels(self) -> dict[AssetId, str]:
        """Each asset's own symbol, whatever group people trade it in."""
        return {asset: known.symbol for asset, known in self.assets.items()}

    @cached_property
    def decimals(self) -> dict[AssetId, int]:
        return {asset: known.decimals for asset, known in self.assets.items()}

    def at(self, place: Place) -> tuple[AssetId, ...]:
        return tuple(asset for asset in self.assets if place_of(asset) == place)


def groups_of(settings: Settings) -> dict[str, tuple[AssetId, ...]]:
    """Each symbol, and each name of [equivalents] with the assets of all its symbols."""
    plain = {symbol: tuple(AssetId(a) for a in ids) for symbol, ids in settings.assets.items()}
    groups = dict(plain)
    for name, symbols in settings.equivalents.items():
        members: list[AssetId] = []
        for symbol in (name, *symbols):
            members += [a for a in plain.get(symbol, ()) if a not in members]
        groups[name] = tuple(members)
    return groups


def directory(settings: Settings, decimals: Mapping[AssetId, int]) -> Directory:
    """`decimals` holds what the chains said of their tokens; exchange balances have eight."""
    assets: dict[AssetId, Asset] = {}
    for symbol, ids in settings.assets.items():
        for text in ids:
            asset = AssetId(text)
            digits = decimals.get(asset)
            if digits is None:
                digits = CEX_DECIMALS if chain_of(asset) is None else 18
            assets[asset] = Asset(asset, symbol, digits)
    return Directory(groups_of(settings), assets)


def place_named(settings: Settings, place: Place) -> str:
    """A place as people call it: the chain's or the venue's name in the settings."""
    chain_id = chain_of(place)
    if chain_id is None:
        return place.partition(":")[2]
    chain = settings.chain(chain_id)
    return chain.name if chain else place


def places_of(settings: Settings) -> dict[str, Place]:
    found = {chain.name: chain_place(chain.chain_id) for chain in settings.chains}
    found |= {venue.name: Place(f"cex:{venue.name}") for venue in settings.venues}
    return found
