"""Exchanges, one module each. FEED: its market data in the common schema (`agent.market.feed`), a pure codec and facts. VENUE, where
orders are sent to it: facts first, a pure codec, a thin session that is an `agent.ports.ExecutionVenue`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from agent.domain.errors import FairleadError, Halt, Reconcile, Retry, Usage
from agent.domain.ids import ClOrdId
from agent.domain.orders import OrdType, VenueOrder
from agent.domain.reports import OrderSnapshot
from agent.ports import Clock, ExecutionVenue, VenueInstrument

Sign = Callable[[str, str, str], Awaitable[str]]
"""(method, path, payload) to the signature in text, over exactly that payload. The signer judges method and path too
("WS" and the method's name on a WebSocket API); the secret lives in its process. Empty where the signer keeps the signature and
sends the request itself: by `Send`."""

Send = Callable[[str, str, str], Awaitable[tuple[int, Mapping[str, str], bytes]]]
"""(method, path, payload) that `Sign` granted to the exchange's own answer: status, headers, body. Sent once; errors as `agent.transport.http`."""


class Connect(Protocol):
    def __call__(
        self,
        name: str,
        clock: Clock,
        api_key: str,
        sign: Sign,
        *,
        base_url: str | None = None,
        ws_url: str | None = None,
        send: Send | None = None,
    ) -> ExecutionVenue:
        """`name` is the settings' name of the venue and the one in its asset ids; `base_url` replaces every address, `ws_url` then those of the sockets."""
        ...


@dataclass(frozen=True, slots=True)
class VenueFacts:
    """What the planner, the tables and the README read. Fees are the venue's default tier, in basis points."""

    title: str
    rest_url: str
    stream_url: str
    order_api_url: str
    maker_fee_bps: Decimal
    taker_fee_bps: Decimal
    order_types: tuple[str, ...]
    times_in_force: tuple[str, ...]
    client_id_pattern: str
    weight_per_minute: int
    orders_per_10s: int
    recv_window_ms: int
    book_quiet_s: float
    book_stale_s: float
    audit_s: float
    connect: Connect


async def one_by_one(
    cancel: Callable[[ClOrdId, str], Awaitable[OrderSnapshot]], orders: Sequence[tuple[ClOrdId, str]]
) -> dict[ClOrdId, OrderSnapshot | FairleadError]:
    """`cancel_many` where a venue ends one order a request: side by side, each with its own outcome."""

    async def one(name: ClOrdId, symbol: str) -> OrderSnapshot | FairleadError:
        try:
            return await cancel(name, symbol)
        except FairleadError as error:
            return error

    told = await asyncio.gather(*(one(name, symbol) for name, symbol in orders))
    return dict(zip((name for name, _ in orders), told, strict=True))


@contextmanager
def understood(what: str, *, write: bool = False, like: str = "documented") -> Iterator[None]:
    """Turns a payload that is not as it should be into Halt VENUE_DIALECT, or Reconcile where it answered a write. `like`: who says how it
    should be."""
    try:
        yield
    except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError, IndexError) as error:
        kind = Reconcile if write else Halt
        text = f"{what} is not as {like}: {type(error).__name__} {str(error)[:120]}"
        raise kind("VENUE_DIALECT", text, "report it with the payload") from None


def garbled(what: str, body: bytes, *, write: bool = False) -> Reconcile | Retry:
    """The error for an answer that is no JSON: it broke on its way, and says nothing of what was asked."""
    text = f"{what} came as {len(body)} bytes that are no JSON"
    if write:
        return Reconcile("GARBLED", text, "ask by client order id")
    return Retry("GARBLED", text, "ask again")


def number(value: Decimal) -> str:
    """Plain digits, no exponent, no trailing zeros."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def check_grid(what: str, value: Decimal, step: Decimal, instrument: VenueInstrument) -> None:
    """Raises Usage OFF_GRID."""
    if value <= 0 or (step and value % step != 0):
        raise Usage(
            "OFF_GRID",
            f"{what} {number(value)} is no multiple of {number(step)}",
            f"{instrument.symbol} trades in such steps",
        )


def check_order(order: VenueOrder, instrument: VenueInstrument) -> None:
    """Raises Usage OFF_GRID, BELOW_MIN_QTY, MISSING_PRICE or BELOW_MIN_NOTIONAL for an order that the venue's filters would refuse."""
    check_grid("quantity", order.order_qty, instrument.lot, instrument)
    if order.order_qty < instrument.min_qty:
        raise Usage(
            "BELOW_MIN_QTY",
            f"{number(order.order_qty)} {instrument.base} is below {number(instrument.min_qty)}",
        )
    if order.ord_type is not OrdType.LIMIT:
        return
    if order.px is None:
        raise Usage("MISSING_PRICE", "a limit order needs a price", "give --limit")
    check_grid("price", order.px, instrument.tick, instrument)
    if order.px * order.order_qty < instrument.min_notional:
        raise Usage(
            "BELOW_MIN_NOTIONAL",
            f"the order is worth less than {number(instrument.min_notional)} {instrument.quote}",
        )
