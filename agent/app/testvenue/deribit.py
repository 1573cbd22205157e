"""The paper exchange in Deribit's dialect: JSON-RPC by HTTP with a signature for each request, books by WebSocket.

It has linear perpetuals (`ETH_USDC-PERPETUAL`), inverse ones (`BTC-PERPETUAL`), futures (`ETH_USDC-27DEC30`, whose symbol's base has the date) and combos of them, labels that are not unique, `valid_until`, and lines that are logged on, with
cancel-on-disconnect.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
from collections.abc import Callable
from typing import Any

from aiohttp import web

from agent.app.testvenue import deribit_lists, wire
from agent.app.testvenue import deribit_wire as say
from agent.app.testvenue.book import Order
from agent.app.testvenue.combos import ComboSpec
from agent.app.testvenue.futures import FuturesEngine, futures_of
from agent.app.testvenue.limits import Limits
from agent.app.testvenue.server import Params, Route, Server, signed_route
from agent.app.testvenue.spec import VenueError
from agent.app.testvenue.streams import Connection, encoded
from agent.app.testvenue.venue import Account, Venue
from agent.app.testvenue.wire import Json

API = "/api/v2"
LONGEST_MS = 60_000
LEAST_BEAT_S, MONTH_H = 10, 744
LINE_FAULTS = {
    "error_before": (11_094, "internal_server_error"),
    "error_after": (11_094, "internal_server_error"),
    "limited": (10_028, "too_many_requests"),
    "banned": (10_028, "too_many_requests"),
    "maintenance": (11_051, "system_maintenance"),
}
"""What a fault of the switchboard says on a line."""
_AUTH = re.compile(r"deri-hmac-sha256 id=([^,]+),ts=([0-9]{1,16}),nonce=([^,]+),sig=([0-9a-f]{64})")


class DeribitServer(Server):
    """Over a `FuturesEngine`."""

    def __init__(self, venue: Venue, limits: Limits | None = None) -> None:
        self.words = say.Words(venue.engine)
        self.armed: set[Connection] = set()
        self.sent: dict[Connection, list[str]] = {}
        self.requests: dict[Connection, web.Request] = {}
        self.hearts: dict[Connection, tuple[int, int]] = {}
        self.recent_ms = 86_400_000
        """Trades of an order that are as old are listed apart."""
        super().__init__(venue, limits)

    @property
    def engine(self) -> FuturesEngine:
        return futures_of(self.venue.engine)

    def _routes(self) -> list[Route]:
        def public(name: str, run: Callable[[Params, Account | None], Any]) -> Route:
            return Route(name, "GET", f"{API}/public/{name}", 1, False, run)

        def private(name: str, method: str, run: Callable[[Params, Account], Any]) -> Route:
            return signed_route(name, "GET", f"{API}/private/{method}", 1, run)

        return [
            public("get_time", lambda p, a: self.venue.now_ms()),
            public("get_instruments", lambda p, a: [say.instrument_json(s, self.engine) for s in self.engine.specs.values() if p.get("kind", say.kind_of(s)) == say.kind_of(s)]),
            public("get_instrument", lambda p, a: say.instrument_json(say.spec_named(self.engine, p), self.engine)),
            public("get_funding_rate_history", self.funding),
            public("get_combos", lambda p, a: [say.combo_json(s, self.engine) for s in self._combos()]),
            public("get_combo_details", self.combo),
            private("order.place", "buy", lambda p, a: self.order(p, a, "BUY")),
            private("order.place", "sell", lambda p, a: self.order(p, a, "SELL")),
            private("order.amend", "edit_by_label", self.edit),
            private("order.cancel", "cancel", self.cancel),
            private("order.query", "get_order_state_by_label", self.by_label),
            private("openOrders", "get_open_orders", self.open_orders),
            private("myTrades", "get_user_trades_by_order", self.trades_of_order),
            private("myTrades", "get_user_trades_by_instrument_and_time", self.own_trades),
            private("positions", "get_positions", self.positions),
            private("account", "get_account_summaries", lambda p, a: say.summaries_json(self.engine, a.key)),
        ]  # fmt: skip

    def weight_of(self, route: Route, query: Any) -> int:
        return route.weight

    def sweep(self) -> None:
        """Says to each line that asked for it that it lives, every so many milliseconds."""
        now_ms = self.venue.now_ms()
        for connection, (every_ms, due_ms) in list(self.hearts.items()):
            if due_ms <= now_ms:
                self.hearts[connection] = every_ms, now_ms + every_ms
                connection.answer(encoded(say.heartbeat()))

    def _streams(self, app: web.Application) -> None:
        app.router.add_get("/ws/api/v2", self.line)
        app.router.add_get(f"{API}/depth", self.levels)
        app.router.add_route("*", f"{API}/private/{{rest:.*}}", self.not_permitted)

    def answered(self, told: Any) -> web.Response:
        text = encoded({"jsonrpc": "2.0", "result": told})
        return web.Response(text=text, content_type="application/json")

    def refused(self, error: VenueError) -> web.Response:
        told = say.reworded(error)
        return web.Response(
            status=told.http, text=encoded(say.error_json(told)), content_type="application/json"
        )

    async def not_permitted(self, request: web.Request) -> web.StreamResponse:
        """Withdrawals, transfers and whatever else there is: the keys here trade and read."""
        return self.refused(VenueError(13_021, "forbidden", 400))

    async def _authenticate(self, route: Route, request: web.Request) -> tuple[Params, Account | None]:
        params = dict(request.query)
        if not route.signed:
            return params, None
        told = _AUTH.fullmatch(request.headers.get("Authorization", ""))
        account = self.venue.accounts.get(told[1]) if told is not None else None
        if told is None or account is None:
            raise VenueError(13_009, "unauthorized")
        text = f"{told[2]}\n{told[3]}\n{request.method}\n{request.raw_path}\n\n"
        wanted = hmac.new(account.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        if wanted != told[4] or abs(self.venue.now_ms() - int(told[2])) > LONGEST_MS:
            raise VenueError(13_009, "unauthorized")
        return params, account

    def _combos(self) -> list[ComboSpec]:
        return [spec for spec in self.engine.specs.values() if isinstance(spec, ComboSpec)]

    def combo(self, params: Params, account: Account | None) -> Json:
        name = say.needed(params, "combo_id")
        found = next((spec for spec in self._combos() if say.instrument_of(spec) == name), None)
        if found is None:
            raise VenueError(10_020, "invalid_or_unsupported_instrument")
        return say.combo_json(found, self.engine)

    def funding(self, params: Params, account: Account | None) -> list[Json]:
        """A month of hours at the most, as the exchange tells them."""
        spec = say.spec_named(self.engine, params)
        if kind := spec.base.partition("-")[2]:
            raise VenueError(11_050, f"bad_request: {kind} is no perpetual")
        start, end = (int(say.needed(params, name)) for name in ("start_timestamp", "end_timestamp"))
        told = self.engine.funding.get(spec.symbol, [])
        return [say.funding_json(*row) for row in told if start <= row[0] <= end][:MONTH_H]

    # orders

    def order(self, params: Params, account: Account, side: str) -> Json:
        if "linked_order_type" in params:
            placed = deribit_lists.place(self.venue, params, account, side)
            return self._placed(placed)
        spec = say.spec_named(self.engine, params)
        number = say.named(f"{spec.settle}-{self.engine.next_order_id}", params.get("label", ""))
        request = say.new_order(self.engine, account.key, params, side, number, self.venue.now_ms())
        outcome = self.venue.place(request)
        assert outcome.order is not None
        return self._placed(outcome.order)

    def edit(self, params: Params, account: Account) -> Json:
        say.in_time(params, self.venue.now_ms())
        found = [o for o in self._labelled(params, account) if o.is_open]
        if len(found) != 1:
            raise VenueError(-2011, "Unknown order sent.")
        before = len(self.engine.fills)
        say.needed(params, "amount")
        qty, px = wire.decimal(params, "amount"), say.price(params, self.engine.specs[found[0].symbol])
        assert qty is not None
        self.venue.change(found[0], qty, px)
        return self._placed(found[0], before)

    def cancel(self, params: Params, account: Account) -> Json:
        order = self._numbered(params, account)
        if not order.is_open:
            raise VenueError(-2013, "Order does not exist.")
        self.venue.cancel(order)
        return self._order(order)

    def by_label(self, params: Params, account: Account) -> list[Json]:
        say.needed(params, "currency")
        found = self._labelled(params, account)
        waited = [
            say.condition_json(o, self.engine.specs[o.symbol])
            for o in found
            if say.condition_of(o) and o.triggered
        ]
        return [*(self._order(order) for order in found), *waited]

    def open_orders(self, params: Params, account: Account) -> list[Json]:
        return [self._order(order) for order in self.engine.open_orders(account.key)]

    def trades_of_order(self, params: Params, account: Account) -> list[Json]:
        """Recent ones, or with `historical` the others alone."""
        recent_ms = self.venue.now_ms() - self.recent_ms
        told = self._trades(self._numbered(params, account))
        return [
            row
            for row in told
            if (int(str(row["timestamp"])) <= recent_ms) is (params.get("historical") == "true")
        ]

    def own_trades(self, params: Params, account: Account) -> Json:
        spec = say.spec_named(self.engine, params)
        start, end = (int(say.needed(params, name)) for name in ("start_timestamp", "end_timestamp"))
        count = min(int(params.get("count", "10")), 1_000)
        fills = [
            f
            for f in self.engine.fills
            if (f.account, f.symbol) == (account.key, spec.symbol) and start <= f.time_ms <= end
        ]
        if params.get("sorting") != "asc":
            fills.reverse()
        told = [say.whole_json(f, self.engine.orders[f.order_id], self.engine) for f in fills[:count]]
        return {"trades": told, "has_more": len(fills) > count}

    def positions(self, params: Params, account: Account) -> list[Json]:
        specs = self.engine.specs.values()
        return [say.position_json(self.engine, account.key, s) for s in specs if not isinstance(s, ComboSpec)]

    def _labelled(self, params: Params, account: Account) -> list[Order]:
        label = say.needed(params, "label")
        mine = (o for o in self.engine.orders.values() if o.account == account.key)
        return [o for o in mine if say.label_of(o) == label]

    def _numbered(self, params: Params, account: Account) -> Order:
        number = say.needed(params, "order_id")
        mine = (o for o in self.engine.orders.values() if o.account == account.key)
        found = next((o for o in mine if number in (say.number_of(o), say.condition_of(o), say.secondary_of(o, self.engine))), None)  # fmt: skip
        if found is None:
            raise VenueError(-2011, "Unknown order sent.")
        return found

    def _order(self, order: Order) -> Json:
        return say.standing_json(order, self.engine)

    def _trade(self, fill: Any, order: Order) -> Json:
        return say.trade_json(fill, order, self.engine.specs[order.symbol])

    def _trades(self, order: Order, since: int = 0) -> list[Json]:
        mine = (
            f for f in self.engine.fills[since:] if (f.order_id, f.symbol) == (order.order_id, order.symbol)
        )
        return [self._trade(fill, order) for fill in mine]

    def _placed(self, order: Order, since: int = 0) -> Json:
        return {"order": self._order(order), "trades": self._trades(order, since)}

    # books

    async def levels(self, request: web.Request) -> web.Response:
        """For tests: whole levels of one symbol of the engine's."""
        book = self.engine.books[request.query["symbol"]]
        return web.json_response(wire.depth_json(book, 1_000))

    async def line(self, request: web.Request) -> web.StreamResponse:
        connection = Connection(web.WebSocketResponse(heartbeat=20))
        self.requests[connection] = request
        try:
            return await self.hub.serve(request, connection, self._said)
        except ConnectionError:  # a line that broke is answered to nobody
            return connection.ws
        finally:
            del self.requests[connection]
            self.hearts.pop(connection, None)
            sent = self.sent.pop(connection, [])
            if connection in self.armed:
                self.armed.discard(connection)
                mine = [o for o in self.engine.orders.values() if say.number_of(o) in sent and o.is_open]
                for order in mine:
                    self.venue.cancel(order)

    def _said(self, connection: Connection, text: str) -> Json | str | None:
        if connection.dead:  # half-open: what is said reaches nobody
            return None
        try:
            message = json.loads(text, parse_float=str, parse_int=str)
            method, told = message["method"], message.get("params", {})
            channels = [str(one) for one in told.get("channels", [])]
            params = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in told.items()}  # fmt: skip
            number = int(message.get("id", "0"))
        except (ValueError, KeyError, TypeError, AttributeError):
            return say.error_json(VenueError(11_050, "bad_request"))
        route = next((r for r in self.routes if r.signed and r.path == f"{API}/{method}"), None)
        if route is not None and connection.account:
            return self._over_the_line(connection, route, params, number)
        return self._answer_to(number, lambda: self._asked(connection, method, params, channels))

    @staticmethod
    def _answer_to(number: int, asked: Callable[[], Any]) -> Json:
        told: Json = {"jsonrpc": "2.0", "id": number}
        try:
            return {**told, "result": asked()}
        except VenueError as error:
            return {**told, **say.error_json(say.reworded(error)), "id": number}

    def _asked(self, connection: Connection, method: str, params: Params, channels: list[str]) -> Any:
        if method == "public/set_heartbeat":
            interval = params.get("interval", "")
            if not interval.isdecimal() or int(interval) < LEAST_BEAT_S:
                raise VenueError(11_050, "bad_request: interval")
            every_ms = int(interval) * 1_000
            self.hearts[connection] = every_ms, self.venue.now_ms() + every_ms
            return "ok"
        if method == "public/test":
            return {"version": "paper"}
        if method == "public/subscribe":
            self._follow(connection, channels)
            return channels
        if method == "public/auth":
            connection.account = self._logged_on(params).key
            return {"access_token": "x", "expires_in": 900, "scope": "trade:read_write", "token_type": "bearer"}  # fmt: skip
        if not connection.account:
            raise VenueError(13_009, "unauthorized")
        if method == "private/subscribe":
            return channels
        if method == "private/enable_cancel_on_disconnect":
            self.armed.add(connection)
            return "ok"
        if method == "private/logout":
            self.armed.discard(connection)
            connection.say("")
            return "ok"
        raise VenueError(13_021, "forbidden")

    def _over_the_line(
        self, connection: Connection, route: Route, params: Params, number: int
    ) -> Json | str | None:
        """The answer on the line, with what befalls it: None where there is none, half of it as text."""
        fault = self.faults.take(route.name)
        kind = fault.kind if fault is not None else ""

        def done() -> Json:
            return self._answer_to(number, lambda: self._run_there(connection, route, params))

        def failed(code: int, msg: str) -> Json:
            return {**say.error_json(VenueError(code, msg)), "id": number}

        if fault is not None and kind in ("late", "delay"):
            wait_s = fault.delay_ms / 1_000 / self.speed
            asyncio.get_running_loop().call_later(wait_s, lambda: connection.answer(encoded(done())))
            return None
        if kind in ("error_before", "limited", "banned", "maintenance"):
            return failed(*LINE_FAULTS[kind])
        if kind.startswith("reset"):
            self._break(connection)
        if kind in ("hang_before", "reset_before"):
            return None
        answer = done()
        if kind == "twice":
            answer = done()
        if kind in ("hang_after", "reset_after"):
            return None
        if kind == "error_after":
            return failed(*LINE_FAULTS[kind])
        text = encoded(answer)
        return text[: len(text) // 2] if kind == "partial" else text

    def _run_there(self, connection: Connection, route: Route, params: Params) -> Any:
        result = route.run(params, self.venue.accounts[connection.account])
        if route.name == "order.place":
            self.sent.setdefault(connection, []).append(result["order"]["order_id"])
        return result

    def _break(self, connection: Connection) -> None:
        asked = self.requests.get(connection)
        if asked is not None and asked.transport is not None:
            asked.transport.abort()

    def _logged_on(self, params: Params) -> Account:
        account = self.venue.accounts.get(params.get("client_id", ""))
        text = f"{params.get('timestamp', '')}\n{params.get('nonce', '')}\n{params.get('data', '')}"
        if account is None or params.get("grant_type") != "client_signature":
            raise VenueError(13_004, "invalid_credentials")
        wanted = hmac.new(account.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
        if (
            wanted != params.get("signature")
            or abs(self.venue.now_ms() - int(params["timestamp"])) > LONGEST_MS
        ):
            raise VenueError(13_004, "invalid_credentials")
        return account

    def _follow(self, connection: Connection, channels: list[str]) -> None:
        named = {say.instrument_of(spec): spec for spec in self.engine.specs.values()}
        for channel in channels:
            kind, _, rest = channel.partition(".")
            spec = named.get(rest.removesuffix(".100ms"))
            if kind == "book" and spec is not None:
                self.hub.flush()  # what came before the snapshot is in it
                connection.streams.add(f"{spec.symbol.lower()}@depth@100ms")
                told = say.snapshot(self.engine.books[spec.symbol], spec, self.venue.now_ms())
                connection.send("book", told, 0.0)
