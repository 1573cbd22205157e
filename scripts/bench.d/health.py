"""Ten thousand lending accounts against new prices: float screen and integer confirm, beside all of them in integers.

    python scripts/bench.d/health.py [--accounts 10000] [--seed 1] [--runs 31] [--book 1000] [--devnet N] [--json]

Both answer from the same balances; the accounts below a factor of one, and each factor, must be identical at every price. Times are
of this process's own CPU. Then what the product does with it, of the first `--book` accounts: the order in which they fall along a shock,
and those of a file below one, each beside the same in integers alone. With --devnet N, N borrowers of a genuine pool on a devnet of its own
are asked for one by one through web3.py (`eth_call` of getUserAccountData, over loopback, by the wall's clock), and screened from what was
read of them once. Exit 1 where the median is over 5 ms or anything differs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "support"))

from lending_crowd import AT, crowd

from agent.margin.accounts import Judged, judge_below, judged
from agent.margin.model import HEALTHY_1E18
from agent.margin.screen import Screen, whole
from agent.margin.surface import Member, order

TARGET_MS = 5.0
LOW_1E18 = 11 * 10**17


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    begun = time.process_time()
    found = work()
    return (time.process_time() - begun) * 1e3, found


def book(accounts: Any, prices: dict[str, int]) -> dict[str, Any]:
    """What `stress` and `health FILE --below` do with so many accounts, in milliseconds; `book_same` whether integers alone say the same."""
    members = [Member(f"c{n}", model, account, AT) for n, (model, account) in enumerate(accounts)]
    shock = {asset: Fraction(-1) for asset in prices}
    taken = [Judged(m.name, "", "", None, {}, 8, "", m) for m in members]
    fall_ms, falls = timed(lambda: order(members, shock))
    fall_all_ms, falls_all = timed(lambda: order(members, shock, screen=whole))
    low_ms, low = timed(lambda: judge_below(taken, HEALTHY_1E18))
    low_all_ms, every = timed(lambda: [judged(one) for one in taken])
    low_all = [
        j
        for j in every
        if j.health and j.health.health_1e18 is not None and j.health.health_1e18 < HEALTHY_1E18
    ]
    return {
        "book": len(members),
        "order_ms": round(fall_ms, 1),
        "order_all_integer_ms": round(fall_all_ms, 1),
        "below_ms": round(low_ms, 1),
        "below_all_integer_ms": round(low_all_ms, 1),
        "book_same": falls == falls_all and low == low_all,
    }


def peer(count: int, seed: int) -> dict[str, Any]:
    """So many borrowers of the devnet's pool, one `eth_call` each by web3.py, and the screen over them; `web3_same` whether all factors are."""
    import aiohttp
    from web3 import HTTPProvider, Web3

    from agent.app.watching.aave import model_account
    from agent.margin.aave_v3_0 import MODEL
    from chains.devnet import service
    from chains.devnet.addresses import AAVE, CHAINS
    from chains.devnet.artifacts import artifact
    from chains.devnet.funding import give_token
    from chains.devnet.jsonrpc import Rpc as Sync
    from chains.gateway import Gateway
    from chains.lending.aave_v3 import read_account
    from chains.profiles import load
    from chains.rpc import Rpc
    from chains.types import Address

    pool, token, draw = AAVE["Pool"], CHAINS[1], random.Random(seed)
    market = load("ethereum").aave
    assert market is not None
    with tempfile.TemporaryDirectory(prefix="fairlead-bench-") as name:
        runtime = Path(name)
        try:
            status = service.up(runtime=runtime)
            borrowers = [Web3.to_checksum_address(f"0x{0xB0_0000 + n:040x}") for n in range(count)]
            with Sync(status.cheat_urls[1]) as rpc:

                def send(who: str, contract: str, to: str, function: str, *words: object) -> None:
                    rpc("anvil_impersonateAccount", who)
                    rpc("anvil_setBalance", who, hex(10**20))
                    data = "0x" + artifact(contract).call(function, *words).hex()
                    given = {"from": who, "to": to, "data": data, "gas": hex(2_000_000)}
                    hashed = rpc("eth_sendTransaction", given)
                    while (receipt := rpc("eth_getTransactionReceipt", hashed)) is None:
                        time.sleep(0.01)
                    assert receipt["status"] == "0x1", function

                for who in borrowers:
                    give_token(status.cheat_urls[1], token.weth, who, 10**18)
                    send(who, "MockERC20", token.weth, "approve", pool, 10**18)
                    send(who, "AavePool", pool, "supply", token.weth, 10**18, who, 0)
                    send(
                        who,
                        "AavePool",
                        pool,
                        "borrow",
                        token.usdc,
                        draw.randrange(10**8, 23 * 10**8),
                        2,
                        0,
                        who,
                    )
            web3 = Web3(HTTPProvider(status.urls[1]))
            abi = [entry for entry in artifact("AavePool").abi if entry.get("name") == "getUserAccountData"]
            asked = web3.eth.contract(
                address=Web3.to_checksum_address(pool), abi=abi
            ).functions.getUserAccountData
            head = web3.eth.block_number
            begun = time.perf_counter()
            theirs = [int(asked(who).call(block_identifier=head)[5]) for who in borrowers]
            web3_ms = (time.perf_counter() - begun) * 1e3

            async def read() -> list[Any]:
                async with aiohttp.ClientSession() as session:
                    gateway = Gateway(1, [Rpc(status.urls[1], session)])
                    return [await read_account(gateway, market, Address(who), head) for who in borrowers]

            begun = time.perf_counter()
            found = asyncio.run(read())
            read_ms = (time.perf_counter() - begun) * 1e3
        finally:
            service.down(runtime=runtime)
    accounts = [(MODEL, model_account(one, 1), one.block.timestamp) for one in found]
    screen, prices = Screen(accounts), dict(accounts[0][1].prices())
    laps = [timed(lambda: screen.below(prices, LOW_1E18)) for _ in range(101)]
    want = {n: factor for n, factor in enumerate(theirs) if factor < LOW_1E18}
    ours_ms = statistics.median(ms for ms, _ in laps)
    ours = [screen.all_integer(prices, 10**40).get(n) for n in range(count)]
    return {
        "borrowers": count,
        "web3_ms_each": round(web3_ms / count, 3),
        "read_ms_each": round(read_ms / count, 3),
        "screen_ms_each": round(ours_ms / count, 5),
        "web3_ratio": round(web3_ms / ours_ms),
        "web3_below": len(want),
        "web3_same": dict(laps[0][1].below) == want and ours == theirs,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=31)
    parser.add_argument("--book", type=int, default=1_000)
    parser.add_argument("--devnet", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    accounts, prices = crowd(given.accounts, given.seed)
    laid_ms, screen = timed(lambda: Screen([(m, a, AT) for m, a in accounts]))
    draw = random.Random(given.seed)
    fast: list[float] = []
    slow: list[float] = []
    below: list[int] = []
    confirmed: list[int] = []
    same = True
    for _ in range(given.runs):
        moved = {asset: int(px * draw.uniform(0.99, 1.01)) for asset, px in prices.items()}
        begun = time.process_time()
        told = screen.below(moved)
        between = time.process_time()
        exact = screen.all_integer(moved)
        slow.append((time.process_time() - between) * 1e3)
        fast.append((between - begun) * 1e3)
        below.append(len(told.below))
        confirmed.append(told.confirmed)
        same = same and dict(told.below) == exact
    median = statistics.median(fast)
    found = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, numpy {version('numpy')}, web3 {version('web3')}",
        "load": round(os.getloadavg()[0], 1),
        "seed": given.seed,
        "accounts": given.accounts,
        "runs": given.runs,
        "laid_out_once_ms": round(laid_ms, 1),
        "screen_ms": round(median, 3),
        "screen_worst_ms": round(max(fast), 3),
        "all_integer_ms": round(statistics.median(slow), 3),
        "below_median": statistics.median(below),
        "confirmed_median": statistics.median(confirmed),
        "identical": same,
    }
    found |= book(accounts[: given.book], prices)
    found |= peer(given.devnet, given.seed) if given.devnet else {}
    same = same and found["book_same"] and found.get("web3_same", True)
    if given.json:
        print(json.dumps(found, indent=2))
    else:
        print(f"{found['machine']}, seed {given.seed}, load {found['load']}")
        print(f"{given.accounts} accounts, laid out once in {laid_ms:.0f} ms, {given.runs} sets of prices")
        print(f"screen and confirm   {median:8.2f} ms (worst {max(fast):.2f}), target {TARGET_MS}")
        slower = statistics.median(slow)
        print(f"all in integers      {slower:8.2f} ms, {slower / median:.0f} times as long")
        print(
            f"below one            {statistics.median(below):8.0f}, {statistics.median(confirmed):.0f} computed in integers"
        )
        print(f"of {found['book']} accounts, screened and in integers alone")
        print(f"order of falling     {found['order_ms']:8.0f} ms, {found['order_all_integer_ms']:.0f} ms")
        print(f"those below one      {found['below_ms']:8.0f} ms, {found['below_all_integer_ms']:.0f} ms")
        if given.devnet:
            print(f"{given.devnet} borrowers of a pool, an account each")
            print(
                f"web3.py eth_call     {found['web3_ms_each']:8.3f} ms; read here {found['read_ms_each']:.3f} ms, screened {found['screen_ms_each']:.5f} ms: {found['web3_ratio']} times"
            )
        print(f"same accounts and factors everywhere: {'yes' if same else 'NO'}")
    return 0 if same and median <= TARGET_MS else 1


if __name__ == "__main__":
    sys.exit(main())
