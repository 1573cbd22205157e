"""The paper exchange in Binance USD-M's dialect: contracts, positions, time in force, the countdown that cancels, listen keys."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp import web

from agent.app.testvenue import usdm_wire, wire
from agent.app.testvenue.auth import account_of
from agent.app.testvenue.futures import FuturesEngine, futures_of
from agent.app.testvenue.server import Params, Route, Server, signed_route
from agent.app.testvenue.spec import VenueError
from agent.app.testvenue.streams import Words, encoded
from agent.app.testvenue.usdm_algo import AlgoDoors
from agent.app.testvenue.venue import Account

API = "/fapi"
WEEK_MS = 7 * 86_400_000


class UsdmServer(Server):
    """Over a `FuturesEngine`."""

    words: Words = usdm_wire

    @property
    def engine(self) -> FuturesEngine:
        return futures_of(self.venue.engine)

    def _routes(self) -> list[Route]:
        self.countdowns: dict[tuple[str, str], int] = {}
        self.algos = algos = AlgoDoors(self.venue)

        def public(name: str, path: str, weight: int, run: Callable[[Params, Account | None], Any]) -> Route:
            return Route(name, "GET", f"{API}/{path}", weight, False, run)

        def signed(
            name: str, method: str, path: str, weight: int, run: Callable[[Params, Account], Any]
        ) -> Route:
            return signed_route(name, method, f"{API}/{path}", weight, run)

        return [
            public("ping", "v1/ping", 1, lambda p, a: {}),
            public("time", "v1/time", 1, lambda p, a: {"serverTime": self.venue.now_ms()}),
            public("exchangeInfo", "v1/exchangeInfo", 1, self.exchange_info),
            public("depth.rest", "v1/depth", 20, self.depth),
            public("fundingRate", "v1/fundingRate", 1, self.funding_rate),
            signed("order.place", "POST", "v1/order", 1, self.place),
            signed("order.amend", "PUT", "v1/order", 1, self.change),
            signed("order.query", "GET", "v1/order", 1, self.query),
            signed("order.cancel", "DELETE", "v1/order", 1, self.cancel),
            signed("openOrders", "GET", "v1/openOrders", 1, self.open_orders),
            signed("openOrders.cancel", "DELETE", "v1/allOpenOrders", 1, self.cancel_all),
            signed("countdown", "POST", "v1/countdownCancelAll", 10, self.countdown),
            signed("algo.place", "POST", "v1/algoOrder", 1, algos.place),
            signed("algo.query", "GET", "v1/algoOrder", 1, algos.query),
            signed("algo.cancel", "DELETE", "v1/algoOrder", 1, algos.cancel),
            signed("algo.open", "GET", "v1/openAlgoOrders", 1, algos.opened),
            signed("myTrades", "GET", "v1/userTrades", 5, self.my_trades),
            signed("balance", "GET", "v3/balance", 5, self.balance),
            signed("positions", "GET", "v3/positionRisk", 5, self.position_risk),
            signed("accountConfig", "GET", "v1/accountConfig", 5, self.account_config),
            signed("symbolConfig", "GET", "v1/symbolConfig", 5, self.symbol_config),
            signed("leverageBracket", "GET", "v1/leverageBracket", 1, self.brackets),
            signed("commissionRate", "GET", "v1/commissionRate", 20, self.commission_rate),
        ]

    def weight_of(self, route: Route, query: Mapping[str, str]) -> int:
        if route.name == "openOrders" and "symbol" not in query:
            return 40
        if route.name == "depth.rest":
            limit = int(query["limit"]) if query.get("limit", "").isdecimal() else 500
            return next((weight for most, weight in ((50, 2), (100, 5), (500, 10)) if limit <= most), 20)
        return route.weight

    def _streams(self, app: web.Application) -> None:
        for method in ("POST", "PUT", "DELETE"):
            app.router.add_route(method, f"{API}/v1/listenKey", self.listen_key)
        for kind in ("public", "private", "market"):
            app.router.add_get(f"/{kind}/ws/{{stream}}", self.raw_stream)
            app.router.add_get(f"/{kind}/ws", self.raw_stream)
            app.router.add_get(f"/{kind}/stream", self.combined_stream)
        app.router.add_route("*", "/sapi/{rest:.*}", self.not_permitted)

    def sweep(self) -> None:
        now_ms = self.venue.now_ms()
        for (account, symbol), until_ms in list(self.countdowns.items()):
            if until_ms <= now_ms:
                del self.countdowns[account, symbol]
                for order in self.engine.open_orders(account, symbol):
                    self.venue.cancel(order)
        for order in [o for o in self.engine.orders.values() if o.is_open and 0 < o.good_till_ms <= now_ms]:
            self.venue.expire(order)

    def answered(self, told: Any) -> web.Response:
        return web.Response(text=encoded(told), content_type="application/json")

    # market

    def exchange_info(self, params: Params, _: Account | None) -> Any:
        specs = list(self.engine.specs.values())
        return usdm_wire.exchange_info(
            specs, self.venue.now_ms(), self.limits.weight_limit, self.limits.order_limit
        )

    def depth(self, params: Params, _: Account | None) -> Any:
        symbol = wire.symbol_of(self.engine, params)
        limit = min(wire.integer(params, "limit", 500) or 500, 1_000)
        return usdm_wire.depth_json(self.engine.books[symbol], limit, self.venue.now_ms())

    def funding_rate(self, params: Params, _: Account | None) -> Any:
        symbol, since = wire.symbol_of(self.engine, params), wire.integer(params, "startTime", 0) or 0
        limit = min(wire.integer(params, "limit", 100) or 100, 1_000)
        rows = [row for row in self.engine.funding.get(symbol, []) if row[0] >= since]
        return [
            {"symbol": symbol, "fundingRate": f"{rate:f}", "fundingTime": at_ms, "markPrice": f"{mark:f}"}
            for at_ms, rate, mark in (rows[:limit] if since else rows[-limit:])
        ]

    # orders

    def place(self, params: Params, account: Account) -> Any:
        if params.get("newOrderRespType", "ACK") not in ("ACK", "RESULT"):
            raise VenueError(-1130, "Data sent for parameter 'newOrderRespType' is not valid.")
        request = usdm_wire.new_order(
            self.engine, account.key, params, secrets.token_hex(11), self.venue.now_ms()
        )
        try:
            outcome = self.venue.place(request)
        except VenueError as error:
            raise usdm_wire.reworded(error) from None
        assert outcome.order is not None
        told = usdm_wire.order_json(outcome.order)
        if params.get("newOrderRespType", "ACK") == "ACK":
            told |= {"status": "NEW", "executedQty": "0", "cumQuote": "0", "avgPrice": "0"}
        return told

    def change(self, params: Params, account: Account) -> Any:
        order = self._find(params, account, VenueError(-2013, "Order does not exist."))
        if wire.required(params, "side") != order.side:
            raise VenueError(-1117, "Invalid side.")
        qty, px = wire.decimal(params, "quantity"), wire.decimal(params, "price")
        wire.required(params, "quantity"), wire.required(params, "price")
        assert qty is not None and px is not None
        try:
            self.venue.change(order, qty, px)
        except VenueError as error:
            raise usdm_wire.reworded(error) from None
        return usdm_wire.order_json(order)

    def query(self, params: Params, account: Account) -> Any:
        return usdm_wire.order_json(self._find(params, account, VenueError(-2013, "Order does not exist.")))

    def cancel(self, params: Params, account: Account) -> Any:
        order = self._find(params, account, VenueError(-2011, "Unknown order sent."))
        self.venue.cancel(order)
        return usdm_wire.order_json(order)

    def open_orders(self, params: Params, account: Account) -> Any:
        symbol = wire.symbol_of(self.engine, params) if "symbol" in params else None
        found = self.engine.open_orders(account.key, symbol)
        return [usdm_wire.order_json(o) for o in found if not self.algos.waits(o)]

    def cancel_all(self, params: Params, account: Account) -> Any:
        for order in self.engine.open_orders(account.key, wire.symbol_of(self.engine, params)):
            if not self.algos.waits(order):
                self.venue.cancel(order)
        return {"code": 200, "msg": "The operation of cancel all open order is done."}

    def countdown(self, params: Params, account: Account) -> Any:
        symbol, after_ms = wire.symbol_of(self.engine, params), wire.integer(params, "countdownTime")
        if after_ms is None:
            wire.required(params, "countdownTime")
        assert after_ms is not None
        if after_ms:
            self.countdowns[account.key, symbol] = self.venue.now_ms() + after_ms
        else:
            self.countdowns.pop((account.key, symbol), None)
        return {"symbol": symbol, "countdownTime": str(after_ms)}

    # the account

    def my_trades(self, params: Params, account: Account) -> Any:
        """Without a start the last of a week; with one a week from there, and no number beside it."""
        order_id, first = wire.integer(params, "orderId"), wire.integer(params, "fromId")
        start, end = wire.integer(params, "startTime"), wire.integer(params, "endTime")
        if first is not None and (start is not None or end is not None):
            raise VenueError(-1106, "Parameter 'fromId' sent when not required.")
        if start is not None:
            end = min(end if end is not None else start + WEEK_MS, start + WEEK_MS)
        elif first is None and order_id is None:
            start = self.venue.now_ms() - WEEK_MS
        symbol, limit = (
            wire.symbol_of(self.engine, params),
            min(wire.integer(params, "limit", 500) or 500, 1_000),
        )
        found = [
            fill
            for fill in self.engine.fills
            if (fill.account, fill.symbol) == (account.key, symbol)
            and (order_id is None or fill.order_id == order_id)
            and (first is None or fill.trade_id >= first)
            and (start is None or fill.time_ms >= start)
            and (end is None or fill.time_ms <= end)
        ]
        forward = first is not None or "startTime" in params
        return [usdm_wire.trade_json(fill) for fill in (found[:limit] if forward else found[-limit:])]

    def balance(self, params: Params, account: Account) -> Any:
        return usdm_wire.balances_json(self.engine, account.key, self.venue.now_ms())

    def position_risk(self, params: Params, account: Account) -> Any:
        found = usdm_wire.positions_json(self.engine, account.key, self.venue.now_ms())
        return [row for row in found if params.get("symbol", row["symbol"]) == row["symbol"]]

    def account_config(self, params: Params, account: Account) -> Any:
        may = {"canTrade": True, "canDeposit": True, "canWithdraw": False}
        how = {"dualSidePosition": False, "multiAssetsMargin": False, "tradeGroupId": -1}
        return {"feeTier": 0, **may, **how, "updateTime": 0}

    def symbol_config(self, params: Params, account: Account) -> Any:
        symbols = [wire.symbol_of(self.engine, params)] if "symbol" in params else list(self.engine.specs)
        return [usdm_wire.symbol_config_json(self.engine, account.key, symbol) for symbol in symbols]

    def brackets(self, params: Params, account: Account) -> Any:
        return [usdm_wire.brackets_json(symbol) for symbol in self.engine.specs]

    def commission_rate(self, params: Params, account: Account) -> Any:
        rates = {"makerCommissionRate": f"{self.engine.maker_rate:f}", "takerCommissionRate": f"{self.engine.taker_rate:f}"}  # fmt: skip
        return {"symbol": wire.symbol_of(self.engine, params), **rates}

    async def listen_key(self, request: web.Request) -> web.StreamResponse:
        account = account_of(self.venue.accounts, request.headers.get("X-MBX-APIKEY", ""))
        keys = self.hub.listen_keys
        if request.method == "POST":
            return web.json_response({"listenKey": self.hub.listen_key(account.key)})
        mine = next((key for key, who in keys.items() if who == account.key), None)
        if mine is None:
            raise VenueError(-1125, "This listenKey does not exist.")
        if request.method == "DELETE":
            del keys[mine]
            return web.json_response({})
        return web.json_response({"listenKey": mine})
