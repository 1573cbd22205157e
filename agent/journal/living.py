"""What is not over yet, kept beside the book so that a question about it costs no more after a hundred thousand orders than after ten.

Everything here can be told from the book's records alone; ends are noticed when asked for. Nothing of it is part of the state.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal, localcontext

from agent.domain.ids import ClOrdId
from agent.domain.instruments import Place
from agent.domain.submission_state import UNDECIDED
from agent.domain.units import WIDE, ZERO
from agent.journal.records import ChildRecord, PartRecord

DAY_NS = 86_400 * 10**9


class Living:
    """Of one book's children and parts: `child`, `part` and `sign` say that one may be open, or is another than it was."""

    def __init__(self, children: Mapping[ClOrdId, ChildRecord], parts: Mapping[ClOrdId, PartRecord]) -> None:
        self._children, self._all_parts = children, parts
        self._open: dict[ClOrdId, PartRecord] = {}
        self._living: dict[ClOrdId, ChildRecord] = {}
        self._uncounted: dict[ClOrdId, ChildRecord] = {}
        self._counted: dict[ClOrdId, Decimal] = {}
        self._signed: dict[ClOrdId, PartRecord] = {}
        self._day, self._total = -1, Decimal(0)
        self.adopted_ns: dict[Place, int] = {}
        """When a place's balances were last taken into the book as they were."""

    def part(self, record: PartRecord) -> None:
        self._open[record.part.cl_ord_id] = record
        if record.part.child in self._children:
            self.child(record.part.child)

    def child(self, name: ClOrdId) -> None:
        self._living[name] = self._uncounted[name] = self._children[name]

    def sign(self, record: PartRecord) -> None:
        """Something was signed for it, or a block told something of that."""
        self._signed[record.part.cl_ord_id] = record

    def signed(self) -> list[PartRecord]:
        """Every part whose signature may take effect yet, or whose outcome is not final: what can hold a nonce."""
        over = [n for n, r in self._signed.items() if r.settled and r.submission not in UNDECIDED]
        for name in over:
            del self._signed[name]
        return list(self._signed.values())

    def parts(self) -> list[PartRecord]:
        for name in [name for name, record in self._open.items() if record.ended]:
            del self._open[name]
        return list(self._open.values())

    def children(self) -> list[ChildRecord]:
        for name in [name for name, record in self._living.items() if self.ended(record)]:
            del self._living[name]
        return list(self._living.values())

    def ended(self, record: ChildRecord) -> bool:
        if record.breach is not None:
            return True
        for name in record.parts:
            part = self._all_parts[name]
            if not (part.settled or part.failed):  # that is `ended`, asked for all the time
                return False
        return bool(record.parts)

    def day_notional_usd(self, now_ns: int) -> Decimal:
        """Notional approved this UTC day; a child that ended counts only for what it filled."""
        today = now_ns // DAY_NS
        if today != self._day:
            self._day, self._total, self._uncounted = today, Decimal(0), dict(self._children)
            self._counted.clear()
        with localcontext(WIDE):
            self._count()
            return self._total + self._notional(self._uncounted.values())

    def _count(self) -> None:
        """Takes what ended into the total; what was there before and was filled since is counted anew."""
        for name, record in list(self._uncounted.items()):
            self._total -= self._counted.pop(name, ZERO)
            if self.ended(record):
                self._counted[name] = self._notional((record,))
                self._total += self._counted[name]
                del self._uncounted[name]

    def _notional(self, records: Iterable[ChildRecord]) -> Decimal:
        total = ZERO
        for record in records:
            approved = record.approved
            if approved is None or approved.at_ns // DAY_NS != self._day:
                continue
            share = Decimal(1)
            if self.ended(record):
                done = sum((self._all_parts[name].base_qty() for name in record.parts), ZERO)
                share = min(done / record.child.qty, Decimal(1)) if record.child.qty else ZERO
            total += approved.reservation.notional_usd * share
        return total
