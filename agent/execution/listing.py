"""The exits that go with an entry in one list, made concrete: on the tick and the lot, no worse than was typed. Pure."""

from __future__ import annotations

from collections.abc import Callable
from decimal import localcontext

from agent.domain.errors import Reject
from agent.domain.instruments import AssetId
from agent.domain.order_lists import listed_ids
from agent.domain.orders import Attached, Exits, Part, Side, VenueOrder
from agent.domain.units import WIDE, mul_exact, quantize_down, quantize_up, raw_down, raw_exact, raw_up
from agent.ports import VenueInstrument


def on_tick(exits: Exits, side: Side, instrument: VenueInstrument) -> Exits:
    """Each price as typed or better for us: a sale's rounded up, a purchase's down. Raises Reject EXIT_BELOW_TICK where that leaves none."""
    rounded = quantize_up if side is Side.SELL else quantize_down
    typed = exits.stop_px, exits.stop_limit_px, exits.profit_px
    found = [None if px is None else rounded(px, instrument.tick) for px in typed]
    if any(px is not None and px <= 0 for px in found):
        raise Reject(
            "EXIT_BELOW_TICK",
            f"{instrument.symbol} trades in steps of {instrument.tick}: a price of the exits is nothing there",
            "give exits further from zero, or a smaller --max-slippage-bps",
        )
    return Exits(*found)


def attached(
    order: VenueOrder,
    part: Part,
    exits: Exits,
    instrument: VenueInstrument,
    decimals: Callable[[AssetId], int],
) -> Attached:
    """The exits behind `order`, the entry that `part` is. Where the fee is taken of what is bought, less arrives than was ordered: exits that
    sell are of what arrives, for an exchange refuses more, and those that buy back order as much more as the fee takes."""
    side, qty = order.side.other, order.order_qty
    base, quote = (
        (part.asset_out, part.asset_in) if order.side is Side.BUY else (part.asset_in, part.asset_out)
    )
    prices = on_tick(exits, side, instrument)
    if not (instrument.fee_in_quote or instrument.contract):  # no fee is taken of a contract
        left_bps = 10_000 - max(instrument.taker_fee_bps, instrument.maker_fee_bps)
        with localcontext(WIDE):
            if side is Side.SELL:
                qty = quantize_down(qty * left_bps / 10_000, instrument.lot)
            else:
                qty = quantize_up(qty * 10_000 / left_bps, instrument.lot)
    worst = mul_exact(qty, prices.worst_px(side))
    given, got = raw_exact(qty, decimals(base)), raw_down(worst, decimals(quote))
    if side is Side.BUY:
        given, got = raw_up(worst, decimals(quote)), given
    return Attached(listed_ids(part.cl_ord_id, part.place).part, qty, prices, given, got)
