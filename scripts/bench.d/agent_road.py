"""What the agent's own road costs: the same sale by the owners' execTransaction and through Roles and Gate, on genuine contracts.

    python scripts/bench.d/agent_road.py [--rounds 4]

Real trades on a devnet of its own, every other one by the other road, one pool at a time so that both take the same route. Gas is the
receipts'; what came is compared with what the same pool gave the other road before and after, so that the price's own drift cancels. The
peer is the Safe's own execTransaction with two owners' signatures. Exit 1 where the price differs by more than 0.1 bps, or where the agent's
road takes over 200,000 gas more.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import tempfile
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests/support"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from agent_home import AgentHome, granted, written
from home_fixture import brought_up

MOST_GAS, MOST_BPS = 200_000, Decimal("0.1")
CASES = (
    ("uniswap_v2", "0.05"),
    ("uniswap_v3", "0.1"),
    ("uniswap_v3", "1"),
    ("uniswap_v4", "0.1"),
    ("uniswap_v4", "1"),
)
"""The demo's V2 pool is thin: more would fall below the Gate's oracle floor, and be refused."""
FEE_GWEI, ETH_USD = 10, 3_000


class Folders:
    """Where the devnet's files go."""

    def mktemp(self, name: str) -> Path:
        return Path(tempfile.mkdtemp(prefix=f"fairlead-bench-{name}-"))


def one_pool(path: Path, kind: str, name: str) -> Path:
    """The settings with chain 1's pools of one kind and nothing else to trade on."""
    values = tomllib.loads(path.read_text())
    for chain in values["chains"]:
        chain["pools"] = [p for p in chain["pools"] if chain["chain_id"] == 1 and p["kind"] == kind]
    for venue in values["venues"]:
        venue["symbols"] = []
    values["limits"]["price_collar_bps"] = 1_000
    return written(path.with_name(f"{name}-{kind}.toml"), values)


def sold(home: AgentHome, settings: Path, qty: str, by: str) -> tuple[int, Decimal]:
    """(gas of the receipt, USDC that came)."""
    ran = home.run(f"trade sell {qty} ETH --for USDC --by {by} --live --yes --max-loss 5000 --json", settings)
    if ran.status:
        raise SystemExit(f"{by}: {ran.status} {ran.err[-800:]} {ran.out[-800:]}")
    told: dict[str, Any] = ran.json
    parts = [part for child in told["children"] for part in child["parts"]]
    gas = sum(int(home.home.receipt(part["tx_hash"])["gasUsed"], 16) for part in parts)
    return gas, Decimal(told["parent"]["filled_quote"])


def compared(home: AgentHome, kind: str, qty: str, rounds: int) -> tuple[float, float, Decimal]:
    """Medians of the gas of both roads, and what the agent's brings less, in bps of it."""
    roads = {
        "owners": one_pool(home.owners_path, kind, "owners"),
        "agent": one_pool(home.settings_path, kind, "agents"),
    }
    gas: dict[str, list[int]] = {name: [] for name in roads}
    less: list[Decimal] = []
    for _ in range(rounds):
        seen = {}
        for name in ("owners", "agent", "owners again"):
            by = name.split()[0]
            used, came = sold(home, roads[by], qty, by)
            gas[by].append(used)
            seen[name] = came
        fair = (seen["owners"] + seen["owners again"]) / 2
        less.append((fair - seen["agent"]) / fair * 10_000)
    return statistics.median(gas["owners"]), statistics.median(gas["agent"]), statistics.median(less)


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--rounds", type=int, default=4)
    rounds = words.parse_args().rounds
    print(
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; rounds {rounds}"
    )
    worst = 0
    with brought_up(Folders()) as home, granted(home) as made:  # type: ignore[arg-type]
        made.run("reconcile --adopt --at-once")  # the owners' journal has used the same sender
        for kind, qty in CASES:
            owners, agent, bps = compared(made, kind, qty, rounds)
            more = agent - owners
            cost = Decimal(more) * FEE_GWEI * ETH_USD / 10**9
            notional = Decimal(qty) * ETH_USD
            print(
                f"{kind:<11} {qty:>4} ETH   owners {owners:>9,.0f} gas   agent {agent:>9,.0f} gas   more {more:>8,.0f} "
                f"({cost:.2f} USD at {FEE_GWEI} gwei, {cost / notional * 10_000:.2f} bps)   price {bps:+.4f} bps"
            )
            worst |= more > MOST_GAS or abs(bps) > MOST_BPS
    return int(worst)


if __name__ == "__main__":
    sys.exit(main())
