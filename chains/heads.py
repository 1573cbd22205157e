"""New heads told by a node (`eth_subscribe newHeads`) over web3's WebSocket provider, so that nobody waits out a poll.

A head told here says when to look, never what is true: what counts is read from the quorum. One endpoint speaks at a time;
when it drops, falls silent or says nonsense the next one is asked, with back-off. Whoever waits bounds the wait himself, so
that a feed that is down costs nothing but the speed of polling.

web3 takes half a second to import: that happens in a thread, and not before somebody waits for a head. Waiting for an answer
(never for a head) web3 spins on the event loop, hence the short limit on an answer.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from chains.errors import FairleadError, Halt, Retry
from chains.evm import hash32
from chains.rpc import SecretUrl
from chains.types import BlockRef, Hash32

ANSWER_S = 3.0
CLOSE_S = 2.0
FIRST_BACKOFF_S, MAX_BACKOFF_S = 0.5, 30.0
# More than a few blocks late is silence; a missed slot or two is not, nor is a busy machine.
SILENT_BLOCKS, LEAST_SILENCE_S = 4, 10.0
REMEMBERED = 32
"""So many heads are kept, to tell by which blocks one follows another."""


def silence_s(block_time_ms: int) -> float:
    """How long a chain of that block time may say nothing before its feed counts as dead."""
    return max(LEAST_SILENCE_S, SILENT_BLOCKS * block_time_ms / 1000)


class Heads:
    """The newest head of one chain. `newest` is the last one told (lower than before after a reorganisation), `told_at_s` when, by the
    monotonic clock, `recent` those before it; `told` counts them, `live` says whether a subscription stands, `trouble` why the last
    one ended."""

    def __init__(
        self,
        chain_id: int,
        urls: Sequence[SecretUrl],
        *,
        silence_s: float,
        backoff_s: tuple[float, float] = (FIRST_BACKOFF_S, MAX_BACKOFF_S),
    ) -> None:
        self._chain_id, self._urls, self._silence_s, self._backoff_s = chain_id, urls, silence_s, backoff_s
        self._wanted, self._news = asyncio.Event(), asyncio.Event()
        self.newest: BlockRef | None = None
        self.recent: OrderedDict[Hash32, BlockRef] = OrderedDict()
        self.told_at_s = 0.0
        self.told = 0
        self.live = False
        self.trouble: FairleadError | None = None

    async def run(self) -> None:
        """Subscribes, again and again, once somebody waits. Ends with Halt WRONG_CHAIN_ID; cancelled, it closes its socket."""
        await self._wanted.wait()
        wait_s, most_s = self._backoff_s
        for url in itertools.cycle(self._urls):
            try:
                async with aclosing(subscribe(self._chain_id, url, self._silence_s)) as heads:
                    async for head in heads:
                        self.live, wait_s = True, self._backoff_s[0]
                        self._tell(head)
            except Retry as error:
                self.trouble = error
            except Halt as error:
                self.trouble = error
                raise
            finally:
                self.live = False
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, most_s)

    def _tell(self, head: BlockRef) -> None:
        self.newest, self.told, self.told_at_s = head, self.told + 1, time.monotonic()
        self.recent[head.hash] = head
        while len(self.recent) > REMEMBERED:
            self.recent.popitem(last=False)
        waiting, self._news = self._news, asyncio.Event()
        waiting.set()

    def want(self) -> None:
        """Have the subscription made, for whoever looks at `newest` and does not wait."""
        self._wanted.set()

    async def wanted(self) -> None:
        """Returns once somebody wants heads told. Asking this wants nothing."""
        await self._wanted.wait()

    async def after(self, told: int) -> BlockRef:
        """The newest head once more than `told` were told: at once where that is so already, so none is missed."""
        self._wanted.set()
        while self.newest is None or self.told <= told:
            await self._news.wait()
        return self.newest

    async def __aiter__(self) -> AsyncIterator[BlockRef]:
        """For ever, from the newest on; heads that came while the last one was being used are told as the newest of them."""
        told = 0
        while True:
            head = await self.after(told)
            told = self.told
            yield head


async def subscribe(chain_id: int, url: SecretUrl, silence_s: float) -> AsyncGenerator[BlockRef, None]:
    """The heads of one connection. Raises Retry NO_CONNECTION, HEADS_SILENT, HEADS_LOST; Halt WRONG_CHAIN_ID."""
    await asyncio.to_thread(_load)
    from web3 import AsyncWeb3, WebSocketProvider
    from web3.exceptions import ProviderConnectionError, Web3Exception
    from websockets.exceptions import WebSocketException

    # web3 lets through whatever a frame of the wrong shape breaks inside it.
    wrong = (
        Web3Exception, WebSocketException, OSError, ValueError, TypeError, KeyError, AttributeError, FairleadError,
    )  # fmt: skip
    provider = WebSocketProvider(
        url.reveal(),
        use_text_frames=True,
        websocket_kwargs={
            "open_timeout": 5, "close_timeout": 1, "ping_interval": 20, "ping_timeout": 20, "max_size": 1 << 18, "proxy": None,
        },
        max_connection_retries=1,
        request_timeout=ANSWER_S,
        subscription_response_queue_size=16,
    )  # fmt: skip
    web3 = AsyncWeb3(provider)
    try:
        await provider.connect()
        answered = await web3.eth.chain_id
        if answered != chain_id:
            raise Halt(
                "WRONG_CHAIN_ID",
                f"{url.origin} is chain {answered}, the settings say {chain_id}",
                f"correct the rpc of chain {chain_id} in the settings; nothing was sent",
            )
        await web3.eth.subscribe("newHeads")
        stream = web3.socket.process_subscriptions()
        while True:
            async with asyncio.timeout(silence_s):
                message = await anext(stream, None)
            if message is None:
                raise _lost(url)
            yield _head(message)
    except (Halt, Retry):
        raise
    except TimeoutError:
        raise Retry("HEADS_SILENT", f"{url.origin} told no new head for {silence_s:g} s") from None
    except ProviderConnectionError:
        raise Retry(
            "NO_CONNECTION",
            f"{url.origin} could not be reached",
            "is the endpoint up, and does it serve WebSockets?",
        ) from None
    except wrong as error:
        raise _lost(url, type(error).__name__) from None
    finally:
        # The first call raises what ended web3's listener, and leaves the socket open.
        for _ in range(2):
            try:
                async with asyncio.timeout(CLOSE_S):
                    await provider.disconnect()
                break
            except wrong:
                continue


def _load() -> None:
    import web3  # noqa: F401
    import websockets.asyncio.client  # noqa: F401

    # web3 writes endpoints, keys and all, into its log, and to stderr where there is no log.
    logging.getLogger("web3").setLevel(logging.CRITICAL + 1)


def _lost(url: SecretUrl, why: str = "closed") -> Retry:
    return Retry("HEADS_LOST", f"{url.origin} ended its subscription to new heads ({why})")


def _head(message: Mapping[str, Any]) -> BlockRef:
    """web3's formatted header: ints and bytes."""
    raw = message["result"]
    block, parent = (hash32(bytes(raw[name])) for name in ("hash", "parentHash"))
    fee = int(raw.get("baseFeePerGas") or 0)
    return BlockRef(int(raw["number"]), block, parent, int(raw["timestamp"]), fee)
