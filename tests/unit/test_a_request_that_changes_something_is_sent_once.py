"""An HTTP library repeats what it takes for harmless when a kept connection breaks; a cancel or an amendment is not: its fate is asked for."""

from __future__ import annotations

from collections import Counter

import pytest
from aiohttp import web

from agent.domain.errors import Reconcile, Retry
from agent.transport.clock import SystemClock
from agent.transport.http import Http
from agent.transport.throttle import Throttle


async def test_whatever_its_method_and_the_connection() -> None:
    seen: Counter[str] = Counter()

    async def door(request: web.Request) -> web.Response:
        seen[request.method] += 1
        assert request.transport is not None
        if request.path == "/broken":
            request.transport.abort()
        return web.Response()

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", door)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    http = Http("x", f"http://127.0.0.1:{runner.addresses[0][1]}", Throttle(SystemClock(), 10**6), "")
    try:
        for method in ("POST", "PUT", "DELETE"):
            await http.write(method, "/sound")  # so that a connection is kept
            with pytest.raises(Reconcile):
                await http.write(method, "/broken")
            assert seen[method] == 2
        with pytest.raises(Retry):
            await http.read("GET", "/broken")
    finally:
        await http.close()
        await runner.cleanup()
