"""The pool reader against genuine contracts on the devnet: what it reads, quoted by our arithmetic, equals each protocol's own quoter."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from eth_abi.abi import decode
from mainnet_world import FOREVER, call_data
from pool_lists import AT, V4, specs

from agent.amm import Pool, Reverted, Swapped, swap_exact_in, swap_exact_out
from agent.domain.instruments import Asset, AssetId
from agent.market.pools import parse_pool
from chains.devnet.addresses import BALANCER
from chains.devnet.funding import give_eth, give_token
from chains.devnet.jsonrpc import Rpc as Blocking
from chains.devnet.service import Status
from chains.evm import checksum
from chains.gateway import Gateway
from chains.pool_factories import PoolFactory, found_pools
from chains.pools import PoolReader, PoolSnapshot, PoolSpec
from chains.rpc import Rpc
from chains.types import Address
from contracts.uniswap_pools import v3_pool

pytestmark = pytest.mark.devnet
TRADER = "0x00000000000000000000000000000000000a11ce"
ZERO = "0x" + "0" * 40


@asynccontextmanager
async def gateway(status: Status) -> AsyncIterator[Gateway]:
    async with aiohttp.ClientSession() as session:
        yield Gateway(1, [Rpc(status.urls[1], session)])


def parsed(snapshot: PoolSnapshot) -> list[Pool]:
    assets = {
        AssetId(asset): Asset(AssetId(asset), token.symbol, token.decimals)
        for token in snapshot.tokens.values()
        for asset in ["eip155:1/slip44:60" if token.address == ZERO else f"eip155:1/erc20:{token.address}"]
    }
    return [parse_pool(f"pools[{k}]", entry, assets) for k, entry in enumerate(snapshot.pools)]


def token(asset: str) -> str:
    return ZERO if asset.endswith("slip44:60") else asset.rpartition(":")[2]


def theirs(rpc: Blocking, pool: Pool, sold: str, bought: str, exact_in: bool, amount: int) -> int | None:
    """The protocol's own quoter: the amount out for an exact input, in for an exact output; None where it refuses."""
    a, b = token(sold), token(bought)
    if pool.kind == "uniswap_v2":
        reserves = pool.reserves if sold == pool.assets[0] else pool.reserves[::-1]
        verb = "getAmountOut" if exact_in else "getAmountIn"
        to, data = AT.v2_router, call_data(f"{verb}(uint256,uint256,uint256)", amount, *reserves)
    elif pool.kind == "uniswap_v3":
        verb = "quoteExactInputSingle" if exact_in else "quoteExactOutputSingle"
        to = AT.quoter_v2
        data = call_data(
            f"{verb}((address,address,uint256,uint24,uint160))", (a, b, amount, pool.fee_pips, 0)
        )
    elif pool.kind == "uniswap_v4":
        verb = "quoteExactInputSingle" if exact_in else "quoteExactOutputSingle"
        key = (token(pool.assets[0]), token(pool.assets[1]), pool.lp_fee_pips, pool.tick_spacing, ZERO)
        to = AT.v4_quoter
        data = call_data(
            f"{verb}(((address,address,uint24,int24,address),bool,uint128,bytes))",
            (key, sold == pool.assets[0], amount, b""),
        )
    else:
        low, high = sorted((a, b))
        step = (bytes.fromhex(pool.id.rpartition("/0x")[2]), int(a != low), int(b != low), amount, b"")
        to = BALANCER["Vault"]
        data = call_data(
            "queryBatchSwap(uint8,(bytes32,uint256,uint256,uint256,bytes)[],address[],(address,bool,address,bool))",
            0 if exact_in else 1, [step], [low, high], (TRADER, False, TRADER, False),
        )  # fmt: skip
    answer = rpc._post(
        {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "eth_call",
            "params": [{"from": TRADER, "to": to, "data": data}, "latest"],
        }
    )
    if "error" in answer:
        return None
    raw = bytes.fromhex(answer["result"][2:])
    if pool.kind.startswith("balancer"):
        deltas = decode(["int256[]"], raw)[0]
        return abs(deltas[int((b if exact_in else a) != low)])
    return int(decode(["uint256"], raw)[0])


async def test_every_pool_of_the_devnet_quotes_as_its_own_protocol_does(devnet: Status) -> None:
    async with gateway(devnet) as reader:
        snapshot = await PoolReader(reader, specs(devnet), V4).snapshot()
    assert not snapshot.skipped
    pools = parsed(snapshot)
    assert len(pools) >= 6
    compared: dict[str, int] = {}
    with Blocking(devnet.urls[1]) as rpc:
        for pool in pools:
            for sold in pool.assets:
                for bought in pool.assets:
                    if sold == bought:
                        continue
                    for exact_in in (True, False):
                        for power in range(3, 14, 2):
                            asset = sold if exact_in else bought
                            unit = 10 ** next(
                                t.decimals
                                for t in snapshot.tokens.values()
                                if t.address.lower() == token(asset).lower()
                            )
                            amount = 3**power * unit // 1000 + 7
                            verb = swap_exact_in if exact_in else swap_exact_out
                            got, want = (
                                verb(pool, sold, bought, amount),
                                theirs(rpc, pool, sold, bought, exact_in, amount),
                            )
                            case = (pool.id, sold, bought, exact_in, amount)
                            if want is None:
                                assert isinstance(got, Reverted) or not got.complete, (case, got)
                                continue
                            assert isinstance(got, Swapped), (case, got)
                            assert (got.amount_out if exact_in else got.amount_in) == want, case
                            compared[pool.kind] = compared.get(pool.kind, 0) + 1
    assert min(compared.values()) >= 15 and len(compared) == 5, compared


async def test_the_v3_factory_tells_its_own_pools_of_the_tokens_and_an_odd_fee_is_found_by_its_log(
    devnet: Status,
) -> None:
    """Those the manifest lists, by nothing but factory and tokens; and one of a fee that nobody would ask for, enabled by the factory's owner."""
    mine = [Address(s.id) for s in specs(devnet) if s.kind == "uniswap_v3"]
    factory = PoolFactory("uniswap_v3", Address(AT.v3_factory))
    async with gateway(devnet) as reader:
        listed = await PoolReader(reader, [PoolSpec("uniswap_v3", pool) for pool in mine]).snapshot()
        tokens = [t.address for t in listed.tokens.values()]
        found = await found_pools([factory], tokens, await reader.block(), reader)
        assert {kind for kind, _ in found} == {"uniswap_v3"} and {pool for _, pool in found} >= set(mine)
        sought = await PoolReader(reader, [], factories=[factory], tokens=tokens).snapshot()
        assert {p["id"]: p for p in sought.pools}.items() >= {p["id"]: p for p in listed.pools}.items()
        with Blocking(devnet.cheat_urls[1]) as rpc:
            owner = (
                "0x" + rpc("eth_call", {"to": AT.v3_factory, "data": call_data("owner()")}, "latest")[-40:]
            )
            rpc("anvil_impersonateAccount", owner)
            give_eth(devnet.cheat_urls[1], owner, 10**21)
            for data in (
                call_data("enableFeeAmount(uint24,int24)", 777, 7),
                call_data("createPool(address,address,uint24)", *sorted(tokens)[:2], 777),
            ):
                sent = {"from": owner, "to": AT.v3_factory, "data": data, "gas": hex(8_000_000)}
                assert rpc.transact(sent)["status"] == "0x1"
        more = set(await found_pools([factory], tokens, await reader.block(), reader)) - set(found)
        odd = checksum(v3_pool(AT.v3_factory, *sorted(tokens)[:2], 777))
        assert more == {("uniswap_v3", odd)}
        # One that nobody gave a price is no pool to trade with, and takes none beside it.
        again = await PoolReader(reader, [], factories=[factory], tokens=tokens).snapshot()
        assert [p["id"] for p in again.pools if p["fee_pips"] != 777] == [p["id"] for p in sought.pools]


async def test_only_changed_ticks_are_read_again(devnet: Status) -> None:
    """A swap moves price and liquidity but no tick; new liquidity adds ticks. Both snapshots equal a fresh reader's."""
    mine = [s for s in specs(devnet) if s.kind == "uniswap_v3"]
    usdc = next(c.address for c in devnet.contracts if c.chain == 1 and c.name == "USDC")
    async with gateway(devnet) as reader:
        kept = PoolReader(reader, mine)
        first = await kept.snapshot()
        weth = next(t.address for t in first.tokens.values() if t.symbol == "WETH")
        with Blocking(devnet.cheat_urls[1]) as rpc:
            give_eth(devnet.cheat_urls[1], TRADER, 10**21)
            give_token(devnet.cheat_urls[1], weth, TRADER, 10**21)
            rpc("anvil_impersonateAccount", TRADER)

            def send(to: str, data: str) -> None:
                receipt = rpc.transact({"from": TRADER, "to": to, "data": data, "gas": hex(3_000_000)})
                assert receipt["status"] == "0x1"

            send(weth, call_data("approve(address,uint256)", AT.router02, 2**255))
            send(weth, call_data("approve(address,uint256)", AT.v3_npm, 2**255))
            swap = (weth, usdc, 500, TRADER, 25 * 10**18, 0, 0)
            send(
                AT.router02,
                call_data("exactInputSingle((address,address,uint24,address,uint256,uint256,uint160))", swap),
            )
            moved = await kept.snapshot()
            assert moved.pools == (await PoolReader(reader, mine).snapshot()).pools
            assert moved.pools != first.pools
            five = next(p for p in moved.pools if p["fee_pips"] == 500)
            # Only WETH is needed above the price of a pool whose second token it is, below where it is the first.
            spacing = five["tick_spacing"]
            weth_second = five["assets"][1].endswith(weth)
            at = five["tick"] // spacing * spacing
            low, high = (
                (at - 33 * spacing, at - 22 * spacing)
                if weth_second
                else (at + 22 * spacing, at + 33 * spacing)
            )
            tokens = tuple(asset.rpartition(":")[2] for asset in five["assets"])
            amounts = (0, 10**18) if weth_second else (10**18, 0)
            position = (*tokens, 500, low, high, *amounts, 0, 0, TRADER, FOREVER)
            kinds = "address,address,uint24,int24,int24,uint256,uint256,uint256,uint256,address,uint256"
            send(AT.v3_npm, call_data(f"mint(({kinds}))", position))
        grown = await kept.snapshot()
        assert grown.pools == (await PoolReader(reader, mine).snapshot()).pools
        ticks = {tick for tick, _ in next(p for p in grown.pools if p["fee_pips"] == 500)["ticks"]}
        assert {low, high} <= ticks


async def test_what_is_no_pool_is_skipped_by_name_and_the_rest_is_read(devnet: Status) -> None:
    good = specs(devnet)[0]
    bad = PoolSpec("uniswap_v3", "0x00000000000000000000000000000000000000Aa")
    async with gateway(devnet) as reader:
        snapshot = await PoolReader(reader, [bad, good], V4).snapshot()
    assert [p["kind"] for p in snapshot.pools] == [good.kind]
    assert snapshot.skipped[0][0] == bad.id and "uniswap_v3" in snapshot.skipped[0][1]
