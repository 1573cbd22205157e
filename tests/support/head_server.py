"""A node's WebSocket that tells heads when it is told to, and misbehaves when it is told to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from chains.rpc import SecretUrl


def header(number: int, salt: int = 0) -> dict[str, Any]:
    """A header as Ethereum nodes tell it; `salt` makes another block of that height."""
    zero, bloom = "0x" + "00" * 32, "0x" + "00" * 256
    return {
        "number": hex(number), "hash": f"0x{salt:032x}{number:032x}", "parentHash": f"0x{0:032x}{number - 1:032x}",
        "timestamp": hex(1_700_000_000 + number), "baseFeePerGas": hex(7), "gasLimit": hex(30_000_000), "gasUsed": "0x0",
        "difficulty": "0x0", "extraData": "0x", "logsBloom": bloom, "miner": "0x" + "00" * 20, "mixHash": zero,
        "nonce": "0x" + "00" * 8, "receiptsRoot": zero, "sha3Uncles": zero, "stateRoot": zero, "transactionsRoot": zero,
    }  # fmt: skip


@dataclass
class HeadServer:
    """`mute` never answers; `chain_id` may be a lie; `refuse` knows no subscriptions."""

    chain_id: int = 1
    mute: bool = False
    refuse: bool = False
    url: SecretUrl = field(default_factory=lambda: SecretUrl("ws://127.0.0.1:1"))
    sockets: list[ServerConnection] = field(default_factory=list)
    connections: int = 0
    asked: list[str] = field(default_factory=list)

    async def handle(self, socket: ServerConnection) -> None:
        self.connections += 1
        with suppress(ConnectionClosed):
            async for message in socket:
                asked = json.loads(message)
                self.asked.append(asked["method"])
                if self.mute:
                    continue
                answer: dict[str, Any] = {"jsonrpc": "2.0", "id": asked["id"]}
                if asked["method"] == "eth_chainId":
                    answer["result"] = hex(self.chain_id)
                elif self.refuse:
                    answer["error"] = {"code": -32601, "message": "the method eth_subscribe does not exist"}
                else:
                    answer["result"] = "0x5"
                await socket.send(json.dumps(answer))
                if asked["method"] == "eth_subscribe" and not self.refuse:
                    self.sockets.append(socket)
        if socket in self.sockets:
            self.sockets.remove(socket)

    async def subscribed(self) -> None:
        while not self.sockets:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async def tell(self, number: int, salt: int = 0) -> None:
        params = {"subscription": "0x5", "result": header(number, salt)}
        await self.say(json.dumps({"jsonrpc": "2.0", "method": "eth_subscription", "params": params}))

    async def say(self, frame: str) -> None:
        for socket in self.sockets:
            await socket.send(frame)

    async def drop(self, *, rudely: bool = True) -> None:
        for socket in list(self.sockets):
            if rudely:
                socket.transport.abort()
            else:
                await socket.close()
        while self.sockets:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@asynccontextmanager
async def head_server(server: HeadServer) -> AsyncIterator[HeadServer]:
    async with serve(server.handle, "127.0.0.1", 0, close_timeout=0.2) as listening:
        port = listening.sockets[0].getsockname()[1]
        server.url = SecretUrl(f"ws://127.0.0.1:{port}/v2/the-key?token=hidden")
        yield server
