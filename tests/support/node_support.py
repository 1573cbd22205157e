"""A small JSON-RPC node over real HTTP: a chain of empty blocks, receipts and nonces, and ways to misbehave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

ADDRESS = "0x" + "11" * 20


def block(number: int, salt: int = 0) -> dict[str, str]:
    return {
        "number": hex(number), "hash": f"0x{number * 1000 + salt:064x}", "parentHash": f"0x{max(0, number - 1) * 1000:064x}",
        "timestamp": hex(1_700_000_000 + 12 * number), "baseFeePerGas": hex(10**9),
    }  # fmt: skip


def receipt(tx_hash: str, number: int, salt: int = 0) -> dict[str, Any]:
    return {
        "transactionHash": tx_hash, "blockNumber": hex(number), "blockHash": block(number, salt)["hash"], "status": "0x1",
        "gasUsed": "0x5208", "effectiveGasPrice": hex(2 * 10**9), "logs": [],
    }  # fmt: skip


@dataclass
class Node:
    """`broken`: "" | "down" (HTTP 503) | "hang" | "garbage" | "limited" (429)."""

    chain_id: int = 1
    head: int = 100
    nonce: int = 0
    receipts: dict[str, dict[str, Any]] = field(default_factory=dict)
    broken: str = ""
    seen: list[str] = field(default_factory=list)
    finalized: int = 90
    extra: dict[str, Callable[[list[Any]], Any]] = field(default_factory=dict)
    url: str = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        if self.broken == "down":
            return web.Response(status=503)
        if self.broken == "limited":
            return web.Response(status=429)
        if self.broken == "garbage":
            return web.Response(text="<html>")
        if self.broken == "hang":
            await asyncio.sleep(30)
        batch = isinstance(body, list)
        answers = [self.one(b) for b in (body if batch else [body])]
        return web.Response(
            body=orjson.dumps(answers if batch else answers[0]), content_type="application/json"
        )

    def one(self, request: dict[str, Any]) -> dict[str, Any]:
        method, params = request["method"], request["params"]
        self.seen.append(method)
        base = {"jsonrpc": "2.0", "id": request["id"]}
        try:
            return base | {"result": self.answer(method, params)}
        except LookupError as error:
            return base | {"error": {"code": -32601, "message": str(error)}}

    def answer(self, method: str, params: list[Any]) -> Any:
        if method in self.extra:
            return self.extra[method](params)
        match method:
            case "eth_chainId":
                return hex(self.chain_id)
            case "eth_blockNumber":
                return hex(self.head)
            case "eth_getTransactionReceipt":
                found = self.receipts.get(params[0])
                return found if found and int(found["blockNumber"], 16) <= self.head else None
            case "eth_getTransactionCount":
                return hex(self.nonce)
            case "eth_getBlockByNumber":
                tags = {"latest": self.head, "finalized": self.finalized, "safe": self.finalized}
                wanted = tags[params[0]] if params[0] in tags else int(params[0], 16)
                return block(wanted) if wanted <= self.head else None
        raise LookupError(f"the method {method} does not exist")


@asynccontextmanager
async def running(*nodes: Node, path: str = "/secret-key") -> AsyncIterator[None]:
    runners = []
    try:
        for node in nodes:
            app = web.Application()
            app.add_routes([web.post(path, node.handle)])
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            runners.append(runner)
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            node.url = f"http://user:pass@127.0.0.1:{runner.addresses[0][1]}{path}?key=hidden"
        yield
    finally:
        for runner in runners:
            await runner.cleanup()
