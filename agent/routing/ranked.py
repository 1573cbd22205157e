"""The paths that a beam found, best output first, and the few of them that a choice of candidates wants."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from agent.routing.graph import Hop

Hops: TypeAlias = "tuple[Hop, ...]"


class Ranked(Protocol):
    def best(self, most: int) -> Iterable[Hops]:
        """Those with the largest outputs."""
        ...

    def long(self, hops: int, most: int) -> Iterable[Hops]:
        """Those over so many pools, largest outputs first."""
        ...

    def netted(self, gas_rate: float, share: int, most: int) -> Iterable[Hops]:
        """Those that give most after a `share`-th of their gas, at `gas_rate` a unit."""
        ...

    def new(self, gas_rate: float, known: set[Hop], most: int) -> Iterable[Hops]:
        """The first that pay for their gas and have a hop that is not known; their hops become known one by one."""
        ...


class Listed:
    """From a list of (out, gas, hops)."""

    def __init__(self, ways: Sequence[tuple[float, int, Hops]]) -> None:
        self._ways = ways

    def best(self, most: int) -> Iterable[Hops]:
        return [hops for _, _, hops in self._ways[:most]]

    def long(self, hops: int, most: int) -> Iterable[Hops]:
        return [way[2] for way in self._ways if len(way[2]) == hops][:most]

    def netted(self, gas_rate: float, share: int, most: int) -> Iterable[Hops]:
        netted = sorted(self._ways, key=lambda way: way[1] * gas_rate / share - way[0])
        return [hops for _, _, hops in netted[:most]]

    def new(self, gas_rate: float, known: set[Hop], most: int) -> Iterable[Hops]:
        found: list[Hops] = []
        for out, gas, hops in self._ways:
            if len(found) == most:
                break
            if out > gas * gas_rate and not known.issuperset(hops):
                found.append(hops)
                known.update(hops)
        return found


__all__ = ["Hops", "Listed", "Ranked"]
