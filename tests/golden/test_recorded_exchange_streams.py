"""Minutes of a real exchange's raw feed: our book agrees with the touch it tells, and it can be traded against here."""

from __future__ import annotations

import gzip
import itertools
import os
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from agent.app.testvenue.engine import Engine, NewOrder
from agent.app.testvenue.liquidity import Tape, read_tape, tape_specs
from agent.market.feed import BookDelta, BookSnapshot, Ticker
from agent.market.ladder import Ladder, Step
from agent.venues.binance_spot import feed

DATA = Path(os.environ.get("FAIRLEAD_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"))


def recorded(name: str) -> Path:
    path = DATA / "exchange-streams" / name
    if not path.exists():
        pytest.skip(f"the recording is not here: {path}")
    return path


def test_the_book_agrees_with_the_touch_it_was_told() -> None:
    touch: dict[int, tuple[Decimal | None, Decimal | None]] = {}
    book, compared = Ladder("BTCUSDT", replace(feed.RULES, skew_ns=0, quiet_ns=0)), 0
    with gzip.open(recorded("hftbacktest__spot_btcusdt_20240808.gz"), "rt") as file:
        for line in itertools.islice(file, 9_000):
            text = line[line.index("{") :]
            if "lastUpdateId" in text:
                (snapshot,) = feed.depth("BTCUSDT", text)
                assert isinstance(snapshot, BookSnapshot)
                assert (
                    book.load(snapshot, 0) is Step.APPLIED
                )  # with what was heard before it, some of it newer
                continue
            (event,) = feed.decode(text)
            if isinstance(event, Ticker) and event.seq is not None:
                touch[event.seq] = event.bid, event.ask
            elif isinstance(event, BookDelta):
                loaded = book.doubt is None
                step = book.apply(event, 0)
                assert step is not Step.STALE or not loaded
                if step is Step.APPLIED and event.last in touch:
                    bid, ask = book.touch()
                    assert bid is not None and ask is not None and (bid[0], ask[0]) == touch[event.last]
                    compared += 1
    assert compared > 50


def test_a_recording_is_traded_against_and_money_is_conserved() -> None:
    paths = [recorded("hftbacktest__spot_btcusdt_20240808.gz")]
    (spec,) = tape_specs(paths)
    assert (spec.base, spec.quote, spec.tick, spec.lot) == (
        "BTC",
        "USDT",
        Decimal("0.01"),
        Decimal("0.00001"),
    )
    engine, tape = Engine([spec], Decimal("0.001"), Decimal("0.001")), Tape()
    engine.deposit("me", "BTC", Decimal(5))
    book, filled = engine.books["BTCUSDT"], Decimal(0)
    for number, event in enumerate(itertools.islice(read_tape(paths), 2_500)):
        tape.apply(engine, event, number)
        bid, ask = book.bids.best(), book.asks.best()
        assert bid is None or ask is None or bid < ask
        if number % 500 == 499:
            request = NewOrder(
                "me", "BTCUSDT", f"n{number}", "SELL", "MARKET", "GTC", None, Decimal("0.5"), None
            )
            outcome = engine.place(request, number)
            assert outcome.order is not None and outcome.order.status == "FILLED"
            filled += outcome.order.executed
    assert filled == Decimal("2.5")
    assert engine.total("BTC") == 5 and engine.total("USDT") == 0
    assert len(engine.trades) > 300


def test_four_markets_of_an_older_recording() -> None:
    paths = [recorded("cryptofeed__BINANCE.http.0.0.zst"), recorded("cryptofeed__BINANCE.ws.1.0.zst")]
    specs = tape_specs(paths)
    assert {spec.symbol for spec in specs} == {"NKNUSDT", "BLZETH", "LRCBTC", "RUNEEUR"}
    engine, tape = Engine(specs, Decimal(0), Decimal(0)), Tape()
    for number, event in enumerate(read_tape(paths)):
        tape.apply(engine, event, number)
    for spec in specs:
        bid, ask = engine.books[spec.symbol].bids.best(), engine.books[spec.symbol].asks.best()
        assert bid is not None and ask is not None and bid < ask
