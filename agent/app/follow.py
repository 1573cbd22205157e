"""An order told to a person: each event as one line while it happens, and the story at its end."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from agent.algos import bracket
from agent.algos.exit import WORDS
from agent.app.brackets import list_of
from agent.app.brackets import words_of as bracket_words
from agent.app.cli.output import note, plain
from agent.app.exchange_pairs import EMULATED, held, holder_of, listed_words, resting_words, words
from agent.app.places import place_named
from agent.app.settings_tree import Settings
from agent.app.watching.exits import unprotected_json
from agent.app.watching.words import age, many
from agent.domain import events as ev
from agent.domain.errors import Usage
from agent.domain.ids import ClOrdId
from agent.domain.instruments import chain_of, venue_of
from agent.domain.order_lists import AFTER
from agent.domain.order_state import ExecType, OrdStatus
from agent.domain.orders import Intent, ParentOrder, Side, VenueOrder
from agent.domain.reports import Fill
from agent.domain.submission_state import Observation
from agent.domain.units import qty_exact
from agent.journal.book import Book
from agent.journal.records import PartRecord
from chains.operations import is_keyed, sequence_of

WAITS: dict[str, tuple[str, str]] = {
    "PLANNED": ("its lane or its signature", "it is rehearsed, signed and handed over"),
    "AUTHORIZED": ("its relay or venue", "it is handed over"),
    "BROADCAST": ("a block", "a receipt, or its deadline"),
    "INCLUDED": ("finality", "it settles"),
    "REVERTED": ("finality", "it settles unfilled, gas booked"),
    "WORKING": ("the venue, or a solver", "a fill, or its end"),
    "CANCELLING": ("its cancel to arrive", "it is over, or was filled first"),
    "INDETERMINATE": ("an answer", "it is asked after by hash, nonce or id"),
    "ENDED": ("nothing", "nothing"),
}


def stage_of(record: PartRecord) -> str:
    """Where a part stands, as one of WAITS."""
    if record.ended:
        return "ENDED"
    if record.authorized is None:
        return "PLANNED"
    if record.indeterminate:
        return "INDETERMINATE"
    if record.status is OrdStatus.PENDING_CANCEL:
        return "CANCELLING"
    if record.submission is not None:
        known = record.submission.value
        return known if known in WAITS else "ENDED"
    return "WORKING" if record.submitted else "AUTHORIZED"


def _named(nonce: int) -> str:
    """What is signed under such a nonce, by its size: an account's own, or one of an EntryPoint's keys."""
    return "user operation" if is_keyed(nonce) else "transaction"


def _alone(event: ev.Authorized) -> str:
    """Said where no owner signed: the sending account's own call, within what the owners granted it."""
    if is_keyed(event.nonce):
        return f", by the agent's account {event.sender} alone"
    return ", by the sending account alone" if event.wallet_nonce < 0 else ""


def _listed(order: VenueOrder) -> str:
    return f", with its exits {order.then.cl_ord_id} in one list" if order.then is not None else ""


class Teller:
    """Watches a book's events and tells one line per thing that happened to one parent. Nothing on stdout."""

    def __init__(self, settings: Settings, book: Book, parent: ParentOrder) -> None:
        self._settings, self._book, self._parent = settings, book, parent.cl_ord_id

    def saw(self, event: object) -> None:
        if self._mine(event) and (line := self._line(event)):
            note(line)

    def _mine(self, event: Any) -> bool:
        """Alarms are everybody's; all else is told by the order it belongs to."""
        if isinstance(event, ev.Alarmed):
            return True
        if isinstance(event, ev.Planned):
            return bool(event.child.parent == self._parent)
        if isinstance(event, ev.Approved):
            return bool(event.planned.child.parent == self._parent)
        if isinstance(event, ev.ParentClosed):
            return event.parent == self._parent
        if isinstance(event, ev.Breach):
            return self._of_child(event.child)
        if isinstance(event, ev.Reported):
            return self._of_part(event.report.cl_ord_id)
        part = getattr(event, "part", None)
        return self._of_part(part.cl_ord_id if part is not None else getattr(event, "cl_ord_id", None))

    def _of_part(self, name: Any) -> bool:
        record = self._book.parts.get(name)
        return record is not None and self._of_child(record.part.child)

    def _of_child(self, name: ClOrdId) -> bool:
        child = self._book.children.get(name)
        if child is None:  # the wallet's own batch for an offer is a child of the offer's part
            return name in self._book.parts and self._of_part(name)
        return child.child.parent == self._parent

    def _at(self, part: ClOrdId | Any) -> str:
        record = self._book.parts.get(part)
        return place_named(self._settings, record.part.place) if record else "?"

    def _kind(self, part: ClOrdId) -> str:
        signed = self._book.parts[part].authorized
        return _named(signed.nonce if signed is not None else 0)

    def _line(self, event: object) -> str:
        match event:
            case ev.Planned():
                return f"planned    {many(len(event.parts), 'place')}, {many(len(event.route.legs), 'leg')}"
            case ev.Approved():
                return f"approved   {event.reservation.notional_usd:,.2f} USD reserved"
            case ev.Breach():
                return "\n".join(f"denied     {r.rule}: {r.message} → {r.remedy}" for r in event.reasons)
            case ev.Simulated() if event.chain is not None:
                return f"rehearsed  {self._at(event.part.cl_ord_id)}: {event.gas:,} gas at block {event.block_number}"
            case ev.Authorized():
                what = (
                    f"order {event.request_digest[:18]}… for others to settle"
                    if event.offer
                    else (
                        f"{_named(event.nonce)} {event.tx_hash[:18]}… nonce {sequence_of(event.nonce)}{_alone(event)}"
                        if event.order is None
                        else f"order {event.part.cl_ord_id}{_listed(event.order)}"
                    )
                )
                return f"signed     {self._at(event.part.cl_ord_id)}: {what}"
            case ev.Replaced():
                return f"replaced   {self._at(event.part.cl_ord_id)}: {self._kind(event.part.cl_ord_id)} {event.tx_hash[:18]}…, {'higher fees, same nonce' if event.nonce < 0 else f'same call, nonce {event.nonce}'}"
            case ev.CancelSigned():
                return f"cancelling {self._at(event.cl_ord_id)}: {self._kind(event.cl_ord_id)} {event.tx_hash[:18]}… is to take its nonce"
            case ev.GasPaid() if event.gas_used:
                return f"paid       {self._at(event.cl_ord_id)}: {event.gas_used:,} gas for {event.tx_hash[:18]}…, which decided nothing"
            case ev.Refused():
                return f"refused    {self._at(event.part.cl_ord_id)}: {event.rule}: {event.message} → {event.remedy}"
            case ev.PartFailed():
                return f"ended      {self._at(event.part.cl_ord_id)}: {event.code}: {event.message}"
            case ev.Submitted():
                return f"handed to  {event.channel}"
            case ev.Indeterminate():
                return f"unclear    {self._at(event.cl_ord_id)}: {event.message}; asking"
            case ev.Observed() if event.seen in (
                Observation.INCLUDED,
                Observation.REVERTED,
                Observation.REORGED,
            ):
                return f"{event.seen.value.lower():<10} {self._at(event.cl_ord_id)}: block {event.block_number}, {event.gas_used:,} gas"
            case ev.Reported() if event.report.fill is not None and told(event.report.fill):
                fill = event.report.fill
                return f"filled     {self._at(event.report.cl_ord_id)}: {plain(fill.qty_in)} → {plain(fill.qty_out)}"
            case ev.Reported() if event.report.exec_type in (
                ExecType.PENDING_CANCEL,
                ExecType.CANCELED,
                ExecType.REJECTED,
                ExecType.EXPIRED,
            ):
                said = event.report.exec_type.value.lower().replace("pending_cancel", "cancelling")
                text = f": {event.report.text}" if event.report.text else ""
                return f"{said:<10} {self._at(event.report.cl_ord_id)}{text}"
            case ev.Crossed() if event.stage != "SENT":
                return f"crossing   {event.cl_ord_id}: {event.stage.lower()}"
            case ev.Settled():
                return f"settled    {self._at(event.part.cl_ord_id)}"
            case ev.Alarmed():
                return f"ALARM      {event.code}: {event.message}"
            case ev.ParentClosed():
                return f"closed     {event.why}"
        return ""


def told(fill: Fill) -> bool:
    """An instruction that only approves or ends something moves nothing."""
    return bool(fill.qty_in or fill.qty_out)


def story_json(settings: Settings, book: Book, parent: ClOrdId) -> dict[str, Any]:
    """FORMATS' addition of `trade` to a route object."""
    record = book.parents[parent]
    children, executions, parts = [], [], []
    for name in record.children:
        child = book.children[name]
        children.append(
            {
                "cl_ord_id": name,
                "qty": plain(child.child.qty),
                "breaches": [
                    {"rule": r.rule, "message": r.message, "remedy": r.remedy}
                    for r in (child.breach.reasons if child.breach else ())
                ],
                "parts": [part_json(settings, book.parts[part]) for part in child.parts],
            }
        )
        for part in child.parts:
            parts.append(book.parts[part])
            executions += [fill_json(book.parts[part], fill) for fill in book.parts[part].fills.values()]
    settled = bool(parts) and all(part.ended for part in parts)
    attributed = record.attributed
    return {
        "parent": {
            "cl_ord_id": parent,
            "status": record.closed.status if record.closed else "WORKING",
            "why": record.closed.why if record.closed else "",
            "filled_base": plain(book.filled_base(parent)),
            "filled_quote": plain(book.filled_quote(parent)),
        },
        "children": children,
        "executions": executions,
        "settlement": {
            "final": settled,
            "gas_wei": {part.part.place: str(part.gas_wei) for part in parts if chain_of(part.part.place)},
        },
        "attribution": attribution_json(attributed) if attributed else None,
    }


def part_json(settings: Settings, record: PartRecord) -> dict[str, Any]:
    waits, then = WAITS[stage_of(record)]
    authorized = record.authorized
    return {
        "cl_ord_id": record.part.cl_ord_id,
        "place": record.part.place,
        "where": place_named(settings, record.part.place),
        "open": not record.ended,
        "what": record.what or None,
        "indeterminate": record.indeterminate and not record.ended,
        "status": record.status.value if record.status else ("FAILED" if record.failed else "PLANNED"),
        "submission": record.submission.value if record.submission else None,
        "tx_hash": authorized.tx_hash or None if authorized and authorized.order is None else None,
        "order_uid": authorized.request_digest if authorized and authorized.offer else None,
        "in_raw": str(record.part.in_raw),
        "floor_raw": str(record.part.floor_raw),
        "failed": record.failed or None,
        "waits_for": waits,
        "next": then,
    }


def parent_json(settings: Settings, book: Book, name: ClOrdId, now_ns: int, carried: bool) -> dict[str, Any]:
    """An order for `orders`: state, what it waits for, what happens next, and the commands that end or resume it."""
    record = book.parents[name]
    intent = record.parent.intent
    opened = [part for part in book.parts_of(name) if not part.ended]
    waits = sorted({WAITS[stage_of(part)][0] for part in opened})
    if record.closed is not None:
        waits_for, then = WAITS["ENDED"]
    elif waits:
        waits_for, then = (
            " and ".join(waits),
            "it is closed" if record.cancel_requested else "what is left goes on",
        )
    elif record.cancel_requested:
        waits_for, then = "its process", "it is closed"
    else:
        waits_for, then = "its next slice" if carried else "a process", "the slice is planned"
    if intent.algo == "exit" and record.closed is None and not waits and carried:
        told = dict(intent.algo_params)
        waits_for = " or ".join(f"{n} {told[n]}" for n in ("stop-loss", "take-profit") if n in told)
        then = "all of it is sold" if intent.side is Side.SELL else "all of it is bought"
        last = book.children[record.children[-1]] if record.children else None
        if last is not None and last.breach is not None:
            why = last.breach.reasons[0]
            waits_for = f"another attempt: the last was refused, {why.rule}: {why.message} ({why.remedy})"
    holder, mine = holder_of(book, name), list_of(book, name)
    pending = mine if mine is not None and mine[1] == name and not _over(book, mine[0]) else None
    if holder is not None:
        waits_for, then = _standing(intent, pending is not None)
    exits = intent.algo in ("exit", "oco", "bracket") and record.closed is None
    story = story_json(settings, book, name)
    return {
        "cl_ord_id": name,
        "held": None if not exits else held_words(book, name, holder),
        "held_by": holder,
        "list": {"entry": mine[0], "exits": mine[1]} if mine is not None else None,
        "source": intent.source,
        "side": intent.side.value.lower(),
        "qty": plain(intent.qty),
        "base": intent.base,
        "quote": intent.quote,
        "limit_px": plain(intent.limit_px) if intent.limit_px is not None else None,
        "algo": intent.algo,
        "algo_params": dict(intent.algo_params),
        "status": record.closed.status if record.closed else "WORKING",
        "closed": record.closed is not None,
        "why": record.closed.why if record.closed else "",
        "cancel_requested": record.cancel_requested,
        "filled_base": plain(book.filled_base(name)),
        "filled_quote": plain(book.filled_quote(name)),
        "accepted_at": instant(record.accepted_ns),
        "expires_at": instant(intent.expire_ns),
        "age": age((now_ns - record.accepted_ns) // 10**9),
        "waits_for": waits_for,
        "next": then,
        "cancel": None if record.closed else f"fairlead cancel {name}",
        "resume": None if record.closed or carried else "fairlead run --once",
        "children": story["children"],
    }


def _over(book: Book, name: ClOrdId) -> bool:
    return book.parents[name].closed is not None


def _standing(intent: Intent, pending: bool) -> tuple[str, str]:
    """What an order that an exchange holds waits for, and what happens then. `pending`: exits whose entry is not filled yet."""
    told = dict(intent.algo_params)
    if intent.algo == "bracket":
        return f"its price {plain(intent.limit_px)}" if intent.limit_px is not None else "its price", (
            f"{bracket_words(told)} at the exchange"
        )
    if pending:
        return f"its entry {told[AFTER]}", "it stands at the exchange"
    prices = [f"{name} {told[name]}" for name in ("stop-loss", "take-profit") if name in told]
    both = "one trades and the other is cancelled there"
    return " or ".join(prices), both if len(prices) > 1 else "it trades there"


def held_words(book: Book, name: ClOrdId, holder: str | None) -> str | None:
    """Who holds an order's exits, in words; None for an order of another kind, or not there yet."""
    intent = book.parents[name].parent.intent
    told = dict(intent.algo_params)
    if holder is not None:
        exits = len(bracket.after(told))
        if intent.algo == "bracket":
            return listed_words(holder, exits)
        return words(holder, len(told.keys() & set(WORDS)))
    if intent.algo == "bracket" and bracket.AT not in told:
        there = next((venue_of(part.part.place) for part in book.parts_of(name) if held(part)), None)
        return resting_words(there) if there is not None else None
    return EMULATED if intent.algo == "exit" else None


def orders_json(
    settings: Settings, book: Book, now_ns: int, carried_by: str | None, everything: bool
) -> dict[str, Any]:
    """Open orders, or all of them, newest first; instructions are the wallet's other doings."""
    names = [n for n, r in book.parents.items() if everything or r.closed is None or open_parts_of(book, n)]
    others = [r for r in book.parts.values() if r.what and (everything or not r.ended)]
    return {
        "carried_by": carried_by,
        "unfinished": len([r for r in book.parents.values() if r.closed is None]) + len(book.open_parts()),
        "unprotected": unprotected_json(book),
        "orders": [parent_json(settings, book, n, now_ns, carried_by is not None) for n in reversed(names)],
        "instructions": [part_json(settings, r) for r in reversed(others)],
    }


def open_parts_of(book: Book, parent: ClOrdId) -> list[PartRecord]:
    return [part for part in book.parts_of(parent) if not part.ended]


def named_order(book: Book, text: str) -> ClOrdId:
    """A parent's or a part's id from its beginning. Raises Usage UNKNOWN_ORDER, AMBIGUOUS_ORDER."""
    if text in book.parents or text in book.parts:
        return ClOrdId(text)
    found = [name for name in (*book.parents, *book.parts) if len(text) >= 3 and name.startswith(text)]
    if len(found) == 1:
        return found[0]
    if found:
        near = ", ".join(found[:5]) + (" …" if len(found) > 5 else "")
        raise Usage("AMBIGUOUS_ORDER", f"'{text}' begins {len(found)} ids: {near}", "type more of it")
    raise Usage("UNKNOWN_ORDER", f"there is no order '{text}'", "`fairlead orders --all` lists them")


LAST_NS = 253_402_300_799 * 10**9


def instant(at_ns: int) -> str:
    """RFC 3339 UTC, nanoseconds kept; what is beyond the year 9999 is told as its last."""
    whole, rest = divmod(min(at_ns, LAST_NS), 10**9)
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def fill_json(record: PartRecord, fill: Any) -> dict[str, Any]:
    return {
        "cl_ord_id": record.part.cl_ord_id,
        "exec_id": fill.exec_id,
        "place": fill.place,
        "asset_in": fill.asset_in,
        "asset_out": fill.asset_out,
        "qty_in": plain(fill.qty_in),
        "qty_out": plain(fill.qty_out),
        "fee_asset": fill.fee_asset,
        "fee_qty": plain(fill.fee_qty),
    }


def attribution_json(found: ev.Attributed) -> dict[str, Any]:
    """Costs rounded to a millionth of the quote; positive costs us."""
    names = ("drift_cost", "spread_cost", "impact_cost", "fee_cost", "gas_cost", "total_cost", "against_plan")
    return {
        "qty_base": plain(found.qty_base),
        "qty_quote": plain(found.qty_quote),
        "avg_px": plain(round(found.avg_px, 8)),
        "arrival_px": plain(round(found.arrival_px, 8)),
        **{name: plain(round(getattr(found, name), 6)) for name in names},
        "total_bps": plain(found.total_bps),
    }


def signless(value: Decimal) -> str:
    """Two decimals, and no minus before a zero."""
    text = f"{value:,.2f}"
    return "0.00" if text == "-0.00" else text


def summary(settings: Settings, book: Book, parent: ClOrdId) -> None:
    """The end of an order on a terminal: what was filled where, and where the money went."""
    from agent.app.cli.output import quote_places, read_px, table

    record = book.parents[parent]
    rows = []
    for part in book.parts_of(parent):
        base, quote = part.base_qty(), part.quote_qty()
        px = quote / base if base else Decimal(0)
        status = part.status.value if part.status else f"FAILED {part.failed}"
        gas = f"{qty_exact(part.gas_wei, 18):.6f} ETH" if part.gas_wei else "–"
        rows.append(
            [
                place_named(settings, part.part.place),
                status,
                f"{base:,.6f}",
                f"{quote:,.{quote_places(px or Decimal(1))}f}",
                read_px(px) if base else "–",
                gas,
            ]
        )
    intent = record.parent.intent
    print()
    columns = ("where", "status", intent.base, intent.quote, "price", "gas")
    table(columns, rows, right=(2, 3, 4, 5), title=f"order {parent}")
    found = record.attributed
    if found is not None:
        side = "sold" if intent.side.value == "SELL" else "bought"
        places = quote_places(found.arrival_px)
        print(
            f"{side} {found.qty_base:,.6f} {found.base} for {found.qty_quote:,.{places}f} {found.quote}: {read_px(found.avg_px)} against {read_px(found.arrival_px)} on arrival"
        )
        rows = [
            [name, signless(cost), signless(cost / (found.arrival_px * found.qty_base) * 10_000)]
            for name, cost in (
                ("drift since arrival", found.drift_cost),
                ("spread", found.spread_cost),
                ("impact", found.impact_cost),
                ("fees", found.fee_cost),
                ("gas", found.gas_cost),
                ("total", found.total_cost),
                ("worse than planned", found.against_plan),
            )
        ]
        table(("cost", found.quote, "bps"), rows, right=(1, 2), title="where the money went")
    if record.closed is not None:
        print(f"{record.closed.status.lower()}: {record.closed.why}")
