"""Exact quotes a second on one core, and the same quotes by others: @uniswap/v3-sdk on node, the genuine QuoterV2 in revm.

    python scripts/bench.d/quoting.py [--count 1000000] [--seed 1] [--beside 2000] [--json]

Pools are the concentrated ones of the recorded market that have liquidity; a sale is of any of them in either direction, its size even in its
logarithm from a billionth to a tenth of what the price and liquidity at hand suggest the pool holds. The batch's answers (`agent.routing.batch`) are compared with those
of the pools one by one, every one of them; what went the slow way is in its time. Peers get the first `--beside` sales of ten busy pools.
`quoting.txt` beside this keeps a run. Exit 1 where an answer differs.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numba
import numpy
from certificates import data_folder

from agent.amm import ConcentratedPool, ConstantProductPool, Swapped, constant_product, swap_exact_in
from agent.app.entry import collect_seldom
from agent.market.file import parse_text
from agent.market.view import MarketView
from agent.routing.batch import Batch, whole, words
from chains.devnet import service, state
from chains.devnet.addresses import CHAINS
from chains.devnet.artifacts import artifact

PEERS = Path(__file__).resolve().parents[1] / "peers"
ROUNDS, REPEATS, BUSY = 20_000, 5, 10

Sale = tuple[int, int, int]
"""(pool, the place of the asset sold, amount)."""


def rate(run: Callable[[], int]) -> float:
    """Quotes a second at best of some repeats; `run` answers how many it made."""
    best = 0.0
    for _ in range(REPEATS):
        begun = time.perf_counter()
        made = run()
        best = max(best, made / (time.perf_counter() - begun))
    return best


def pairs(view: MarketView) -> dict[str, float]:
    pool = max(
        (p for p in view.pools.values() if isinstance(p, ConstantProductPool)), key=lambda p: min(p.reserves)
    )
    chance = random.Random(1)
    amounts = [chance.randrange(1, pool.reserves[0] // 1000) for _ in range(1000)]
    ours, into, out = constant_product.amount_out, *pool.reserves

    def amount_only() -> int:
        for _ in range(ROUNDS // 1000):
            for amount in amounts:
                ours(amount, into, out)
        return ROUNDS

    def with_state() -> int:
        for amount in amounts:
            constant_product.exact_in(pool, 0, 1, amount)
        return len(amounts)

    return {"v2_amount_only": rate(amount_only), "v2_with_state": rate(with_state)}


def in_tick(pools: list[ConcentratedPool]) -> float:
    """The busiest pool, sales that end in the step they begin in."""
    pool = max(pools, key=lambda pool: len(pool.table.ticks))
    sold, bought = pool.assets
    chance, amounts = random.Random(1), list[int]()
    while len(amounts) < 1000:
        amount = chance.randrange(1, (pool.liquidity << 96) // pool.sqrt_price_x96 // 10**4)
        done = swap_exact_in(pool, sold, bought, amount)
        if isinstance(done, Swapped) and not done.ticks_crossed:
            amounts.append(amount)

    def one_by_one() -> int:
        for amount in amounts:
            swap_exact_in(pool, sold, bought, amount)
        return len(amounts)

    return rate(one_by_one)


def drawn(pools: list[ConcentratedPool], chance: random.Random, count: int) -> list[Sale]:
    depths = [
        ((pool.liquidity << 96) // pool.sqrt_price_x96, pool.liquidity * pool.sqrt_price_x96 >> 96)
        for pool in pools
    ]
    found = []
    for _ in range(count):
        k, i = chance.randrange(len(pools)), chance.randrange(2)
        found.append((k, i, max(int(depths[k][i] * 10 ** chance.uniform(-9, -1)), 1)))
    return found


def out_of(pool: ConcentratedPool, i: int, amount: int) -> int | None:
    """What the pool gives for all of it, None where it refuses or takes a part."""
    done = swap_exact_in(pool, pool.assets[i], pool.assets[1 - i], amount)
    return done.amount_out if isinstance(done, Swapped) and done.complete else None


def batched(pools: list[ConcentratedPool], sales: list[Sale]) -> dict[str, Any]:
    begun = time.perf_counter()
    batch = Batch(pools)
    laid_ms = (time.perf_counter() - begun) * 1e3
    sides = numpy.array([2 * k + i for k, i, _ in sales])
    high, low = (numpy.ascontiguousarray(column) for column in words([amount for _, _, amount in sales]).T)
    batch.sell(sides[:100], high[:100], low[:100])
    batch.slow = 0
    begun = time.perf_counter()
    out, status = batch.sell(sides, high, low)
    took = time.perf_counter() - begun
    got, slow = whole(out), batch.slow
    begun = time.perf_counter()
    wanted = [out_of(pools[k], i, amount) for k, i, amount in sales]
    alone = time.perf_counter() - begun
    wrong = sum(
        (want, 0) != (have, kept) if want is not None else kept == 0
        for want, have, kept in zip(wanted, got, status.tolist(), strict=True)
    )
    return {
        "v3_batched": len(sales) / took, "slow_share": slow / len(sales), "differ": wrong, "not_whole": sum(w is None for w in wanted),
        "laid_out_ms": laid_ms, "steps": len(batch.sides.paid), "v3_one_by_one": len(sales) / alone,
    }  # fmt: skip


def by_sdk(
    pools: list[ConcentratedPool], sales: list[Sale], wanted: list[int | None]
) -> dict[str, Any] | None:
    folder = os.environ.get("FAIRLEAD_ROUTE_NODE")
    if not folder:
        return None
    told = {
        "pools": [
            {
                "fee": pool.fee_pips, "spacing": pool.tick_spacing, "sqrt": str(pool.sqrt_price_x96), "liquidity": str(pool.liquidity), "tick": pool.tick,
                "ticks": [[tick, str(net)] for tick, net in zip(pool.table.ticks, pool.table.nets, strict=True)],
            }
            for pool in pools
        ],
        "sales": [[k, i, str(amount)] for k, i, amount in sales],
    }  # fmt: skip
    done = subprocess.run(
        ["node", str(PEERS / "routes" / "v3sdk.cjs")], input=json.dumps(told), capture_output=True, text=True, env={**os.environ, "NODE_PATH": folder}, check=True
    )  # fmt: skip
    answer = json.loads(done.stdout)
    found = [int(text) if text else None for text in answer["out"]]
    return {"name": f"@uniswap/v3-sdk {answer['version']}", "rate": len(sales) / answer["ms"] * 1e3, **compared(found, wanted)}  # fmt: skip


def by_quoter(view: MarketView, pools: list[ConcentratedPool], sales: list[Sale], wanted: list[int | None]) -> dict[str, Any] | None:  # fmt: skip
    python = os.environ.get("FAIRLEAD_QUOTER_EVM")
    if not python:
        return None
    from agent.market.write import market_json

    market = market_json(view)
    names = {pool.id for pool in pools}
    market["pools"] = [pool for pool in market["pools"] if pool["id"] in names]
    market["books"] = []
    state.ensure([1], bare=[1])
    quoter, calls = CHAINS[1].uniswap.quoter_v2, []
    for k, i, amount in sales:
        sold, bought = (pools[k].assets[at].rpartition(":")[2] for at in (i, 1 - i))
        calls.append(artifact("QuoterV2").call("quoteExactInputSingle", (sold, bought, amount, pools[k].fee_pips, 0)).hex())  # fmt: skip
    with tempfile.TemporaryDirectory() as runtime:
        try:
            up = service.up(runtime=Path(runtime), chains=[1], fast=True, relay=False, market=market)
            told = {"url": up.urls[1], "quoter": quoter, "calls": calls}
            done = subprocess.run([python, str(PEERS / "quoter_evm.py")], input=json.dumps(told), capture_output=True, text=True, check=True)  # fmt: skip
        finally:
            service.down(runtime=Path(runtime))
    answer = json.loads(done.stdout)
    found = [int(data[:64], 16) if data else None for data in answer["out"]]
    return {"name": f"QuoterV2 in pyrevm {answer['version']}", "rate": len(sales) / answer["ms"] * 1e3, **compared(found, wanted)}  # fmt: skip


def compared(found: list[int | None], wanted: list[int | None]) -> dict[str, int]:
    """How many of the sales that a pool serves whole were answered the same, and how many otherwise."""
    both = [(a, b) for a, b in zip(found, wanted, strict=True) if b is not None]
    return {"same": sum(a == b for a, b in both), "other": sum(a != b for a, b in both)}


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    options.add_argument("--count", type=int, default=1_000_000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--beside", type=int, default=2_000, help="how many sales others quote, too")
    options.add_argument("--json", action="store_true")
    asked = options.parse_args()
    file = data_folder() / "markets" / "ethereum-2023-09-12.market.json.gz"
    if not file.exists():
        print(f"the recorded market is not at {file}: set FAIRLEAD_DATA", file=sys.stderr)
        return 0
    collect_seldom()
    view = parse_text(gzip.decompress(file.read_bytes()))
    pools = [pool for pool in view.pools.values() if isinstance(pool, ConcentratedPool) and pool.liquidity]
    found: dict[str, Any] = {**pairs(view), "v3_in_tick": in_tick(pools)}
    found |= batched(pools, drawn(pools, random.Random(asked.seed), asked.count))
    usual = [
        pool
        for pool in pools
        if (pool.fee_pips, pool.tick_spacing) in ((100, 1), (500, 10), (3000, 60), (10000, 200))
    ]
    busy = sorted(usual, key=lambda pool: -len(pool.table.ticks))[:BUSY]
    sales = drawn(busy, random.Random(asked.seed), asked.beside)
    begun = time.perf_counter()
    wanted = [out_of(busy[k], i, amount) for k, i, amount in sales]
    ours = len(sales) / (time.perf_counter() - begun)
    peers = [peer for peer in (by_sdk(busy, sales, wanted), by_quoter(view, busy, sales, wanted)) if peer]
    machine = {
        "machine": platform.machine(), "cpus": os.cpu_count(), "python": platform.python_version(), "numpy": numpy.__version__, "numba": numba.__version__,
        "seed": asked.seed, "market": view.digest[:12],
    }  # fmt: skip
    if asked.json:
        print(json.dumps({**machine, **found, "beside": ours, "peers": peers}, indent=2))
        return 1 if found["differ"] else 0
    print(" · ".join(f"{key} {value}" for key, value in machine.items()))
    print("exact quotes a second, one core")
    for name, least in (
        ("v2_amount_only", 2e6),
        ("v2_with_state", 4e5),
        ("v3_in_tick", 1.5e5),
        ("v3_batched", 2e6),
    ):
        print(f"  {name.replace('_', ' '):<16}{found[name]:>12,.0f}   (asked {least:,.0f})")
    print(f"the batch: {asked.count:,} sales to {len(pools)} pools, {found['differ']} not as one by one ({found['v3_one_by_one']:,.0f} a second), "
          f"{found['slow_share']:.3%} the slow way, {found['not_whole']:,} not served whole; {found['steps']:,} steps laid out in {found['laid_out_ms']:.0f} ms")  # fmt: skip
    print(
        f"{asked.beside:,} sales to {len(busy)} busy pools, ticks crossed and all: ours one by one {ours:,.0f} a second"
    )
    for peer in peers:
        print(f"  {peer['name']:<26}{peer['rate']:>10,.0f} a second, ours {ours / peer['rate']:.1f} times that; {peer['same']:,} the same, {peer['other']:,} other")  # fmt: skip
    return 1 if found["differ"] else 0


if __name__ == "__main__":
    sys.exit(main())
