"""A genuine Anvil, and the relay before chain 1, tell each new block to whoever subscribed."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import aiohttp
import pytest
from anvil_support import anvil_or_skip, relay_world

from chains.anvil import Anvil
from chains.decode_rpc import block_ref
from chains.errors import Halt
from chains.heads import subscribe
from chains.rpc import Rpc, SecretUrl

pytestmark = pytest.mark.devnet


def socket_of(url: str) -> SecretUrl:
    return SecretUrl("ws" + url.removeprefix("http"))


async def test_anvil_tells_the_block_that_it_answers() -> None:
    binary = anvil_or_skip()
    async with (
        Anvil.running(["--chain-id", "8453"], binary=binary) as anvil,
        aiohttp.ClientSession() as session,
    ):
        rpc = Rpc(anvil.url, session)
        async with aclosing(subscribe(8453, socket_of(anvil.url), 10.0)) as heads:
            waiting = asyncio.ensure_future(anext(heads))
            while not waiting.done():  # the subscription stands some time after it was asked for
                await rpc.call("evm_mine")
                await asyncio.wait([waiting], timeout=0.1)
            first = waiting.result()
            assert first == block_ref(await rpc.call("eth_getBlockByNumber", [hex(first.number), False]))
        with pytest.raises(Halt, match="WRONG_CHAIN_ID"):
            await anext(subscribe(1, socket_of(anvil.url), 10.0))


async def test_the_relay_tells_built_blocks_and_reorganised_ones_and_nothing_pending() -> None:
    async with relay_world() as world:
        url = world.url.rstrip("/")
        async with aclosing(subscribe(1, socket_of(url), 10.0)) as heads:
            waiting = asyncio.ensure_future(anext(heads))
            while not waiting.done():
                await world.mine()
                await asyncio.wait([waiting], timeout=0.1)
            first = waiting.result()
            public = Rpc(world.url, world.session)
            assert first == block_ref(await public.call("eth_getBlockByHash", [first.hash, False]))
            last = first
            wanted = await world.mine()
            while last.number < wanted:
                last = await anext(heads)
            await world.admin.call("relay_reorg", [1])
            again = await anext(heads)
            assert again.number >= last.number and again.hash != last.hash
        async with world.session.ws_connect(url) as raw:
            await raw.send_json(
                {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": ["newPendingTransactions"]}
            )
            assert (await raw.receive_json())["error"]["code"] == -32602
            await raw.send_str("noise")
            assert (await raw.receive_json())["error"]["code"] == -32600
            await raw.send_json(
                {"jsonrpc": "2.0", "id": 2, "method": "eth_subscribe", "params": ["newHeads"]}
            )
            name = (await raw.receive_json())["result"]
            await raw.send_json({"jsonrpc": "2.0", "id": 3, "method": "eth_unsubscribe", "params": [name]})
            assert (await raw.receive_json())["result"] is True
            await world.mine()
            with pytest.raises(TimeoutError):
                await raw.receive(timeout=0.3)
