"""The border to the library: its orders, trades, balances and markets to our nouns, its exceptions to our verbs. Exact; pure.

Numbers come as text, for the library is asked to keep them so. Where one is missing that an order cannot do without, the payload counts
as not understood: Halt, or Reconcile where it answered a write.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any

from agent import venues
from agent.domain.errors import FairleadError, Reconcile, Reject, Retry
from agent.domain.ids import ClOrdId
from agent.domain.instruments import Place, cex_id
from agent.domain.order_state import OrdStatus
from agent.domain.orders import Side
from agent.domain.reports import Balance, Fill, OrderSnapshot
from agent.market.reading import number
from agent.ports import VenueInstrument

STATUS = {
    "open": OrdStatus.NEW,
    "closed": OrdStatus.FILLED,
    "canceled": OrdStatus.CANCELED,
    "canceling": OrdStatus.PENDING_CANCEL,
    "rejected": OrdStatus.REJECTED,
    "expired": OrdStatus.EXPIRED,
}
_DECIMAL_PLACES, _TICK_SIZE = 2, 4
_REFUSED = {
    "OrderNotFound": "NO_SUCH_ORDER",
    "InsufficientFunds": "INSUFFICIENT_FUNDS",
    "InvalidOrder": "NEW_ORDER_REJECTED",
    "OrderImmediatelyFillable": "NEW_ORDER_REJECTED",
    "OrderNotFillable": "NEW_ORDER_REJECTED",
    "BadSymbol": "UNKNOWN_SYMBOL",
    "BadRequest": "BAD_REQUEST",
    "ArgumentsRequired": "BAD_REQUEST",
    "AuthenticationError": "API_KEY_REFUSED",
    "PermissionDenied": "API_KEY_REFUSED",
    "AccountSuspended": "ACCOUNT_SUSPENDED",
    "AccountNotEnabled": "ACCOUNT_SUSPENDED",
    "NotSupported": "NOT_SUPPORTED",
}
_TOKEN, _UNTOLD = re.compile(r"(?i)(bearer)\s+[^\s'\"]+"), r"\1 …"
"""Of a refusal that repeats what was asked: a token is no part of what is told or written down."""
_AWAY = ("RateLimitExceeded", "DDoSProtection")
_HINTS = {
    "API_KEY_REFUSED": "check the API key, its permissions and its list of addresses",
    "REQUEST_EXPIRED": "check this machine's clock",
}


def understood(what: str, *, write: bool = False) -> AbstractContextManager[None]:
    """`agent.venues.understood`, for what the library says."""
    return venues.understood(what, write=write, like="the library says")


def error_of(error: Exception, who: str, *, write: bool) -> FairleadError:
    """The verb of the library's exception, by the nearest class of its tree that is known here.

    What may also be said of an order that is there (a duplicate, a time-out, an exchange error nobody has classed) is Reconcile after a
    write: it is asked for, and never sent again for it.
    """
    names = [one.__name__ for one in type(error).__mro__]
    text = f"{who} says: {_TOKEN.sub(_UNTOLD, str(error))[:300]}"
    if any(name in _AWAY for name in names):
        return Retry("RATE_LIMITED", text, "wait and try again")
    if "DuplicateOrderId" in names or "duplicate" in text.lower():
        return Reconcile("DUPLICATE_CLIENT_ID", text, "ask by client order id")
    if "InvalidNonce" in names:
        kind = Reject if write else Retry
        return kind("REQUEST_EXPIRED", text, _HINTS["REQUEST_EXPIRED"])
    code = next((_REFUSED[name] for name in names if name in _REFUSED), None)
    if code is not None:
        return Reject(code, text, _HINTS.get(code, ""))
    if write:
        return Reconcile("UNKNOWN_OUTCOME", text, "ask by client order id")
    if "OperationFailed" in names:
        return Retry("VENUE_ERROR", text, "ask again")
    return Reject("VENUE_REFUSED", text, "")


def exact(value: Any) -> Decimal:
    """Of the library's text; of a number that came as JSON's own its shortest text. Raises ValueError for anything else or without end."""
    if isinstance(value, bool) or value is None:
        raise ValueError("a number is missing")
    return number(value if isinstance(value, str | int | Decimal) else repr(value))


def maybe(value: Any) -> Decimal:
    """As `exact`, nought where there is none."""
    return Decimal(0) if value is None or value == "" else exact(value)


def step(value: Any, mode: int) -> Decimal | None:
    """A tick or lot out of the library's `precision`; None where it is counted in significant digits or is not told."""
    if value is None or mode not in (_DECIMAL_PLACES, _TICK_SIZE):
        return None
    told = exact(value)
    return (told if mode == _TICK_SIZE else Decimal(1).scaleb(-int(told))).normalize()


def fee_in_quote(market: Mapping[str, Any], known: str = "") -> bool:
    """Whether the fee is taken in the quote, whichever side was bought: by `known`, else by the library's `feeSide` of the market. Where it
    says none its own reckoning (`calculate_fee`) takes the quote."""
    return (known or market.get("feeSide") or "quote") == "quote"


def instrument(
    market: Mapping[str, Any], mode: int, taker_bps: Decimal, maker_bps: Decimal, fee_side: str = ""
) -> VenueInstrument | None:
    """One spot market that trades and states its steps; None for any other. Fees are the library's published tier, else these; `fee_side`
    as `fee_in_quote` has it."""
    if not market.get("spot") or market.get("active") is False:
        return None
    with understood("a market"):
        tick, lot = (step(market["precision"].get(name), mode) for name in ("price", "amount"))
        if not tick or not lot:
            return None
        limits = market["limits"]
        least, notional = ((limits.get(name) or {}).get("min") for name in ("amount", "cost"))
        taker, maker = market.get("taker"), market.get("maker")
        return VenueInstrument(
            str(market["id"]),
            str(market["base"]),
            str(market["quote"]),
            tick,
            lot,
            maybe(least).normalize(),
            maybe(notional).normalize(),
            taker_bps if taker is None else exact(taker) * 10_000,
            maker_bps if maker is None else exact(maker) * 10_000,
            fee_in_quote=fee_in_quote(market, fee_side),
        )


def balances(data: Mapping[str, Any], venue: str) -> list[Balance]:
    with understood("balances"):
        found = []
        for code in data.get("total") or {}:
            free, used, total = (maybe(data[code].get(name)) for name in ("free", "used", "total"))
            if not used and total > free:
                used = total - free
            if free or used:
                found.append(Balance(cex_id(venue, str(code)), free, used))
        return found


def ns(milliseconds: Any) -> int:
    return int(milliseconds or 0) * 1_000_000


def fee_of(trade: Mapping[str, Any], quote: str) -> tuple[str, Decimal]:
    """The asset and quantity of a trade's fee. Exchanges list assets that cost nothing beside the one that was paid in; what the same
    asset is charged twice for is added up. Raises ValueError for a fee in two assets, which no fill of ours can tell."""
    listed = trade.get("fees") or ([trade["fee"]] if trade.get("fee") else [])
    paid: dict[str, Decimal] = {}
    for fee in listed:
        asset = str((fee or {}).get("currency") or quote)
        paid[asset] = paid.get(asset, Decimal(0)) + maybe((fee or {}).get("cost"))
    charged = {asset: qty for asset, qty in paid.items() if qty > 0}
    if len(charged) > 1:
        raise ValueError(f"a fee in {' and '.join(charged)}")
    return next(iter(charged.items()), (next(iter(paid), quote), Decimal(0)))


def fill(trade: Mapping[str, Any], at: VenueInstrument, venue: str) -> Fill:
    """`exec_id` is SYMBOL:TRADE. A rebate is told as a fee of nought, for a fee is never negative."""
    with understood("a trade"):
        buys = trade["side"] == "buy"
        px, qty = exact(trade["price"]), exact(trade["amount"])
        base, quote = cex_id(venue, at.base), cex_id(venue, at.quote)
        fee_asset, fee_qty = fee_of(trade, at.quote)
        if not trade["id"] or px <= 0 or qty <= 0:
            raise ValueError("no trade id, price or quantity")
        return Fill(
            exec_id=f"{at.symbol}:{trade['id']}",
            place=Place(f"cex:{venue}"),
            asset_in=quote if buys else base,
            asset_out=base if buys else quote,
            qty_in=px * qty if buys else qty,
            qty_out=qty if buys else px * qty,
            fee_asset=cex_id(venue, fee_asset),
            fee_qty=fee_qty,
            at_ns=ns(trade.get("timestamp")),
        )


def order(
    data: Mapping[str, Any], at: VenueInstrument, name: ClOrdId, fills: Iterable[Fill] = ()
) -> OrderSnapshot:
    """A snapshot as the exchange tells it; one that is open and was filled in part is told as such. An order that the library calls
    closed and that was not filled whole has ended otherwise: CANCELED."""
    with understood("an order"):
        qty, done = exact(data["amount"]), maybe(data.get("filled"))
        px = maybe(data.get("price"))
        if qty <= 0 or not 0 <= done <= qty or px < 0:
            raise ValueError(f"{done} done of {qty} at {px}")
        status = STATUS[str(data.get("status") or "open")]
        if status is OrdStatus.NEW and done:
            status = OrdStatus.PARTIALLY_FILLED
        if status is OrdStatus.FILLED and done < qty:
            status = OrdStatus.CANCELED
        at_ms = data.get("lastUpdateTimestamp") or data.get("lastTradeTimestamp") or data.get("timestamp")
        return OrderSnapshot(
            name,
            str(data["id"]),
            at.symbol,
            Side(str(data["side"]).upper()),
            status,
            qty,
            px or None,
            done,
            tuple(fills),
            ns(at_ms),
        )
