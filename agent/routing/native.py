"""What gas costs in what is bought: the reference price of the market, else marginal prices along its pools or a book's middle."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from agent.amm import Pool
from agent.domain.instruments import AssetId, place_of
from agent.market.view import MarketView
from agent.routing.spot import net_rate, within

Edges = dict[AssetId, list[tuple[Pool, AssetId]]]


def wrapped_of(view: MarketView) -> dict[str, AssetId]:
    """By a chain's own coin as pools may hold it: the asset it is traded as."""
    return {f"{place}/slip44:60": gas.native_as for place, gas in view.gas.items()}


def edges_of(view: MarketView, never: frozenset[str] = frozenset()) -> Edges:
    """By asset the pools that take it, and what they give for it; `never` names kinds or ids of pools left out."""
    wrapped = wrapped_of(view)
    edges: Edges = defaultdict(list)
    for pool in view.pools.values():
        if pool.kind in never or pool.id in never:
            continue
        held = [wrapped.get(asset, AssetId(asset)) for asset in pool.assets]
        for a in held:
            for b in held:
                if a != b:
                    edges[a].append((pool, b))
    return edges


def native_price(view: MarketView, buy: AssetId) -> str:
    """Whole gas tokens per whole unit of `buy`: the reference price, else the best zero-size path over all pools; "0" where neither is."""
    same = view.same(buy)
    natives = {gas.native_as for gas in view.gas.values()}
    for asset in same:
        if asset in view.reference_px_native and view.reference_px_native[asset] > 0:
            return format(view.reference_px_native[asset], "f")
        if asset in natives:
            return "1"
    edges = edges_of(view)
    for asset in same:
        px = zero_size_px(view, edges, asset)
        if px:
            return format(Decimal(repr(px)), "f")
    for book in view.books:
        mid = book.mid_px()
        if mid and (book.quote in same or book.base in same):
            other = book.base if book.quote in same else book.quote
            if natives & set(view.same(other)):
                return format((1 / mid if book.quote in same else mid).quantize(Decimal("1e-18")), "f")
    return "0"


def zero_size_px(view: MarketView, edges: Edges, asset: AssetId, max_hops: int = 3) -> float | None:
    """Whole gas tokens per whole unit of `asset` along the best path of marginal prices on its chain, None without one."""
    gas = view.gas.get(place_of(asset))
    if gas is None:
        return None
    if asset == gas.native_as:
        return 1.0
    best: dict[AssetId, float] = {asset: 1.0}
    ring = {asset: 1.0}
    for _ in range(max_hops):
        reached: dict[AssetId, float] = {}
        for a, rate in ring.items():
            for pool, b in edges.get(a, ()):
                value = rate * net_rate(pool, within(pool, a), within(pool, b))
                if value > best.get(b, 0.0) and value > reached.get(b, 0.0):
                    reached[b] = value
        best.update(reached)
        ring = reached
        # The gas token's own onward edges lead nowhere cheaper, and they are most of a real market.
        ring.pop(gas.native_as, None)
    rate = best.get(gas.native_as, 0.0)
    scale = 10.0 ** (view.assets[asset].decimals - view.assets[gas.native_as].decimals)
    return rate * scale or None
