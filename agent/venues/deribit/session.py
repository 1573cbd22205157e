"""One account at Deribit: every request signed by itself, books over a line that is not logged on, and reports by an audit.

A session that is logged on at Deribit needs no signature for what follows, so that none is unless the owner's signer grants it (`line`):
requests go over HTTP with a signature each, which the signer judges, and each order says until when it may be carried out (`valid_until`). The venue's labels are not unique: what
was sent once is not sent again by this session, and two orders under one label are told as such. Combos are learnt of when they are
named; their fills are those of their legs (`combos`).
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, urlencode

import orjson

from agent.domain.errors import Denied, FairleadError, Reconcile, Reject, Retry, Usage
from agent.domain.ids import ClOrdId
from agent.domain.order_state import TERMINAL, ExecType, OrdStatus
from agent.domain.orders import VenueOrder
from agent.domain.reports import Balance, ExecutionReport, Fill, OrderSnapshot, Position
from agent.market.feeds import FeedFacts
from agent.market.reading import ns_of_ms
from agent.ports import Clock, SignedRequest, VenueBook, VenueInstrument
from agent.transport.books import Books
from agent.transport.executions import ENDED, Executions, Told
from agent.transport.following import Following
from agent.transport.http import Http, TimeOuts
from agent.transport.once import Once
from agent.transport.stream import Stream
from agent.transport.throttle import Throttle
from agent.venues import (  # fmt: skip
    PLAIN,
    Sign,
    Terms,
    VenueFacts,
    market_named,
    need_markets,
    one_by_one,
    others_left_alone,
    to_cancel,
    understood,
)
from agent.venues.deribit import codec, combos, inverse, linked, margin, portfolio, stops, trades
from agent.venues.deribit.line import Line

API = "/api/v2"
PAGE, SLACK_MS = 1_000, 5_000
"""Trades asked for at once, and how far a leg's trade may be dated after its combo's."""


class Deribit:
    """An `agent.ports.ExecutionVenue` of futures, options, combos of either and spot pairs, with `positions` and `margin`. `start` first."""

    def __init__(
        self,
        facts: VenueFacts,
        feed: FeedFacts,
        name: str,
        clock: Clock,
        api_key: str,
        sign: Sign,
        base_url: str | None,
        ws_url: str | None,
        timeouts: TimeOuts | None = None,
    ) -> None:
        self._facts, self._name, self._clock, self._api_key, self._sign = facts, name, clock, api_key, sign
        rest = (base_url or facts.rest_url.removesuffix(API)).rstrip("/")
        socket = (ws_url or ("ws" + rest.removeprefix("http") + "/ws/api/v2" if base_url else facts.stream_url)).rstrip("/")  # fmt: skip
        self._stream_url, self._order_url = socket, rest
        self.http = Http(name, rest, Throttle(clock, facts.weight_per_minute), "", timeouts)
        self._markets: dict[str, codec.Market] = {}
        self.reader = codec.Reader(name, self._markets)
        self.books = Books(feed, (), Stream(lambda: self.http.client, socket, clock), clock)
        self._following = Following(name, self.books)
        self._once = Once(name)
        self._seen: set[str] = set()
        self._ahead_ms = 0
        line = Stream(lambda: self.http.client, socket, clock, quiet_s=feed.line_quiet_s)
        self.line = Line(line, self._log_on, self._hear, (timeouts or TimeOuts()).write_s)
        self._told: Told | None = None
        self.reports = Executions(self, self.reader.place, clock, facts.audit_s)
        self.pairs = linked.Pairs(self, self._markets)
        self.holds_pairs = self.pairs.hold_in

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
        told = codec.server_ms(await self.public("get_time", {}))
        self._ahead_ms = told - (before + self._clock.now_ns()) // 2_000_000
        rows = await self.public("get_instruments", {"currency": "any", "expired": "false"})
        found = codec.markets(rows, self._facts.maker_fee_bps, self._facts.taker_fee_bps)
        if not found:
            raise Retry("MARKETS_NOT_LOADED", f"{self._name} lists no market that trades", "try again later")
        self._markets.update(found)
        self.reports.begin()

    async def close(self) -> None:
        try:
            await self._following.close()
        finally:
            await self.http.close()

    # market

    async def instruments(self) -> Sequence[VenueInstrument]:
        """Without combos: what one costs is no price times an amount, so that no plan is made over their books."""
        self._need_markets()
        return tuple(market.instrument for market in self._markets.values() if not market.legs)

    async def combo(self, name: str) -> tuple[VenueInstrument, Mapping[str, int]]:
        """A combo and its legs with their ratios, below zero where a purchase of it sells them. Raises Usage UNKNOWN_SYMBOL, Retry."""
        market = await self._learnt(name)
        return market.instrument, dict(market.legs)

    async def combos(self, currency: str = "any") -> Mapping[str, Mapping[str, int]]:
        """Those that trade now, of one currency's or all, with their legs as `combo` tells them. Raises Retry, Reject."""
        return combos.listed(await self.public("get_combos", {"currency": currency}))

    async def _learnt(self, symbol: str) -> codec.Market:
        """Also of a combo that was not named before. Raises Usage UNKNOWN_SYMBOL, Retry."""
        if symbol in self._markets or not combos.NAME.fullmatch(symbol):
            return self._market(symbol)
        self._need_markets()
        try:
            row = await self.public("get_instrument", {"instrument_name": symbol})
            details = await self.public("get_combo_details", {"combo_id": symbol})
            with understood("get_combo_details"):
                missing = {str(leg["instrument_name"]) for leg in details["legs"]} - self._markets.keys()
            for leg in sorted(missing):  # listed since the start
                told = await self.public("get_instrument", {"instrument_name": leg})
                with understood("get_instrument"):
                    there = [{**told, "is_active": True}]  # one that has expired has trades to tell
                self._markets |= codec.markets(there, self._facts.maker_fee_bps, self._facts.taker_fee_bps)
        except Reject as refused:
            if refused.code != "UNKNOWN_SYMBOL":
                raise
            raise Usage("UNKNOWN_SYMBOL", f"{self._name} has no combo {symbol[:60]}", "the exchange's own page lists them") from None  # fmt: skip
        self._markets[symbol] = combos.market(row, details, self._markets)
        return self._markets[symbol]

    async def book(self, symbol: str) -> VenueBook:
        """Raises Retry STALE_BOOK, Usage UNKNOWN_SYMBOL. The first call for a symbol begins to follow it."""
        market = await self._learnt(symbol)
        book = await self._following.book(symbol)
        return inverse.turned(book) if market.turned else book

    # orders

    async def authorize(self, order: VenueOrder) -> SignedRequest:
        """Raises Usage for what the venue would refuse; nothing is sent."""
        if order.exits is not None or order.then is not None:
            market = await self._learnt(order.symbol)
            return await self._request(order, *self.pairs.request(order, market, self._valid_until_ms()))
        return await self.authorize_with(order, Terms(reduce_only=order.reduce_only))

    async def authorize_with(self, order: VenueOrder, terms: Terms) -> SignedRequest:
        """As `authorize`, on terms: reduce-only, or post-only, which is refused rather than repriced."""
        market = await self._learnt(order.symbol)
        return await self._request(
            order, *codec.new_order_params(order, market, terms, self._valid_until_ms())
        )

    async def authorize_stop(
        self,
        order: VenueOrder,
        trigger_px: Decimal,
        terms: Terms = PLAIN,
        *,
        gains: bool = False,
        by: stops.Trigger = stops.Trigger.LAST,
    ) -> SignedRequest:
        """As `authorize`, of an order that the venue keeps until `by` is at `trigger_px`, a stop, or with `gains` a take-profit; `submit`,
        `query` and `cancel` take it for the order it may become."""
        market = await self._learnt(order.symbol)
        how = stops.stop_params(order, market, trigger_px, terms, self._valid_until_ms(), gains=gains, by=by)
        return await self._request(order, *how)

    async def _request(self, order: VenueOrder, method: str, params: Mapping[str, str]) -> SignedRequest:
        query, authorization = await self._signed(method, params)
        self.reports.watch(order.symbol, order.cl_ord_id)
        digest = hashlib.sha256(query.encode()).hexdigest()
        payload = orjson.dumps({"query": query, "authorization": authorization}).decode()
        return SignedRequest(order.cl_ord_id, "GET", f"{API}/{method}", payload, digest)

    async def submit(self, request: SignedRequest) -> OrderSnapshot:
        """Sends it once. Raises Reject, Retry (it never arrived) or Reconcile (it may have, or it was sent before)."""
        self._need_markets()
        self._once.take(request.cl_ord_id)
        with understood("a signed request"):
            parts = orjson.loads(request.payload)
            query, authorization = parts["query"], parts["authorization"]
        what, method = "the answer to an order", request.path.removeprefix(f"{API}/")
        try:
            if self.line.up and not self.pairs.leads(request.cl_ord_id):  # what is sent over it ends with it
                data = await self.line.ask(method, dict(parse_qsl(query)), what)
            else:
                data = await self._write(request.path, query, authorization, what)
        except Retry:  # nothing was sent
            self._once.give_back(request.cl_ord_id)
            raise
        placed = self.reader.placed(data)
        if request.cl_ord_id in self.pairs.known:
            return await self.pairs.placed(request.cl_ord_id, placed.symbol)
        market = self._markets.get(placed.symbol)
        return await self._whole(placed) if market is not None and market.legs else placed

    async def modify(self, order: VenueOrder) -> OrderSnapshot:
        """The order of this id gets this price and quantity and keeps the id. Raises as `submit`, Reject NO_SUCH_ORDER."""
        params = codec.edit_params(order, await self._learnt(order.symbol), self._valid_until_ms())
        query, authorization = await self._signed("private/edit_by_label", params)
        what = "the answer to a change"
        data = await self._write(f"{API}/private/edit_by_label", query, authorization, what)
        return await self._whole(self.reader.placed(data))

    async def cancel(self, cl_ord_id: ClOrdId, symbol: str) -> OrderSnapshot:
        """The order after the cancel; one that had ended already is returned as it ended.

        Raises Reject NO_SUCH_ORDER where the venue has none of this label, Reconcile where the answer was lost.
        """
        found = await to_cancel(self.query(cl_ord_id, symbol))
        if found is None:
            raise Reject("NO_SUCH_ORDER", f"{self._name} has no order {cl_ord_id}")
        if found.status in TERMINAL:
            return found
        if cl_ord_id in self.pairs.known:
            return await self.pairs.cancel(cl_ord_id, symbol)
        try:
            data = await self.end(found.venue_order_id)
        except Reject as refused:
            if refused.code not in {codec.NAMES[code] for code in codec.GONE}:
                raise
            after = await self.query(cl_ord_id, symbol)
            return after if after is not None else found
        return await self._whole(self.reader.order(data, write=True))

    async def end(self, venue_order_id: str) -> Any:
        """The answer to a cancel by the venue's own number. Raises Reject, Reconcile."""
        query, authorization = await self._signed("private/cancel", {"order_id": venue_order_id})
        return await self._write(f"{API}/private/cancel", query, authorization, "the answer to a cancel")

    async def cancel_many(
        self, orders: Sequence[tuple[ClOrdId, str]]
    ) -> Mapping[ClOrdId, OrderSnapshot | FairleadError]:
        """One request for each, side by side. As the port says."""
        return await one_by_one(self.cancel, orders)

    async def query(self, cl_ord_id: ClOrdId, symbol: str) -> OrderSnapshot | None:
        """None where the venue has no recent order of this label; one that ended with nothing done it forgets after half an hour. A
        request under way may yet arrive until its `valid_until`. Raises Reconcile MORE_THAN_ONE_LIKE_IT."""
        if cl_ord_id in self.pairs.known:
            return await self.pairs.query(cl_ord_id, symbol)
        found = await self.labelled(cl_ord_id, symbol)
        with understood("get_order_state_by_label"):
            row = stops.one_of(found, self._name, cl_ord_id)
        order = None if row is None else self.reader.order(row)
        return await self.pairs.query(cl_ord_id, symbol) if order is None else await self.with_fills(order)

    async def labelled(self, label: str, symbol: str) -> list[Any]:
        """Rows of what was sent under a label. Raises Retry, Usage UNKNOWN_SYMBOL."""
        found: list[Any] = []
        for currency in (await self._learnt(symbol)).currencies:
            rows = await self.private("get_order_state_by_label", {"currency": currency, "label": label})
            with understood("get_order_state_by_label"):
                found += [row for row in rows if row["instrument_name"] == symbol]
        return found

    async def open_orders(self) -> Sequence[OrderSnapshot]:
        """Without their fills: `query` has them."""
        self._need_markets()
        rows = await self.private("get_open_orders", {})
        with understood("get_open_orders"):
            strange = {str(row["instrument_name"]) for row in rows} - self._markets.keys()
        for symbol in sorted(filter(combos.NAME.fullmatch, strange)):
            await self._learnt(symbol)
        with understood("get_open_orders"):
            return self.pairs.merged([row for row in rows if self.reader.knows(row["instrument_name"])])

    async def fills(self, symbol: str, since_ns: int) -> Sequence[tuple[ClOrdId, Fill]]:
        return tuple((name, fill) for name, _, fill in await self._trades(symbol, since_ns // 1_000_000))

    async def fills_since(self, since_ms: int) -> list[tuple[ClOrdId, str, Fill]]:
        """Of every instrument with a position, an order, or one that was seen."""
        self._seen |= {order.symbol for order in await self.open_orders()} | self.reports.symbols
        self._seen |= {held.symbol for held in await self.positions()}
        found: list[tuple[ClOrdId, str, Fill]] = []
        for symbol in sorted(self._seen):
            with others_left_alone():
                try:
                    found += await self._trades(symbol, since_ms)
                except Usage:
                    if not combos.NAME.fullmatch(symbol):
                        raise
                    self._seen.discard(symbol)  # it is over, and is not told of any more
        return sorted(found, key=lambda fill: fill[2].at_ns)

    async def balances(self) -> Sequence[Balance]:
        self._need_markets()
        return tuple(codec.balances(await self.private("get_account_summaries", {}), self._name))

    async def positions(self) -> Sequence[Position]:
        self._need_markets()
        rows = await self.private("get_positions", {"currency": "any"})
        with understood("get_positions"):
            return tuple(held for held in map(self.reader.position, rows) if held is not None)

    async def margin(self) -> Mapping[str, Any]:
        """The accounts in which contracts are open, as `agent.margin.deribit_sm` and `deribit_pm` read them. Raises Retry, Usage MARGIN_MODEL."""
        self._need_markets()
        summaries = await self.private("get_account_summaries", {})
        if (no := margin.refused(self._name, summaries)) is not None:
            raise no
        rows = await self.private("get_positions", {"currency": "any"})
        at_s, now_ms = self._clock.now_ns() // 10**9, self._clock.now_ns() // 10**6 + self._ahead_ms
        held = margin.by_portfolio(summaries, rows)
        whole = await portfolio.read(self.private, self.public, self._name, held, now_ms)
        return margin.document(self._name, summaries, rows, self._markets, at_s, whole)

    async def funding(self, symbol: str, since_ns: int) -> Sequence[tuple[int, Decimal]]:
        """See `agent.ports.TellsFunding`: every hour's rate, asked for by weeks. Nothing of a contract that expires."""
        self._market(symbol)
        if not symbol.endswith(codec.PERPETUAL):
            return ()
        start_ms, now_ms = since_ns // 1_000_000, self._clock.now_ns() // 1_000_000 + self._ahead_ms
        found: dict[int, Decimal] = {}
        while start_ms < now_ms:
            end_ms = min(start_ms + codec.WEEK_MS, now_ms)
            asked = {"instrument_name": symbol, "start_timestamp": str(start_ms), "end_timestamp": str(end_ms)}  # fmt: skip
            found |= codec.funding(await self.public("get_funding_rate_history", asked))
            start_ms = end_ms
        return tuple(sorted((at, rate) for at, rate in found.items() if at >= since_ns))

    def stream(self) -> AsyncIterator[ExecutionReport]:
        """Reports of this account, each execution once: an audit over HTTP, and the logged-on line beside it where the signer grants one."""
        self._need_markets()
        return self.reports.merged(self._listen)

    async def _listen(self, told: Told) -> None:
        self._told = told
        try:
            await self.line.run(self.reports.wake)
        except Denied:
            return  # no log-on is granted: HTTP alone
        except FairleadError as error:
            await told.put(error)

    async def _log_on(self) -> dict[str, Any]:
        signature = await self._sign("WS", "public/auth", "")
        with understood("the signer's answer"):
            told = orjson.loads(signature)
            by = {"grant_type": "client_signature", "client_id": self._api_key, "data": ""}
            return {**by, "timestamp": told["ts"], "nonce": told["nonce"], "signature": told["sig"]}

    async def _hear(self, channel: str, data: Any) -> None:
        told = self._told
        assert told is not None
        with understood("a message of the account"):
            if channel.startswith("user.trades"):
                for row in data:
                    symbol = str(row.get("combo_id") or row["instrument_name"])
                    if combos.NAME.fullmatch(symbol):  # the audit asks for its legs
                        self._seen.add(symbol)
                        self.reports.wake()
                    elif self.reader.knows(symbol):
                        await self.reports.fill(*self.reader.fill(row), told)
                return
            rows = data if isinstance(data, list) else [data]
            known = [row for row in rows if self.reader.knows(row["instrument_name"])]
            orders = [(self.reader.order(row), self.reader.in_pair(row)) for row in known]
        for order, in_pair in orders:
            if in_pair:  # whether the pair is over is asked for by its id
                self.reports.wake()
            elif order.status is OrdStatus.NEW:
                await self.reports.tell(order, ExecType.NEW, told)
            elif order.status in ENDED:
                # What is told of a combo's legs is no sum of its own.
                of_legs = combos.NAME.fullmatch(order.symbol) is not None
                await self.reports.end(replace(order, cum_qty=Decimal(0)) if of_legs else order, told)

    # inside

    def _need_markets(self) -> None:
        need_markets(self._name, self._markets)

    def _market(self, symbol: str) -> codec.Market:
        return market_named(self._name, self._markets, symbol)

    def _valid_until_ms(self) -> int:
        return self._clock.now_ns() // 1_000_000 + self._ahead_ms + self._facts.recv_window_ms

    async def public(self, method: str, params: Mapping[str, str]) -> Any:
        reply = await self.http.read("GET", f"{API}/public/{method}", urlencode(params))
        return codec.result(reply.body, method)

    async def private(self, method: str, params: Mapping[str, str]) -> Any:
        """A read. Raises Retry, Reject."""
        query, authorization = await self._signed(f"private/{method}", params)
        reply = await self.http.read(
            "GET", f"{API}/private/{method}", query, {"Authorization": authorization}
        )
        return codec.result(reply.body, method)

    async def _signed(self, method: str, params: Mapping[str, str]) -> tuple[str, str]:
        """(query, what the Authorization header says)."""
        query = urlencode(params)
        signature = await self._sign("GET", f"{API}/{method}", query)
        with understood("the signer's answer"):
            told = orjson.loads(signature)
            return query, f"deri-hmac-sha256 id={self._api_key},ts={told['ts']},nonce={told['nonce']},sig={told['sig']}"  # fmt: skip

    async def _write(self, path: str, query: str, authorization: str, what: str) -> Any:
        reply = await self.http.write("GET", path, query, b"", {"Authorization": authorization})
        return codec.result(reply.body, what, write=True)

    async def _trades(self, symbol: str, since_ms: int) -> list[tuple[ClOrdId, str, Fill]]:
        """(our name, the venue's order number, fill) since then, oldest first; of a combo those of its legs."""
        combo, rows = bool((await self._learnt(symbol)).legs), await self._rows(symbol, since_ms)
        found: list[tuple[ClOrdId, str, Fill]] = []
        owners: dict[str, dict[str, dict[str, Any]] | None] = {}
        for row in rows:
            if combo:
                found += combos.fills(self.reader, row)
                continue
            if (of := combos.combo_of(row)) is not None:
                name, trade = of
                if name not in owners:
                    owners[name] = await self._owners(name, since_ms)
                known = owners[name]
                if known is not None and trade not in known:
                    raise Retry("COMBO_NOT_TOLD", f"{self._name} does not tell the trade of {name} yet", "ask again")  # fmt: skip
                row = {**row, **(known[trade] if known is not None else {})}
            found.append(self.reader.fill(row))
        return sorted(found, key=lambda fill: fill[2].at_ns)

    async def _owners(self, combo: str, since_ms: int) -> dict[str, dict[str, Any]] | None:
        """Whose order made each of a combo's trades, by trade id. None where the signer's owner does not list that combo: it is none of ours."""
        self._seen.add(combo)
        try:
            rows = await self._rows(combo, max(since_ms - SLACK_MS, 0))
        except Denied as refused:
            if refused.code != "EXCHANGE_SYMBOL":
                raise
            return None
        with understood("get_user_trades_by_instrument_and_time"):
            return {str(r["trade_id"]): {"order_id": r["order_id"], "label": r.get("label")} for r in rows}

    async def _rows(self, symbol: str, since_ms: int) -> list[dict[str, Any]]:
        """The trades of one instrument since then as the venue tells them, oldest first, page by page."""
        found: dict[str, dict[str, Any]] = {}
        start_ms, until_ms = max(since_ms, 0), self._clock.now_ns() // 1_000_000 + self._ahead_ms + 60_000
        while True:
            asked = {
                "instrument_name": symbol,
                "start_timestamp": str(start_ms),
                "end_timestamp": str(until_ms),
                "count": str(PAGE),
                "sorting": "asc",
            }
            data = await self.private("get_user_trades_by_instrument_and_time", asked)
            with understood("get_user_trades_by_instrument_and_time"):
                rows, more = list(data["trades"]), bool(data["has_more"])
                found.update({str(row["trade_id"]): row for row in rows})
                last_ms = max((ns_of_ms(row["timestamp"]) // 1_000_000 for row in rows), default=start_ms)
            if not more or last_ms == start_ms:
                return list(found.values())
            start_ms = last_ms

    async def with_fills(self, order: OrderSnapshot) -> OrderSnapshot:
        """Raises Retry where not all of them are told yet; of a combo, whose fills are its legs', they are what is told."""
        if not order.cum_qty:
            return order
        if (await self._learnt(order.symbol)).legs:
            since_ms = order.at_ns // 1_000_000 - combos.DAY_MS
            told = await self._trades(order.symbol, since_ms)
            return replace(order, fills=tuple(fill for _, number, fill in told if number == order.venue_order_id))  # fmt: skip
        return replace(order, fills=await trades.of_order(self, order))

    async def _whole(self, order: OrderSnapshot) -> OrderSnapshot:
        """As `with_fills`, after a write. Raises Reconcile where its fills cannot be read now."""
        try:
            return await self.with_fills(order)
        except (Retry, Reject, Denied, Usage) as why:  # whoever refuses the question, it was taken
            text = f"{order.cl_ord_id} was taken; its fills could not be read: {why.message}"
            raise Reconcile("FILLS_UNKNOWN", text, "ask by client order id") from None
