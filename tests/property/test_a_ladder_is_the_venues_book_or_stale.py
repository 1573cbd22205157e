"""However updates are lost, repeated, delayed or come before their snapshot, a ladder is the venue's book at its own id, or it is in doubt."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.domain.errors import Retry
from agent.market.feed import BookDelta, BookSnapshot
from agent.market.ladder import EARLY, BookRules, Doubt, Ladder, Step

D = Decimal
S = 1_000_000_000
moves = st.lists(
    st.tuples(st.booleans(), st.integers(0, 8), st.integers(0, 3), st.sampled_from(("send", "send", "lose", "twice", "late", "load", "old load"))),
    max_size=60,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(moves, st.sampled_from(("first and last", "previous", "in line")))
def test_in_step_or_in_doubt(script: list[tuple[bool, int, int, str]], counting: str) -> None:
    ladder = Ladder("X", BookRules(overlap=counting != "in line", quiet_ns=0, skew_ns=0))
    bids, asks, truth = {D(100): D(1)}, {D(200): D(1)}, 1
    history = {1: (dict(bids), dict(asks))}
    late: BookDelta | None = None
    for buy, level, qty, how in script:
        side, px = (bids, D(100 - level)) if buy else (asks, D(200 + level))
        before, truth = truth, truth + 1 + qty  # ids jump, as at a venue that counts more than this symbol
        first = before + 1
        if qty:
            side[px] = D(qty)
        else:
            side.pop(px, None)
        history[truth] = (dict(bids), dict(asks))
        rows = ((px, D(qty)),)
        prev = None if counting == "first and last" else before
        delta = BookDelta("X", rows if buy else (), () if buy else rows, first, truth, prev, 0)
        if how == "late":
            late = delta
        elif how != "lose":
            for _ in range(2 if how == "twice" else 1):
                ladder.apply(delta, truth)
            if late is not None:
                ladder.apply(late, truth)
                late = None
        if how in ("load", "old load"):
            at = truth if how == "load" else before
            was = history.get(at, history[truth])
            ladder.load(BookSnapshot("X", tuple(was[0].items()), tuple(was[1].items()), at, 0), truth)
        if ladder.doubt is None:
            assert ladder.seq is not None
            true_bids, true_asks = history[ladder.seq]
            assert ladder.bids() == tuple(sorted(true_bids.items(), reverse=True))
            assert ladder.asks() == tuple(sorted(true_asks.items()))
            assert ladder.sound(truth) == (ladder.bids(), ladder.asks())
        else:
            with pytest.raises(Retry, match="stale"):
                ladder.sound(truth)
    assert len(ladder._early) <= EARLY
    now = BookSnapshot("X", tuple(bids.items()), tuple(asks.items()), truth, 0)
    assert ladder.load(now, truth) in (Step.APPLIED, Step.OLD) and ladder.doubt is None


def book(at_ns: int = 0, **rules: int) -> Ladder:
    ladder = Ladder("X", BookRules(**rules))
    assert ladder.load(BookSnapshot("X", ((D(10), D(1)),), ((D(11), D(1)),), 5, at_ns), at_ns) is Step.APPLIED
    return ladder


def delta(at_ns: int, bid: str = "9", seq: int = 6) -> BookDelta:
    return BookDelta("X", ((D(bid), D(1)),), (), seq, seq, None, at_ns)


def test_silence_a_clock_that_is_off_and_a_crossed_book_are_doubts_with_their_names() -> None:
    quiet = book(S, quiet_ns=2 * S)
    assert quiet.look(3 * S) is None and quiet.look(3 * S + 1) is Doubt.SILENT
    alive = book(S, quiet_ns=2 * S)
    alive.alive(3 * S)
    assert alive.look(5 * S) is None
    off = book(100 * S, skew_ns=10 * S)
    assert off.apply(delta(100 * S), 110 * S) is Step.APPLIED
    assert off.apply(delta(100 * S, seq=7), 110 * S + 1) is Step.STALE and off.doubt is Doubt.CLOCK
    ahead = book(100 * S, skew_ns=10 * S)
    assert ahead.apply(delta(121 * S), 110 * S) is Step.STALE and ahead.doubt is Doubt.CLOCK
    known = book(100 * S, skew_ns=10 * S)
    known.ahead_ns = 11 * S  # measured: the venue is that far ahead of us
    assert known.apply(delta(121 * S), 110 * S) is Step.APPLIED
    crossed = book()
    assert crossed.apply(delta(0, "11"), 0) is Step.STALE and crossed.doubt is Doubt.CROSSED
    assert crossed.apply(delta(0, seq=7), 0) is Step.STALE, "only a whole snapshot makes it sound again"


def test_levels_beyond_what_the_venue_keeps_are_no_ghosts() -> None:
    ladder = Ladder("X", BookRules(depth=2, skew_ns=0))
    rows = tuple((D(px), D(1)) for px in (10, 9, 8))
    ladder.load(BookSnapshot("X", rows, (), 1, 0), 0)
    assert ladder.bids() == rows[:2]
    ladder.apply(BookDelta("X", ((D(11), D(1)),), (), 2, 2, None, 0), 0)
    assert ladder.bids() == ((D(11), D(1)), (D(10), D(1)))
