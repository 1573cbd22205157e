"""One account at an exchange of the ccxt family: its calls, with our names, our throttle and our reconciliation around them.

The library is trusted to make requests and to read answers, and with nothing else. After every write the order is asked for, since
answers differ in what they tell; an outcome that is not certain is asked for by our name, or where the exchange has none looked up in
its open orders and its history by what was sent, and nothing is sent again meanwhile.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from agent.domain.errors import FairleadError, Reconcile, Reject, Retry, Usage
from agent.domain.ids import ClOrdId
from agent.domain.instruments import Place
from agent.domain.order_state import TERMINAL
from agent.domain.orders import OrdType, VenueOrder
from agent.domain.reports import Balance, ExecutionReport, Fill, OrderSnapshot
from agent.ports import Clock, SignedRequest, VenueBook, VenueInstrument
from agent.transport.http import Http, TimeOuts
from agent.venues import Sign, VenueFacts, check_order, need_all_fills, number, one_by_one, to_cancel
from agent.venues.ccxt import border
from agent.venues.ccxt.capabilities import Capabilities, read
from agent.venues.ccxt.exchanges import KNOWN, our_name, switching, their_name
from agent.venues.ccxt.library import Library
from agent.venues.ccxt.reports import Reports
from agent.venues.ccxt.streamed import StreamedBooks

BOOK_LEVELS, BOOK_FRESH_NS = 100, 300_000_000
PAGE, LEAST_PAGE = 500, 50
"""Trades asked for at once, and the fewest that any exchange gives where there are more."""
LOOK_BACK_MS = 2_000
USUAL_LIFE_S = 10
"""A request that lives no longer than that is dead before anybody takes a "no such order" for its end."""


class Ccxt:
    """An `agent.ports.ExecutionVenue` over an exchange's spot markets, which go by the exchange's own spelling."""

    def __init__(
        self,
        facts: VenueFacts,
        name: str,
        exchange: str,
        clock: Clock,
        sign: Sign,
        base_url: str | None,
        ws_url: str | None,
        timeouts: TimeOuts,
        sandbox: bool,
    ) -> None:
        self._facts, self._name, self._exchange, self._clock = facts, name, exchange, clock
        self._sign, self._base_url, self._ws_url = sign, base_url, ws_url
        self._timeouts, self._sandbox = timeouts, sandbox
        self._library: Library | None = None
        self._unified: dict[str, str] = {}
        self._instruments: dict[str, VenueInstrument] = {}
        self._books: dict[str, VenueBook] = {}
        self._asking: dict[str, asyncio.Lock] = {}
        self._sent: dict[ClOrdId, tuple[VenueOrder, int]] = {}
        self._numbers: dict[ClOrdId, str] = {}
        self._names: dict[str, ClOrdId] = {}
        self.place = Place(f"cex:{name}")
        self.reports = Reports(self, clock, facts.audit_s)
        self.streamed = StreamedBooks(clock, self._book_of)

    @property
    def name(self) -> str:
        return self._name

    @property
    def library(self) -> Library:
        """Raises Retry MARKETS_NOT_LOADED before `start`."""
        if self._library is None or not self._instruments:
            raise Retry("MARKETS_NOT_LOADED", f"the markets of {self._name} are not loaded", "start the venue and look at its error")  # fmt: skip
        return self._library

    @property
    def http(self) -> Http:
        return self.library.http

    @property
    def ahead_ms(self) -> int | None:
        """How far the exchange's clock was measured to be before ours; None where it does not tell its time."""
        return self.library.ahead_ms if self.library.raw.has.get("fetchTime") is True else None

    def capabilities(self) -> Capabilities:
        return read(self._exchange, self.library.known, self.library.raw.has, self.library.raw.urls)

    async def start(self) -> None:
        """Loads the library and the markets. Raises Usage CCXT_MISSING, UNKNOWN_EXCHANGE, NO_SANDBOX; Retry where the exchange is not there."""
        if self._library is None:
            self._library = Library(self._name, self._exchange, self._clock, self._sign, self._timeouts, self._base_url, self._ws_url, self._sandbox)  # fmt: skip
        library = self._library
        library.throttle.limit = self._facts.weight_per_minute or library.throttle.limit
        for row in (await library.markets()).values():
            found = border.instrument(row, library.raw.precisionMode, self._facts.taker_fee_bps, self._facts.maker_fee_bps, library.known.fee_side)  # fmt: skip
            if found is not None:
                self._instruments[found.symbol], self._unified[found.symbol] = found, row["symbol"]
        if not self._instruments:
            raise Retry("MARKETS_NOT_LOADED", f"{self._name} lists no spot market that trades and states its steps", "try again later")  # fmt: skip
        await self._set_clock(library)
        library.expired = lambda: self._set_clock(library)
        self.reports.begin()

    async def close(self) -> None:
        await self.streamed.close()
        if self._library is not None:
            await self._library.close()

    # market

    async def instruments(self) -> Sequence[VenueInstrument]:
        self.instrument(next(iter(self._instruments), ""))
        return tuple(self._instruments.values())

    async def book(self, symbol: str) -> VenueBook:
        """A whole book, 0.3 s old at most when asked for: as its socket tells it where there is one that speaks, else by REST. Raises Retry
        STALE_BOOK, Usage."""
        unified = self._of(symbol)
        if self.capabilities().book_stream:
            self.streamed.follow(self.library, symbol, unified, BOOK_LEVELS)
            told = self.streamed.book(symbol, self._clock.now_ns() - BOOK_FRESH_NS)
            if told is not None:
                return told
        async with self._asking.setdefault(symbol, asyncio.Lock()):
            kept, at_ns = self._books.get(symbol), self._clock.now_ns()
            if kept is not None and at_ns - kept.at_ns < BOOK_FRESH_NS:
                return kept
            whole = await self.library.call("fetch_order_book", unified, BOOK_LEVELS)
            found = self._books[symbol] = self._book_of(symbol, whole, at_ns)
            return found

    def _book_of(self, symbol: str, told: Any, at_ns: int) -> VenueBook:
        """Raises Retry STALE_BOOK where bid and ask cross."""
        with border.understood("a book"):
            sides = [tuple((border.exact(row[0]), border.exact(row[1])) for row in told[side]) for side in ("bids", "asks")]  # fmt: skip
        bids, asks = (tuple(level for level in side if level[1] > 0)[:BOOK_LEVELS] for side in sides)
        if bids and asks and bids[0][0] >= asks[0][0]:
            raise Retry("STALE_BOOK", f"{self._name}: bid and ask of {symbol} cross", "ask again")
        return VenueBook(symbol, bids, asks, at_ns)

    # orders

    async def authorize(self, order: VenueOrder) -> SignedRequest:
        """Raises Usage for what the exchange's filters would refuse or cannot be sent there; nothing is sent."""
        at = self.instrument(order.symbol)
        if not self.capabilities().orders:
            raise Usage("NO_ORDERS_THERE", f"{self._exchange}: {self.capabilities().missing[0]}", "trade elsewhere")  # fmt: skip
        if order.ord_type is not OrdType.LIMIT:
            raise Usage("ORDER_TYPE", f"{self._name} is sent limit orders alone", "give a price")
        check_order(order, at)
        request = await self.library.captured("create_order", *self._words(order))
        self._sent[order.cl_ord_id] = order, self._there_ms()
        self.reports.watch(order.symbol, order.cl_ord_id)
        payload = json.dumps(dict(request))
        digest = hashlib.sha256(request["named"].encode()).hexdigest()
        return SignedRequest(order.cl_ord_id, request["method"], request["url"], payload, digest)

    async def submit(self, request: SignedRequest) -> OrderSnapshot:
        """Sends these bytes once. Raises Reject, Retry (it never arrived) or Reconcile (it may have)."""
        library = self.library
        if request.cl_ord_id not in self._sent:
            raise Reconcile("ANOTHER_RUNS", f"{request.cl_ord_id} was signed by another run", "ask by client order id")  # fmt: skip
        order, _ = self._sent[request.cl_ord_id]
        answer = await library.send(json.loads(request.payload))
        try:
            placed = await library.answered(answer, "create_order", *self._words(order))
        except (Retry, Reject) as error:
            # It was sent: whatever the library makes of the answer, it may stand.
            raise Reconcile("ANSWER_UNCLEAR", f"{request.cl_ord_id} was sent and answered: {error.message}", "ask by client order id") from None  # fmt: skip
        with border.understood("the answer to a new order", write=True):
            if placed.get("id") is not None:
                self._number(request.cl_ord_id, str(placed["id"]))
        return await self._after_write(request.cl_ord_id, order.symbol)

    async def cancel(self, cl_ord_id: ClOrdId, symbol: str) -> OrderSnapshot:
        """The order after the cancel; one that had ended already is returned as it ended. Raises Reject NO_SUCH_ORDER, Reconcile."""
        there = await to_cancel(self.query(cl_ord_id, symbol))
        if there is None:
            raise Reject("NO_SUCH_ORDER", f"{self._name} has no order {cl_ord_id}")
        if there.status in TERMINAL:
            return there
        try:
            await self.library.call("cancel_order", there.venue_order_id, self._of(symbol), write=True)
        except Reject as refused:
            ended = await self.query(cl_ord_id, symbol)
            if ended is None or ended.status not in TERMINAL:
                raise refused from None
            return ended
        return await self._after_write(cl_ord_id, symbol)

    async def cancel_many(self, orders: Sequence[tuple[ClOrdId, str]]) -> Mapping[ClOrdId, OrderSnapshot | FairleadError]:  # fmt: skip
        """One request an order, side by side: what a cancel of all would end besides, nobody asked for. As the port says."""
        return await one_by_one(self.cancel, orders)

    async def modify(self, cl_ord_id: ClOrdId, order: VenueOrder) -> OrderSnapshot:
        """The order becomes this one: in place under its own name where the exchange amends, else by the exchange's own replacement under
        the name of `order`. Raises Usage NO_AMENDMENTS where it has neither; Reject, Reconcile: both names are asked for."""
        can, at = self.capabilities(), self.instrument(order.symbol)
        if not can.amends and not can.replaces:
            raise Usage("NO_AMENDMENTS", f"{self._name} changes no order that stands", "cancel it and send another")  # fmt: skip
        if can.amends != (order.cl_ord_id == cl_ord_id):
            keeps = "keeps its name" if can.amends else "gets a name of its own"
            raise Usage("NAME_OF_AMENDMENT", f"at {self._name} an order that is changed {keeps}", "name it so")  # fmt: skip
        check_order(order, at)
        there = await to_cancel(self.query(cl_ord_id, order.symbol))
        if there is None:
            raise Reject("NO_SUCH_ORDER", f"{self._name} has no order {cl_ord_id}")
        self._sent[order.cl_ord_id] = order, self._there_ms()
        self.reports.watch(order.symbol, order.cl_ord_id)
        unified, kind, side, qty, px, more = self._words(order)
        asked = {} if can.amends else more
        await self.library.call("edit_order", there.venue_order_id, unified, kind, side, qty, px, asked, write=True)  # fmt: skip
        return await self._after_write(order.cl_ord_id, order.symbol)

    @property
    def schedules_cancel(self) -> bool:
        return self._exchange in KNOWN and bool(KNOWN[self._exchange].switch)

    async def schedule_cancel(self, seconds: float | None) -> None:
        """Has the exchange end every order of the account then, should nothing more be heard of us; None takes it back. Raises as `cancel`."""
        await self.library.call(*switching(KNOWN[self._exchange].switch, seconds), write=True)

    async def query(self, cl_ord_id: ClOrdId, symbol: str) -> OrderSnapshot | None:
        """None only where the exchange says that it has no such order; where it knows no names of ours, where neither its open orders
        nor its history since holds one of what was sent. Raises Retry COULD_STILL_ARRIVE while its request would still be carried out."""
        unified, known = self._of(symbol), self.library.known
        number_there = self._numbers.get(cl_ord_id)
        if number_there is None and not known.asked:
            found = await self._recognised(cl_ord_id, symbol)
        elif number_there is None:
            found = await self._order("", unified, {known.asked: known.prefix + their_name(cl_ord_id, known)})
        else:
            found = await self._order(number_there, unified, {})
        if found is None:
            self._could_still_arrive(cl_ord_id)
            return None
        self._number(cl_ord_id, str(found["id"]))
        plain = border.order(found, self.instrument(symbol), cl_ord_id)
        if not plain.cum_qty:
            return plain
        fills = await self._fills_of(plain, unified)
        need_all_fills(self._name, plain, fills)
        return border.order(found, self.instrument(symbol), cl_ord_id, fills)

    async def open_orders(self) -> Sequence[OrderSnapshot]:
        """Without their fills: `query` has them."""
        rows = await self.library.call("fetch_open_orders")
        return tuple(self._told(row) for row in rows if self._symbol(row) is not None)

    async def fills(self, symbol: str, since_ns: int) -> Sequence[tuple[ClOrdId, Fill]]:
        return tuple((name, fill) for name, _, fill in await self._trades(symbol, since_ns // 1_000_000))

    async def fills_since(self, since_ms: int) -> list[tuple[ClOrdId, str, Fill]]:
        """Of every symbol where an order of ours was, or one stands."""
        opened = {order.symbol for order in await self.open_orders()}
        asked = opened | self.reports.symbols | {order.symbol for order, _ in self._sent.values()}
        found = [trade for symbol in sorted(asked) for trade in await self._trades(symbol, since_ms)]
        return sorted(found, key=lambda trade: trade[2].at_ns)

    async def balances(self) -> Sequence[Balance]:
        return tuple(border.balances(await self.library.call("fetch_balance"), self._name))

    def stream(self) -> AsyncIterator[ExecutionReport]:
        """Reports of this account, each execution once: an audit over REST, woken by the exchange's socket where it has one for us."""
        return self.reports.told(self.library, self.capabilities().reports)

    def instrument(self, symbol: str) -> VenueInstrument:
        """Raises Retry MARKETS_NOT_LOADED, Usage UNKNOWN_SYMBOL."""
        self._of(symbol)
        return self._instruments[symbol]

    # inside

    def _of(self, symbol: str) -> str:
        assert self.library is not None
        if symbol not in self._unified:
            near = [s for s in self._unified if s[:3] == symbol[:3]][:5]
            raise Usage("UNKNOWN_SYMBOL", f"{self._name} does not trade {symbol}", "near it: " + ", ".join(near))  # fmt: skip
        return self._unified[symbol]

    def _words(self, order: VenueOrder) -> tuple[str, str, str, str, str, dict[str, Any]]:
        """What the library's create_order and edit_order take."""
        assert order.px is not None
        more: dict[str, Any] = {"timeInForce": order.time_in_force.value, **self.library.known.orders}
        if self.library.known.asked:
            more["clientOrderId"] = their_name(order.cl_ord_id, self.library.known)
        return self._unified[order.symbol], "limit", order.side.value.lower(), number(order.order_qty), number(order.px), more  # fmt: skip

    def _there_ms(self) -> int:
        """The exchange's time, as far as it tells: what it dates is looked for by it."""
        return self._clock.now_ns() // 1_000_000 + self.library.ahead_ms

    def _could_still_arrive(self, name: ClOrdId) -> None:
        _, sent_ms = self._sent.get(name, (None, 0))
        left_ms = sent_ms + self.library.known.life_s * 1_000 - self._there_ms()
        if self.library.known.life_s > USUAL_LIFE_S and left_ms > 0:
            text = f"{self._exchange} has no {name}, and would carry its request out for {left_ms / 1_000:.0f} s more"
            raise Retry("COULD_STILL_ARRIVE", text, "ask again then")

    def _number(self, name: ClOrdId, number_there: str) -> None:
        self._numbers[name], self._names[number_there] = number_there, name

    async def _order(self, number_there: str, unified: str, more: dict[str, Any]) -> Mapping[str, Any] | None:
        try:
            asked = {**self.library.known.more, **more}
            found: Mapping[str, Any] = await self.library.call("fetch_order", number_there, unified, asked)
        except Reject as refused:
            if refused.code == "NO_SUCH_ORDER":
                return None
            raise
        return found

    async def _recognised(self, name: ClOrdId, symbol: str) -> Mapping[str, Any] | None:
        """Among what stands and what has ended since: one of that side, price and quantity that no other name of ours has."""
        if name not in self._sent:
            raise Reconcile("NO_NAMES_THERE", f"{self._exchange} knows no names of ours, and {name} was sent by another run", "look at its open orders and trades")  # fmt: skip
        order, at_ms = self._sent[name]
        unified, since = self._of(symbol), at_ms - LOOK_BACK_MS
        rows = list(await self.library.call("fetch_open_orders", unified))
        closed = await self.library.call("fetch_closed_orders", unified, since)
        rows += closed
        with border.understood("orders"):
            like = [
                row
                for row in {str(row["id"]): row for row in rows}.values()
                if self._names.get(str(row["id"]), name)
                in (name, self._unnamed(row))  # an audit may have seen it first
                and int(row["timestamp"] or 0) >= since
                and (row["side"], border.maybe(row["price"]), border.exact(row["amount"]))
                == (order.side.value.lower(), order.px, order.order_qty)  # fmt: skip
            ]
        if len(like) > 1:
            raise Reconcile("MORE_THAN_ONE_LIKE_IT", f"{self._name} has {len(like)} orders like {name} and no names of ours", "look at its open orders")  # fmt: skip
        if not like and len(closed) >= LEAST_PAGE:
            raise Reconcile("HISTORY_TOO_LONG", f"{self._name} gives {len(closed)} ended orders since, and maybe not all: {name} is not among them", "look at its orders")  # fmt: skip
        return like[0] if like else None

    async def _fills_of(self, order: OrderSnapshot, unified: str) -> list[Fill]:
        if self.library.raw.has.get("fetchOrderTrades") is True:
            rows = await self.library.call("fetch_order_trades", order.venue_order_id, unified)
        else:
            rows = [row for row in await self.library.call("fetch_my_trades", unified, None, self._page_size(), dict(self.library.known.trades)) if str(row["order"]) == order.venue_order_id]  # fmt: skip
        return [border.fill(row, self.instrument(order.symbol), self._name) for row in rows]

    async def _trades(self, symbol: str, since_ms: int) -> list[tuple[ClOrdId, str, Fill]]:
        """(our name, the exchange's order number, fill) since then, oldest first, page by page."""
        found: dict[str, tuple[ClOrdId, str, Fill]] = {}
        first = await self._page(symbol, since_ms, {}, found)
        if first < LEAST_PAGE:
            return sorted(found.values(), key=lambda trade: trade[2].at_ns)
        # some give the oldest of a long list, some the newest: both ends are gone after until nothing new comes
        times = [trade[2].at_ns // 1_000_000 for trade in found.values()]
        newest, oldest = max(times), min(times)
        while await self._page(symbol, newest, {}, found):
            newest = max(trade[2].at_ns for trade in found.values()) // 1_000_000
        while await self._page(symbol, since_ms, {"until": oldest}, found):
            oldest = min(trade[2].at_ns for trade in found.values()) // 1_000_000
        return sorted(found.values(), key=lambda trade: trade[2].at_ns)

    async def _page(
        self, symbol: str, since_ms: int, more: dict[str, Any], found: dict[str, tuple[ClOrdId, str, Fill]]
    ) -> int:
        """How many of one page were new."""
        unified, before = self._of(symbol), len(found)
        asked = {**self.library.known.trades, **more}
        for row in await self.library.call("fetch_my_trades", unified, since_ms, self._page_size(), asked):
            fill = border.fill(row, self.instrument(symbol), self._name)
            if fill.exec_id not in found:
                found[fill.exec_id] = await self._name_of(str(row["order"]), unified), str(row["order"]), fill
        return len(found) - before

    def _page_size(self) -> int:
        return self.library.page("fetchMyTrades", PAGE)

    async def _name_of(self, number_there: str, unified: str) -> ClOrdId:
        if number_there not in self._names:
            row = await self._order(number_there, unified, {})
            self._names[number_there] = self._named(row or {"id": number_there})
        return self._names[number_there]

    def _named(self, row: Mapping[str, Any]) -> ClOrdId:
        """Ours or another's; where names are not kept, what the library calls one is none: it can be the same for every order."""
        text = row.get("clientOrderId") if self.library.known.asked else None
        return our_name(str(text), self.library.known) if text else self._unnamed(row)

    def _unnamed(self, row: Mapping[str, Any]) -> ClOrdId:
        return ClOrdId(f"{self._exchange}-{row['id']}")

    def _symbol(self, row: Mapping[str, Any]) -> str | None:
        market = self.library.raw.markets.get(row.get("symbol"))
        return market["id"] if market is not None and market["id"] in self._instruments else None

    def _told(self, row: Mapping[str, Any]) -> OrderSnapshot:
        symbol = self._symbol(row)
        assert symbol is not None
        name = self._names.get(str(row["id"])) or self._named(row)
        self._number(name, str(row["id"]))
        return border.order(row, self._instruments[symbol], name)

    async def _after_write(self, name: ClOrdId, symbol: str) -> OrderSnapshot:
        """The order as it stands. Raises Reconcile where that cannot be read now."""
        try:
            found = await self.query(name, symbol)
        except (Retry, Reject) as error:
            raise Reconcile("FILLS_UNKNOWN", f"{name} was taken; how it stands could not be read: {error.message}", "ask by client order id") from None  # fmt: skip
        if found is None:
            raise Reconcile("NOT_VISIBLE_YET", f"{name} was taken and is not told of yet", "ask by client order id")  # fmt: skip
        return found

    async def _set_clock(self, library: Library) -> None:
        if library.raw.has.get("fetchTime") is not True:
            return
        before = self._clock.now_ns()
        told = await library.call("fetch_time")
        middle = (before + self._clock.now_ns()) // 2_000_000
        with border.understood("its time"):
            library.ahead_ms = int(told) - middle
