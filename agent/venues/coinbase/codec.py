"""Coinbase Advanced Trade's orders and answers: requests to bodies, payloads to nouns, refusals to verbs. Pure; numbers are text until Decimal.

Sources: the venue's published API documentation. Spot products are traded. A client order id of ours travels as a UUID, which the venue
keeps unique for ever and by which it cannot be asked: an order of a known number is asked for by that, any other is looked for among the
account's orders. Commission is in the quote, beside what changes hands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from typing import Any

import orjson

from agent.domain.errors import FairleadError, Reconcile, Reject, Retry, Usage
from agent.domain.ids import ClOrdId, as_uuid, of_uuid
from agent.domain.instruments import Place, cex_id
from agent.domain.order_state import OrdStatus
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder
from agent.domain.reports import Balance, Fill, OrderSnapshot
from agent.domain.units import WIDE
from agent.market.reading import above_zero, ns_of_text, number, side, texts, understood, whole
from agent.market.reading import name as text_of
from agent.ports import VenueInstrument
from agent.venues import Terms, check_order
from agent.venues import number as plain

FOREIGN = "coinbase-"
"""What stands before the venue's number in the name of an order that is none of ours."""
KINDS = {TimeInForce.GTC: "limit_limit_gtc", TimeInForce.IOC: "sor_limit_ioc", TimeInForce.FOK: "limit_limit_fok"}  # fmt: skip
NAMES = {
    "INSUFFICIENT_FUND": "INSUFFICIENT_BALANCE",
    "INSUFFICIENT_FUNDS": "INSUFFICIENT_BALANCE",
    "PREVIEW_INSUFFICIENT_FUND": "INSUFFICIENT_BALANCE",
    "INVALID_LIMIT_PRICE_POST_ONLY": "POST_ONLY_REJECTED",
    "PREVIEW_INVALID_LIMIT_PRICE_POST_ONLY": "POST_ONLY_REJECTED",
    "INVALID_PRODUCT_ID": "UNKNOWN_SYMBOL",
    "INVALID_SIZE_PRECISION": "BAD_AMOUNT",
    "INVALID_PRICE_PRECISION": "BAD_PRICE",
    "UNKNOWN_CANCEL_ORDER": "NO_SUCH_ORDER",
    "ORDER_IS_FULLY_FILLED": "NO_SUCH_ORDER",
    "DUPLICATE_CANCEL_REQUEST": "NO_SUCH_ORDER",
    "INVALID_CANCEL_REQUEST": "NO_SUCH_ORDER",
    "NOT_FOUND": "NO_SUCH_ORDER",
    "PERMISSION_DENIED": "API_KEY_REFUSED",
    "unauthorized": "UNAUTHORIZED",
    "Unauthorized": "UNAUTHORIZED",
}
HINTS = {
    "UNAUTHORIZED": "check the key's name in the settings and the private key the signer holds, and this machine's clock",
    "API_KEY_REFUSED": "give the key View and Trade, and not Transfer",
}
NO_REASON = ("", "UNKNOWN_FAILURE_REASON", "UNKNOWN_PREVIEW_FAILURE_REASON", "UNKNOWN_CANCEL_FAILURE_REASON")
FINEST = Decimal("1e-18")


@dataclass(frozen=True, slots=True)
class Permissions:
    """Of the key itself, in its portfolio. `withdraw`: it may transfer."""

    trade: bool
    withdraw: bool
    kinds: tuple[str, ...]
    of_key: bool = True


def result(status: int, body: bytes, what: str, *, write: bool = False) -> Any:
    """What an answer says. Raises the verb of its refusal, Reconcile or Retry GARBLED for what is no answer."""
    try:
        data = texts(body) if status < 400 or body[:1] in b"{[" else {"error": body[:80].decode("utf-8", "replace").strip()}  # fmt: skip
        if not isinstance(data, dict):
            raise TypeError("no object")
    except (ValueError, TypeError):
        kind = Reconcile if write else Retry
        text = f"{what} came as {len(body)} bytes that are no answer"
        raise kind("GARBLED", text, "ask by client order id" if write else "ask again") from None
    if status >= 400:
        raise refusal(str(data.get("error")), str(data.get("message") or data.get("error_details") or ""))
    return data


def refusal(reason: str, more: str = "") -> FairleadError:
    """The verb of a refusal in the venue's own words."""
    name = NAMES.get(reason, "VENUE_REFUSED")
    text = f"the venue says: {reason[:80]}" + (f" ({more[:120]})" if more else "")
    return Reject(name, text, HINTS.get(name, ""))


# requests


def new_order(order: VenueOrder, instrument: VenueInstrument, terms: Terms) -> str:
    """The body. Raises Usage OFF_GRID, MISSING_PRICE, BELOW_MIN_QTY, BELOW_MIN_NOTIONAL, UNSUPPORTED_TERMS."""
    check_order(order, instrument)
    limit, rests = order.ord_type is OrdType.LIMIT, order.time_in_force is TimeInForce.GTC
    if terms.good_till_ns or terms.reduce_only or (terms.post_only and not (limit and rests)):
        raise Usage("UNSUPPORTED_TERMS", "what is post-only has to rest, and nothing is reduce-only or good till a date there", "leave it out")  # fmt: skip
    sizes: dict[str, Any] = {"base_size": plain(order.order_qty)}
    kind = "market_market_ioc"
    if limit and order.px is not None:
        kind = KINDS[order.time_in_force]
        sizes["limit_price"] = plain(order.px)
        if rests:
            sizes["post_only"] = terms.post_only
    body = {
        "client_order_id": as_uuid(order.cl_ord_id),
        "product_id": order.symbol,
        "side": order.side.value,
        "order_configuration": {kind: sizes},
    }
    return orjson.dumps(body).decode()


def edit(order_id: str, order: VenueOrder, instrument: VenueInstrument) -> str:
    """The body of a change to this price and quantity. Raises Usage as `new_order`."""
    check_order(order, instrument)
    if order.px is None:
        raise Usage("MISSING_PRICE", "an order is changed to a price", "give one")
    return orjson.dumps(
        {"order_id": order_id, "price": plain(order.px), "size": plain(order.order_qty)}
    ).decode()


def cancel(order_id: str) -> str:
    return orjson.dumps({"order_ids": [order_id]}).decode()


# answers


def placed(data: Any) -> str:
    """The venue's number of an order that was taken. Raises Reject, Reconcile for what says neither."""
    with understood("the answer to an order", write=True):
        if data["success"] is True:
            return text_of(data["success_response"]["order_id"])
        if data["success"] is not False:
            raise ValueError("neither taken nor refused")
        said = data.get("error_response") or {}
        reasons = [said.get(key) for key in ("new_order_failure_reason", "preview_failure_reason", "error")]
        reason = next((str(one) for one in reasons if one and one not in NO_REASON), "")
        more = str(said.get("message") or said.get("error_details") or "")
    if not reason:
        raise Reconcile("UNKNOWN_OUTCOME", f"the venue refused and does not say why {more[:120]}", "ask by client order id")  # fmt: skip
    raise refusal(reason, more)


def edited(data: Any) -> None:
    """Raises Reject where the change was refused, Reconcile for what says neither."""
    with understood("the answer to a change", write=True):
        if data["success"] is True:
            return
        said = (data.get("errors") or [{}])[0]
        reasons = (said.get("edit_failure_reason"), said.get("preview_failure_reason"))
        reason = next((str(one) for one in reasons if one and one not in NO_REASON), "EDIT_REFUSED")
    raise refusal(reason)


def cancelled(data: Any) -> None:
    """As `edited`, of one order's cancel."""
    with understood("the answer to a cancel", write=True):
        (said,) = data["results"]
        if said["success"] is True:
            return
        reason = str(said.get("failure_reason"))
    raise refusal(reason)


def server_ms(data: Any) -> int:
    with understood("time"):
        return whole(data["epochMillis"])


def markets(data: Any, maker_bps: Decimal, taker_bps: Decimal) -> dict[str, VenueInstrument]:
    """Spot products that trade without restriction, by name."""
    found: dict[str, VenueInstrument] = {}
    with understood("products"):
        for row in data["products"]:
            shut = ("is_disabled", "trading_disabled", "cancel_only", "limit_only", "post_only", "view_only", "auction_mode")  # fmt: skip
            if row["product_type"] != "SPOT" or any(row.get(name) for name in shut):
                continue
            symbol = text_of(row["product_id"])
            found[symbol] = VenueInstrument(
                symbol,
                text_of(row["base_currency_id"]),
                text_of(row["quote_currency_id"]),
                above_zero(row.get("price_increment") or row["quote_increment"]),
                above_zero(row["base_increment"]),
                number(row["base_min_size"]),
                number(row["quote_min_size"]),
                taker_bps,
                maker_bps,
                fee_in_quote=True,
            )
    return found


def balances(rows: Iterable[Any], venue: str) -> list[Balance]:
    """Accounts of one portfolio; two of one currency are added up."""
    held: dict[str, tuple[Decimal, Decimal]] = {}
    with understood("accounts"):
        for row in rows:
            free, locked = number(row["available_balance"]["value"]), number(row["hold"]["value"])
            if locked < 0:
                raise ValueError(f"{locked} held")
            if free or locked:
                asset = text_of(row["currency"])
                before = held.get(asset, (Decimal(0), Decimal(0)))
                held[asset] = before[0] + free, before[1] + locked
    return [Balance(cex_id(venue, asset), free, locked) for asset, (free, locked) in held.items()]


def permissions(data: Any) -> Permissions:
    """Of key_permissions."""
    with understood("key_permissions"):
        told = {name: data[name] for name in ("can_view", "can_trade", "can_transfer")}
        if any(type(value) is not bool for value in told.values()):
            raise TypeError("a right that is neither true nor false")
        return Permissions(told["can_trade"], told["can_transfer"], tuple(name for name, may in told.items() if may))  # fmt: skip


class Reader:
    """Payloads of one account to nouns; knows the products that are traded."""

    def __init__(self, venue: str, known: Mapping[str, VenueInstrument]) -> None:
        self.venue, self.place, self._known = venue, Place(f"cex:{venue}"), known

    def knows(self, row: Any) -> bool:
        """Whether an order's row is of a product that is traded here, and of a quantity of it."""
        with understood("an order"):
            return row["product_id"] in self._known and (_size(row) is not None or number(row["filled_size"]) > 0)  # fmt: skip

    def name(self, told: Any, order_id: str) -> ClOrdId:
        """Whose order it is: ours by its client id, else by the number that the venue gave it."""
        ours = of_uuid(told) if isinstance(told, str) else None
        return ours or ClOrdId(f"{FOREIGN}{order_id}")

    def order(self, row: Any, fills: Iterable[Fill] = (), *, write: bool = False) -> OrderSnapshot:
        with understood("an order", write=write):
            order_id, done = text_of(row["order_id"]), number(row["filled_size"])
            size, px = _size(row), _price(row)
            qty = size if size is not None else done
            if not 0 <= done <= qty or qty <= 0:
                raise ValueError(f"{done} done of {qty}")
            at = row.get("last_fill_time") or row["created_time"]
            return OrderSnapshot(
                self.name(row.get("client_order_id"), order_id),
                order_id,
                text_of(row["product_id"]),
                side(row["side"], "BUY", "SELL"),
                status_of(row["status"], done),
                qty,
                px,
                done,
                tuple(fills),
                ns_of_text(at),
            )

    def fill(self, row: Any) -> tuple[str, Fill] | None:
        """(the venue's order number, fill); None for a product that is not traded here, or what is no fill. A rebate counts as no fee."""
        with understood("a fill"):
            instrument = self._known.get(row["product_id"])
            if instrument is None or row.get("trade_type", "FILL") != "FILL":
                return None
            buys = side(row["side"], "BUY", "SELL") is Side.BUY
            px, size = above_zero(row["price"]), above_zero(row["size"])
            in_quote = row.get("size_in_quote") is True
            qty = WIDE.divide(size, px).quantize(FINEST, ROUND_FLOOR, WIDE) if in_quote else size
            worth = size if in_quote else px * size
            base, quote = cex_id(self.venue, instrument.base), cex_id(self.venue, instrument.quote)
            fill = Fill(
                f"{instrument.symbol}:{text_of(row['entry_id'])}",
                self.place,
                quote if buys else base,
                base if buys else quote,
                worth if buys else qty,
                qty if buys else worth,
                quote,
                max(number(row["commission"]), Decimal(0)),
                ns_of_text(row["trade_time"]),
            )
            return text_of(row["order_id"]), fill


def _sizes(row: Any) -> Any:
    (sizes,) = row["order_configuration"].values()
    return sizes


def _size(row: Any) -> Decimal | None:
    """None of an order for an amount of the quote."""
    told = _sizes(row).get("base_size")
    return above_zero(told) if told else None


def _price(row: Any) -> Decimal | None:
    told = _sizes(row).get("limit_price")
    return above_zero(told) if told else None


def status_of(word: str, done: Decimal) -> OrdStatus:
    """Raises KeyError for a word that is not documented."""
    if word in ("PENDING", "OPEN", "QUEUED", "CANCEL_QUEUED", "EDIT_QUEUED"):
        return OrdStatus.PARTIALLY_FILLED if done else OrdStatus.NEW
    ends = {"FILLED": OrdStatus.FILLED, "CANCELLED": OrdStatus.CANCELED, "EXPIRED": OrdStatus.EXPIRED, "FAILED": OrdStatus.REJECTED}  # fmt: skip
    return ends[word]
