"""Every swap at Uniswap's V2 and V3 pools in recorded mainnet blocks, made again by our arithmetic from the state before it.

A block is replayed on the state that was recorded before it, and is the real one where it uses the header's gas. Pools are followed by their own events, swap by
swap: amounts, price, liquidity and tick of each must come out to the unit, from the input, from the output, or from the input up to the price the
swap was limited to. (Who asked for less than a V2 pair gives is told apart: then our output is the larger one, and the reserves after are the contract's.)
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from eth_abi.abi import decode
from eth_utils.crypto import keccak
from mainnet_world import call_data, recorded, recorded_chain
from zstandard import ZstdDecompressor

from agent.amm import (
    ConcentratedPool,
    ConstantProductPool,
    Reverted,
    Swapped,
    concentrated,
    swap_exact_in,
    swap_exact_out,
)
from agent.amm.math import ContractRevert
from agent.amm.ticks import TickTable
from chains.devnet.jsonrpc import Rpc, RpcError
from chains.profiles import load
from contracts.hashing import checksum
from contracts.uniswap_pools import v2_pair, v3_pool

pytestmark = pytest.mark.devnet
BLOCKS = {15538827: "paris", 15752489: "paris", 17666333: "shanghai"}
FIELDS = ("from", "to", "value", "gas", "gasPrice", "maxFeePerGas", "maxPriorityFeePerGas", "nonce", "accessList", "type")  # fmt: skip
SWAPS = {15538827: (9, 11, 5), 15752489: (7, 1, 0), 17666333: (33, 8, 5)}
"""How many swaps each block holds at Uniswap's V2 pairs, its V3 pools, and pools of the same form that are not its own, which are left out."""
WORDS = 3
"""Words of the bitmap each way that are read: the recording holds all that the block's swaps looked at."""


def topic(signature: str) -> str:
    return "0x" + keccak(text=signature).hex()


SYNC, V2_SWAP = topic("Sync(uint112,uint112)"), topic("Swap(address,uint256,uint256,uint256,uint256,address)")
V3_SWAP = topic("Swap(address,address,int256,int256,uint160,uint128,int24)")
MINT, BURN = topic("Mint(address,address,int24,int24,uint128,uint256,uint256)"), topic("Burn(address,int24,int24,uint128,uint256,uint256)")  # fmt: skip


def words(log: dict[str, Any], kinds: list[str]) -> tuple[Any, ...]:
    return decode(kinds, bytes.fromhex(log["data"][2:]))


class Before:
    """Views of a chain before its block."""

    def __init__(self, rpc: Rpc) -> None:
        self._rpc = rpc

    def read(self, to: str, signature: str, kinds: list[str], *values: Any) -> tuple[Any, ...] | None:
        try:
            answer = self._rpc("eth_call", {"to": to, "data": call_data(signature, *values)}, "latest")
            return decode(kinds, bytes.fromhex(answer[2:]))
        except (RpcError, ValueError, OverflowError):
            return None

    def v2(self, address: str) -> ConstantProductPool | None:
        """Uniswap's own pair at an address, None for any other."""
        held = self.read(address, "getReserves()", ["uint112", "uint112", "uint32"])
        tokens = [self.read(address, f"token{k}()", ["address"]) for k in (0, 1)]
        if held is None or None in tokens:
            return None
        names = tuple(checksum(bytes.fromhex(token[0][2:])) for token in tokens if token is not None)
        if v2_pair(load(1).contracts["uniswap_v2_factory"], *names).lower() != address.lower():
            return None
        return ConstantProductPool(address, (names[0], names[1]), (held[0], held[1]), 3000)

    def v3(self, address: str) -> ConcentratedPool | None:
        """Uniswap's own pool at an address, with the ticks around its price."""
        slot = self.read(
            address, "slot0()", ["uint160", "int24", "uint16", "uint16", "uint16", "uint8", "bool"]
        )
        told = [self.read(address, f"{name}()", [kind]) for name, kind in (("token0", "address"), ("token1", "address"), ("fee", "uint24"), ("tickSpacing", "int24"), ("liquidity", "uint128"))]  # fmt: skip
        if slot is None or None in told:
            return None
        one, other, fee, spacing, liquidity = (answer[0] for answer in told if answer is not None)
        names = checksum(bytes.fromhex(one[2:])), checksum(bytes.fromhex(other[2:]))
        if v3_pool(load(1).contracts["uniswap_v3_factory"], *names, fee).lower() != address.lower():
            return None
        at, net = slot[1] // spacing >> 8, dict[int, int]()
        for word in range(at - WORDS, at + WORDS + 1):
            bits = self.read(address, "tickBitmap(int16)", ["uint256"], word)
            for bit in range(256) if bits is not None and bits[0] else ():
                if bits is not None and bits[0] >> bit & 1:
                    tick = ((word << 8) + bit) * spacing
                    found = self.read(address, "ticks(int24)", ["uint128", "int128"], tick)
                    assert found is not None
                    net[tick] = found[1]
        return ConcentratedPool(address, names, fee, spacing, slot[0], slot[1], liquidity, table_of(net))


def table_of(net: dict[int, int]) -> TickTable:
    ticks = sorted(tick for tick, change in net.items())
    return TickTable(tuple(ticks), tuple(net[tick] for tick in ticks))


def moved(pool: ConcentratedPool, log: dict[str, Any], sign: int) -> ConcentratedPool:
    """The pool after liquidity was added or taken."""
    low, high = (int.from_bytes(bytes.fromhex(log["topics"][k][2:]), signed=True) for k in (2, 3))
    amount = (words(log, ["address", "uint128", "uint256", "uint256"])[1] if sign > 0 else words(log, ["uint128", "uint256", "uint256"])[0]) * sign  # fmt: skip
    net = dict(zip(pool.table.ticks, pool.table.nets, strict=True))
    net[low], net[high] = net.get(low, 0) + amount, net.get(high, 0) - amount
    inside = amount if low <= pool.tick < high else 0
    return replace(pool, table=table_of(net), liquidity=pool.liquidity + inside)


def made_again(pool: ConcentratedPool, amount0: int, amount1: int, after: tuple[int, int, int]) -> str | None:
    """How a swap comes out as it did, None where it does not."""
    i = 0 if amount0 > 0 else 1
    paid, got = (amount0, -amount1) if i == 0 else (amount1, -amount0)

    def same(found: Swapped | Reverted) -> bool:
        if isinstance(found, Reverted) or not isinstance(found.after, ConcentratedPool):
            return False
        end = found.after.sqrt_price_x96, found.after.liquidity, found.after.tick
        return (found.amount_in, found.amount_out, end) == (paid, got, after)

    if same(swap_exact_in(pool, pool.assets[i], pool.assets[1 - i], paid)):
        return "from its input"
    if got and same(swap_exact_out(pool, pool.assets[i], pool.assets[1 - i], got)):
        return "from its output"
    try:
        found = concentrated.swap(pool, i, 2**200, True, after[0])
    except ContractRevert:
        return None
    return "up to its price" if same(found) else None


def replayed(rpc: Rpc, block: dict[str, Any]) -> list[dict[str, Any]]:
    """Carries out a block's transactions in their order: its logs."""
    rpc("anvil_setCoinbase", block["miner"])
    rpc("anvil_setNextBlockBaseFeePerGas", block["baseFeePerGas"])
    rpc("evm_setNextBlockTimestamp", block["timestamp"])
    rpc("anvil_autoImpersonateAccount", True)
    for tx in block["transactions"]:
        wanted = {key: tx[key] for key in FIELDS if tx.get(key) is not None}
        if "maxFeePerGas" in wanted:
            wanted.pop("gasPrice", None)
        rpc("eth_sendTransaction", wanted | {"data": tx["input"]})
    rpc("evm_mine")
    made = rpc("eth_getBlockByNumber", "latest", False)
    assert int(made["gasUsed"], 16) == int(block["gasUsed"], 16), "the replay is not the real block"
    found: list[dict[str, Any]] = rpc("eth_getLogs", {"fromBlock": made["number"], "toBlock": made["number"]})
    return found


@pytest.mark.parametrize("number", BLOCKS)
def test_each_swap_comes_out_as_it_did(number: int, tmp_path: Path) -> None:
    packed = recorded(f"mainnet-blocks/{number}.block.json.zst").read_bytes()
    block = orjson.loads(ZstdDecompressor().stream_reader(packed).read())
    options = {
        "--hardfork": BLOCKS[number], "--order": "fifo", "--number": str(number - 1), "--timestamp": str(int(block["timestamp"], 16) - 12),
        "--gas-limit": str(int(block["gasLimit"], 16)), "--block-base-fee-per-gas": str(int(block["baseFeePerGas"], 16)),
    }  # fmt: skip
    flat = [word for pair in options.items() for word in pair]
    with recorded_chain(tmp_path, f"mainnet-blocks/{number}.genesis.json.zst", [*flat, "--no-mining", "--disable-code-size-limit"], free=()) as rpc:  # fmt: skip
        snapshot = rpc("evm_snapshot")
        logs = replayed(rpc, block)
        rpc("evm_revert", snapshot)
        before, how = Before(rpc), Counter[str]()
        pairs: dict[str, ConstantProductPool | None] = {}
        earlier: dict[str, ConstantProductPool | None] = {}
        pools: dict[str, ConcentratedPool | None] = {}
        for log in logs:
            kind, address = (log["topics"] or [""])[0], log["address"]
            if kind in (SYNC, V2_SWAP) and address not in pairs:
                pairs[address] = earlier[address] = before.v2(address)
            if kind in (V3_SWAP, MINT, BURN) and len(log["topics"]) in (3, 4) and address not in pools:
                pools[address] = before.v3(address)
            pair, pool = pairs.get(address), pools.get(address)
            how["others' pools"] += (kind == V2_SWAP and pair is None) or (kind == V3_SWAP and pool is None)
            if pair is not None and kind == SYNC:
                earlier[address] = pair
                reserves = words(log, ["uint112", "uint112"])
                pairs[address] = replace(pair, reserves=(reserves[0], reserves[1]))
            elif pair is not None and kind == V2_SWAP:
                in0, in1, out0, out1 = words(log, ["uint256"] * 4)
                was = earlier[address]
                assert was is not None
                assert (was.reserves[0] + in0 - out0, was.reserves[1] + in1 - out1) == pair.reserves
                if (in0 > 0) == (in1 > 0) or (out0 > 0) == (out1 > 0):
                    how["V2, both ways at once"] += 1
                    continue
                i, paid, got = (0, in0, out1) if in0 else (1, in1, out0)
                ours = swap_exact_in(was, was.assets[i], was.assets[1 - i], paid)
                assert isinstance(ours, Swapped) and ours.amount_out >= got, (address, log)
                how["V2, to the unit" if ours.amount_out == got else "V2, less was taken"] += 1
            elif pool is not None and kind in (MINT, BURN):
                pools[address] = moved(pool, log, 1 if kind == MINT else -1)
            elif pool is not None and kind == V3_SWAP:
                amount0, amount1, price, liquidity, tick = words(
                    log, ["int256", "int256", "uint160", "uint128", "int24"]
                )
                found = made_again(pool, amount0, amount1, (price, liquidity, tick))
                assert found is not None, (address, log, pool)
                how[f"V3, {found}"] += 1
                pools[address] = replace(pool, sqrt_price_x96=price, liquidity=liquidity, tick=tick)
    v2, v3 = (sum(n for name, n in how.items() if name.startswith(kind)) for kind in ("V2", "V3"))
    assert (v2, v3, how["others' pools"]) == SWAPS[number], how
    assert how["V2, to the unit"] > how["V2, less was taken"]
