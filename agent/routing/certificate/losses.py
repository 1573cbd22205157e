"""What a plan must lose to use a sale at all: the sales on the way to it and on from it, each of which has its price.

At the prices of a bound every sale is worth at most its net gain, and less than nothing where its gas is more than it gains. To
sell an asset a plan must come to it, and from what it buys it must reach a target: by the way that loses least, it loses at least
`Losses.around`. (Legs that lead nowhere give up all they take in: without them a plan is worth no less.) So sales that gain
count only in plans that pay for the way to them, and no plan better than the one at hand loses more in all than `room_of` tells.
Integers throughout.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from heapq import heappop, heappush

from agent.domain.instruments import AssetId
from agent.routing.certificate.gains import Sale

Leg = tuple[AssetId, AssetId, int]
"""Sold, bought, and what using it loses at least."""
Onward = Mapping[AssetId, Sequence[tuple[AssetId, int]]]


class Losses:
    """Least losses from any of `starts` and to any of `ends`, over legs; nothing is told of what loses `room` or more."""

    def __init__(
        self, idle: tuple[Onward, Onward], busy: Iterable[Leg], starts: Collection[AssetId], ends: Collection[AssetId], room: int
    ) -> None:  # fmt: skip
        on: dict[AssetId, list[tuple[AssetId, int]]] = {}
        back: dict[AssetId, list[tuple[AssetId, int]]] = {}
        for given, got, loss in busy:
            on.setdefault(given, []).append((got, loss))
            back.setdefault(got, []).append((given, loss))
        self._to = _least(starts, room, idle[0], on)
        self._on = _least(ends, room, idle[1], back)

    def around(self, given: AssetId, got: AssetId) -> int | None:
        """The least a plan loses on its way to `given` and on from `got`; None where that is too much."""
        before, behind = self._to.get(given), self._on.get(got)
        return None if before is None or behind is None else before + behind

    @property
    def sides(self) -> tuple[Mapping[AssetId, int], Mapping[AssetId, int]]:
        """The least a plan loses on its way to an asset, and on from one, of those that are not too far."""
        return self._to, self._on

    def within(self, sales: Sequence[Sale]) -> list[tuple[Sale, int]]:
        """Those of `sales` that are not too far, with what a plan loses around them."""
        to, on = self._to, self._on
        found = []
        for sale in sales:
            given, got = sale.pair
            if given in to and got in on:
                found.append((sale, to[given] + on[got]))
        return found


def _least(starts: Collection[AssetId], room: int, *legs: Onward) -> dict[AssetId, int]:
    found: dict[AssetId, int] = {}
    near = dict.fromkeys(starts, 0)
    waiting = [(0, node) for node in starts]
    while waiting:
        lost, node = heappop(waiting)
        if node in found:
            continue
        found[node] = lost
        for onward in legs:
            for other, loss in onward.get(node, ()):
                if lost + loss < near.get(other, room):
                    near[other] = lost + loss
                    heappush(waiting, (lost + loss, other))
    return found


def both_ways(legs: Mapping[tuple[AssetId, AssetId], int]) -> tuple[Onward, Onward]:
    """Legs by what is sold and by what is bought."""
    on: dict[AssetId, list[tuple[AssetId, int]]] = {}
    back: dict[AssetId, list[tuple[AssetId, int]]] = {}
    for (given, got), loss in legs.items():
        on.setdefault(given, []).append((got, loss))
        back.setdefault(got, []).append((given, loss))
    return on, back


def most_and_room(steps: Sequence[tuple[int, int]], least: int) -> tuple[int, int]:
    """(most, room) of gains by what a plan must lose to have them: `steps` are (loss, all gains up to that loss), in order.

    A plan that loses l in all has at most the gains up to l, less l. `most` is the best of that; for a plan that is to earn more
    than `least`, `room` is the most it can lose, 0 where none can earn it.
    """
    most, room = 0, max(-least, 0)
    for loss, gains in steps:
        most = max(most, gains - loss)
        if gains - least > loss:
            room = max(room, gains - least)
    return most, room


def most_within(things: Sequence[tuple[int, int]], room: int) -> int:
    """At least what can be gained by things of (loss > 0, gain), parts of them too, while the losses stay within `room`; rounded up.

    By duality: for any rate, room * rate + the sum of max(0, gain - loss * rate). The rate is that of the thing that fills the room.
    """
    left = room
    for loss, gain in sorted(things, key=lambda thing: thing[0] / thing[1]):
        left -= loss
        if left < 0:
            over = sum(max(0, g * loss - lost * gain) for lost, g in things)
            return -(-(room * gain + over) // loss)
    return sum(gain for _, gain in things)


__all__ = ["Leg", "Losses", "Onward", "both_ways", "most_and_room", "most_within"]
