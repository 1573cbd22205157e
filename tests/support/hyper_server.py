"""A server in Hyperliquid's dialect with a memory: it recovers who signed, takes each nonce once and none below the hundred highest, keeps orders and fills.

One pair (PURR/USDC, asset 10000) at a fixed book: 20.5 × 5 bid, 21 × 5 asked. Faults: `lose` answers to be swallowed after the
action took effect, `mute` sockets that say nothing, `twice` that say everything twice. With a `wallet` it counts what is held, and refuses
what that does not pay for.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from aiohttp import web

from keys.curve import SigningKey, recover
from keys.hyperliquid import action_hash, agent_digest

AGENT = SigningKey(b"\x07" * 32)
ACCOUNT = "0xabc0000000000000000000000000000000000001"
BID, ASK, DEPTH = Decimal("20.5"), Decimal(21), Decimal(5)
META = {
    "tokens": [
        {"name": "USDC", "szDecimals": 8, "weiDecimals": 8, "index": 0},
        {"name": "PURR", "szDecimals": 2, "weiDecimals": 5, "index": 1},
    ],
    "universe": [{"name": "PURR/USDC", "tokens": [1, 0], "index": 0, "isCanonical": True}],
}


@dataclass
class HyperServer:
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    fills: list[dict[str, Any]] = field(default_factory=list)
    actions: list[dict[str, Any]] = field(default_factory=list)
    nonces: list[int] = field(default_factory=list)
    scheduled: int | None = None
    lose: int = 0
    mute: bool = False
    mode: str = "disabled"
    twice: bool = False
    now_ms: int = 1_800_000_000_000
    wallet: dict[str, Decimal] | None = None
    url: str = ""
    _sockets: list[web.WebSocketResponse] = field(default_factory=list)

    async def exchange(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.actions.append(body["action"])
        answer = await self._act(body)
        if self.lose:
            self.lose -= 1
            assert request.transport is not None
            request.transport.abort()
        return web.json_response(answer)

    async def _act(self, body: dict[str, Any]) -> dict[str, Any]:
        parts = body["signature"]
        raw = bytes.fromhex(parts["r"][2:] + parts["s"][2:]) + bytes((parts["v"],))
        digest = agent_digest(
            action_hash(body["action"], body["nonce"], None, body["expiresAfter"]), mainnet=False
        )
        if (who := recover(digest, raw)) != AGENT.address:
            return {"status": "err", "response": f"User or API Wallet {who} does not exist."}
        if body["nonce"] in self.nonces:
            return {"status": "err", "response": f"Invalid nonce: duplicate nonce {body['nonce']}"}
        if body["nonce"] < min(sorted(self.nonces)[-100:], default=0):  # the hundred highest are remembered
            return {"status": "err", "response": "Invalid nonce: too low"}
        self.nonces.append(body["nonce"])
        action = body["action"]
        kind = action["type"]
        if kind == "order":
            said = [await self._place(one) for one in action["orders"]]
        elif kind == "cancelByCloid":
            said = [await self._cancel(one["cloid"]) for one in action["cancels"]]
        elif kind == "modify":
            await self._cancel(action["oid"])
            said = [await self._place(action["order"])]
        else:
            assert kind == "scheduleCancel"
            self.scheduled = action.get("time")
            return {"status": "ok", "response": {"type": "default"}}
        return {"status": "ok", "response": {"type": kind, "data": {"statuses": said}}}

    async def _place(self, one: dict[str, Any]) -> Any:
        px, size = Decimal(one["p"]), Decimal(one["s"])
        row = {"coin": "PURR/USDC", "side": "B" if one["b"] else "A", "limitPx": one["p"], "origSz": one["s"], "sz": one["s"]}  # fmt: skip
        row |= {"oid": 100 + len(self.orders), "timestamp": self.now_ms, "cloid": one["c"]}
        touch = ASK if one["b"] else BID
        crosses = px >= touch if one["b"] else px <= touch
        ioc = one["t"]["limit"]["tif"] == "Ioc"
        if ioc and not crosses:
            return {"error": "Order could not immediately match against any resting orders. asset=10000"}
        if self.wallet is not None:
            coin, needs = ("USDC", px * size) if one["b"] else ("PURR", size)
            if needs > self.wallet[coin] - self._held(coin):
                return {"error": "Insufficient spot balance asset=10000"}
        if one["c"] in self.orders and self.orders[one["c"]]["status"] == "open":
            return {"error": "Order has a cloid that is already in use: duplicate cloid"}
        self.orders[one["c"]] = row | {"status": "open"}
        if crosses:
            await self.fill(one["c"], min(size, DEPTH), touch)
            if ioc and self.orders[one["c"]]["status"] == "open":
                await self._cancel(one["c"])
        else:
            await self._tell_order(one["c"])
        return {"resting": {"oid": row["oid"]}}

    async def fill(self, cloid: str, size: Decimal, px: Decimal) -> None:
        row = self.orders[cloid]
        left = Decimal(row["sz"]) - size
        row |= {"sz": f"{left:f}", "status": "filled" if not left else "open"}
        told = {"coin": "PURR/USDC", "px": f"{px:f}", "sz": f"{size:f}", "side": row["side"], "time": self.now_ms, "oid": row["oid"]}  # fmt: skip
        told |= {"tid": 7_000 + len(self.fills), "fee": "0.01", "feeToken": "USDC", "cloid": cloid}
        self.fills.append(told)
        if self.wallet is not None:
            sign = 1 if row["side"] == "B" else -1
            self.wallet["PURR"] += sign * size
            self.wallet["USDC"] -= sign * size * px + Decimal(told["fee"])
        await self._tell({"channel": "userFills", "data": {"user": ACCOUNT, "fills": [told]}})

    def _held(self, coin: str) -> Decimal:
        """Of a coin, for orders that stand."""
        side = "B" if coin == "USDC" else "A"
        opened = [row for row in self.orders.values() if row["status"] == "open" and row["side"] == side]
        worth = [
            Decimal(row["sz"]) * (Decimal(row["limitPx"]) if coin == "USDC" else Decimal(1)) for row in opened
        ]
        return sum(worth, Decimal(0))

    async def _cancel(self, cloid: str) -> Any:
        row = self.orders.get(cloid)
        if row is None or row["status"] != "open":
            return {"error": "Order was never placed, already canceled, or filled. asset=10000"}
        row["status"] = "canceled"
        await self._tell_order(cloid)
        return "success"

    async def _tell_order(self, cloid: str) -> None:
        row = {key: value for key, value in self.orders[cloid].items() if key != "status"}
        one = {"order": row, "status": self.orders[cloid]["status"], "statusTimestamp": self.now_ms}
        await self._tell({"channel": "orderUpdates", "data": [one]})

    async def _tell(self, message: dict[str, Any]) -> None:
        for ws in self._sockets if not self.mute else ():
            for _ in range(1 + self.twice):
                await ws.send_str(json.dumps(message))

    async def info(self, request: web.Request) -> web.Response:
        asked = await request.json()
        return web.json_response(self._info(asked))

    def _info(self, asked: dict[str, Any]) -> Any:
        match asked["type"]:
            case "spotMeta":
                return META
            case "allMids":
                return {"PURR/USDC": "20.75", "BTC": "100000.0"}
            case "orderStatus":
                row = self.orders.get(asked["oid"])
                if row is None:
                    return {"status": "unknownOid"}
                order = {key: value for key, value in row.items() if key != "status"}
                return {"status": "order", "order": {"order": order, "status": row["status"], "statusTimestamp": self.now_ms}}  # fmt: skip
            case "userFillsByTime":
                return [fill for fill in self.fills if fill["time"] >= asked["startTime"]]
            case "frontendOpenOrders":
                return [row for row in self.orders.values() if row["status"] == "open"]
            case "spotClearinghouseState" if self.wallet is not None:
                rows = [{"coin": c, "total": f"{q:f}", "hold": f"{self._held(c):f}"} for c, q in self.wallet.items()]  # fmt: skip
                return {"balances": rows}
            case "spotClearinghouseState":
                return {"balances": [{"coin": "PURR", "token": 1, "total": "30", "hold": "2.5", "entryNtl": "1"}, {"coin": "USDC", "token": 0, "total": "0.0", "hold": "0.0", "entryNtl": "0"}]}  # fmt: skip
            case "userAbstraction":
                return self.mode
            case "meta":
                tiers = [
                    {"lowerBound": "0.0", "maxLeverage": 25},
                    {"lowerBound": "1000.0", "maxLeverage": 10},
                ]
                return {"universe": [{"name": "ETH", "szDecimals": 4, "maxLeverage": 25, "marginTableId": 53}], "marginTables": [[53, {"marginTiers": tiers}]]}  # fmt: skip
        assert asked["type"] == "clearinghouseState"
        held = {"coin": "ETH", "szi": "-0.5", "entryPx": "2986.3", "positionValue": "1500.5", "leverage": {"type": "cross", "value": 20}}  # fmt: skip
        return {"assetPositions": [{"type": "oneWay", "position": held}], "crossMarginSummary": {"totalRawUsd": "1593.15"}, "marginSummary": {"accountValue": "92.65", "totalRawUsd": "1593.15", "totalMarginUsed": "75.025"}, "withdrawable": "17.6"}  # fmt: skip

    async def socket(self, request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        async for message in ws:
            asked = json.loads(message.data)["subscription"]
            if asked["type"] == "l2Book" and not self.mute:
                levels = [[{"px": str(BID), "sz": "5", "n": 1}], [{"px": str(ASK), "sz": "5", "n": 1}]]
                book = {"coin": asked["coin"], "time": self.now_ms, "levels": levels}
                await ws.send_str(json.dumps({"channel": "l2Book", "data": book}))
            elif asked["type"] == "userFills":
                self._sockets.append(ws)
        if ws in self._sockets:
            self._sockets.remove(ws)
        return ws


@asynccontextmanager
async def hyper_server() -> AsyncIterator[HyperServer]:
    server = HyperServer()
    app = web.Application()
    app.router.add_post("/exchange", server.exchange)
    app.router.add_post("/info", server.info)
    app.router.add_get("/ws", server.socket)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()
        await asyncio.sleep(0)
