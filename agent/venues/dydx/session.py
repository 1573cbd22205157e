"""One subaccount at dYdX: orders signed elsewhere and sent to a node of the chain once, everything else asked of its indexer.

Nothing here knows a secret. A node that took a transaction has not yet put it into a block, and what the indexer does not tell of an order
is only proof once it has taken in a block after which the order cannot be carried out any more: then and not before an order is absent.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode

from agent.domain.errors import FairleadError, Reconcile, Reject, Retry, Usage
from agent.domain.ids import ClOrdId
from agent.domain.order_state import TERMINAL, OrdStatus
from agent.domain.orders import VenueOrder
from agent.domain.reports import Balance, ExecutionReport, Fill, OrderSnapshot, Position
from agent.market.feeds import FeedFacts
from agent.ports import Clock, SignedRequest, VenueBook, VenueInstrument
from agent.transport.books import Books
from agent.transport.following import Following
from agent.transport.http import Http, TimeOuts
from agent.transport.limits import LimitHeaders
from agent.transport.stream import Stream
from agent.transport.throttle import Throttle
from agent.venues import (
    Sign,
    Terms,
    VenueFacts,
    market_named,
    need_markets,
    one_by_one,
    to_cancel,
    understood,
)
from agent.venues.dydx import codec, margin, node
from agent.venues.dydx.fills import Fills
from agent.venues.dydx.reports import Reports
from chains.dydx import LONG_TERM, SHORT_TERM, Account, account_of

PATH = "/broadcast_tx_sync"
LIMIT = 1_000
SHORT_BLOCKS = 8
"""What takes at once may do so until so many blocks on, some ten seconds."""
LOOKS, LOOK_S = 20, 1.0
"""How often what was taken is asked after, a block apart: three requests each of the six hundred a minute."""
BEHIND_NS = 4 * 10**9
"""An indexer whose newest block is older proves no absence: a signature lives ten seconds, and "no such order" is believed after fifteen."""
SENT = 10_000
NODES = {"https://indexer.v4testnet.dydx.exchange": "https://test-dydx-rpc.kingnodes.com"}
"""The node that belongs to an indexer which has another address: that of the test network, for which the signer signs outside `live`."""
LIMITS = LimitHeaders(left="RateLimit-Remaining", reset="RateLimit-Reset", resets=True)
"""The indexer's: its Retry-After is milliseconds."""


@dataclass(slots=True)
class _Sent:
    order: VenueOrder
    flags: int
    until: int
    taken: bool = False
    unclear: bool = False


class Dydx:
    """An `agent.ports.ExecutionVenue` of perpetuals, with their `positions`. `start` first."""

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
        self._facts, self._name, self._clock, self._sign = facts, name, clock, sign
        self._written = account
        rest = (base_url or facts.rest_url).rstrip("/")
        socket = (ws_url or ("ws" + rest.removeprefix("http") + "/v4/ws" if base_url else facts.stream_url)).rstrip("/")  # fmt: skip
        self._stream_url = socket
        self.http = Http(name, rest, Throttle(clock, facts.weight_per_minute), LIMITS, timeouts, now_ms=self._now_ms)  # fmt: skip
        mainnet = "https" + facts.order_api_url.removeprefix("wss").removesuffix("/websocket")
        self._node_url = NODES.get(rest, rest) if base_url else mainnet
        self.node = self.http
        if self._node_url != rest:
            self.node = Http(f"{name}'s node", self._node_url, Throttle(clock, facts.weight_per_minute), "", timeouts)  # fmt: skip
        self._markets: dict[str, codec.Market] = {}
        self.reader = codec.Reader(name, Account(""), self._markets)
        self.books = Books(feed, (), Stream(lambda: self.http.client, socket, clock, quiet_s=facts.book_quiet_s), clock)  # fmt: skip
        self._following = Following(name, self.books)
        self._fills = Fills(self.reader, self.ask)
        self._sent: dict[ClOrdId, _Sent] = {}
        self._account_number: int | None = None
        self._ahead_ms = 0
        self.reports = Reports(self, clock, facts.audit_s)

    @property
    def name(self) -> str:
        return self._name

    @property
    def account(self) -> Account:
        """Whose orders these are; nobody's before `start`."""
        return self.reader.account

    @property
    def ahead_ms(self) -> int:
        """How far the indexer's clock was measured to be before ours."""
        return self._ahead_ms

    async def start(self) -> None:
        """Measures the clock and loads the markets. Raises Usage DYDX_ACCOUNT, Retry within the time-outs where the venue is not there."""
        self.reader.account = account_of(self._written)
        before = self._clock.now_ns()
        told = codec.server_ms(await self.ask("time", "/v4/time"))
        self._ahead_ms = told - (before + self._clock.now_ns()) // 2_000_000
        rows = await self.ask("perpetualMarkets", "/v4/perpetualMarkets")
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
            if self.node is not self.http:
                await self.node.close()

    # market

    async def instruments(self) -> Sequence[VenueInstrument]:
        self._need_markets()
        return tuple(market.instrument for market in self._markets.values())

    async def book(self, symbol: str) -> VenueBook:
        """Raises Retry STALE_BOOK, Usage UNKNOWN_SYMBOL. The first call for a symbol begins to follow it."""
        self._market(symbol)
        return await self._following.book(symbol)

    # orders

    async def authorize(self, order: VenueOrder) -> SignedRequest:
        """Raises Usage for what the venue would refuse; nothing is sent."""
        return await self.authorize_with(order, Terms(reduce_only=order.reduce_only))

    async def authorize_with(self, order: VenueOrder, terms: Terms) -> SignedRequest:
        """As `authorize`, on terms: post-only where it may rest, reduce-only where it takes at once. Raises Reject CLIENT_ID_TAKEN where
        another order there has the 32 bits that this one's name makes: what is told of that one would be taken for this one's."""
        market, flags = self._market(order.symbol), codec.flags_of(order)
        codec.place_action(order, market, terms, 1)  # before anything is asked
        if order.cl_ord_id not in self._sent and await self._row(order.cl_ord_id, market, flags) is not None:
            raise Reject("CLIENT_ID_TAKEN", f"{self._name} has an order with the number of {order.cl_ord_id}", "give it another name")  # fmt: skip
        until = (await self._height()) + SHORT_BLOCKS if flags == SHORT_TERM else self._now_s() + codec.STANDS_S  # fmt: skip
        tx = await self._signed(codec.place_action(order, market, terms, until))
        self.reader.knows(order.cl_ord_id, market)
        self.reports.watch(order.symbol, order.cl_ord_id)
        if order.cl_ord_id in self._sent:  # signed again: the later of its last blocks counts
            self._sent[order.cl_ord_id].until = max(until, self._sent[order.cl_ord_id].until)
        else:
            self._sent[order.cl_ord_id] = _Sent(order, flags, until)
            if len(self._sent) > SENT:
                del self._sent[next(iter(self._sent))]
        payload = json.dumps({"tx": tx, "symbol": order.symbol, "flags": flags})
        return SignedRequest(order.cl_ord_id, "POST", PATH, payload, hashlib.sha256(tx.encode()).hexdigest())

    async def submit(self, request: SignedRequest) -> OrderSnapshot:
        """Sends these bytes once. What takes at once is waited for until it ended. Raises Reject, Retry (it never arrived) or Reconcile."""
        self._need_markets()
        with understood("a signed request"):
            parts = json.loads(request.payload)
            tx, symbol, flags = (parts[key] for key in ("tx", "symbol", "flags"))
        sent = self._sent.get(request.cl_ord_id)
        try:
            await self._broadcast(tx)
        except Reconcile:
            if sent is not None:
                sent.unclear = True
            raise
        if sent is not None:
            sent.taken = True
        return await self._seen(request.cl_ord_id, symbol, ended=flags == SHORT_TERM)

    async def cancel(self, cl_ord_id: ClOrdId, symbol: str) -> OrderSnapshot:
        """The order after the cancel; one that had ended already is returned as it ended. Raises Reject NO_SUCH_ORDER, Reconcile."""
        market = self._market(symbol)
        stands, height = await self._proved(cl_ord_id, market)
        if stands is None:
            untraced = self._untraced(cl_ord_id, market, height)
            if untraced is None:
                raise Reject("NO_SUCH_ORDER", f"{self._name} has no order {cl_ord_id}")
            return untraced  # it takes or ends by itself
        before = await to_cancel(self._whole(stands, market))
        if before.status in TERMINAL:
            return before
        until = await self._height() + SHORT_BLOCKS if stands.flags == SHORT_TERM else self._now_s() + codec.STANDS_S  # fmt: skip
        try:
            await self._broadcast(await self._signed(codec.cancel_action(market, stands, until)))
        except Reject as refused:
            if refused.code != "NO_SUCH_ORDER":
                raise  # else it ended meanwhile: the indexer tells how
        return await self._seen(cl_ord_id, symbol, ended=True)

    async def cancel_many(self, orders: Sequence[tuple[ClOrdId, str]]) -> Mapping[ClOrdId, OrderSnapshot | FairleadError]:  # fmt: skip
        """A transaction for each, side by side: the chain takes one message of the book in one. As the port says."""
        return await one_by_one(self.cancel, orders)

    async def query(self, cl_ord_id: ClOrdId, symbol: str) -> OrderSnapshot | None:
        """None only where an indexer that is up to date tells of none. An order that took nothing at once leaves no trace there: of one
        that this session sent and the node took, it is told as expired after its last block; of one whose answer was lost, nothing is told
        before that block. Raises Retry INDEXER_BEHIND, NOT_DECIDED_YET."""
        market = self._market(symbol)
        self.reader.knows(cl_ord_id, market)
        stands, height = await self._proved(cl_ord_id, market)
        if stands is None:
            self._decided(cl_ord_id, height)
            return self._untraced(cl_ord_id, market, height)
        return await self._whole(stands, market)

    async def open_orders(self) -> Sequence[OrderSnapshot]:
        """Without their fills: `query` has them."""
        self._need_markets()
        asked = self._whose | {"status": "OPEN,BEST_EFFORT_OPENED", "limit": str(LIMIT)}
        rows = await self.ask("orders", "/v4/orders", asked)
        with understood("orders"):
            if len(rows) >= LIMIT:
                raise Retry("TOO_MANY_ORDERS", f"{self._name} has more open orders than it tells at once", "cancel some")  # fmt: skip
            return tuple(self.reader.order(row).order for row in rows if self.reader.traded(row))

    async def fills(self, symbol: str, since_ns: int) -> Sequence[tuple[ClOrdId, Fill]]:
        self._market(symbol)
        told = await self._fills.since(since_ns, symbol)
        return tuple((name, fill) for name, _, fill in told)

    async def fills_since(self, since_ms: int) -> list[tuple[ClOrdId, str, Fill]]:
        """(our name, the indexer's order number, fill) of every market, oldest first."""
        return await self._fills.since(since_ms * 1_000_000)

    async def balances(self) -> Sequence[Balance]:
        """What positions and orders at work need of the account is locked."""
        self._need_markets()
        data = await self._subaccount()
        return () if data is None else tuple(self.reader.balances(data, await self.open_orders()))

    async def positions(self) -> Sequence[Position]:
        self._need_markets()
        data = await self._subaccount()
        return () if data is None else tuple(self.reader.positions(data))

    async def margin(self) -> Mapping[str, Any]:
        """The subaccount with its positions at the oracle's prices, as `agent.margin.dydx_v4` reads it. Raises Retry INDEXER_BEHIND (of an
        indexer that has stopped nothing is taken for safe), Halt VENUE_DIALECT."""
        self._need_markets()
        await self._height()
        rows = await self.ask("perpetualMarkets", "/v4/perpetualMarkets")
        return margin.document(self._name, await self._subaccount(), rows, self._now_s())

    def stream(self) -> AsyncIterator[ExecutionReport]:
        """Reports of this account as they happen, each execution once, merged with an audit over HTTP."""
        self._need_markets()
        return self.reports.told(Stream(lambda: self.http.client, self._stream_url, self._clock))

    def remember(self, orders: Iterable[tuple[ClOrdId, str]]) -> None:
        """Names of orders with their symbols: the venue keeps 32 bits of one, and calls those that nobody remembers by numbers."""
        for name, symbol in orders:
            if symbol in self._markets:
                self.reader.knows(name, self._markets[symbol])

    async def power(self) -> Sequence[node.Said]:
        """What the key that signs here may do with the account, as the chain has it."""
        return node.power(self.account, await self._abci(*node.authenticators_query(self.account)))

    # inside

    def _need_markets(self) -> None:
        need_markets(self._name, self._markets)

    def _market(self, symbol: str) -> codec.Market:
        return market_named(self._name, self._markets, symbol)

    def _now_ms(self) -> int:
        """By the indexer's clock."""
        return self._clock.now_ns() // 1_000_000 + self._ahead_ms

    def _now_s(self) -> int:
        return self._now_ms() // 1_000

    @property
    def _whose(self) -> dict[str, str]:
        return {"address": self.account.address, "subaccountNumber": str(self.account.subaccount)}

    async def ask(self, what: str, path: str, params: Mapping[str, str] | None = None) -> Any:
        """Of the indexer. Raises Retry, Reject."""
        reply = await self.http.read("GET", path, urlencode(params or {}))
        if reply.status >= 400:
            text = reply.body[:200].decode("utf-8", "replace")
            raise Reject("NOT_FOUND" if reply.status == 404 else "VENUE_REFUSED", f"{what}: the indexer says {reply.status}: {text}")  # fmt: skip
        return codec.load(reply.body, what)

    async def _found(self, what: str, path: str) -> Any:
        """As `ask`; None for what is not there."""
        try:
            return await self.ask(what, path)
        except Reject as refused:
            if refused.code != "NOT_FOUND":
                raise
            return None

    async def _subaccount(self) -> Any:
        """None for one that nothing was ever paid into."""
        return await self._found("a subaccount", f"/v4/addresses/{self.account.address}/subaccountNumber/{self.account.subaccount}")  # fmt: skip

    async def _height(self) -> int:
        """Of the newest block that the indexer has. Raises Retry INDEXER_BEHIND."""
        height, at_ns = codec.height(await self.ask("height", "/v4/height"))
        if self._now_ms() * 1_000_000 - at_ns > BEHIND_NS:
            raise Retry("INDEXER_BEHIND", f"{self._name}: the indexer's newest block is older than {BEHIND_NS // 10**9} s", "ask again")  # fmt: skip
        return height

    async def _row(self, name: ClOrdId, market: codec.Market, flags: int | None = None) -> codec.Stands | None:  # fmt: skip
        sent = self._sent.get(name)
        kinds = (LONG_TERM, SHORT_TERM) if flags is None and sent is None else (sent.flags if sent else flags or 0,)  # fmt: skip
        for kind in kinds:
            data = await self._found("an order", f"/v4/orders/{quote(self.reader.number(name, market, kind), safe='')}")  # fmt: skip
            if data is not None:
                return self.reader.order(data)
        return None

    async def _proved(self, name: ClOrdId, market: codec.Market) -> tuple[codec.Stands | None, int]:
        """What the indexer tells of an order, (None, the newest block) where it tells nothing: asked again once it is known how far it is.
        Raises Retry INDEXER_BEHIND."""
        stands = await self._row(name, market)
        if stands is not None:
            return stands, 0
        height = await self._height()
        return await self._row(name, market), height

    def _decided(self, name: ClOrdId, height: int) -> None:
        """Of an order sent without an answer, whether the chain could still carry it out is told by its blocks and by no clock of ours."""
        sent = self._sent.get(name)
        if (
            sent is not None
            and sent.unclear
            and not sent.taken
            and sent.flags == SHORT_TERM
            and height <= sent.until
        ):
            raise Retry("NOT_DECIDED_YET", f"{self._name}: {name} may be carried out until block {sent.until}, {height} is told", "ask again")  # fmt: skip

    def _untraced(self, name: ClOrdId, market: codec.Market, height: int) -> OrderSnapshot | None:
        """An order that the node took and nothing is told of: one that took nothing at once leaves no trace."""
        sent = self._sent.get(name)
        if sent is None or not sent.taken or sent.flags != SHORT_TERM:
            return None
        status, order = OrdStatus.EXPIRED if height > sent.until else OrdStatus.NEW, sent.order
        number = self.reader.number(name, market, sent.flags)
        return OrderSnapshot(name, number, order.symbol, order.side, status, order.order_qty, order.px, codec.NOTHING, (), self._clock.now_ns())  # fmt: skip

    async def _whole(self, stands: codec.Stands, market: codec.Market) -> OrderSnapshot:
        """With its fills, and ended where its last block is over: as it is told after that block was."""
        order = stands.order
        if stands.flags == SHORT_TERM and order.status not in TERMINAL and await self._height() > stands.until:  # fmt: skip
            stands = await self._row(order.cl_ord_id, market, SHORT_TERM) or stands
            order = stands.order
            if order.status not in TERMINAL:
                order = replace(order, status=OrdStatus.EXPIRED)
        return replace(order, fills=await self._fills.of(stands)) if order.cum_qty else order

    async def _seen(self, name: ClOrdId, symbol: str, *, ended: bool) -> OrderSnapshot:
        """The order as the indexer tells it, once it does; `ended`: once it tells so. Raises Reconcile where that takes too long."""
        why = "is not told of yet"
        for _ in range(LOOKS):
            try:
                found = await self.query(name, symbol)
            except (Retry, Reject, Usage) as error:  # whoever refuses the question, the order was taken
                why = f"could not be asked for: {error.message}"
            else:
                if found is not None and (not ended or found.status in TERMINAL):
                    return found
                why = "is not told of yet" if found is None else f"is {found.status.value} still"
            await self._clock.sleep(min(LOOK_S, self._facts.audit_s))
        raise Reconcile("NOT_VISIBLE_YET", f"{name} was taken, and {why}", "ask by client order id")

    async def _signed(self, action: Mapping[str, Any]) -> str:
        if self._account_number is None:
            told = await self._abci(*node.account_query(self.account))
            self._account_number = node.account_number(self.account, told)
        asked = codec.to_sign(self._account_number, action)
        return codec.signed_tx(await self._sign("POST", PATH, asked))

    async def _abci(self, path: str, data: bytes) -> bytes:
        """A question to the chain itself. Raises Retry, Reject."""
        asked = {"path": f'"{path}"', "data": f"0x{data.hex()}"}
        reply = await self.node.read("GET", "/abci_query", urlencode(asked))
        return node.answered(codec.load(reply.body, path))

    async def _broadcast(self, tx: str) -> None:
        """Sends a transaction once; returns where the node's check passed."""
        asked = {"jsonrpc": "2.0", "id": 1, "method": PATH[1:], "params": {"tx": tx}}
        headers = {"Content-Type": "application/json"}
        reply = await self.node.write("POST", "/", "", json.dumps(asked).encode(), headers)
        codec.taken(codec.load(reply.body, "the answer to a transaction", write=True))
