"""Who stands in the book: a seeded market maker, a book from a file, or a recorded one played again.

The maker is a function of (seed, tick number): the same server answers the same orders in the same way.
"""

from __future__ import annotations

import gzip
import heapq
import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from random import Random
from typing import Any

from agent.app.testvenue.book import HOUSE
from agent.app.testvenue.engine import Engine, NewOrder, Outcome
from agent.app.testvenue.spec import ZERO, SymbolSpec

QUOTES = ("FDUSD", "USDT", "USDC", "EUR", "BTC", "ETH", "BNB")
Level = tuple[str, Decimal, Decimal]


def seeded_levels(spec: SymbolSpec, seed: int, per_side: int = 60) -> list[Level]:
    """(side, price, quantity): a tight spread, thin at the touch, deeper away, about 1 % to each side."""
    rng = Random(f"{spec.symbol}:{seed}")
    unit = Decimal(3000) / (1 if spec.inverse else spec.mid)
    levels: list[Level] = []
    for side, sign in (("BUY", -1), ("SELL", 1)):
        bps = Decimal("0.033")
        for i in range(per_side):
            px = spec.mid * (1 + sign * bps / 10_000)
            px -= px % spec.tick
            if sign > 0 and px <= spec.mid:
                px += spec.tick
            qty = Decimal(rng.randint(4_000, 16_000) + 900 * i) / 10_000 * unit
            levels.append((side, px, max(spec.lot, qty - qty % spec.lot)))
            bps += Decimal(rng.randint(15, 60) + i * i // 12) / 100
    return levels


def file_levels(path: Path, symbol: str) -> list[Level]:
    """Levels from `{"bids": [[px, qty]], "asks": …}`, or from the `books` of a market/1 file. Raises ValueError."""
    try:
        return _levels(json.loads(path.read_text(), parse_float=str, parse_int=str), path.name, symbol)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path.name} is no JSON: {error}") from None
    except (TypeError, AttributeError, InvalidOperation):
        raise ValueError(f"{path.name}: levels are pairs of price and quantity, as strings") from None


def _levels(data: Any, name: str, symbol: str) -> list[Level]:
    for book in data.get("books", []):
        if str(book.get("symbol", "")).replace("/", "") == symbol:
            data = book
            break
    if "bids" not in data or "asks" not in data:
        raise ValueError(f"{name} holds no book of {symbol}")
    return [("BUY", Decimal(p), Decimal(q)) for p, q in data["bids"]] + [
        ("SELL", Decimal(p), Decimal(q)) for p, q in data["asks"]
    ]


class Maker:
    """Restores what was taken at every tick, and now and then changes its mind about a level far from the touch."""

    def __init__(self, spec: SymbolSpec, levels: list[Level], seed: int, breathing: bool) -> None:
        self.symbol, self.lot, self.seed, self.breathing = spec.symbol, spec.lot, seed, breathing
        self.target: dict[tuple[str, Decimal], Decimal] = {}
        for side, px, qty in levels:
            self.target[side, px] = self.target.get((side, px), ZERO) + qty
        self._base = dict(self.target)

    def tick(self, engine: Engine, number: int, now_ms: int) -> Outcome:
        outcome = Outcome()
        if self.breathing and number > 0:
            rng = Random(f"{self.symbol}:{self.seed}:{number}")
            outer = sorted(self._base)[:15] + sorted(self._base)[-15:]
            for key in rng.sample(outer, k=min(2, len(outer))):
                qty = self._base[key] * rng.randint(80, 120) / 100
                self.target[key] = max(self.lot, qty - qty % self.lot)
        for (side, px), qty in self.target.items():
            if engine.house_qty(self.symbol, side, px) != qty:
                outcome.extend(engine.set_level(self.symbol, side, px, qty, now_ms))
        return outcome


# recordings


@dataclass(frozen=True, slots=True)
class TapeEvent:
    """`at` in seconds of the recording's own clock; `kind` is snapshot, depth or trade."""

    at: float
    kind: str
    symbol: str
    data: dict[str, Any]


def read_tape(paths: list[Path]) -> Iterator[TapeEvent]:
    """Events of one or more recordings, merged by time. Lines are `ns JSON`, `s: JSON` or `URL -> s: JSON`."""
    try:
        yield from heapq.merge(*(_events(path) for path in paths), key=lambda e: e.at)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{', '.join(p.name for p in paths)}: not a recording as documented ({error})"
        ) from None


def _lines(path: Path) -> Iterator[str]:
    if path.suffix == ".gz":
        with gzip.open(path, "rt", encoding="utf-8") as file:
            yield from file
    elif path.suffix == ".zst":
        import io

        try:
            import zstandard
        except ImportError:
            raise ValueError(
                f"{path.name}: reading .zst needs the package zstandard; unpack it first"
            ) from None

        with path.open("rb") as raw, zstandard.ZstdDecompressor().stream_reader(raw) as stream:
            yield from io.TextIOWrapper(stream, encoding="utf-8")
    else:
        with path.open(encoding="utf-8") as file:
            yield from file


def _events(path: Path) -> Iterator[TapeEvent]:
    symbol = ""
    for line in _lines(path):
        brace = line.find("{")
        if brace < 0:
            continue
        head = line[:brace].strip().rstrip(":")
        if head.startswith("http"):
            symbol = head.partition("symbol=")[2].partition("&")[0].partition(" ")[0]
            head = head.rpartition(" ")[2]
        if not head.replace(".", "", 1).isdecimal():
            continue
        at = int(head) / 1e9 if "." not in head else float(head)
        message = json.loads(line[brace:])
        data = message.get("data", message)
        name = str(message.get("stream", ""))
        if "lastUpdateId" in data:
            yield TapeEvent(at, "snapshot", symbol, data)
        elif "@depth" in name:
            symbol = data["s"]
            yield TapeEvent(at, "depth", symbol, data)
        elif name.endswith("@trade"):
            symbol = data["s"]
            yield TapeEvent(at, "trade", symbol, data)


def tape_specs(paths: list[Path]) -> list[SymbolSpec]:
    """The symbols of a recording; ticks and lots are the finest that its snapshots use."""
    specs: dict[str, SymbolSpec] = {}
    for event in read_tape(paths):
        if event.kind != "snapshot" or event.symbol in specs:
            if len(specs) and event.kind == "trade":
                break
            continue
        quote = next((q for q in QUOTES if event.symbol.endswith(q)), "")
        base = event.symbol.removesuffix(quote)
        rows = event.data["bids"] + event.data["asks"]
        if not quote or not rows:
            continue
        specs[event.symbol] = SymbolSpec(
            base, quote, _finest(r[0] for r in rows), _finest(r[1] for r in rows), mid=Decimal(rows[0][0])
        )
    return list(specs.values())


def _finest(texts: Iterator[str]) -> Decimal:
    places = max(len(text.rstrip("0").partition(".")[2]) for text in texts)
    return Decimal(1).scaleb(-places)


class Tape:
    """A recording applied to the engine: the house is made to stand as recorded; our own orders trade with it."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}

    def apply(self, engine: Engine, event: TapeEvent, now_ms: int) -> Outcome:
        outcome = Outcome()
        if event.symbol not in engine.books:
            return outcome
        data, symbol = event.data, event.symbol
        if event.kind == "snapshot":
            self._last[symbol] = int(data["lastUpdateId"])
            wanted = {("BUY", Decimal(p)): Decimal(q) for p, q in data["bids"]}
            wanted |= {("SELL", Decimal(p)): Decimal(q) for p, q in data["asks"]}
            book = engine.books[symbol]
            for side in ("BUY", "SELL"):
                for px in book.own(side).prices():
                    if (side, px) not in wanted and engine.house_qty(symbol, side, px):
                        outcome.extend(engine.set_level(symbol, side, px, ZERO, now_ms))
            for (side, px), qty in wanted.items():
                outcome.extend(engine.set_level(symbol, side, px, qty, now_ms))
        elif symbol not in self._last:
            return outcome
        elif event.kind == "depth":
            if int(data["u"]) <= self._last[symbol]:
                return outcome
            self._last[symbol] = int(data["u"])
            for side, rows in (("BUY", data["b"]), ("SELL", data["a"])):
                for px, qty in rows:
                    outcome.extend(engine.set_level(symbol, side, Decimal(px), Decimal(qty), now_ms))
        else:
            side = "SELL" if data["m"] else "BUY"
            px, qty = Decimal(data["p"]), Decimal(data["q"])
            request = NewOrder(
                HOUSE, symbol, f"tape-{data['t']}", side, "LIMIT", "IOC", px, qty, None, "NONE"
            )
            outcome.extend(engine.place(request, now_ms))
        return outcome
