"""From an intent to signed bytes: what Fairlead itself takes, beside the disk's fdatasync and eth_account's bare signature.

    python scripts/bench.d/road.py [--trades 25]

Real small trades on a devnet of its own. Timed: making the batch and having it authorized (two owners and the sending key, X"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from agent.app.devnet_home import bring_up
from agent.app.intents import parent_of, request_of
from agent.app.settings import load
from agent.app.wiring import algorithms, open_app, open_trading
from agent.execution.spine import work
from chains.devnet import service
from chains.types import Protection

TARGET_MS = 5.0


class Timed:
    """Passes everything on and notes how long the named coroutine took."""

    def __init__(self, inner: Any, name: str, seen: list[float]) -> None:
        self._inner, self._name, self._seen = inner, name, seen

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name != self._name:
            return found

        async def timed(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            try:
                return await found(*args, **kwargs)
            finally:
                self._seen.append((time.perf_counter() - began) * 1e3)

        return timed


def line(name: str, values: list[float]) -> str:
    ordered = sorted(values)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    return f"{name:<44} p50 {statistics.median(ordered):8.2f} ms   p99 {p99:8.2f} ms   n {len(ordered)}"


def fdatasync_ms(folder: Path, count: int = 200) -> list[float]:
    found = []
    with (folder / "probe").open("wb") as out:
        for _ in range(count):
            out.write(b"x" * 200)
            out.flush()
            began = time.perf_counter()
            os.fdatasync(out.fileno())
            found.append((time.perf_counter() - began) * 1e3)
    return found


def bare_signatures_ms(count: int = 60) -> list[float]:
    """The peer: eth_account signing one EIP-1559 transaction, in this process, no policy, no ledger."""
    from eth_account import Account

    key = Account.from_key(b"\x07" * 32)
    tx = {
        "chainId": 1, "nonce": 0, "to": key.address, "value": 0, "data": "0x" + "ab" * 900, "gas": 500_000, "type": 2,
        "maxFeePerGas": 10**10, "maxPriorityFeePerGas": 10**9,
    }  # fmt: skip
    found = []
    for nonce in range(count):
        began = time.perf_counter()
        key.sign_transaction({**tx, "nonce": nonce})
        found.append((time.perf_counter() - began) * 1e3)
    return found


async def measure(settings_path: Path, trades: int) -> dict[str, list[float]]:
    settings = load(settings_path)
    limits = settings.limits.model_copy(update={"allow_venues": ("base",)})
    settings = settings.model_copy(
        update={
            "limits": limits,
            "venues": (),
            "chains": tuple(c for c in settings.chains if c.name != "arbitrum" and c.name != "ethereum")
            + tuple(c.model_copy(update={"pools": ()}) for c in settings.chains if c.name != "base"),
        }
    )
    seen: dict[str, list[float]] = {name: [] for name in ("prepare", "authorize", "view", "simulate", "disk")}
    async with AsyncExitStack() as stack:
        app = await open_app(settings, stack)
        desk = await open_trading(app, stack)
        desk.workshop = Timed(Timed(desk.workshop, "prepare", seen["prepare"]), "simulate", seen["simulate"])
        desk.authority = Timed(desk.authority, "authorize", seen["authorize"])
        desk.market = Timed(desk.market, "view", seen["view"])
        for number in range(trades):
            request = request_of(app.directory, algorithms(), "sell", "0.1", "ETH", "USDC")
            parent = parent_of(
                request,
                "devnet",
                settings.wallet.address,
                Protection.PRIVATE,
                f"bench-{number}",
                app.clock.now_ns(),
            )
            parent = replace(parent, intent=replace(parent.intent, limit_px=Decimal(1)))
            waited = (await app.signer.status())["ledger"]["sync_ns"]
            await work(parent, desk)
            waited = (await app.signer.status())["ledger"]["sync_ns"] - waited
            seen["disk"].append(waited / 1e6)
            if desk.book.filled_base(parent.cl_ord_id) != Decimal("0.1"):
                raise SystemExit(
                    f"trade {number} was not filled: {desk.book.parents[parent.cl_ord_id].closed}"
                )
    return seen


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--trades", type=int, default=25)
    trades = words.parse_args().trades
    folder = Path(tempfile.mkdtemp(prefix="fairlead-bench-"))
    try:
        service.down(runtime=folder)
        began = time.perf_counter()
        home = bring_up(runtime=folder, fast=True, wallet=False, progress=lambda _: None)
        service.down(runtime=folder)
        began = time.perf_counter()
        home = bring_up(runtime=folder, fast=True, wallet=False, progress=lambda _: None)
        warm = time.perf_counter() - began
        service.down(runtime=folder)
        home = bring_up(runtime=folder, fast=True, progress=lambda _: None)
        assert home.settings is not None
        seen = asyncio.run(measure(home.settings, trades))
        sync = fdatasync_ms(folder)
    finally:
        service.down(runtime=folder)
        shutil.rmtree(folder, ignore_errors=True)
    parts = zip(seen["prepare"], seen["authorize"], seen["disk"], strict=True)
    signing = [prepare + authorize - disk for prepare, authorize, disk in parts]
    peer = bare_signatures_ms()
    print(
        f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}, {trades} trades"
    )
    print(line("intent → signed bytes, disk wait excluded", signing))
    print(line("  making the batch", seen["prepare"]))
    print(line("  hash checked, two owners, sender, nonces", seen["authorize"]))
    print(line("apart: market view over every pool", seen["view"]))
    print(line("apart: rehearsal on this machine", seen["simulate"]))
    print(line("apart: the signer's wait for its disk", seen["disk"]))
    print(line("apart: the disk's own fdatasync", sync))
    print(line("peer: eth_account, one bare signature", peer))
    print(
        f"ratio to the peer {statistics.median(signing) / statistics.median(peer):.1f}; target {TARGET_MS} ms"
    )
    print(f"devnet warm start {warm:.2f} s (target 5 s)")
    return 0 if statistics.median(signing) <= TARGET_MS else 1


if __name__ == "__main__":
    sys.exit(main())
