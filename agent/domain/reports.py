"""What comes back: execution reports, fills and snapshots. Idempotent by (place, exec_id)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from agent.domain.errors import Retry
from agent.domain.ids import ClOrdId
from agent.domain.instruments import AssetId, Place
from agent.domain.order_state import ExecType, OrdStatus
from agent.domain.orders import Side


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution. Amounts are exact decimals of whole units; `fee_qty` is of `fee_asset`, never negative.

    At an exchange `qty_out` is gross and the commission stands in `fee_qty`; on a chain `qty_out` is what arrived (the
    pool's fee is inside the price) and `fee_qty` is 0. Either way `qty_out` less a fee of the same asset is what came in.

    `exec_id` names the execution at its place for ever: a venue's trade id, or transaction hash and block hash on a
    chain (the same transaction mined again after a reorg is another execution).
    """

    exec_id: str
    place: Place
    asset_in: AssetId
    asset_out: AssetId
    qty_in: Decimal
    qty_out: Decimal
    fee_asset: AssetId
    fee_qty: Decimal
    at_ns: int


@dataclass(frozen=True, slots=True)
class ExecutionReport:
    """FIX 35=8. `fill` is present for TRADE; `exec_ref_id` names the execution that a TRADE_CANCEL takes back."""

    cl_ord_id: ClOrdId
    place: Place
    exec_type: ExecType
    at_ns: int
    venue_order_id: str = ""
    fill: Fill | None = None
    exec_ref_id: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class OrderSnapshot:
    """What a venue says of an order when asked: its own view, with all fills it knows."""

    cl_ord_id: ClOrdId
    venue_order_id: str
    symbol: str
    side: Side
    status: OrdStatus
    order_qty: Decimal
    px: Decimal | None
    cum_qty: Decimal
    fills: tuple[Fill, ...]
    at_ns: int


class FillsNotTold(Retry):
    """A venue lists fewer trades of an order than it says are done. `told` is its view, with those that it lists.

    Trades are often listed a moment after the order says so. Those that a venue lists no longer (older than it looks back, more than it
    keeps) were told before, or never were: whoever has a book of them counts both.
    """

    def __init__(self, venue: str, told: OrderSnapshot) -> None:
        sells = told.side is Side.SELL
        listed = sum((fill.qty_in if sells else fill.qty_out for fill in told.fills), Decimal(0))
        super().__init__(
            "FILLS_NOT_TOLD_YET",
            f"{venue} tells {listed.normalize():f} of {told.cum_qty.normalize():f} done",
            "ask again",
        )
        self.told = told


@dataclass(frozen=True, slots=True)
class Balance:
    asset: AssetId
    free: Decimal
    locked: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Position:
    """A contract that an account holds: a claim on gains and a duty of losses in `settle`, and no holding of a coin.

    `qty` is below zero where short, in units of the contract `asset`; `cost`, of the same sign, what it was entered for in units of
    `settle`, from where gains were last settled. `inverse`: `qty` is dollars, which a short has bought with `cost` of the coin. `entry_px`, and `mark_px` that the venue takes it to be worth (None: not told), are the contract's own prices. `leverage`
    None: not told; `isolated`: it has margin of its own.
    """

    symbol: str
    asset: AssetId
    qty: Decimal
    cost: Decimal
    entry_px: Decimal
    mark_px: Decimal | None
    settle: AssetId
    leverage: Decimal | None = None
    isolated: bool = False
    inverse: bool = False
