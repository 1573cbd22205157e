"""Books of a venue that lets bid and ask cross for a moment: of two levels that cross, the older one has gone. Pure.

A venue without one place where its book is kept (dYdX: each block has another proposer) tells updates of several books as one. What was
told last is nearest to what stands; of two levels told at once the quantities are taken off each other, which leaves what would remain
if they traded. A level that is taken away so comes back as soon as the venue tells it again.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Protocol

from agent.market.feed import Rows

ZERO = Decimal(0)


class Half(Protocol):
    """One side of a ladder: prices ascending, quantities beside them."""

    prices: list[Decimal]
    qtys: list[Decimal]

    def put(self, rows: Rows) -> None: ...


class Ages:
    """When each level was told last, by the count of what was told."""

    def __init__(self) -> None:
        self._now = 0
        self._bids: dict[Decimal, int] = {}
        self._asks: dict[Decimal, int] = {}

    def load(self, bids: Rows, asks: Rows) -> None:
        """A whole book: all of it of one age."""
        self._bids, self._asks = {}, {}
        self.told(bids, asks)

    def told(self, bids: Rows, asks: Rows) -> None:
        """New quantities; none takes a level's age away with it."""
        self._now += 1
        for ages, rows in ((self._bids, bids), (self._asks, asks)):
            for px, qty in rows:
                if qty:
                    ages[px] = self._now
                else:
                    ages.pop(px, None)

    def uncross(self, bids: Half, asks: Half) -> None:
        """Takes away until the best bid is below the best ask, or a side is empty."""
        while bids.prices and asks.prices and bids.prices[-1] >= asks.prices[0]:
            bid, ask = bids.prices[-1], asks.prices[0]
            older = self._bids.get(bid, 0) - self._asks.get(ask, 0)
            both = min(bids.qtys[-1], asks.qtys[0])
            if older <= 0:
                self._less(bids, self._bids, bid, bids.qtys[-1] - both if older == 0 else ZERO)
            if older >= 0:
                self._less(asks, self._asks, ask, asks.qtys[0] - both if older == 0 else ZERO)

    @staticmethod
    def _less(half: Half, ages: dict[Decimal, int], px: Decimal, left: Decimal) -> None:
        half.put(((px, left),))
        if not left:
            ages.pop(px, None)
