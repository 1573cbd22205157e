"""Where the money went: implementation shortfall against the arrival price, cut into parts that add up exactly. Pure.

For each part, with base quantity q, mid m and touch t of its place when it was planned, arrival price a of the parent:
    a·q − quote received = (a − m)·q drift + (m − t)·q spread + (t·q − quote − fee) impact + fee        (a sale)
and the mirror image for a purchase (A. Perold, "The implementation shortfall", 1988). Gas is added in quote units.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, localcontext

from agent.domain.events import Attributed, Planned
from agent.domain.ids import ClOrdId
from agent.domain.instruments import AssetId
from agent.domain.orders import Side
from agent.domain.routes import PlaceSummary
from agent.domain.units import WIDE, bps_between, qty_exact
from agent.journal.book import Book
from agent.journal.records import PartRecord

ZERO = Decimal(0)


def place_mid(planned: Planned, record: PartRecord) -> Decimal:
    """The mid of the part's place in quote per base."""
    mid = _summary(planned, record).mid_px
    return mid if planned.child.side is Side.SELL else WIDE.divide(1, mid)


def _summary(planned: Planned, record: PartRecord) -> PlaceSummary:
    for summary in planned.route.places:
        if summary.place == record.part.place:
            return summary
    raise LookupError(f"the plan of {record.part.cl_ord_id} has nothing at {record.part.place}")


def fee_in_quote(
    planned: Planned,
    record: PartRecord,
    quote_per_base: Decimal,
    base_assets: set[AssetId],
    decimals: Mapping[AssetId, int],
) -> Decimal:
    """Commissions as the venue took them; a pool's fee as planned, for what was filled of it."""
    with localcontext(WIDE):
        total = ZERO
        for fill in record.fills.values():
            if fill.fee_qty:
                total += fill.fee_qty * (quote_per_base if fill.fee_asset in base_assets else 1)
        if record.on_chain and record.fills:
            for index in record.part.legs:
                leg = planned.route.legs[index]
                if leg.fee_asset in decimals:
                    qty = qty_exact(leg.fee_raw, decimals[leg.fee_asset])
                    total += qty * (quote_per_base if leg.fee_asset in base_assets else 1)
        return total


def attribute(book: Book, parent: ClOrdId, decimals: Mapping[AssetId, int], at_ns: int) -> Attributed:
    """Raises ValueError where nothing of the parent was filled."""
    intent = book.parents[parent].parent.intent
    sign = 1 if intent.side is Side.SELL else -1
    arrival: Decimal | None = None
    qty_base = qty_quote = drift = spread = impact = fees = gas = planned_quote = ZERO
    with localcontext(WIDE):
        for child in book.parents[parent].children:
            planned = book.children[child].planned
            if planned is None:
                continue
            arrival = planned.arrival_px if arrival is None else arrival
            touches, native = dict(planned.touches), dict(planned.native_px)
            for name in book.children[child].parts:
                record = book.parts[name]
                # The wallet's own batches for an offer (its allowance, its end) stand beside it, as children of the part.
                beside = book.parts.values() if record.is_offer else ()
                mine = [record, *(r for r in beside if r.part.child == name)]
                spent = sum(r.gas_wei for r in mine)
                gas += qty_exact(spent, 18) * native.get(record.part.place, ZERO)
                base, quote = record.base_qty(), record.quote_qty()
                if not record.fills:
                    continue
                mid = place_mid(planned, record)
                touch = touches.get(record.part.place, mid)
                side_in = {record.part.asset_in} if record.base_is_in else {record.part.asset_out}
                fee = fee_in_quote(planned, record, mid, side_in, decimals)
                taken_apart = sum(
                    (
                        f.fee_qty * (mid if f.fee_asset in side_in else 1)
                        for f in record.fills.values()
                        if f.fee_asset in (f.asset_in, f.asset_out)
                    ),
                    ZERO,
                )
                inside = fee - taken_apart
                drift += sign * (arrival - mid) * base
                spread += sign * (mid - touch) * base
                impact += sign * (touch * base - quote) - inside
                fees += fee
                qty_base += base
                qty_quote += quote - (sign * taken_apart)
                planned_quote += _planned_quote(planned, record, decimals, base)
        if arrival is None or qty_base == 0:
            raise ValueError("nothing was filled")
        total = drift + spread + impact + fees + gas
        return Attributed(
            parent=parent,
            base=intent.base,
            quote=intent.quote,
            qty_base=qty_base,
            qty_quote=qty_quote,
            avg_px=qty_quote / qty_base,
            arrival_px=arrival,
            drift_cost=drift,
            spread_cost=spread,
            impact_cost=impact,
            fee_cost=fees,
            gas_cost=gas,
            total_cost=total,
            total_bps=bps_between(arrival * qty_base + total, arrival * qty_base),
            against_plan=sign * (planned_quote - qty_quote),
            at_ns=at_ns,
        )


def _planned_quote(
    planned: Planned, record: PartRecord, decimals: Mapping[AssetId, int], base: Decimal
) -> Decimal:
    """The quote amount the plan promised for the base quantity that was filled."""
    part = record.part
    summary = _summary(planned, record)
    planned_in = qty_exact(summary.in_raw, decimals[part.asset_in])
    planned_out = qty_exact(summary.out_raw, decimals[part.asset_out])
    with localcontext(WIDE):
        if record.base_is_in:
            return planned_out * base / planned_in if planned_in else ZERO
        return planned_in * base / planned_out if planned_out else ZERO
