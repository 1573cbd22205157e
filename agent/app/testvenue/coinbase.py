"""The paper exchange in Coinbase Advanced Trade's dialect: a token for each method and path, client ids that are taken once for ever, pages by
cursor, books by a line that counts all it says. The secret of an account is its public key in PEM."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from aiohttp import web

from agent.app.testvenue import coinbase_wire as say
from agent.app.testvenue import wire
from agent.app.testvenue.book import Order
from agent.app.testvenue.engine import Engine
from agent.app.testvenue.limits import Limits
from agent.app.testvenue.server import Params, Route, Server, signed_route
from agent.app.testvenue.spec import VenueError
from agent.app.testvenue.streams import Connection
from agent.app.testvenue.venue import Account, Venue
from agent.app.testvenue.wire import Json
from agent.venues import stamp

if TYPE_CHECKING:
    from Crypto.PublicKey.ECC import EccKey

API = "/api/v3/brokerage"
LONGEST_S = 120


@dataclass(slots=True, eq=False)
class Counting(Connection):
    """Counts every message of the line, whatever its channel."""

    said: int = 0

    def send(self, stream: str, event: Json, delay_s: float, kind: str = "") -> None:
        # named, since a dataclass with slots is another class than the one that super() without names would look for
        Connection.send(self, stream, {**event, "sequence_num": self.said}, delay_s, kind)
        self.said += 1


class CoinbaseServer(Server):
    """Over the engine `QuoteFees`. `may`: what its keys may do; `hidden`: orders that it does not tell of (yet)."""

    def __init__(self, venue: Venue, limits: Limits | None = None) -> None:
        self.words = self._words = say.Words(venue.engine)
        self.may = {"can_view": True, "can_trade": True, "can_transfer": False}
        self.page = 250
        self.hidden: set[int] = set()
        super().__init__(venue, limits)

    @property
    def engine(self) -> Engine:
        return self.venue.engine

    def _routes(self) -> list[Route]:
        def public(name: str, path: str, run: Callable[[Params, Account | None], Any]) -> Route:
            return Route(name, "GET", f"{API}/{path}", 1, False, run)

        def private(name: str, method: str, path: str, run: Callable[[Params, Account], Any]) -> Route:
            return signed_route(name, method, f"{API}/{path}", 1, run)

        return [
            public("time", "time", lambda p, a: {"iso": stamp(self.venue.now_ms()), "epochSeconds": str(self.venue.now_ms() // 1_000), "epochMillis": str(self.venue.now_ms())}),
            public("products", "market/products", self.products),
            private("order.place", "POST", "orders", self.create),
            private("order.amend", "POST", "orders/edit", self.edit),
            private("order.cancel", "POST", "orders/batch_cancel", self.end),
            private("openOrders", "GET", "orders/historical/batch", self.listed),
            private("myTrades", "GET", "orders/historical/fills", self.fills),
            private("order.query", "GET", "orders/historical/{order_id}", self.one),
            private("account", "GET", "accounts", self.accounts),
            private("key", "GET", "key_permissions", lambda p, a: {**self.may, "portfolio_uuid": "paper", "portfolio_type": "DEFAULT"}),
        ]  # fmt: skip

    def weight_of(self, route: Route, query: Any) -> int:
        return route.weight

    def _streams(self, app: web.Application) -> None:
        app.router.add_get("/", self.line)
        app.router.add_get("/user", self.line)
        app.router.add_get(f"{API}/depth", self.levels)
        app.router.add_route("*", f"{API}/{{rest:.*}}", self.not_permitted)

    def refused(self, error: VenueError) -> web.Response:
        reason = say.reason_of(error)
        return web.json_response({"error": reason, "message": error.msg}, status=error.http)

    async def not_permitted(self, request: web.Request) -> web.StreamResponse:
        """Transfers, conversions and whatever else there is: the keys here trade and read."""
        return self.refused(VenueError(1, "PERMISSION_DENIED", 403))

    async def _authenticate(self, route: Route, request: web.Request) -> tuple[Params, Account | None]:
        params = {**request.query, **request.match_info}
        if not route.signed:
            return params, None
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        account = self._bearer(bearer, f"{request.method} {request.host}{request.path}")
        if request.method == "POST":
            params["body"] = await request.text()
        return params, account

    def _bearer(self, bearer: str, uri: str) -> Account:
        """Whose token it is, for this method and path ("" for the private socket). Raises VenueError 401."""
        away = VenueError(1, "Unauthorized", 401)
        try:
            head, says, signature = bearer.split(".")
            told, claims = json.loads(_unpadded(head)), json.loads(_unpadded(says))
            account = self.venue.accounts[claims["sub"]]
            now_s = self.venue.now_ms() // 1_000
            dated = claims["nbf"] <= now_s < claims["exp"] <= claims["nbf"] + LONGEST_S
            named = claims["iss"] == "cdp" and told["kid"] == claims["sub"] and claims.get("uri", "") == uri
            sound = _signed(account.secret, told["alg"], f"{head}.{says}".encode(), _unpadded(signature))
        except (ValueError, KeyError, TypeError):
            raise away from None
        if not (dated and named and sound):
            raise away
        return account

    # orders

    def create(self, params: Params, account: Account) -> Json:
        body = _body(params)
        name = body.get("client_order_id")
        known = next((o for o in self._mine(account) if o.cl_ord_id == name), None)
        if known is None:
            try:
                outcome = self.venue.place(say.new_order(self.engine, account.key, body))
            except VenueError as error:
                reason = say.reason_of(error)
                said = {"error": reason, "message": error.msg, "error_details": "", "preview_failure_reason": f"PREVIEW_{reason}", "new_order_failure_reason": "UNKNOWN_FAILURE_REASON"}  # fmt: skip
                return {"success": False, "error_response": said}
            known = outcome.order
        assert known is not None
        told = {"order_id": say.order_id(known), "product_id": body["product_id"], "side": body["side"], "client_order_id": name}  # fmt: skip
        return {"success": True, "success_response": told, "order_configuration": body["order_configuration"]}

    def edit(self, params: Params, account: Account) -> Json:
        """Fewer of it at the same price; this engine changes nothing else of what rests."""
        body = _body(params)
        given = {key: str(value) for key, value in body.items()}
        order = next((o for o in self._mine(account) if say.order_id(o) == body.get("order_id")), None)
        qty, px = wire.decimal(given, "size"), wire.decimal(given, "price")
        try:
            if order is None or qty is None or px != order.px:
                raise VenueError(1, "ORDER_NOT_FOUND" if order is None else "INVALID_EDITED_PRICE")
            self.venue.amend(order, qty)
        except VenueError as error:
            reason = error.msg if error.code == 1 else "INVALID_EDITED_SIZE"
            return {"success": False, "errors": [{"edit_failure_reason": reason}]}
        return {"success": True, "errors": []}

    def end(self, params: Params, account: Account) -> Json:
        found = {say.order_id(order): order for order in self._mine(account)}
        told = []
        for number in _body(params)["order_ids"]:
            order = found.get(number)
            there = order is not None and order.is_open
            if order is not None and there:
                self.venue.cancel(order)
            reason = "UNKNOWN_CANCEL_FAILURE_REASON" if there else "UNKNOWN_CANCEL_ORDER"
            told.append({"success": there, "failure_reason": reason, "order_id": number})
        return {"results": told}

    # what is told

    def _mine(self, account: Account) -> list[Order]:
        mine = (order for order in self.engine.orders.values() if order.account == account.key)
        return [order for order in mine if order.order_id not in self.hidden]

    def _told(self, order: Order) -> Json:
        return say.order_json(order, self.engine.specs[order.symbol], self.engine.fills_of(order.order_id))

    def _page(self, rows: list[Json], params: Params, name: str) -> Json:
        first = int(params.get("cursor") or "0")
        most = min(int(params.get("limit", "100")), self.page)
        more = len(rows) > first + most
        told: Json = {name: rows[first : first + most], "cursor": str(first + most) if more else ""}
        return told if name == "fills" else {**told, "has_next": more, "sequence": "0"}

    def products(self, params: Params, _: Account | None) -> Json:
        specs = self.engine.specs.values()
        rows = [say.product_json(spec, self.engine.books[spec.symbol]) for spec in specs]
        return {"products": rows, "num_products": len(rows)}

    def listed(self, params: Params, account: Account) -> Json:
        """The latest first."""
        start, product = params.get("start_date", ""), params.get("product_ids", "")
        found = [
            row
            for row in map(self._told, self._mine(account)[::-1])
            if params.get("order_status", row["status"]) == row["status"]
            and product in ("", row["product_id"])
            and str(row["created_time"]) >= start
        ]
        return self._page(found, params, "orders")

    def one(self, params: Params, account: Account) -> Json:
        found = next((o for o in self._mine(account) if say.order_id(o) == params["order_id"]), None)
        if found is None:
            raise VenueError(1, "NOT_FOUND", 404)
        return {"order": self._told(found)}

    def fills(self, params: Params, account: Account) -> Json:
        """The latest first."""
        start, orders = params.get("start_sequence_timestamp", ""), params.get("order_ids", "")
        found = []
        for fill in reversed([f for f in self.engine.fills if f.account == account.key]):
            row = say.fill_json(fill, self.engine.orders[fill.order_id], self.engine.specs[fill.symbol])
            if str(row["sequence_timestamp"]) >= start and orders in ("", row["order_id"]):
                found.append(row)
        return self._page(found, params, "fills")

    def accounts(self, params: Params, account: Account) -> Json:
        assets = self.engine.assets_of(account.key)
        return self._page([say.account_json(self.engine, account.key, one) for one in assets], params, "accounts")  # fmt: skip

    # sockets

    async def levels(self, request: web.Request) -> web.Response:
        """For tests: whole levels of one symbol."""
        return web.json_response(wire.depth_json(self.engine.books[request.query["symbol"]], 1_000))

    async def line(self, request: web.Request) -> web.StreamResponse:
        return await self.hub.serve(request, Counting(web.WebSocketResponse(heartbeat=20)), self._heard)

    def _heard(self, connection: Connection, text: str) -> Json:
        """What it answers it tells on the line, where it is counted."""
        try:
            message = json.loads(text)
            kind, channel = message["type"], message["channel"]
        except (ValueError, KeyError, TypeError):
            return {"type": "error", "message": "malformed request"}
        now_ms = self.venue.now_ms()
        if kind != "subscribe":
            return {}
        if channel == "user":
            try:
                connection.account = self._bearer(str(message.get("jwt", "")), "").key
            except VenueError:
                return {"type": "error", "message": "authentication failure"}
            connection.send("user", say.said("user", {"type": "snapshot", "orders": []}, now_ms), 0.0)
        elif channel == "level2":
            self.hub.flush()  # what came before the snapshot is in it
            for product in message.get("product_ids", []):
                spec = say.spec_named(self.engine, product)
                connection.streams.add(f"{spec.symbol.lower()}@depth@100ms")
                connection.send("book", self._words.snapshot(spec, now_ms), 0.0)
        connection.send("subscriptions", say.said("subscriptions", {"subscriptions": {}}, now_ms), 0.0)
        return {}


def _body(params: Params) -> dict[str, Any]:
    try:
        found = json.loads(params["body"])
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise VenueError(1, "INVALID_ARGUMENT")
    return found


def _unpadded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@lru_cache(maxsize=8)
def _key(pem: str) -> EccKey:
    from Crypto.PublicKey import ECC

    return ECC.import_key(pem)


def _signed(pem: str, algorithm: str, text: bytes, signature: bytes) -> bool:
    """ES256 by a P-256 key, EdDSA by an Ed25519 one. Raises ValueError."""
    from Crypto.Hash import SHA256
    from Crypto.Signature import DSS, eddsa

    key = _key(pem)
    if (key.curve, algorithm) == ("NIST P-256", "ES256"):
        DSS.new(key, "fips-186-3").verify(SHA256.new(text), signature)
    elif (key.curve, algorithm) == ("Ed25519", "EdDSA"):
        eddsa.new(key, "rfc8032").verify(text, signature)
    else:
        return False
    return True
