"""The whole state of a book as plain text in a fixed order: what replays are compared by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agent.journal.book import Book


def canonical(book: Book) -> dict[str, Any]:
    """Equal books give equal text."""
    return {
        "events": book.events,
        "halted": book.halted is not None,
        "parents": {
            name: {
                "children": list(record.children),
                "closed": record.closed.status if record.closed else None,
                "filled_base": str(book.filled_base(name)),
                "filled_quote": str(book.filled_quote(name)),
                "cancel": record.cancel_requested,
            }
            for name, record in sorted(book.parents.items())
        },
        "parts": {
            name: {
                "place": record.part.place,
                "status": record.status.value if record.status else None,
                "submission": record.submission.value if record.submission else None,
                "fills": {
                    exec_id: [str(fill.qty_in), str(fill.qty_out), str(fill.fee_qty)]
                    for exec_id, fill in sorted(record.fills.items())
                },
                "busted": sorted(record.busted),
                "gas_wei": str(record.gas_wei),
                "settled": record.settled,
                "failed": record.failed,
                "indeterminate": record.indeterminate,
                "nonce": record.authorized.nonce if record.authorized else None,
                **({"replaced": len(record.earlier)} if record.earlier else {}),
                **({"cancels": [c.tx_hash for c in record.cancels]} if record.cancels else {}),
            }
            for name, record in sorted(book.parts.items())
        },
        "positions": {
            symbol: [str(p.qty), str(p.cost), str(p.realised)] for symbol, p in sorted(book.positions.items())
        },
        "holdings": {asset: str(qty) for asset, qty in sorted(book.holdings.items())},
        "gas_wei": {place: str(wei) for place, wei in sorted(book.gas_wei.items())},
        **(
            {"crossings": {name: [c.stage, str(c.paid_raw)] for name, c in sorted(book.crossings.items())}}
            if book.crossings
            else {}
        ),
        "alarms": len(book.alarms),
        "scheduled": {job: [found.rule, str(found.fire_ns)] for job, found in sorted(book.scheduled.items())},
        "fired": {job: [f.key for f in found] for job, found in sorted(book.fired.items())},
    }
