"""A route judged from outside the router: its legs executed again one by one, its inventory, lots, gas and sums."""

from __future__ import annotations

from decimal import Decimal

from agent.amm import Pool, Swapped
from agent.domain.routes import Route
from agent.market.book import buy_base, sell_base
from agent.market.view import MarketView
from agent.routing.graph import swap


def replay(view: MarketView, route: Route) -> int:
    """The bought asset's units that the legs give when they are executed again one by one, by the pools and books alone."""
    states: dict[str, Pool] = dict(view.pools)
    books = {book.id: book for book in view.books}
    purse: dict[str, int] = {}
    same_buy, same_sell = view.same(route.buy), view.same(route.sell)
    for leg in route.legs:
        if leg.asset_in not in same_sell:
            purse[leg.asset_in] = purse.get(leg.asset_in, 0) - leg.in_raw
            assert purse[leg.asset_in] >= 0, "a leg spends what no earlier leg brought"
        if leg.id in books:
            book = books[leg.id]
            base, quote = view.assets[book.base].decimals, view.assets[book.quote].decimals
            fill = (sell_base if book.base == leg.asset_in else buy_base)(book, leg.in_raw, base, quote)
            assert fill is not None and (fill.in_raw, fill.out_raw) == (leg.in_raw, leg.out_raw)
            assert leg.qty == fill.qty and leg.px == fill.px and fill.qty % book.lot == 0
            assert fill.notional >= book.min_notional
        else:
            swapped = swap(states[leg.id], leg.asset_in, leg.asset_out, leg.in_raw)
            assert isinstance(swapped, Swapped) and swapped.complete
            assert (swapped.amount_out, swapped.gas, swapped.fee) == (leg.out_raw, leg.gas, leg.fee_raw)
            states[leg.id] = swapped.after
        purse[leg.asset_out] = purse.get(leg.asset_out, 0) + leg.out_raw
    dec = view.assets[route.buy].decimals
    return sum(raw * 10**dec // 10 ** view.assets[a].decimals for a, raw in purse.items() if a in same_buy)


def check(view: MarketView, route: Route, wanted: int | None) -> None:
    assert replay(view, route) == route.out_raw
    assert route.net_out_raw == route.out_raw - route.costs.gas_raw
    spent: dict[str, int] = {}
    for leg in route.legs:
        if leg.asset_in in view.same(route.sell):
            spent[leg.asset_in] = spent.get(leg.asset_in, 0) + leg.in_raw
    for asset, raw in spent.items():
        assert raw <= view.inventory.get(asset, raw), asset
    assert sum(spent.values()) == route.in_raw
    if wanted is not None:
        dust = sum((2 * book.lot for book in view.books), Decimal(0)) * 10**18
        assert wanted - dust <= route.in_raw <= wanted
    assert sum(p.in_raw for p in route.places) == route.in_raw
    wei = sum(leg.gas * view.gas[leg.place].price_wei for leg in route.legs if leg.gas)
    top, bottom = Decimal(route.costs.native_px).as_integer_ratio()
    assert route.costs.gas_raw == -(-wei * 10**6 * bottom // (10**18 * top))
