"""The parts of a desk that meet an exchange of contracts, and a book of what its fills say."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from agent.app.contracts import holdings_of
from agent.app.live_market import LiveMarket
from agent.app.places import Directory
from agent.app.workshop import Workshop
from agent.domain.ids import child_id, parent_id, part_id
from agent.domain.instruments import Asset, AssetId, Place
from agent.domain.orders import ChildOrder, Part, Side, VenueOrder
from agent.domain.reports import Fill
from agent.transport.clock import SystemClock
from chains.types import Protection

D = Decimal
PERP, USDC = AssetId("cex:paper/ETHUSDC"), AssetId("cex:paper/USDC")


def known(perp: AssetId) -> Directory:
    assets = {perp: Asset(perp, "ETH-PERP", 8), USDC: Asset(USDC, "USDC", 8)}
    return Directory({"ETH-PERP": (perp,), "USDC": (USDC,)}, assets)


def settings(perp: AssetId) -> Any:
    return SimpleNamespace(chains=(), venue=lambda name: SimpleNamespace(symbols=(perp.partition("/")[2],)))


class Desk:
    """The parts of a desk that meet a venue, and a book of what its fills say."""

    def __init__(self, venue: Any, perp: AssetId = PERP) -> None:
        async def no_prices() -> tuple[Any, ...]:
            return ()

        self.venue, self.perp, clock = venue, perp, SystemClock()
        self.known = known(perp)
        self.market = LiveMarket(clock, settings(perp), self.known, {}, {"paper": venue}, no_prices)
        self.workshop = Workshop(clock, {}, {"paper": venue}, 60)
        self.names = ("ETH-PERP", "USDC")
        self.booked = {perp: D(0), USDC: D(100_000)}
        self.sent = 0

    async def order(self, side: Side, qty: str) -> VenueOrder:
        """Planned, and prepared as it would be sent."""
        self.sent += 1
        name = child_id(parent_id("i-x"), self.sent)  # type: ignore[arg-type]
        child = ChildOrder(
            name, parent_id("i-x"), self.sent, side, *self.names, D(qty), None, 50, Protection.PRIVATE, 0  # type: ignore[arg-type]
        )  # fmt: skip
        route = self.market.route(await self.market.view(*self.names), child)
        legs = tuple(range(len(route.legs)))
        place = Place("cex:paper")
        part = Part(
            part_id(name, place, 1),
            name,
            place,
            1,
            route.sell,
            route.buy,
            route.in_raw,
            route.out_raw,
            0,
            legs,
        )
        approved: Any = SimpleNamespace(planned=SimpleNamespace(child=child, route=route))
        prepared = await self.workshop.prepare(part, approved, None)  # type: ignore[arg-type]
        assert prepared.order is not None
        return prepared.order

    async def trade(self, side: Side, qty: str) -> None:
        placed = await self.venue.submit(await self.venue.authorize(await self.order(side, qty)))
        assert placed.cum_qty == D(qty)
        for fill in placed.fills:
            self.book(fill)

    def book(self, fill: Fill) -> None:
        self.booked[fill.asset_in] -= fill.qty_in
        self.booked[fill.asset_out] += fill.qty_out
        self.booked[fill.fee_asset] -= fill.fee_qty

    async def there(self) -> dict[AssetId, Decimal]:
        told = {b.asset: b.free + b.locked for b in await holdings_of(self.venue, self.known.assets)}
        return {self.perp: told.get(self.perp, D(0)), USDC: told[USDC]}
