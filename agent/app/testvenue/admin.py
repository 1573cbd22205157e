"""Doors for tests, under /admin: devnet only (the server listens on loopback). Faults, the truth, and the house's hand."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import asdict
from decimal import Decimal
from typing import Any

from aiohttp import web

from agent.app.testvenue import wire
from agent.app.testvenue.book import HOUSE
from agent.app.testvenue.faults import Faults
from agent.app.testvenue.futures import FuturesEngine
from agent.app.testvenue.spec import VenueError
from agent.app.testvenue.streams import Hub
from agent.app.testvenue.venue import Venue


class Admin:
    def __init__(self, venue: Venue, hub: Hub, faults: Faults) -> None:
        self.venue, self.hub, self.faults = venue, hub, faults

    def add_to(self, app: web.Application) -> None:
        app.router.add_get("/admin/truth", self.truth)
        app.router.add_get("/admin/faults", self.list_faults)
        app.router.add_post("/admin/faults", self.add_fault)
        app.router.add_delete("/admin/faults", self.clear_faults)
        app.router.add_post("/admin/house/order", self.house_order)
        app.router.add_post("/admin/house/level", self.house_level)
        app.router.add_post("/admin/tick", self.tick)
        app.router.add_post("/admin/cancel", self.cancel)
        app.router.add_post("/admin/disconnect", self.disconnect)
        app.router.add_post("/admin/balance", self.balance)

    async def truth(self, request: web.Request) -> web.Response:
        """Every order, fill and balance of every account, as the exchange itself knows them."""
        engine = self.venue.engine
        mine = [order for order in engine.orders.values() if order.account != HOUSE]
        return web.json_response(
            {
                "orders": [{"account": o.account, **wire.order_json(o)} for o in mine],
                "trades": [{"account": f.account, **wire.my_trade_json(f)} for f in engine.fills],
                "balances": {
                    key: wire.balances_json(engine, key, "asset", "free", "locked")
                    for key in self.venue.accounts
                },
                "totals": {a: str(engine.total(a)) for a in sorted({asset for _, asset in engine.free})},
                **(
                    {"margin": _margin(engine, self.venue.accounts)}
                    if isinstance(engine, FuturesEngine)
                    else {}
                ),
            }
        )

    async def list_faults(self, request: web.Request) -> web.Response:
        return web.json_response([asdict(fault) for fault in self.faults.active])

    async def add_fault(self, request: web.Request) -> web.Response:
        try:
            return web.json_response(asdict(self.faults.add(await _body(request))))
        except (TypeError, ValueError) as error:
            raise VenueError(-1130, str(error)) from None

    async def clear_faults(self, request: web.Request) -> web.Response:
        self.faults.clear()
        return web.json_response({})

    async def house_order(self, request: web.Request) -> web.Response:
        """An order of somebody else, with the fields of POST /api/v3/order: this is how a resting order gets filled."""
        fields = {"selfTradePreventionMode": "NONE"}
        fields |= {name: str(value) for name, value in (await _body(request)).items()}
        outcome = self.venue.place(
            wire.new_order(self.venue.engine, HOUSE, fields, f"house-{secrets.token_hex(8)}")
        )
        assert outcome.order is not None
        return web.json_response(wire.order_json(outcome.order))

    async def house_level(self, request: web.Request) -> web.Response:
        """{"symbol", "side", "price", "quantity"}: the house stands there with exactly that, from now on."""
        body = await _body(request)
        symbol = wire.symbol_of(self.venue.engine, body)
        px, qty = Decimal(wire.required(body, "price")), Decimal(wire.required(body, "quantity"))
        self.venue.set_level(symbol, wire.required(body, "side"), px, qty)
        return web.json_response({})

    async def tick(self, request: web.Request) -> web.Response:
        self.venue.tick()
        return web.json_response({"tick": self.venue.ticks})

    async def cancel(self, request: web.Request) -> web.Response:
        """{"orderId"}: the exchange ends somebody's order of its own accord."""
        order = self.venue.engine.orders.get(int((await _body(request)).get("orderId", 0)))
        if order is None:
            raise VenueError(-2011, "Unknown order sent.")
        self.venue.cancel(order)
        return web.json_response(wire.order_json(order))

    async def balance(self, request: web.Request) -> web.Response:
        """{"account", "asset", "quantity"}: a deposit by the account's owner or, below zero, what somebody with the account takes out."""
        body = await _body(request)
        account, asset = wire.required(body, "account"), wire.required(body, "asset")
        qty, free = (
            Decimal(wire.required(body, "quantity")),
            self.venue.engine.free.get((account, asset), Decimal(0)),
        )
        if account not in self.venue.accounts or free + qty < 0:
            raise VenueError(-2010, "Account has insufficient balance for requested action.")
        self.venue.engine.deposit(account, asset, qty)
        return web.json_response({"free": str(free + qty)})

    async def disconnect(self, request: web.Request) -> web.Response:
        """Ends every WebSocket connection, as the exchange does once a day."""
        await self.hub.close()
        return web.json_response({})


def _margin(engine: FuturesEngine, accounts: Iterable[str]) -> wire.Json:
    """By account: the contracts of each position and what they cost, and what is free of each asset for more."""
    quotes = {spec.quote for spec in engine.specs.values()}
    return {
        key: {
            "positions": {s: [str(engine.position(key, s).qty), str(engine.position(key, s).cost)] for s in engine.specs},
            "available": {asset: str(engine.available(key, asset)) for asset in quotes},
        }
        for key in accounts
    }  # fmt: skip


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except ValueError:
        raise VenueError(-1135, "Invalid JSON Request") from None
    if not isinstance(body, dict):
        raise VenueError(-1135, "Invalid JSON Request")
    return body
