"""A JSON-RPC node over real HTTP whose chain holds one lending market: no Multicall3 stands there, so that each view is asked by itself."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from node_support import Node, block, running

from chains.evm import from_hex
from chains.multicall import MULTICALL3
from chains.types import Address, Call, CallResult


class Market(Protocol):
    def answer_to(self, call: Call) -> CallResult: ...


def holding(market: Market, chain_id: int, head: int = 100, salt: int = 0) -> Node:
    """`salt`: blocks of other hashes, a chain of its own."""

    def by_hash(params: list[Any]) -> Any:
        told = [block(n, salt) for n in range(head, head - 8, -1)]
        return next((one for one in told if one["hash"] == params[0]), None)

    def call(params: list[Any]) -> str:
        asked, _ = params
        if asked["to"] == MULTICALL3:
            return "0x"
        return "0x" + market.answer_to(Call(Address(asked["to"]), from_hex(asked["data"]))).data.hex()

    node = Node(chain_id=chain_id, head=head)
    node.extra = {"eth_getBlockByHash": by_hash, "eth_call": call}
    if salt:
        node.extra["eth_getBlockByNumber"] = lambda params: block(head, salt)
    return node


@contextmanager
def beside(*nodes: Node) -> Iterator[None]:
    """The nodes, on a thread of their own: a command runs its own loop."""
    loop, up, down = asyncio.new_event_loop(), threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with running(*nodes):
            up.set()
            await down.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert up.wait(10)
        yield
    finally:
        loop.call_soon_threadsafe(down.set)
        thread.join()
        loop.close()
