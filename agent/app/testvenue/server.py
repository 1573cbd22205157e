"""HTTP and WebSocket doors of the paper exchange. Everything that changes goes through Venue; nothing is decided here."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from agent.app.testvenue import wire
from agent.app.testvenue.admin import Admin
from agent.app.testvenue.auth import account_of, check_signed, split_signature
from agent.app.testvenue.book import Order
from agent.app.testvenue.faults import Fault, Faults
from agent.app.testvenue.limits import Limits, TooMany
from agent.app.testvenue.lists import ListDoors, Replaced
from agent.app.testvenue.spec import VenueError, exchange_info
from agent.app.testvenue.streams import Connection, Hub, Words, market_message
from agent.app.testvenue.venue import Account, Venue

Params = dict[str, str]
ORDERS = frozenset({"order.place", "order.replace", "list.oco", "list.oto", "list.otoco"})
DATED = ("timestamp", "recvWindow", "signature")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation: `name` is how a fault calls it, `weight` what it costs, `signed` who may."""

    name: str
    method: str
    path: str
    weight: int
    signed: bool
    run: Callable[[Params, Account | None], Any]


class Server:
    """`speed`: how much quicker its clock goes than the wall's; what is late is late by that clock. `words`: how its streams say things."""

    words: Words = wire

    def __init__(self, venue: Venue, limits: Limits | None = None) -> None:
        self.venue, self.limits, self.faults = venue, limits or Limits(), Faults()
        self.hub = Hub(venue, self.faults, self.words, self.sweep)
        self._last: dict[Any, tuple[int, Any]] = {}
        self.speed, self.fix_port = 1, 0
        real_ms = venue.now_ms
        venue.now_ms = lambda: real_ms() + self.faults.clock_ms
        self.closing = asyncio.Event()
        self.lists = ListDoors(venue, self._find, self._cancel_as)
        self.routes = self._routes()

    def _routes(self) -> list[Route]:
        lists, venue, get, signed = self.lists, self.venue, self._public, self._signed
        return [
            get("ping", "ping", 1, lambda p, a: {}),
            get("time", "time", 1, lambda p, a: {"serverTime": venue.now_ms()}),
            get("exchangeInfo", "exchangeInfo", 20, self.exchange_info),
            get("depth.rest", "depth", 5, self.depth),
            get("trades.rest", "trades", 25, self.trades),
            get("ticker.rest", "ticker/bookTicker", 2, self.ticker),
            signed("order.place", "POST", "order", 1, self.place),
            signed("order.test", "POST", "order/test", 1, self.test),
            signed("order.query", "GET", "order", 4, self.query),
            signed("order.cancel", "DELETE", "order", 1, self.cancel),
            signed("openOrders", "GET", "openOrders", 6, self.open_orders),
            signed("openOrders.cancel", "DELETE", "openOrders", 1, self.cancel_all),
            signed("allOrders", "GET", "allOrders", 20, self.all_orders),
            signed("myTrades", "GET", "myTrades", 20, self.my_trades),
            signed("account", "GET", "account", 20, self.account),
            signed("order.amend", "PUT", "order/amend/keepPriority", 4, lists.amend),
            signed("order.replace", "POST", "order/cancelReplace", 1, lists.replace),
            signed("list.oco", "POST", "orderList/oco", 1, lists.oco),
            signed("list.oto", "POST", "orderList/oto", 1, lists.oto),
            signed("list.otoco", "POST", "orderList/otoco", 1, lists.otoco),
            signed("list.query", "GET", "orderList", 4, lists.query),
            signed("list.cancel", "DELETE", "orderList", 1, lists.cancel),
            signed("list.open", "GET", "openOrderList", 6, lists.opened),
        ]

    async def _name_itself(self, request: web.Request, response: web.StreamResponse) -> None:
        """So that a rehearsal can tell it, and its FIX door, from the exchange whose dialect it speaks."""
        if request.path == "/api/v3/ping":
            response.headers["X-Fairlead-Exchange"] = "paper"
            if self.fix_port:
                response.headers["X-Fairlead-Fix"] = str(self.fix_port)

    @staticmethod
    def _public(name: str, path: str, weight: int, run: Callable[[Params, Account | None], Any]) -> Route:
        return Route(name, "GET", f"/api/v3/{path}", weight, False, run)

    @staticmethod
    def _signed(
        name: str, method: str, path: str, weight: int, run: Callable[[Params, Account], Any]
    ) -> Route:
        return signed_route(name, method, f"/api/v3/{path}", weight, run)

    def sweep(self) -> None:
        """Ends what time ends; called before every request and ten times a second."""

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self._errors])
        for route in self.routes:
            app.router.add_route(route.method, route.path, self._door(route))
        self._streams(app)
        Admin(self.venue, self.hub, self.faults).add_to(app)
        app.on_response_prepare.append(self._name_itself)
        app.cleanup_ctx.append(self._background)
        return app

    def _streams(self, app: web.Application) -> None:
        for method in ("POST", "PUT", "DELETE"):
            app.router.add_route(method, "/api/v3/userDataStream", self.user_data_stream)
        app.router.add_get("/ws/{stream}", self.raw_stream)
        app.router.add_get("/ws", self.raw_stream)
        app.router.add_get("/stream", self.combined_stream)
        app.router.add_get("/ws-api/v3", self.ws_api)
        app.router.add_route("*", "/sapi/{rest:.*}", self.not_permitted)

    async def _background(self, app: web.Application) -> Any:
        task = asyncio.create_task(self.hub.depth_forever())
        app.on_shutdown.append(self._shutdown)
        yield
        task.cancel()

    async def _shutdown(self, app: web.Application) -> None:
        self.closing.set()
        await self.hub.close()

    # doors

    @web.middleware
    async def _errors(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except TooMany as error:
            return _turned_away(error)
        except VenueError as error:
            return _refusal(error)

    def _door(self, route: Route) -> Handler:
        async def door(request: web.Request) -> web.StreamResponse:
            return await self.through(
                route.name, await self._question(request), request, lambda: self._answer(route, request)
            )

        return door

    async def _question(self, request: web.Request) -> Any:
        """What tells one question of a route from another, whenever it is asked."""
        asked = sorted(p for p in request.query.items() if p[0] not in DATED)
        return request.path, *asked

    async def through(
        self, name: str, asked: Any, request: web.Request, answer: Callable[[], Awaitable[web.Response]]
    ) -> web.StreamResponse:
        """What the switchboard makes of a request of that name, after its way here and before its answer's way back; `asked` tells one question
        from another, of which an answer may be stale."""
        await self._travel()
        response = await self._switched(name, asked, request, answer)
        await self._travel()
        return response

    async def _travel(self) -> None:
        if self.hub.latency_s:
            await self._wait(self.hub.latency_s)

    async def _switched(
        self, name: str, asked: Any, request: web.Request, answer: Callable[[], Awaitable[web.Response]]
    ) -> web.StreamResponse:
        fault = self.faults.take(name)
        if fault is not None:
            early = await self._before(fault, request)
            if early is not None:
                return early
        response = await answer()
        known = name, asked
        stale, self._last[known] = self._last.get(known), (response.status, response.body)
        if fault is None:
            return response
        if fault.kind == "stale" and stale is not None:
            return web.Response(status=stale[0], body=stale[1], content_type="application/json")
        if fault.kind == "twice":
            return await answer()
        return await self._after(fault, request, response)

    async def _answer(self, route: Route, request: web.Request) -> web.Response:
        headers: dict[str, str] = {}
        try:
            now_ms = self.venue.now_ms()
            self.sweep()
            self.limits.spend(self.weight_of(route, request.query), now_ms)
            params, account = await self._authenticate(route, request)
            if route.name in ORDERS and account is not None:
                headers["X-MBX-ORDER-COUNT-10S"] = str(self.limits.order(account.key, now_ms))
            response = self.answered(route.run(params, account))
        except TooMany as error:
            response = _turned_away(error)
        except VenueError as error:
            response = self.refused(error)
        except OSError:  # the command log could not be written: nothing took effect
            text = "Internal error; unable to process your request. Please try again."
            response = _refusal(VenueError(-1001, text, 503))
        response.headers.update(headers)
        response.headers["X-MBX-USED-WEIGHT"] = response.headers["X-MBX-USED-WEIGHT-1M"] = str(
            self.limits.weight
        )
        return response

    def weight_of(self, route: Route, query: Mapping[str, str]) -> int:
        """What a request costs; for some it depends on how much is asked."""
        if route.name == "depth.rest":
            limit = int(query["limit"]) if query.get("limit", "").isdecimal() else 100
            return next((weight for most, weight in ((100, 5), (500, 25), (1_000, 50)) if limit <= most), 250)
        if route.name == "openOrders" and "symbol" not in query:
            return 80
        if route.name == "myTrades" and "orderId" in query:
            return 5
        return route.weight

    def answered(self, told: Any) -> web.Response:
        return web.json_response(told)

    def refused(self, error: VenueError) -> web.Response:
        return _refusal(error)

    async def _authenticate(self, route: Route, request: web.Request) -> tuple[Params, Account | None]:
        body = await request.text() if request.body_exists else ""
        params, payload, signature = split_signature(request.url.raw_query_string, body)
        if not route.signed:
            return params, None
        account = account_of(self.venue.accounts, request.headers.get("X-MBX-APIKEY", ""))
        check_signed(account, params, payload, signature, self.venue.now_ms())
        return params, account

    async def _before(self, fault: Fault, request: web.Request) -> web.StreamResponse | None:
        if fault.kind in ("delay", "late"):
            await request.read()
            await self._wait(fault.delay_ms / 1_000 / self.speed)
        elif fault.kind == "hang_before":
            await self._wait(3_600)
            return self.refused(VenueError(fault.code, fault.msg, fault.status))
        elif fault.kind == "error_before":
            return self.refused(VenueError(fault.code, fault.msg, fault.status))
        elif fault.kind == "reset_before":
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)
        elif fault.kind in ("limited", "banned"):
            text = "Too many requests; please use WebSocket Streams for live updates."
            return _turned_away(
                TooMany(429 if fault.kind == "limited" else 418, fault.delay_ms // 1_000, -1003, text)
            )
        elif fault.kind == "maintenance":
            return web.Response(status=503, text="<html>under maintenance</html>", content_type="text/html")
        return None

    async def _after(self, fault: Fault, request: web.Request, response: web.Response) -> web.StreamResponse:
        if fault.kind == "hang_after":
            await self._wait(3_600)
        elif fault.kind == "error_after":
            return self.refused(VenueError(fault.code, fault.msg, fault.status))
        elif fault.kind == "reset_after" and request.transport is not None:
            request.transport.abort()
        elif fault.kind == "partial" and isinstance(response.body, bytes):
            body = response.body[: len(response.body) // 2]
            return web.Response(status=response.status, body=body, content_type="application/json")
        return response

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self.closing.wait()
        except TimeoutError:
            return

    # operations

    def exchange_info(self, params: Params, _: Account | None) -> Any:
        specs = list(self.venue.engine.specs.values())
        if "symbol" in params:
            specs = [self.venue.engine.specs[wire.symbol_of(self.venue.engine, params)]]
        return exchange_info(specs, self.venue.now_ms(), self.limits.weight_limit, self.limits.order_limit)

    def depth(self, params: Params, _: Account | None) -> Any:
        symbol = wire.symbol_of(self.venue.engine, params)
        return wire.depth_json(
            self.venue.engine.books[symbol], min(wire.integer(params, "limit", 100) or 100, 5_000)
        )

    def trades(self, params: Params, _: Account | None) -> Any:
        symbol, limit = (
            wire.symbol_of(self.venue.engine, params),
            min(wire.integer(params, "limit", 500) or 500, 1_000),
        )
        return [wire.public_trade_json(t) for t in self.venue.engine.trades if t.symbol == symbol][-limit:]

    def ticker(self, params: Params, _: Account | None) -> Any:
        if "symbol" not in params:
            return [wire.ticker_json(book) for book in self.venue.engine.books.values()]
        return wire.ticker_json(self.venue.engine.books[wire.symbol_of(self.venue.engine, params)])

    def place(self, params: Params, account: Account) -> Any:
        request = wire.new_order(self.venue.engine, account.key, params, secrets.token_hex(11))
        kind = params.get("newOrderRespType", "ACK" if request.type == "LIMIT_MAKER" else "FULL")
        if kind not in ("ACK", "RESULT", "FULL"):
            raise VenueError(-1130, "Data sent for parameter 'newOrderRespType' is not valid.")
        outcome = self.venue.place(request)
        order = outcome.order
        assert order is not None
        fills = [
            e.fill for e in outcome.executions if e.fill is not None and e.order.order_id == order.order_id
        ]
        return wire.placed_json(order, fills, kind)

    def test(self, params: Params, account: Account) -> Any:
        self.venue.engine.check(wire.new_order(self.venue.engine, account.key, params, secrets.token_hex(11)))
        return {}

    def _cancel_as(self, order: Order, cancel_id: str) -> None:
        self.hub.cancel_ids[order.order_id] = cancel_id

    def _find(self, params: Params, account: Account, missing: VenueError) -> Any:
        symbol = wire.symbol_of(self.venue.engine, params)
        order_id, cl_ord_id = wire.integer(params, "orderId"), params.get("origClientOrderId")
        if order_id is None and not cl_ord_id:
            raise VenueError(
                -1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!"
            )
        order = self.venue.engine.find(account.key, symbol, order_id, cl_ord_id)
        if order is None:
            raise missing
        return order

    def query(self, params: Params, account: Account) -> Any:
        return wire.order_json(self._find(params, account, VenueError(-2013, "Order does not exist.")))

    def cancel(self, params: Params, account: Account) -> Any:
        order = self._find(params, account, VenueError(-2011, "Unknown order sent."))
        cancel_id = params.get("newClientOrderId", secrets.token_hex(11))
        if order.is_open:
            self.hub.cancel_ids[order.order_id] = cancel_id
        self.venue.cancel(order)
        return wire.cancelled_json(order, cancel_id)

    def open_orders(self, params: Params, account: Account) -> Any:
        symbol = wire.symbol_of(self.venue.engine, params) if "symbol" in params else None
        return [wire.order_json(order) for order in self.venue.engine.open_orders(account.key, symbol)]

    def cancel_all(self, params: Params, account: Account) -> Any:
        orders = self.venue.engine.open_orders(account.key, wire.symbol_of(self.venue.engine, params))
        if not orders:
            raise VenueError(-2011, "Unknown order sent.")
        cancel_id = secrets.token_hex(11)
        for order in orders:
            self.venue.cancel(order)
        return [wire.cancelled_json(order, cancel_id) for order in orders]

    def all_orders(self, params: Params, account: Account) -> Any:
        symbol, limit = (
            wire.symbol_of(self.venue.engine, params),
            min(wire.integer(params, "limit", 500) or 500, 1_000),
        )
        first, start = wire.integer(params, "orderId"), wire.integer(params, "startTime", 0) or 0
        found = [
            order
            for order in self.venue.engine.orders.values()
            if order.account == account.key and order.symbol == symbol and order.time_ms >= start
        ]
        chosen = [o for o in found if o.order_id >= first][:limit] if first is not None else found[-limit:]
        return [wire.order_json(order) for order in chosen]

    def my_trades(self, params: Params, account: Account) -> Any:
        symbol, limit = (
            wire.symbol_of(self.venue.engine, params),
            min(wire.integer(params, "limit", 500) or 500, 1_000),
        )
        order_id, first = wire.integer(params, "orderId"), wire.integer(params, "fromId")
        start, end = wire.integer(params, "startTime"), wire.integer(params, "endTime")
        found = [
            fill
            for fill in self.venue.engine.fills
            if fill.account == account.key
            and fill.symbol == symbol
            and (order_id is None or fill.order_id == order_id)
            and (first is None or fill.trade_id >= first)
            and (start is None or fill.time_ms >= start)
            and (end is None or fill.time_ms <= end)
        ]
        forward = first is not None or start is not None
        return [wire.my_trade_json(fill) for fill in (found[:limit] if forward else found[-limit:])]

    def account(self, params: Params, account: Account) -> Any:
        return wire.account_json(self.venue.engine, account.key, self.venue.now_ms())

    async def not_permitted(self, request: web.Request) -> web.StreamResponse:
        """Withdrawals and everything else of the wallet interface: these keys may trade and read, nothing more."""
        raise VenueError(-2015, "Invalid API-key, IP, or permissions for action.", 401)

    # streams

    async def user_data_stream(self, request: web.Request) -> web.StreamResponse:
        """The older way to a user-data stream; the venue itself retired it for `userDataStream.subscribe.signature`."""
        account = account_of(self.venue.accounts, request.headers.get("X-MBX-APIKEY", ""))
        if request.method == "POST":
            return web.json_response({"listenKey": self.hub.listen_key(account.key)})
        body = await request.text() if request.can_read_body else ""
        key = split_signature(request.url.raw_query_string, body)[0].get("listenKey", "")
        if self.hub.listen_keys.get(key) != account.key:
            raise VenueError(-1125, "This listenKey does not exist.")
        if request.method == "DELETE":
            del self.hub.listen_keys[key]
        return web.json_response({})

    async def raw_stream(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info.get("stream", "")
        connection = Connection(web.WebSocketResponse(heartbeat=20))
        if name in self.hub.listen_keys:
            connection.account = self.hub.listen_keys[name]
        elif name:
            connection.streams.add(name)
        return await self.hub.serve(request, connection, market_message)

    async def combined_stream(self, request: web.Request) -> web.StreamResponse:
        names = {name for name in request.query.get("streams", "").split("/") if name}
        connection = Connection(web.WebSocketResponse(heartbeat=20), combined=True, streams=names)
        return await self.hub.serve(request, connection, market_message)

    async def ws_api(self, request: web.Request) -> web.StreamResponse:
        return await self.hub.serve(
            request, Connection(web.WebSocketResponse(heartbeat=20)), self._ws_api_message
        )

    def _ws_api_message(self, connection: Connection, text: str) -> wire.Json:
        try:
            message = json.loads(text)
            method = message["method"]
            params = {name: str(value) for name, value in message.get("params", {}).items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            return {"id": None, "status": 400, "error": {"code": -1135, "msg": "Invalid JSON Request"}}
        number = message.get("id")
        try:
            result = self._ws_api_call(connection, method, params)
        except VenueError as error:
            return {"id": number, "status": error.http, "error": {"code": error.code, "msg": error.msg}}
        return {"id": number, "status": 200, "result": result, "rateLimits": []}

    def _ws_api_call(self, connection: Connection, method: str, params: Params) -> wire.Json:
        if method == "ping":
            return {}
        if method == "userDataStream.subscribe.signature":
            account = account_of(self.venue.accounts, params.get("apiKey", ""))
            signature = params.pop("signature", "")
            payload = "&".join(f"{name}={params[name]}" for name in sorted(params))
            check_signed(account, params, payload, signature, self.venue.now_ms())
            if connection.account:
                raise VenueError(-2035, "User Data Stream subscription already active.")
            connection.account, connection.subscription = account.key, 0
            return {"subscriptionId": 0}
        if method == "userDataStream.unsubscribe":
            connection.account, connection.subscription = "", None
            return {}
        raise VenueError(-1020, "This operation is not supported.")


def signed_route(
    name: str, method: str, path: str, weight: int, run: Callable[[Params, Account], Any]
) -> Route:
    def checked(params: Params, account: Account | None) -> Any:
        assert account is not None  # the door lets nobody else in
        return run(params, account)

    return Route(name, method, path, weight, True, checked)


def _turned_away(error: TooMany) -> web.Response:
    response = _refusal(error)
    response.headers["Retry-After"] = str(error.retry_after_s)
    return response


def _refusal(error: VenueError) -> web.Response:
    more = {"data": error.data} if isinstance(error, Replaced) else {}
    return web.json_response({"code": error.code, "msg": error.msg, **more}, status=error.http)
