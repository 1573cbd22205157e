"""What can be reached over pools and books from where something begins."""

from __future__ import annotations

from collections.abc import Mapping

from agent.domain.instruments import AssetId


def reached(
    near: Mapping[AssetId, set[AssetId]], starts: frozenset[AssetId], ends: frozenset[AssetId]
) -> set[AssetId]:
    """What is reached from `starts` without passing through `ends`."""
    found, ring = set(starts), list(starts)
    while ring:
        node = ring.pop()
        if node in ends:
            continue
        for other in near.get(node, ()):
            if other not in found:
                found.add(other)
                ring.append(other)
    return found


__all__ = ["reached"]
