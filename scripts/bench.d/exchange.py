"""From an order's fields to the exchange's answer: the agent sends what the signer signed, or the signer sends it itself.

    python scripts/bench.d/exchange.py [--orders 80]

The paper exchange and the signer as processes of their own on this machine, the same client. The second road is what `sends_to` in the
signer's settings chooses: no signature leaves the signer's process, and each order is carried out once. The third is FIX: judged and
counted by the signer as the others, then said on a session. Exit 1 where the second costs more than two milliseconds at the median.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from decimal import Decimal
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests/support"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import aiohttp
import custody as c
from fix_exchange import PEM, PUBLIC

from agent.app.chaos.custody.exchange_room import OWNER_SECRET, ExchangeRoom
from agent.app.fix_doors import signer_entries
from agent.app.settings_fix import Fix
from agent.app.settings_tree import Venue
from agent.app.wiring import connect_venue
from agent.domain.ids import ClOrdId
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder
from agent.ports import ExecutionVenue
from agent.transport.clock import SystemClock
from chains.types import Environment
from keys.client import SignerClient, start_signer

MOST_MS = 2.0
LIMIT = {"per_order": "100000", "per_day": "100000000", "px_from": "1", "px_to": "10000"}


def order(number: int) -> VenueOrder:
    return VenueOrder(
        cl_ord_id=ClOrdId(f"bench-{number}"),
        symbol="ETHUSDC",
        side=Side.BUY,
        ord_type=OrdType.LIMIT,
        time_in_force=TimeInForce.IOC,
        order_qty=Decimal("0.1"),
        px=Decimal("1000"),
    )


@contextmanager
def world(sends: bool) -> Iterator[tuple[Path, str]]:
    """A paper exchange and a signer: (the signer's folder, the exchange's address)."""
    with tempfile.TemporaryDirectory(prefix="fairlead-bench-") as name:
        folder = Path(name)
        (folder / "api-secret").write_text(OWNER_SECRET)
        (folder / "fix-public").write_text(PUBLIC)
        (folder / "fix-secret").write_text(PEM)
        (folder / "fix-secret").chmod(0o600)
        exchange = ExchangeRoom(folder, folder / "fix-public")
        exchange.start()
        try:
            config = c.signer_files(folder, exchange_limit=LIMIT, sends_to=exchange.url if sends else "")
            written = json.loads(config.read_text())
            written["exchanges"] |= signer_entries("paper", sessions(folder))
            config.write_text(json.dumps(written))
            signer = start_signer(folder / "s.sock", config, folder / "signer.log")
            try:
                yield folder, exchange.url
            finally:
                signer.terminate()
                signer.wait(20)
        finally:
            exchange.stop()


def sessions(folder: Path, url: str | None = None) -> Fix:
    return Fix(
        url=url,
        api_key=f"file:{folder}/api-key",
        api_secret=f"file:{folder}/fix-secret",
        senders=("FL1", "FL2"),
    )


async def connected(folder: Path, url: str, stack: AsyncExitStack, by_fix: bool) -> ExecutionVenue:
    signer = await stack.enter_async_context(SignerClient(folder / "s.sock", Environment.DEVNET))
    told = {"name": "paper", "module": "binance_spot", "base_url": url}
    configured = Venue.model_validate(told | {"api_key": f"file:{folder / 'api-key'}"})
    if by_fix:
        async with aiohttp.ClientSession() as asks, asks.get(f"{url}/api/v3/ping") as ping:
            door = f"tcp://127.0.0.1:{ping.headers['X-Fairlead-Fix']}"
        configured = configured.model_copy(update={"fix": sessions(folder, door)})
    venue = connect_venue(configured, SystemClock(), signer)
    stack.push_async_callback(venue.close)
    await venue.start()
    return venue


async def measured(worlds: list[tuple[Path, str]], orders: int) -> list[list[float]]:
    """Milliseconds of each order, authorized and submitted, by world; in turns, so that whatever else this machine does meets both alike."""
    found: list[list[float]] = [[] for _ in worlds]
    async with AsyncExitStack() as stack:
        last = len(worlds) - 1
        venues = [await connected(folder, url, stack, n == last) for n, (folder, url) in enumerate(worlds)]
        for number in range(orders):
            for venue, seen in zip(venues, found, strict=True):
                began = time.perf_counter()
                await venue.submit(await venue.authorize(order(number)))
                seen.append((time.perf_counter() - began) * 1e3)
    return [sorted(seen) for seen in found]


def line(name: str, found: list[float]) -> float:
    p50 = statistics.median(found)
    print(f"{name:<46} p50 {p50:7.3f} ms   p99 {found[int(len(found) * 0.99)]:7.3f} ms   n {len(found)}")
    return p50


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--orders", type=int, default=80, help="fewer than the exchange takes in ten seconds")
    given = words.parse_args()
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with world(False) as first, world(True) as second, world(False) as third:
        agent, signer, session = asyncio.run(measured([first, second, third], given.orders))
    leaves = line("the signature leaves, the agent sends", agent)
    stays = line("the signature stays, the signer sends", signer)
    line("the signer judges, a FIX session says it", session)
    print(f"the signer's own sending costs {stays - leaves:+.3f} ms at the median (at most {MOST_MS})")
    return 0 if stays - leaves <= MOST_MS else 1


if __name__ == "__main__":
    sys.exit(main())
