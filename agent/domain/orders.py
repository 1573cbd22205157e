"""What an owner wants, and the orders it becomes: Intent, ParentOrder, ChildOrder, and the part each place executes."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from agent.domain.ids import ClOrdId, IntentId
from agent.domain.instruments import AssetId, Place
from chains.types import CowOrder, Protection


class Side(Enum):
    """FIX Side (54). A sale fixes what is given, a purchase what is received."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def other(self) -> Side:
        return Side.SELL if self is Side.BUY else Side.BUY


class OrdType(Enum):
    """FIX OrdType (40)."""

    MARKET = "MARKET"
    LIMIT = "LIMIT"


class TimeInForce(Enum):
    """FIX TimeInForce (59)."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


@dataclass(frozen=True, slots=True)
class Intent:
    """A wish, whoever had it: a person, a schedule, a hedge. Every source emits this and nothing else."""

    id: IntentId
    source: str
    side: Side
    base: str
    quote: str
    qty: Decimal
    limit_px: Decimal | None
    algo: str
    algo_params: tuple[tuple[str, str], ...]
    max_slippage_bps: int
    protection: Protection
    created_ns: int
    expire_ns: int


@dataclass(frozen=True, slots=True)
class ParentOrder:
    """An accepted intent. `qty` is of the base asset (what is sold, or what is bought); prices are quote per base.

    `base` and `quote` are symbols of the settings' equivalence groups: the same asset wherever it is held.
    """

    cl_ord_id: ClOrdId
    intent: Intent

    @property
    def side(self) -> Side:
        return self.intent.side

    @property
    def qty(self) -> Decimal:
        return self.intent.qty


@dataclass(frozen=True, slots=True)
class Exits:
    """A stop and a take-profit that an exchange is to hold as one, of which one cancels the other. Prices of orders there, quote per base:
    once `stop_px` was traded an order limited at `stop_limit_px` goes; the other stands in the book at `profit_px`. In a list behind an
    entry one of them may be missing: the stop's two prices, or the take-profit's."""

    stop_px: Decimal | None
    stop_limit_px: Decimal | None
    profit_px: Decimal | None

    def worst_px(self, side: Side) -> Decimal:
        """The least a sale brings, the most a purchase costs, of those that may trade."""
        limits = [px for px in (self.stop_limit_px, self.profit_px) if px is not None]
        return min(limits) if side is Side.SELL else max(limits)


@dataclass(frozen=True, slots=True)
class ChildOrder:
    """One slice of a parent: what an algo decided to do now, before any place was chosen. `reduce_only`: it closes what is open of a
    contract, and never opens any. `rests`: it is to stand in one exchange's book at its limit; `then`: exits of what it brings, which that
    exchange is to hold in the same list. `after`: such exits, by the entry they wait for. `closes`: it is an exit of what is held.
    `lasts_s`: so long a wallet's batch of it may wait for its block, where that is less than usual."""

    cl_ord_id: ClOrdId
    parent: ClOrdId
    slice_no: int
    side: Side
    base: str
    quote: str
    qty: Decimal
    limit_px: Decimal | None
    max_slippage_bps: int
    protection: Protection
    expire_ns: int
    exits: Exits | None = None
    reduce_only: bool = False
    rests: bool = False
    then: Exits | None = None
    after: ClOrdId | None = None
    closes: bool = False
    lasts_s: int | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """What one place is to execute of a planned child: one transaction of one wallet, or one order at one exchange.

    `legs` index into the plan's route. `in_raw` is spent of `asset_in`, `out_raw` expected of `asset_out`,
    `floor_raw` the least that is accepted. Where others settle a purchase, `in_raw` is the most that may be spent, and exactly
    `out_raw` comes.
    """

    cl_ord_id: ClOrdId
    child: ClOrdId
    place: Place
    attempt: int
    asset_in: AssetId
    asset_out: AssetId
    in_raw: int
    out_raw: int
    floor_raw: int
    legs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class OrderLeg:
    """A contract that one unit of a combo trades `ratio` of, below zero where a purchase of the combo sells it. `symbol` names its position."""

    asset: AssetId
    symbol: str
    ratio: int


@dataclass(frozen=True, slots=True)
class Attached:
    """The exits that stand behind an entry in one list: an order of their own, for the other side, that works once the entry is filled.
    `in_raw` is the most they give, `out_raw` the least they bring, in base units."""

    cl_ord_id: ClOrdId
    order_qty: Decimal
    exits: Exits
    in_raw: int
    out_raw: int


@dataclass(frozen=True, slots=True)
class VenueOrder:
    """An order as an exchange takes it: FIX names, exact decimals on the instrument's tick and lot. With `exits` it is the pair of them,
    under one id, and `px` the take-profit's. `reduce_only`: the exchange itself lets it make a position smaller and nothing else. `legs`: of a
    combo, whose `px` may be zero or less and whose fills are those of its legs. With `then` it is the entry of a list, which goes as one
    request: both are there, or neither."""

    cl_ord_id: ClOrdId
    symbol: str
    side: Side
    ord_type: OrdType
    time_in_force: TimeInForce
    order_qty: Decimal
    px: Decimal | None
    exits: Exits | None = None
    reduce_only: bool = False
    legs: tuple[OrderLeg, ...] = ()
    then: Attached | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """A signed order that others settle: Protection INTENT. `scheme` is how the Safe says yes: "eip1271" (its owners' signatures) or
    "presign" (on chain); `order_qty` what the order fixes, in whole units: what is sold, or what a purchase brings. `since_block` was the head when it was made.
    """

    order: CowOrder
    scheme: str
    order_qty: Decimal
    since_block: int
    quote_id: int | None
