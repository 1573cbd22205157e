"""From an order's intent at an exchange to the bytes of its request: risk, the signer's policy and signature, the journal.

    python scripts/bench.d/orders.py [--orders 400] [--json]

Each order is a slice already planned. Timed: its review by every risk rule, its making and rehearsal, the request's text, its judgement and
signature, and the record of every stage appended to a real journal; then, apart, until that record is on the disk, beside the disk's own
fdatasync on the same folder. By HMAC at Binance's session with the signer's own code in this process; `apart` is the same with the signer as
the process it is in life, its answer through its socket, its policy and its ledger, less what that ledger waited for the disk (its CPU is told
beside). By EIP-712 at Hyperliquid's session, whose own SDK and ccxt sign beside it in `signing`. Exit 1 above 0.5 ms (HMAC, p50), 2 ms (p99)
or 1 ms (EIP-712, p50) without the disk, or where the durable record takes more than twice the disk's own p50.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "support"))

import desk as d
from custody import signer_files
from fake_chain import FakeOwners, FakeSender
from paper import KEY, SECRET, paper, session
from venue_rigs import hyper_account

from agent.app.entry import collect_seldom
from agent.app.settings_tree import Venue
from agent.app.wiring import connect_venue
from agent.domain.events import Accepted, Approved, Authorized, PartFailed, Planned, Sliced
from agent.domain.ids import child_id, part_id
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder
from agent.execution.authority import Authority
from agent.execution.desk import Desk
from agent.ports import ExecutionVenue
from agent.transport.clock import SystemClock
from chains.types import Environment
from keys.client import SignerClient, start_signer
from keys.signer import exchange, exchange_orders
from keys.signer.exchange_orders import SymbolLimit

HMAC_MS, HMAC_P99_MS, EIP712_MS = 0.5, 2.0, 1.0
MUCH = Decimal(10**12)
LIMIT = {"per_order": "100000000", "per_day": "1000000000000", "px_from": "1", "px_to": "10000"}
LIMITS = {"ETHUSDC": SymbolLimit(MUCH, MUCH, Decimal(1), Decimal(10**6))}


async def judged(method: str, path: str, payload: str) -> str:
    """What the signer's process does with a request of Binance's dialect, without its ledger."""
    now_ms = time.time_ns() // 10**6
    values = exchange.check("binance", (), method, path, payload, now_ms=now_ms)
    if exchange_orders.is_order(values) and path.endswith("/order") and method == "POST":
        exchange_orders.judge(values, LIMITS, {}, now_ms)
    return exchange.sign(SECRET.encode(), payload)


async def one(desk: Desk, plan: Planned, order: VenueOrder, signer: Apart | None) -> tuple[float, ...]:
    """(seconds to the request's bytes with everything recorded, what of it this thread worked, seconds more until that is on the disk,
    what the signer's process worked)."""
    waited = await signer.waited_s() if signer else 0.0
    signing = signer.worked_s() if signer else 0.0
    begin, worked = time.perf_counter(), time.thread_time()
    record = desk.journal.record
    verdict = await record(await desk.review(plan))
    assert isinstance(verdict, Approved), verdict
    (part,) = plan.parts
    prepared = await record(await desk.prepare(part, verdict))
    simulated = await record(await desk.simulate(prepared, verdict))
    assert not isinstance(simulated, PartFailed), simulated
    authorized = await desk.authority.authorize(replace(simulated, order=order))
    assert isinstance(authorized, Authorized), authorized
    seq = desk.journal.take(authorized)
    made, worked = time.perf_counter(), time.thread_time() - worked
    signing = signer.worked_s() - signing if signer else 0.0
    assert authorized.request_digest
    await desk.journal.store.durable(seq)
    took = made - begin, worked, time.perf_counter() - made, signing
    if signer:
        took = took[0] - (await signer.waited_s() - waited), *took[1:]
    await record(PartFailed(part, "NOT_SENT", "a bench sends nothing", desk.clock.now_ns()))
    return took


class Apart:
    """The signer in a process of its own: what it waited for its ledger's disk, and what it worked, by the system's account of it."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        config = signer_files(folder, exchange_limit=LIMIT)
        (folder / "api-key").write_text(KEY)
        (folder / "api-secret").write_text(SECRET)
        self.process = start_signer(folder / "s.sock", config, folder / "signer.log")
        self.client = SignerClient(folder / "s.sock", Environment.DEVNET)
        self._worked = Path(f"/proc/{self.process.pid}/schedstat")

    async def waited_s(self) -> float:
        return float((await self.client.status())["ledger"]["sync_ns"]) / 1e9

    def worked_s(self) -> float:
        return int(self._worked.read_text().split()[0]) / 1e9 if self._worked.exists() else 0.0

    def session(self, folder: Path, url: str) -> ExecutionVenue:
        told = {"name": "paper", "module": "binance_spot", "base_url": url}
        configured = Venue.model_validate(told | {"api_key": f"file:{folder / 'api-key'}"})
        return connect_venue(configured, SystemClock(), self.client)

    async def close(self) -> None:
        await self.client.close()
        self.process.terminate()
        self.process.wait(20)


async def ready() -> None:
    """Nothing is to be waited for."""


async def measured(
    desk: Desk, template: Planned, venue: ExecutionVenue, orders: int, salt: str, symbol: str, px: str,
    signer: Apart | None = None,
) -> list[tuple[float, ...]]:  # fmt: skip
    view, took = desk.views[template.child.cl_ord_id], []
    desk.authority = Authority(
        desk.clock, desk.book, {}, {"paper": venue}, FakeOwners(), FakeSender(), desk.outbox, ready
    )
    for number in range(orders):
        name = child_id(template.child.parent, 1_000_000 * (len(salt)) + number)
        (part,) = template.parts
        child = replace(template.child, cl_ord_id=name)
        mine = replace(part, child=name, cl_ord_id=part_id(name, part.place, 1))
        plan = replace(template, child=child, parts=(mine,), at_ns=desk.clock.now_ns())
        order = VenueOrder(mine.cl_ord_id, symbol, Side.SELL, OrdType.LIMIT, TimeInForce.GTC, Decimal(1), Decimal(px))  # fmt: skip
        await desk.journal.record(Sliced(child, at_ns=desk.clock.now_ns()))
        await desk.journal.record(plan)
        desk.views[name] = view
        took.append(await one(desk, plan, order, signer))
    return took[orders // 10 :]  # the first ones load what is loaded once


def disk(folder: Path, times: int) -> list[float]:
    took = []
    with open(folder / "disk", "ab", buffering=0) as file:
        for _ in range(times):
            begin = time.perf_counter()
            file.write(b"x" * 400)
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - begin)
    return sorted(took)


def told(took: list[float]) -> dict[str, float]:
    took = sorted(took)
    return {
        "p50_ms": round(took[len(took) // 2] * 1e3, 3),
        "p99_ms": round(took[int(len(took) * 0.99)] * 1e3, 3),
    }


async def run(orders: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        limits = replace(d.LIMITS, per_day_usd=MUCH, counterparty_cap_usd=((d.PAPER, MUCH),))
        office = d.Office(folder, places=(d.PAPER,), limits=limits)
        desk = await stack.enter_async_context(office.open())
        desk.journal.store = desk.journal.store.journal  # type: ignore[attr-defined]  # without the tests' grave
        parent = d.order(office, "1", Side.SELL, life_s=10**9)
        await desk.journal.record(Accepted(parent, at_ns=desk.clock.now_ns()))
        (first,) = (await desk.next_step(parent)).children
        await desk.journal.record(Sliced(first, at_ns=desk.clock.now_ns()))
        template = await desk.plan(first)
        assert isinstance(template, Planned), template
        await desk.journal.record(template)
        door = await stack.enter_async_context(paper())
        binance = session(door.url, sign=judged)
        await binance.start()
        stack.push_async_callback(binance.close)
        _, hyper = await stack.enter_async_context(hyper_account())
        signer = Apart(folder / "signer")
        stack.push_async_callback(signer.close)
        apart = signer.session(folder / "signer", door.url)
        await apart.start()
        stack.push_async_callback(apart.close)
        each: list[tuple[str, Callable[[], Awaitable[list[tuple[float, ...]]]]]] = [
            ("hmac", lambda: measured(desk, template, binance, orders, "h", "ETHUSDC", "3100")),
            ("apart", lambda: measured(desk, template, apart, orders, "hhh", "ETHUSDC", "3100", signer)),
            ("eip712", lambda: measured(desk, template, hyper, orders, "hh", "PURR/USDC", "22")),
        ]
        for name, work in each:
            took = await work()
            bare = disk(folder, 200)
            found[name] = {
                "request": told([one[0] for one in took]),
                "of it CPU": told([one[1] for one in took]),
            }
            if name == "apart":
                found[name]["the signer's CPU"] = told([one[3] for one in took])
            found[name] |= {"then the disk": told([one[2] for one in took]), "fdatasync": told(bare)}
    return found


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--orders", type=int, default=400)
    words.add_argument("--json", action="store_true")
    given = words.parse_args()
    collect_seldom()
    found = asyncio.run(run(given.orders))
    if given.json:
        print(json.dumps(found))
    else:
        print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
        print("\n".join(f"{name:8} {value}" for name, value in found.items()))
    hmac, typed = found["hmac"]["request"], found["eip712"]["request"]
    good = hmac["p50_ms"] <= HMAC_MS and hmac["p99_ms"] <= HMAC_P99_MS and typed["p50_ms"] <= EIP712_MS
    good &= all(one["then the disk"]["p50_ms"] <= 2 * one["fdatasync"]["p50_ms"] for one in found.values())
    print("all within their targets" if good else "a target is missed", file=sys.stderr)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
