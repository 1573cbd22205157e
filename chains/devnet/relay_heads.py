"""The relay's WebSocket: JSON-RPC as on its public port, and `eth_subscribe newHeads`. Nothing pending is ever told."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import WSMsgType, web

from chains.devnet.relay_builder import Builder
from chains.devnet.relay_public import PublicApi, refuse
from chains.errors import FairleadError

One = Callable[[Any, "HeadSocket"], Awaitable[dict[str, Any]]]
SUBSCRIPTIONS = frozenset({"eth_subscribe", "eth_unsubscribe"})
MAX_FRAME = 1 << 20
NOT_A_HEADER = frozenset({"transactions", "uncles", "withdrawals", "size"})


class HeadSocket:
    """One connection and its subscriptions."""

    def __init__(self, builder: Builder, public: PublicApi) -> None:
        self._builder, self._public = builder, public
        self._socket = web.WebSocketResponse(max_msg_size=MAX_FRAME, heartbeat=30, timeout=1.0)
        self._tellers: dict[str, asyncio.Task[None]] = {}
        self._ids = itertools.count(1)

    async def serve(self, request: web.Request, one: One) -> web.StreamResponse:
        """Until the other side ends it. `one` answers a request, and asks `answer` about subscriptions."""
        await self._socket.prepare(request)
        try:
            async for message in self._socket:
                if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                    continue
                try:
                    asked = orjson.loads(message.data)
                except orjson.JSONDecodeError:
                    asked = None
                await self._say(await one(asked, self))
        except ConnectionError:
            pass  # it went while it was being answered
        finally:
            for teller in self._tellers.values():
                teller.cancel()
            await asyncio.gather(*self._tellers.values(), return_exceptions=True)
        return self._socket

    def answer(self, method: str, params: list[Any]) -> str | bool:
        """eth_subscribe's id, or whether eth_unsubscribe ended one. Raises RpcReject."""
        if method == "eth_unsubscribe":
            teller = self._tellers.pop(str(params[0]), None) if params else None
            if teller is not None:
                teller.cancel()
            return teller is not None
        if params != ["newHeads"]:
            raise refuse(-32602, "only newHeads can be subscribed to here")
        name = hex(next(self._ids))
        self._tellers[name] = asyncio.create_task(self._tell(name, self._builder.head.hash))
        return name

    async def _tell(self, name: str, last: str) -> None:
        """The newest header each time the head has changed; heads between two looks are told as the last of them."""
        mined, builder = self._builder.mined, self._builder
        while not self._socket.closed:
            async with mined:
                while builder.head.hash == last:
                    await mined.wait()
            last = builder.head.hash
            try:
                block = await self._public.read(
                    "eth_getBlockByHash", [last, False], time.time_ns() // 1_000_000
                )
            except FairleadError:
                continue
            if block is None:
                continue
            header = {key: value for key, value in block.items() if key not in NOT_A_HEADER}
            params = {"subscription": name, "result": header}
            try:
                await self._say({"jsonrpc": "2.0", "method": "eth_subscription", "params": params})
            except ConnectionError:
                return

    async def _say(self, body: dict[str, Any]) -> None:
        await self._socket.send_str(orjson.dumps(body).decode())
