"""The live market as a shadow must see it: what it would have traded is no longer held, and what it would have got is."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from agent.domain.orders import ChildOrder
from agent.domain.routes import Certificate, Route
from agent.domain.units import raw_down
from agent.execution.deciding import Market
from agent.journal.book import Book
from agent.market.view import MarketView


class ShadowMarket:
    """Implements the desk's Market. `book` is the shadow's own: its holdings are what its fills changed, and nothing else."""

    def __init__(self, live: Market, book: Book) -> None:
        self._live, self._book = live, book

    async def view(self, base: str, quote: str) -> MarketView:
        view = await self._live.view(base, quote)
        held = dict(view.inventory)
        for asset, raw in view.inventory.items():
            changed = self._book.holdings.get(asset, Decimal(0))
            held[asset] = max(raw + raw_down(changed, view.assets[asset].decimals), 0)
        return replace(view, inventory=held)

    def route(self, view: MarketView, child: ChildOrder) -> Route:
        return self._live.route(view, child)

    def proof(self, view: MarketView, child: ChildOrder, route: Route) -> Certificate:
        return self._live.proof(view, child, route)
