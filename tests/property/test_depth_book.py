"""However updates are lost, repeated or delayed, a depth book is the venue's book at its own id, or it is stale."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.venues.binance_spot.depth import DepthBook, Step

D = Decimal
moves = st.lists(
    st.tuples(
        st.booleans(),
        st.integers(0, 8),
        st.integers(0, 3),
        st.sampled_from(("send", "lose", "twice", "late")),
    ),
    max_size=60,
)


@settings(max_examples=200, deadline=None)
@given(moves, st.integers(1, 4))
def test_in_step_or_stale(script: list[tuple[bool, int, int, str]], batch: int) -> None:
    bids, asks = {D(100): D(1)}, {D(200): D(1)}
    history = {1: (dict(bids), dict(asks))}
    book = DepthBook("X")
    book.snapshot(1, bids.items(), asks.items(), 0)
    truth_id, late = 1, None
    for at in range(0, len(script), batch):
        first, rows_b, rows_a = truth_id + 1, {}, {}
        for buy, level, qty, _ in script[at : at + batch]:
            side, rows, px = (bids, rows_b, D(100 - level)) if buy else (asks, rows_a, D(200 + level))
            rows[px] = D(qty)
            if qty:
                side[px] = D(qty)
            else:
                side.pop(px, None)
            truth_id += 1
        history[truth_id] = (dict(bids), dict(asks))
        event = (first, truth_id, list(rows_b.items()), list(rows_a.items()), at)
        how = script[at][3]
        if how == "late":
            late = event
        elif how != "lose":
            for _ in range(2 if how == "twice" else 1):
                book.difference(*event)
            if late is not None:
                assert book.difference(*late) in (Step.OLD, Step.GAP, Step.APPLIED)
                late = None
        if not book.stale:
            assert (book.bids, book.asks) == history[book.last_id]
    if book.stale:
        book.snapshot(truth_id, bids.items(), asks.items(), 9)
    levels = book.levels()
    assert [px for px, _ in levels[0]] == sorted(book.bids, reverse=True)


def test_an_update_that_crosses_is_stale() -> None:
    book = DepthBook("X")
    assert book.snapshot(5, [(D(10), D(1))], [(D(11), D(1))], 0) is Step.APPLIED
    assert book.difference(6, 6, [(D(11), D(2))], [], 1) is Step.CROSSED
    assert book.stale == "bid and ask cross"
    assert book.snapshot(7, [(D(12), D(1))], [(D(11), D(1))], 2) is Step.CROSSED and book.stale
