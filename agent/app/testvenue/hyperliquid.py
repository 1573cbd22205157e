"""The paper exchange in Hyperliquid's dialect: actions that an agent wallet signed, questions by address, whole books by WebSocket.

An account's key is its address, its secret the agent wallet's key, from which the server takes no more than whose signatures it heeds.
Each nonce is taken once, and none below the hundred highest; an action is void after its `expiresAfter`. It has spot pairs, or over an
engine of contracts perpetuals, which are margined in its own dollars.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

from aiohttp import web

from agent.app.testvenue import hyperliquid_wire as say
from agent.app.testvenue.book import Order
from agent.app.testvenue.engine import Engine, NewOrder
from agent.app.testvenue.futures import FuturesEngine
from agent.app.testvenue.limits import Limits
from agent.app.testvenue.server import Route, Server
from agent.app.testvenue.spec import SymbolSpec, VenueError
from agent.app.testvenue.streams import Connection, encoded
from agent.app.testvenue.venue import Venue
from agent.app.testvenue.wire import Json
from chains.errors import FairleadError
from keys.curve import SigningKey, recover
from keys.hyperliquid import action_hash, agent_digest

KEPT, PAGE, FUNDING_PAGE, BLOCK_MS, SOON_MS = 100, 2_000, 500, 500, 5_000
DAY_MS = 86_400_000
ASKED = {"orderStatus": "order.query", "frontendOpenOrders": "openOrders", "userFillsByTime": "myTrades", "spotClearinghouseState": "account", "l2Book": "depth.rest"}  # fmt: skip
DONE = {"order": "order.place", "modify": "order.amend", "cancelByCloid": "order.cancel", "scheduleCancel": "schedule"}  # fmt: skip
"""What a fault of the switchboard calls them."""


def on_its_grid(spec: SymbolSpec, perps: bool = False) -> SymbolSpec:
    """A market as this exchange would have it: a price has five digits that count."""
    return replace(spec, tick=say.tick_of(spec, perps), min_notional=Decimal(10))


class HyperliquidServer(Server):
    """Over an `Engine` of coins, or of contracts. Raises ValueError for an account whose secret is no 32 bytes of hex."""

    def __init__(self, venue: Venue, limits: Limits | None = None) -> None:
        self.words = say.Words(venue.engine)
        self.perps = isinstance(venue.engine, FuturesEngine)
        self.agents: dict[str, str] = {}
        self.nonces: dict[str, list[int]] = {}
        self.scheduled: dict[str, int] = {}
        self._block_ms = 0
        super().__init__(venue, limits)
        for account in venue.accounts.values():
            secret = bytes.fromhex(account.secret.removeprefix("0x"))
            if len(secret) != 32:
                raise ValueError(
                    f"the secret of account {account.key} is an agent wallet's key, 32 bytes of hex"
                )
            self.agents[SigningKey(secret).address.lower()] = account.key

    @property
    def engine(self) -> Engine:
        return self.venue.engine

    def _routes(self) -> list[Route]:
        return []

    def _streams(self, app: web.Application) -> None:
        app.router.add_post("/info", self.info)
        app.router.add_post("/exchange", self.exchange)
        app.router.add_get("/ws", self.socket)
        app.router.add_get("/depth", self.levels)

    def refused(self, error: VenueError) -> web.Response:
        return web.Response(status=error.http, text=error.msg)

    def sweep(self) -> None:
        """Blocks: a book is told in each, whether or not it moved; and what was to be cancelled then is."""
        now_ms = self.venue.now_ms()
        for account, at_ms in list(self.scheduled.items()):
            if at_ms <= now_ms:
                del self.scheduled[account]
                for order in self.engine.open_orders(account):
                    self.venue.cancel(order)
        if not 0 <= now_ms - self._block_ms < BLOCK_MS:
            self._block_ms = now_ms
            for symbol in self.engine.specs:
                self.hub.touch(symbol)

    # doors

    async def info(self, request: web.Request) -> web.StreamResponse:
        asked = await self._body(request)
        return await self.through(
            ASKED.get(str(asked.get("type")), "info"),
            (json.dumps(asked),),
            request,
            self._answering(lambda: self._told(asked)),
        )

    async def exchange(self, request: web.Request) -> web.StreamResponse:
        body = await self._body(request)
        action = body.get("action")
        kind = str(action.get("type")) if isinstance(action, dict) else ""
        return await self.through(
            DONE.get(kind, "exchange"),
            (json.dumps(body),),
            request,
            self._answering(lambda: self._done(body)),
        )

    def _answering(self, run: Callable[[], Any]) -> Callable[[], Awaitable[web.Response]]:
        async def answer() -> web.Response:
            self.sweep()
            try:
                return web.Response(text=encoded(run()), content_type="application/json")
            except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError):
                return web.Response(
                    status=422, text="Failed to deserialize the JSON body into the target type"
                )

        return answer

    @staticmethod
    async def _body(request: web.Request) -> dict[str, Any]:
        try:
            found = await request.json()
        except ValueError:
            found = None
        return found if isinstance(found, dict) else {}

    async def levels(self, request: web.Request) -> web.Response:
        """For tests: whole levels of one symbol of the engine's."""
        book = self.engine.books[request.query["symbol"]]
        sides = {"bids": book.bids.levels(), "asks": book.asks.levels()}
        return web.json_response(
            {name: [[str(px), str(qty)] for px, qty in side] for name, side in sides.items()}
        )

    # questions

    def _spec(self, coin: str) -> SymbolSpec:
        return next(spec for spec in self.engine.specs.values() if say.coin_of(spec, self.perps) == coin)

    def _told(self, asked: dict[str, Any]) -> Any:
        engine, user = self.engine, str(asked.get("user", "")).lower()
        match asked["type"]:
            case "spotMeta":
                return say.meta_json([] if self.perps else list(engine.specs.values()))
            case "meta":
                return say.perps_json(list(engine.specs.values()) if self.perps else [])
            case "allMids":
                return {
                    say.coin_of(s, self.perps): say.text(say.mid_of(engine, s)) for s in engine.specs.values()
                }
            case "l2Book":
                spec = self._spec(asked["coin"])
                return say.book_json(engine.books[spec.symbol], spec, self.venue.now_ms(), self.perps)
            case "orderStatus":
                order = self._named(user, asked["oid"])
                if order is None:
                    return {"status": "unknownOid"}
                return {
                    "status": "order",
                    "order": say.state_json(order, engine.specs[order.symbol], self.perps),
                }
            case "userFillsByTime":
                return say.fills_json(engine, user, int(asked["startTime"]), PAGE)
            case "frontendOpenOrders":
                return [
                    say.order_json(one, engine.specs[one.symbol], self.perps)
                    for one in engine.open_orders(user)
                ]
            case "spotClearinghouseState":
                return {"balances": []} if self.perps else say.balances_json(engine, user)
            case "fundingHistory":
                paid = (
                    self.engine.funding.get(self._spec(asked["coin"]).symbol, [])
                    if isinstance(self.engine, FuturesEngine)
                    else []
                )
                due = [one for one in paid if one[0] >= int(asked["startTime"])]
                return [say.funding_json(asked["coin"], *one) for one in due[:FUNDING_PAGE]]
            case "userAbstraction":
                return "disabled"
            case "clearinghouseState":
                if isinstance(engine, FuturesEngine):
                    return say.state_of_perps(engine, user, self.venue.now_ms())
                return say.no_perps(self.venue.now_ms())
        raise ValueError(f"no question of type {asked['type']}")

    def _named(self, account: str, oid: Any) -> Order | None:
        """By number, or by the latest order of that cloid."""
        mine = [
            o
            for o in self.engine.orders.values()
            if o.account == account and oid in (o.order_id, o.cl_ord_id)
        ]
        return mine[-1] if mine else None

    # actions

    def _done(self, body: dict[str, Any]) -> Json:
        action, nonce, expires_ms = body["action"], int(body["nonce"]), body.get("expiresAfter")
        parts = body["signature"]
        raw = bytes.fromhex(parts["r"][2:].zfill(64) + parts["s"][2:].zfill(64)) + bytes((parts["v"],))
        try:
            who = str(
                recover(agent_digest(action_hash(action, nonce, None, expires_ms), mainnet=False), raw)
            ).lower()
        except FairleadError:
            return _err("Unable to recover signer.")
        account, now_ms = self.agents.get(who), self.venue.now_ms()
        if account is None:
            return _err(f"User or API Wallet {who} does not exist.")
        used = self.nonces.setdefault(who, [])
        if nonce in used:
            return _err(f"Invalid nonce: duplicate nonce {nonce}")
        if (len(used) >= KEPT and nonce < used[0]) or not -2 * DAY_MS < nonce - now_ms < DAY_MS:
            return _err("Invalid nonce: too low or too far")
        if expires_ms is not None and now_ms > int(expires_ms):
            return _err("Action expired: expiresAfter is past")
        self.nonces[who] = sorted([*used, nonce])[-KEPT:]
        return self._act(account, action)

    def _act(self, account: str, action: dict[str, Any]) -> Json:
        kind = action["type"]
        if kind == "scheduleCancel":
            at_ms = action.get("time")
            if at_ms is not None and int(at_ms) < self.venue.now_ms() + SOON_MS:
                return _err("Scheduled cancel time too early")
            self.scheduled.pop(account, None)
            if at_ms is not None:
                self.scheduled[account] = int(at_ms)
            return {"status": "ok", "response": {"type": "default"}}
        if kind == "order":
            said = [self._place(account, one) for one in action["orders"]]
        elif kind == "cancelByCloid":
            said = [self._cancel(account, one["cloid"]) for one in action["cancels"]]
        elif kind == "modify":
            ended = self._cancel(account, action["oid"])
            said = [self._place(account, action["order"]) if ended == "success" else ended]
        else:
            return _err(f"Unknown action {kind}")
        return {"status": "ok", "response": {"type": kind, "data": {"statuses": said}}}

    def _place(self, account: str, one: dict[str, Any]) -> Any:
        asset, tif = int(one["a"]), one["t"]["limit"]["tif"]
        spec = list(self.engine.specs.values())[asset - (0 if self.perps else say.FIRST_ASSET)]
        px, side = Decimal(one["p"]), "BUY" if one["b"] else "SELL"
        best = self.engine.books[spec.symbol].other(side).best()
        if tif == "Ioc" and (best is None or (px < best if one["b"] else px > best)):
            return {"error": f"Order could not immediately match against any resting orders. asset={asset}"}
        kind = "LIMIT_MAKER" if tif == "Alo" else "LIMIT"
        request = NewOrder(
            account,
            spec.symbol,
            str(one["c"]),
            side,
            kind,
            say.TIFS.get(tif, "GTC"),
            px,
            Decimal(one["s"]),
            None,
            reduce_only=bool(one["r"]),
        )
        try:
            order = self.venue.place(request).order
        except VenueError as error:
            return {"error": say.refusal(error, asset)}
        assert order is not None
        if order.executed:
            average = order.cum_quote / order.executed
            filled = {"totalSz": say.text(order.executed), "avgPx": f"{average:.6f}", "oid": order.order_id}
            return {"filled": filled}
        return {"resting": {"oid": order.order_id}}

    def _cancel(self, account: str, oid: Any) -> Any:
        order = self._named(account, oid)
        if order is None or not order.is_open:
            return {"error": "Order was never placed, already canceled, or filled."}
        self.venue.cancel(order)
        return "success"

    # streams

    async def socket(self, request: web.Request) -> web.StreamResponse:
        return await self.hub.serve(request, Connection(web.WebSocketResponse(heartbeat=20)), self._said)

    def _said(self, connection: Connection, text: str) -> Json | None:
        if connection.dead:
            return None
        try:
            message = json.loads(text)
            if message["method"] == "ping":
                return {"channel": "pong"}
            asked = message["subscription"]
            kind = asked["type"]
            if kind == "l2Book":
                connection.streams.add(f"{self._spec(asked['coin']).symbol.lower()}@depth@100ms")
                self.hub.touch(self._spec(asked["coin"]).symbol)
            elif kind == "trades":
                connection.streams.add(f"{self._spec(asked['coin']).symbol.lower()}@trade")
            elif kind in ("userFills", "orderUpdates"):
                connection.account = str(asked["user"]).lower()
            else:
                raise ValueError(kind)
        except (ValueError, KeyError, TypeError, StopIteration):
            return say.heard("error", f"Error parsing JSON into valid websocket request: {text[:200]}")
        if kind == "userFills":
            history = say.fills_json(self.engine, connection.account, 0, PAGE)
            connection.answer(encoded(say.heard("userFills", {"isSnapshot": True, "user": connection.account, "fills": history})))  # fmt: skip
        return say.heard("subscriptionResponse", {"method": "subscribe", "subscription": asked})


def _err(what: str) -> Json:
    return {"status": "err", "response": what}
