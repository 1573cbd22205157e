"""The book: everything the journal's events say about orders, balances and limits, as one fold.

`apply` is the only way in and depends on nothing but the events before it, so replaying a journal rebuilds the same
book, and `canonical` gives the same text and hash. No decision is taken here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal, localcontext
from hashlib import sha256
from typing import Any

from agent.domain import events as ev
from agent.domain.errors import Halt
from agent.domain.ids import ClOrdId
from agent.domain.instruments import AssetId, Place
from agent.domain.order_state import TERMINAL, ExecType, OrdStatus, is_surprising, next_status
from agent.domain.orders import Side
from agent.domain.reports import ExecutionReport, Fill
from agent.domain.risk import Reservation
from agent.domain.submission_state import UNDECIDED, Observation, SubmissionState, observe
from agent.domain.units import WIDE, ZERO, sum_exact
from agent.journal.canonical import canonical
from agent.journal.crossing_fold import crossed, may_cross
from agent.journal.list_fold import exits_behind, rejected_with, submitted_with
from agent.journal.living import Living
from agent.journal.records import ChildRecord, Effect, ParentRecord, PartRecord, Position, fill_changes
from agent.journal.references import JUDGED, unknown_to
from agent.journal.shadow_fold import shadow_seen

_SAME = {
    ExecType.CANCELED: OrdStatus.CANCELED,
    ExecType.REJECTED: OrdStatus.REJECTED,
    ExecType.EXPIRED: OrdStatus.EXPIRED,
    ExecType.PENDING_CANCEL: OrdStatus.PENDING_CANCEL,
}
INTERRUPTED = "INTERRUPTED"
"""The rule of a breach that only says: the process ended before this slice was planned."""
NO_MARKET = "NO_MARKET"
"""The rule of one that only says: no place answered when this slice was planned; another time one may."""
NEVER_LEFT = "NEVER_LEFT"
"""The code of a part that only the end of a process stopped before it was signed."""


class Book:
    def __init__(self) -> None:
        self.parents: dict[ClOrdId, ParentRecord] = {}
        self.children: dict[ClOrdId, ChildRecord] = {}
        self.parts: dict[ClOrdId, PartRecord] = {}
        self.living = Living(self.children, self.parts)
        self.quotes: dict[str, ev.Quoted] = {}
        self.positions: dict[str, Position] = {}
        self.holdings: dict[AssetId, Decimal] = {}
        self.gas_wei: dict[Place, int] = {}
        self.contested: set[ClOrdId] = set()
        """Parts at whose nonce more was signed than the order, that expired, or that somebody else executed: ours may cost gas yet."""
        self.halted: ev.Halted | None = None
        self.alarms: list[ev.Alarmed] = []
        self.reconciled: dict[Place, ev.Reconciled] = {}
        self.first_looked_ns: dict[Place, int] = {}
        self.certified: ev.Certified | None = None
        self.scheduled: dict[str, ev.Scheduled] = {}
        self.fired: dict[str, list[ev.Fired]] = {}
        self.crossings: dict[ClOrdId, ev.Crossed] = {}
        self.events = 0

    # ------------------------------------------------------------------ the fold

    def apply(self, event: object, *, known: bool = False) -> None:
        """Counts one event. Raises Halt where the state tables forbid it. `known`: `admit` has just let it pass."""
        self.events += 1
        handler = _HANDLERS.get(type(event))
        if handler is not None and (known or unknown_to(self, event) is None):
            handler(self, event)

    def _accepted(self, event: ev.Accepted) -> None:
        self.parents[event.parent.cl_ord_id] = ParentRecord(event.parent, event.at_ns)

    def _sliced(self, event: ev.Sliced) -> None:
        child = event.child
        self.children[child.cl_ord_id] = ChildRecord(child, sliced_ns=event.at_ns)
        self.living.child(child.cl_ord_id)
        parent = self.parents.get(child.parent)
        if parent is not None and child.cl_ord_id not in parent.children:
            parent.children.append(child.cl_ord_id)

    def _planned(self, event: ev.Planned) -> None:
        record = self.children[event.child.cl_ord_id]
        record.planned = event
        for part in event.parts:
            self.parts[part.cl_ord_id] = PartRecord(part, base_is_in=event.child.side is Side.SELL)
            record.parts.append(part.cl_ord_id)
            self.living.part(self.parts[part.cl_ord_id])

    def _instructed(self, event: ev.Instructed) -> None:
        self.parts[event.part.cl_ord_id] = PartRecord(event.part, base_is_in=True, what=event.what)
        self.living.part(self.parts[event.part.cl_ord_id])

    def _approved(self, event: ev.Approved) -> None:
        self.children[event.planned.child.cl_ord_id].approved = event
        self.living.child(event.planned.child.cl_ord_id)

    def _breach(self, event: ev.Breach) -> None:
        record = self.children.get(event.child)
        if record is not None:
            record.breach = event
            for name in record.parts:
                self.parts[name].failed = "BREACH"

    def _prepared(self, event: ev.Prepared) -> None:
        record = self.parts[event.part.cl_ord_id]
        if event.order is not None:
            record.order_qty = event.order.order_qty
        elif event.offer is not None:
            record.order_qty, record.is_offer = event.offer.order_qty, True

    def _authorized(self, event: ev.Authorized) -> None:
        record = self.parts[event.part.cl_ord_id]
        record.authorized = event
        record.status = OrdStatus.PENDING_NEW
        self.living.sign(record)
        if event.offer is not None:
            record.order_qty, record.is_offer = event.offer.order_qty, True
        elif event.order is None:
            record.submission = SubmissionState.AUTHORIZED
        else:
            record.order_qty = event.order.order_qty
            for told in exits_behind(event, self.children, self.parents):
                _HANDLERS[type(told)](self, told)

    def _replaced(self, event: ev.Replaced) -> None:
        record = self.parts[event.part.cl_ord_id]
        assert record.authorized is not None  # `admit` saw to it
        record.earlier = (*record.earlier, record.authorized)
        nonce = record.authorized.nonce if event.nonce < 0 else event.nonce
        record.authorized = replace(
            record.authorized, tx_hash=event.tx_hash, raw=event.raw, at_ns=event.at_ns, nonce=nonce
        )

    def _refused(self, event: ev.Refused) -> None:
        record = self.parts[event.part.cl_ord_id]
        record.failed, record.refused = event.rule, event

    def _part_failed(self, event: ev.PartFailed) -> None:
        self.parts[event.part.cl_ord_id].failed = event.code

    def _submitted(self, event: ev.Submitted) -> None:
        record = self.parts[event.cl_ord_id]
        record.submitted, record.indeterminate = True, False
        submitted_with(record, self.parts)

    def _indeterminate(self, event: ev.Indeterminate) -> None:
        self.parts[event.cl_ord_id].indeterminate = True

    def _observed(self, event: ev.Observed) -> None:
        record = self.parts[event.cl_ord_id]
        if record.submission is None:
            return
        record.submission, _ = observe(record.submission, event.seen)
        self.living.sign(record)
        if event.seen in (Observation.INCLUDED, Observation.REVERTED, Observation.CANCEL_MINED):
            if record.own_gas_wei:  # cancelled, and then executed by somebody else all the same
                record.side_gas[record.winner] = record.own_gas_wei
            record.included_in, record.winner = event.block_hash, event.tx_hash
            self._pay(record, event.place, -record.side_gas.pop(event.tx_hash, 0))
            self._pay(record, event.place, event.gas_used * event.gas_price_wei + event.l1_fee_wei)
            forms = {form.tx_hash: form.nonce for form in record.signed}
            if event.tx_hash not in forms or len(set(forms.values())) > 1:
                self.contested.add(event.cl_ord_id)
        elif event.seen is Observation.EXPIRED:
            self.contested.add(event.cl_ord_id)
        elif event.seen is Observation.REORGED:
            self._pay(record, event.place, -record.own_gas_wei)
            record.included_in = record.winner = ""

    def _pay(self, record: PartRecord, place: Place, wei: int) -> None:
        record.gas_wei += wei
        self.gas_wei[place] = self.gas_wei.get(place, 0) + wei

    def _cancel_signed(self, event: ev.CancelSigned) -> None:
        record = self.parts[event.cl_ord_id]
        record.cancels = (*record.cancels, event)
        self.contested.add(event.cl_ord_id)

    def _gas_paid(self, event: ev.GasPaid) -> None:
        record = self.parts[event.cl_ord_id]
        spent = event.gas_used * event.gas_price_wei + event.l1_fee_wei
        self._pay(record, event.place, spent - record.side_gas.pop(event.tx_hash, 0))
        if spent:
            record.side_gas[event.tx_hash] = spent

    def _reported(self, event: ev.Reported) -> None:
        report = event.report
        record = self.parts.get(report.cl_ord_id)
        if record is None or record.status is None or self.is_duplicate(report):
            return
        record.indeterminate = False
        self.living.part(record)
        if report.exec_type is ExecType.TRADE and report.fill is not None:
            record.fills[report.fill.exec_id] = report.fill
            record.busted.discard(report.fill.exec_id)
            self.book_fill(record, report.fill)
        elif report.exec_type is ExecType.TRADE_CANCEL:
            busted = record.fills.pop(report.exec_ref_id, None)
            record.busted.add(report.exec_ref_id)
            if busted is not None:
                self._take_back(record, busted)
        elif report.exec_type is ExecType.PENDING_CANCEL:
            record.cancel_requested = True
        record.status = next_status(
            record.status, report.exec_type, filled=self._is_filled(record), any_fill=bool(record.fills)
        )
        rejected_with(record, self.parts)

    def _settled(self, event: ev.Settled) -> None:
        self.parts[event.part.cl_ord_id].settled = True

    def _cancel_requested(self, event: ev.CancelRequested) -> None:
        if event.cl_ord_id in self.parents:
            self.parents[event.cl_ord_id].cancel_requested = True
        elif event.cl_ord_id in self.parts:
            self.parts[event.cl_ord_id].cancel_requested = True

    def _parent_closed(self, event: ev.ParentClosed) -> None:
        self.parents[event.parent].closed = event

    def _attributed(self, event: ev.Attributed) -> None:
        self.parents[event.parent].attributed = event

    def _adopted(self, event: ev.Adopted) -> None:
        prices = {price.symbol: price.px for price in event.prices}
        symbols = dict(event.symbols)
        self.living.adopted_ns[event.place] = event.at_ns
        for balance in event.balances:
            with localcontext(WIDE):
                found = balance.free + balance.locked
                difference = found - self.holdings.get(balance.asset, Decimal(0))
                self.holdings[balance.asset] = found
                symbol = symbols.get(balance.asset)
                if symbol is None:
                    continue
                position = self.positions.setdefault(symbol, Position())
                px = prices.get(symbol) or position.avg_px or Decimal(0)
                position.qty += difference
                position.cost = position.cost + difference * px if position.qty else Decimal(0)

    def _halted(self, event: ev.Halted) -> None:
        self.halted = event

    def _resumed(self, event: ev.Resumed) -> None:
        self.halted = None

    def _alarmed(self, event: ev.Alarmed) -> None:
        self.alarms.append(event)

    def _quoted(self, event: ev.Quoted) -> None:
        self.quotes[event.quote_id] = event

    def _reconciled(self, event: ev.Reconciled) -> None:
        self.reconciled[event.place] = event
        self.first_looked_ns.setdefault(event.place, event.at_ns)

    def _certified(self, event: ev.Certified) -> None:
        self.certified = event

    def _proved(self, event: ev.Proved) -> None:
        """A judgement of what was planned: it moves nothing."""

    def _scheduled(self, event: ev.Scheduled) -> None:
        self.scheduled[event.job] = event

    def _fired(self, event: ev.Fired) -> None:
        self.fired.setdefault(event.job, []).append(event)

    def book_fill(self, record: PartRecord, fill: Fill) -> None:
        with localcontext(WIDE):
            for asset, change in fill_changes(fill):
                self.holdings[asset] = self.holdings.get(asset, ZERO) + change
            if record.what:
                return  # no trade: holdings moved, nothing was bought or sold
            names = self._names(record, fill)
            base = self.positions.setdefault(names[0], Position())
            fee, asset = fill.fee_qty, fill.fee_asset
            got = fill.qty_out - (fee if asset == fill.asset_out else 0)
            gave = fill.qty_in + (fee if asset == fill.asset_in else 0)
            sells = record.sells(fill)
            effect = base.effect_of(sells, gave, got) if sells else base.effect_of(sells, got, gave)
        record.effects[fill.exec_id] = effect
        self._move(names, effect, sign=1)

    def _take_back(self, record: PartRecord, fill: Fill) -> None:
        """Undoes exactly what the fill did, whatever the average cost has become since."""
        with localcontext(WIDE):
            for asset, change in fill_changes(fill):
                self.holdings[asset] = self.holdings.get(asset, Decimal(0)) - change
        effect = record.effects.pop(fill.exec_id, None)
        if effect is not None:
            self._move(self._names(record, fill), effect, sign=-1)

    def _names(self, record: PartRecord, fill: Fill) -> tuple[str, str]:
        """The positions that a fill changes: what was traded, a combo's leg by itself, and what was paid with."""
        child, leg = self.children[record.part.child].child, record.leg_of(fill)
        return (child.base if leg is None else leg.symbol), child.quote

    def _move(self, names: tuple[str, str], effect: Effect, sign: int) -> None:
        base, quote = (self.positions.setdefault(name, Position()) for name in names)
        with localcontext(WIDE):
            base.qty += effect[0] * sign
            base.cost += effect[1] * sign
            base.realised += effect[2] * sign
            quote.qty += effect[3] * sign
            quote.cost += effect[4] * sign

    # ------------------------------------------------------------------ questions

    def admit(self, event: object) -> None:
        """Raises Halt where the state tables or the record so far forbid an event, before it is written; changes nothing."""
        if type(event) not in JUDGED and unknown_to(self, event) is None:
            return
        if isinstance(event, ev.Observed):
            record = self.parts.get(event.cl_ord_id)
            if record is None or record.submission is None:
                raise Halt(
                    "UNKNOWN_SUBMISSION",
                    f"nothing was signed under {event.cl_ord_id}",
                    "run `fairlead reconcile`",
                )
            observe(record.submission, event.seen)
        elif isinstance(event, ev.Reported) and not self.is_duplicate(event.report):
            record = self.parts.get(event.report.cl_ord_id)
            if record is None or record.status is None:
                raise Halt(
                    "UNKNOWN_ORDER",
                    f"nothing was signed under {event.report.cl_ord_id}",
                    "run `fairlead reconcile`",
                )
            next_status(record.status, event.report.exec_type, filled=False, any_fill=False)
        elif (name := unknown_to(self, event)) is not None:
            raise Halt("UNKNOWN_ORDER", f"the record knows no {name}", "this is a bug: report it")
        elif isinstance(event, ev.Replaced):
            waiting = self.parts[event.part.cl_ord_id]
            if waiting.authorized is None or waiting.submission not in UNDECIDED:
                what = f"{event.part.cl_ord_id} waits for no block: nothing of it can be replaced"
                raise Halt("NOTHING_TO_REPLACE", what, "this is a bug: report it")
        elif isinstance(event, (ev.Prepared, ev.Authorized)):
            signed = self.parts[event.part.cl_ord_id]
            if signed.authorized is not None:
                what = f"{event.part.cl_ord_id} was signed already; another attempt has another id"
                raise Halt("SIGNED_ALREADY", what, "this is a bug: report it")
        elif isinstance(event, ev.Crossed):
            may_cross(self, event)

    def is_duplicate(self, report: ExecutionReport) -> bool:
        """Whether a report was counted before: a venue may tell the same trade any number of times, by any road."""
        record = self.parts.get(report.cl_ord_id)
        if record is None:
            return False
        if report.exec_type is ExecType.TRADE and report.fill is not None:
            # A block that a reorganisation took away can come back, and the very same execution with it.
            again = record.submission is SubmissionState.INCLUDED or record.is_offer
            return report.fill.exec_id in record.fills or (report.fill.exec_id in record.busted and not again)
        if report.exec_type is ExecType.TRADE_CANCEL:
            return report.exec_ref_id not in record.fills
        if report.exec_type is ExecType.NEW:
            if not record.on_chain:  # only a reorganisation makes an ended order new again
                return record.status is not OrdStatus.PENDING_NEW
            return record.status in (
                OrdStatus.NEW,
                OrdStatus.PARTIALLY_FILLED,
                OrdStatus.PENDING_CANCEL,
                OrdStatus.FILLED,
            )
        return _SAME.get(report.exec_type) is record.status or (
            report.exec_type in (ExecType.CANCELED, ExecType.EXPIRED) and record.status in TERMINAL
        )

    def surprises(self, report: ExecutionReport) -> bool:
        record = self.parts.get(report.cl_ord_id)
        status = record.status if record is not None else None
        return status is not None and is_surprising(status, report.exec_type)

    def _is_filled(self, record: PartRecord) -> bool:
        if record.on_chain:
            return bool(record.fills)
        if record.is_offer:  # counted in what the order fixes: an older purchase sold what it took
            offer = record.authorized.offer if record.authorized is not None else None
            exact_out = offer is not None and offer.order.buys
            done = record.bought_qty() if exact_out else record.sold_qty()
            return record.order_qty is not None and done >= record.order_qty
        return record.order_qty is not None and record.base_qty() >= record.order_qty

    def parts_of(self, parent: ClOrdId) -> Iterator[PartRecord]:
        for child in self.parents[parent].children:
            for name in self.children[child].parts:
                yield self.parts[name]

    def filled_base(self, parent: ClOrdId) -> Decimal:
        return sum_exact(part.base_kept() for part in self.parts_of(parent))

    def filled_quote(self, parent: ClOrdId) -> Decimal:
        return sum_exact(part.quote_qty() for part in self.parts_of(parent))

    def leaves(self, parent: ClOrdId) -> Decimal:
        """What is still to be done, counting neither what works nor what is done twice."""
        return max(WIDE.subtract(self.parents[parent].parent.qty, self.filled_base(parent)), ZERO)

    def child_ended(self, child: ClOrdId) -> bool:
        return self.living.ended(self.children[child])

    def was_denied(self, child: ClOrdId) -> bool:
        """Whether our own rules, the signer or an owner said no: trying again would hear the same. A slice that only the
        end of a process interrupted was not, nor one that found no place that answered."""
        record = self.children[child]
        if record.breach is not None:
            return all(reason.rule not in (INTERRUPTED, NO_MARKET) for reason in record.breach.reasons)
        return any(self.parts[name].refused for name in record.parts)

    def was_interrupted(self, child: ClOrdId) -> bool:
        """Whether the end of a process stopped it, or some part of it before that was signed: no fault of the plan's."""
        record = self.children[child]
        if record.breach is not None:
            return all(reason.rule == INTERRUPTED for reason in record.breach.reasons)
        return any(self.parts[name].failed == NEVER_LEFT for name in record.parts)

    def open_parts(self) -> list[PartRecord]:
        return self.living.parts()

    def reservations(self) -> Iterator[Reservation]:
        """What approved and unresolved children hold back of the limits."""
        for record in self.living.children():
            if record.approved is not None:
                yield record.approved.reservation

    def day_notional_usd(self, now_ns: int) -> Decimal:
        """Notional approved this UTC day; a child that ended counts only for what it filled."""
        return self.living.day_notional_usd(now_ns)

    def holding(self, asset: AssetId) -> Decimal:
        """The worse of the provisional and the settled quantity: what risk may count on."""
        provisional = settled = self.holdings.get(asset, Decimal(0))
        with localcontext(WIDE):
            for record in self.living.signed():  # only what was signed is filled
                if record.settled:
                    continue
                for fill in record.fills.values():
                    settled -= sum(
                        (change for name, change in fill_changes(fill) if name == asset), Decimal(0)
                    )
        return min(provisional, settled)

    # ------------------------------------------------------------------ the state as text

    def canonical(self) -> dict[str, Any]:
        """The whole state as plain text in a fixed order; equal books give equal text."""
        return canonical(self)

    def state_hash(self) -> str:
        text = json.dumps(canonical(self), sort_keys=True, separators=(",", ":"))
        return sha256(text.encode()).hexdigest()


_HANDLERS: dict[type, Callable[[Book, Any], None]] = {
    ev.Accepted: Book._accepted,
    ev.Sliced: Book._sliced,
    ev.Planned: Book._planned,
    ev.Instructed: Book._instructed,
    ev.Approved: Book._approved,
    ev.Breach: Book._breach,
    ev.Prepared: Book._prepared,
    ev.Authorized: Book._authorized,
    ev.Replaced: Book._replaced,
    ev.Refused: Book._refused,
    ev.PartFailed: Book._part_failed,
    ev.Submitted: Book._submitted,
    ev.Indeterminate: Book._indeterminate,
    ev.Observed: Book._observed,
    ev.Reported: Book._reported,
    ev.Settled: Book._settled,
    ev.CancelRequested: Book._cancel_requested,
    ev.ParentClosed: Book._parent_closed,
    ev.Attributed: Book._attributed,
    ev.Adopted: Book._adopted,
    ev.Halted: Book._halted,
    ev.Resumed: Book._resumed,
    ev.Alarmed: Book._alarmed,
    ev.Quoted: Book._quoted,
    ev.Reconciled: Book._reconciled,
    ev.Proved: Book._proved,
    ev.Scheduled: Book._scheduled,
    ev.Fired: Book._fired,
    ev.CancelSigned: Book._cancel_signed,
    ev.GasPaid: Book._gas_paid,
    ev.Certified: Book._certified,
    ev.ShadowSeen: shadow_seen,
    ev.Crossed: crossed,
}
