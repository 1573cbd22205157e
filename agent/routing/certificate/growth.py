"""How much can ever be held on the way, whatever a plan does: what is sold, grown by every sale that pays better than its price.

Plans go forward, so each asset is sold at one moment, after which none of it is held. What is held when it is sold, W by value, grows
then by at most W times what the first unit of its best sale gains; or by all that a sale can gain, where that is less. So with some sales
counted by their rates and the others by their whole gains,

    W <= (value of what is sold + whole gains) * product over assets of (1 + the best rate of its other sales).

Any division will do; the one that proves least is taken. Gas is left out: what a plan pays for it was never held. Pools whose
pairs are counted together gain no more than they do with W held: a W that holds with those gains, holds. All rounded up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import accumulate
from math import exp, log
from typing import NamedTuple

from agent.domain.instruments import AssetId
from agent.routing.certificate.spots import MARGIN

_HIGHEST = 300.0
_SURE = 1e-9
_NEAR = 1e-6
_SHARES = (1024, 32, 2)
"""Of all that is counted together these parts are tried as what it gains with W held."""


class Growth(NamedTuple):
    """One sale: what it can gain at most, the asset it sells, and the logarithm of what its first unit is worth by what it was (None: no
    rate holds for it)."""

    gross: int
    out_of: AssetId
    first: float | None


def grown_up(base: int, sales: Iterable[Growth], together: int, gains: Callable[[int], int]) -> int:
    """The most value ever held by a plan that begins with `base`: both in the same units.

    What is counted together gains `together` at most, and `gains(W)` while no more than W is held.
    """
    ordered = sorted(sales, key=_gross, reverse=True)
    whole = [*accumulate((sale.gross for sale in reversed(ordered)), initial=0)][::-1]
    rates: dict[AssetId, float] = {}
    choices, grows, forced = [(whole[0], 0.0)], 0.0, 0
    # As logarithms: the least of all choices with nothing counted together, and what is held at least.
    least, begins = log(base + whole[0] or 1), log(base or 1)
    for k, sale in enumerate(ordered):
        if sale.first is None:
            forced += sale.gross
        else:
            rate = max(sale.first, 0.0) + MARGIN
            grows += max(rate - rates.get(sale.out_of, 0.0), 0.0)
            rates[sale.out_of] = max(rate, rates.get(sale.out_of, 0.0))
        if grows > _HIGHEST:
            break
        if begins + grows > least + _NEAR:
            # No further one proves less, and with more counted together they fall back still more.
            break
        added = forced + whole[k + 1]
        choices.append((added, grows))
        least = min(least, log(base + added or 1) + grows)

    def most(joint: int) -> int:
        # The least by logarithms is the least but for what floats can err: only those near it are worked out.
        logs = [log(base + joint + added or 1) + growth for added, growth in choices]
        near = min(logs) + _NEAR
        return min(_times_up(base + joint + added, growth) for (added, growth), at in zip(choices, logs, strict=True) if at <= near)  # fmt: skip

    for part in _SHARES:
        joint = together // part
        if joint and gains(most(joint)) <= joint:
            return most(joint)
    return most(together)


def _gross(sale: Growth) -> int:
    return sale.gross


def _times_up(value: int, growth: float) -> int:
    factor = int(exp(growth) * (1 + _SURE) * (1 << 64)) + 1
    return -(-value * factor >> 64)


__all__ = ["Growth", "grown_up"]
