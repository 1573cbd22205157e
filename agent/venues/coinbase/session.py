"""One account at Coinbase Advanced Trade: a token for each request, orders sent by the signer alone, and reports by an audit.

A token (JWT) names method and path and neither query nor body: with one for an order any order could be sent while it lives. The signer
gives none for orders therefore and sends them itself (`send`); what reads and what cancels is sent from here. The venue takes a client's
id once and answers it with the order that it has; it is not sent again by this session all the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import orjson

from agent.domain.errors import Denied, FairleadError, Halt, Reconcile, Reject, Retry, Usage
from agent.domain.ids import ClOrdId, as_uuid
from agent.domain.order_state import TERMINAL
from agent.domain.orders import Side, VenueOrder
from agent.domain.reports import Balance, ExecutionReport, Fill, FillsNotTold, OrderSnapshot
from agent.market.feeds import FeedFacts
from agent.market.reading import name as text_of
from agent.market.reading import ns_of_text
from agent.ports import Clock, SignedRequest, VenueBook, VenueInstrument
from agent.transport.books import Books
from agent.transport.executions import Executions, Told
from agent.transport.following import Following
from agent.transport.http import Http, Reply, TimeOuts
from agent.transport.once import KEPT, Numbers, Once
from agent.transport.stream import Stream, Text, Up
from agent.transport.throttle import Throttle
from agent.venues import (  # fmt: skip
    PLAIN,
    Send,
    Sign,
    Terms,
    VenueFacts,
    market_named,
    need_markets,
    one_by_one,
    stamp,
    understood,
)
from agent.venues.coinbase import codec

API = "/api/v3/brokerage"
HISTORY = "orders/historical/batch"
PAGE, PAGES = 250, 40
EARLIER_NS, TOLD_LATE_NS = 60 * 10**9, 600 * 10**9
"""The venue's clock may be behind ours by so much."""
TOKEN_OLD_NS = 5 * 10**9
"""Half of what the signer makes a token good for: an older one may have been refused for its age."""


class Coinbase:
    """An `agent.ports.ExecutionVenue` over its spot products. `start` first."""

    def __init__(
        self,
        facts: VenueFacts,
        feed: FeedFacts,
        name: str,
        clock: Clock,
        sign: Sign,
        send: Send | None,
        base_url: str | None,
        ws_url: str | None,
        timeouts: TimeOuts | None = None,
    ) -> None:
        self._facts, self._name, self._clock, self._sign, self._send = facts, name, clock, sign, send
        rest = (base_url or facts.rest_url).rstrip("/")
        own = (ws_url or ("ws" + rest.removeprefix("http") if base_url else "")).rstrip("/")
        self._stream_url = own or facts.stream_url
        self._user_url = f"{own}/user" if own else facts.order_api_url
        self.http = Http(name, rest, Throttle(clock, facts.weight_per_minute), "", timeouts)
        self._instruments: dict[str, VenueInstrument] = {}
        self.reader = codec.Reader(name, self._instruments)
        self.books = Books(feed, (), Stream(lambda: self.http.client, self._stream_url, clock), clock)
        self._following = Following(name, self.books)
        self._once, self._numbers = Once(name), Numbers(clock)
        self._made_ns: dict[ClOrdId, int] = {}
        self._ahead_ms = 0
        self._line = Stream(lambda: self.http.client, self._user_url, clock, self._hello)
        self.reports = Executions(self, self.reader.place, clock, facts.audit_s)

    @property
    def name(self) -> str:
        return self._name

    @property
    def ahead_ms(self) -> int:
        """How far the venue's clock was measured to be before ours."""
        return self._ahead_ms

    async def start(self) -> None:
        """Sets the clock's offset and loads the markets. Raises Retry within the time-outs where the venue is not there."""
        before = self._clock.now_ns()
        told = codec.server_ms(await self._public("time"))
        self._ahead_ms = told - (before + self._clock.now_ns()) // 2_000_000
        rows = await self._public("market/products?product_type=SPOT")
        found = codec.markets(rows, self._facts.maker_fee_bps, self._facts.taker_fee_bps)
        if not found:
            raise Retry("MARKETS_NOT_LOADED", f"{self._name} lists no market that trades", "try again later")
        self._instruments.update(found)
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
        """Raises Retry STALE_BOOK, Usage UNKNOWN_SYMBOL. The first call for a symbol begins to follow it."""
        self._market(symbol)
        return await self._following.book(symbol)

    # orders

    async def authorize(self, order: VenueOrder) -> SignedRequest:
        """Raises Usage for what the venue would refuse; nothing is sent."""
        return await self.authorize_with(order, PLAIN)

    async def authorize_with(self, order: VenueOrder, terms: Terms) -> SignedRequest:
        """As `authorize`, on terms: post-only, which is refused rather than repriced."""
        payload = codec.new_order(order, self._market(order.symbol), terms)
        path = f"{API}/orders"
        await self._granted(path, payload)
        self._made_ns.setdefault(order.cl_ord_id, self._clock.now_ns())
        if len(self._made_ns) > KEPT:
            del self._made_ns[next(iter(self._made_ns))]
        self.reports.watch(order.symbol, order.cl_ord_id)
        return SignedRequest(order.cl_ord_id, "POST", path, payload, hashlib.sha256(payload.encode()).hexdigest())  # fmt: skip

    async def submit(self, request: SignedRequest) -> OrderSnapshot:
        """Has the signer send it once. Raises Reject, Retry (it never arrived) or Reconcile (it may have, or was sent before)."""
        self._need_markets()
        name = request.cl_ord_id
        self._once.take(name)
        try:
            data = await self._by_signer(request.path, request.payload, "the answer to an order")
        except (Retry, Denied, Usage):  # nothing was sent
            self._once.give_back(name)
            raise
        self._numbers.learn(name, codec.placed(data))
        return await self._after_write(name)

    async def modify(self, order: VenueOrder) -> OrderSnapshot:
        """The order of this id gets this price and quantity and keeps the id. Raises as `submit`, Reject NO_SUCH_ORDER; Denied for one that
        this run of the signer did not send."""
        instrument = self._market(order.symbol)
        number = await self._number(order.cl_ord_id, order.symbol)
        path, payload = f"{API}/orders/edit", codec.edit(number, order, instrument)
        await self._granted(path, payload)
        codec.edited(await self._by_signer(path, payload, "the answer to a change"))
        return await self._after_write(order.cl_ord_id)

    async def cancel(self, cl_ord_id: ClOrdId, symbol: str) -> OrderSnapshot:
        """The order after the cancel, which the venue may have taken and not carried out yet; one that had ended already is returned as it
        ended. Raises Reject NO_SUCH_ORDER, Reconcile."""
        self._market(symbol)
        number = await self._number(cl_ord_id, symbol)
        path, payload = f"{API}/orders/batch_cancel", codec.cancel(number)
        token = await self._token("POST", path, payload)
        reply = await self.http.write("POST", path, "", payload.encode(), token)
        try:
            codec.cancelled(codec.result(reply.status, reply.body, "the answer to a cancel", write=True))
        except Reject as refused:
            if refused.code != "NO_SUCH_ORDER":
                raise
            ended = await self.query(cl_ord_id, symbol)
            if ended is None or ended.status not in TERMINAL:
                raise
            return ended
        return await self._after_write(cl_ord_id)

    async def cancel_many(
        self, orders: Sequence[tuple[ClOrdId, str]]
    ) -> Mapping[ClOrdId, OrderSnapshot | FairleadError]:
        """One request for each, side by side. As the port says."""
        return await one_by_one(self.cancel, orders)

    async def query(self, cl_ord_id: ClOrdId, symbol: str) -> OrderSnapshot | None:
        """None where none of the product's orders, from when it was authorized on, has this id; a request under way may yet arrive."""
        self._market(symbol)
        row = await self._row(cl_ord_id, symbol)
        return None if row is None else await self._whole(row)

    async def open_orders(self) -> Sequence[OrderSnapshot]:
        """Without their fills: `query` has them."""
        self._need_markets()
        rows = await self._pages(HISTORY, {"order_status": "OPEN"}, "orders")
        return tuple(self._told(row) for row in rows if self.reader.knows(row))

    async def fills(self, symbol: str, since_ns: int) -> Sequence[tuple[ClOrdId, Fill]]:
        self._market(symbol)
        told = await self.fills_since(since_ns // 1_000_000)
        return tuple((name, fill) for name, _, fill in told if fill.exec_id.startswith(f"{symbol}:") and fill.at_ns >= since_ns)  # fmt: skip

    async def fills_since(self, since_ms: int) -> list[tuple[ClOrdId, str, Fill]]:
        """(our name, the venue's order number, fill) of every product since then, oldest first."""
        self._need_markets()
        found = await self._fills({"start_sequence_timestamp": stamp(since_ms)} if since_ms > 0 else {})
        return [(await self._owner(number, fill), number, fill) for number, fill in found]

    async def balances(self) -> Sequence[Balance]:
        self._need_markets()
        return tuple(codec.balances(await self._pages("accounts", {}, "accounts"), self._name))

    async def permissions(self) -> codec.Permissions:
        """What this very key may do."""
        return codec.permissions(await self._private("key_permissions", {}))

    def stream(self) -> AsyncIterator[ExecutionReport]:
        """Reports of this account, each execution once: an audit over REST, woken by the venue's user channel where the signer grants it."""
        self._need_markets()
        return self.reports.merged(self._listen)

    async def _listen(self, told: Told) -> None:
        try:
            async for event in self._line.events():
                if isinstance(event, Up) or (isinstance(event, Text) and '"user"' in event.data):
                    self.reports.wake()
        except Denied:
            return  # no token of it is granted: the audit alone
        except FairleadError as error:
            await told.put(error)

    async def _hello(self) -> str:
        token = await self._sign("WS", "user", "")
        return orjson.dumps({"type": "subscribe", "channel": "user", "jwt": token}).decode()

    # inside

    def _need_markets(self) -> None:
        need_markets(self._name, self._instruments)

    def _market(self, symbol: str) -> VenueInstrument:
        return market_named(self._name, self._instruments, symbol)

    def _told(self, row: Any, fills: Sequence[Fill] = ()) -> OrderSnapshot:
        order = self.reader.order(row, fills)
        self._numbers.learn(order.cl_ord_id, order.venue_order_id)
        return order

    async def _public(self, path: str) -> Any:
        path, _, query = path.partition("?")
        reply = await self.http.read("GET", f"{API}/{path}", query)
        return codec.result(reply.status, reply.body, path)

    async def _token(self, method: str, path: str, payload: str = "") -> dict[str, str]:
        token = await self._sign(method, path, payload)
        return {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    async def _private(self, path: str, params: Mapping[str, str]) -> Any:
        """A read. Raises Retry, Reject."""
        where = f"{API}/{path}"
        await self.http.room(1)
        signed_ns = self._clock.now_ns()
        token = await self._token("GET", where)
        reply = await self.http.read("GET", where, urlencode(params), token, 0)
        try:
            return codec.result(reply.status, reply.body, path)
        except Reject as refused:
            if refused.code == "UNAUTHORIZED" and self._clock.now_ns() - signed_ns > TOKEN_OLD_NS:
                raise Retry("REQUEST_EXPIRED", f"{self._name}: {path} took longer than its token is good for", "ask again") from None  # fmt: skip
            raise

    async def _pages(self, path: str, params: Mapping[str, str], rows: str, until: str = "") -> list[Any]:
        """Every row, page by page, or up to the one of this client id. Raises Retry TOO_MANY_PAGES rather than tell less."""
        found: list[Any] = []
        cursor = ""
        for _ in range(PAGES):
            asked = {"limit": str(PAGE), **params, **({"cursor": cursor} if cursor else {})}
            data = await self._private(path, asked)
            with understood(path):
                page, cursor = list(data[rows]), str(data.get("cursor") or "")
                found += page
                more = bool(cursor) and data.get("has_next", bool(page)) is not False
                if not more or (until and any(row.get("client_order_id") == until for row in page)):
                    return found
        raise Retry("TOO_MANY_PAGES", f"{self._name} tells more than {PAGES * PAGE} {rows}", "ask for less")

    async def _granted(self, path: str, payload: str) -> None:
        """The signer judges and counts it, and keeps the signature."""
        if await self._sign("POST", path, payload):
            raise Usage("SIGNATURE_GIVEN", "the signer gave a token with which any order could be sent", "set sends_to in the signer's settings")  # fmt: skip

    async def _by_signer(self, path: str, payload: str, what: str) -> Any:
        send = self._send
        if send is None:
            raise Halt("NO_SENDER", f"the signer keeps {self._name}'s tokens, and does not send here")

        async def ask() -> Reply:
            return Reply(*await send("POST", path, payload))

        reply = await self.http.write_by(ask)
        return codec.result(reply.status, reply.body, what, write=True)

    async def _row(self, cl_ord_id: ClOrdId, symbol: str) -> Any:
        """As the venue has it now; None where it has none. By its number where that is known."""
        number = self._numbers.number(cl_ord_id)
        if number is None and cl_ord_id.startswith(codec.FOREIGN):
            number = cl_ord_id.removeprefix(codec.FOREIGN)
        if number is not None:
            try:
                data = await self._private(f"orders/historical/{number}", {})
            except Reject as refused:
                if refused.code != "NO_SUCH_ORDER":
                    raise
                self._numbers.must_be_there(cl_ord_id, self._name)
                return None
            with understood("an order"):
                return data["order"]
        named, made_ns = as_uuid(cl_ord_id), self._made_ns.get(cl_ord_id)
        asked = {"product_ids": symbol}
        if made_ns is not None:
            asked["start_date"] = stamp((made_ns - EARLIER_NS) // 1_000_000)
        for row in await self._pages(HISTORY, asked, "orders", named):
            with understood("an order"):
                if row.get("client_order_id") == named:
                    self._numbers.learn(cl_ord_id, text_of(row["order_id"]))
                    return row
        return None

    async def _number(self, cl_ord_id: ClOrdId, symbol: str) -> str:
        """Raises Reject NO_SUCH_ORDER."""
        known = self._numbers.number(cl_ord_id)
        if known is not None:
            return known
        row = await self._row(cl_ord_id, symbol)
        if row is None:
            raise Reject("NO_SUCH_ORDER", f"{self._name} has no order {cl_ord_id}")
        found = self.reader.order(row).venue_order_id
        self._numbers.learn(cl_ord_id, found)
        return found

    async def _owner(self, number: str, fill: Fill) -> ClOrdId:
        """Whose fill it is. Raises Retry where the venue may yet tell; an order that it forgot goes by its number."""
        known = self._numbers.name(number)
        if known is not None:
            return known
        try:
            data = await self._private(f"orders/historical/{number}", {})
        except Reject as refused:
            if refused.code != "NO_SUCH_ORDER":
                raise
            if fill.at_ns > self._clock.now_ns() - TOLD_LATE_NS:
                raise Retry("NOT_VISIBLE_YET", f"{self._name} does not tell of {number} yet", "ask again") from None  # fmt: skip
            return self.reader.name(None, number)
        with understood("an order"):
            known = self.reader.name(data["order"].get("client_order_id"), number)
        self._numbers.learn(known, number)
        return known

    async def _fills(self, asked: Mapping[str, str]) -> list[tuple[str, Fill]]:
        """(the venue's order number, fill), oldest first."""
        rows = await self._pages("orders/historical/fills", asked, "fills")
        with understood("fills"):
            rows.sort(key=lambda row: (ns_of_text(row["sequence_timestamp"]), str(row["entry_id"])))
        read = {fill.exec_id: (number, fill) for one in map(self.reader.fill, rows) if one is not None for number, fill in (one,)}  # fmt: skip
        return list(read.values())

    async def _whole(self, row: Any) -> OrderSnapshot:
        """With its fills. Raises FillsNotTold where not all of them are told yet."""
        order = self._told(row)
        if not order.cum_qty:
            return order
        fills = tuple(fill for _, fill in await self._fills({"order_ids": order.venue_order_id}))
        bought = order.side is Side.BUY
        done = sum((fill.qty_out if bought else fill.qty_in for fill in fills), Decimal(0))
        whole = replace(order, fills=fills)
        if done != order.cum_qty:
            raise FillsNotTold(self._name, whole)
        return whole

    async def _after_write(self, name: ClOrdId) -> OrderSnapshot:
        """The order as it stands: the answer to a write tells nothing of it. Raises Reconcile where that cannot be read now."""
        try:
            data = await self._private(f"orders/historical/{self._numbers.number(name)}", {})
            with understood("an order"):
                row = data["order"]
            return replace(await self._whole(row), cl_ord_id=name)
        except (Retry, Reject, Denied, Usage) as why:  # whoever refuses the question, it was taken
            text = f"{name} was taken; how it stands could not be read: {why.message}"
            raise Reconcile("FILLS_UNKNOWN", text, "ask by client order id") from None
