"""A bundler's endpoint that misbehaves, in front of a real one: a small server on 127.0.0.1 for tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from chains.rpc import Rpc


@dataclass
class CrookedBundler:
    """`ways` by method; a method without one is passed on to `real`.

    accept_then_hang, accept_then_502    the real bundler gets it, the answer is lost
    swallow_then_hang                    nobody gets it
    503, 429                             nothing happened
    not_json                             an answer of another kind
    a dict {"result": …} or {"error": …} that very answer, nothing passed on
    """

    real: Rpc
    ways: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        method = body["method"]
        self.asked.append(method)
        way = self.ways.get(method)
        if isinstance(way, dict):
            return self._answer(body, way)
        if way in ("503", "429"):
            return web.Response(status=int(way), text="no")
        if way == "not_json":
            return web.Response(text="<html>")
        if way != "swallow_then_hang":
            result = await self.real.call(method, body["params"])
            if way is None:
                return self._answer(body, {"result": result})
            if way == "accept_then_502":
                return web.Response(status=502, text="bad gateway")
        await asyncio.sleep(30)
        return web.Response(status=504)

    def _answer(self, body: dict[str, Any], what: dict[str, Any]) -> web.Response:
        content = orjson.dumps({"jsonrpc": "2.0", "id": body["id"], **what})
        return web.Response(body=content, content_type="application/json")


@asynccontextmanager
async def crooked_bundler(real: Rpc, **ways: Any) -> AsyncIterator[CrookedBundler]:
    server = CrookedBundler(real, dict(ways))
    app = web.Application()
    app.add_routes([web.post("/", server.handle)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.05)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()
