"""What Binance tells of an account alike, spot and futures: executions and orders, read into the common nouns. Pure.

A trade is named SYMBOL:TRADE, for the venue counts trades by symbol. Quantities are gross; the commission stands beside them in its own
asset, and a rebate counts as none. Source: the venue's published REST and stream documentation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agent.domain.ids import ClOrdId
from agent.domain.instruments import Place, cex_id
from agent.domain.order_state import OrdStatus
from agent.domain.orders import Side
from agent.domain.reports import Fill, OrderSnapshot
from agent.domain.units import ZERO
from agent.market.reading import above_zero, ns_of_ms, whole
from agent.market.reading import name as text_of
from agent.market.reading import number as exact
from agent.ports import VenueInstrument


class AccountReader:
    """Needs to know what a symbol is made of: `known`, which grows as markets are loaded."""

    def __init__(
        self, venue: str, known: Mapping[str, VenueInstrument], status: Mapping[str, OrdStatus]
    ) -> None:
        self.venue, self.place, self._known, self._status = venue, Place(f"cex:{venue}"), known, status

    def fill(
        self, symbol: str, side: Side, trade_id: int, px: str, qty: str, fee: str, fee_asset: str, at_ms: int
    ) -> Fill:
        """`qty` in the symbol's base (a coin, or contracts), `px` in its quote for one. Raises KeyError, TypeError, ValueError."""
        instrument = self._known[symbol]
        base, quote = cex_id(self.venue, instrument.base), cex_id(self.venue, instrument.quote)
        base_qty = above_zero(qty)
        quote_qty = above_zero(px) * base_qty
        buys = side is Side.BUY
        return Fill(
            exec_id=f"{symbol}:{whole(trade_id)}",
            place=self.place,
            asset_in=quote if buys else base,
            asset_out=base if buys else quote,
            qty_in=quote_qty if buys else base_qty,
            qty_out=base_qty if buys else quote_qty,
            fee_asset=cex_id(self.venue, text_of(fee_asset)),
            fee_qty=max(exact(fee), ZERO),
            at_ns=ns_of_ms(at_ms),
        )

    def _snapshot(self, data: Any, cl_ord_id: str, at_ms: int, fills: tuple[Fill, ...]) -> OrderSnapshot:
        px, qty, done = exact(data["price"]), above_zero(data["origQty"]), exact(data["executedQty"])
        if px < 0 or not 0 <= done <= qty:
            raise ValueError(f"{done} done of {qty} at {px}")
        return OrderSnapshot(
            ClOrdId(text_of(cl_ord_id)),
            str(whole(data["orderId"])),
            text_of(data["symbol"]),
            Side(data["side"]),
            self._status[data["status"]],
            qty,
            px if px else None,
            done,
            fills,
            ns_of_ms(at_ms),
        )


__all__ = ["AccountReader"]
