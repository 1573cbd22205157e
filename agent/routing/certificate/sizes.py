"""How much of an asset a plan can sell on at most, and what that leaves of the sales that buy it.

A sale gains most at one size, and less the further a plan goes beyond it. With the least gain a better plan must still have on it,
T, and any lower price u of what is sold, the gain at size x is at most G(u) - (v - u) x; so x <= (G(u) - T) / (v - u). What is
bought of an asset and not sold on is worth nothing: so no more of it is bought than the sales out of it can take, and a sale
that buys at most y of it gains at most y times what the first unit gains. All rounded up.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import expm1

from agent.domain.instruments import AssetId
from agent.routing.certificate.gains import Ends, Gain, Sale, gain_of

_LOWER = (250, 60, 12)
"""Prices lower by one part in so many are tried."""
_SURE = 1e-9
_FLAT = 1e-7


def size_up(
    gain: Gain, least: int, ends: Ends, value: Mapping[AssetId, int], caps: Mapping[AssetId, int]
) -> int:
    """The most raw units a sale can take whose gain, gas left out, is at least `least`."""
    given, got = gain.sale.pair
    v_in, found = value[given], None
    for part in _LOWER:
        lower = max(v_in - v_in // part, 1)
        if lower == v_in:
            continue
        room = gain_of(gain.sale, ends, {given: lower, got: value[got]}, caps).gross - least
        size = max(-(-room // (v_in - lower)), 0)
        found = size if found is None else min(found, size)
    return caps.get(given, 0) if found is None else found


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


__all__ = ["Sale", "bought_up", "idle_size_up", "size_up"]
