"""The trades of one order. Of the last 24 hours they are listed at once; older ones in a list apart, which lacks the recent ones.

Source: the venue's published article on historical trades and orders (`historical`). An order that rests may be filled over many days.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from agent.domain.errors import Denied
from agent.domain.reports import Fill, FillsNotTold, OrderSnapshot
from agent.venues import need_all_fills, understood

if TYPE_CHECKING:
    from agent.venues.deribit.session import Deribit


async def of_order(venue: Deribit, order: OrderSnapshot) -> tuple[Fill, ...]:
    """All that make up what the order says is done, oldest first. Raises FillsNotTold where both lists tell less."""
    recent = await _listed(venue, order, {})
    try:
        need_all_fills(venue.name, order, recent)
    except FillsNotTold as late:
        try:
            old = await _listed(venue, order, {"historical": "true"})
        except Denied:  # a signer of an earlier version
            raise late from None
        both = {fill.exec_id: fill for fill in (*old, *recent)}
        recent = tuple(sorted(both.values(), key=lambda fill: fill.at_ns))
        need_all_fills(venue.name, order, recent)
    return recent


async def _listed(venue: Deribit, order: OrderSnapshot, which: Mapping[str, str]) -> tuple[Fill, ...]:
    rows = await venue.private("get_user_trades_by_order", {"order_id": order.venue_order_id, **which})
    with understood("get_user_trades_by_order"):
        listed = rows["trades"] if isinstance(rows, dict) else rows
        return tuple(venue.reader.fill(row)[2] for row in listed)
