"""How much of an asset a plan can sell on at most, and what that leaves of the sales that buy it.

A sale gains most at one size, and less the further a plan goes beyond it. With the least gain a better plan must still have on it,
T, and any lower price u of what is sold, the gain at size x is at most G(u) - (v - u) x; so x <= (G(u) - T) / (v - u). What is
bought of an asset and not sold on is worth nothing: so no more of it is bought than the sales out of it can take, no more is sold
than the sales into it can bring, and a sale
that buys at most y of it gains at most y times what the first unit gains. All rounded up.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import exp, expm1

from agent.domain.instruments import AssetId
from agent.routing.certificate.gains import Ends, Gain, Sale, free_unit_up, gain_of

_LOWER = (250, 60, 12)
"""Prices lower by one part in so many are tried."""
_SURE = 1e-9
_FLAT = 1e-7
_HIGHEST = 600.0


class Through:
    """What the sales of a plan can bring of each asset and take of it, summed up. Of the assets in `loose` nothing is known."""

    def __init__(
        self,
        ends: Ends,
        value: Mapping[AssetId, int],
        caps: Mapping[AssetId, int],
        loose: Collection[AssetId],
    ) -> None:
        self._ends, self._value, self._caps = ends, value, caps
        self._in: dict[AssetId, int] = {}
        self._out: dict[AssetId, int] = {}
        self._loose_in, self._loose_out = set(loose), set(loose)

    def size_up(self, gain: Gain, least: int) -> int:
        """The most raw units a sale can take whose gain, gas left out, is at least `least`."""
        given, got = gain.sale.pair
        v_in, found = self._value[given], self._caps.get(given, 0)
        for part in _LOWER:
            lower = v_in - v_in // part
            if 0 < lower < v_in:
                at = {given: lower, got: self._value[got]}
                room = gain_of(gain.sale, self._ends, at, self._caps).gross - least
                found = min(found, max(-(-room // (v_in - lower)), 0))
        return found

    def add(self, sale: Sale, size: int | None, first: float) -> None:
        """Counts a sale of at most `size` raw units whose first unit is worth `first` more, as a logarithm; None: no limit is known."""
        given, got = sale.pair
        most = least_of(size, self._caps.get(given))
        if size is None:
            self._loose_out.add(given)
        else:
            self._out[given] = self._out.get(given, 0) + size
        if most is None:
            self._loose_in.add(got)
        else:
            worth = exp(min(first, _HIGHEST)) * (1 + _SURE)
            part = int(worth * (1 << 64)) + 1
            most += free_unit_up(sale.edge.pool, 1)
            self._in[got] = self._in.get(got, 0) - (
                -most * self._value[given] * part // self._value[got] >> 64
            )

    def gone(self, node: AssetId) -> int | None:
        """The most that is sold of an asset; None where that is not known."""
        return None if node in self._loose_out or node in self._ends.targets else self._out.get(node, 0)

    def come(self, node: AssetId) -> int | None:
        """The most that is bought of an asset."""
        return None if node in self._loose_in or node in self._ends.sources else self._in.get(node, 0)


def least_of(one: int | None, other: int | None) -> int | None:
    """The smaller of two limits, either of which may be none."""
    return one if other is None else other if one is None else min(one, other)


def idle_size_up(lost: int, v_in: int, first: float) -> int | None:
    """The most raw units sold where the first one already loses, the logarithm of its worth being `first` < 0, for at most `lost`.

    None where that is no limit worth having.
    """
    if first > -_FLAT:
        return None
    return int(lost / v_in / -expm1(first) * (1 + _SURE)) + 1


def bought_up(gross: int, most: int, v_out: int, first: float) -> int:
    """What a sale gains at most that buys at most `most` raw units of an asset worth `v_out`: `first` is as above, and positive."""
    share = -expm1(-max(first, 0.0)) * (1 + _SURE) + _SURE * _SURE
    part = int(share * (1 << 64)) + 1
    return min(gross, -(-v_out * most * part >> 64))


def whole_up(most: int, v_in: int, first: float) -> int:
    """What a sale of `most` raw units gains at most: every one as much as the first; `first` as above."""
    part = int(expm1(min(max(first, 0.0), _HIGHEST)) * (1 + _SURE) * (1 << 64)) + (1 << 32)
    return -(-most * v_in * part >> 64)


__all__ = ["Through", "bought_up", "idle_size_up", "least_of", "whole_up"]
