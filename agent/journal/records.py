"""What the book keeps of a parent order, its slices, their parts, and of a position. Filled by the fold alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal, localcontext

from agent.domain import events as ev
from agent.domain.ids import ClOrdId
from agent.domain.instruments import AssetId
from agent.domain.order_state import OrdStatus
from agent.domain.orders import ChildOrder, OrderLeg, ParentOrder, Part
from agent.domain.reports import Fill
from agent.domain.submission_state import SubmissionState
from agent.domain.units import WIDE, sum_exact

Effect = tuple[Decimal, Decimal, Decimal, Decimal, Decimal]
"""What a fill changed: the base's quantity, cost and realised P&L, the quote's quantity and cost."""


@dataclass(slots=True)
class PartRecord:
    """`status` is None until something was signed; `ended` means that nothing more can come but a surprise.

    `authorized` is what was signed last for its nonce, `earlier` what that replaced: any of them may be the one that is mined.
    `included_in` is the block that was last seen to hold the transaction, `winner` what decided the order there; `effects` is what
    each fill did to the positions. `side_gas` is the part of `gas_wei` that other transactions of ours cost, by their hash.
    """

    part: Part
    base_is_in: bool
    order_qty: Decimal | None = None
    authorized: ev.Authorized | None = None
    earlier: tuple[ev.Authorized, ...] = ()
    submitted: bool = False
    indeterminate: bool = False
    cancel_requested: bool = False
    status: OrdStatus | None = None
    submission: SubmissionState | None = None
    fills: dict[str, Fill] = field(default_factory=dict)
    busted: set[str] = field(default_factory=set)
    effects: dict[str, Effect] = field(default_factory=dict)
    included_in: str = ""
    winner: str = ""
    gas_wei: int = 0
    cancels: tuple[ev.CancelSigned, ...] = ()
    side_gas: dict[str, int] = field(default_factory=dict)
    settled: bool = False
    failed: str = ""
    refused: ev.Refused | None = None
    what: str = ""
    is_offer: bool = False

    @property
    def signed(self) -> tuple[ev.Authorized, ...]:
        """Everything signed for its nonce, the latest first."""
        return () if self.authorized is None else (self.authorized, *reversed(self.earlier))

    @property
    def own_gas_wei(self) -> int:
        """What the transaction that decided the order cost us."""
        return self.gas_wei - sum(self.side_gas.values())

    @property
    def on_chain(self) -> bool:
        """A transaction of ours: an offer, which others settle in parts, lives like an order at an exchange."""
        return self.part.place.startswith("eip155:") and not self.is_offer

    @property
    def ended(self) -> bool:
        return self.settled or bool(self.failed)

    @property
    def legs(self) -> tuple[OrderLeg, ...]:
        """Of an order in a combo; none of any other."""
        order = self.authorized.order if self.authorized is not None else None
        return order.legs if order is not None else ()

    def leg_of(self, fill: Fill) -> OrderLeg | None:
        return next((leg for leg in self.legs if leg.asset in (fill.asset_in, fill.asset_out)), None)

    def sells(self, fill: Fill) -> bool:
        """Whether a fill gave the base, or the leg that it is of."""
        leg = self.leg_of(fill)
        return self.base_is_in if leg is None else fill.asset_in == leg.asset

    def _combo_qty(self) -> Decimal:
        """Whole units of the combo, all of whose legs were filled."""
        done = dict.fromkeys(self.legs, Decimal(0))
        for fill in self.fills.values():
            if (leg := self.leg_of(fill)) is not None:
                done[leg] = WIDE.add(done[leg], fill.qty_in if self.sells(fill) else fill.qty_out)
        return min(WIDE.divide(qty, Decimal(abs(leg.ratio))) for leg, qty in done.items())

    def _combo_paid(self) -> Decimal:
        """What all legs' trades took of what settles them, less what they brought; below zero where the combo paid us."""
        paid = sum_exact(f.qty_in for f in self.fills.values() if not self.sells(f))
        return WIDE.subtract(paid, sum_exact(f.qty_out for f in self.fills.values() if self.sells(f)))

    def base_qty(self) -> Decimal:
        """The base quantity filled so far (FIX CumQty): given where the base is sold, bought before an exchange's fee; of a combo its units."""
        if self.legs:
            return self._combo_qty()
        return self.sold_qty() if self.base_is_in else self.bought_qty()

    def sold_qty(self) -> Decimal:
        """What was given so far, of the asset that goes."""
        return sum_exact([f.qty_in for f in self.fills.values()])

    def bought_qty(self) -> Decimal:
        """What came so far, of the asset that comes."""
        return sum_exact([f.qty_out for f in self.fills.values()])

    def base_kept(self) -> Decimal:
        """`base_qty` less a fee that was taken of the bought base itself: what a purchase really brought."""
        if self.legs:
            return self._combo_qty()
        if self.base_is_in:
            return self.sold_qty()
        return self.brought()

    def brought(self) -> Decimal:
        """What came so far of the asset that comes, less fees taken of it."""
        fees = sum_exact(f.fee_qty for f in self.fills.values() if f.fee_asset == f.asset_out)
        return WIDE.subtract(self.bought_qty(), fees)

    def quote_qty(self) -> Decimal:
        """What was paid for the base, or came for it; of a combo below zero where it was the other way round."""
        if self.legs:
            return WIDE.minus(self._combo_paid()) if self.base_is_in else self._combo_paid()
        return self.bought_qty() if self.base_is_in else self.sold_qty()


@dataclass(slots=True)
class ChildRecord:
    child: ChildOrder
    planned: ev.Planned | None = None
    approved: ev.Approved | None = None
    breach: ev.Breach | None = None
    parts: list[ClOrdId] = field(default_factory=list)
    sliced_ns: int = 0


@dataclass(slots=True)
class ParentRecord:
    parent: ParentOrder
    accepted_ns: int
    children: list[ClOrdId] = field(default_factory=list)
    cancel_requested: bool = False
    closed: ev.ParentClosed | None = None
    attributed: ev.Attributed | None = None


@dataclass(slots=True)
class Position:
    """A symbol's holding over all places by average cost; P&L in the quote it was traded against. What is sold without being held (a
    contract, a combo's leg) is owed: its quantity is below zero, and its cost is what it brought, below zero as well."""

    qty: Decimal = Decimal(0)
    cost: Decimal = Decimal(0)
    realised: Decimal = Decimal(0)

    @property
    def avg_px(self) -> Decimal | None:
        with localcontext(WIDE):
            return self.cost / self.qty if self.qty > 0 or (self.qty < 0 and self.cost < 0) else None

    def effect_of(self, sells: bool, qty: Decimal, quote_qty: Decimal) -> Effect:
        """What it does that so much was sold for `quote_qty`, or bought for it: what is held, or owed, is closed at its average cost first,
        and the rest opens at its own price."""
        with localcontext(WIDE):
            held = self.qty > 0 or (self.qty < 0 and self.cost < 0)  # as `avg_px`
            avg, quote = self.cost / self.qty if held else None, quote_qty if sells else -quote_qty
            against = self.qty if sells else -self.qty  # how much of it there is to close
            closing = min(qty, against) if avg is not None and against > 0 else Decimal(0)
            closed_for = quote * closing / qty if closing < qty else quote
            at_avg = (avg or Decimal(0)) * (closing if sells else -closing)
            released = self.cost if closing and closing == against else at_avg  # all of it, to the last digit
            return -qty if sells else qty, closed_for - quote - released, closed_for - released, quote, quote


def fill_changes(fill: Fill) -> tuple[tuple[AssetId, Decimal], ...]:
    """What a fill does to holdings: given, received, and the fee where an exchange takes it apart."""
    return ((fill.asset_in, -fill.qty_in), (fill.asset_out, fill.qty_out), (fill.fee_asset, -fill.fee_qty))
