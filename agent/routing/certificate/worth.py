"""What an amount of one asset is worth in the asset bought: by the market's own price of both in gas tokens, else by what one pool gives for it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

from agent.amm import Pool, Reverted, swap_exact_in
from agent.domain.instruments import AssetId
from agent.market.view import MarketView
from agent.routing.certificate.units import wrapped_names


def worth_down(
    view: MarketView, buy: AssetId, native_px: str, asset: AssetId, raw: int, states: Mapping[str, Pool]
) -> int | None:
    """`raw` of `asset` in raw units of `buy`, rounded down; None where nothing tells. `native_px` is whole gas tokens per whole unit of `buy`,
    `states` are pools that are not as in `view` any more.

    Equivalents count at par; an asset with a reference price, or that stands for a gas token, at that; any other at the most that one pool gives for
    all of it in the bought asset or one that has such a price.
    """
    found = _priced(view, buy, native_px, asset, raw)
    if found is not None:
        return found
    wrapped = wrapped_names(view)
    best: int | None = None
    for name, held in view.pools.items():
        pool = states.get(name, held)
        inside = {wrapped.get(other, AssetId(other)): other for other in pool.assets}
        for other, called in inside.items():
            if asset not in inside or other == asset or _priced(view, buy, native_px, other, 1) is None:
                continue
            swapped = swap_exact_in(pool, inside[asset], called, raw)
            if not isinstance(swapped, Reverted) and swapped.complete:
                worth = _priced(view, buy, native_px, other, swapped.amount_out) or 0
                best = worth if best is None else max(best, worth)
    return best


def _priced(view: MarketView, buy: AssetId, native_px: str, asset: AssetId, raw: int) -> int | None:
    scale = Fraction(10 ** view.assets[buy].decimals, 10 ** view.assets[asset].decimals)
    if asset in view.same(buy):
        worth = raw * scale
    else:
        natives = {gas.native_as for gas in view.gas.values()}
        px = Decimal(1) if asset in natives else view.reference_px_native.get(asset)
        bought = Fraction(Decimal(native_px))
        if not px or not bought:
            return None
        worth = raw * scale * Fraction(px) / bought
    return worth.numerator // worth.denominator


__all__ = ["worth_down"]
