"""One account at one server: signed requests, books kept in step, and a report stream that an audit keeps honest.

The API secret is never here: `sign` asks the signer's process. Requests are signed over the exact bytes that are sent.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from agent.domain.errors import Denied, FairleadError, Reconcile, Reject, Retry, Usage
from agent.domain.ids import ClOrdId
from agent.domain.order_lists import pair_of
from agent.domain.orders import VenueOrder
from agent.domain.reports import Balance, ExecutionReport, Fill, OrderSnapshot
from agent.market.conflation import Priority
from agent.market.feeds import FeedFacts
from agent.ports import Clock, SignedRequest, VenueBook, VenueInstrument
from agent.transport import binance
from agent.transport.books import Books
from agent.transport.following import Following
from agent.transport.http import Http, Reply, TimeOuts
from agent.transport.stream import Stream
from agent.transport.throttle import Throttle
from agent.venues import (
    Send,
    Sign,
    VenueFacts,
    market_named,
    need_all_fills,
    need_markets,
    one_by_one,
    to_cancel,
    understood,
)
from agent.venues.binance_spot import codec, feed
from agent.venues.binance_spot.lists import OrderLists
from agent.venues.binance_spot.pairs import Pairs
from agent.venues.binance_spot.reports import ReportStream

API = "/api/v3"
PAGE = 1_000


class BinanceSpot:
    """An `agent.ports.ExecutionVenue`. `start` first: without the venue's markets every other call says so at once."""

    def __init__(
        self,
        facts: VenueFacts,
        feed_facts: FeedFacts,
        name: str,
        clock: Clock,
        api_key: str,
        sign: Sign,
        base_url: str | None,
        timeouts: TimeOuts,
        ws_url: str | None = None,
        send: Send | None = None,
    ) -> None:
        self._facts, self._name, self._clock, self._sign = facts, name, clock, sign
        rest = (base_url or facts.rest_url).rstrip("/")
        socket = (ws_url or "ws" + rest.removeprefix("http")).rstrip("/")
        self._stream_url = socket if base_url or ws_url else facts.stream_url
        self._order_api_url = f"{socket}/ws-api/v3" if base_url else facts.order_api_url
        weights, orders = (
            Throttle(clock, facts.weight_per_minute),
            Throttle(clock, facts.orders_per_10s, binance.ORDERS_NS),
        )
        self.http = Http(name, rest, weights, binance.LIMITS, timeouts, orders)
        self._instruments: dict[str, VenueInstrument] = {}
        self._reader = codec.Reader(name, self._instruments)
        self._held: frozenset[str] = frozenset()
        self.books = Books(
            replace(feed_facts, subscribe=feed.subscribe_books, probe_s=facts.book_quiet_s),
            (),
            Stream(lambda: self.http.client, f"{self._stream_url}/ws", clock),
            clock,
            self._depth,
            rank=self._rank,
        )
        self._following = Following(name, self.books)
        self.account = binance.Account(
            self.http,
            clock,
            api_key,
            sign,
            send,
            f"{API}/time",
            facts.recv_window_ms,
            lambda ahead_ms: self.books.clocks(ahead_ms * 1_000_000),
        )
        self.reports = ReportStream(self, clock, facts.audit_s)
        self.lists = OrderLists(self)
        self.pairs = Pairs(self)

    @property
    def name(self) -> str:
        return self._name

    @property
    def reader(self) -> codec.Reader:
        return self._reader

    @property
    def ahead_ms(self) -> int:
        """How far the venue's clock was measured to be before ours."""
        return self.account.ahead_ms

    async def permissions(self) -> codec.Permissions:
        """What the venue says that this account may do. Raises as the other reads."""
        return codec.permissions(await self.signed_read("account", {"omitZeroBalances": "true"}, 20))

    async def start(self) -> None:
        """Sets the clock's offset and loads the markets. Raises Retry within the time-outs where the venue is not there."""
        reply = await self.http.read("GET", f"{API}/exchangeInfo", weight=20)
        if reply.status >= 400:
            raise binance.error_of(binance.refusal(reply.body), write=False)
        info = binance.load(reply.body, "exchangeInfo")
        self.account.keep_to(info, self._facts.weight_per_minute, self._facts.orders_per_10s)
        await self.account.set_clock()
        found = codec.instruments(info, self._facts.maker_fee_bps, self._facts.taker_fee_bps)
        if not found:
            raise Retry("MARKETS_NOT_LOADED", f"{self._name} lists no market that trades", "try again later")
        self._instruments.update(found)
        await self._set_fees()
        self.reports.begin()

    async def close(self) -> None:
        try:
            await self._following.close()
        finally:
            await self.http.close()

    # market

    async def instruments(self) -> Sequence[VenueInstrument]:
        self._need_markets()
        return tuple(self._instruments.values())

    async def book(self, symbol: str) -> VenueBook:
        """Raises Retry STALE_BOOK, Usage UNKNOWN_SYMBOL, Halt BOOKS_STOPPED. The first call for a symbol begins to follow it."""
        self.instrument(symbol)
        return await self._following.book(symbol)

    def _rank(self, symbol: str) -> Priority:
        if self.reports.works(symbol):
            return Priority.WORKING
        instrument = self._instruments.get(symbol)
        return Priority.HELD if instrument is not None and instrument.base in self._held else Priority.WATCHED

    async def _depth(self, path: str) -> bytes:
        return await self.account.depth(path, 5, 50)

    # orders

    async def authorize(self, order: VenueOrder) -> SignedRequest:
        """Raises Usage for what the venue's filters would refuse; nothing is sent."""
        instrument = self.instrument(order.symbol)
        if order.exits is not None or order.then is not None:
            path, params = self.pairs.request(order)
        else:
            path, params = "order", codec.new_order_params(order, instrument)
            self.reports.watch(order.symbol, order.cl_ord_id)
        payload, signature = await self.account.signed("POST", f"{API}/{path}", params)
        digest = hashlib.sha256(payload.encode()).hexdigest()
        sent = f"{payload}&signature={signature}" if signature else payload
        return SignedRequest(order.cl_ord_id, "POST", f"{API}/{path}", sent, digest)

    async def submit(self, request: SignedRequest) -> OrderSnapshot:
        """Sends these bytes once. Raises Reject, Retry (it never arrived) or Reconcile (it may have)."""
        self._need_markets()
        reply = await self.account.submit(request)
        in_pair = request.cl_ord_id in self.pairs.known or request.cl_ord_id in self.pairs.entries
        what = "the answer to a new list" if in_pair else "the answer to a new order"
        answer = self.account.accepted(reply, what, write=True)
        if not in_pair:
            return self._reader.placed(answer)
        with understood(what, write=True):
            symbol = str(answer["symbol"])
        return await self.pairs.placed(request.cl_ord_id, symbol, answer)

    async def cancel(self, cl_ord_id: ClOrdId, symbol: str) -> OrderSnapshot:
        """The order after the cancel; one that had ended already is returned as it ended.

        Raises Reject NO_SUCH_ORDER where the venue never had it, Reconcile where the answer was lost.
        """
        self.instrument(symbol)
        if cl_ord_id in self.pairs.known:
            return await self.pairs.cancel(cl_ord_id, symbol)
        params = {"symbol": symbol, "origClientOrderId": cl_ord_id}
        reply = await self.account.reply("DELETE", f"{API}/order", params, 1)
        if reply.status >= 400 and binance.refusal(reply.body).code == binance.CANCEL_REJECTED:
            ended = await to_cancel(self.query(cl_ord_id, symbol))
            if cl_ord_id in self.pairs.known:
                return await self.pairs.cancel(cl_ord_id, symbol)
            if ended is None:
                raise Reject("NO_SUCH_ORDER", f"{self._name} has no order {cl_ord_id}")
            return ended
        data = self.account.accepted(reply, "the answer to a cancel", write=True)
        cancelled = self._reader.cancelled(data)
        try:
            return await self._with_fills(cancelled)
        except Retry as error:
            raise fills_unknown(cl_ord_id, error) from None

    async def cancel_many(
        self, orders: Sequence[tuple[ClOrdId, str]]
    ) -> Mapping[ClOrdId, OrderSnapshot | FairleadError]:
        """One request a symbol where nothing else is open there: the venue ends all of a symbol or one order. As the port says."""
        ended: dict[ClOrdId, OrderSnapshot | FairleadError] = {}
        wanted: dict[str, set[ClOrdId]] = {}
        for name, symbol in orders:
            wanted.setdefault(symbol, set()).add(name)
        several = [symbol for symbol, names in wanted.items() if len(names) > 1]
        try:
            opened = await self.open_orders() if several else ()
        except Retry:
            opened = ()  # one by one then: each says what became of it
        for symbol in several:
            there = {order.cl_ord_id for order in opened if order.symbol == symbol}
            if len(there) > 1 and there <= wanted[symbol] and not there & self.pairs.known.keys():
                ended |= await self._cancel_symbol(symbol)
        left = [(name, symbol) for name, symbol in orders if name not in ended]
        return ended | await one_by_one(self.cancel, left)

    async def _cancel_symbol(self, symbol: str) -> dict[ClOrdId, OrderSnapshot | FairleadError]:
        """Every open order of a symbol; empty where the answer does not say which: they are asked after one by one."""
        try:
            rows = await self.signed_write(
                "DELETE", "openOrders", {"symbol": symbol}, "the answer to a cancel of all"
            )
            found = [self._reader.cancelled(row) for row in rows]
        except (Reject, Retry, Reconcile, Denied):
            return {}

        async def whole(order: OrderSnapshot) -> OrderSnapshot | FairleadError:
            try:
                return await self._with_fills(order)
            except Retry as error:
                return fills_unknown(order.cl_ord_id, error)

        told = await asyncio.gather(*(whole(order) for order in found))
        return dict(zip((order.cl_ord_id for order in found), told, strict=True))

    async def query(self, cl_ord_id: ClOrdId, symbol: str) -> OrderSnapshot | None:
        """None only for the venue's own -2013; a request still under way may yet arrive until its receive window ends."""
        if cl_ord_id in self.pairs.known:
            return await self.pairs.query(cl_ord_id, symbol)
        found = await self.order(cl_ord_id, symbol)
        return found if found is not None else await self.pairs.query(cl_ord_id, symbol)

    async def order(self, cl_ord_id: ClOrdId, symbol: str) -> OrderSnapshot | None:
        """One order as the venue names them: of a pair, one of its two."""
        self.instrument(symbol)
        params = {"symbol": symbol, "origClientOrderId": cl_ord_id}
        reply = await self.account.reply("GET", f"{API}/order", params, 4)
        if reply.status >= 400 and binance.refusal(reply.body).code == binance.NO_SUCH_ORDER:
            return None
        return await self._with_fills(self._reader.order(await self.account.checked(reply, "an order")))

    async def order_by_venue_id(self, symbol: str, venue_order_id: str) -> OrderSnapshot:
        data = await self.signed_read("order", {"symbol": symbol, "orderId": venue_order_id}, 4)
        return self._reader.order(data)

    def holds_pairs(self, symbol: str) -> bool:
        return symbol in self._instruments

    async def open_orders(self) -> Sequence[OrderSnapshot]:
        """Without their fills: `query` has them."""
        return self.pairs.merged(await self.each_open_order())

    async def each_open_order(self) -> Sequence[OrderSnapshot]:
        """As the venue names them."""
        self._need_markets()
        rows = await self.signed_read("openOrders", {}, 80)
        known = [row for row in rows if row.get("symbol") in self._instruments]
        return tuple(self._reader.order(row) for row in known)

    async def fills(self, symbol: str, since_ns: int) -> Sequence[tuple[ClOrdId, Fill]]:
        """Every fill of the account since then, oldest first, page by page."""
        self.instrument(symbol)
        rows = await self.trades_since(symbol, since_ns // 1_000_000)
        names: dict[str, ClOrdId] = {}
        found: list[tuple[ClOrdId, Fill]] = []
        for venue_order_id, _, fill in rows:
            if venue_order_id not in names:
                name = await self.reports.name_of(symbol, venue_order_id)
                names[venue_order_id] = pair_of(name) or name
            found.append((names[venue_order_id], fill))
        return tuple(found)

    async def trades_since(
        self, symbol: str, since_ms: int, from_id: int | None = None
    ) -> list[tuple[str, int, Fill]]:
        """(venue order id, trade id, fill) of every trade from an id, or else from a time on."""
        found: list[tuple[str, int, Fill]] = []
        params: dict[str, str | int] = {"startTime": since_ms} if from_id is None else {"fromId": from_id}
        while True:
            rows = await self.signed_read("myTrades", {"symbol": symbol, "limit": PAGE, **params}, 20)
            found += [self._reader.trade(row) for row in rows]
            if len(rows) < PAGE:
                return found
            params = {"fromId": found[-1][1] + 1}

    async def balances(self) -> Sequence[Balance]:
        self._need_markets()
        data = await self.signed_read("account", {"omitZeroBalances": "true"}, 20)
        found = tuple(codec.balances(data, self._name))
        self._held = frozenset(b.asset.rpartition("/")[2] for b in found if b.free or b.locked)
        return found

    def stream(self) -> AsyncIterator[ExecutionReport]:
        """Reports of this account as they happen, each execution once, merged with an audit over REST."""
        self._need_markets()
        stream = Stream(lambda: self.http.client, self._order_api_url, self._clock, self._hello)
        return self.reports.merged(stream)

    # inside

    def _need_markets(self) -> None:
        need_markets(self._name, self._instruments)

    def instrument(self, symbol: str) -> VenueInstrument:
        return market_named(self._name, self._instruments, symbol)

    async def _set_fees(self) -> None:
        """This account's own rates; where they cannot be read the published tier stands, which is the dearest."""
        try:
            maker_bps, taker_bps = codec.commission_bps(await self.signed_read("account", {}, 20))
        except (Retry, Reject, Usage, Denied):
            return
        for symbol, instrument in self._instruments.items():
            self._instruments[symbol] = replace(instrument, maker_fee_bps=maker_bps, taker_fee_bps=taker_bps)

    async def signed_read(self, path: str, params: binance.Params, weight: int) -> Any:
        self._need_markets()
        return await self.account.read(f"{API}/{path}", params, weight)

    async def signed_reply(self, method: str, path: str, params: binance.Params, weight: int) -> Reply:
        """As `Account.reply`, of this interface's paths."""
        self._need_markets()
        return await self.account.reply(method, f"{API}/{path}", params, weight)

    async def signed_write(self, method: str, path: str, params: binance.Params, what: str) -> Any:
        self._need_markets()
        return await self.account.write(method, f"{API}/{path}", params, what)

    async def _with_fills(self, order: OrderSnapshot) -> OrderSnapshot:
        """The same order with its trades, which the venue keeps under another address. Raises Retry where not all of them are told yet."""
        if not order.cum_qty:
            return order
        params: dict[str, str | int] = {
            "symbol": order.symbol,
            "orderId": order.venue_order_id,
            "limit": PAGE,
        }
        rows = await self.signed_read("myTrades", params, 5)
        fills = tuple(self._reader.trade(row)[2] for row in rows)
        need_all_fills(self._name, order, fills)
        return replace(order, fills=fills)

    async def _hello(self) -> str:
        params: dict[str, str | int] = {"apiKey": self.account.api_key, **self.account.stamp()}
        signature = await self._sign("WS", codec.SUBSCRIBE, binance.sorted_payload(params))
        return codec.subscribe_message(params, signature)


def fills_unknown(cl_ord_id: ClOrdId, why: Retry) -> Reconcile:
    return Reconcile(
        "FILLS_UNKNOWN",
        f"{cl_ord_id} is cancelled; its fills could not be read: {why.message}",
        "ask by client order id",
    )
