"""What the authorization of an order list says besides its entry: the exits behind it are authorized too, by the same signature.

One event is the record of both, so that no crash can part them. Its fold makes of the exits an order of their own, as if it had been
accepted, planned and approved with the entry's review, which judged the whole list. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal, localcontext

from agent.domain import events as ev
from agent.domain.ids import ClOrdId
from agent.domain.order_lists import AFTER, listed_ids
from agent.domain.order_state import OrdStatus
from agent.domain.orders import ChildOrder, Intent, OrdType, ParentOrder, Part, TimeInForce, VenueOrder
from agent.domain.risk import Reservation
from agent.domain.routes import Leg, PlaceSummary, Route
from agent.domain.units import WIDE
from agent.journal.records import ChildRecord, ParentRecord, PartRecord

LIFE_NS = 30 * 86_400 * 10**9
"""How long the exits are kept after the entry's own time is over."""
WORDS = ("stop-loss", "take-profit")


def exits_behind(
    signed: ev.Authorized, children: Mapping[ClOrdId, ChildRecord], parents: Mapping[ClOrdId, ParentRecord]
) -> tuple[object, ...]:
    """Accepted, Sliced, Planned, Approved and Authorized of the exits that `signed`, an entry's, attaches; nothing where it attaches none."""
    order, child = signed.order, children.get(signed.part.child)
    if order is None or order.then is None or child is None or not order.order_qty:
        return ()
    parent, plan, there = parents.get(child.child.parent), child.planned, _there(signed, child)
    if parent is None or plan is None or there is None or child.approved is None:
        return ()  # a journal that lost the plan (see `agent.journal.references`): its entry is told alone
    then, side, ids = order.then, order.side.other, listed_ids(signed.part.cl_ord_id, signed.part.place)
    wanted = min(then.order_qty, order.order_qty)  # what is ordered beyond the entry, the fee takes
    entry, intent, at_ns = parent.parent, parent.parent.intent, signed.at_ns
    told = {name: px for name, px in intent.algo_params if name.startswith("then-")}
    words = {name: told[f"then-{name}"] for name in WORDS if f"then-{name}" in told}
    wish = ParentOrder(
        ids.parent,
        Intent(
            id=ids.intent,
            source=f"exits of {entry.cl_ord_id}",
            side=side,
            base=intent.base,
            quote=intent.quote,
            qty=wanted,
            limit_px=None,
            algo="oco",
            algo_params=tuple(sorted({**words, AFTER: entry.cl_ord_id}.items())),
            max_slippage_bps=intent.max_slippage_bps,
            protection=intent.protection,
            created_ns=at_ns,
            expire_ns=intent.expire_ns + LIFE_NS,
        ),
    )
    piece = ChildOrder(
        cl_ord_id=ids.child,
        parent=ids.parent,
        slice_no=0,
        side=side,
        base=intent.base,
        quote=intent.quote,
        qty=wanted,
        limit_px=None,
        max_slippage_bps=intent.max_slippage_bps,
        protection=intent.protection,
        expire_ns=wish.intent.expire_ns,
        exits=then.exits,
        after=signed.part.cl_ord_id,
    )
    planned = _planned(signed, plan, there, piece, ids.part)
    px = then.exits.profit_px if then.exits.profit_px is not None else then.exits.stop_limit_px
    pair = VenueOrder(
        ids.part, order.symbol, side, OrdType.LIMIT, TimeInForce.GTC, then.order_qty, px, then.exits
    )
    return (
        ev.Accepted(wish, at_ns),
        ev.Sliced(piece, at_ns),
        planned,
        ev.Approved(planned, _reserved(order, child.approved), child.approved.prices, at_ns),
        replace(signed, part=planned.parts[0], order=pair, floor_raw=0),
    )


def _there(signed: ev.Authorized, child: ChildRecord) -> PlaceSummary | None:
    """What the entry's plan says of its exchange."""
    places = child.planned.route.places if child.planned is not None else ()
    return next((one for one in places if one.place == signed.part.place), None)


def _planned(
    signed: ev.Authorized, entry: ev.Planned, there: PlaceSummary, piece: ChildOrder, name: ClOrdId
) -> ev.Planned:
    """At the least that they may bring: one order in the entry's own book, the other way round."""
    assert signed.order is not None and signed.order.then is not None
    part, then = signed.part, signed.order.then
    leg = entry.route.legs[part.legs[0]]
    with localcontext(WIDE):
        mid = 1 / there.mid_px
    back = Part(
        name,
        piece.cl_ord_id,
        part.place,
        1,
        part.asset_out,
        part.asset_in,
        then.in_raw,
        then.out_raw,
        0,
        (0,),
    )
    route = Route(
        sell=part.asset_out,
        buy=part.asset_in,
        in_raw=then.in_raw,
        out_raw=then.out_raw,
        net_out_raw=then.out_raw,
        costs=replace(entry.route.costs, gas_raw=0, transfer_raw=0, fees_raw=0),
        legs=(
            Leg(
                id=leg.id,
                place=part.place,
                asset_in=part.asset_out,
                asset_out=part.asset_in,
                in_raw=then.in_raw,
                out_raw=then.out_raw,
                gas=0,
                fee_raw=0,
                fee_asset=part.asset_in,
                kind=leg.kind,
                qty=then.order_qty,
                px=then.exits.worst_px(piece.side),
            ),
        ),
        places=(
            PlaceSummary(
                place=part.place,
                asset_in=part.asset_out,
                asset_out=part.asset_in,
                in_raw=then.in_raw,
                out_raw=then.out_raw,
                gas=0,
                gas_raw=0,
                fee_raw=0,
                avg_px=mid,
                mid_px=mid,
                impact_bps=Decimal(0),
            ),
        ),
        market_digest=entry.route.market_digest,
    )
    return ev.Planned(piece, route, (back,), entry.arrival_px, entry.touches, entry.native_px, signed.at_ns)


def _reserved(order: VenueOrder, approved: ev.Approved) -> Reservation:
    """Of the day's limit: the entry's share for as much, at the dearest price that its exits trade at. Nothing is held yet that they
    could spend."""
    assert order.then is not None and order.px is not None
    limits = [px for px in (order.then.exits.stop_limit_px, order.then.exits.profit_px) if px is not None]
    with localcontext(WIDE):
        share = order.then.order_qty / order.order_qty * max([Decimal(1), *(px / order.px for px in limits)])
        return Reservation(approved.reservation.notional_usd * share, ())


def attached_to(record: PartRecord) -> ClOrdId | None:
    """The part of the exits that stand behind this entry in its list; None where none do."""
    signed = record.authorized
    order = signed.order if signed is not None else None
    return order.then.cl_ord_id if order is not None and order.then is not None else None


def submitted_with(entry: PartRecord, parts: Mapping[ClOrdId, PartRecord]) -> None:
    """One request carried both."""
    if (exits := _behind(entry, parts)) is not None:
        exits.submitted = True


def rejected_with(entry: PartRecord, parts: Mapping[ClOrdId, PartRecord]) -> None:
    """What refuses an entry refuses its list."""
    if entry.status is OrdStatus.REJECTED and (exits := _behind(entry, parts)) is not None:
        if exits.status is OrdStatus.PENDING_NEW:
            exits.status = OrdStatus.REJECTED


def _behind(entry: PartRecord, parts: Mapping[ClOrdId, PartRecord]) -> PartRecord | None:
    exits = attached_to(entry)
    return parts.get(exits) if exits is not None else None
