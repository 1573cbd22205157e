"""Books kept from recorded frames are the venue's own, level by level where it says what they are; every update left out is found out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from decimal import Decimal

import pytest
from recordings import asked, heard, minutes

from agent.market.feed import BookDelta, BookSnapshot, Event, Rows, Ticker
from agent.market.ladder import BookRules, Doubt, Ladder, Step
from agent.venues.binance_spot import feed as spot
from agent.venues.binance_usdm import feed as usdm
from agent.venues.coinbase import feed as coinbase
from agent.venues.deribit import feed as deribit
from agent.venues.kraken import feed as kraken

LAST_ID = re.compile(rb'"u":(\d+)')
# another way to keep a book, sharing nothing with ours: two dicts
Plain = dict[str, tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]]]


def plainly(books: Plain, event: BookSnapshot | BookDelta) -> None:
    if isinstance(event, BookSnapshot):
        books[event.symbol] = ({}, {})
    for side, rows in zip(books[event.symbol], (event.bids, event.asks), strict=True):
        side.update(rows)
        for px, qty in rows:
            if not qty:
                side.pop(px, None)


def equal(ladder: Ladder, plain: tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]]) -> bool:
    bids, asks = plain
    return ladder.bids() == tuple(sorted(bids.items(), reverse=True)) and ladder.asks() == tuple(
        sorted(asks.items())
    )


def follow(
    frames: Iterable[tuple[int, tuple[Event, ...]]], rules: BookRules
) -> Iterator[tuple[int, Event, dict[str, Ladder], Plain]]:
    """Every event after it was applied; a delta that is not in step ends the test."""
    ladders: dict[str, Ladder] = {}
    plain: Plain = {}
    for now_ns, events in frames:
        for event in events:
            if isinstance(event, BookSnapshot):
                ladders[event.symbol] = Ladder(event.symbol, rules)
                assert ladders[event.symbol].load(event, now_ns) is Step.APPLIED
                plainly(plain, event)
                assert equal(ladders[event.symbol], plain[event.symbol])
            elif isinstance(event, BookDelta):
                assert ladders[event.symbol].apply(event, now_ns) is Step.APPLIED, ladders[event.symbol].doubt
                plainly(plain, event)
            yield now_ns, event, ladders, plain


def test_kraken_says_the_checksum_of_every_state_and_ours_is_the_same() -> None:
    rules, deltas = replace(kraken.RULES, depth=1_000), 0
    frames = ((at, kraken.decode(frame)) for at, frame in heard("KRAKEN.ws.50"))
    for _, event, ladders, plain in follow(frames, rules):
        if isinstance(event, BookDelta):
            assert event.checksum is not None
            deltas += 1
            if not deltas % 50:
                best = ladders[event.symbol]
                bids, asks = plain[event.symbol]
                assert best.bids(100) == tuple(sorted(bids.items(), reverse=True)[:100])
                assert best.asks(100) == tuple(sorted(asks.items())[:100])
    assert deltas == 4_269 and all(ladder.doubt is None for ladder in ladders.values())


def test_coinbase_tells_the_touch_with_each_trade_and_ours_is_the_same() -> None:
    same = other = 0
    for _, event, ladders, plain in follow(  # noqa: B007
        ((at, coinbase.decode(frame)) for at, frame in heard("COINBASE.ws.28")), coinbase.RULES
    ):
        if isinstance(event, Ticker) and event.symbol in ladders:
            (bid, ask) = ladders[event.symbol].touch()
            agrees = bid is not None and ask is not None and (bid[0], ask[0]) == (event.bid, event.ask)
            same, other = same + agrees, other + (not agrees)
    assert all(equal(ladder, plain[symbol]) for symbol, ladder in ladders.items())
    # a ticker is sent on another channel than the book, and is up to a few updates apart from it
    assert len(ladders) == 10 and same > 3 * other, (same, other)


def test_deribit_numbers_each_change_and_the_touch_it_tells_is_ours() -> None:
    compared, touches = 0, {}
    for _, event, ladders, plain in follow(
        ((at, deribit.decode(frame)) for at, frame in heard("DERIBIT.ws.1")), deribit.RULES
    ):
        if isinstance(event, Ticker):
            touches[event.symbol] = event
        elif isinstance(event, BookDelta | BookSnapshot):
            assert equal(ladders[event.symbol], plain[event.symbol])
            told = touches.get(event.symbol)
            if told is not None and told.at_ns == event.at_ns:
                bid, ask = ladders[event.symbol].touch()
                assert (bid or (None,))[0] == told.bid and (ask or (None,))[0] == told.ask
                compared += 1
    assert len(ladders) == 10 and compared > 5


def six_minutes(market: str, touches: bool = True) -> Iterator[tuple[int, tuple[Event, ...]]]:
    """Books, and the touches told for a state that a book is ever in; the others are read elsewhere."""
    module = spot if market == "spot" else usdm
    frames = [one for one in minutes(market) if b"@trade" not in one[1]]
    states = {LAST_ID.findall(frame)[-1] for _, frame in frames if b"@depth" in frame} if touches else set()
    for at, frame in frames:
        if b'"lastUpdateId"' in frame:
            yield at, module.depth("BTCUSDT", frame)
        elif b"@depth" in frame or (touches and LAST_ID.findall(frame)[-1] in states):
            yield at, module.decode(frame)


def binance(market: str, least: int) -> None:
    ladder, plain = Ladder("BTCUSDT", BookRules(overlap=True)), {}
    early: list[BookDelta] = []
    touch: dict[int, Ticker] = {}
    compared = 0
    for now_ns, events in six_minutes(market):
        for event in events:
            if isinstance(event, Ticker) and event.seq is not None:
                touch[event.seq] = event
            elif isinstance(event, BookSnapshot):
                assert ladder.load(event, now_ns) is Step.APPLIED
                plainly(plain, event)
                for one in early:
                    if one.last > event.seq:  # type: ignore[operator]
                        plainly(plain, one)
                assert equal(ladder, plain["BTCUSDT"])
            elif isinstance(event, BookDelta) and ladder.seq is None:
                assert ladder.apply(event, now_ns) is Step.STALE
                early.append(event)
            elif isinstance(event, BookDelta):
                step = ladder.apply(event, now_ns)
                assert step is Step.APPLIED or step is Step.OLD
                if step is Step.APPLIED:
                    plainly(plain, event)
                if (told := touch.get(event.last or 0)) is not None:
                    bid, ask = ladder.touch()
                    assert bid == (told.bid, told.bid_qty) and ask == (told.ask, told.ask_qty)
                    compared += 1
    assert ladder.doubt is None and compared >= least
    assert equal(ladder, plain["BTCUSDT"])


def test_six_minutes_of_binance_spot_agree_with_the_touch_it_tells_price_and_quantity() -> None:
    binance("spot", 500)


def test_six_minutes_of_binance_usdm_agree_with_the_touch_it_tells_price_and_quantity() -> None:
    binance("usdm", 500)


def gaps(deltas: list[BookDelta], start: BookSnapshot, rules: BookRules, every: int) -> tuple[int, int]:
    """(planted, found): one delta in `every` is left out; at the next one our book must be stale, and is loaded anew from the truth."""
    truth, ours = Ladder(start.symbol, rules), Ladder(start.symbol, rules)
    for ladder in (truth, ours):
        assert ladder.load(start, start.at_ns) is Step.APPLIED
    planted = found = 0
    missing = False
    for number, delta in enumerate(deltas):
        step = truth.apply(delta, delta.at_ns)
        assert step is not Step.STALE
        if step is Step.OLD:
            continue
        if number % every == every - 1 and not missing:
            planted, missing = planted + 1, True
            continue
        heard_as = ours.apply(delta, delta.at_ns)
        if missing:
            found += heard_as is Step.STALE and ours.doubt is Doubt.GAP
            missing = False
            again = BookSnapshot(start.symbol, truth.bids(), truth.asks(), truth.seq, delta.at_ns)
            assert ours.load(again, delta.at_ns) is Step.APPLIED
        assert ours.doubt is None and ours.touch() == truth.touch()
    return planted - missing, found


def left_out_of_binance(every: int, most: int | None) -> tuple[int, int]:
    planted = found = 0
    for market in ("spot", "usdm"):
        events = [event for _, told in six_minutes(market, False) for event in told]
        (start,) = [event for event in events if isinstance(event, BookSnapshot)]
        later = [event for event in events if isinstance(event, BookDelta) and (event.last or 0) > start.seq][:most]  # type: ignore[operator]  # fmt: skip
        rules = BookRules(overlap=True, skew_ns=0)
        these, those = gaps(later, replace(start, at_ns=later[0].at_ns), rules, every)
        planted, found = planted + these, found + those
    return planted, found


def test_updates_left_out_of_binance_are_found_at_the_next_one() -> None:
    planted, found = left_out_of_binance(30, 1_800)
    assert planted == found >= 118


@pytest.mark.full
def test_every_other_update_left_out_of_binance_is_found_at_the_next_one() -> None:
    planted, found = left_out_of_binance(2, None)
    assert planted == found > 3_000


def test_every_update_left_out_of_an_older_capture_and_of_deribit_is_found() -> None:
    found_in: dict[str, tuple[int, int]] = {}
    captures = (("BINANCE.ws.1", spot, BookRules(overlap=True, skew_ns=0)), ("DERIBIT.ws.1", deribit, replace(deribit.RULES, skew_ns=0)))  # fmt: skip
    for capture, module, rules in captures:
        deltas: dict[str, list[BookDelta]] = {}
        starts: dict[str, BookSnapshot] = {}
        if module is spot:
            for url, body in asked("BINANCE.http.0"):
                symbol = url.partition("symbol=")[2].partition("&")[0]
                (start,) = spot.depth(symbol, body)
                assert isinstance(start, BookSnapshot)
                starts[symbol] = start
        for _, frame in heard(capture):
            for event in module.decode(frame):
                if isinstance(event, BookSnapshot):
                    starts[event.symbol] = event
                elif isinstance(event, BookDelta):
                    deltas.setdefault(event.symbol, []).append(event)
        sums = [
            gaps([d for d in told if (d.last or 0) > (starts[symbol].seq or 0)], starts[symbol], rules, 2)
            for symbol, told in deltas.items()
        ]
        found_in[capture] = sum(planted for planted, _ in sums), sum(found for _, found in sums)
    assert found_in["BINANCE.ws.1"][0] == found_in["BINANCE.ws.1"][1] > 30
    assert found_in["DERIBIT.ws.1"][0] == found_in["DERIBIT.ws.1"][1] > 5


def best(ladder: Ladder) -> tuple[Rows, Rows]:
    return ladder.bids(10), ladder.asks(10)


def test_with_updates_of_kraken_left_out_no_book_is_sound_whose_best_ten_levels_are_others() -> None:
    """A checksum covers ten levels a side: what is lost below them shows when it comes up, and not a moment later."""
    rules = replace(kraken.RULES, depth=1_000, skew_ns=0)
    truth: dict[str, Ladder] = {}
    ours: dict[str, Ladder] = {}
    planted = showed = found = late = 0
    for now_ns, frame in heard("KRAKEN.ws.50"):
        for event in kraken.decode(frame):
            if isinstance(event, BookSnapshot):
                for ladders in (truth, ours):
                    ladders[event.symbol] = Ladder(event.symbol, rules)
                    ladders[event.symbol].load(event, now_ns)
            if not isinstance(event, BookDelta):
                continue
            right, mine = truth[event.symbol], ours[event.symbol]
            right.apply(event, now_ns)
            planted += 1
            if planted % 7 == 0:
                continue
            before = mine.doubt
            mine.apply(event, now_ns)
            differs = best(mine) != best(right)
            showed += differs and before is None
            found += mine.doubt is Doubt.CHECKSUM and before is None
            late += mine.doubt is None and differs
            if mine.doubt is not None:
                again = BookSnapshot(event.symbol, right.bids(), right.asks(), None, 0)
                assert mine.load(again, now_ns) is Step.APPLIED
    assert late == 0 and showed == found > 200
