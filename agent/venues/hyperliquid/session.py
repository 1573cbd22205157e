"""One account at Hyperliquid: actions signed elsewhere and sent once, its books, its reports from the socket with an audit beside.

`api_key` is the account's address (not the agent wallet's, whose key is the signer's). Nothing here knows a secret.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import orjson

from agent.domain.errors import FairleadError, Reconcile, Reject, Retry, Usage
from agent.domain.ids import ClOrdId
from agent.domain.order_state import OrdStatus
from agent.domain.orders import VenueOrder
from agent.domain.reports import Balance, ExecutionReport, Fill, OrderSnapshot, Position
from agent.market.feeds import FeedFacts
from agent.ports import Clock, SignedRequest, VenueBook, VenueInstrument
from agent.transport.books import Books
from agent.transport.http import Http, Reply, TimeOuts
from agent.transport.stream import Stream
from agent.transport.throttle import Throttle
from agent.venues import Sign, VenueFacts, market_named, need_all_fills, need_markets, one_by_one, understood
from agent.venues.hyperliquid import codec, margin
from agent.venues.hyperliquid.reports import Reports
from chains.ending import ended

PAGE = 2_000
KEPT_NS = 60 * 10**9
FIRST_BOOK_S = 5.0


class Hyperliquid:
    """An `agent.ports.ExecutionVenue` over its spot pairs and its perpetuals, with `positions` and `margin`."""

    def __init__(
        self,
        facts: VenueFacts,
        feed: FeedFacts,
        name: str,
        clock: Clock,
        account: str,
        sign: Sign,
        base_url: str | None,
        ws_url: str | None,
        timeouts: TimeOuts | None = None,
    ) -> None:
        self._facts, self._feed, self._name, self._clock, self._account, self._sign = facts, feed, name, clock, account, sign  # fmt: skip
        rest = (base_url or facts.rest_url).rstrip("/")
        socket = (ws_url or ("ws" + rest.removeprefix("http") + "/ws" if base_url else facts.stream_url)).rstrip("/")  # fmt: skip
        self._stream_url, self._user_url = socket, socket
        self.http = Http(name, rest, Throttle(clock, facts.weight_per_minute), "", timeouts)
        self._markets: dict[str, codec.Market] = {}
        self._by_coin: dict[str, codec.Market] = {}
        self.reader = codec.Reader(name, self._by_coin)
        self._kept: dict[str, tuple[int, Any]] = {}
        self._books: dict[str, tuple[Books, asyncio.Task[None]]] = {}
        self.reports = Reports(self, clock, facts.audit_s)

    @property
    def name(self) -> str:
        return self._name

    @property
    def account(self) -> str:
        return self._account

    async def start(self) -> None:
        """Loads the markets. Raises Retry within the time-outs where the venue is not there, MARKETS_NOT_LOADED where it has none."""
        meta, mids = await self.info({"type": "spotMeta"}, 20), await self.info({"type": "allMids"}, 2)
        found = codec.markets(meta, mids, self._facts.maker_fee_bps, self._facts.taker_fee_bps)
        found |= codec.perpetuals(await self.info({"type": "meta"}, 20), mids)
        if not found:
            raise Retry("MARKETS_NOT_LOADED", f"{self._name} lists no market with a price", "try again later")  # fmt: skip
        self._markets.update(found)
        self._by_coin.update({market.coin: market for market in found.values()})
        self.reports.begin()

    async def close(self) -> None:
        tasks = [task for _, task in self._books.values()]
        await ended(tasks)
        self._books.clear()
        await self.http.close()

    # market

    async def instruments(self) -> Sequence[VenueInstrument]:
        self._need_markets()
        return tuple(market.instrument for market in self._markets.values())

    async def book(self, symbol: str) -> VenueBook:
        """Raises Retry STALE_BOOK, Usage UNKNOWN_SYMBOL. The first call for a symbol begins to follow it."""
        coin = self._market(symbol).coin
        if symbol not in self._books:
            stream = Stream(
                lambda: self.http.client, self._stream_url, self._clock, quiet_s=self._facts.book_quiet_s
            )
            books = Books(self._feed, (coin,), stream, self._clock)
            self._books[symbol] = books, asyncio.create_task(books.run(), name=f"{self._name} book {symbol}")
            await books.first(coin, FIRST_BOOK_S)
        found = self._books[symbol][0].book(coin)
        return VenueBook(symbol, found.bids, found.asks, found.at_ns)

    # orders

    async def authorize(self, order: VenueOrder) -> SignedRequest:
        """Raises Usage for what the venue would refuse; nothing is sent."""
        action = codec.order_action(order, self._market(order.symbol))
        self.reader.names[codec.cloid(order.cl_ord_id)] = order.cl_ord_id
        asked, body = await self._signed(action)
        self.reports.watch(order.symbol, order.cl_ord_id)
        digest = hashlib.sha256(asked.encode()).hexdigest()
        return SignedRequest(order.cl_ord_id, "POST", "/exchange", body, digest)

    async def submit(self, request: SignedRequest) -> OrderSnapshot:
        """Sends these bytes once. Raises Reject, Retry (it never arrived) or Reconcile (it may have)."""
        self._need_markets()
        await self._act(request.payload)
        return await self._after_write(request.cl_ord_id)

    async def cancel(self, cl_ord_id: ClOrdId, symbol: str) -> OrderSnapshot:
        """The order after the cancel; one that had ended already is returned as it ended. Raises Reject NO_SUCH_ORDER, Reconcile."""
        try:
            await self._do(codec.cancel_action(cl_ord_id, self._market(symbol)))
        except Reject as refused:
            if refused.code != "NO_SUCH_ORDER":
                raise
            ended = await self.query(cl_ord_id, symbol)
            if ended is None:
                raise Reject("NO_SUCH_ORDER", f"{self._name} has no order {cl_ord_id}") from None
            return ended
        return await self._after_write(cl_ord_id)

    async def cancel_many(self, orders: Sequence[tuple[ClOrdId, str]]) -> Mapping[ClOrdId, OrderSnapshot | FairleadError]:  # fmt: skip
        """One action for each, side by side. As the port says."""
        return await one_by_one(self.cancel, orders)

    async def modify(self, order: VenueOrder) -> OrderSnapshot:
        """The order of this id becomes this one. Raises as `submit`."""
        await self._do(codec.modify_action(order, self._market(order.symbol)))
        return await self._after_write(order.cl_ord_id)

    @property
    def schedules_cancel(self) -> bool:
        return True

    async def schedule_cancel(self, seconds: float | None) -> None:
        """Has the venue cancel everything then, should nothing more be heard of us; None takes it back. Raises as `submit`."""
        at_ms = None if seconds is None else self._now_ms() + int(seconds * 1_000)
        await self._do(codec.schedule_action(at_ms))

    async def query(self, cl_ord_id: ClOrdId, symbol: str) -> OrderSnapshot | None:
        """None only where the venue says unknownOid; a request under way may yet arrive until it expires."""
        self._market(symbol)
        return await self._ask(codec.cloid(cl_ord_id))

    async def open_orders(self) -> Sequence[OrderSnapshot]:
        """Without their fills: `query` has them."""
        self._need_markets()
        rows = await self.info({"type": "frontendOpenOrders", "user": self._account}, 20)
        with understood("frontendOpenOrders"):
            known = [row for row in rows if self.reader.market(row["coin"])]
            return tuple(self.reader.order(row, "open", row["timestamp"]) for row in known)

    async def fills(self, symbol: str, since_ns: int) -> Sequence[tuple[ClOrdId, Fill]]:
        self._market(symbol)
        told = await self.fills_since(since_ns // 1_000_000)
        return tuple((name, fill) for name, _, fill in told if fill.exec_id.startswith(f"{symbol}:"))

    async def fills_since(self, since_ms: int) -> list[tuple[ClOrdId, str, Fill]]:
        """(our name, the venue's order number, fill) of every market since then, oldest first, page by page."""
        self._need_markets()
        found: dict[str, tuple[ClOrdId, str, Fill]] = {}
        while True:
            rows = await self.info({"type": "userFillsByTime", "user": self._account, "startTime": since_ms}, 20)  # fmt: skip
            read = [fill for fill in map(self.reader.fill, rows) if fill is not None]
            found.update({fill[2].exec_id: fill for fill in read})
            with understood("userFillsByTime"):
                last = max((int(row["time"]) for row in rows), default=since_ms)
            if len(rows) < PAGE or last == since_ms:
                return sorted(found.values(), key=lambda fill: fill[2].at_ns)
            since_ms = last

    async def balances(self) -> Sequence[Balance]:
        self._need_markets()
        spot = await self.info({"type": "spotClearinghouseState", "user": self._account}, 2)
        return (*codec.balances(spot, self._name), *codec.dollars(await self._state(), self._name))

    async def positions(self) -> Sequence[Position]:
        return tuple(codec.positions(await self._state(), self._name))

    async def margin(self) -> Mapping[str, Any]:
        """The account's perpetuals, as `agent.margin.hyperliquid` reads them. Raises Usage UNIFIED_MARGIN: there it would be told otherwise
        than it is."""
        mode = await self._lasting({"type": "userAbstraction", "user": self._account})
        if mode not in margin.APART:
            raise Usage(
                "UNIFIED_MARGIN",
                f"at {self._name} other balances of the account answer for its perpetuals ({str(mode)[:40]}), which is not counted here",
                "keep spot and perpetuals apart on the exchange's own page, or watch it there",
            )
        state = await self._state()
        meta = await self._lasting({"type": "meta"}) if margin.open_rows(state) else {}
        return margin.document(self._name, state, meta, self._now_ms() // 1_000)

    async def funding(self, symbol: str, since_ns: int) -> Sequence[tuple[int, Decimal]]:
        """Of a perpetual, hourly, from where the page before ended: five hundred are told at once, the oldest of what was asked for. Raises
        Retry, Usage UNKNOWN_SYMBOL."""
        coin, start_ms, found = self._market(symbol).coin, since_ns // 1_000_000, dict[int, Decimal]()
        while True:
            asked = {"type": "fundingHistory", "coin": coin, "startTime": start_ms}
            told = codec.funding(await self.info(asked, 20))
            found |= told
            if len(told) < codec.FUNDING_PAGE:
                return tuple(sorted(found.items()))
            start_ms = max(told[-1][0] // 1_000_000, start_ms) + 1

    def stream(self) -> AsyncIterator[ExecutionReport]:
        """Reports of this account as they happen, each execution once, merged with an audit over REST."""
        self._need_markets()
        return self.reports.told(Stream(lambda: self.http.client, self._user_url, self._clock))

    # inside

    def _need_markets(self) -> None:
        need_markets(self._name, self._markets)

    def _market(self, symbol: str) -> codec.Market:
        return market_named(self._name, self._markets, symbol)

    def _now_ms(self) -> int:
        return self._clock.now_ns() // 1_000_000

    async def info(self, question: Mapping[str, Any], weight: int) -> Any:
        headers = {"Content-Type": "application/json"}
        reply = await self.http.read("POST", "/info", "", headers, weight, orjson.dumps(question))
        if reply.status >= 400:
            raise codec.refusal(_text(reply), write=False)
        return codec.load(reply.body, str(question["type"]))

    async def _state(self) -> Any:
        """Of the perpetuals."""
        return await self.info({"type": "clearinghouseState", "user": self._account}, 2)

    async def _lasting(self, question: Mapping[str, Any]) -> Any:
        """What changes seldom and is dear to ask for, as it was told within a minute."""
        kind, now_ns = str(question["type"]), self._clock.now_ns()
        at_ns, told = self._kept.get(kind, (-KEPT_NS, None))
        if not 0 <= now_ns - at_ns < KEPT_NS:
            told = await self.info(question, 20)
            self._kept[kind] = now_ns, told
        return told

    async def _signed(self, action: Mapping[str, Any]) -> tuple[str, str]:
        """(what was signed, the body to send)."""
        asked = codec.to_sign(action, self._now_ms() + self._facts.recv_window_ms)
        return asked, codec.signed_body(asked, await self._sign("POST", "/exchange", asked))

    async def _do(self, action: Mapping[str, Any]) -> None:
        await self._act((await self._signed(action))[1])

    async def _act(self, body: str) -> None:
        """Sends an action once; returns where the venue says that it took it."""
        headers = {"Content-Type": "application/json"}
        reply = await self.http.write("POST", "/exchange", "", body.encode(), headers)
        if reply.status >= 400:
            raise codec.refusal(_text(reply), write=True)
        codec.statuses(codec.load(reply.body, "the answer to an action", write=True))

    async def _ask(self, oid: str) -> OrderSnapshot | None:
        data = await self.info({"type": "orderStatus", "user": self._account, "oid": oid}, 2)
        with understood("orderStatus"):
            if data["status"] == "unknownOid":
                return None
            row, word, at_ms = data["order"]["order"], data["order"]["status"], data["order"]["statusTimestamp"]  # fmt: skip
            plain = self.reader.order(row, word, at_ms)
        if plain.status is OrdStatus.NEW and not plain.cum_qty:
            return plain
        told = await self.fills_since(int(row["timestamp"]))
        fills = [fill for _, number, fill in told if number == plain.venue_order_id]
        need_all_fills(self._name, plain, fills)
        return self.reader.order(row, word, at_ms, fills)

    async def _after_write(self, cl_ord_id: ClOrdId) -> OrderSnapshot:
        """The order as it stands: the answer to an action tells no fee. Raises Reconcile where that cannot be read now."""
        try:
            found = await self._ask(codec.cloid(cl_ord_id))
        except Retry as error:
            raise Reconcile("FILLS_UNKNOWN", f"{cl_ord_id} was taken; how it stands could not be read: {error.message}", "ask by client order id") from None  # fmt: skip
        if found is None:
            raise Reconcile("NOT_VISIBLE_YET", f"{cl_ord_id} was taken and is not told of yet", "ask by client order id")  # fmt: skip
        return found


def _text(reply: Reply) -> str:
    return reply.body[:200].decode("utf-8", "replace")
