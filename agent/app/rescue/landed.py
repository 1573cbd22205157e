"""Payments that are final, and orders that were filled, of which nobody was told: whoever signed them died before that. Each is told once, by
the journal, and by the chain where it was a payment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent.algos.step import REDUCE_ONLY
from agent.app.cli.output import plain
from agent.domain.errors import FairleadError
from agent.domain.events import Alarmed
from agent.domain.instruments import label_of
from agent.domain.orders import Side
from agent.domain.submission_state import SubmissionState
from agent.domain.units import qty_exact
from agent.execution.locks import RESCUE

if TYPE_CHECKING:
    from agent.app.rescue.sight import Sight
    from agent.execution.desk import Desk
    from agent.journal.book import Book
    from agent.journal.records import ParentRecord, PartRecord
    from chains.types import Receipt

RESCUED = "RESCUED"
MARK = RESCUE
"""How the sentence of every rescue's payment begins in the journal."""
DAY_NS = 86_400 * 10**9


def health_words(factor_1e18: int | None) -> str:
    return "none: no debt" if factor_1e18 is None else plain(qty_exact(factor_1e18, 18))


def opening(record: PartRecord, account: str) -> str:
    """How the alert of a payment begins: what it was, and its id, by which it is known to have been told."""
    return f"{account}: {record.what.removeprefix(MARK)} ({record.part.cl_ord_id})"


def untold(book: Book, account: str, now_ns: int) -> list[PartRecord]:
    """The account's payments of the last 24 hours that are final, and of which no alert tells."""
    told = [a.message for a in book.alarms if a.code == RESCUED and a.message.startswith(f"{account}: ")]
    found = []
    for record in book.parts.values():
        if not record.what.startswith(MARK) or f" {account}: " not in record.what or not record.ended:
            continue
        signed = record.authorized
        if record.submission is not SubmissionState.FINAL or signed is None or now_ns - signed.at_ns > DAY_NS:
            continue
        # Before alerts named the payment they said no more than what it was.
        plainly = f"{account}: {record.what.removeprefix(MARK)} in block "
        if not any(text.startswith((opening(record, account), plainly)) for text in told):
            found.append(record)
    return found


async def tell(desk: Desk, sight: Sight) -> None:
    """Each of them, with the health that its own block left where a node still tells that. What no endpoint answers waits for the next look:
    nothing that is to be paid now waits for it. Raises Halt."""
    for record in untold(desk.book, sight.name, desk.clock.now_ns()):
        try:
            receipts = [await sight.desk.gateway.receipt(form.tx_hash) for form in record.signed]
            mined = next((r for r in receipts if r is not None), None)
        except FairleadError as error:
            if error.verb == "HALT":
                raise
            continue
        if mined is not None:
            text = f"{opening(record, sight.name)} in block {mined.block_number}{await _left(sight, mined)}; told after a restart"
            await desk.journal.record(Alarmed(RESCUED, text, desk.clock.now_ns()))


def filled_untold(book: Book, source: str, now_ns: int) -> list[ParentRecord]:
    """The orders of a source that made a position smaller, begun within the last 24 hours, that are over and that no alert names."""
    found = []
    for name, record in book.parents.items():
        intent = record.parent.intent
        if intent.source != source or REDUCE_ONLY not in intent.algo_params or record.closed is None:
            continue
        if now_ns - record.accepted_ns > DAY_NS:
            continue
        if book.filled_base(name) and not any(name in alarm.message for alarm in book.alarms):
            found.append(record)
    return found


async def tell_filled(desk: Desk, venue: str, source: str) -> None:
    """Each of them, by what was filled of it at that exchange. Raises Halt."""
    for record in filled_untold(desk.book, source, desk.clock.now_ns()):
        parent, filled = record.parent, desk.book.filled_base(record.parent.cl_ord_id)
        verb = "bought back" if parent.side is Side.BUY else "sold"
        whole = "" if filled >= parent.qty else f" of {plain(parent.qty)}"
        told = f"{venue}: {verb} {plain(filled)}{whole} {label_of(parent.intent.base)}, reduce-only, by the order {parent.cl_ord_id}"
        await desk.journal.record(Alarmed(RESCUED, f"{told}; told late", desk.clock.now_ns()))


async def _left(sight: Sight, mined: Receipt) -> str:
    try:
        block = await sight.desk.gateway.block(mined.block_number)
        health = await sight.lender.health_at(sight.desk.gateway, sight.desk.wallet, block)
    except FairleadError as error:
        if error.verb == "HALT":
            raise
        return ""
    return f"; health factor {health_words(health)}"
