"""Keeping a book in step: a snapshot, then every difference in sequence, or else the book is called stale.

Rules as published: after a snapshot with id L, differences with u <= L are old; the next one must begin at U <= L + 1,
and each one after it exactly where the last ended. Anything else is a gap, and a gap is never papered over.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from enum import Enum

Row = tuple[Decimal, Decimal]


class Step(Enum):
    APPLIED = "APPLIED"
    OLD = "OLD"
    GAP = "GAP"
    CROSSED = "CROSSED"


class DepthBook:
    """Price levels of one symbol. `at_ns` is when it was last proved to be in sequence; None of it is valid while stale."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.bids: dict[Decimal, Decimal] = {}
        self.asks: dict[Decimal, Decimal] = {}
        self.last_id = 0
        self.at_ns = 0
        self.stale = "not loaded yet"

    def lost(self, why: str) -> None:
        self.stale = why

    def snapshot(self, last_id: int, bids: Iterable[Row], asks: Iterable[Row], now_ns: int) -> Step:
        """Starts afresh: no level of the book before survives."""
        self.bids = {px: qty for px, qty in bids if qty}
        self.asks = {px: qty for px, qty in asks if qty}
        self.last_id, self.at_ns, self.stale = last_id, now_ns, ""
        return self._sound()

    def difference(
        self, first_id: int, last_id: int, bids: Iterable[Row], asks: Iterable[Row], now_ns: int
    ) -> Step:
        """Applies one update; the quantities are absolute, zero removes a level."""
        if last_id <= self.last_id:
            return Step.OLD
        if first_id > self.last_id + 1:
            self.stale = f"update {self.last_id + 1} is missing"
            return Step.GAP
        for side, rows in ((self.bids, bids), (self.asks, asks)):
            for px, qty in rows:
                if qty:
                    side[px] = qty
                else:
                    side.pop(px, None)
        self.last_id, self.at_ns = last_id, now_ns
        return self._sound()

    def _sound(self) -> Step:
        if self.bids and self.asks and max(self.bids) >= min(self.asks):
            self.stale = "bid and ask cross"
            return Step.CROSSED
        return Step.APPLIED

    def levels(self) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
        """(bids, asks), best first."""
        return tuple(sorted(self.bids.items(), reverse=True)), tuple(sorted(self.asks.items()))
