"""The paper exchange in Kraken's dialect: signed posts under a nonce that only grows, ids unique among open orders, the switch that cancels
all, books with their checksum, and executions for whoever shows a token."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web

from agent.app.testvenue import kraken_wire as say
from agent.app.testvenue import wire
from agent.app.testvenue.book import Order
from agent.app.testvenue.engine import Engine
from agent.app.testvenue.limits import Limits
from agent.app.testvenue.server import DATED, Params, Route, Server, signed_route
from agent.app.testvenue.spec import VenueError
from agent.app.testvenue.streams import Connection, encoded
from agent.app.testvenue.venue import Account, Venue
from agent.app.testvenue.wire import Json

API = "/0/private"
PAGE, TRADES_EACH, ORDERS_EACH = 50, 20, 50
MAY = ["query-funds", "query-open-trades", "query-closed-trades", "modify-trades", "close-trades"]


class KrakenServer(Server):
    """Over the engine `QuoteFees`. `may`: what its keys may do; `tokens`: those of the private socket that were given out; `hidden`: orders
    that it does not tell of (yet)."""

    def __init__(self, venue: Venue, limits: Limits | None = None) -> None:
        self.words = self._words = say.Words(venue.engine)
        self.nonces: dict[str, int] = {}
        self.tokens: dict[str, str] = {}
        self.switch: dict[str, int] = {}
        self.may = list(MAY)
        self.addresses: list[str] = []
        self.nonce_window = 0
        self.hidden: set[int] = set()
        super().__init__(venue, limits)

    @property
    def engine(self) -> Engine:
        return self.venue.engine

    def _routes(self) -> list[Route]:
        def public(name: str, run: Callable[[Params, Account | None], Any]) -> Route:
            return Route(name, "GET", f"/0/public/{name}", 1, False, run)

        def private(name: str, method: str, weight: int, run: Callable[[Params, Account], Any]) -> Route:
            return signed_route(name, "POST", f"{API}/{method}", weight, run)

        return [
            public("Time", lambda p, a: {"unixtime": self.venue.now_ms() // 1_000}),
            public("SystemStatus", lambda p, a: {"status": "online", "timestamp": say.stamp(self.venue.now_ms())}),
            public("AssetPairs", lambda p, a: {s.symbol: say.pair_json(s, self.engine) for s in self.engine.specs.values()}),
            private("order.place", "AddOrder", 0, self.add),
            private("order.amend", "AmendOrder", 0, self.amend),
            private("order.cancel", "CancelOrder", 0, self.end),
            private("openOrders.cancel", "CancelAll", 1, self.end_all),
            private("countdown", "CancelAllOrdersAfter", 1, self.end_all_after),
            private("openOrders", "OpenOrders", 1, self.opened),
            private("allOrders", "ClosedOrders", 2, self.closed),
            private("order.query", "QueryOrders", 1, self.orders_by_number),
            private("myTrades", "TradesHistory", 2, self.history),
            private("trades.query", "QueryTrades", 1, self.trades_by_number),
            private("account", "BalanceEx", 1, lambda p, a: say.balances_json(self.engine, a.key)),
            private("key", "GetApiKeyInfo", 1, self.key_info),
            private("token", "GetWebSocketsToken", 1, self.token),
        ]  # fmt: skip

    def weight_of(self, route: Route, query: Any) -> int:
        return route.weight

    def _streams(self, app: web.Application) -> None:
        app.router.add_get("/v2", self.line)
        app.router.add_get("/auth/v2", self.line)
        app.router.add_get("/0/depth", self.levels)
        app.router.add_route("*", f"{API}/{{rest:.*}}", self.not_permitted)

    def answered(self, told: Any) -> web.Response:
        return web.Response(text=encoded({"error": [], "result": told}), content_type="application/json")

    def refused(self, error: VenueError) -> web.Response:
        """In its body: the status says nothing of what the exchange itself refuses."""
        status = error.http if error.http >= 500 else 200
        return web.json_response({"error": [say.reworded(error)]}, status=status)

    async def _question(self, request: web.Request) -> Any:
        """In the body here, beside the nonce."""
        said = parse_qsl(await request.text(), keep_blank_values=True)
        return request.path, *(sorted(pair for pair in said if pair[0] not in (*DATED, "nonce")))

    async def not_permitted(self, request: web.Request) -> web.StreamResponse:
        """Withdrawals, transfers and whatever else there is: the keys here trade and read."""
        return self.refused(VenueError(1, "EGeneral:Permission denied"))

    def sweep(self) -> None:
        for account, at_ms in list(self.switch.items()):
            if at_ms <= self.venue.now_ms():
                del self.switch[account]
                self._end(self.engine.open_orders(account))

    async def _authenticate(self, route: Route, request: web.Request) -> tuple[Params, Account | None]:
        if not route.signed:
            return dict(request.query), None
        body = await request.text()
        params = dict(parse_qsl(body, keep_blank_values=True))
        account = self.venue.accounts.get(request.headers.get("API-Key", ""))
        if account is None:
            raise VenueError(1, "EAPI:Invalid key")
        nonce = params.get("nonce", "")
        hashed = hashlib.sha256((nonce + body).encode()).digest()
        key = base64.b64decode(account.secret)
        wanted = hmac.new(key, request.path.encode() + hashed, hashlib.sha512).digest()
        if not hmac.compare_digest(base64.b64encode(wanted).decode(), request.headers.get("API-Sign", "")):
            raise VenueError(1, "EAPI:Invalid signature")
        if not nonce.isdecimal() or int(nonce) <= self.nonces.get(account.key, 0):
            raise VenueError(1, "EAPI:Invalid nonce")
        self.nonces[account.key] = int(nonce)
        return params, account

    # orders

    def add(self, params: Params, account: Account) -> Json:
        outcome = self.venue.place(say.new_order(self.engine, account.key, params, self.venue.now_ms()))
        assert outcome.order is not None
        told = say.order_json(outcome.order, [])["descr"]
        return {"descr": told, "txid": [say.txid(outcome.order)]}

    def amend(self, params: Params, account: Account) -> Json:
        """Fewer of it at the same price; this engine changes nothing else of what rests."""
        say.in_time(params, self.venue.now_ms())
        order = self._one(params, account)
        qty, px = wire.decimal(params, "order_qty"), wire.decimal(params, "limit_price")
        if qty is None or (px is not None and px != order.px):
            raise VenueError(1, "EOrder:Invalid price")
        self.venue.amend(order, qty)
        return {"amend_id": f"TAMEND-PAPER-{order.order_id:06d}"}

    def end(self, params: Params, account: Account) -> Json:
        self.venue.cancel(self._one(params, account))
        return {"count": 1}

    def end_all(self, params: Params, account: Account) -> Json:
        return {"count": self._end(self.engine.open_orders(account.key))}

    def end_all_after(self, params: Params, account: Account) -> Json:
        after_s, now_ms = int(say.needed(params, "timeout")), self.venue.now_ms()
        if after_s:
            self.switch[account.key] = now_ms + after_s * 1_000
        else:
            self.switch.pop(account.key, None)
        return {"currentTime": say.stamp(now_ms), "triggerTime": say.stamp(now_ms + after_s * 1_000) if after_s else "0"}  # fmt: skip

    def _end(self, orders: list[Order]) -> int:
        for order in orders:
            self.venue.cancel(order)
        return len(orders)

    def _one(self, params: Params, account: Account) -> Order:
        """An open order by either name."""
        mine = self.engine.open_orders(account.key)
        found = [o for o in mine if params.get("txid") == say.txid(o) or params.get("cl_ord_id") == o.cl_ord_id]  # fmt: skip
        if len(found) != 1:
            raise VenueError(1, "EOrder:Unknown order")
        return found[0]

    # what is told

    def _mine(self, account: Account) -> list[Order]:
        mine = (order for order in self.engine.orders.values() if order.account == account.key)
        return [order for order in mine if order.order_id not in self.hidden]

    def _told(self, orders: list[Order], params: Params) -> Json:
        trades = params.get("trades") == "true"
        found: Json = {}
        for order in orders:
            row = say.order_json(order, self.engine.fills_of(order.order_id))
            if not trades:
                del row["trades"]
            found[say.txid(order)] = row
        return found

    def _named(self, orders: list[Order], params: Params) -> list[Order]:
        name = params.get("cl_ord_id")
        return [order for order in orders if name is None or order.cl_ord_id == name]

    def opened(self, params: Params, account: Account) -> Json:
        return {"open": self._told(self._named(self.engine.open_orders(account.key), params), params)}

    def closed(self, params: Params, account: Account) -> Json:
        over = [order for order in self._named(self._mine(account), params) if not order.is_open]
        over.sort(key=lambda order: order.update_ms, reverse=True)
        first = int(params.get("ofs", "0"))
        return {"closed": self._told(over[first : first + PAGE], params)}

    def orders_by_number(self, params: Params, account: Account) -> Json:
        wanted = say.needed(params, "txid").split(",")
        if len(wanted) > ORDERS_EACH:
            raise VenueError(1, "EGeneral:Invalid arguments:txid")
        found = [order for order in self._mine(account) if say.txid(order) in wanted]
        if len(found) < len(set(wanted)):
            raise VenueError(1, "EOrder:Unknown order")
        return self._told(found, params)

    def history(self, params: Params, account: Account) -> Json:
        """The latest first; `start` is left out itself."""
        if params.get("consolidate_taker", "true") != "false":
            raise VenueError(1, "EGeneral:Invalid arguments:consolidate_taker")
        since_ms, first = int(params.get("start", "0")) * 1_000, int(params.get("ofs", "0"))
        mine = [f for f in self.engine.fills if f.account == account.key and f.time_ms > since_ms]
        page = mine[::-1][first : first + PAGE]
        return {"trades": {say.trade_txid(f): say.trade_json(f, self.engine.orders[f.order_id]) for f in page}}  # fmt: skip

    def trades_by_number(self, params: Params, account: Account) -> Json:
        wanted = say.needed(params, "txid").split(",")
        if len(wanted) > TRADES_EACH:
            raise VenueError(1, "EGeneral:Invalid arguments:txid")
        mine = [f for f in self.engine.fills if f.account == account.key and say.trade_txid(f) in wanted]
        return {say.trade_txid(f): say.trade_json(f, self.engine.orders[f.order_id]) for f in mine}

    def key_info(self, params: Params, account: Account) -> Json:
        told: Json = {"apiKeyName": "paper", "apiKey": account.key, "nonce": params["nonce"]}
        told |= {"nonceWindow": self.nonce_window, "permissions": self.may, "ipAllowlist": self.addresses}
        return told | {"validUntil": "0", "queryFrom": "0", "queryTo": "0"}

    def token(self, params: Params, account: Account) -> Json:
        token = secrets.token_urlsafe(24)
        self.tokens[token] = account.key
        return {"token": token, "expires": 900}

    # sockets

    async def levels(self, request: web.Request) -> web.Response:
        """For tests: whole levels of one symbol."""
        return web.json_response(wire.depth_json(self.engine.books[request.query["symbol"]], 1_000))

    async def line(self, request: web.Request) -> web.StreamResponse:
        connection = Connection(web.WebSocketResponse(heartbeat=20))
        return await self.hub.serve(request, connection, self._said)

    def _said(self, connection: Connection, text: str) -> Json:
        try:
            message = json.loads(text)
            method, told = message["method"], message.get("params", {})
            channel = told.get("channel", "")
        except (ValueError, KeyError, TypeError, AttributeError):
            return {"error": "Malformed request", "success": False}
        answer: Json = {"method": method, "result": {"channel": channel}, "success": True}
        if method == "subscribe" and channel == "book":
            self.hub.flush()  # what came before the snapshot is in it
            for name in told.get("symbol", []):
                spec = say.spec_named(self.engine, name)
                connection.streams.add(f"{spec.symbol.lower()}@depth@100ms")
                connection.send("book", self._words.snapshot(spec, self.venue.now_ms()), 0.0)
        elif method == "subscribe" and channel == "executions":
            account = self.tokens.pop(told.get("token", ""), None)
            if account is None:
                return {"method": method, "success": False, "error": "EAuth:Invalid token"}
            connection.account = account
        return answer
