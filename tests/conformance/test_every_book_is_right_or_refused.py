"""The acceptance suite, its part on market data: the rules by which each venue's books are kept, and every doubt that refuses one.

Over every module of agent/venues that has a FEED. What its frames look like is shown with recordings (tests/golden); here is what is made of
their meaning. Number 10 of the failures this must survive.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import replace
from decimal import Decimal

import pytest

import agent.venues
from agent.domain.errors import Retry
from agent.market.feed import BookDelta, BookSnapshot, Row
from agent.market.feeds import FeedFacts
from agent.market.ladder import BookRules, Doubt, Ladder, Step

D = Decimal
T0 = 1_800_000_000_000_000_000
SECOND = 10**9
FEEDS: dict[str, FeedFacts] = {
    name: module.FEED
    for name in sorted(m.name for m in pkgutil.iter_modules(agent.venues.__path__))
    if hasattr(module := importlib.import_module(f"agent.venues.{name}"), "FEED")
}
BIDS: tuple[Row, ...] = ((D(100), D(1)), (D(99), D(2)), (D(98), D(3)))
ASKS: tuple[Row, ...] = ((D(101), D(1)), (D(102), D(2)), (D(103), D(3)))


@pytest.fixture(params=FEEDS)
def rules(request: pytest.FixtureRequest) -> BookRules:
    return FEEDS[request.param].rules


def snapshot(seq: int | None = 10, at_ns: int = T0, **more: object) -> BookSnapshot:
    return replace(BookSnapshot("X", BIDS, ASKS, at_ns=at_ns, seq=seq), **more)  # type: ignore[arg-type]


def delta(first: int, last: int | None = None, at_ns: int = T0, **sides: tuple[Row, ...]) -> BookDelta:
    """An update of that number by every way of counting: those that tell the one before, and those that tell the first and the last."""
    last = first if last is None else last
    bids, asks = sides.get("bids", ((D("99.5"), D(5)),)), sides.get("asks", ())
    return BookDelta("X", bids, asks, at_ns=at_ns, first=first, last=last, prev=first - 1)


def loaded(rules: BookRules) -> Ladder:
    ladder = Ladder("X", rules)
    assert ladder.load(snapshot(), T0) is Step.APPLIED
    return ladder


def refused(ladder: Ladder, doubt: Doubt, now_ns: int = T0) -> None:
    """It says why, gives no level, and is told so to whoever would trade on it."""
    with pytest.raises(Retry) as stale:
        ladder.sound(now_ns)
    assert stale.value.code == "STALE_BOOK" and doubt.value in stale.value.message and ladder.doubt is doubt


def healed(ladder: Ladder, at_ns: int = T0) -> None:
    """By a whole snapshot and by nothing else, with no level of before."""
    fresh = BookSnapshot("X", ((D(90), D(7)),), ((D(91), D(8)),), at_ns=at_ns, seq=1_000)
    ladder.apply(delta(999, at_ns=at_ns), at_ns)
    assert ladder.doubt is not None
    ladder.lost(ladder.doubt)
    assert ladder.load(fresh, at_ns) is Step.APPLIED
    assert ladder.sound(at_ns) == (((D(90), D(7)),), ((D(91), D(8)),))


def test_before_a_snapshot_there_is_no_book(rules: BookRules) -> None:
    ladder = Ladder("X", rules)
    ladder.apply(delta(1), T0)
    refused(ladder, Doubt.NOT_LOADED)
    healed(ladder)


def test_a_snapshot_is_the_book_level_by_level(rules: BookRules) -> None:
    assert loaded(rules).sound(T0) == (BIDS, ASKS)


def test_updates_in_sequence_set_replace_and_remove_levels(rules: BookRules) -> None:
    ladder = loaded(rules)
    told = ((D("99.5"), D(5)), (D(99), D("2.5")), (D(98), D(0)))
    assert ladder.apply(delta(11, bids=told), T0) is Step.APPLIED
    assert ladder.apply(delta(12, bids=(), asks=((D(101), D(0)),)), T0) is Step.APPLIED
    bids = ((D(100), D(1)), (D("99.5"), D(5)), (D(99), D("2.5")))
    assert ladder.sound(T0) == (bids, ASKS[1:])


def test_a_removal_of_a_level_that_is_not_there_changes_nothing(rules: BookRules) -> None:
    ladder = loaded(rules)
    assert ladder.apply(delta(11, bids=((D(50), D(0)),)), T0) is Step.APPLIED
    assert ladder.sound(T0) == (BIDS, ASKS)


def test_a_missing_update_is_a_gap(rules: BookRules) -> None:
    ladder = loaded(rules)
    ladder.apply(delta(11), T0)
    assert ladder.apply(delta(13), T0) is Step.STALE
    refused(ladder, Doubt.GAP)
    healed(ladder)


def test_an_update_told_twice_or_late_is_left_aside(rules: BookRules) -> None:
    ladder = loaded(rules)
    ladder.apply(delta(11), T0)
    stands = ladder.sound(T0)
    for _ in range(2):
        assert ladder.apply(delta(11, bids=((D("99.5"), D(999)),)), T0) is Step.OLD
    assert ladder.sound(T0) == stands


def test_an_older_snapshot_takes_nothing_back(rules: BookRules) -> None:
    ladder = loaded(rules)
    ladder.apply(delta(11), T0)
    stands = ladder.sound(T0)
    assert ladder.load(snapshot(seq=9), T0) is Step.OLD
    assert ladder.sound(T0) == stands


def test_bid_and_ask_that_cross_are_no_book(rules: BookRules) -> None:
    for px in (D(101), D(150)):
        ladder = loaded(rules)
        if (
            rules.uncross
        ):  # where books cross for a moment, what was told last stands and the older levels are left out
            assert ladder.apply(delta(11, bids=((px, D(1)),)), T0) is Step.APPLIED
            assert ladder.sound(T0) == (((px, D(1)), *BIDS), tuple(row for row in ASKS if row[0] > px))
            continue
        assert ladder.apply(delta(11, bids=((px, D(1)),)), T0) is Step.STALE
        refused(ladder, Doubt.CROSSED)
        healed(ladder)


def test_a_snapshot_that_crosses_is_none(rules: BookRules) -> None:
    ladder = Ladder("X", rules)
    if rules.uncross:  # told at once, they are taken off each other
        assert ladder.load(snapshot(asks=((D(100), D("1.5")), ASKS[0])), T0) is Step.APPLIED
        assert ladder.sound(T0) == (BIDS[1:], ((D(100), D("0.5")), ASKS[0]))
        return
    assert ladder.load(snapshot(asks=((D(100), D(1)),)), T0) is Step.STALE
    refused(ladder, Doubt.CROSSED)


def test_silence_is_a_doubt_where_its_line_should_speak(rules: BookRules) -> None:
    ladder = loaded(rules)
    if not rules.quiet_ns:
        assert ladder.look(T0 + 3600 * SECOND) is None
        return
    assert ladder.sound(T0 + rules.quiet_ns)
    refused(ladder, Doubt.SILENT, T0 + rules.quiet_ns + 1)
    healed(ladder, T0 + rules.quiet_ns + 1)


def test_a_sign_of_life_keeps_a_quiet_book(rules: BookRules) -> None:
    ladder = loaded(rules)
    for step in range(1, 10):
        now_ns = T0 + step * (rules.quiet_ns or SECOND)
        ladder.alive(now_ns)
        assert ladder.sound(now_ns) == (BIDS, ASKS)


@pytest.mark.parametrize("ahead", [1, -1], ids=["ahead", "behind"])
def test_a_clock_that_is_not_where_it_should_be_is_a_doubt(rules: BookRules, ahead: int) -> None:
    ladder = loaded(rules)
    told_ns = T0 + ahead * (rules.skew_ns + SECOND)
    step = ladder.apply(delta(11, at_ns=told_ns), T0)
    if rules.skew_ns:
        assert step is Step.STALE
        refused(ladder, Doubt.CLOCK)
    else:
        assert step is Step.APPLIED


def test_an_offset_that_was_measured_is_none(rules: BookRules) -> None:
    ladder = Ladder("X", rules, ahead_ns=-3600 * SECOND)
    assert ladder.load(snapshot(at_ns=T0 - 3600 * SECOND), T0) is Step.APPLIED
    assert ladder.apply(delta(11, at_ns=T0 - 3600 * SECOND), T0) is Step.APPLIED


@pytest.mark.parametrize("doubt", [Doubt.LINE, Doubt.FRAME, Doubt.BEHIND], ids=lambda one: one.name.lower())
def test_a_line_that_broke_or_was_not_understood_is_a_doubt_at_once(rules: BookRules, doubt: Doubt) -> None:
    ladder = loaded(rules)
    ladder.lost(doubt)
    refused(ladder, doubt)
    assert (
        ladder.apply(delta(11), T0) is Step.STALE
    )  # what comes in sequence does not heal what was lost between
    refused(ladder, doubt)
    healed(ladder)


def test_a_wrong_checksum_is_a_doubt_where_it_tells_one(rules: BookRules) -> None:
    ladder = loaded(rules)
    if rules.checksum is None:
        assert ladder.apply(replace(delta(11), checksum=1), T0) is Step.APPLIED
        return
    ladder = Ladder("X", rules)
    right = rules.checksum(BIDS, ASKS)
    assert ladder.load(snapshot(checksum=right), T0) is Step.APPLIED
    assert ladder.apply(replace(delta(11), checksum=right), T0) is Step.STALE
    refused(ladder, Doubt.CHECKSUM)


def test_levels_below_what_it_keeps_up_are_forgotten(rules: BookRules) -> None:
    """A level that slid out is not updated any more: it would stand for ever."""
    ladder = Ladder("X", rules)
    many = tuple((D(1_000 - n), D(1)) for n in range((rules.depth or 20) + 5))
    ladder.load(snapshot(bids=many, asks=((D(2_000), D(1)),)), T0)
    assert len(ladder.sound(T0)[0]) == (rules.depth or len(many))


def test_how_often_it_was_in_doubt_is_counted_by_reason(rules: BookRules) -> None:
    ladder = loaded(rules)
    for number in range(3):
        ladder.lost(Doubt.LINE)
        ladder.lost(Doubt.LINE)
        ladder.load(snapshot(seq=100 + number), T0)
    assert ladder.times == {Doubt.LINE: 3}
