"""Exchanges, one module each. FEED: its market data in the common schema (`agent.market.feed`), a pure codec and facts. VENUE, where
orders are sent to it: facts first, a pure codec, a thin session that is an `agent.ports.ExecutionVenue`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Protocol, TypeVar, cast

from agent.domain.errors import Denied, FairleadError, Retry, Usage
from agent.domain.ids import ClOrdId
from agent.domain.order_state import TERMINAL
from agent.domain.orders import OrdType, Side, VenueOrder
from agent.domain.reports import Fill, FillsNotTold, OrderSnapshot
from agent.domain.units import WIDE
from agent.market.reading import garbled as garbled
from agent.market.reading import understood as understood
from agent.ports import Clock, ExecutionVenue, VenueInstrument

M = TypeVar("M")
S = TypeVar("S", bound=OrderSnapshot | None)
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


@dataclass(frozen=True, slots=True)
class Terms:
    """What an order in a contract may say besides: it only makes a position smaller; it is refused rather than take; it ends by itself then
    (ns, 0: it does not)."""

    reduce_only: bool = False
    post_only: bool = False
    good_till_ns: int = 0


PLAIN = Terms()


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


def need_markets(name: str, known: Mapping[str, object]) -> None:
    """Raises Retry MARKETS_NOT_LOADED."""
    if not known:
        raise Retry(
            "MARKETS_NOT_LOADED",
            f"the markets of {name} are not loaded",
            "start the venue and look at its error",
        )


def market_named(name: str, known: Mapping[str, M], symbol: str) -> M:
    """Raises Retry MARKETS_NOT_LOADED, Usage UNKNOWN_SYMBOL with what is near it."""
    need_markets(name, known)
    if symbol not in known:
        near = [s for s in known if s[:3] == symbol[:3]][:5]
        raise Usage("UNKNOWN_SYMBOL", f"{name} does not trade {symbol}", "near it: " + ", ".join(near))
    return known[symbol]


def need_all_fills(venue: str, order: OrderSnapshot, fills: Sequence[Fill]) -> None:
    """Raises FillsNotTold where the trades that a venue lists are less than what its order says is done: the one is often told
    later than the other, more than a page of them are listed in part, and an order that ended without a fill of its own would be done again."""
    sells = order.side is Side.SELL
    done = sum((fill.qty_in if sells else fill.qty_out for fill in fills), Decimal(0))
    if done < order.cum_qty:
        raise FillsNotTold(venue, replace(order, fills=tuple(fills)))


async def as_far_as_told(asking: Awaitable[OrderSnapshot | None]) -> tuple[OrderSnapshot | None, bool]:
    """What a venue says of one order of several that are told of as of one, and whether it lists all its trades. Raises as the question."""
    try:
        return await asking, True
    except FillsNotTold as late:
        return late.told, False


async def to_cancel(asking: Awaitable[S]) -> S:
    """An order that is to be cancelled: trades of it that are not listed are no reason to leave it where it is. Raises as the question, so
    FillsNotTold where it has ended: its end is not told before its trades."""
    try:
        return await asking
    except FillsNotTold as late:
        if late.told.status in TERMINAL:
            raise
        return cast(S, late.told)


@contextmanager
def others_left_alone() -> Iterator[None]:
    """The signer signs no question about an instrument that its settings do not list: whatever moves there is none of ours, and what is
    told of the rest goes on."""
    try:
        yield
    except Denied as refused:
        if refused.code != "EXCHANGE_SYMBOL":
            raise


def number(value: Decimal) -> str:
    """Plain digits, no exponent, no trailing zeros."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def stamp(at_ms: int) -> str:
    """RFC 3339 with milliseconds, UTC."""
    at = datetime.fromtimestamp(at_ms // 1_000, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at_ms % 1_000:03d}Z"


def check_grid(what: str, value: Decimal, step: Decimal, instrument: VenueInstrument) -> None:
    """Raises Usage OFF_GRID."""
    if value <= 0 or (step and WIDE.remainder(value, step) != 0):
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
