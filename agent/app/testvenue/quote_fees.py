"""The spot engine of exchanges that charge in the quote, beside what changes hands, and not in what is received."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal

from agent.app.testvenue.book import FEES, HOUSE, Order
from agent.app.testvenue.engine import Engine, NewOrder
from agent.app.testvenue.spec import EIGHT, ZERO, VenueError


class QuoteFees(Engine):
    """Takes every fee in the quote, beside what changes hands."""

    def _afford(self, request: NewOrder) -> None:
        super()._afford(request)
        if request.side == "BUY":
            quote = self.specs[request.symbol].quote
            needed = self._needed(request) * (1 + self.taker_rate)
            if self.free.get((request.account, quote), ZERO) < needed:
                raise VenueError(-2010, "Account has insufficient balance for requested action.")

    def _pay(self, order: Order, qty: Decimal, px: Decimal, rate: Decimal) -> tuple[Decimal, str]:
        quote = self.specs[order.symbol].quote
        super()._pay(order, qty, px, ZERO)
        commission = ZERO if order.account == HOUSE else (qty * px * rate).quantize(EIGHT, ROUND_DOWN)
        self._credit(order.account, quote, -commission)
        self._credit(FEES, quote, commission)
        return commission, quote
