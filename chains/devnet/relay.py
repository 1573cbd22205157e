"""The relay process: the only endpoint anyone else reaches of the local chain 1.

    python -m chains.devnet.relay --port P --upstream http://127.0.0.1:ANVIL [--block-time 12 | --fast] [--admin-port A]

Behind it stands an Anvil started with `--no-mining --order fifo`, on a port that only this process is told.
  GET  /            as a WebSocket: the public JSON-RPC, and eth_subscribe newHeads
  POST /            public JSON-RPC: reads, and eth_sendRawTransaction into the public pool (any searcher sees it)
  POST /relay       Flashbots' dialect, X-Flashbots-Signature required: private transactions and bundles
  GET  /tx/HASH     status of a private transaction: PENDING INCLUDED FAILED CANCELLED UNKNOWN
  POST /builder/NAME            the same dialect at one builder alone, where --builder names some (see `builders`)
  GET  /builder/NAME/tx/HASH    its own status API, which may lag or lie
  GET  /builder/NAME/leaked     what a builder that sells gives away; nothing where it keeps its word
  POST /sequencer   with --sequencer, as in front of a rollup: eth_sendRawTransaction, first come first served; what waits is told to
                    nobody, there are no private lots, and what reverts is included and pays. POST / forwards to it and has seen it
  POST admin port   cheat methods for set-up and funding, faults, reorganisations, `relay_truth` for referees

"Private" is an access-control property of this process: Anvil has no peers, and what the process does not tell nobody
knows. Without --builder there is no builder competition, no relay that leaks and no cut-off. `--lost-slots` gives the
share of blocks built by somebody who never saw the private lots.
Anvil has no consensus either: `finalized` is answered as `--finality-depth` blocks behind the head, `safe` as half of it.
Block times are the wall clock's, strictly increasing; in fast mode at most `MAX_AHEAD_S` seconds ahead of it.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import sys
import time
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import aiohttp
import orjson
from aiohttp import web

from chains.devnet.builders import Auction, parse
from chains.devnet.relay_admin import AdminApi, Fault
from chains.devnet.relay_builder import SEQUENCER, Builder
from chains.devnet.relay_heads import SUBSCRIPTIONS, HeadSocket
from chains.devnet.relay_pool import Pools
from chains.devnet.relay_private import PrivateApi, authenticate
from chains.devnet.relay_public import PublicApi, refuse
from chains.errors import FairleadError, Retry, Usage
from chains.evm import number
from chains.relay_auth import HEADER
from chains.rpc import Rpc, RpcReject

MAX_AHEAD_S = 5
GATHER_S = 0.04
HANG_S = 120.0
MAX_BODY = 4 * 1024 * 1024


@dataclass(slots=True)
class Server:
    builder: Builder
    pools: Pools
    public: PublicApi
    private: PrivateApi
    faults: list[Fault]
    auction: Auction | None = None
    doors: dict[str, PrivateApi] = field(default_factory=dict)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle_public(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        try:
            parsed = orjson.loads(body)
        except orjson.JSONDecodeError:
            return answer(error_body(None, -32700, "parse error"))
        if isinstance(parsed, list):
            return answer(await self._public_batch(parsed) or error_body(None, -32600, "empty batch"))
        if isinstance(parsed, dict) and parsed.get("method") == "eth_sendRawTransaction":
            return await self._with_fault("public", parsed, lambda fault: self._send_public(parsed, fault))
        return answer(await self._public_one(parsed))

    async def _public_one(self, request: Any, socket: HeadSocket | None = None) -> dict[str, Any]:
        async def run() -> Any:
            method, params = shape(request)
            if socket is not None and method in SUBSCRIPTIONS:
                return socket.answer(method, params)
            if method == "eth_sendRawTransaction":
                return await self._send_public(request, None)
            return await self.public.read(method, params, now_ms())

        return await respond(request, run)

    async def _public_batch(self, requests: list[Any]) -> list[dict[str, Any]]:
        """As a node answers a batch: what it reads is read at once, the rest one after another."""
        plain = [request for request in requests if self.public.passes(request)]
        try:
            found = iter(await self.public.read_many(plain, now_ms()) if len(plain) > 1 else [])
        except FairleadError:
            found, plain = iter(()), []  # each says for itself what is wrong
        together = {id(request) for request in plain} if len(plain) > 1 else set()

        async def one(request: Any) -> dict[str, Any]:
            if id(request) not in together:
                return await self._public_one(request)
            told = next(found)

            async def run() -> Any:
                if isinstance(told, FairleadError):
                    raise told
                return told

            return await respond(request, run)

        return [await one(request) for request in requests]

    async def _send_public(self, request: Any, fault: Fault | None) -> Any:
        _, params = shape(request)
        result = await self.public.send_raw(
            params, now_ms(), fault.blocks if fault and fault.kind == "delay" else 0
        )
        self.arrived.set()
        return result

    async def handle_private(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        name = request.match_info.get("name", "")
        door = self.doors.get(name) if name else self.private
        if door is None:
            return answer(error_body(None, -32601, f"there is no builder {name}"), status=404)
        try:
            owner = authenticate(request.headers.get(HEADER), body)
            parsed = orjson.loads(body)
        except RpcReject as error:
            return answer(error_body(None, error.rpc_code, error.rpc_message), status=401)
        except orjson.JSONDecodeError:
            return answer(error_body(None, -32700, "parse error"))

        async def run(fault: Fault | None) -> Any:
            method, params = shape(parsed)
            delay = fault.blocks if fault and fault.kind == "delay" else 0
            swallow = fault is not None and fault.kind == "swallow"
            result = await door.handle(method, params, owner, now_ms(), delay, swallow)
            if method.startswith("eth_send"):
                self.arrived.set()
            return result

        sends = isinstance(parsed, dict) and str(parsed.get("method", "")).startswith("eth_send")
        return await self._with_fault("private" if sends else "", parsed, run, name, owner)

    async def _with_fault(
        self, road: str, parsed: Any, run: Any, builder: str = "", owner: str = ""
    ) -> web.StreamResponse:
        fault = next((f for f in self.faults if f.hits(road, builder, owner)), None)
        if fault is not None:
            fault.count -= 1
            if fault.kind == "down":
                return web.Response(status=503, text="unavailable")
            if fault.kind == "refuse":
                return answer(error_body(parsed.get("id"), -32000, "refused"))
        reply = await respond(parsed, lambda: run(fault))
        if fault is not None and fault.kind == "accept_then_5xx":
            return web.Response(status=502, text="bad gateway")
        if fault is not None and fault.kind == "accept_then_hang":
            await asyncio.sleep(HANG_S)
        return answer(reply)

    async def handle_sequencer(self, request: web.Request) -> web.StreamResponse:
        try:
            parsed = orjson.loads(await request.read())
        except orjson.JSONDecodeError:
            return answer(error_body(None, -32700, "parse error"))

        async def run(fault: Fault | None) -> Any:
            method, params = shape(parsed)
            if method != "eth_sendRawTransaction":
                raise refuse(-32601, f"the method {method} does not exist/is not available")
            delay = fault.blocks if fault and fault.kind == "delay" else 0
            swallow = fault is not None and fault.kind == "swallow"
            result = await self.public.send_raw(params, now_ms(), delay, SEQUENCER, swallow)
            self.arrived.set()
            return result

        owner = self.public.sender_of(parsed.get("params") if isinstance(parsed, dict) else None)
        return await self._with_fault(SEQUENCER, parsed, run, owner=owner)

    async def handle_status(self, request: web.Request) -> web.StreamResponse:
        name, wanted = request.match_info.get("name", ""), request.match_info["hash"]
        if not name:
            return answer(self.private.status(wanted))
        bidder = self.auction.named(name) if self.auction is not None else None
        if bidder is None or self.auction is None:
            return answer({"error": f"there is no builder {name}"}, status=404)
        shown = self.doors[name].status(wanted)
        return answer(self.auction.status_told(bidder, shown, self.builder.head.number))

    async def handle_leaked(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        bidder = self.auction.named(name) if self.auction is not None else None
        if bidder is None or self.auction is None:
            return answer({"error": f"there is no builder {name}"}, status=404)
        return answer({"builder": name, "raws": self.auction.shown(bidder)})

    async def handle_about(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await HeadSocket(self.builder, self.public).serve(request, self._public_one)
        head = self.builder.head
        return answer(
            {
                "service": "relay",
                "head": head.number,
                "head_timestamp": head.timestamp,
                "roads": ["/", "/relay", "/tx/HASH"],
            }
        )


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def shape(request: Any) -> tuple[str, list[Any]]:
    if not isinstance(request, dict) or not isinstance(request.get("method"), str):
        raise refuse(-32600, "invalid request")
    params = request.get("params", [])
    if not isinstance(params, list):
        raise refuse(-32602, "params must be a list")
    return request["method"], params


def error_body(request_id: Any, code: int, message: str, data: Any = None) -> dict[str, Any]:
    error = {"code": code, "message": message} | ({"data": data} if data is not None else {})
    return {"jsonrpc": "2.0", "id": request_id, "error": error}


def answer(body: Any, status: int = 200) -> web.Response:
    return web.Response(body=orjson.dumps(body), content_type="application/json", status=status)


async def respond(request: Any, run: Any) -> dict[str, Any]:
    request_id = request.get("id") if isinstance(request, dict) else None
    try:
        return {"jsonrpc": "2.0", "id": request_id, "result": await run()}
    except RpcReject as error:
        return error_body(request_id, error.rpc_code, error.rpc_message, error.data)
    except Usage as error:
        return error_body(request_id, -32602, error.message)
    except FairleadError as error:
        return error_body(request_id, -32603, error.message)


async def produce(
    server: Server, block_time: float, fast: bool, paused: asyncio.Event, gather_s: float = GATHER_S
) -> None:
    """Blocks for ever: on the clock, or (fast) when something arrives and otherwise about once a second."""
    builder = server.builder
    next_at = time.monotonic() + block_time
    while True:
        await paused.wait()
        try:
            if fast:
                try:
                    async with asyncio.timeout(block_time):
                        await server.arrived.wait()
                    await asyncio.sleep(gather_s)
                except TimeoutError:
                    pass
                hurried = server.arrived.is_set() and builder.ahead_s() < MAX_AHEAD_S
                if not hurried and builder.now() <= builder.head.timestamp:
                    await asyncio.sleep(0.05)
                    continue
            else:
                await asyncio.sleep(max(0.0, next_at - time.monotonic()))
                next_at += block_time
            await paused.wait()
            server.arrived.clear()
            await builder.build()
        except (Retry, RpcReject) as error:
            print(f"relay: no block this time: {error}", file=sys.stderr, flush=True)
            await asyncio.sleep(min(1.0, block_time))


async def serve(options: argparse.Namespace) -> None:
    async with aiohttp.ClientSession() as session:
        upstream = Rpc(options.upstream, session, timeout_s=60)
        chain_id = number(await upstream.call("eth_chainId"))
        pools = Pools()
        builder = Builder(upstream, pools, lost_slots=options.lost_slots, rng=random.Random(options.seed))
        await builder.start()
        builder.sequencer = options.sequencer
        public = PublicApi(builder, pools, chain_id, options.finality_depth)
        faults: list[Fault] = []
        server = Server(builder, pools, public, PrivateApi(builder, pools, public, chain_id), faults)
        if options.builder:
            auction = server.auction = builder.auction = Auction(options.builder, pools, options.seed)
            server.doors = {
                b.name: PrivateApi(builder, auction.rooms[b.name], public, chain_id, auction, b)
                for b in auction.builders
            }
        running = asyncio.Event()
        running.set()
        app = web.Application(client_max_size=MAX_BODY)
        app.add_routes(
            [web.post("/", server.handle_public), web.get("/", server.handle_about), web.post("/relay", server.handle_private),
             web.get("/tx/{hash}", server.handle_status), web.get("/relay/tx/{hash}", server.handle_status),
             web.post("/builder/{name}", server.handle_private), web.get("/builder/{name}/tx/{hash}", server.handle_status),
             web.get("/builder/{name}/leaked", server.handle_leaked)]
        )  # fmt: skip
        if options.sequencer:
            app.add_routes([web.post("/sequencer", server.handle_sequencer)])
        admin = AdminApi(builder, pools, public, faults, running, respond, answer)
        admin_app = web.Application(client_max_size=64 * MAX_BODY)
        admin_app.add_routes([web.post("/", admin.handle)])
        runners = [web.AppRunner(app, access_log=None, shutdown_timeout=1.0)]
        ports = [options.port]
        if options.admin_port is not None:
            runners.append(web.AppRunner(admin_app, access_log=None, shutdown_timeout=1.0))
            ports.append(options.admin_port)
        for runner, port, option in zip(runners, ports, ("--port", "--admin-port"), strict=False):
            await runner.setup()
            try:
                await web.TCPSite(runner, "127.0.0.1", port).start()
            except OSError:
                raise Usage(
                    "PORT_IN_USE",
                    f"port {port} on 127.0.0.1 is in use",
                    f"end whatever listens there, or choose another with {option}",
                ) from None
        bound = [runner.addresses[0][1] for runner in runners]
        shown = f"relay ready http://127.0.0.1:{bound[0]}" + (
            f" admin http://127.0.0.1:{bound[1]}" if len(bound) > 1 else ""
        )
        print(shown, flush=True)
        # What reads raw transactions takes a second to load: not while the first one is on its way to its block.
        loading = asyncio.create_task(asyncio.to_thread(import_module, "eth_account"))
        stop = asyncio.Event()
        for name in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
        producer = asyncio.create_task(
            produce(server, options.block_time, options.fast, running, options.gather)
        )
        stopper = asyncio.create_task(stop.wait())
        await asyncio.wait({producer, stopper}, return_when=asyncio.FIRST_COMPLETED)
        failed = producer.done() and not producer.cancelled()
        for task in (producer, stopper):
            task.cancel()
        await asyncio.gather(producer, stopper, loading, return_exceptions=True)
        for runner in runners:
            await runner.cleanup()
        if failed:
            producer.result()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m chains.devnet.relay", description="The relay in front of the local chain 1."
    )
    parser.add_argument(
        "--port", type=int, required=True, help="public and private endpoint on 127.0.0.1; 0 takes a free one"
    )
    parser.add_argument("--upstream", required=True, help="the Anvil behind: --no-mining --order fifo")
    parser.add_argument(
        "--admin-port", type=int, help="cheats, faults and truth on 127.0.0.1; 0 takes a free one"
    )
    parser.add_argument("--block-time", type=float, help="seconds between blocks; 12, or 1 in fast mode")
    parser.add_argument("--fast", action="store_true", help="a block as soon as something arrives")
    parser.add_argument(
        "--gather",
        type=float,
        default=GATHER_S,
        metavar="SECONDS",
        help="fast mode: how long after the first arrival a block still takes more (searchers need some of it)",
    )
    parser.add_argument(
        "--finality-depth", type=int, default=2, help="blocks behind the head that count as finalized"
    )
    parser.add_argument(
        "--lost-slots", type=float, default=0.0, help="share of blocks whose builder sees no private lot"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="decides which slots are lost, and who wins the others"
    )
    parser.add_argument(
        "--builder",
        action="append",
        default=[],
        metavar="NAME:SHARE",
        help="a builder and its share of slots; again for each",
    )
    parser.add_argument(
        "--sequencer", action="store_true", help="stand in front of a rollup: see POST /sequencer above"
    )
    options = parser.parse_args(arguments)
    if options.sequencer and options.builder:
        parser.error("--sequencer: a rollup's blocks are built by its sequencer alone, not by a --builder")
    options.block_time = options.block_time or (1.0 if options.fast else 12.0)
    try:
        options.builder = [parse(text) for text in options.builder]
        asyncio.run(serve(options))
    except FairleadError as error:
        print(f"relay: {error}", file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
