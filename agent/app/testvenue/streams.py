"""WebSocket connections: market streams, user-data streams, and the faults that befall them."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from aiohttp import WSMsgType, web

from agent.app.testvenue import wire
from agent.app.testvenue.book import HOUSE, Book, LevelChange
from agent.app.testvenue.engine import Engine, Execution, Outcome, Trade
from agent.app.testvenue.faults import Faults
from agent.app.testvenue.venue import Venue

DEPTH_EVERY_S = 0.1
_BARE = re.compile(r'"@@(-?[0-9.]+)@@"')
QUEUE = 10_000


def encoded(body: object) -> str:
    """JSON; a Decimal becomes a number of just these digits, which no float would keep."""
    return _BARE.sub(r"\1", json.dumps(body, default=lambda value: f"@@{value:f}@@"))


@dataclass(slots=True, eq=False)
class Connection:
    """`queue`: what is said on it, each with the moment (monotonic seconds) it leaves at, in order; "" ends it."""

    ws: web.WebSocketResponse
    combined: bool = False
    streams: set[str] = field(default_factory=set)
    account: str = ""
    subscription: int | None = None
    queue: asyncio.Queue[tuple[float, str]] = field(default_factory=lambda: asyncio.Queue(QUEUE))
    dead: bool = False
    held: str = ""

    def missed(self) -> None:
        """Something was lost on its way; a dialect that counts its messages counts it."""

    def send(self, stream: str, event: wire.Json, delay_s: float, kind: str = "") -> None:
        """`kind` of the fault that befalls it, if one does."""
        body: wire.Json = event
        if self.subscription is not None and stream == "user":
            body = {"subscriptionId": self.subscription, "event": event}
        elif self.combined:
            body = {"stream": stream, "data": event}
        text = encoded(body)
        if kind == "partial":
            text = text[: len(text) // 2]
        if self.dead:
            return
        if kind == "reorder" and not self.held:
            self.held = text
            return
        for one in (text, self.held):
            if one:
                self.say(one, delay_s)
        self.held = ""

    def say(self, text: str, delay_s: float = 0.0) -> None:
        """In its turn, so much later than now at the soonest; what is too much to wait is dropped."""
        if not self.queue.full():
            self.queue.put_nowait((time.monotonic() + delay_s, text))

    def answer(self, text: str) -> None:
        """Says so, in its turn."""
        if not self.dead:
            self.say(text)


class Words(Protocol):
    """How a dialect's streams say what happened."""

    def execution_report(self, execution: Execution, now_ms: int, cancel_id: str = "") -> wire.Json: ...

    def account_position(self, engine: Engine, account: str, now_ms: int) -> wire.Json: ...

    def depth_update(self, symbol: str, changes: list[LevelChange], now_ms: int) -> wire.Json: ...

    def trade_event(self, trade: Trade, now_ms: int) -> wire.Json: ...

    def book_ticker(self, book: Book) -> wire.Json: ...


class Hub:
    """Hears every outcome in order and passes it on; market depth is gathered for 100 ms, orders go at once. `latency_s`: how long each way takes."""

    latency_s = 0.0

    def __init__(self, venue: Venue, faults: Faults, words: Words, sweep: Callable[[], None]) -> None:
        self.venue, self.faults, self._words, self._sweep = venue, faults, words, sweep
        self.connections: set[Connection] = set()
        self.listen_keys: dict[str, str] = {}
        self.cancel_ids: dict[int, str] = {}
        self._depth: dict[str, list[LevelChange]] = {}
        venue.listener = self.on_outcome

    def on_outcome(self, outcome: Outcome) -> None:
        now_ms, engine = self.venue.now_ms(), self.venue.engine
        accounts: list[str] = []
        for execution in outcome.executions:
            account = execution.order.account
            if account == HOUSE:
                continue
            cancel_id = (
                self.cancel_ids.pop(execution.order.order_id, "") if execution.exec_type == "CANCELED" else ""
            )
            self._publish("user", "user", self._words.execution_report(execution, now_ms, cancel_id), account)
            if account not in accounts:
                accounts.append(account)
        for account in accounts:
            self._publish("user", "user", self._words.account_position(engine, account, now_ms), account)
        for trade in outcome.trades:
            self._publish("trade", f"{trade.symbol.lower()}@trade", self._words.trade_event(trade, now_ms))
        for symbol in {change.symbol for change in outcome.changes}:
            self._publish(
                "bookTicker", f"{symbol.lower()}@bookTicker", self._words.book_ticker(engine.books[symbol])
            )
        for change in outcome.changes:
            self._depth.setdefault(change.symbol, []).append(change)

    def _publish(self, kind: str, stream: str, event: wire.Json, account: str = "") -> None:
        if not event:
            return
        takers = [c for c in self.connections if (c.account == account if account else stream in c.streams)]
        if not takers:
            return
        fault = self.faults.take(kind)
        copies, delay_s = 1, 0.0
        if fault is not None:
            if fault.kind in ("drop", "silence"):
                for taker in takers:
                    taker.missed()
                return
            if fault.kind == "duplicate":
                copies = 2
            elif fault.kind == "delay":
                delay_s = fault.delay_ms / 1_000
            elif fault.kind == "half_open":
                for taker in takers:
                    taker.dead = True
            elif fault.kind == "close":
                for taker in takers:
                    taker.say("")
                return
        for taker in takers:
            for _ in range(copies):
                taker.send(stream, event, delay_s, fault.kind if fault is not None else "")

    async def depth_forever(self) -> None:
        while True:
            await asyncio.sleep(DEPTH_EVERY_S)
            self._sweep()
            self.flush()

    def touch(self, symbol: str) -> None:
        """This book is told at the next time, whether or not it changed."""
        self._depth.setdefault(symbol, [])

    def flush(self) -> None:
        """Tells what changed in the books since the last time."""
        pending, self._depth = self._depth, {}
        for symbol, changes in pending.items():
            told = self._words.depth_update(symbol, changes, self.venue.now_ms())
            self._publish("depth", f"{symbol.lower()}@depth@100ms", told)

    async def serve(self, request: web.Request, connection: Connection, on_text: Any) -> web.StreamResponse:
        """Runs a connection to its end; `on_text(connection, message)` answers what the client says: text as it is; None with nothing, or in
        its turn among the rest."""
        ws = connection.ws
        try:
            await ws.prepare(request)
        except ConnectionError:  # the client was gone before it was answered
            return web.Response(status=400)
        self.connections.add(connection)
        sender = asyncio.create_task(self._send_forever(connection))
        try:
            async for message in ws:
                if message.type is not WSMsgType.TEXT:
                    continue
                if self.latency_s:
                    loop = asyncio.get_running_loop()
                    loop.call_later(self.latency_s, self._heard, connection, on_text, message.data)
                    continue
                answer = on_text(connection, message.data)
                if answer:  # some say nothing to what they are told
                    await ws.send_str(answer if isinstance(answer, str) else encoded(answer))
        finally:
            self.connections.discard(connection)
            sender.cancel()
        return ws

    def _heard(self, connection: Connection, on_text: Any, text: str) -> None:
        """What was on its way for as long as it takes; of a connection that ended meanwhile it is lost."""
        if connection in self.connections and (answer := on_text(connection, text)):
            connection.answer(answer if isinstance(answer, str) else encoded(answer))

    async def _send_forever(self, connection: Connection) -> None:
        try:
            while True:
                leaves, text = await connection.queue.get()
                wait_s = leaves + self.latency_s - time.monotonic()
                if wait_s > 0:
                    await asyncio.sleep(wait_s)
                if not text:
                    await connection.ws.close()
                    return
                await connection.ws.send_str(text)
        except ConnectionError:
            self.connections.discard(connection)

    def listen_key(self, account: str) -> str:
        for key, who in self.listen_keys.items():
            if who == account:
                return key
        key = secrets.token_hex(32)
        self.listen_keys[key] = account
        return key

    async def close(self) -> None:
        for connection in list(self.connections):
            await connection.ws.close()


def market_message(connection: Connection, text: str) -> wire.Json:
    """SUBSCRIBE, UNSUBSCRIBE and LIST_SUBSCRIPTIONS on a market stream connection."""
    try:
        message = json.loads(text)
        method, streams = message["method"], message.get("params", [])
    except (ValueError, KeyError, TypeError):
        return {"error": {"code": 3, "msg": "Invalid JSON: expected value at line 1 column 1"}}
    if method == "SUBSCRIBE":
        connection.streams |= set(streams)
    elif method == "UNSUBSCRIBE":
        connection.streams -= set(streams)
    elif method == "LIST_SUBSCRIPTIONS":
        return {"result": sorted(connection.streams), "id": message.get("id")}
    return {"result": None, "id": message.get("id")}
