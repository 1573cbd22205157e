"""dYdX's orders and answers: orders to what the signer is asked for, the indexer's payloads to nouns, codes to verbs. Pure.

Sources: the venue's published documentation and message definitions. The chain counts in quanta: of a quantity one is
10^atomicResolution, of a price 10^(quantumConversionExponent - 6 - atomicResolution) dollars; both ways are exact here. A market whose
grid is not what these say is left out. An order's name there is 32 bits out of ours, and the indexer's id of it follows from the account,
these bits, the market and the kind of order, so that an order can be asked for before anything was ever heard of it.

What takes at once (IOC) goes as a short-term order, which validators keep in memory and which ends with a block; what may rest (GTC) as a
long-term one, which stands on the chain for 28 days.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from agent.domain.errors import FairleadError, Reconcile, Reject, Retry, Usage
from agent.domain.ids import ClOrdId
from agent.domain.instruments import Place, cex_id
from agent.domain.order_state import OrdStatus
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder
from agent.domain.reports import Balance, Fill, OrderSnapshot, Position
from agent.market.reading import above_zero, exact, ns_of_text, number, side, whole
from agent.market.reading import name as text_of
from agent.ports import VenueInstrument
from agent.venues import Terms, check_order, garbled, understood
from chains.dydx import CONVERSION, GTT, IOC, LONG_TERM, POST_ONLY, SHORT_TERM, Account, price_exponent

SETTLE = "USDC"
NAMESPACE = uuid.UUID("0f9da948-a6fb-4c45-9edc-4685c3f3317d")
STANDS_S = 28 * 86_400
STRANGER = "dydx-"
"""Before the indexer's number: the name of an order that is none we know."""
NOTHING = Decimal(0)
MIN_NOTIONAL = Decimal(1)
"""Ours: the chain takes orders of less, and they are worth no transaction."""
NAMES = {
    10: "REQUEST_EXPIRED",
    11: "REQUEST_EXPIRED",
    34: "MARKET_CLOSED",
    2001: "REDUCE_ONLY_REJECTED",
    2002: "REDUCE_ONLY_REJECTED",
    2003: "POST_ONLY_REJECTED",
    3003: "REQUEST_EXPIRED",
    3006: "NO_SUCH_ORDER",
    3007: "INSUFFICIENT_MARGIN",
    3010: "NO_SUCH_ORDER",
    10001: "TOO_MANY_ORDERS",
}
DUPLICATE = frozenset({7, 20, 24, 30, 2004, 3005, 3008, 3009})
"""An order of this name is there, or was: what became of it is asked for."""
FULL = frozenset({5001})
UNAUTHORIZED = frozenset({4, 8})
"""Of the chain itself: no such key, no such public key."""
SEEN_BEFORE = frozenset({19, 32})
"""Of the chain itself: the node has this very transaction, or its sequence was taken or is too old. Whichever: it may have been carried out."""


@dataclass(frozen=True, slots=True)
class Market:
    """A perpetual: `pair` its number in the chain's book, `resolution` the exponent of one quantum of it, `margin` the share of what a
    position is worth that it needs at first."""

    instrument: VenueInstrument
    pair: int
    resolution: int
    margin: Decimal

    @property
    def px_exponent(self) -> int:
        return price_exponent(self.resolution)


@dataclass(frozen=True, slots=True)
class Stands:
    """An order as the indexer tells it. `until`: a block's height, or seconds of Unix time; `height`: where it was made."""

    id: str
    client_id: int
    flags: int
    until: int
    height: int
    word: str
    order: OrderSnapshot


def load(body: bytes, what: str, *, write: bool = False) -> Any:
    """Raises Retry GARBLED for what is no JSON: it broke on its way; a write is Reconcile."""
    try:
        return exact(body)
    except ValueError:
        raise garbled(what, body, write=write) from None


# ids


def client_id(cl_ord_id: ClOrdId) -> int:
    """32 bits of ours."""
    return int.from_bytes(hashlib.sha256(cl_ord_id.encode()).digest()[:4], "big")


def subaccount_id(account: Account) -> str:
    return str(uuid.uuid5(NAMESPACE, f"{account.address}-{account.subaccount}"))


def order_id(account: Account, client: int, flags: int, pair: int) -> str:
    """The indexer's."""
    return str(uuid.uuid5(NAMESPACE, f"{subaccount_id(account)}-{client}-{pair}-{flags}"))


def flags_of(order: VenueOrder) -> int:
    return SHORT_TERM if order.time_in_force is TimeInForce.IOC else LONG_TERM


# what the signer is asked for


def to_sign(account_number: int, action: Mapping[str, Any]) -> str:
    return json.dumps({"account": account_number, "action": action}, separators=(",", ":"))


def _which(kind: str, client: int, market: Market, flags: int, until: int) -> dict[str, Any]:
    return {
        "type": kind,
        "id": client,
        "pair": market.pair,
        "resolution": market.resolution,
        "flags": flags,
        "until": until,
    }


def place_action(order: VenueOrder, market: Market, terms: Terms, until: int) -> dict[str, Any]:
    """Raises Usage for what is off its grid, for a type or time it has not, and for terms that do not go together."""
    if order.ord_type is not OrdType.LIMIT or order.px is None:
        raise Usage("MISSING_PRICE", "an order at dYdX needs a price", "give --limit")
    if order.time_in_force not in (TimeInForce.GTC, TimeInForce.IOC):
        raise Usage("UNSUPPORTED_TIF", f"{order.time_in_force.value} is not offered there", "GTC or IOC")
    short = flags_of(order) == SHORT_TERM
    if terms.good_till_ns or (terms.post_only and short) or (terms.reduce_only and not short):
        raise Usage(
            "UNSUPPORTED_TERMS",
            "what is post-only has to rest there, what is reduce-only to take at once, and no day is asked for",
            "leave it out",
        )
    check_order(order, market.instrument)
    return {
        **_which("place", client_id(order.cl_ord_id), market, flags_of(order), until),
        "buy": order.side is Side.BUY,
        "quantums": quanta(order.order_qty, market.resolution),
        "subticks": quanta(order.px, market.px_exponent),
        "tif": IOC if short else POST_ONLY if terms.post_only else GTT,
        "reduce_only": terms.reduce_only,
    }


def cancel_action(market: Market, stands: Stands, until: int) -> dict[str, Any]:
    """It holds until then, and at least as long as the order itself."""
    return _which("cancel", stands.client_id, market, stands.flags, max(until, stands.until))


def quanta(value: Decimal, exponent: int) -> int:
    """Exact. Raises Usage OFF_GRID."""
    found = value.scaleb(-exponent)
    if found != found.to_integral_value():
        raise Usage(
            "OFF_GRID", f"{value:f} is no multiple of 10^{exponent}", "the chain counts in such steps"
        )
    return int(found)


def signed_tx(signature: str) -> str:
    """The transaction in base64 out of the signer's answer. Raises Halt."""
    with understood("the signer's answer"):
        found = json.loads(signature)["tx"]
        if not isinstance(found, str) or not 0 < len(found) < 10_000:
            raise ValueError("no transaction")
        return found


def taken(data: Any) -> None:
    """The answer to a transaction: it passed the node's check and is on its way. Raises the verb of its code, Reconcile where unclear."""
    with understood("the answer to a transaction", write=True):
        if (
            "error" in data
        ):  # of the node, before the chain looked at it; "tx already exists in cache" among them
            told = f"{data['error'].get('message', '')} {data['error'].get('data', '')}"[:200]
            if "already exists" in told:
                raise Reconcile("DUPLICATE_CLIENT_ID", f"the node says: {told}", "ask by client order id")
            raise Reconcile("VENUE_ERROR", f"the node says: {told}", "ask by client order id")
        result = data["result"]
        code, space, log = whole(result["code"]), str(result.get("codespace", "")), str(result.get("log", ""))
    if code:
        raise refusal(code, space, log[:200])


def refusal(code: int, space: str, log: str) -> FairleadError:
    said = f"the chain says {space} {code}: {log}"
    if space != "clob":
        if code in SEEN_BEFORE or "timestamp nonce" in log:
            return Reconcile("NONCE_NOT_TAKEN", said, "ask by client order id; check this machine's clock")
        if code in UNAUTHORIZED:
            return Reject("UNAUTHORIZED", said, "the account's key or authenticator, or this machine's clock")
        return Reject("VENUE_REFUSED", said)
    if code in DUPLICATE:
        return Reconcile("DUPLICATE_CLIENT_ID", said, "ask by client order id")
    if code in FULL:
        return Retry("RATE_LIMITED", said, "wait for the next block")
    return Reject(NAMES.get(code, f"VENUE_{code}"), said)


# answers of the indexer


def markets(data: Any, maker_bps: Decimal, taker_bps: Decimal) -> dict[str, Market]:
    """Of perpetualMarkets: those that trade, by ticker."""
    found: dict[str, Market] = {}
    with understood("perpetualMarkets"):
        for symbol, row in data["markets"].items():
            market = _market(text_of(symbol), row, maker_bps, taker_bps)
            crossed = (
                row.get("marketType", "CROSS") == "CROSS"
            )  # an isolated one needs a subaccount of its own
            if row["status"] == "ACTIVE" and crossed and market is not None:
                found[symbol] = market
    return found


def _market(symbol: str, row: Any, maker_bps: Decimal, taker_bps: Decimal) -> Market | None:
    tick, step = above_zero(row["tickSize"]), above_zero(row["stepSize"])
    resolution, conversion = row["atomicResolution"], row["quantumConversionExponent"]
    if type(resolution) is not int or type(conversion) is not int or not -18 <= resolution <= 0:
        raise ValueError("exponents")
    instrument = VenueInstrument(
        symbol, symbol, SETTLE, tick, step, step, MIN_NOTIONAL, taker_bps, maker_bps, "linear"
    )
    market = Market(
        instrument, whole(row["clobPairId"]), resolution, above_zero(row["initialMarginFraction"])
    )
    grid = (Decimal(whole(row["subticksPerTick"])), Decimal(whole(row["stepBaseQuantums"])))
    same = grid == (tick.scaleb(-market.px_exponent), step.scaleb(-resolution))
    return market if conversion == CONVERSION and same else None


def height(data: Any) -> tuple[int, int]:
    """(the newest block that the indexer has taken in, ns of its time)."""
    with understood("height"):
        return whole(data["height"]), ns_of_text(data["time"])


def server_ms(data: Any) -> int:
    with understood("time"):
        return ns_of_text(data["iso"]) // 1_000_000


class Reader:
    """Payloads of one account to nouns. It remembers the names of orders that it was shown (`knows`): the chain keeps 32 bits of one."""

    KEPT = 50_000

    def __init__(self, venue: str, account: Account, known: Mapping[str, Market]) -> None:
        self.venue, self.place, self.account, self._known = venue, Place(f"cex:{venue}"), account, known
        self._names: dict[str, ClOrdId] = {}

    def knows(self, name: ClOrdId, market: Market) -> None:
        for flags in (LONG_TERM, SHORT_TERM):
            self._names[order_id(self.account, client_id(name), flags, market.pair)] = name
        while len(self._names) > self.KEPT:
            del self._names[next(iter(self._names))]

    def trades(self, row: Mapping[str, Any]) -> bool:
        """Whether a fill is in a market that trades here."""
        return market_of(row) in self._known

    def traded(self, row: Mapping[str, Any]) -> bool:
        """Whether an order is in a market that trades here."""
        return any(market.pair == whole(row["clobPairId"]) for market in self._known.values())

    def name(self, number: Any) -> ClOrdId:
        """Whose order it is: one we know, else by the number that the indexer gives it."""
        found = text_of(number)
        return self._names.get(found) or ClOrdId(STRANGER + found)

    def number(self, name: ClOrdId, market: Market, flags: int) -> str:
        """The indexer's number of an order of ours, or of a stranger's that `name` was given for."""
        if name.startswith(STRANGER):
            return name.removeprefix(STRANGER)
        return order_id(self.account, client_id(name), flags, market.pair)

    def fill(self, row: Any) -> tuple[ClOrdId, str, Fill]:
        """(our name, the indexer's order number, fill). A rebate counts as no fee."""
        with understood("a fill"):
            symbol = text_of(market_of(row))
            contract, settle = cex_id(self.venue, symbol), cex_id(self.venue, SETTLE)
            qty, buys = above_zero(row["size"]), side(row["side"], "BUY", "SELL") is Side.BUY
            cost = qty * above_zero(row["price"])
            fill = Fill(
                f"{symbol}:{text_of(row['id'])}",
                self.place,
                settle if buys else contract,
                contract if buys else settle,
                cost if buys else qty,
                qty if buys else cost,
                settle,
                max(number(row["fee"]), Decimal(0)),
                ns_of_text(row["createdAt"]),
            )
            return self.name(row["orderId"]), text_of(row["orderId"]), fill

    def order(self, row: Any, fills: Iterable[Fill] = ()) -> Stands:
        """A row of orders, or of the account's channel. What is not told of an order that was only just placed is 0."""
        with understood("an order"):
            pair, flags = whole(row["clobPairId"]), whole(row["orderFlags"])
            symbol = {market.pair: s for s, market in self._known.items()}[pair]
            size, done = above_zero(row["size"]), number(row.get("totalFilled", "0"))
            if not 0 <= done <= size:
                raise ValueError(f"{done} done of {size}")
            word, at = text_of(row["status"]), row.get("updatedAt")
            if flags == SHORT_TERM:
                until = whole(row["goodTilBlock"])
            else:
                until = ns_of_text(row["goodTilBlockTime"]) // 10**9
            order = OrderSnapshot(
                self.name(row["id"]),
                text_of(row["id"]),
                symbol,
                side(row["side"], "BUY", "SELL"),
                status_of(word, done),
                size,
                above_zero(row["price"]),
                done,
                tuple(fills),
                ns_of_text(at) if at is not None else 0,
            )
            made = whole(row["createdAtHeight"]) if row.get("createdAtHeight") is not None else 0
            return Stands(order.venue_order_id, whole(row["clientId"]), flags, until, made, word, order)

    def positions(self, data: Any) -> list[Position]:
        """Of a subaccount: those that are open."""
        with understood("a subaccount"):
            return [
                self._position(text_of(symbol), row)
                for symbol, row in data["subaccount"]["openPerpetualPositions"].items()
                if number(row["size"])
            ]

    def _position(self, symbol: str, row: Any) -> Position:
        qty, entry = signed(row), above_zero(row["entryPrice"])
        return Position(
            symbol,
            cex_id(self.venue, symbol),
            qty,
            qty * entry,
            entry,
            None,
            cex_id(self.venue, SETTLE),
        )

    def balances(self, data: Any, working: Iterable[OrderSnapshot] = ()) -> list[Balance]:
        """What was paid in, less what was lost and charged: the chain's USDC with what positions cost put back. What margin and orders at
        work take of it is locked; the chain itself sets nothing aside for orders."""
        with understood("a subaccount"):
            told = data["subaccount"]
            cash = sum((signed(row) for row in told["assetPositions"].values() if row["symbol"] == SETTLE), Decimal(0))  # fmt: skip
            held = cash + sum((one.cost for one in self.positions(data)), Decimal(0))
            left = number(told["freeCollateral"])
            for order in working:
                left -= (order.order_qty - order.cum_qty) * (order.px or Decimal(0)) * self._known[order.symbol].margin  # fmt: skip
            free = max(min(held, left), Decimal(0)) if held > 0 else held
            return [Balance(cex_id(self.venue, SETTLE), free, held - free)] if held else []


def market_of(fill: Mapping[str, Any]) -> Any:
    """By HTTP it is called a market, in the account's channel a ticker as well."""
    return fill.get("market", fill.get("ticker"))


def signed(row: Any) -> Decimal:
    """A size with the sign of its side, however it is told."""
    size = abs(number(row["size"]))
    return size if side(row["side"], "LONG", "SHORT") is Side.BUY else -size


def status_of(word: str, done: Decimal) -> OrdStatus:
    """Of the word alone: an order that one validator ended may still trade at another until its block (BEST_EFFORT_CANCELED).
    Raises KeyError for a word that is not documented."""
    if word in ("OPEN", "BEST_EFFORT_OPENED", "UNTRIGGERED", "BEST_EFFORT_CANCELED"):
        return OrdStatus.PARTIALLY_FILLED if done else OrdStatus.NEW
    return {"FILLED": OrdStatus.FILLED, "CANCELED": OrdStatus.CANCELED}[word]
