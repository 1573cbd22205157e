"""A route cut into parts, and the prices a later attribution compares with. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, localcontext

from agent.domain.events import Planned
from agent.domain.ids import part_id
from agent.domain.instruments import AssetId, Place, chain_of
from agent.domain.orders import ChildOrder, Part, Side
from agent.domain.routes import PlaceSummary, Route
from agent.domain.units import WIDE, less_bps_down, plus_bps_down, qty_exact, raw_down
from agent.market.view import MarketView
from chains.types import Protection


def cut(child: ChildOrder, route: Route, view: MarketView, attempt: int = 1) -> tuple[Part, ...]:
    """One part per place, in the order the route first touches them; floors are the plan's outcome less the slippage.

    A purchase that others settle is exact in what comes, all parts together: there the slippage stands on what goes, so that limits,
    reservations and inventory see the most that it can cost.
    """
    exact_out = child.side is Side.BUY and child.protection is Protection.INTENT
    slippage, over = child.max_slippage_bps, _over(child, route, view) if exact_out else {}
    parts = []
    for summary in route.places:
        legs = tuple(i for i, leg in enumerate(route.legs) if leg.place == summary.place)
        out_raw = summary.out_raw - over.get(summary.place, 0)
        parts.append(
            Part(
                cl_ord_id=part_id(child.cl_ord_id, summary.place, attempt),
                child=child.cl_ord_id,
                place=summary.place,
                attempt=attempt,
                asset_in=summary.asset_in,
                asset_out=summary.asset_out,
                in_raw=plus_bps_down(summary.in_raw, slippage) if exact_out else summary.in_raw,
                out_raw=out_raw,
                floor_raw=out_raw if exact_out else less_bps_down(out_raw, slippage),
                legs=legs,
            )
        )
    return tuple(parts)


def _over(child: ChildOrder, route: Route, view: MarketView) -> dict[Place, int]:
    """What the plan buys beyond the order, because what is paid has coarser units: taken off where the most is bought."""

    def bought(summary: PlaceSummary) -> Decimal:
        return qty_exact(summary.out_raw, view.assets[summary.asset_out].decimals)

    with localcontext(WIDE):
        over = sum((bought(summary) for summary in route.places), Decimal(0)) - child.qty
        most = max(route.places, key=bought)
        return {
            most.place: raw_down(
                min(max(over, Decimal(0)), bought(most)), view.assets[most.asset_out].decimals
            )
        }


def planned(child: ChildOrder, route: Route, view: MarketView, at_ns: int) -> Planned:
    selling = child.side is Side.SELL
    weight = total = Decimal(0)
    touches: list[tuple[Place, Decimal]] = []
    native: list[tuple[Place, Decimal]] = []
    with localcontext(WIDE):
        for summary in route.places:
            mid = summary.mid_px if selling else 1 / summary.mid_px
            base = base_qty(child, summary.in_raw, summary.out_raw, summary.asset_in, summary.asset_out, view)
            weight += mid * base
            total += base
            touches.append((summary.place, _touch(summary.place, child, view) or mid))
            if chain_of(summary.place) is not None:
                native.append((summary.place, _native_px(route, child, mid, view)))
        arrival = weight / total
    return Planned(child, route, cut(child, route, view), arrival, tuple(touches), tuple(native), at_ns)


def base_qty(
    child: ChildOrder, in_raw: int, out_raw: int, asset_in: AssetId, asset_out: AssetId, view: MarketView
) -> Decimal:
    """The base quantity of an in/out pair: what is given in a sale, what is received in a purchase."""
    if child.side is Side.SELL:
        return qty_exact(in_raw, view.assets[asset_in].decimals)
    return qty_exact(out_raw, view.assets[asset_out].decimals)


def net_px(child: ChildOrder, route: Route, view: MarketView) -> Decimal:
    """Quote per base with every cost inside."""
    given = qty_exact(route.in_raw, view.assets[route.sell].decimals)
    got = qty_exact(route.net_out_raw, view.assets[route.buy].decimals)
    with localcontext(WIDE):
        if child.side is Side.SELL:
            return got / given
        return given / got if got > 0 else Decimal("Infinity")


def part_px(
    part: Part, side: Side, in_raw: int, out_raw: int, decimals: Mapping[AssetId, int]
) -> Decimal | None:
    """Quote per base of what a part gives and gets; None where either is nothing."""
    if not in_raw or not out_raw:
        return None
    given, got = qty_exact(in_raw, decimals[part.asset_in]), qty_exact(out_raw, decimals[part.asset_out])
    with localcontext(WIDE):
        return got / given if side is Side.SELL else given / got


def _touch(place: Place, child: ChildOrder, view: MarketView) -> Decimal | None:
    """The best price on our side of the place's book; None for pools, whose touch is their mid."""
    for book in view.books:
        if book.place == place:
            levels = book.bids if child.side is Side.SELL else book.asks
            return levels[0][0] if levels else None
    return None


def _native_px(route: Route, child: ChildOrder, mid: Decimal, view: MarketView) -> Decimal:
    """The gas token's price in quote units: by the route's own reference (whole bought per whole gas token)."""
    bought_per_native = 1 / Decimal(
        route.costs.native_px
    )  # native_px: whole gas tokens per whole bought asset
    return bought_per_native if child.side is Side.SELL else bought_per_native * mid
