"""Minutes of a real exchange's raw feed: our book agrees with the touch it tells, and it can be traded against here."""

from __future__ import annotations

import itertools
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from agent.app.testvenue.engine import Engine, NewOrder
from agent.app.testvenue.liquidity import Tape, read_tape, tape_specs
from agent.venues.binance_spot import codec
from agent.venues.binance_spot.depth import DepthBook, Step

DATA = Path(os.environ.get("FAIRLEAD_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"))


def recorded(name: str) -> Path:
    path = DATA / "exchange-streams" / name
    if not path.exists():
        pytest.skip(f"the recording is not here: {path}")
    return path


def test_the_book_agrees_with_the_touch_it_was_told() -> None:
    import gzip

    book, compared = DepthBook("BTCUSDT"), 0
    early: list[dict[str, Any]] = []
    touch: dict[int, tuple[Decimal, Decimal]] = {}
    with gzip.open(recorded("hftbacktest__spot_btcusdt_20240808.gz"), "rt") as file:
        for line in itertools.islice(file, 9_000):
            message = orjson.loads(line[line.index("{") :])
            data, name = message.get("data", message), message.get("stream", "")
            if "lastUpdateId" in data:
                step = book.snapshot(
                    int(data["lastUpdateId"]), codec.levels(data["bids"]), codec.levels(data["asks"]), 0
                )
                assert step is Step.APPLIED
                for row in early:  # heard before the snapshot came, and some of it newer
                    levels_b, levels_a = codec.levels(row["b"]), codec.levels(row["a"])
                    assert book.difference(row["U"], row["u"], levels_b, levels_a, 0) is not Step.GAP
            elif name.endswith("@bookTicker"):
                touch[data["u"]] = Decimal(data["b"]), Decimal(data["a"])
            elif "@depth" in name and not book.last_id:
                early.append(data)
            elif "@depth" in name:
                step = book.difference(
                    data["U"], data["u"], codec.levels(data["b"]), codec.levels(data["a"]), 0
                )
                assert step in (Step.APPLIED, Step.OLD)
                if step is Step.APPLIED and data["u"] in touch:
                    assert (max(book.bids), min(book.asks)) == touch[data["u"]]
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
