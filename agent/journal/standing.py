"""How every place and pool has done so far, read off the book: what settled there, what it was worth, and what is open.

Nothing of it is stored: it is what the events say, so a restart knows the same, and a fill that is taken back is gone here too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal, localcontext

from agent.domain.instruments import AssetId
from agent.domain.risk import Ramp, Standing
from agent.domain.units import WIDE
from agent.journal.book import Book
from agent.journal.records import ChildRecord, PartRecord
from agent.risk.ramp import stage, touched, worth_usd


def standing(
    book: Book,
    ramp: Ramp,
    names: Iterable[str],
    decimals: Mapping[AssetId, int] | None,
    earlier: Book | None = None,
) -> dict[str, Standing]:
    """Of each of these places and pools, by id; without `decimals` nothing is told of what is open. What settled in `earlier`, another
    record, counts as well, and what is open there does not.

    The oldest orders are looked at first, and none any more once nothing asked for is new.
    """
    found = {name: Standing() for name in names if name not in ramp.known}
    new = set(found)
    if earlier is not None:
        found |= standing(earlier, ramp, found, None)
        new -= {name for name, seen in found.items() if stage(ramp, seen)[1] is None}
    for record in book.parts.values():
        if not new:
            break
        child = book.children.get(record.part.child)
        if child is None or child.approved is None:
            continue
        for name, share in touched(child.approved.planned, record.part).items():
            if name not in new:
                continue
            found[name] = _counted(found[name], record, child, share, decimals)
            if stage(ramp, found[name])[1] is None:
                new.discard(name)
    return found


def _counted(
    seen: Standing,
    record: PartRecord,
    child: ChildRecord,
    share: Decimal,
    decimals: Mapping[AssetId, int] | None,
) -> Standing:
    assert child.approved is not None
    approved = child.approved
    notional = approved.reservation.notional_usd
    with localcontext(WIDE):
        if record.settled and record.fills:
            worth = notional * record.base_qty() / approved.planned.child.qty * share
            return replace(seen, settled=seen.settled + 1, settled_usd=seen.settled_usd + worth)
        if record.ended or decimals is None:
            return seen
        worth = worth_usd(approved.planned, record.part, notional, decimals) * share
    return replace(seen, open_usd=seen.open_usd + worth)
