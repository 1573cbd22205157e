"""The graph of a market that moves: what a block did not change is taken over from the graph before."""

from __future__ import annotations

from agent.market.view import MarketView
from agent.routing.graph import Graph


class Graphs:
    """The last graph of each choice of pools. Views are given in the order in which they were seen."""

    def __init__(self) -> None:
        self._kept: dict[tuple[frozenset[str], frozenset[str]], Graph] = {}

    def of(
        self, view: MarketView, never: frozenset[str] = frozenset(), alone: frozenset[str] = frozenset()
    ) -> Graph:
        """The graph of `view`, as `Graph` makes it from nothing."""
        made = self._kept[never, alone] = Graph(view, never, alone, self._kept.get((never, alone)))
        if len(self._kept) > _MOST:
            self._kept.pop(next(iter(self._kept)))
        return made


_MOST = 8
"""Graphs kept: of a few scopes and routers' reaches."""

__all__ = ["Graphs"]
