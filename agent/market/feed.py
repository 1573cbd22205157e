"""What any exchange's market data says, whoever says it: one schema, exact decimals, instants in ns of the venue's clock. Pure.

A codec (`agent/venues/NAME/feed.py`) turns one frame into these and nothing else. Prices are quote units for one whole base unit
(for an inverse contract: as the venue quotes it), quantities in the venue's own unit of the instrument; `Instrument` says what
that is worth. At 0 an instant is not told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from agent.domain.orders import Side

Row = tuple[Decimal, Decimal]
"""(price, quantity); in a delta the quantity is the new one, zero takes the level away."""
Rows = tuple[Row, ...]


class Kind(Enum):
    SPOT = "SPOT"
    PERPETUAL = "PERPETUAL"
    FUTURE = "FUTURE"
    OPTION = "OPTION"
    COMBO = "COMBO"


@dataclass(frozen=True, slots=True)
class BookSnapshot:
    """A whole book. `seq` is the venue's id of this state, None where it counts none. `checksum` as the venue computes it."""

    symbol: str
    bids: Rows
    asks: Rows
    seq: int | None
    at_ns: int
    checksum: int | None = None


@dataclass(frozen=True, slots=True)
class BookDelta:
    """Changes from state `first - 1` to `last`; `prev` is the id of the delta before it, where the venue tells that instead."""

    symbol: str
    bids: Rows
    asks: Rows
    first: int | None
    last: int | None
    prev: int | None
    at_ns: int
    checksum: int | None = None


@dataclass(frozen=True, slots=True)
class Trade:
    """`side` is the taker's. `trade_id` is unique within the symbol; an aggregate of trades has an id of its own kind, told by `many`."""

    symbol: str
    trade_id: str
    side: Side
    px: Decimal
    qty: Decimal
    at_ns: int
    many: bool = False


@dataclass(frozen=True, slots=True)
class Ticker:
    """What the venue tells of the moment; None is what this frame does not tell. `seq` is the book's id at that touch."""

    symbol: str
    at_ns: int
    bid: Decimal | None = None
    bid_qty: Decimal | None = None
    ask: Decimal | None = None
    ask_qty: Decimal | None = None
    last: Decimal | None = None
    mark: Decimal | None = None
    index: Decimal | None = None
    seq: int | None = None


@dataclass(frozen=True, slots=True)
class Funding:
    """`rate` is a share of notional for one funding interval; positive: longs pay. `next_ns` is when it is next taken."""

    symbol: str
    rate: Decimal
    at_ns: int
    next_ns: int = 0


@dataclass(frozen=True, slots=True)
class Instrument:
    """What is traded and in which steps. `multiplier`: how many units of the underlying (of the quote, where `inverse`) one unit of quantity is.

    `lot` and `min_qty` are in the unit of quantity; `min_notional` in quote units, 0 where none is told; `expiry_ns` 0: never.
    """

    symbol: str
    kind: Kind
    base: str
    quote: str
    settle: str
    tick: Decimal
    lot: Decimal
    min_qty: Decimal
    min_notional: Decimal
    multiplier: Decimal
    inverse: bool = False
    expiry_ns: int = 0
    strike: Decimal | None = None
    call: bool | None = None


@dataclass(frozen=True, slots=True)
class Note:
    """A frame without market data: a sign of life, an acknowledgement, a candle. `refused` where the venue says no."""

    kind: str
    text: str = ""
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Count:
    """The place of a frame in its connection's own count, all channels together: the next frame has the next number."""

    number: int


Event = BookSnapshot | BookDelta | Trade | Ticker | Funding | Instrument | Note | Count
Decode = Callable[[str | bytes], tuple[Event, ...]]
"""One frame to what it says. Raises Retry BAD_FRAME and nothing else, whatever the bytes are."""
