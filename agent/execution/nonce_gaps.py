"""A nonce below everything signed for an order that nobody of ours holds: a reorganisation gave it back, and whoever had used it (another
program, as a rule) may never use it again. Until somebody does, nothing signed above it can be mined.

It is not filled at the first head that shows it: what a reorganisation drops, most branches take up again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.domain.ids import ClOrdId
from agent.domain.submission_state import UNDECIDED
from agent.journal.book import Book
from agent.journal.records import PartRecord
from chains.types import BlockRef

PATIENCE_BLOCKS = 1


@dataclass
class NonceGaps:
    """By part, the gap seen last and the head that first showed it."""

    _seen: dict[ClOrdId, tuple[int, int]] = field(default_factory=dict)

    def to_fill(self, book: Book, record: PartRecord, used: int, head: BlockRef) -> bool:
        """Whether the order should be signed for nonce `used`, the sender's next on chain, now."""
        part = record.part.cl_ord_id
        if used >= min((form.nonce for form in record.signed), default=0) or _held(book, record, used):
            self._seen.pop(part, None)
            return False
        nonce, since = self._seen.get(part, (used, head.number))
        if nonce != used or head.number < since:
            since = head.number
        self._seen[part] = used, since
        return head.number - since >= PATIENCE_BLOCKS


def _held(book: Book, mine: PartRecord, nonce: int) -> bool:
    """Whether another order of ours is to use it, or a transaction that cancels one; or one below mine is to fill it first, since what
    the Safe executes in its own order would revert out of turn."""
    sender = mine.authorized
    lowest = min((form.nonce for form in mine.signed), default=0)
    for record in book.parts.values():
        signed = record.authorized
        if signed is None or sender is None or record is mine or record.submission not in UNDECIDED:
            continue
        if (signed.chain_id, signed.sender) != (sender.chain_id, sender.sender):
            continue
        theirs = [form.nonce for form in record.signed]
        if nonce in theirs or min(theirs) < lowest:
            return True
    return False


__all__ = ["NonceGaps"]
