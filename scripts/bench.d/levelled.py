"""The recorded market after its zero-gas arbitrage was traded out, kept: what each pool holds then, so that gross gaps speak of the same state.

    python scripts/bench.d/levelled.py [--again]

`levelled.json.gz` has the digests before and after and the pools that moved. It is applied to the recorded market and its digest compared; `--again`
trades the arbitrage out anew, says whether the same comes of it, and keeps it. Exit 1 where a digest is not what it says.
"""

from __future__ import annotations

import gzip
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from agent.amm import ConcentratedPool, ConcentratedV4Pool, ConstantProductPool, Pool, SolidlyPool
from agent.market.file import parse_text
from agent.market.view import MarketView
from agent.routing.arbitrage import traded_out

FILE = Path(__file__).with_name("levelled.json.gz")


def free(view: MarketView) -> MarketView:
    """Gas costs nothing."""
    return replace(view, gas={p: replace(g, base_fee_wei=0, priority_fee_wei=0) for p, g in view.gas.items()})


def _state(pool: Pool) -> list[str]:
    if isinstance(pool, ConcentratedPool | ConcentratedV4Pool):
        return [str(pool.sqrt_price_x96), str(pool.tick), str(pool.liquidity)]
    held = pool.reserves if isinstance(pool, ConstantProductPool | SolidlyPool) else pool.balances
    return [str(raw) for raw in held]


def _with(pool: Pool, state: list[str]) -> Pool:
    figures = tuple(int(text) for text in state)
    if isinstance(pool, ConcentratedPool | ConcentratedV4Pool):
        price, tick, liquidity = figures
        return replace(pool, sqrt_price_x96=price, tick=tick, liquidity=liquidity)
    if isinstance(pool, ConstantProductPool | SolidlyPool):
        return replace(pool, reserves=(figures[0], figures[1]))
    return replace(pool, balances=figures)


def levelled(view: MarketView) -> MarketView | None:
    """The kept market, None where what is kept is of another one. Raises SystemExit where its digest is not what the file says."""
    told = json.loads(gzip.decompress(FILE.read_bytes())) if FILE.exists() else {}
    if told.get("from") != view.digest:
        return None
    pools = {name: _with(pool, told["pools"][name]) if name in told["pools"] else pool for name, pool in view.pools.items()}  # fmt: skip
    found = replace(free(view), pools=pools)
    if found.digest != told["digest"]:
        raise SystemExit(f"{FILE.name}: its digest is {found.digest}, not {told['digest']}")
    return found


def keep(view: MarketView) -> dict[str, Any]:
    done = traded_out(free(view))
    moved = {name: _state(pool) for name, pool in done.view.pools.items() if pool != view.pools[name]}
    told = {
        "from": view.digest, "digest": done.view.digest, "trades": done.trades, "gain_eth": f"{done.gain / 1e18:.3f}", "pools": moved,
    }  # fmt: skip
    FILE.write_bytes(gzip.compress(json.dumps(told, separators=(",", ":")).encode(), mtime=0))
    return told


def main() -> int:
    from certificates import data_folder

    file = data_folder() / "markets" / "ethereum-2023-09-12.market.json.gz"
    if not file.exists():
        print(f"the recorded market is not at {file}: set FAIRLEAD_DATA", file=sys.stderr)
        return 0
    view = parse_text(gzip.decompress(file.read_bytes()))
    before = json.loads(gzip.decompress(FILE.read_bytes()))["digest"] if FILE.exists() else None
    if "--again" in sys.argv or before is None:
        begun = time.process_time()
        told = keep(view)
        took = (time.process_time() - begun) * 1e3
        same = (
            ""
            if before is None
            else f", {'the same as' if before == told['digest'] else 'other than'} was kept"
        )
        print(
            f"{told['trades']} exact swaps in {took:.0f} ms, worth {told['gain_eth']} ETH, digest {told['digest']}{same}"
        )
    found = levelled(view)
    if found is None:
        print(f"{FILE.name} is of another market than {view.digest}")
        return 1
    print(f"from {view.digest[:12]} to {found.digest}: what is kept is what its digest says")
    return 0


if __name__ == "__main__":
    sys.exit(main())
