"""Orders that stand or fall together: an exit pair of which one cancels the other, with or without the order that opens it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from agent.domain.ids import ClOrdId, IntentId, child_id, intent_id, parent_id, part_id
from agent.domain.order_state import TERMINAL, OrdStatus
from agent.domain.orders import Exits, Side, VenueOrder
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


LEGS, LONE = ("-a", "-b"), "-c"
"""What the ids of a pair's two orders end in, after the pair's own: above, below; and that of an exit that stands alone."""
_OURS = re.compile(r"(fl-[a-z2-7]{20})-[abc]")


AFTER = "after"
"""Among the parameters of the exits of a list: the order whose entry they wait for."""


@dataclass(frozen=True, slots=True)
class ListedIds:
    """The exits of a list as orders of their own: derived from the entry's id, so that no restart makes two of them."""

    intent: IntentId
    parent: ClOrdId
    child: ClOrdId
    part: ClOrdId


def listed_ids(entry: ClOrdId, place: str) -> ListedIds:
    """`entry`: the id under which it leaves."""
    intent = intent_id("", "", "exits in the list of", entry)
    parent = parent_id(intent)
    child = child_id(parent, 0)
    return ListedIds(intent, parent, child, part_id(child, place, 1))


def leg_ids(pair: ClOrdId) -> tuple[ClOrdId, ClOrdId]:
    """The client ids of a pair's orders: derived, so that after a crash they are asked for by the same names."""
    above, below = (ClOrdId(f"{pair}{end}") for end in LEGS)
    return above, below


def exit_ids(pair: ClOrdId, exits: Exits) -> tuple[ClOrdId, ...]:
    """Those of its orders: two of them, or the one that stands alone."""
    both = exits.stop_px is not None and exits.profit_px is not None
    return leg_ids(pair) if both else (ClOrdId(f"{pair}{LONE}"),)


def pair_of(leg: ClOrdId) -> ClOrdId | None:
    """The pair that one of our orders belongs to; None for an order of its own."""
    found = _OURS.fullmatch(leg)
    return ClOrdId(found[1]) if found is not None else None


def list_of(order: VenueOrder) -> OrderList:
    """A pair of exits as the list of its two orders, or an entry with the exits behind it; the list has the exits' id."""
    if order.then is not None:
        then = order.then
        return _list(then.cl_ord_id, order.symbol, order.side.other, then.order_qty, then.exits, order)
    assert order.exits is not None
    return _list(order.cl_ord_id, order.symbol, order.side, order.order_qty, order.exits, None)


def _list(
    name: ClOrdId, symbol: str, side: Side, qty: Decimal, exits: Exits, entry: VenueOrder | None
) -> OrderList:
    """A sale takes its profit above and is stopped below, a purchase the other way round."""
    ids = exit_ids(name, exits)
    up, down, selling = ids[0], ids[-1], side is Side.SELL
    profit = Exit(up if selling else down, exits.profit_px) if exits.profit_px is not None else None
    stop = (
        Exit(down if selling else up, exits.stop_limit_px, exits.stop_px)
        if exits.stop_px is not None
        else None
    )
    above, below = (profit, stop) if selling else (stop, profit)
    return OrderList(name, symbol, side, qty, above, below, entry)


def as_one(pair: ClOrdId, legs: Sequence[OrderSnapshot]) -> OrderSnapshot:
    """What a venue says of a pair's orders as of one: open while either is, filled by what both filled."""
    cum = sum((one.cum_qty for one in legs), Decimal(0))
    first = legs[0]
    if any(one.status not in TERMINAL for one in legs):
        status = OrdStatus.PARTIALLY_FILLED if cum else OrdStatus.NEW
    elif cum >= first.order_qty:
        status = OrdStatus.FILLED
    else:
        cancelled = any(one.status is OrdStatus.CANCELED for one in legs)
        status = OrdStatus.CANCELED if cancelled else legs[-1].status
    return OrderSnapshot(
        cl_ord_id=pair,
        venue_order_id=first.venue_order_id,
        symbol=first.symbol,
        side=first.side,
        status=status,
        order_qty=first.order_qty,
        px=first.px,
        cum_qty=cum,
        fills=tuple(fill for one in legs for fill in one.fills),
        at_ns=max(one.at_ns for one in legs),
    )


def unprotected(qty: Decimal, exits: Sequence[OrderSnapshot]) -> Decimal:
    """How much of a position of `qty` base units no exit covers: less what exits filled, less what an open one may still fill.

    Of a pair only one trades: of those open the larger rest counts, not their sum. Below zero: more is covered than is held.
    """
    filled = sum((one.cum_qty for one in exits), Decimal(0))
    leaves = [one.order_qty - one.cum_qty for one in exits if one.status not in TERMINAL]
    return qty - filled - max(leaves, default=Decimal(0))
