"""Kraken's spot orders and answers: requests to parameters, payloads to nouns, its error words to verbs. Pure; no number passes through a float.

Sources: the venue's published REST documentation. Its markets are called as on its WebSocket v2 (`BTC/USD`), orders name a pair (`XBTUSD`)
and answers either that or its key (`XXBTZUSD`). A client order id of ours travels as a UUID (`cl_ord_id`), which the venue keeps unique
among open orders alone. Every order asks for its fee in the quote (`fciq`), which is what the venue tells fees in. What a trade was for is
the venue's own `cost`, price times volume in as many decimals as it books.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from agent.domain.errors import FairleadError, Reconcile, Reject, Retry, Usage
from agent.domain.ids import ClOrdId, as_uuid, of_uuid
from agent.domain.instruments import Place, cex_id
from agent.domain.order_state import OrdStatus
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder
from agent.domain.reports import Balance, Fill, OrderSnapshot
from agent.market.reading import above_zero, exact, ns_of_seconds, number, side, steps, understood, whole
from agent.market.reading import name as text_of
from agent.ports import VenueInstrument
from agent.venues import Terms, check_order, stamp
from agent.venues import number as plain

TIF = {TimeInForce.GTC: "GTC", TimeInForce.IOC: "IOC"}
NEWER = {"XBT": "BTC", "XDG": "DOGE"}
"""What the WebSocket v2 calls otherwise."""
FOREIGN = "kraken-"
"""What stands before the venue's number in the name of an order that is none of ours."""
LIMITED = ("EAPI:Rate limit", "EOrder:Rate limit", "EService:Throttled", "EGeneral:Too many requests", "EGeneral:Temporary lockout")  # fmt: skip
UNKNOWN_OUTCOME = ("EService:Unavailable", "EService:Busy", "EService:Timeout", "EService:Deadline", "EGeneral:Internal")  # fmt: skip
NAMES = {
    "EOrder:Unknown order": "NO_SUCH_ORDER",
    "EOrder:Invalid order": "NO_SUCH_ORDER",
    "EOrder:Insufficient funds": "INSUFFICIENT_BALANCE",
    "EOrder:Order minimum not met": "BAD_AMOUNT",
    "EOrder:Cost minimum not met": "BAD_AMOUNT",
    "EOrder:Tick size check failed": "BAD_PRICE",
    "EOrder:Invalid price": "BAD_PRICE",
    "EOrder:Post only order": "POST_ONLY_REJECTED",
    "EOrder:Orders limit exceeded": "TOO_MANY_ORDERS",
    "EQuery:Unknown asset pair": "UNKNOWN_SYMBOL",
    "EAPI:Invalid key": "UNAUTHORIZED",
    "EAPI:Invalid signature": "INVALID_SIGNATURE",
    "EAPI:Invalid nonce": "REQUEST_EXPIRED",
    "EGeneral:Permission denied": "API_KEY_REFUSED",
    "EService:Market in": "MARKET_CLOSED",
}
HINTS = {
    "UNAUTHORIZED": "check the API key in the settings",
    "INVALID_SIGNATURE": "check the API secret the signer holds",
    "REQUEST_EXPIRED": "give Fairlead an API key of its own: another program's larger nonces make the venue refuse ours",
    "API_KEY_REFUSED": "give the key: query funds, query open and closed orders and trades, create and modify, cancel and close orders",
}


@dataclass(frozen=True, slots=True)
class Market:
    """A pair that is traded. `pair`: what orders call it."""

    instrument: VenueInstrument
    pair: str


@dataclass(frozen=True, slots=True)
class Permissions:
    """Of the key itself. `withdraw`: also where it may only prepare one."""

    trade: bool
    withdraw: bool
    kinds: tuple[str, ...]
    nonce_window: int
    addresses: int
    of_key: bool = True


def result(body: bytes, what: str, *, write: bool = False) -> Any:
    """The result of an answer. Raises the verb of its error, Reconcile or Retry GARBLED for what is no answer."""
    try:
        data = exact(body)
        errors = [str(error) for error in data["error"]]
        refused = next((error for error in errors if not error.startswith("W")), None)
        if refused is None:
            return data["result"]
    except (ValueError, KeyError, TypeError, AttributeError):
        kind = Reconcile if write else Retry
        text = f"{what} came as {len(body)} bytes that are no answer"
        raise kind("GARBLED", text, "ask by client order id" if write else "ask again") from None
    raise error_of(refused, write=write)


def error_of(error: str, *, write: bool) -> FairleadError:
    """The verb of the venue's own words, `ECategory:What[:more]`."""
    text = f"the venue says: {error[:200]}"
    if error.startswith(LIMITED):
        return Retry("RATE_LIMITED", text, "wait and try again")
    if error.startswith(UNKNOWN_OUTCOME):
        if write:
            return Reconcile("UNKNOWN_OUTCOME", text, "ask by client order id")
        return Retry("VENUE_ERROR", text, "ask again")
    if write and "cl_ord_id" in error:
        return Reconcile("DUPLICATE_CLIENT_ID", text, "ask by client order id")
    name = next((name for words, name in NAMES.items() if error.startswith(words)), "VENUE_REFUSED")
    return Reject(name, text, HINTS.get(name, ""))


# names


def txid_of(cl_ord_id: ClOrdId) -> str | None:
    """The venue's number in the name of an order that is none of ours."""
    return cl_ord_id.removeprefix(FOREIGN) if cl_ord_id.startswith(FOREIGN) else None


# requests


def new_order_params(order: VenueOrder, market: Market, terms: Terms, until_ms: int) -> dict[str, str]:
    """Of AddOrder. Raises Usage OFF_GRID, MISSING_PRICE, BELOW_MIN_QTY, BELOW_MIN_NOTIONAL, UNSUPPORTED_TIF, UNSUPPORTED_TERMS."""
    check_order(order, market.instrument)
    limit = order.ord_type is OrdType.LIMIT
    if terms.good_till_ns or terms.reduce_only:
        raise Usage("UNSUPPORTED_TERMS", "nothing is reduce-only or good till a date there", "leave it out")
    if terms.post_only and not (limit and order.time_in_force is TimeInForce.GTC):
        raise Usage("UNSUPPORTED_TERMS", "what is post-only has to rest", "leave it out, or give a price")
    if limit and order.time_in_force not in TIF:
        raise Usage("UNSUPPORTED_TIF", f"{order.time_in_force.value} is not offered there", "GTC or IOC")
    params = {
        "pair": market.pair,
        "type": order.side.value.lower(),
        "ordertype": order.ord_type.value.lower(),
        "volume": plain(order.order_qty),
    }
    if limit and order.px is not None:
        params |= {"price": plain(order.px), "timeinforce": TIF[order.time_in_force]}
    params["oflags"] = "fciq,post" if terms.post_only else "fciq"
    params["cl_ord_id"] = as_uuid(order.cl_ord_id)
    params["deadline"] = stamp(until_ms)
    return params


def amend_params(order: VenueOrder, market: Market, until_ms: int) -> dict[str, str]:
    """Of AmendOrder: the order of this name gets this price and quantity. Raises Usage as `new_order_params`."""
    check_order(order, market.instrument)
    if order.px is None:
        raise Usage("MISSING_PRICE", "an order is changed to a price", "give one")
    return {
        "cl_ord_id": as_uuid(order.cl_ord_id),
        "order_qty": plain(order.order_qty),
        "limit_price": plain(order.px),
        "deadline": stamp(until_ms),
    }


# answers


def server_ms(data: Any) -> int:
    """Of Time, which tells whole seconds: the middle of that second."""
    with understood("Time"):
        return ns_of_seconds(data["unixtime"]) // 1_000_000 + 500


class Markets:
    """What AssetPairs told: `by_symbol`, and every name that a pair or an asset goes by."""

    def __init__(self) -> None:
        self.by_symbol: dict[str, Market] = {}
        self.by_name: dict[str, Market] = {}
        self.assets: dict[str, str] = {}

    def read(self, data: Any, maker_bps: Decimal, taker_bps: Decimal) -> None:
        """Pairs that trade without restriction; fees are those of its first tier, or the given ones. Raises Halt VENUE_DIALECT."""
        with understood("AssetPairs"):
            for key, row in data.items():
                if "wsname" not in row or row.get("status", "online") != "online":
                    continue
                base, _, quote = text_of(row["wsname"]).partition("/")
                base, quote = NEWER.get(base, base), NEWER.get(quote, quote)
                self.assets[text_of(row["base"])], self.assets[text_of(row["quote"])] = base, quote
                tick = row.get("tick_size")
                instrument = VenueInstrument(
                    f"{text_of(base)}/{text_of(quote)}",
                    base,
                    quote,
                    steps(row["pair_decimals"]) if tick is None else above_zero(tick),
                    steps(row["lot_decimals"]),
                    number(row.get("ordermin", "0")),
                    number(row.get("costmin", "0")),
                    _fee_bps(row.get("fees"), taker_bps),
                    _fee_bps(row.get("fees_maker"), maker_bps),
                    fee_in_quote=True,  # every order asks for it (fciq)
                )
                market = Market(instrument, text_of(row["altname"]))
                self.by_symbol[instrument.symbol] = market
                for name in (key, market.pair, row["wsname"], instrument.symbol):
                    self.by_name[name] = market

    def asset(self, name: Any) -> str:
        """What the rest of this software calls it."""
        told = text_of(name)
        return self.assets.get(told) or NEWER.get(told, told)


def _fee_bps(tiers: Any, otherwise: Decimal) -> Decimal:
    """Tiers are [volume, per cent], the dearest first."""
    return number(tiers[0][1]) * 100 if tiers else otherwise


def balances(data: Any, markets: Markets, venue: str) -> list[Balance]:
    """BalanceEx. What stands under two names of one asset is added up; credit is no balance."""
    held: dict[str, tuple[Decimal, Decimal]] = {}
    with understood("BalanceEx"):
        for name, row in data.items():
            total, locked = number(row["balance"]), number(row.get("hold_trade", 0))
            if not total and not locked:
                continue
            if locked < 0:
                raise ValueError(f"{locked} held of {str(name)[:40]}")
            asset = markets.asset(name)
            before = held.get(asset, (Decimal(0), Decimal(0)))
            held[asset] = before[0] + total - locked, before[1] + locked
        return [Balance(cex_id(venue, asset), free, locked) for asset, (free, locked) in held.items()]


def permissions(data: Any) -> Permissions:
    """GetApiKeyInfo."""
    with understood("GetApiKeyInfo"):
        may = tuple(text_of(one) for one in data["permissions"])
        out = any("withdraw" in one for one in may)
        return Permissions(
            "modify-trades" in may,
            out,
            may,
            int(number(data.get("nonceWindow", 0))),
            len(data.get("ipAllowlist") or ()),
        )


class Reader:
    """Payloads of one account to nouns; knows the pairs by every name."""

    def __init__(self, venue: str, markets: Markets) -> None:
        self.venue, self.place, self.markets = venue, Place(f"cex:{venue}"), markets

    def knows(self, row: Any) -> bool:
        """Whether an order's row is of a pair that is traded here."""
        with understood("an order"):
            return row["descr"]["pair"] in self.markets.by_name

    def name(self, told: Any, txid: str) -> ClOrdId:
        """Whose order it is: ours by its client id, else by the number that the venue gave it."""
        ours = None if told is None or told == "" else of_uuid(text_of(told))
        return ours or ClOrdId(f"{FOREIGN}{txid}")

    def order(self, txid: Any, row: Any, fills: Iterable[Fill] = (), *, write: bool = False) -> OrderSnapshot:
        """A row of OpenOrders, ClosedOrders or QueryOrders."""
        with understood("an order", write=write):
            descr = row["descr"]
            qty, done = above_zero(row["vol"]), number(row["vol_exec"])
            px = number(descr["price"]) if descr["ordertype"] == "limit" else None
            if not 0 <= done <= qty or (px is not None and px <= 0):
                raise ValueError(f"{done} done of {qty} at {px}")
            at = row["closetm"] if row.get("closetm") else row["opentm"]
            return OrderSnapshot(
                self.name(row.get("cl_ord_id"), text_of(txid)),
                txid,
                self.markets.by_name[descr["pair"]].instrument.symbol,
                side(descr["type"], "buy", "sell"),
                status_of(row["status"], done, qty),
                qty,
                px,
                done,
                tuple(fills),
                ns_of_seconds(at),
            )

    def fill(self, trade_id: Any, row: Any) -> tuple[str, Fill] | None:
        """(the venue's order number, fill) of TradesHistory or QueryTrades; None for a pair that is not traded here. A rebate counts as
        no fee."""
        with understood("a trade"):
            market = self.markets.by_name.get(row["pair"])
            if market is None:
                return None
            buys = side(row["type"], "buy", "sell") is Side.BUY
            return text_of(row["ordertxid"]), self.made(
                market,
                text_of(trade_id),
                buys,
                above_zero(row["price"]),
                above_zero(row["vol"]),
                above_zero(row["cost"]),
                (market.instrument.quote, number(row["fee"])),
                ns_of_seconds(row["time"]),
            )

    def base_qty(self, row: Any, fills: Iterable[Fill]) -> Decimal:
        """Of what was bought or sold with an order's row, what these fills are. Raises KeyError, ValueError."""
        buys = side(row["descr"]["type"], "buy", "sell") is Side.BUY
        return sum((fill.qty_out if buys else fill.qty_in for fill in fills), Decimal(0))

    def made(
        self,
        market: Market,
        trade_id: str,
        buys: bool,
        px: Decimal,
        qty: Decimal,
        cost: Decimal,
        fee: tuple[str, Decimal],
        at_ns: int,
    ) -> Fill:
        """Raises ValueError where the cost is not price times quantity, as far as it is told."""
        instrument = market.instrument
        if abs(cost - px * qty) > unit_of(cost):
            raise ValueError(f"a cost of {cost} for {qty} at {px}")
        base, quote = cex_id(self.venue, instrument.base), cex_id(self.venue, instrument.quote)
        return Fill(
            f"{instrument.symbol}:{trade_id}",
            self.place,
            quote if buys else base,
            base if buys else quote,
            cost if buys else qty,
            qty if buys else cost,
            cex_id(self.venue, fee[0]),
            max(fee[1], Decimal(0)),
            at_ns,
        )


def in_order(rows: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Trades by the time they were made, and by the pair's own count within it."""
    with understood("trades"):
        return sorted(rows.items(), key=lambda one: (ns_of_seconds(one[1]["time"]), whole(one[1].get("trade_id", 0))))  # fmt: skip


def unit_of(value: Decimal) -> Decimal:
    """One of its own last decimal; at least a hundred-millionth and at most a thousandth."""
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)
    return Decimal(1).scaleb(min(max(exponent, -8), -3))


def status_of(word: str, done: Decimal, qty: Decimal) -> OrdStatus:
    """Raises KeyError for a word that is not documented."""
    if word in ("pending", "open"):
        return OrdStatus.PARTIALLY_FILLED if done else OrdStatus.NEW
    if word == "closed":
        return OrdStatus.FILLED if done == qty else OrdStatus.CANCELED
    return {"canceled": OrdStatus.CANCELED, "expired": OrdStatus.EXPIRED}[word]
