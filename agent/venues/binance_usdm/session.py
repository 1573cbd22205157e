"""One account of contracts at Binance USD-M: signed requests, books kept in step, positions, and reports that an audit keeps honest.

The API secret is never here: `sign` asks the signer's process. What Binance's interfaces say alike is `agent.transport.binance`.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from agent.domain.errors import Denied, FairleadError, Reconcile, Reject, Retry, Usage
from agent.domain.ids import ClOrdId
from agent.domain.orders import VenueOrder
from agent.domain.reports import Balance, ExecutionReport, Fill, OrderSnapshot, Position
from agent.market.conflation import Priority
from agent.market.feeds import FeedFacts
from agent.ports import Clock, HeldCondition, SignedRequest, VenueBook, VenueInstrument
from agent.transport import binance
from agent.transport.books import Books
from agent.transport.following import Following
from agent.transport.http import Http, TimeOuts
from agent.transport.stream import Stream
from agent.transport.throttle import Throttle
from agent.venues import (
    Send,
    Sign,
    Terms,
    VenueFacts,
    market_named,
    need_all_fills,
    need_markets,
    one_by_one,
    others_left_alone,
    understood,
)
from agent.venues.binance_usdm import codec, margin
from agent.venues.binance_usdm.reports import Reports
from agent.venues.binance_usdm.stops import Stops

V1, V3 = "/fapi/v1", "/fapi/v3"
PAGE = 1_000
WEEK_MS, HISTORY_MS = 7 * 86_400_000, 180 * 86_400_000
"""Trades are told a week at a time, and half a year back."""


class BinanceUsdm:
    """An `agent.ports.ExecutionVenue` of contracts, with their `positions`. `start` first."""

    def __init__(
        self,
        facts: VenueFacts,
        feed: FeedFacts,
        name: str,
        clock: Clock,
        api_key: str,
        sign: Sign,
        base_url: str | None,
        timeouts: TimeOuts,
        ws_url: str | None = None,
        send: Send | None = None,
    ) -> None:
        self._facts, self._name, self._clock = facts, name, clock
        rest = (base_url or facts.rest_url).rstrip("/")
        socket = (ws_url or "ws" + rest.removeprefix("http")).rstrip("/")
        self._stream_url = f"{socket}/public" if base_url or ws_url else facts.stream_url
        self._user_url = f"{socket}/private" if base_url or ws_url else facts.order_api_url
        throttle = Throttle(clock, facts.weight_per_minute)
        orders = Throttle(clock, facts.orders_per_10s, binance.ORDERS_NS)
        self.http = Http(name, rest, throttle, binance.LIMITS, timeouts, orders)
        self.account = binance.Account(
            self.http,
            clock,
            api_key,
            sign,
            send,
            f"{V1}/time",
            facts.recv_window_ms,
            lambda ahead_ms: self.books.clocks(ahead_ms * 1_000_000),
            codec.NAMES,
        )
        self._instruments: dict[str, VenueInstrument] = {}
        self.reader = codec.Reader(name, self._instruments)
        self.books = Books(
            replace(feed, probe_s=facts.book_quiet_s),
            (),
            Stream(lambda: self.http.client, f"{self._stream_url}/ws", clock),
            clock,
            self._depth,
            rank=self._rank,
        )
        self._following = Following(name, self.books)
        self._names: dict[str, ClOrdId] = {}
        self._seen: set[str] = set()
        self._held: frozenset[str] = frozenset()
        self._armed: set[str] = set()
        self._one_way = False
        self.reports = Reports(self, clock, facts.audit_s)
        self.stops = Stops(self)

    @property
    def name(self) -> str:
        return self._name

    @property
    def ahead_ms(self) -> int:
        """How far the venue's clock was measured to be before ours."""
        return self.account.ahead_ms

    async def funding(self, symbol: str, since_ns: int) -> Sequence[tuple[int, Decimal]]:
        """See `agent.ports.TellsFunding`; the first thousand since then at the most."""
        params = {"symbol": symbol, "startTime": str(since_ns // 1_000_000), "limit": "1000"}
        return codec.funding(await self.account.public(f"{V1}/fundingRate", params), symbol)

    async def permissions(self) -> codec.Permissions:
        """What the venue says that this account may do. Raises as the other reads."""
        return codec.permissions(await self.signed_read(f"{V1}/accountConfig", {}, 5))

    async def start(self) -> None:
        """Sets the clock's offset and loads the markets. Raises Retry within the time-outs where the venue is not there."""
        info = await self.account.public(f"{V1}/exchangeInfo", {})
        self.account.keep_to(info, self._facts.weight_per_minute, self._facts.orders_per_10s)
        await self.account.set_clock()
        found = codec.instruments(info, self._facts.maker_fee_bps, self._facts.taker_fee_bps)
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
        self.instrument(symbol)
        if symbol not in self.books.ladders:
            await self._set_fees(symbol)
        return await self._following.book(symbol)

    async def _set_fees(self, symbol: str) -> None:
        """This account's own rates there; where they cannot be read the published tier stands."""
        if not self.account.api_key:
            return
        try:
            maker_bps, taker_bps = await self.commission_bps(symbol)
        except (Retry, Reject, Usage, Denied):
            return
        known = self._instruments[symbol]
        self._instruments[symbol] = replace(known, maker_fee_bps=maker_bps, taker_fee_bps=taker_bps)

    def _rank(self, symbol: str) -> Priority:
        if symbol in self.reports.symbols:
            return Priority.WORKING
        return Priority.HELD if symbol in self._held else Priority.WATCHED

    async def _depth(self, path: str) -> bytes:
        return await self.account.depth(path, 2, 20)

    # orders

    async def authorize(self, order: VenueOrder) -> SignedRequest:
        """Raises Usage for what the venue's filters would refuse, HEDGE_MODE; nothing is sent."""
        return await self.authorize_with(order, Terms(reduce_only=order.reduce_only))

    async def authorize_with(self, order: VenueOrder, terms: Terms) -> SignedRequest:
        """As `authorize`, on terms: GTX where it is post-only, GTD where it ends by itself (ten minutes ahead at least)."""
        if terms.good_till_ns and terms.good_till_ns < self._clock.now_ns() + codec.LEAST_TERM_NS:
            raise Usage("UNSUPPORTED_TERMS", "good_till is less than ten minutes ahead", "give it longer")
        params = codec.new_order_params(order, self.instrument(order.symbol), terms)
        return await self.signed_order(order.cl_ord_id, order.symbol, f"{V1}/order", params)

    async def signed_order(
        self, cl_ord_id: ClOrdId, symbol: str, path: str, params: binance.Params
    ) -> SignedRequest:
        await self._need_one_way()
        payload, signature = await self.account.signed("POST", path, params)
        self.reports.watch(symbol, cl_ord_id)
        sent = f"{payload}&signature={signature}" if signature else payload
        return SignedRequest(cl_ord_id, "POST", path, sent, hashlib.sha256(payload.encode()).hexdigest())

    async def submit(self, request: SignedRequest) -> OrderSnapshot:
        """Sends these bytes once. Raises Reject, Retry (it never arrived) or Reconcile (it may have)."""
        self._need_markets()
        reply = await self.account.submit(request)
        data = self.account.accepted(reply, "the answer to a new order", write=True)
        return await self._whole(self.reader.order(data, write=True))

    async def modify(self, order: VenueOrder) -> OrderSnapshot:
        """The order of this id gets this price and quantity, keeps the id, and its place only where it got smaller. Raises as `submit`."""
        params = codec.amend_params(order, self.instrument(order.symbol))
        data = await self.account.write("PUT", f"{V1}/order", params, "the answer to an amendment")
        return await self._whole(self.reader.order(data, write=True))

    async def cancel(self, cl_ord_id: ClOrdId, symbol: str) -> OrderSnapshot:
        """The order after the cancel; one that had ended already is returned as it ended.

        Raises Reject NO_SUCH_ORDER where the venue never had it, Reconcile where the answer was lost.
        """
        self.instrument(symbol)
        params = {"symbol": symbol, "origClientOrderId": cl_ord_id}
        reply = await self.account.reply("DELETE", f"{V1}/order", params, 1)
        if reply.status >= 400 and binance.refusal(reply.body).code == binance.CANCEL_REJECTED:
            found = await self.query(cl_ord_id, symbol)
            if found is None:
                raise Reject("NO_SUCH_ORDER", f"{self._name} has no order {cl_ord_id}")
            return found
        data = self.account.accepted(reply, "the answer to a cancel", write=True)
        return await self._whole(self.reader.order(data, write=True))

    async def cancel_many(
        self, orders: Sequence[tuple[ClOrdId, str]]
    ) -> Mapping[ClOrdId, OrderSnapshot | FairleadError]:
        """One request for each, side by side: the venue's cancel of a whole symbol does not say what it ended. As the port says."""
        return await one_by_one(self.cancel, orders)

    async def query(self, cl_ord_id: ClOrdId, symbol: str) -> OrderSnapshot | None:
        """None only for the venue's own -2013; a request still under way may yet arrive until its receive window ends."""
        self.instrument(symbol)
        params = {"symbol": symbol, "origClientOrderId": cl_ord_id}
        reply = await self.account.reply("GET", f"{V1}/order", params, 1)
        if reply.status >= 400 and binance.refusal(reply.body).code == binance.NO_SUCH_ORDER:
            return None
        return await self._with_fills(self.reader.order(await self.account.checked(reply, "an order")))

    async def open_orders(self) -> Sequence[OrderSnapshot]:
        """Without their fills: `query` has them."""
        self._need_markets()
        rows = await self.signed_read(f"{V1}/openOrders", {}, 40)
        with understood("openOrders"):
            found = [self.reader.order(row) for row in rows if row["symbol"] in self._instruments]
        self._names |= {order.venue_order_id: order.cl_ord_id for order in found}
        return tuple(found)

    async def conditions(self) -> Sequence[HeldCondition]:
        """See `agent.ports.KeepsConditions`: the conditional orders of every symbol."""
        return tuple(one.held() for one in await self.stops.opened() if one.waits)

    async def end_condition(self, held: HeldCondition) -> str:
        return (await self.stops.end(held.venue_order_id)).state

    async def fills(self, symbol: str, since_ns: int) -> Sequence[tuple[ClOrdId, Fill]]:
        """Every fill of the account since then, oldest first; the venue keeps half a year."""
        return tuple((name, fill) for name, _, fill in await self._trades(symbol, since_ns // 1_000_000))

    async def fills_since(self, since_ms: int) -> list[tuple[ClOrdId, str, Fill]]:
        """Of every symbol with a position, an order, or one that was seen: what the exchange itself closes is told as well."""
        self._seen |= {order.symbol for order in await self.open_orders()} | self.reports.symbols
        self._seen |= {held.symbol for held in await self._positions({})} & self._instruments.keys()
        found: list[tuple[ClOrdId, str, Fill]] = []
        for symbol in sorted(self._seen):
            with others_left_alone():
                found += await self._trades(symbol, since_ms)
        return sorted(found, key=lambda fill: fill[2].at_ns)

    async def balances(self) -> Sequence[Balance]:
        self._need_markets()
        return tuple(codec.balances(await self.signed_read(f"{V3}/balance", {}, 5), self._name))

    async def positions(self) -> Sequence[Position]:
        self._need_markets()
        how = codec.leverages(await self.signed_read(f"{V1}/symbolConfig", {}, 5))
        return tuple(await self._positions(how))

    async def margin(self) -> Mapping[str, Any]:
        """Each asset's margin account with its positions and their brackets, as `agent.margin.binance_usdm` reads it. Raises Usage
        MULTI_ASSET_MARGIN, HEDGE_MODE: there it would be told otherwise than it is."""
        may = await self.permissions()
        if may.multi_asset:
            raise Usage(
                "MULTI_ASSET_MARGIN",
                f"at {self._name} every asset of the account answers for all positions, which is not counted here",
                "set single-asset margin on the exchange's own page, or watch it there",
            )
        self._one_way = may.one_way
        await self._need_one_way()
        wallets = await self.signed_read(f"{V3}/balance", {}, 5)
        risks = await self.signed_read(f"{V3}/positionRisk", {}, 5)
        self._need_markets()
        brackets = await self.account.read_exact(f"{V1}/leverageBracket", {}, 1)
        return margin.document(self._name, wallets, risks, brackets, self.account.now_ms() // 1_000)

    async def commission_bps(self, symbol: str) -> tuple[Decimal, Decimal]:
        """(maker, taker) of this account there, in basis points."""
        self.instrument(symbol)
        return codec.commission_bps(await self.signed_read(f"{V1}/commissionRate", {"symbol": symbol}, 20))

    def stream(self) -> AsyncIterator[ExecutionReport]:
        """Reports of this account as they happen, each execution once, merged with an audit over REST."""
        self._need_markets()

        async def address() -> str:
            return f"{self._user_url}/ws/{await self.listen_key('POST')}"

        return self.reports.told(
            Stream(lambda: self.http.client, self._user_url, self._clock, address=address)
        )

    # the dead man's switch

    @property
    def schedules_cancel(self) -> bool:
        return True

    async def schedule_cancel(self, seconds: float | None) -> None:
        """Has the venue end every order then in each symbol where one of ours works, should nothing more be heard of us; None takes it
        back everywhere. Raises as `cancel`."""
        wanted = set() if seconds is None else set(self.reports.symbols)
        for symbol in sorted(self._armed - wanted):
            await self._count_down(symbol, 0)
            self._armed.discard(symbol)
        for symbol in sorted(wanted):
            self._armed.add(symbol)  # also where no answer comes: it has to be let go then
            await self._count_down(symbol, int((seconds or 0) * 1_000))

    async def _count_down(self, symbol: str, after_ms: int) -> None:
        params: dict[str, str | int] = {"symbol": symbol, "countdownTime": after_ms}
        await self.account.write("POST", f"{V1}/countdownCancelAll", params, "the answer to a countdown", 10)

    # inside

    def _need_markets(self) -> None:
        need_markets(self._name, self._instruments)

    def instrument(self, symbol: str) -> VenueInstrument:
        """Raises Retry MARKETS_NOT_LOADED, Usage UNKNOWN_SYMBOL."""
        return market_named(self._name, self._instruments, symbol)

    async def _need_one_way(self) -> None:
        """In hedge mode an order would have to say which of two positions it means. Raises Usage HEDGE_MODE."""
        if self._one_way:
            return
        if not (await self.permissions()).one_way:
            raise Usage(
                "HEDGE_MODE",
                f"the account at {self._name} keeps long and short positions apart",
                "set it to one-way mode on the exchange's own page, once nothing is open",
            )
        self._one_way = True

    async def signed_read(self, path: str, params: binance.Params, weight: int) -> Any:
        self._need_markets()
        return await self.account.read(path, params, weight)

    async def listen_key(self, method: str) -> str:
        """POST: the account's own, made or kept for an hour from now; PUT: kept for another. Raises Retry, Reject."""
        data = await self.account.keyed(method, f"{V1}/listenKey")
        with understood("listenKey"):
            return str(data["listenKey"])

    def heard(self, report: ExecutionReport, event: Any) -> None:
        """What a report of the socket tells beside itself."""
        self._names[report.venue_order_id] = report.cl_ord_id
        self._seen.add(str(event["o"]["s"]))

    async def _positions(self, how: Mapping[str, Any]) -> list[Position]:
        found = codec.positions(await self.signed_read(f"{V3}/positionRisk", {}, 5), how, self._name)
        self._held = frozenset(held.symbol for held in found)
        return found

    async def _trades(self, symbol: str, since_ms: int) -> list[tuple[ClOrdId, str, Fill]]:
        """(our name, the venue's order number, fill) since then, oldest first: week by week, and within one by trade number."""
        self.instrument(symbol)
        now_ms = self.account.now_ms()
        start_ms = max(since_ms, now_ms - HISTORY_MS)
        found: dict[int, tuple[str, Fill]] = {}
        while start_ms <= now_ms:
            params: dict[str, str | int] = {"startTime": start_ms, "endTime": start_ms + WEEK_MS - 1}
            while len(rows := await self._page(symbol, params, found)) == PAGE:
                params = {"fromId": rows[-1][1] + 1}
            start_ms += WEEK_MS
        told = []
        for trade_id in sorted(found):
            number_there, fill = found[trade_id]
            told.append((await self._name_of(symbol, number_there), number_there, fill))
        return told

    async def _page(
        self, symbol: str, params: binance.Params, found: dict[int, tuple[str, Fill]]
    ) -> list[tuple[str, int, Fill]]:
        data = await self.signed_read(f"{V1}/userTrades", {"symbol": symbol, "limit": PAGE, **params}, 5)
        with understood("userTrades"):
            rows = [self.reader.trade(row) for row in data]
        found.update({trade_id: (number_there, fill) for number_there, trade_id, fill in rows})
        return rows

    async def _name_of(self, symbol: str, number_there: str) -> ClOrdId:
        if number_there not in self._names:
            data = await self.signed_read(f"{V1}/order", {"symbol": symbol, "orderId": number_there}, 1)
            self._names[number_there] = self.reader.order(data).cl_ord_id
        return self._names[number_there]

    async def _with_fills(self, order: OrderSnapshot) -> OrderSnapshot:
        """The same order with its trades, which the venue keeps under another address. Raises Retry where not all of them are told yet."""
        self._names[order.venue_order_id] = order.cl_ord_id
        if not order.cum_qty:
            return order
        params: dict[str, str | int] = {
            "symbol": order.symbol,
            "orderId": order.venue_order_id,
            "limit": PAGE,
        }
        rows = await self.signed_read(f"{V1}/userTrades", params, 5)
        fills = tuple(self.reader.trade(row)[2] for row in rows)
        need_all_fills(self._name, order, fills)
        return replace(order, fills=fills)

    async def _whole(self, order: OrderSnapshot) -> OrderSnapshot:
        """As `_with_fills`, after a write. Raises Reconcile where its fills cannot be read now."""
        try:
            return await self._with_fills(order)
        except (Retry, Reject, Denied, Usage) as why:  # whoever refuses the question, it was taken
            text = f"{order.cl_ord_id} was taken; its fills could not be read: {why.message}"
            raise Reconcile("FILLS_UNKNOWN", text, "ask by client order id") from None
