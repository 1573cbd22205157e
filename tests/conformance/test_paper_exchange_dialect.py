"""The paper exchange answers as the venue's documentation says: codes, texts, status, headers, payload fields."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from paper import KEY, SECRET, Door, paper

from agent.app.testvenue.limits import Limits

GOOD: dict[str, str] = {
    "symbol": "ETHUSDC",
    "side": "BUY",
    "type": "LIMIT",
    "timeInForce": "GTC",
    "price": "2900.00",
    "quantity": "1",
}
Answer = tuple[int, Any, dict[str, str]]


async def call(
    door: Door, method: str, path: str, params: dict[str, str] | None = None, *, key: str = KEY, secret: str = SECRET,
    at: int = 0, signed: bool = True
) -> Answer:  # fmt: skip
    params = dict(params or {})
    if signed:
        params["timestamp"] = str(time.time_ns() // 1_000_000 + at)
    query = urlencode(params)
    if signed:
        query += "&signature=" + hmac.new(secret.encode(), query.encode(), hashlib.sha256).hexdigest()
    async with aiohttp.ClientSession() as client:
        headers = {"X-MBX-APIKEY": key} if key else {}
        async with client.request(method, f"{door.url}{path}?{query}", headers=headers) as answer:
            return answer.status, await answer.json(), dict(answer.headers)


@pytest.mark.parametrize(
    ("change", "code", "msg"),
    [
        ({"symbol": "NOPE"}, -1121, "Invalid symbol."),
        ({"symbol": ""}, -1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed."),
        ({"side": "HOLD"}, -1117, "Invalid side."),
        ({"type": "STOP"}, -1116, "Invalid orderType."),
        ({"timeInForce": "GTX"}, -1115, "Invalid timeInForce."),
        ({"timeInForce": ""}, -1102, "Mandatory parameter 'timeInForce' was not sent, was empty/null, or malformed."),
        ({"price": "2900.001"}, -1013, "Filter failure: PRICE_FILTER"),
        ({"price": "0"}, -1013, "Filter failure: PRICE_FILTER"),
        ({"quantity": "0.00001"}, -1013, "Filter failure: LOT_SIZE"),
        ({"quantity": "0.00015"}, -1013, "Filter failure: LOT_SIZE"),
        ({"quantity": "100000"}, -1013, "Filter failure: LOT_SIZE"),
        ({"quantity": "0.001"}, -1013, "Filter failure: NOTIONAL"),
        ({"quantity": "0.000000001"}, -1111, "Parameter 'quantity' has too much precision."),
        ({"quantity": "40"}, -2010, "Account has insufficient balance for requested action."),
        ({"type": "LIMIT_MAKER", "price": "3100.00", "timeInForce": None}, -2010, "Order would immediately match and take."),
        ({"type": "MARKET", "timeInForce": None}, -1106, "Parameter 'price' sent when not required."),
        ({"recvWindow": "60001"}, -1131, "'recvWindow' must be less than 60000."),
    ],
)  # fmt: skip
async def test_refusals_of_an_order(change: dict[str, str | None], code: int, msg: str) -> None:
    async with paper() as door:
        params = {k: v for k, v in {**GOOD, **change}.items() if v is not None}
        for path in ("/api/v3/order", "/api/v3/order/test"):
            status, body, _ = await call(door, "POST", path, params)
            assert (status, body) == (400, {"code": code, "msg": msg})
        assert (await door.truth())["orders"] == []


async def test_strange_characters_are_refused_by_name() -> None:
    async with paper() as door:
        for name, value in (("newClientOrderId", "a b"), ("quantity", "1e3"), ("price", "-5")):
            _, body, _ = await call(door, "POST", "/api/v3/order", {**GOOD, name: value})
            assert body["code"] == -1100 and name in body["msg"]


async def test_keys_signatures_and_clocks() -> None:
    async with paper() as door:
        path = "/api/v3/account"
        assert (await call(door, "GET", path, key="!"))[:2] == (
            401,
            {"code": -2014, "msg": "API-key format invalid."},
        )
        refused = {"code": -2015, "msg": "Invalid API-key, IP, or permissions for action."}
        assert (await call(door, "GET", path, key="other-key"))[:2] == (401, refused)
        status, body, _ = await call(door, "GET", path, secret="wrong")
        assert (status, body["code"]) == (400, -1022)
        for at in (-6_000, 3_000):
            assert (await call(door, "GET", path, at=at))[1]["code"] == -1021
        assert (await call(door, "GET", path, {"recvWindow": "10000"}, at=-6_000))[0] == 200
        assert (await call(door, "GET", path, signed=False))[1]["code"] == -1102
        for withdraw in ("/sapi/v1/capital/withdraw/apply", "/sapi/v1/asset/transfer"):
            assert (await call(door, "POST", withdraw, {"coin": "ETH", "amount": "1"}))[:2] == (401, refused)


async def test_no_such_order_and_no_such_open_order() -> None:
    async with paper() as door:
        ghost = {"symbol": "ETHUSDC", "origClientOrderId": "ghost"}
        assert (await call(door, "GET", "/api/v3/order", ghost))[1] == {
            "code": -2013,
            "msg": "Order does not exist.",
        }
        assert (await call(door, "DELETE", "/api/v3/order", ghost))[1] == {
            "code": -2011,
            "msg": "Unknown order sent.",
        }
        assert (await call(door, "DELETE", "/api/v3/openOrders", {"symbol": "ETHUSDC"}))[1]["code"] == -2011


async def test_an_id_is_free_again_once_its_order_has_ended() -> None:
    async with paper() as door:
        named = {**GOOD, "newClientOrderId": "mine"}
        assert (await call(door, "POST", "/api/v3/order", named))[0] == 200
        assert (await call(door, "POST", "/api/v3/order", named))[1] == {
            "code": -2010,
            "msg": "Duplicate order sent.",
        }
        await call(door, "DELETE", "/api/v3/order", {"symbol": "ETHUSDC", "origClientOrderId": "mine"})
        status, body, _ = await call(door, "POST", "/api/v3/order", named)
        assert status == 200 and body["status"] == "NEW"
        _, found, _ = await call(
            door, "GET", "/api/v3/order", {"symbol": "ETHUSDC", "origClientOrderId": "mine"}
        )
        assert found["orderId"] == body["orderId"]


async def test_quote_quantity_spends_no_more_than_it_says() -> None:
    async with paper() as door:
        params = {"symbol": "ETHUSDC", "side": "BUY", "type": "MARKET", "quoteOrderQty": "10000"}
        _, body, _ = await call(door, "POST", "/api/v3/order", params)
        assert body["status"] == "FILLED" and 9_999 < float(body["cummulativeQuoteQty"]) <= 10_000
        assert len({fill["tradeId"] for fill in body["fills"]}) == len(body["fills"]) > 1


async def test_our_own_resting_order_is_not_traded_with() -> None:
    async with paper() as door:
        await call(door, "POST", "/api/v3/order", {**GOOD, "price": "3000.00", "newClientOrderId": "rest"})
        sell = {**GOOD, "side": "SELL", "price": "3000.00", "newClientOrderId": "take", "timeInForce": "IOC"}
        _, body, _ = await call(door, "POST", "/api/v3/order", sell)
        assert body["status"] == "EXPIRED" and body["fills"] == []
        _, rest, _ = await call(
            door, "GET", "/api/v3/order", {"symbol": "ETHUSDC", "origClientOrderId": "rest"}
        )
        assert rest["status"] == "EXPIRED_IN_MATCH"


async def test_weight_is_counted_and_the_stubborn_are_banned() -> None:
    async with paper(Limits(weight_limit=30)) as door:
        for used in ("5", "10", "15"):
            status, _, headers = await call(door, "GET", "/api/v3/depth", {"symbol": "ETHUSDC"}, signed=False)
            assert status == 200 and headers["X-MBX-USED-WEIGHT-1M"] == used
        for _ in range(3):
            await call(door, "GET", "/api/v3/depth", {"symbol": "ETHUSDC"}, signed=False)
        status, body, headers = await call(door, "GET", "/api/v3/ping", signed=False)
        assert (status, body["code"]) == (429, -1003) and int(headers["Retry-After"]) > 0
        for _ in range(10):
            status, body, headers = await call(door, "GET", "/api/v3/ping", signed=False)
        assert status == 418 and "banned" in body["msg"] and int(headers["Retry-After"]) > 0


async def test_orders_are_limited_by_ten_seconds() -> None:
    async with paper(Limits(order_limit=2)) as door:
        codes = [(await call(door, "POST", "/api/v3/order", GOOD))[0] for _ in range(5)]
        assert codes.count(429) >= 1 and codes[0] == 200


async def test_public_streams_carry_depth_trades_and_the_touch() -> None:
    async with paper() as door, aiohttp.ClientSession() as client:
        names = "ethusdc@depth@100ms/ethusdc@trade/ethusdc@bookTicker"
        async with client.ws_connect(f"{door.url}/stream?streams={names}") as ws:
            _, before, _ = await call(door, "GET", "/api/v3/depth", {"symbol": "ETHUSDC"}, signed=False)
            best = before["asks"][0]
            buy = {"symbol": "ETHUSDC", "side": "BUY", "type": "MARKET", "quantity": "0.1"}
            await call(door, "POST", "/api/v3/order", buy)
            seen: dict[str, Any] = {}
            while len(seen) < 3:
                message = json.loads((await ws.receive(timeout=3)).data)
                seen[message["stream"].partition("@")[2]] = message["data"]
        trade, depth, touch = seen["trade"], seen["depth@100ms"], seen["bookTicker"]
        assert (trade["p"], trade["q"], trade["m"]) == (best[0], "0.10000000", False)
        assert depth["U"] == before["lastUpdateId"] + 1 and depth["a"][0][0] == best[0]
        assert (touch["a"], touch["u"]) == (best[0], depth["u"])


async def test_both_ways_to_the_user_data_stream() -> None:
    async with paper() as door, aiohttp.ClientSession() as client:
        _, made, _ = await call(door, "POST", "/api/v3/userDataStream", signed=False)
        key = made["listenKey"]
        assert (await call(door, "PUT", "/api/v3/userDataStream", {"listenKey": key}, signed=False))[0] == 200
        params = {"apiKey": KEY, "timestamp": str(time.time_ns() // 1_000_000)}
        payload = "&".join(f"{name}={params[name]}" for name in sorted(params))
        signature = hmac.new(SECRET.encode(), payload.encode(), hashlib.sha256).hexdigest()
        async with (
            client.ws_connect(f"{door.url}/ws/{key}") as old,
            client.ws_connect(f"{door.url}/ws-api/v3") as new,
        ):
            subscribe = {"id": 7, "method": "userDataStream.subscribe.signature"}
            await new.send_json({**subscribe, "params": {**params, "signature": "00"}})
            refused = await new.receive_json(timeout=3)
            assert (refused["id"], refused["status"], refused["error"]["code"]) == (7, 400, -1022)
            await new.send_json({**subscribe, "params": {**params, "signature": signature}})
            assert (await new.receive_json(timeout=3))["result"] == {"subscriptionId": 0}
            await asyncio.sleep(0.05)
            await call(door, "POST", "/api/v3/order", {**GOOD, "newClientOrderId": "seen"})
            for raw in (await old.receive_json(timeout=3), (await new.receive_json(timeout=3))["event"]):
                assert (raw["e"], raw["x"], raw["X"], raw["c"]) == ("executionReport", "NEW", "NEW", "seen")
            position = await old.receive_json(timeout=3)
            assert position["e"] == "outboundAccountPosition"
            usdc = next(row for row in position["B"] if row["a"] == "USDC")
            assert (usdc["f"], usdc["l"]) == ("97100.00000000", "2900.00000000")
        assert (await call(door, "DELETE", "/api/v3/userDataStream", {"listenKey": "x"}, signed=False))[1][
            "code"
        ] == -1125
