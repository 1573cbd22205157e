"""One symbol's book kept in step with its venue, or called stale with the reason. Pure: the time is an argument.

What makes it stale, whatever the venue: a gap in its sequence, a checksum that is not ours, bid and ask crossed, silence, a venue's
clock that is not where it should be, a line that broke. Nothing but a whole snapshot makes it sound again, and `sound` is the one
way to its levels: nothing routes on a stale book.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum

from agent.domain.errors import Retry
from agent.market.feed import BookDelta, BookSnapshot, Row, Rows
from agent.market.uncross import Ages

EARLY = 512
"""Updates kept for a snapshot that is on its way: a minute of a busy book."""


class Step(Enum):
    APPLIED = "APPLIED"
    OLD = "OLD"
    STALE = "STALE"


class Doubt(Enum):
    """Why a book may not be used."""

    NOT_LOADED = "not loaded yet"
    GAP = "an update is missing"
    CHECKSUM = "the venue's checksum is another"
    CROSSED = "bid and ask cross"
    SILENT = "nothing was heard for too long"
    CLOCK = "the venue's clock is not where it should be"
    LINE = "the connection is down"
    FRAME = "a frame could not be read"
    BEHIND = "updates came faster than they could be taken"


Checksum = Callable[[Rows, Rows], int]
"""(best bids, best asks), best first, to what the venue would say."""


@dataclass(frozen=True, slots=True)
class BookRules:
    """How one venue counts. `overlap`: snapshots come another way than deltas, and the first delta may begin before one.

    `depth`: levels a side that the venue keeps up to date, 0: all. `quiet_ns`: silence that is too long, `skew_ns`: how far the
    venue's time may be from ours, both ways; 0 does not look. `uncross`: its book may cross for a moment (`agent.market.uncross`), and
    of levels that do the older one is left out instead.
    """

    overlap: bool = False
    depth: int = 0
    checksum: Checksum | None = None
    checked: int = 10
    quiet_ns: int = 5_000_000_000
    skew_ns: int = 10_000_000_000
    uncross: bool = False


class _Half:
    """One side: prices ascending, quantities beside them. Top of a bid side is its end."""

    __slots__ = ("prices", "qtys")

    def __init__(self) -> None:
        self.prices: list[Decimal] = []
        self.qtys: list[Decimal] = []

    def load(self, rows: Rows) -> None:
        kept = sorted({px: qty for px, qty in rows if qty}.items())
        self.prices = [px for px, _ in kept]
        self.qtys = [qty for _, qty in kept]

    def put(self, rows: Rows) -> None:
        prices, qtys = self.prices, self.qtys
        for px, qty in rows:
            at = bisect_left(prices, px)
            if at < len(prices) and prices[at] == px:
                if qty:
                    prices[at], qtys[at] = px, qty
                else:
                    del prices[at], qtys[at]
            elif qty:
                prices.insert(at, px)
                qtys.insert(at, qty)


class Ladder:
    """`ahead_ns` is how far the venue's clock was measured to be before ours; `times` counts how often a sound book came into which doubt."""

    def __init__(self, symbol: str, rules: BookRules, ahead_ns: int = 0) -> None:
        self.symbol, self.rules, self.ahead_ns = symbol, rules, ahead_ns
        self.seq: int | None = None
        self.heard_ns = 0
        self.doubt: Doubt | None = Doubt.NOT_LOADED
        self.updates = 0
        self.times: Counter[Doubt] = Counter()
        self._bids, self._asks = _Half(), _Half()
        self._ages = Ages() if rules.uncross else None
        self._loaded = False
        self._early: deque[BookDelta] = deque(maxlen=EARLY)

    def lost(self, doubt: Doubt) -> Step:
        self._early.clear()
        return self._doubted(doubt)

    def _doubted(self, doubt: Doubt) -> Step:
        if self.doubt is None:
            self.times[doubt] += 1
        self.doubt = doubt
        return Step.STALE

    def load(self, event: BookSnapshot, now_ns: int) -> Step:
        """Starts afresh: no level of the book before survives. An older snapshot than what stands is left aside."""
        if self.doubt is None and event.seq is not None and self.seq is not None and event.seq < self.seq:
            return Step.OLD
        self._bids.load(event.bids)
        self._asks.load(event.asks)
        if self._ages is not None:
            self._ages.load(event.bids, event.asks)
            self._ages.uncross(self._bids, self._asks)
        self.seq, self.doubt, self._loaded = event.seq, None, True
        early, self._early = self._early, deque(maxlen=EARLY)
        step = self._prove(event.checksum, event.at_ns, now_ns)
        for one in early:  # once one of them leaves a gap, it and what follows wait for another snapshot
            if step is not Step.STALE or self.doubt is Doubt.GAP:
                step = self.apply(one, now_ns)
        return Step.APPLIED if self.doubt is None else Step.STALE

    def apply(self, event: BookDelta, now_ns: int) -> Step:
        """One update in sequence. STALE leaves the levels as they are, and unusable; where a snapshot comes another way than the
        updates, what is heard before it is kept for it, so much and no more."""
        if self.doubt is not None:
            if self.rules.overlap:
                self._early.append(event)
            return Step.STALE
        if event.last is not None and self.seq is not None:
            if event.last <= self.seq:
                return Step.OLD
            if not self._follows(event, self.seq):
                if self.rules.overlap:
                    self._early.append(event)  # the snapshot that heals may be older than this
                return self._doubted(Doubt.GAP)
            self.seq = event.last
        self._loaded = False
        self._bids.put(event.bids)
        self._asks.put(event.asks)
        if self._ages is not None:
            self._ages.told(event.bids, event.asks)
            self._ages.uncross(self._bids, self._asks)
        self.updates += len(event.bids) + len(event.asks)
        return self._prove(event.checksum, event.at_ns, now_ns)

    def _follows(self, event: BookDelta, seq: int) -> bool:
        if self._loaded and self.rules.overlap:
            begins = event.prev if event.prev is not None else (event.first or 0) - 1
            return begins <= seq
        if event.prev is not None:
            return event.prev == seq
        return event.first is not None and event.first <= seq + 1

    def _prove(self, checksum: int | None, at_ns: int, now_ns: int) -> Step:
        self.heard_ns = now_ns
        rules, bids, asks = self.rules, self._bids.prices, self._asks.prices
        if rules.depth:
            if len(bids) > rules.depth:
                del bids[: -rules.depth], self._bids.qtys[: -rules.depth]
            if len(asks) > rules.depth:
                del asks[rules.depth :], self._asks.qtys[rules.depth :]
        if bids and asks and bids[-1] >= asks[0]:
            return self.lost(Doubt.CROSSED)
        if checksum is not None and rules.checksum is not None:
            if rules.checksum(self.bids(rules.checked), self.asks(rules.checked)) != checksum:
                return self.lost(Doubt.CHECKSUM)
        if at_ns and rules.skew_ns and abs(now_ns + self.ahead_ns - at_ns) > rules.skew_ns:
            return self.lost(Doubt.CLOCK)
        return Step.APPLIED

    def alive(self, now_ns: int) -> None:
        """A sign of life of the line this book hangs on, after which an update would have come in sequence."""
        self.heard_ns = now_ns

    def look(self, now_ns: int) -> Doubt | None:
        """The doubt there is now; silence makes one."""
        if self.doubt is None and self.rules.quiet_ns and now_ns - self.heard_ns > self.rules.quiet_ns:
            self._doubted(Doubt.SILENT)
        return self.doubt

    def bids(self, most: int | None = None) -> Rows:
        """Best first, stale or not: for whoever compares. `sound` is for whoever trades."""
        prices, qtys = self._bids.prices, self._bids.qtys
        cut = slice(None, None if most is None else -most - 1, -1)
        return tuple(zip(prices[cut], qtys[cut], strict=True))

    def asks(self, most: int | None = None) -> Rows:
        prices, qtys = self._asks.prices[:most], self._asks.qtys[:most]
        return tuple(zip(prices, qtys, strict=True))

    def touch(self) -> tuple[Row | None, Row | None]:
        """(best bid, best ask), None for an empty side."""
        bids, asks = self._bids, self._asks
        return (
            (bids.prices[-1], bids.qtys[-1]) if bids.prices else None,
            (asks.prices[0], asks.qtys[0]) if asks.prices else None,
        )

    def sound(self, now_ns: int) -> tuple[Rows, Rows]:
        """(bids, asks), best first. Raises Retry STALE_BOOK for a book in doubt."""
        doubt = self.look(now_ns)
        if doubt is not None:
            raise Retry(
                "STALE_BOOK",
                f"the book of {self.symbol} is stale: {doubt.value}",
                "it is being fetched again",
            )
        return self.bids(), self.asks()
