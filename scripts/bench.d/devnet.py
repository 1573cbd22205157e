"""The devnet's start, warm: three chains, relay, feeds, exchange; then with a funded Safe, its keys and signer.

python scripts/bench.d/devnet.py [--runs 5]        Exit 1 where the p50 of the whole is over 5 s.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from agent.app.devnet_home import bring_up
from chains.anvil import find_anvil
from chains.devnet import service

TARGET_S = 5.0


def start_s(wallet: bool) -> float:
    folder = Path(tempfile.mkdtemp(prefix="fairlead-bench-"))
    try:
        began = time.perf_counter()
        bring_up(runtime=folder, fast=True, wallet=wallet, progress=lambda _: None)
        return time.perf_counter() - began
    finally:
        service.down(runtime=folder)
        shutil.rmtree(folder, ignore_errors=True)


def bare_anvil_s() -> float:
    """The peer: one empty Anvil until it answers."""
    import asyncio

    from chains.anvil import Anvil

    async def once() -> float:
        began = time.perf_counter()
        anvil = await Anvil.start(binary=find_anvil())
        took = time.perf_counter() - began
        await anvil.stop()
        return took

    return asyncio.run(once())


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--runs", type=int, default=5)
    runs = words.parse_args().runs
    start_s(False)
    bare = [start_s(False) for _ in range(runs)]
    whole = [start_s(True) for _ in range(runs)]
    peer = [bare_anvil_s() for _ in range(runs)]
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}, {runs} runs")
    for name, values in (
        ("chains, relay, feeds, exchange", bare),
        ("and Safe, keys, signer, settings", whole),
        ("peer: one empty Anvil", peer),
    ):
        print(f"{name:<36} p50 {statistics.median(values):6.2f} s   max {max(values):6.2f} s")
    print(f"ratio to the peer {statistics.median(whole) / statistics.median(peer):.1f}; target {TARGET_S} s")
    return 0 if statistics.median(whole) <= TARGET_S else 1


if __name__ == "__main__":
    sys.exit(main())
