"""Simulated order cycles a second, strategy to portfolio: an algo's slice, its review by every risk rule, the exchange's matching, its fill, the books.

    python scripts/bench.d/cycles.py [--orders 4000] [--json]

The product's own road (agent/execution/spine.py) with all its events, in memory: the exchange is the paper exchange's engine without its
network, the record is counted and not written, and the plan is one made before, since finding the best of many places is `routing`'s
bench. One core, CPU seconds. What is held flat: each quarter of the run costs what the first did; `--orders 100000` is the long run. NautilusTrader's
backtest engine does the same orders beside it where FAIRLEAD_NAUTILUS names a Python that has it. Exit 1 below 2,000 a second, or where
the last quarter is slower than two thirds of the best.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "support"))

import desk as d

from agent.app.entry import collect_seldom
from agent.domain.order_state import OrdStatus
from agent.domain.orders import ChildOrder, Side
from agent.domain.reports import Balance
from agent.execution.spine import work
from agent.journal.chain import Seq
from agent.market.view import MarketView

ROOT = Path(__file__).resolve().parents[2]
TARGET, FLAT, QTY = 2_000, 2 / 3, "0.1"
MUCH = Decimal(10**12)


class Counted:
    """A record that is not written."""

    def __init__(self) -> None:
        self.events = 0

    def append(self, event: object) -> Seq:
        self.events += 1
        return Seq(self.events)

    async def durable(self, seq: Seq) -> None:
        return None


class PlannedBefore(d.MemoryMarket):
    """The market of the first look, and the route and proof found on it for each side."""

    def __init__(self, office: d.Office) -> None:
        super().__init__(office)
        self._seen: MarketView | None = None
        self._found: dict[tuple[str, Side], Any] = {}

    async def view(self, base: str, quote: str) -> MarketView:
        if self._seen is None:
            self._seen = await super().view(base, quote)
        return self._seen

    def route(self, view: MarketView, child: ChildOrder) -> Any:
        if ("route", child.side) not in self._found:
            self._found["route", child.side] = super().route(view, child)
        return self._found["route", child.side]

    def proof(self, view: MarketView, child: ChildOrder, route: Any) -> Any:
        if ("proof", child.side) not in self._found:
            self._found["proof", child.side] = super().proof(view, child, route)
        return self._found["proof", child.side]


async def ours(orders: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        limits = replace(d.LIMITS, per_day_usd=MUCH, counterparty_cap_usd=((d.PAPER, MUCH),))
        office = d.Office(Path(folder), places=(d.PAPER,), limits=limits)
        async with office.open() as desk:
            store = Counted()
            desk.journal.store, desk.market = store, PlannedBefore(office)
            assert office.venue is not None
            engine = office.venue.venue
            book = engine.engine.books["ETHUSDC"]
            top = {"BUY": book.asks.levels()[0], "SELL": book.bids.levels()[0]}
            marks = [time.process_time()]
            for number in range(orders):
                side = Side.SELL if number % 2 else Side.BUY
                await work(d.order(office, QTY, side, salt=str(number), life_s=10**9), desk)
                engine.set_level("ETHUSDC", "SELL" if side is Side.BUY else "BUY", *top[side.value])
                if (number + 1) % (orders // 4) == 0:
                    marks.append(time.process_time())
            filled = sum(part.status is OrdStatus.FILLED for part in desk.book.parts.values())
            assert filled == orders, f"{filled} of {orders} were filled"
            held = {one.asset: one for one in await office.venue.balances()}
            assert agrees(desk.book.holdings, held), "the books and the exchange differ"
        return told(orders, marks) | {"events_each": round(store.events / orders, 1)}


def agrees(changes: Any, held: dict[Any, Balance]) -> bool:
    """What the fills changed in the books beside what the exchange holds of the 50 ETH and 100,000 USDC it began with."""
    begun = {"ETH": Decimal(50), "USDC": Decimal(100_000)}
    return all(one.free + one.locked == begun[a.rpartition("/")[2]] + changes[a] for a, one in held.items())


def told(orders: int, marks: list[float]) -> dict[str, Any]:
    quarters = [round((orders // 4) / (b - a)) for a, b in zip(marks, marks[1:], strict=False)]
    return {"orders": orders, "per_s": round(orders / (marks[-1] - marks[0])), "quarters": quarters}


def theirs(orders: int) -> dict[str, Any]:
    python = os.environ.get("FAIRLEAD_NAUTILUS")
    if not python:
        return {"not here": "FAIRLEAD_NAUTILUS names no Python that has it"}
    script = str(ROOT / "scripts" / "peers" / "nautilus_cycles.py")
    done = subprocess.run(
        [python, "-W", "ignore", script, str(orders)], capture_output=True, text=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--orders", type=int, default=4_000)
    words.add_argument("--json", action="store_true")
    given = words.parse_args()
    collect_seldom()
    mine = asyncio.run(ours(given.orders))
    out = {"fairlead": mine, "nautilus_trader": theirs(min(given.orders, 4_000))}
    if given.json:
        print(json.dumps(out))
    else:
        print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
        print("\n".join(f"{name:16} {value}" for name, value in out.items()))
    flat = mine["quarters"][-1] >= FLAT * max(mine["quarters"])
    return 0 if mine["per_s"] >= TARGET and flat else 1


if __name__ == "__main__":
    sys.exit(main())
