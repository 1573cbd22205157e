"""What plans give when they execute after the next real block: made on the recorded state before a mainnet block, carried out after all of its
transactions.

    python scripts/bench.d/realised_blocks.py [--json]

Each recorded block is replayed on an Anvil that holds the whole state before it; that it is the real one is seen from the gas it used, which
must be the header's. The universe is Uniswap's own V2 pairs whose code and reserves the recording holds, which are those that traded in the block:
no pool here stood still, so that the figures are the worst neighbourhood's, not the market's. Orders go both ways through each pair and between
tokens by way of WETH, for a thousandth, a hundredth and a twentieth of the first pool's reserve, at no gas. The recordings hold no two blocks in a
row, so it is one block later; two and three are `realised`'s, on made blocks. Exit 1 where a replay is not the real block.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import orjson
import zstandard
from certificates import data_folder, spread
from realised import MINIMUM_BPS, later, planned

from agent.domain.instruments import Asset, AssetId, Place
from agent.market.pools import parse_pool
from agent.market.view import GasState, MarketView
from agent.routing.graph import Graph
from chains.anvil import Anvil, find_anvil
from chains.decode_rpc import block_ref
from chains.devnet.jsonrpc import Rpc as Blocking
from chains.evm import from_hex
from chains.pools import PoolReader, PoolSnapshot, PoolSpec
from chains.profiles import load
from chains.types import BlockRef, Call, CallResult, ChainReader
from contracts.hashing import checksum
from contracts.uniswap_pools import v2_pair

BLOCKS = {15538827: "paris", 15752489: "paris", 17666333: "shanghai"}
SHARES = (1_000, 100, 20)
HERE = Place("eip155:1")
PAIR = tuple(bytes.fromhex(selector) for selector in ("0902f1ac", "0dfe1681", "d21220a7", "022c0d9f"))
"""getReserves, token0, token1, swap: what a pair's code holds."""
WETH = AssetId(f"eip155:1/erc20:{load(1).wrapped_native}")
_FIELDS = (
    "from",
    "to",
    "value",
    "gas",
    "gasPrice",
    "maxFeePerGas",
    "maxPriorityFeePerGas",
    "nonce",
    "accessList",
    "type",
)


def unpacked(name: str) -> bytes:
    packed = (data_folder() / "mainnet-blocks" / name).read_bytes()
    return zstandard.ZstdDecompressor().stream_reader(packed).read()


class Still:
    """Reads a chain that nobody moves meanwhile, view by view: a chain's first block proves itself to no Multicall. As a
    `chains.types.ChainReader` to a reader of pools without ticks."""

    chain_id = 1

    def __init__(self, rpc: Blocking) -> None:
        self._rpc = rpc

    async def block(self, tag: int | str = "latest") -> BlockRef:
        return block_ref(self._rpc("eth_getBlockByNumber", "latest", False))

    async def multicall(
        self, calls: Sequence[Call], block: int | str = "latest"
    ) -> tuple[BlockRef, list[CallResult]]:
        body = [
            {
                "jsonrpc": "2.0",
                "id": n,
                "method": "eth_call",
                "params": [{"to": c.to, "data": "0x" + c.data.hex()}, "latest"],
            }
            for n, c in enumerate(calls)
        ]
        answers = {answer["id"]: answer.get("result") for answer in self._rpc._post(body)}
        results = [CallResult(bool(answers[n]), from_hex(answers[n] or "0x")) for n in range(len(body))]
        return await self.block(), results


def pairs_of(genesis: dict[str, Any]) -> list[PoolSpec]:
    found = []
    for address, account in genesis["alloc"].items():
        code = bytes.fromhex(account.get("code", "0x").removeprefix("0x"))
        if all(selector in code for selector in PAIR) and len(code) < 13_000:
            found.append(PoolSpec("uniswap_v2", checksum(bytes.fromhex(address[2:]))))
    return found


def view_of(snapshot: PoolSnapshot) -> MarketView:
    """Uniswap's own pairs of a snapshot, those with something in them."""
    factory = load(1).contracts["uniswap_v2_factory"]
    assets = {AssetId(f"eip155:1/erc20:{t.address}"): t for t in snapshot.tokens.values()}
    known = {a: Asset(a, t.symbol, t.decimals) for a, t in assets.items()}
    pools = {}
    for entry in snapshot.pools:
        tokens = [asset.rpartition(":")[2] for asset in entry["assets"]]
        whole = all(
            "/erc20:" in asset for asset in entry["assets"]
        )  # else a token that the block did not touch
        own = whole and v2_pair(factory, tokens[0], tokens[1]) == entry["id"].rpartition("/")[2]
        if own and all(int(raw) for raw in entry["reserves_raw"]):
            pools[entry["id"]] = parse_pool(entry["id"], entry, known)
    return MarketView(known, pools, {HERE: GasState(snapshot.block.number, 0, 0, WETH)})


def orders_of(view: MarketView) -> list[dict[str, Any]]:
    """Both ways through each pair, and between the tokens that have one with WETH, by shares of the first pool's reserve."""
    found, beside = [], {}
    for pool in view.pools.values():
        for i in (0, 1):
            for share in SHARES:
                raw = pool.reserves[i] // share  # type: ignore[union-attr]
                found.append({"sell": pool.assets[i], "buy": pool.assets[1 - i], "sell_raw": str(raw)})
        if WETH in pool.assets:
            i = 1 - pool.assets.index(WETH)
            beside[pool.assets[i]] = pool.reserves[i]  # type: ignore[union-attr]
    for sell, buy in permutations(beside, 2):
        found.append({"sell": sell, "buy": buy, "sell_raw": str(beside[sell] // SHARES[1])})
    return [order for order in found if int(order["sell_raw"])]


def replay(rpc: Blocking, block: dict[str, Any]) -> int:
    """Carries the block's transactions out in their order; the gas they used."""
    rpc("anvil_setCoinbase", block["miner"])
    rpc("anvil_setNextBlockBaseFeePerGas", block["baseFeePerGas"])
    rpc("evm_setNextBlockTimestamp", block["timestamp"])
    rpc("anvil_autoImpersonateAccount", True)
    for tx in block["transactions"]:
        wanted = {key: tx[key] for key in _FIELDS if tx.get(key) is not None}
        if "maxFeePerGas" in wanted:
            wanted.pop("gasPrice", None)
        rpc("eth_sendTransaction", wanted | {"data": tx["input"]})
    rpc("evm_mine")
    return int(rpc("eth_getBlockByNumber", "latest", False)["gasUsed"], 16)


async def one(number: int, fork: str) -> dict[str, Any]:
    """A block's plans and what became of them."""
    genesis, block = (
        unpacked(f"{number}.genesis.json.zst"),
        orjson.loads(unpacked(f"{number}.block.json.zst")),
    )
    with tempfile.TemporaryDirectory(prefix="realised-") as folder:
        file = Path(folder) / "genesis.json"
        file.write_bytes(genesis)
        options = {
            "--init": str(file), "--hardfork": fork, "--chain-id": "1", "--order": "fifo", "--number": str(number - 1),
            "--timestamp": str(int(block["timestamp"], 16) - 12), "--gas-limit": str(int(block["gasLimit"], 16)),
            "--block-base-fee-per-gas": str(int(block["baseFeePerGas"], 16)),
        }  # fmt: skip
        words = [word for pair in options.items() for word in pair]
        async with Anvil.running(
            [*words, "--no-mining", "--disable-code-size-limit"], binary=find_anvil()
        ) as anvil:
            with Blocking(anvil.url, timeout_s=120) as rpc:
                reader = PoolReader(cast(ChainReader, Still(rpc)), pairs_of(orjson.loads(genesis)))
                before = view_of(await reader.snapshot())
                used = replay(rpc, block)
                after = view_of(await reader.snapshot())
    graph, fresh, rows = Graph(before), Graph(after), []
    for order in orders_of(before):
        found = planned(before, graph, order)
        if found is None or found[1].net <= 0:
            continue
        problem, plan = found
        old, new = later(problem, plan, after), planned(after, fresh, order)
        rows.append(
            {
                "realised_bps": None if old is None else (old.net - plan.net) * 10_000 / plan.net,
                "anew_bps": None if new is None else (new[1].net - plan.net) * 10_000 / plan.net,
            }
        )
    moved = sum(before.pools[name] != after.pools[name] for name in before.pools)
    real = used == int(block["gasUsed"], 16)
    return {"block": number, "real": real, "pairs": len(before.pools), "moved": moved, "rows": rows}


def told(rows: list[dict[str, Any]]) -> str:
    lost = [-row["realised_bps"] for row in rows if row["realised_bps"] is not None]
    both = [row for row in rows if row["realised_bps"] is not None and row["anew_bps"] is not None]
    age = [row["anew_bps"] - row["realised_bps"] for row in both]
    lines = [
        f"{len(rows)} plans: {len(rows) - len(lost)} refused by a pool, {sum(x > 0 for x in lost)} lost, {sum(x < 0 for x in lost)} gained, "
        f"{sum(x > MINIMUM_BPS for x in lost)} below a minimum of {MINIMUM_BPS} bps"
    ]
    if lost and age:
        lines += [
            f"  lost, bps            {spread(lost)} · most {max(lost):.4g}",
            f"  a new plan more, bps {spread(age)} · most {max(age):.4g}",
        ]
    return "\n".join(lines)


def main() -> int:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--json", action="store_true")
    asked = options.parse_args()
    if not (data_folder() / "mainnet-blocks").exists():
        print(f"no recorded blocks at {data_folder()}: set FAIRLEAD_DATA", file=sys.stderr)
        return 0
    found = [asyncio.run(one(number, fork)) for number, fork in BLOCKS.items()]
    if asked.json:
        print(json.dumps(found, indent=2))
    else:
        for block in found:
            real = "the real one by its gas" if block["real"] else "NOT the real one"
            print(f"block {block['block']} ({real}): {block['moved']} of {block['pairs']} pairs moved")
            print(f"1 later: {told(block['rows'])}")
        print(f"all: {told([row for block in found for row in block['rows']])}")
    return 0 if all(block["real"] for block in found) else 1


if __name__ == "__main__":
    sys.exit(main())
