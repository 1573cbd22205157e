"""The paper exchange in dYdX's dialect: an indexer that tells, and a node that takes transactions and proves who signed them.

One address stands for both. What the node's check passes is matched at once and told of at once; a block takes `block_ms`. An account's
secret is the hex of its own key; `authenticators` are the keys that it lets sign for it besides. An order that took nothing at once leaves
no trace in the indexer, as in life.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from agent.app.testvenue import dydx_tx, wire
from agent.app.testvenue import dydx_wire as say
from agent.app.testvenue.book import Order
from agent.app.testvenue.dydx_tx import WINDOW_MS, Message, Signed, refused
from agent.app.testvenue.limits import Limits
from agent.app.testvenue.matching import NewOrder
from agent.app.testvenue.server import Params, Route, Server
from agent.app.testvenue.spec import SymbolSpec, VenueError
from agent.app.testvenue.streams import Connection
from agent.app.testvenue.venue import Account, Venue
from agent.app.testvenue.wire import Json
from chains.protobuf import number, one, raw, read, text
from keys.curve import SigningKey

SHORT, LONG = 0, 64
WINDOW_BLOCKS, WINDOW_S = 40, 95 * 86_400
CODES = {-1013: 4, -2010: 3005, -2013: 3006, -2019: 3007, -2022: 2001, -5022: 2003}
MOST_ROWS = 1_000


@dataclass(slots=True, eq=False)
class Line(Connection):
    """Messages of a connection are counted, also those that were lost on their way."""

    count: int = 0

    def missed(self) -> None:
        self.count += 1

    def send(self, stream: str, event: Json, delay_s: float, kind: str = "") -> None:
        numbered = {**event, "message_id": self.count}
        self.count += 1
        Connection.send(self, stream, numbered, delay_s, kind)


@dataclass(slots=True)
class Authenticator:
    kind: str
    config: bytes


class DydxServer(Server):
    """Over a `FuturesEngine`, whose accounts are called by their address."""

    def __init__(
        self, venue: Venue, limits: Limits | None = None, block_ms: int = 1_000, began_ms: int = say.BEGAN_MS
    ) -> None:
        self.said = say.Words(venue.engine, block_ms, began_ms)
        self.words = self.said
        self.engine = self.said.engine
        self.authenticators: dict[tuple[str, int], Authenticator] = {}
        self.sequences: dict[str, list[int]] = {}
        super().__init__(venue, limits)

    def _routes(self) -> list[Route]:
        def get(name: str, path: str, run: Callable[[Params, Account | None], Any]) -> Route:
            return Route(name, "GET", path, 1, False, run)

        def now() -> int:
            return self.venue.now_ms()

        return [
            get("time", "/v4/time", lambda p, a: {"iso": say.iso(now()), "epoch": now() / 1_000}),
            get("height", "/v4/height", lambda p, a: self.said.height_json(now())),
            get("exchangeInfo", "/v4/perpetualMarkets", self.markets),
            get("depth.rest", "/v4/orderbooks/perpetualMarket/{ticker}", self.orderbook),
            get("openOrders", "/v4/orders", self.orders),
            get("order.query", "/v4/orders/{number}", self.order),
            get("myTrades", "/v4/fills", self.fills),
            get("account", "/v4/addresses/{address}/subaccountNumber/{subaccount}", self.subaccount),
            get("abci", "/abci_query", self.abci),
            Route("order.place", "POST", "/", 1, False, self.broadcast),
        ]

    def weight_of(self, route: Route, query: Any) -> int:
        return route.weight

    def _streams(self, app: web.Application) -> None:
        app.router.add_get("/v4/ws", self.line)
        app.router.add_get("/v4/depth", self.levels)

    def refused(self, error: VenueError) -> web.Response:
        told = {"errors": [{"msg": error.msg}]}
        return web.json_response(told, status=error.http)

    async def _authenticate(self, route: Route, request: web.Request) -> tuple[Params, Account | None]:
        """Nothing is secret here: what an account has anybody may ask, and a transaction carries its own proof."""
        params = {**request.query, **request.match_info}
        if route.method == "POST":
            params["body"] = await request.text()
        return params, None

    # what the indexer tells

    def markets(self, params: Params, _: Account | None) -> Json:
        specs = self.engine.specs.values()
        return {"markets": {say.ticker(spec): self.said.market_json(spec) for spec in specs}}

    def orderbook(self, params: Params, _: Account | None) -> Json:
        return self.said.book_json(self.engine.books[self._spec(params["ticker"]).symbol])

    def orders(self, params: Params, _: Account | None) -> list[Json]:
        now_ms, words = self.venue.now_ms(), params.get("status", "").split(",")
        found = [self.said.order_json(o, now_ms) for o in self._mine(params) if self._traced(o)]
        kept = [row for row in found if row["status"] in words or words == [""]]
        return kept[: int(params.get("limit", MOST_ROWS))]

    def order(self, params: Params, _: Account | None) -> Json:
        found = next((o for o in self.engine.orders.values() if self._is(o, params["number"])), None)
        if found is None or not self._traced(found):
            raise VenueError(404, f"Unable to find order id {params['number']}", 404)
        return self.said.order_json(found, self.venue.now_ms())

    def fills(self, params: Params, _: Account | None) -> Json:
        before = params.get("createdBeforeOrAt", "9")
        of = self._spec(params["market"]).symbol if "market" in params else ""
        mine = [
            self.said.fill_json(f)
            for f in reversed(self.engine.fills)
            if f.account == params.get("address") and of in ("", f.symbol)
        ]
        return {
            "fills": [row for row in mine if str(row["createdAt"]) <= before][: int(params.get("limit", 100))]
        }

    def subaccount(self, params: Params, _: Account | None) -> Json:
        if params["address"] not in self.venue.accounts or params["subaccount"] != "0":
            raise VenueError(404, "No subaccount found with this address and number", 404)
        return self.said.subaccount_json(params["address"], self.venue.now_ms())

    def _spec(self, ticker: str) -> SymbolSpec:
        found = next((s for s in self.engine.specs.values() if say.ticker(s) == ticker), None)
        if found is None:
            raise VenueError(400, f"{ticker} is not a valid market")
        return found

    def _mine(self, params: Params) -> list[Order]:
        return [o for o in self.engine.orders.values() if o.account == params.get("address")]

    def _is(self, order: Order, number: str) -> bool:
        return order.account in self.venue.accounts and say.name_of(order).id == number

    @staticmethod
    def _traced(order: Order) -> bool:
        """What took nothing at once leaves no trace."""
        return order.is_open or bool(order.executed) or say.name_of(order).flags == LONG

    # what the node says

    def abci(self, params: Params, _: Account | None) -> Json:
        try:
            asked = read(bytes.fromhex(params.get("data", "").removeprefix("0x")))
            address = one(asked, 1).decode()
        except (ValueError, UnicodeDecodeError):
            return _abci(1, "invalid request")
        if address not in self.venue.accounts:
            return _abci(22, f"rpc error: code = NotFound desc = account {address} not found")
        path = params.get("path", "").strip('"')
        if path == "/cosmos.auth.v1beta1.Query/Account":
            base = text(1, address) + number(3, self._number(address)) + number(4, 7)
            value = raw(1, text(1, "/cosmos.auth.v1beta1.BaseAccount") + raw(2, base))
        elif path == "/dydxprotocol.accountplus.Query/GetAuthenticators":
            rows = [(i, a) for (whose, i), a in self.authenticators.items() if whose == address]
            value = b"".join(raw(1, number(1, i) + text(2, a.kind) + raw(3, a.config)) for i, a in rows)
        else:
            return _abci(6, "unknown query path")
        return _abci(0, "", base64.b64encode(value).decode())

    def _number(self, address: str) -> int:
        return 100 + list(self.venue.accounts).index(address)

    def broadcast(self, params: Params, _: Account | None) -> Json:
        """The node's check of a transaction, and what becomes of it at once."""
        try:
            told = json.loads(params["body"])
            method, tx = told["method"], base64.b64decode(told["params"]["tx"], validate=True)
        except (ValueError, KeyError, TypeError, binascii.Error):
            return {"jsonrpc": "2.0", "id": -1, "error": {"code": -32_700, "message": "Parse error"}}
        if method != "broadcast_tx_sync":
            return {"jsonrpc": "2.0", "id": -1, "error": {"code": -32_601, "message": "Method not found"}}
        try:
            self._taken(tx)
        except VenueError as error:
            code = CODES.get(error.code, error.code)
            space, _sep, log = error.msg.partition(": ") if error.code > 0 else ("clob", "", error.msg)
            return _result(code, space, log)
        return _result(0, "", "[]")

    def _taken(self, tx: bytes) -> None:
        owner = self._owner(tx)
        signed = dydx_tx.opened(tx, self._number(owner))
        self._may(owner, signed)
        message = signed.message
        if message.flags == LONG:
            self._once(owner, signed.sequence)
        spec = next((s for s in self.engine.specs.values() if self.said.pairs[s.symbol] == message.pair), None)  # fmt: skip
        if spec is None or message.subaccount:
            raise refused(8, "ClobPair ID does not reference a valid CLOB", "clob")
        self._lives(message)
        if message.place:
            self._place(message, spec)
        else:
            self._cancel(message)

    def _owner(self, tx: bytes) -> str:
        """Whose transaction it says to be; its proof comes next."""
        owner = dydx_tx.owner_of(tx)
        if owner not in self.venue.accounts:
            raise refused(4, f"account {owner[:60]} does not exist: unauthorized")
        return owner

    def _may(self, owner: str, signed: Signed) -> None:
        self._by_a_key_of_its_own(owner, signed)
        if signed.kind not in (dydx_tx.PLACE, dydx_tx.CANCEL):
            raise refused(6, f"{signed.kind[:80]} is not of this exchange: unknown request")

    def _by_a_key_of_its_own(self, owner: str, signed: Signed) -> None:
        """The account's, or one that it lets sign this."""
        if signed.authenticator is None:
            own = SigningKey(bytes.fromhex(self.venue.accounts[owner].secret)).public
            if signed.public_key != own:
                raise refused(8, "pubKey does not match signer address: invalid pubkey")
            return
        found = self.authenticators.get((owner, signed.authenticator))
        if found is None or not dydx_tx.allowed(found.kind, found.config, signed):
            raise refused(4, f"authenticator {signed.authenticator} failed: unauthorized")

    def _once(self, owner: str, sequence: int) -> None:
        taken = self.sequences.setdefault(owner, [])
        late = abs(self.venue.now_ms() - sequence) > WINDOW_MS
        if sequence < dydx_tx.TIMESTAMPS or late or sequence in taken:
            raise refused(32, f"timestamp nonce {sequence} is not taken: incorrect account sequence")
        taken.append(sequence)
        del taken[:-10_000]

    def _lives(self, message: Message) -> None:
        now_ms = self.venue.now_ms()
        if message.flags == SHORT:
            height = self.said.height(now_ms)
            if message.until <= height:
                raise refused(10, "The next block height is greater than the GoodTilBlock", "clob")
            if message.until > height + WINDOW_BLOCKS:
                raise refused(11, "GoodTilBlock is further than ShortBlockWindow blocks", "clob")
        elif message.flags == LONG:
            if message.until * 1_000 <= now_ms:
                raise refused(3003, "The block time is greater than the GoodTilBlockTime", "clob")
            if message.until * 1_000 > now_ms + WINDOW_S * 1_000:
                raise refused(3004, "GoodTilBlockTime is further than StatefulOrderTimeWindow", "clob")
        else:
            raise refused(3000, "Invalid order flags", "clob")

    def _known(self, message: Message) -> Order | None:
        number = say.order_number(message.owner, message.subaccount, message.client_id, message.pair, message.flags)  # fmt: skip
        return next((o for o in self.engine.orders.values() if self._is(o, number)), None)

    def _place(self, message: Message, spec: SymbolSpec) -> None:
        if message.flags == LONG and message.tif == 1:
            raise refused(3002, "Stateful orders cannot require immediate execution", "clob")
        before = self._known(message)
        if before is not None and message.flags == LONG:
            raise refused(3005 if before.is_open else 3009, "Existing stateful order", "clob")
        if before is not None:
            raise refused(2004, "IOC order is already filled, remaining size is cancelled", "clob")
        number = say.order_number(message.owner, message.subaccount, message.client_id, message.pair, message.flags)  # fmt: skip
        height = self.said.height(self.venue.now_ms())
        name = say.Name(number, message.client_id, message.flags, message.until, height)
        tif = {0: "GTC", 1: "IOC", 2: "GTX"}.get(message.tif)
        if tif is None:
            raise refused(42, "Unexpected time in force", "clob")
        px, qty = say.px_of(message.subticks), say.qty_of(message.quantums)
        side = "BUY" if message.buy else "SELL"
        request = NewOrder(
            message.owner, spec.symbol, str(name), side, "LIMIT", tif, px, qty, None, reduce_only=message.reduce_only
        )  # fmt: skip
        try:
            self.venue.place(request)
        except VenueError as error:
            if error.code != -2019 or message.flags == LONG:
                raise  # what takes at once and is not paid for just takes nothing

    def _cancel(self, message: Message) -> None:
        found = self._known(message)
        if found is None or not found.is_open:
            raise refused(3006 if message.flags else 2, "Order does not exist", "clob")
        if message.until < say.name_of(found).until:
            raise refused(29, "the cancel ends before its order", "clob")
        self.venue.cancel(found)

    def sweep(self) -> None:
        """Ends what time ends."""
        now_ms = self.venue.now_ms()
        for account in self.venue.accounts:
            for order in self.engine.open_orders(account):
                if say.name_of(order).until * 1_000 <= now_ms:
                    self.venue.expire(order)

    # lines

    async def levels(self, request: web.Request) -> web.Response:
        """For tests: whole levels of one symbol of the engine's."""
        return web.json_response(wire.depth_json(self.engine.books[request.query["symbol"]], 1_000))

    async def line(self, request: web.Request) -> web.StreamResponse:
        connection = Line(web.WebSocketResponse(heartbeat=20))
        connection.send("", {"type": "connected", "connection_id": "paper"}, 0.0)
        try:
            return await self.hub.serve(request, connection, self._asked)
        except ConnectionError:  # a line that broke is answered to nobody
            return connection.ws

    def _asked(self, connection: Connection, said: str) -> None:
        try:
            message = json.loads(said)
            kind, channel, of = message["type"], message["channel"], str(message.get("id", ""))
            if kind != "subscribe" or channel not in (say.BOOKS, say.TRADES, say.MARKETS, say.ACCOUNTS):
                raise ValueError
            contents = self._begins(connection, channel, of)
        except (ValueError, KeyError, TypeError, VenueError):
            connection.send("", {"type": "error", "message": "Invalid subscription", "connection_id": "paper"}, 0.0)  # fmt: skip
            return
        connection.send("", say.heard(channel, of, contents, "subscribed"), 0.0)

    def _begins(self, connection: Connection, channel: str, of: str) -> Json:
        """What a subscription begins with; what came before is in it."""
        if channel == say.MARKETS:
            return self.markets({}, None)
        if channel == say.ACCOUNTS:
            address, _, subaccount = of.partition("/")
            connection.account = address
            return self.subaccount({"address": address, "subaccount": subaccount}, None)
        symbol = self._spec(of).symbol
        self.hub.flush()
        if channel == say.BOOKS:
            connection.streams.add(f"{symbol.lower()}@depth@100ms")
            return self.said.book_json(self.engine.books[symbol])
        connection.streams.add(f"{symbol.lower()}@trade")
        return {"trades": []}


def _result(code: int, space: str, log: str) -> Json:
    return {"jsonrpc": "2.0", "id": 1, "result": {"code": code, "data": "", "log": log, "codespace": space, "hash": ""}}  # fmt: skip


def _abci(code: int, log: str, value: str = "") -> Json:
    return {"jsonrpc": "2.0", "id": -1, "result": {"response": {"code": code, "log": log, "value": value, "height": "1"}}}  # fmt: skip
