"""One account at Kraken: every request signed by itself under a nonce that only grows, and sent in the order it was signed in.

What is signed can be carried out once, and not any more once a later nonce was: so that an order whose answer was lost and that is not
there when it is asked for will not come. An order is granted by the signer when it is authorized and gets its nonce when it is sent; it
says until when it may be carried out (`deadline`). The venue keeps a client's id unique among open orders alone: what was sent once is not
sent again by this session, and two that ended under one id are told as such. Reports come by an audit, and by the venue's socket beside it
where the owner's signer grants its token, with which orders could be sent that nobody signs (`line`).
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import orjson

from agent.domain.errors import Denied, FairleadError, Reconcile, Reject, Retry, Usage
from agent.domain.ids import ClOrdId, as_uuid
from agent.domain.orders import VenueOrder
from agent.domain.reports import Balance, ExecutionReport, Fill, FillsNotTold, OrderSnapshot
from agent.market.feeds import FeedFacts
from agent.market.reading import number
from agent.ports import Clock, SignedRequest, VenueBook, VenueInstrument
from agent.transport.books import Books
from agent.transport.executions import Executions
from agent.transport.following import Following
from agent.transport.http import Http, TimeOuts
from agent.transport.once import KEPT, Numbers, Once
from agent.transport.stream import Stream
from agent.transport.throttle import Throttle
from agent.transport.turns import Turns
from agent.venues import PLAIN, Sign, Terms, VenueFacts, market_named, need_markets, one_by_one, understood
from agent.venues.kraken import codec
from agent.venues.kraken.line import Line

API = "/0/private/"
PAGE, TRADES_EACH, ORDERS_EACH = 50, 20, 50
DEAR = frozenset({"TradesHistory", "ClosedOrders"})
"""They cost the venue's counter two."""
UNCOUNTED = frozenset({"AddOrder", "AmendOrder", "CancelOrder"})
"""They have limits of their own, by pair."""
SIGNED_ONCE = frozenset({"AddOrder", "AmendOrder"})
TEN_S, TOLD_LATE_NS = 10 * 10**9, 600 * 10**9
LIMITED_S, LOCKED_OUT_S = 2.0, 60.0
"""How long nothing is asked after the venue said that it was too much."""


class Kraken:
    """An `agent.ports.ExecutionVenue` over its spot pairs. `start` first."""

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
        rest = (base_url or facts.rest_url).rstrip("/")
        own = (ws_url or ("ws" + rest.removeprefix("http") if base_url else "")).rstrip("/")
        orders = Throttle(clock, facts.orders_per_10s, TEN_S)
        self.http = Http(name, rest, Throttle(clock, facts.weight_per_minute), "", timeouts, orders)
        self.markets = codec.Markets()
        self.reader = codec.Reader(name, self.markets)
        self._stream_url = f"{own}/v2" if own else facts.stream_url
        self._user_url = f"{own}/auth/v2" if own else facts.order_api_url
        stream = Stream(lambda: self.http.client, self._stream_url, clock)
        self.books = Books(feed, (), stream, clock)
        self._following = Following(name, self.books)
        self._turns = Turns(clock)
        self._once = Once(name)
        self._unused: dict[str, str] = {}
        self._numbers = Numbers(clock)
        self._ahead_ms = 0
        self.reports = Executions(self, self.reader.place, clock, facts.audit_s)
        private = Stream(lambda: self.http.client, self._user_url, clock)
        self.line = Line(private, self._token, self.reader, self.reports)

    @property
    def name(self) -> str:
        return self._name

    @property
    def ahead_ms(self) -> int:
        """How far the venue's clock, of whole seconds, was measured to be before ours; nothing below one."""
        return self._ahead_ms

    async def start(self) -> None:
        """Sets the clock's offset and loads the markets. Raises Retry within the time-outs where the venue is not there."""
        before = self._clock.now_ns()
        told = codec.server_ms(await self._public("Time"))
        ahead = told - (before + self._clock.now_ns()) // 2_000_000
        self._ahead_ms = ahead if abs(ahead) >= 1_000 else 0
        self.markets.read(await self._public("AssetPairs"), self._facts.maker_fee_bps, self._facts.taker_fee_bps)  # fmt: skip
        if not self.markets.by_symbol:
            raise Retry("MARKETS_NOT_LOADED", f"{self._name} lists no market that trades", "try again later")
        self.reports.begin()

    async def close(self) -> None:
        try:
            await self._following.close()
        finally:
            await self.http.close()

    # market

    async def instruments(self) -> Sequence[VenueInstrument]:
        self._need_markets()
        return tuple(market.instrument for market in self.markets.by_symbol.values())

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
        market = self._market(order.symbol)
        payload = _form(codec.new_order_params(order, market, terms, self._until_ms()))
        await self._granted("AddOrder", payload)
        self.reports.watch(order.symbol, order.cl_ord_id)
        digest = hashlib.sha256(payload.encode()).hexdigest()
        return SignedRequest(order.cl_ord_id, "POST", f"{API}AddOrder", payload, digest)

    async def submit(self, request: SignedRequest) -> OrderSnapshot:
        """Has it signed under the next nonce and sends it once. Raises Reject, Retry (it never arrived) or Reconcile (it may have, or
        was sent before)."""
        self._need_markets()
        name = request.cl_ord_id
        self._once.take(name)
        try:
            data = await self._write("AddOrder", request.payload, "the answer to an order")
        except (Retry, Denied):  # nothing was sent
            self._once.give_back(name)
            raise
        with understood("the answer to an order", write=True):
            (txid,) = data["txid"]
            self._numbers.learn(name, txid)
        return await self._after_write(name)

    async def modify(self, order: VenueOrder) -> OrderSnapshot:
        """The order of this id gets this price and quantity and keeps the id. Raises as `submit`, Reject NO_SUCH_ORDER; Denied for one that
        this run of the signer did not sign."""
        payload = _form(codec.amend_params(order, self._market(order.symbol), self._until_ms()))
        await self._granted("AmendOrder", payload)
        await self._write("AmendOrder", payload, "the answer to a change")
        return await self._after_write(order.cl_ord_id)

    async def cancel(self, cl_ord_id: ClOrdId, symbol: str) -> OrderSnapshot:
        """The order after the cancel; one that had ended already is returned as it ended. Raises Reject NO_SUCH_ORDER, Reconcile."""
        self._market(symbol)
        txid = codec.txid_of(cl_ord_id)
        asked = {"cl_ord_id": as_uuid(cl_ord_id)} if txid is None else {"txid": txid}
        try:
            await self._write("CancelOrder", _form(asked), "the answer to a cancel")
        except Reject as refused:
            if refused.code != "NO_SUCH_ORDER":
                raise
            ended = await self.query(cl_ord_id, symbol)
            if ended is None:
                raise Reject("NO_SUCH_ORDER", f"{self._name} has no order {cl_ord_id}") from None
            return ended
        return await self._after_write(cl_ord_id)

    async def cancel_many(
        self, orders: Sequence[tuple[ClOrdId, str]]
    ) -> Mapping[ClOrdId, OrderSnapshot | FairleadError]:
        """One request for each, in turn. As the port says."""
        return await one_by_one(self.cancel, orders)

    @property
    def schedules_cancel(self) -> bool:
        return True

    async def schedule_cancel(self, seconds: float | None) -> None:
        """Has the venue cancel everything then, should nothing more be heard of us; None takes it back. Raises as `cancel`."""
        asked = {"timeout": str(max(int(seconds), 1) if seconds else 0)}
        await self._write("CancelAllOrdersAfter", _form(asked), "the answer to the switch")

    async def query(self, cl_ord_id: ClOrdId, symbol: str) -> OrderSnapshot | None:
        """None where the venue has no order of this id. One under way cannot arrive any more then, for the question's nonce was later.
        Raises Reconcile MORE_THAN_ONE_LIKE_IT."""
        self._market(symbol)
        return await self._ask(cl_ord_id)

    async def open_orders(self) -> Sequence[OrderSnapshot]:
        """Without their fills: `query` has them."""
        self._need_markets()
        rows = await self._opened({})
        return tuple(self._told(txid, row) for txid, row in rows.items() if self.reader.knows(row))

    async def fills(self, symbol: str, since_ns: int) -> Sequence[tuple[ClOrdId, Fill]]:
        self._market(symbol)
        told = await self.fills_since(since_ns // 1_000_000)
        return tuple((name, fill) for name, _, fill in told if fill.exec_id.startswith(f"{symbol}:") and fill.at_ns >= since_ns)  # fmt: skip

    async def fills_since(self, since_ms: int) -> list[tuple[ClOrdId, str, Fill]]:
        """(our name, the venue's order number, fill) of every pair since then, oldest first, page by page from the latest back."""
        self._need_markets()
        rows: dict[str, Any] = {}
        start_s = max(since_ms // 1_000 - 1, 0)
        while True:
            asked = {"start": str(start_s), "ofs": str(len(rows)), "consolidate_taker": "false", "without_count": "true"}  # fmt: skip
            data = await self._private("TradesHistory", asked)
            with understood("TradesHistory"):
                page = dict(data["trades"])
            fresh = page.keys() - rows.keys()
            rows |= page
            if len(page) < PAGE or not fresh:
                break
        read = [self.reader.fill(trade_id, row) for trade_id, row in codec.in_order(rows)]
        found = [one for one in read if one is not None]
        await self._learn({txid for txid, _ in found})
        return [(self._owner(txid, fill), txid, fill) for txid, fill in found]

    async def balances(self) -> Sequence[Balance]:
        self._need_markets()
        return tuple(codec.balances(await self._private("BalanceEx", {}), self.markets, self._name))

    async def permissions(self) -> codec.Permissions:
        """What this very key may do."""
        return codec.permissions(await self._private("GetApiKeyInfo", {}))

    def stream(self) -> AsyncIterator[ExecutionReport]:
        """Reports of this account, each execution once: an audit over REST, and the venue's socket beside it where the signer grants it."""
        self._need_markets()
        return self.reports.merged(self.line.listen)

    # inside

    def _need_markets(self) -> None:
        need_markets(self._name, self.markets.by_symbol)

    def _market(self, symbol: str) -> codec.Market:
        return market_named(self._name, self.markets.by_symbol, symbol)

    def _until_ms(self) -> int:
        return self._clock.now_ns() // 1_000_000 + self._ahead_ms + self._facts.recv_window_ms

    def _told(self, txid: str, row: Any, fills: Sequence[Fill] = ()) -> OrderSnapshot:
        order = self.reader.order(txid, row, fills)
        self._numbers.learn(order.cl_ord_id, txid)
        return order

    async def _public(self, method: str) -> Any:
        reply = await self.http.read("GET", f"/0/public/{method}")
        return codec.result(reply.body, method)

    async def _private(self, method: str, params: Mapping[str, str]) -> Any:
        """A read. Raises Retry, Reject."""
        return await self._turn(method, _form(params), method, write=False)

    async def _write(self, method: str, payload: str, what: str) -> Any:
        return await self._turn(method, payload, what, write=True)

    async def _granted(self, method: str, payload: str) -> None:
        """The signer judges and counts it, and gives no signature yet."""
        if await self._sign("POST", API + method, payload):
            raise Usage("SIGNED_TOO_SOON", f"the signer gave {method} a nonce before its turn", "use this version's signer")  # fmt: skip

    async def _turn(self, method: str, payload: str, what: str, *, write: bool) -> Any:
        """Signed and sent before anything else is. What was turned away keeps its signature, for an order gets one only."""
        path = API + method
        turn = await self._turns.take()
        try:
            signature = self._unused.pop(payload, "") or await self._sign("POST", path, payload)
            with understood("the signer's answer"):
                told = orjson.loads(signature)
                nonce, sig = str(told["nonce"]), str(told["sig"])
            body = (f"nonce={nonce}&{payload}" if payload else f"nonce={nonce}").encode()
            headers = {"API-Key": self._api_key, "API-Sign": sig, "Content-Type": "application/x-www-form-urlencoded"}  # fmt: skip
            weight = 0 if method in UNCOUNTED else 2 if method in DEAR else 1
            try:
                if write:
                    reply = await self.http.write("POST", path, "", body, headers, weight, orders=int(method == "AddOrder"))  # fmt: skip
                else:
                    reply = await self.http.read("POST", path, "", headers, weight, body)
                return self._result(reply.body, what, write=write)
            except Reject as refused:
                if refused.code != "REQUEST_EXPIRED" or method in SIGNED_ONCE:
                    raise
                raise Retry("NONCE_OVERTAKEN", f"{self._name}: a later request of this key came before {method}", "ask again") from None  # fmt: skip
            except Retry:
                if method in SIGNED_ONCE:
                    self._unused[payload] = signature
                    if len(self._unused) > KEPT:
                        del self._unused[next(iter(self._unused))]
                raise
        finally:
            self._turns.over(turn)

    def _result(self, body: bytes, what: str, *, write: bool) -> Any:
        """As `codec.result`; whoever was told in its body that it asks too much asks nothing for a while."""
        try:
            return codec.result(body, what, write=write)
        except Retry as away:
            if away.code == "RATE_LIMITED":
                self.http.throttle.closed_for(LOCKED_OUT_S if "lockout" in away.message else LIMITED_S)
            raise

    async def _token(self) -> str:
        """Of the private socket. Raises Denied where the signer grants none."""
        data = await self._private("GetWebSocketsToken", {})
        with understood("GetWebSocketsToken"):
            return str(data["token"])

    async def _opened(self, asked: Mapping[str, str]) -> dict[str, Any]:
        data = await self._private("OpenOrders", {"trades": "true", **asked})
        with understood("OpenOrders"):
            return dict(data["open"])

    async def _ask(self, cl_ord_id: ClOrdId) -> OrderSnapshot | None:
        """By its number where that is known, else among the open orders and then among those that have ended."""
        txid = self._numbers.number(cl_ord_id) or codec.txid_of(cl_ord_id)
        if txid is not None:
            asked = {"txid": txid, "trades": "true", "consolidate_taker": "false"}
            try:
                rows = dict(await self._private("QueryOrders", asked))
            except Reject as refused:
                if refused.code != "NO_SUCH_ORDER":
                    raise
                rows = {}
            if not rows:
                self._numbers.must_be_there(cl_ord_id, self._name)
        else:
            named = {"cl_ord_id": as_uuid(cl_ord_id)}
            rows = await self._opened(named)
            if not rows:
                more = {"trades": "true", "consolidate_taker": "false", "without_count": "true"}
                data = await self._private("ClosedOrders", {**more, **named})
                with understood("ClosedOrders"):
                    rows = dict(data["closed"])
        if len(rows) > 1:
            raise Reconcile("MORE_THAN_ONE_LIKE_IT", f"{self._name} has {len(rows)} orders named {cl_ord_id}", "look at its orders")  # fmt: skip
        for txid, row in rows.items():
            order = replace(self._told(txid, row), cl_ord_id=cl_ord_id)  # it was asked for by this name
            self._numbers.learn(cl_ord_id, txid)
            return await self._with_fills(order, row) if order.cum_qty else order
        return None

    async def _with_fills(self, order: OrderSnapshot, row: Any) -> OrderSnapshot:
        """Of an order that tells the numbers of its trades, oldest first. Raises FillsNotTold where not all can be told."""
        with understood("an order"):
            ids = [str(one) for one in row.get("trades") or ()]
        told: dict[str, Any] = {}
        for at in range(0, len(ids), TRADES_EACH):
            rows = await self._private("QueryTrades", {"txid": ",".join(ids[at : at + TRADES_EACH])})
            with understood("QueryTrades"):
                told |= dict(rows)
        read = [self.reader.fill(trade_id, one) for trade_id, one in codec.in_order(told)]
        fills = tuple(one[1] for one in read if one is not None)
        with understood("an order"):
            done, left = number(row["vol_exec"]), self.reader.base_qty(row, fills)
        whole = replace(order, fills=fills)
        if left != done:
            raise FillsNotTold(self._name, whole)
        return whole

    async def _learn(self, txids: set[str]) -> None:
        """Our names of these orders, as far as the venue tells of them."""
        unknown = sorted(txid for txid in txids if self._numbers.name(txid) is None)
        for at in range(0, len(unknown), ORDERS_EACH):
            await self._learn_some(unknown[at : at + ORDERS_EACH])

    async def _learn_some(self, txids: Sequence[str]) -> None:
        try:
            rows = await self._private("QueryOrders", {"txid": ",".join(txids)})
        except Reject as refused:
            if refused.code != "NO_SUCH_ORDER":
                raise
            for txid in txids if len(txids) > 1 else ():  # one of them is refused for all
                await self._learn_some((txid,))
            return
        with understood("QueryOrders"):
            for txid, row in rows.items():
                self._numbers.learn(self.reader.name(row.get("cl_ord_id"), txid), txid)

    def _owner(self, txid: str, fill: Fill) -> ClOrdId:
        """Whose fill it is. Raises Retry where the venue may yet tell; an order that it forgot goes by its number."""
        known = self._numbers.name(txid)
        if known is None and fill.at_ns > self._clock.now_ns() - TOLD_LATE_NS:
            raise Retry("NOT_VISIBLE_YET", f"{self._name} does not tell of {txid} yet", "ask again")
        return known or self.reader.name(None, txid)

    async def _after_write(self, name: ClOrdId) -> OrderSnapshot:
        """The order as it stands: the answer to a write tells nothing of it. Raises Reconcile where that cannot be read now."""
        try:
            found = await self._ask(name)
        except (Retry, Reject, Denied, Usage) as why:  # whoever refuses the question, it was taken
            text = f"{name} was taken; how it stands could not be read: {why.message}"
            raise Reconcile("FILLS_UNKNOWN", text, "ask by client order id") from None
        if found is None:
            raise Reconcile("NOT_VISIBLE_YET", f"{name} was taken and is not told of yet", "ask by client order id")  # fmt: skip
        return found


def _form(params: Mapping[str, str]) -> str:
    """As it is signed and sent; commas and colons stay as they are."""
    return urlencode(params, safe=",:")
