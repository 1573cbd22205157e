"""A CoW order book and solver for a local chain, in the dialect of CoW Protocol's documented API.

    python -m chains.devnet.cow_orderbook --port P --rpc URL     the URL answers Anvil's cheat methods and mines what is sent to it

    POST /api/v1/quote · POST, DELETE /api/v1/orders · GET /api/v1/orders/{uid} · GET /api/v1/orders/{uid}/status
    GET /api/v1/trades?orderUid=… · GET /api/v1/version
    POST /admin/faults {field: value} of `cow_book.Faults` · POST /admin/solve, at once

ERC-20 balances only, one pool a settlement, orders in memory only; no auction, no protocol fee, no eth-flow.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import signal
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import orjson
from aiohttp import web

from chains.bounded_json import loads
from chains.devnet import cow_solver
from chains.devnet.cow_book import Book
from chains.devnet.cow_orders import Refused
from chains.devnet.jsonrpc import Rpc, RpcError
from chains.devnet.nodes import environment_at
from chains.errors import Denied, FairleadError, Usage

T = TypeVar("T")
EVERY_S = 0.5
COMPETITION = {
    "open": "active",
    "presignaturePending": "open",
    "fulfilled": "traded",
    "cancelled": "cancelled",
    "expired": "cancelled",
}


class Server:
    """One thread talks to the chain, for every request and the solver: what they see and do never interleaves."""

    def __init__(self, book: Book, chain: ThreadPoolExecutor) -> None:
        self._book, self._chain = book, chain

    async def ask(self, work: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._chain, work, *args)

    async def solve_on(self) -> None:
        while True:
            try:
                await self.ask(self._book.solve)
            except FairleadError as error:
                print(f"cow-orderbook: {error}", file=sys.stderr, flush=True)
            await asyncio.sleep(EVERY_S)

    async def quote(self, request: web.Request) -> web.StreamResponse:
        return answer(200, await self.ask(self._book.quote, await body_of(request)))

    async def post(self, request: web.Request) -> web.StreamResponse:
        body = await body_of(request)
        uid = await self.ask(self._book.post, body)
        if self._book.faults.lose:
            self._book.faults.lose -= 1
            assert request.transport is not None
            request.transport.abort()
        return answer(201, uid)

    async def cancel(self, request: web.Request) -> web.StreamResponse:
        await self.ask(self._book.cancel, await body_of(request))
        return answer(200, "Cancelled")

    async def order(self, request: web.Request) -> web.StreamResponse:
        return answer(200, await self.ask(self._book.told, request.match_info["uid"].lower()))

    async def status(self, request: web.Request) -> web.StreamResponse:
        told = await self.ask(self._book.told, request.match_info["uid"].lower())
        return answer(200, {"type": COMPETITION[told["status"]]})

    async def trades(self, request: web.Request) -> web.StreamResponse:
        uid = request.query.get("orderUid", "").lower()
        if not uid:
            raise Refused(400, "InvalidTradeFilter", "this local book lists the trades of one orderUid")
        return answer(200, await self.ask(self._book.trades, uid))

    async def version(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text="local")

    async def faults(self, request: web.Request) -> web.StreamResponse:
        faults = self._book.faults
        for name, value in (await body_of(request)).items():
            if type(value) is not type(getattr(faults, name, None)):
                raise Refused(422, "InvalidBody", name)
            setattr(faults, name, value)
        return answer(200, dataclasses.asdict(faults))

    async def solve(self, request: web.Request) -> web.StreamResponse:
        await self.ask(self._book.solve)
        return answer(200, None)


def answer(status: int, body: Any) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json")


@web.middleware
async def refusals(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        found: web.StreamResponse = await handler(request)
        return found
    except Refused as no:
        return answer(no.status, no.body)
    except (FairleadError, RpcError) as error:
        return answer(500, {"errorType": "InternalServerError", "description": str(error)})


async def body_of(request: web.Request) -> Mapping[str, Any]:
    try:
        found = loads(await request.read())
    except ValueError as error:
        raise Refused(400, "InvalidBody", str(error)) from None
    if not isinstance(found, dict):
        raise Refused(422, "InvalidBody", "an object is expected")
    return found


def application(server: Server) -> web.Application:
    made = web.Application(middlewares=[refusals], client_max_size=1 << 20)
    made.add_routes(
        [
            web.get("/api/v1/version", server.version),
            web.post("/api/v1/quote", server.quote),
            web.post("/api/v1/orders", server.post),
            web.delete("/api/v1/orders", server.cancel),
            web.get("/api/v1/orders/{uid}", server.order),
            web.get("/api/v1/orders/{uid}/status", server.status),
            web.get("/api/v1/trades", server.trades),
            web.post("/admin/faults", server.faults),
            web.post("/admin/solve", server.solve),
        ]
    )
    return made


async def serve(port: int, url: str) -> None:
    if environment_at(url) is None:
        raise Denied("NOT_A_DEVNET", f"{url} is no devnet chain", "its solver acts by cheat methods")
    with Rpc(url) as rpc, ThreadPoolExecutor(1) as chain:
        server = Server(Book(rpc), chain)
        await server.ask(cow_solver.admit, rpc)
        runner = web.AppRunner(application(server), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", port).start()
        except OSError:
            raise Usage("PORT_IN_USE", f"port {port} on 127.0.0.1 is taken", "choose another port") from None
        print(f"cow-orderbook ready http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
        solving = asyncio.create_task(server.solve_on(), name="solver")
        stop = asyncio.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
        await stop.wait()
        solving.cancel()
        await asyncio.gather(solving, return_exceptions=True)
        await runner.cleanup()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m chains.devnet.cow_orderbook", description="A CoW order book and solver, locally."
    )
    parser.add_argument("--port", type=int, required=True, help="on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--rpc", required=True, help="the devnet chain's url that answers cheat methods")
    options = parser.parse_args(arguments)
    try:
        asyncio.run(serve(options.port, options.rpc))
    except FairleadError as error:
        print(f"cow-orderbook: {error}", file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
