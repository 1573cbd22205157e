"""New heads come by subscription: the newest wins, none is missed, and a feed that dies, lies or falls silent stops nobody."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import aiohttp
import pytest
from head_server import HeadServer, head_server

from agent.app.chain_desk import ChainDesk
from agent.transport.clock import SystemClock
from chains import profiles
from chains.errors import Halt, Retry
from chains.gateway import Gateway
from chains.heads import Heads, subscribe
from chains.rpc import Rpc
from chains.types import Address, Protection

QUICK = (0.05, 0.2)


@asynccontextmanager
async def running(heads: Heads) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(heads.run())
    try:
        yield task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, Halt):
            await task


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def heads_of(*servers: HeadServer, silence_s: float = 5.0) -> Heads:
    return Heads(1, [server.url for server in servers], silence_s=silence_s, backoff_s=QUICK)


async def test_the_newest_head_wins_and_none_is_missed() -> None:
    async with head_server(HeadServer()) as server:
        heads = heads_of(server)
        async with running(heads):
            await asyncio.sleep(0.1)
            assert server.connections == 0, "nobody waited yet"
            first = asyncio.create_task(heads.after(0))
            await server.subscribed()
            for number in (10, 11, 12):
                await server.tell(number)
            assert (await first).number in (10, 11, 12)
            await until(lambda: heads.told == 3)
            assert heads.newest is not None and heads.newest.number == 12 and heads.live
            # What came while nobody waited is there at once, and only once.
            assert (await asyncio.wait_for(heads.after(2), 0.01)).number == 12
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(heads.after(3), 0.05)
            seen = []
            async for head in heads:
                seen.append((head.number, head.hash[-1:]))
                if len(seen) == 1:
                    await server.tell(13)
                elif len(seen) == 2:
                    await server.tell(12, salt=1)  # a reorganisation: lower, and the newest all the same
                else:
                    break
            assert [number for number, _ in seen] == [12, 13, 12]
            assert heads.newest.base_fee_wei == 7 and heads.newest.timestamp == 1_700_000_012
            assert heads.newest.parent_hash == "0x" + f"{11:064x}"
    assert not heads.live


@pytest.mark.parametrize("end", ["rudely", "politely", "with noise", "with a list", "with another shape"])
async def test_a_dropped_subscription_is_made_again(end: str) -> None:
    async with head_server(HeadServer()) as server:
        heads = heads_of(server)
        async with running(heads):
            waiting = asyncio.create_task(heads.after(0))
            await server.subscribed()
            await server.tell(1)
            await waiting
            if end in ("rudely", "politely"):
                await server.drop(rudely=end == "rudely")
            else:
                frames = {"with noise": "\x01 not json", "with a list": "[[]]"}
                shape = '{"jsonrpc":"2.0","method":"eth_subscription","params":{"subscription":"0x5","result":{"number":"x"}}}'
                await server.say(frames.get(end, shape))
            await until(lambda: server.connections == 2)
            await server.subscribed()
            await server.tell(2)
            assert (await asyncio.wait_for(heads.after(1), 5)).number == 2
            assert isinstance(heads.trouble, Retry) and heads.trouble.code == "HEADS_LOST"


async def test_silence_counts_as_death_and_the_next_endpoint_is_asked() -> None:
    async with head_server(HeadServer()) as silent, head_server(HeadServer()) as other:
        heads = heads_of(silent, other, silence_s=0.3)
        async with running(heads):
            waiting = asyncio.create_task(heads.after(0))
            await other.subscribed()
            assert heads.trouble is not None and heads.trouble.code == "HEADS_SILENT"
            assert not heads.live
            await other.tell(7)
            assert (await waiting).number == 7 and heads.live


@pytest.mark.parametrize("kind", ["mute", "refuse", "closed port"])
async def test_an_endpoint_that_serves_no_heads_is_given_up_soon(kind: str) -> None:
    async with head_server(HeadServer(mute=kind == "mute", refuse=kind == "refuse")) as server:
        url = server.url
        if kind != "closed port":
            with pytest.raises(Retry) as failed:
                await asyncio.wait_for(anext(subscribe(1, url, 5.0)), 10)
    if kind == "closed port":
        with pytest.raises(Retry, match="NO_CONNECTION") as failed:
            await asyncio.wait_for(anext(subscribe(1, url, 5.0)), 10)
    assert "the-key" not in str(failed.value) and "hidden" not in str(failed.value)


async def test_another_chains_heads_are_refused_for_good(capfd: pytest.CaptureFixture[str]) -> None:
    async with head_server(HeadServer(chain_id=8453)) as server:
        heads = heads_of(server)
        async with running(heads) as task:
            waiting = asyncio.create_task(heads.after(0))
            with pytest.raises(Halt, match="WRONG_CHAIN_ID") as refused:
                await asyncio.wait_for(task, 10)
            waiting.cancel()
        assert "is chain 8453, the settings say 1" in refused.value.message
        assert server.asked == ["eth_chainId"] and server.connections == 1
    assert "the-key" not in str(refused.value)
    assert capfd.readouterr().err == ""


def desk(session: aiohttp.ClientSession, heads: Heads | None, poll_s: float) -> ChainDesk:
    return ChainDesk(
        profile=profiles.load(1),
        gateway=Gateway(1, [Rpc("http://127.0.0.1:1", session)]),
        relay=None,
        simulator=None,
        wallet=Address("0x" + "11" * 20),
        sender=None,
        protection=Protection.PRIVATE,
        finality="finalized",
        finality_depth=2,
        poll_s=poll_s,
        clock=SystemClock(),
        heads=heads,
    )


async def test_whoever_waits_goes_on_by_polling_while_the_feed_is_down() -> None:
    async with aiohttp.ClientSession() as session, head_server(HeadServer()) as server:
        heads = heads_of(server)
        async with running(heads):
            quick, slow = desk(session, heads, 0.1), desk(session, heads, 60.0)
            began = time.monotonic()
            await quick.next_look(quick.heads_told())  # no head was ever told
            assert 0.09 <= time.monotonic() - began < 5
            await server.subscribed()
            waiting = asyncio.create_task(slow.next_look(slow.heads_told()))
            await server.tell(1)
            await asyncio.wait_for(waiting, 5)
            before = slow.heads_told()
            await server.tell(2)
            await until(lambda: heads.told == 2)
            await asyncio.wait_for(slow.next_look(before), 0.5)  # told during the look: not waited for again
            await server.drop()
            began = time.monotonic()
            await quick.next_look(quick.heads_told())
            assert time.monotonic() - began < 5
        began = time.monotonic()
        await desk(session, None, 0.05).next_look(0)
        assert 0.04 <= time.monotonic() - began < 5
