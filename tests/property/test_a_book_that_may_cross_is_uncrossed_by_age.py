"""Any updates of a book that may cross: what is kept never crosses, what was told last stands, and nothing is left that was not told."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.market.feed import BookDelta, BookSnapshot, Rows
from agent.market.ladder import BookRules, Ladder, Step

D = Decimal
RULES = BookRules(quiet_ns=0, skew_ns=0, uncross=True)
level = st.tuples(st.integers(95, 105).map(D), st.integers(0, 3).map(D))
rows = st.lists(level, max_size=4, unique_by=lambda one: one[0]).map(tuple)


def uncrossed(told: list[tuple[Rows, Rows]]) -> tuple[Rows, Rows]:
    """The plain way: the levels with their ages, and the older of the two best ones taken away until none cross."""
    bids: dict[D, tuple[D, int]] = {}
    asks: dict[D, tuple[D, int]] = {}
    for age, halves in enumerate(told):
        for side, changes in zip((bids, asks), halves, strict=True):
            for px, qty in changes:
                side.pop(px, None)
                if qty:
                    side[px] = qty, age
        while bids and asks and max(bids) >= min(asks):
            bid, ask = max(bids), min(asks)
            (bid_qty, bid_age), (ask_qty, ask_age) = bids[bid], asks[ask]
            if bid_age < ask_age:
                del bids[bid]
            elif ask_age < bid_age:
                del asks[ask]
            else:
                for side, px, left in ((bids, bid, bid_qty - ask_qty), (asks, ask, ask_qty - bid_qty)):
                    del side[px]
                    if left > 0:
                        side[px] = left, bid_age
    best = tuple((px, bids[px][0]) for px in sorted(bids, reverse=True))
    return best, tuple((px, asks[px][0]) for px in sorted(asks))


@settings(max_examples=60)
@given(first=st.tuples(rows, rows), later=st.lists(st.tuples(rows, rows), max_size=8))
def test_it_is_the_book_of_the_plain_way_after_every_update(
    first: tuple[Rows, Rows], later: list[tuple[Rows, Rows]]
) -> None:
    ladder, told = Ladder("X", RULES), [first]
    assert ladder.load(BookSnapshot("X", *first, None, 0), 1) is Step.APPLIED
    for bids, asks in later:
        assert ladder.sound(1) == uncrossed(told)
        told.append((bids, asks))
        assert ladder.apply(BookDelta("X", bids, asks, None, None, None, 0), 1) is Step.APPLIED
    bids, asks = ladder.sound(1)
    assert (bids, asks) == uncrossed(told)
    assert not (bids and asks) or bids[0][0] < asks[0][0]


@settings(max_examples=40)
@given(first=st.tuples(rows, rows), px=st.integers(95, 105).map(D), buy=st.booleans())
def test_what_was_told_last_and_alone_always_stands(first: tuple[Rows, Rows], px: D, buy: bool) -> None:
    ladder = Ladder("X", RULES)
    ladder.load(BookSnapshot("X", *first, None, 0), 1)
    new = ((px, D(9)),)
    ladder.apply(BookDelta("X", new if buy else (), () if buy else new, None, None, None, 0), 1)
    bids, asks = ladder.sound(1)
    assert (px, D(9)) in (bids if buy else asks)
