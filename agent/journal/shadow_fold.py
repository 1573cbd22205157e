"""What the fold makes of a shadow's looks: the first decides, so that a schedule knows what would be left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.domain.events import ShadowSeen
from agent.domain.order_state import OrdStatus

if TYPE_CHECKING:
    from agent.journal.book import Book

NOT_FILLED = "NOT_FILLED"
"""The code of a shadow's part for which the market gave nothing at its price."""


def shadow_seen(book: Book, event: ShadowSeen) -> None:
    record = book.parts[event.cl_ord_id]
    if not event.decides or record.ended:
        return
    if event.fill is None:
        record.failed = NOT_FILLED
        return
    record.fills[event.fill.exec_id] = event.fill
    record.status, record.settled = OrdStatus.FILLED, True
    book.book_fill(record, event.fill)
