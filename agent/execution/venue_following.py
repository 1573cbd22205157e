"""Follows an order at an exchange to its end, and counts every report once, wherever it comes from."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from dataclasses import replace

from agent.domain.errors import Denied, FairleadError, Halt, Reconcile, Reject, Retry
from agent.domain.events import Alarmed, Authorized, Indeterminate, Reported, Settled
from agent.domain.ids import ClOrdId
from agent.domain.instruments import Place, venue_of
from agent.domain.order_state import TERMINAL, ExecType, OrdStatus
from agent.domain.reports import ExecutionReport, Fill, FillsNotTold, OrderSnapshot
from agent.execution.recorder import Recorder
from agent.journal.records import PartRecord
from agent.ports import Clock, ExecutionVenue, KeepsLessOfNames

GRACE_NS = 10 * 10**9
FOREIGN_ORDER = "FOREIGN_ORDER"
LATE_NS = 60 * 10**9
"""After how long a person is told that an order has done more than its trades tell."""
AGAIN_S, LONGEST_S = 5.0, 300.0
"""Until reports that stopped are listened to again, twice as long each time."""


class VenueFollower:
    """What the tracker does at exchanges, and the reports that both of its halves make."""

    def __init__(
        self, clock: Clock, recorder: Recorder, venues: Mapping[str, ExecutionVenue], audit_s: float
    ) -> None:
        self._clock, self._recorder, self._venues, self._audit_s = clock, recorder, venues, audit_s
        self.answers: dict[ClOrdId, OrderSnapshot] = {}
        """Of the outbox: what was answered to an order when it was sent, where that is its whole story."""
        self.others_left_alone: frozenset[str] = frozenset()
        """Venues whose settings leave the orders of others to them: no alarm of those."""
        self._foreign_told: set[str] | None = None

    async def _follow_venue(self, authorized: Authorized) -> Settled:
        """The stream usually tells first; the audit makes sure that silence is never taken for rest."""
        assert authorized.order is not None
        venue = self._venues[venue_of(authorized.part.place) or ""]
        record = self._recorder.book.parts[authorized.part.cl_ord_id]
        asked_at = self._clock.now_ns()
        cancelled, answer = False, self.answers.pop(authorized.part.cl_ord_id, None)
        late_ns = 0
        while record.status not in TERMINAL:
            try:
                snapshot, answer = answer, None
                if snapshot is None:
                    snapshot = await venue.query(authorized.part.cl_ord_id, authorized.order.symbol)
                if snapshot is not None:
                    await self.ingest_snapshot(snapshot, authorized)
                elif self._was_acknowledged(record):
                    await self._quarantine(venue, authorized, asked_at)
                elif self._provably_absent(authorized, asked_at):
                    await self._report(authorized, ExecType.EXPIRED, text="the venue never had it")
                    break
                if self._wants_cancel(record) and not cancelled and record.status not in TERMINAL:
                    cancelled = await self._cancel_at(venue, authorized)
                late_ns = 0
            except FillsNotTold as late:
                whole = await self._ingest_listed(late.told, authorized)
                if self._wants_cancel(record) and not cancelled and record.status not in TERMINAL:
                    with suppress(Retry):  # it is there, whatever is not told of it
                        cancelled = await self._cancel_at(venue, authorized)
                now = self._clock.now_ns()
                late_ns = 0 if whole else late_ns or now
                if 0 < late_ns <= now - LATE_NS:
                    late_ns = -1
                    known, done = record.base_qty().normalize(), late.told.cum_qty.normalize()
                    text = f"{record.part.cl_ord_id} is not over: {venue.name} has told {known:f} of {done:f} done"
                    await self._alarm("FILLS_NOT_TOLD", text)
            except Retry:
                pass  # nothing was learnt
            if record.status in TERMINAL:
                break
            await self._clock.sleep(0.25 if record.status is OrdStatus.PENDING_NEW else self._audit_s)
        return self._settle(record)

    async def look_at_venue(self, authorized: Authorized) -> None:
        """Asks once, and takes in what is told; nothing where the venue never answered."""
        assert authorized.order is not None
        if not self.reaches(authorized.part.place):
            return
        venue = self._venues[venue_of(authorized.part.place) or ""]
        try:
            snapshot = await venue.query(authorized.part.cl_ord_id, authorized.order.symbol)
        except FillsNotTold as late:
            await self._ingest_listed(late.told, authorized)
            return
        except (Retry, Reject, Denied):
            return  # nothing was learnt
        if snapshot is not None:
            await self.ingest_snapshot(snapshot, authorized)

    def reaches(self, place: Place) -> bool:
        """Whether there is somebody to ask: a venue that does not answer when a process begins is not there until it does."""
        venue = venue_of(place)
        return venue is None or venue in self._venues

    def _provably_absent(self, authorized: Authorized, asked_at: int) -> bool:
        """A request can arrive no later than its receive window; only after that a 'no such order' is the end of it."""
        now = self._clock.now_ns()
        return now - authorized.at_ns > 15 * 10**9 and now - asked_at > 2 * 10**9

    def _was_acknowledged(self, record: PartRecord) -> bool:
        return record.submitted or record.status is not OrdStatus.PENDING_NEW

    async def _quarantine(self, venue: ExecutionVenue, authorized: Authorized, asked_at: int) -> None:
        """A venue that acknowledged an order and now does not know it has not cancelled it: its trades are asked for, then a
        person. Raises Reconcile QUARANTINED after the grace; the part stays open and indeterminate, and keeps its limits.
        """
        assert authorized.order is not None
        part = authorized.part
        for name, fill in await venue.fills(authorized.order.symbol, authorized.at_ns - 60 * 10**9):
            if name == part.cl_ord_id:
                await self.ingest(ExecutionReport(name, part.place, ExecType.TRADE, fill.at_ns, "", fill))
        if (
            self._clock.now_ns() - asked_at < GRACE_NS
            or self._recorder.book.parts[part.cl_ord_id].status in TERMINAL
        ):
            return
        why = f"{venue.name} acknowledged {part.cl_ord_id} and does not know it any more; it is not assumed cancelled"
        await self._recorder.record(Indeterminate(part.cl_ord_id, part.place, why, self._clock.now_ns()))
        raise Reconcile(
            "QUARANTINED",
            why,
            f"`fairlead run --once` asks again; `fairlead reconcile --end {part.cl_ord_id}` ends it by your word",
        )

    async def _cancel_at(self, venue: ExecutionVenue, authorized: Authorized) -> bool:
        """Whether no further cancel is needed. One whose answer was lost may not have arrived, and an order that the venue does not
        know yet may still arrive: both are cancelled again as long as the order is there."""
        assert authorized.order is not None
        record = self._recorder.book.parts[authorized.part.cl_ord_id]
        try:
            if record.status in (OrdStatus.NEW, OrdStatus.PARTIALLY_FILLED):
                # What nobody acknowledged is not there yet.
                await self._report(authorized, ExecType.PENDING_CANCEL)
            snapshot = await venue.cancel(authorized.part.cl_ord_id, authorized.order.symbol)
        except Reject as refused:
            # It ended meanwhile: the next query tells. Another refusal leaves it where it was.
            return refused.code == "NO_SUCH_ORDER" and self._was_acknowledged(record)
        except Reconcile:
            return False
        await self.ingest_snapshot(snapshot, authorized)
        return snapshot.status in TERMINAL

    async def ingest_snapshot(self, snapshot: OrderSnapshot, authorized: Authorized) -> None:
        """Turns a venue's view of an order into the reports that are missing here."""
        part = authorized.part

        async def tell(kind: ExecType, fill: Fill | None = None) -> None:
            await self.ingest(
                ExecutionReport(
                    part.cl_ord_id, part.place, kind, snapshot.at_ns, snapshot.venue_order_id, fill
                )
            )

        record = self._recorder.book.parts[part.cl_ord_id]
        if record.status is OrdStatus.PENDING_NEW and snapshot.status is not OrdStatus.REJECTED:
            await tell(ExecType.NEW)
        for fill in snapshot.fills:
            await tell(ExecType.TRADE, fill)
        ended = {
            OrdStatus.CANCELED: ExecType.CANCELED,
            OrdStatus.REJECTED: ExecType.REJECTED,
            OrdStatus.EXPIRED: ExecType.EXPIRED,
        }.get(snapshot.status)
        if ended is not None:
            await tell(ended)

    async def _ingest_listed(self, told: OrderSnapshot, authorized: Authorized) -> bool:
        """Takes in the trades that a venue lists of an order, and how it stands once these and those that were booked before make up what it
        says is done: whether they do. Over a longer life than a venue lists trades of, an earlier run has booked the rest."""
        await self.ingest_snapshot(replace(told, status=OrdStatus.PARTIALLY_FILLED), authorized)
        if self._recorder.book.parts[authorized.part.cl_ord_id].base_qty() != told.cum_qty:
            return False
        await self.ingest_snapshot(told, authorized)
        return True

    async def consume(self, venue: ExecutionVenue) -> None:
        """Runs for as long as the desk does: everything the venue's stream tells."""
        pause_s = AGAIN_S
        while True:
            self._remind(venue)
            told = venue.stream()
            try:
                async for report in told:
                    pause_s = AGAIN_S
                    await self._hear(venue, report)
            except FairleadError as stopped:
                # Orders are asked after meanwhile; what nobody asks after is only heard here.
                again = f"it is listened to again in {pause_s:g} s"
                await self._alarm("REPORTS_STOPPED", f"{venue.name} tells nothing more: {stopped}; {again}")
            finally:  # also where the record ends this: what it has running must not outlive its venue
                if isinstance(told, AsyncGenerator):
                    await told.aclose()
            await self._clock.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_S)

    def _remind(self, venue: ExecutionVenue) -> None:
        """Of the names of all that was signed for it: what an earlier run sent would look like somebody else's."""
        if not isinstance(venue, KeepsLessOfNames):
            return
        signed = [record.authorized for record in self._recorder.book.parts.values()]
        mine = [one for one in signed if one is not None and venue_of(one.part.place) == venue.name]
        venue.remember((one.part.cl_ord_id, one.order.symbol) for one in mine if one.order is not None)

    async def _hear(self, venue: ExecutionVenue, report: ExecutionReport) -> None:
        try:
            if report.cl_ord_id in self._recorder.book.parts:
                await self.ingest(report)
            elif venue.name not in self.others_left_alone:
                await self._tell_foreign(f"{venue.name} reports {report.cl_ord_id}, which is not ours")
        except Halt as impossible:  # one report that cannot be must not make us deaf to the rest
            await self._alarm(impossible.code, f"{venue.name}, {report.cl_ord_id}: {impossible.message}")

    async def _tell_foreign(self, message: str) -> None:
        """An order of somebody else's is an alarm once, however often it is told of and whichever run said it: the journal knows."""
        if self._foreign_told is None:
            alarms = self._recorder.book.alarms
            self._foreign_told = {alarm.message for alarm in alarms if alarm.code == FOREIGN_ORDER}
        if message not in self._foreign_told:
            self._foreign_told.add(message)
            await self._alarm(FOREIGN_ORDER, message)

    async def ingest(self, report: ExecutionReport) -> None:
        """Counts a report once, however often and by whatever road it comes. A fill after the end is believed and alarms."""
        book = self._recorder.book
        if book.is_duplicate(report):
            return
        if book.surprises(report):
            status = book.parts[report.cl_ord_id].status
            await self._recorder.record(Reported(report))
            await self._alarm(
                "FILL_AFTER_END",
                f"{report.cl_ord_id} was {status.value if status else '?'} and was filled all the same",
            )
            return
        await self._recorder.record(Reported(report))

    # ------------------------------------------------------------------ reports

    def _wants_cancel(self, record: PartRecord) -> bool:
        child = self._recorder.book.children.get(record.part.child)
        known = self._recorder.book.parents.get(child.child.parent) if child is not None else None
        over = (
            child is not None
            and (child.child.exits is not None or child.child.rests)
            and self._clock.now_ns() >= child.child.expire_ns
        )
        return record.cancel_requested or over or (known is not None and known.cancel_requested)

    async def _report(
        self,
        authorized: Authorized,
        exec_type: ExecType,
        *,
        fill: Fill | None = None,
        reference: str = "",
        text: str = "",
    ) -> None:
        part = authorized.part
        report = ExecutionReport(
            part.cl_ord_id,
            part.place,
            exec_type,
            self._clock.now_ns(),
            fill=fill,
            exec_ref_id=reference,
            text=text,
        )
        await self.ingest(report)

    def _settle(self, record: PartRecord) -> Settled:
        return Settled(record.part, tuple(record.fills.values()), record.gas_wei, self._clock.now_ns())

    async def _alarm(self, code: str, message: str) -> None:
        await self._recorder.record(Alarmed(code, message, self._clock.now_ns()))
