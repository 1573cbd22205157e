"""An HTTP server that answers what it is told to and keeps what it was sent: for a client's shapes and its errors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class Recorded:
    """`answers` are given in turn: (status, JSON) or bytes, or "lost": read, and the connection cut."""

    answers: list[Any] = field(default_factory=list)
    sent: list[tuple[str, str, Any]] = field(default_factory=list)
    url: str = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.sent.append((request.method, request.path_qs, json.loads(body) if body else None))
        answer = self.answers.pop(0)
        if answer == "lost":
            assert request.transport is not None
            request.transport.abort()
            await asyncio.sleep(0)
            return web.Response()
        if isinstance(answer, bytes):
            return web.Response(body=answer)
        status, content = answer
        headers = {"Location": "/elsewhere"} if status in (301, 302, 307) else {}
        return web.Response(
            status=status, body=json.dumps(content), content_type="application/json", headers=headers
        )


@asynccontextmanager
async def recorded_book() -> AsyncIterator[Recorded]:
    book = Recorded()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", book.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    book.url = f"http://127.0.0.1:{runner.addresses[0][1]}/mainnet"
    try:
        yield book
    finally:
        await runner.cleanup()
