"""How far along a plan its assets stand: paths that meet may go on together, and no way through them is to be longer than ways may be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from agent.domain.instruments import AssetId
from agent.routing.graph import Hop
from agent.routing.search import order_of


class Depths:
    """Of assets in an order in which every hop goes forward: how many hops lead to each at most, and how many on from it."""

    def __init__(self, order: Sequence[AssetId], hops: Iterable[Hop]) -> None:
        self.place = {asset: k for k, asset in enumerate(order)}
        self.behind, self.ahead = dict.fromkeys(order, 0), dict.fromkeys(order, 0)
        hops = sorted(hops, key=lambda hop: self.place[hop.asset_in])
        for hop in hops:
            self.behind[hop.asset_out] = max(self.behind[hop.asset_out], self.behind[hop.asset_in] + 1)
        for hop in reversed(hops):
            self.ahead[hop.asset_in] = max(self.ahead[hop.asset_in], self.ahead[hop.asset_out] + 1)

    @property
    def longest(self) -> int:
        """Hops of the longest way."""
        return max(self.behind.values(), default=0)

    def through(self, hops: Sequence[Hop]) -> int:
        """Hops of the longest way by these in a row, which need not be there yet."""
        return self.behind[hops[0].asset_in] + len(hops) + self.ahead[hops[-1].asset_out]


def fitted(hops: frozenset[Hop], ends: tuple[AssetId, AssetId], most: int, worth: Mapping[Hop, float]) -> frozenset[Hop]:  # fmt: skip
    """Without the least (by `worth`) of what makes a way longer than `most` or sells a pool what it gave, and without what then leads from nowhere or to
    nowhere."""
    while hops and (order := order_of(sorted(hops))) is not None:
        depths = Depths(order, hops)
        gave = {(hop.id, hop.asset_out) for hop in hops}
        back = {(hop.id, hop.asset_in) for hop in hops} & gave
        wrong = [
            hop
            for hop in sorted(hops)
            if depths.through((hop,)) > most or back & {(hop.id, hop.asset_in), (hop.id, hop.asset_out)}
        ]
        if not wrong:
            break
        hops = cleaned(hops - {min(wrong, key=lambda hop: (worth.get(hop, 0.0), hop))}, ends)
    return hops


def cleaned(hops: frozenset[Hop], ends: tuple[AssetId, AssetId]) -> frozenset[Hop]:
    """Without hops that lead from nowhere or to nowhere; `ends` are what is sold and what is bought."""
    while True:
        reached = {ends[0], *(hop.asset_out for hop in hops)}
        left = {ends[1], *(hop.asset_in for hop in hops)}
        kept = frozenset(hop for hop in hops if hop.asset_in in reached and hop.asset_out in left)
        if kept == hops:
            return kept
        hops = kept


def fed_by(hops: Iterable[Hop], among: Iterable[Hop]) -> frozenset[Hop]:
    """The hops that must carry less where `hops` are to: themselves, and where no other sells the same asset those that bring it."""
    among, found = sorted(among), set[Hop]()
    wanted = sorted(hops)
    while wanted:
        hop = wanted.pop()
        found.add(hop)
        if sum(other.asset_in == hop.asset_in for other in among) == 1:
            wanted += [other for other in among if other.asset_out == hop.asset_in and other not in found]
    return frozenset(found)


__all__ = ["Depths", "cleaned", "fed_by", "fitted"]
