"""Orders that stand or fall together: an exit pair of which one cancels the other, with or without the order that opens it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from agent.domain.ids import ClOrdId
from agent.domain.order_state import TERMINAL
from agent.domain.orders import Side, VenueOrder
from agent.domain.reports import OrderSnapshot


@dataclass(frozen=True, slots=True)
class Exit:
    """One of the pair. `stop_px`: the price that lets it go, None for an order that stands in the book; `px`: its limit, None for
    any price."""

    cl_ord_id: ClOrdId
    px: Decimal | None
    stop_px: Decimal | None = None


@dataclass(frozen=True, slots=True)
class OrderList:
    """`entry` None: an OCO pair for what is held. With it and both exits a bracket (OTOCO), with it and one an OTO. `qty` of the exits,
    base units; `side` theirs. `above` and `below`: by the price that lets them trade."""

    cl_list_id: ClOrdId
    symbol: str
    side: Side
    qty: Decimal
    above: Exit | None
    below: Exit | None
    entry: VenueOrder | None = None

    @property
    def cl_ord_ids(self) -> tuple[ClOrdId, ...]:
        entry = (self.entry.cl_ord_id,) if self.entry is not None else ()
        return (*entry, *(e.cl_ord_id for e in (self.above, self.below) if e is not None))


@dataclass(frozen=True, slots=True)
class ListSnapshot:
    """What a venue says of a list: its orders by our ids, and whether anything of it can still happen."""

    cl_list_id: ClOrdId
    venue_list_id: str
    symbol: str
    cl_ord_ids: tuple[ClOrdId, ...]
    done: bool


def unprotected(qty: Decimal, exits: Sequence[OrderSnapshot]) -> Decimal:
    """How much of a position of `qty` base units no exit covers: less what exits filled, less what an open one may still fill.

    Of a pair only one trades: of those open the larger rest counts, not their sum. Below zero: more is covered than is held.
    """
    filled = sum((one.cum_qty for one in exits), Decimal(0))
    leaves = [one.order_qty - one.cum_qty for one in exits if one.status not in TERMINAL]
    return qty - filled - max(leaves, default=Decimal(0))
