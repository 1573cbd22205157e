"""A market file becomes pools of genuine code, and the genuine quoters answer what our own arithmetic says, to the wei."""

from __future__ import annotations

import gzip
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import decode

from agent.amm import Pool, Swapped, swap_exact_in
from agent.amm.concentrated import ConcentratedPool
from agent.market.file import parse_market
from chains.devnet import service, state
from chains.devnet.addresses import CHAINS
from chains.devnet.artifacts import artifact
from chains.devnet.funding import give_token, token_balance
from chains.devnet.jsonrpc import Rpc
from chains.devnet.market import plan_market, v2_address, v3_address, v3_holdings
from chains.devnet.service import Status
from chains.errors import Usage

pytestmark = pytest.mark.devnet

AT = CHAINS[1]
GOLD = "0x9999999999999999999999999999999999999999"
FORK_PAIR = "0x7777777777777777777777777777777777777777"
ALICE = "0xA11cE00000000000000000000000000000000001"
RECORDED = (
    Path(os.environ.get("FAIRLEAD_DATA", "../shared/data")) / "markets/ethereum-2023-09-12.market.json.gz"
)


def small_market() -> dict[str, Any]:
    """Two V3 tiers, a V2 pair and a fork of one, with a token that no package knows."""

    def ref(address: str) -> str:
        return f"eip155:1/erc20:{address.lower()}"

    weth, usdc, gold = ref(AT.weth), ref(AT.usdc), ref(GOLD)

    def v3(fee: int, spacing: int, ticks: list[list[Any]], liquidity: str) -> dict[str, Any]:
        # Tick 201240 is about 1,817 USDC per WETH.
        return {
            **{"id": f"eip155:1/{v3_address(AT, AT.usdc, AT.weth, fee).lower()}", "kind": "uniswap_v3"},
            **{"assets": [usdc, weth], "fee_pips": fee, "tick_spacing": spacing, "tick": 201240},
            **{
                "sqrt_price_x96": "1855850000000000000000000000000000",
                "liquidity": liquidity,
                "ticks": ticks,
            },
        }

    dense = [[190000, "4000000000000000"], [201230, "9000000000000000"], [201250, "-9000000000000000"]]
    return {
        "fairlead": "market/1",
        "at": {"eip155:1": {"block": None, "base_fee_wei": "1", "priority_fee_wei": "1", "native_as": weth}},
        "reference_px_native": {usdc: "0.00055", weth: "1"},
        "assets": [
            {"id": weth, "symbol": "WETH", "decimals": 18},
            {"id": usdc, "symbol": "USDC", "decimals": 6},
            {"id": gold, "symbol": "GOLD", "decimals": 2},
        ],
        "pools": [
            v3(500, 10, [*dense, [210000, "-4000000000000000"]], "13000000000000000"),
            v3(100, 1, [[-887272, "500000000000000"], [887272, "-500000000000000"]], "500000000000000"),
            {
                **{"id": f"eip155:1/{v2_address(AT, AT.usdc, AT.weth).lower()}", "kind": "uniswap_v2"},
                **{
                    "assets": [weth, usdc],
                    "reserves_raw": [str(700 * 10**18), str(1_272_000 * 10**6)],
                    "fee_pips": 3000,
                },
            },
            {
                **{"id": f"eip155:1/{FORK_PAIR}", "kind": "uniswap_v2", "assets": [gold, weth]},
                **{"reserves_raw": ["5000000", str(90 * 10**18)], "fee_pips": 3000},
            },
        ],
    }


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Status]:
    yield from _up(tmp_path_factory, small_market())


def _up(tmp_path_factory: pytest.TempPathFactory, market: dict[str, Any]) -> Iterator[Status]:
    if os.environ.get("FAIRLEAD_TEST_NO_DEVNET"):
        pytest.skip("FAIRLEAD_TEST_NO_DEVNET is set")
    state.ensure([1], bare=[1])
    runtime = tmp_path_factory.mktemp("market")
    yield service.up(runtime=runtime, chains=[1], fast=True, relay=False, market=market)
    service.down(runtime=runtime)


def address_of(asset: str) -> str:
    return asset.rpartition("erc20:")[2]


def v3_quote(pool: ConcentratedPool, asset_in: str, asset_out: str, amount: int) -> tuple[str, list[Any]]:
    args = (address_of(asset_in), address_of(asset_out), amount, pool.fee_pips, 0)
    data = "0x" + artifact("QuoterV2").call("quoteExactInputSingle", args).hex()
    return "eth_call", [{"to": AT.uniswap.quoter_v2, "data": data}, "latest"]


def quotes_agree(rpc: Rpc, pools: list[ConcentratedPool]) -> int:
    """Ask the genuine quoter both ways in four sizes and compare; how many quotes were compared."""
    asked: list[tuple[ConcentratedPool, Swapped]] = []
    calls = []
    for pool in pools:
        held = v3_holdings(_plain(pool))
        for i, part in ((i, part) for i in (0, 1) for part in (10**6, 1000, 10, 1)):
            # In terms of what the pool can pay, so that the smallest moves nothing and the largest drains a side.
            amount = max(1, held[i] // part)
            ours = swap_exact_in(pool, pool.assets[i], pool.assets[1 - i], amount)
            if isinstance(ours, Swapped) and ours.amount_in > 0 and ours.amount_out > 0:
                asked.append((pool, ours))
                calls.append(v3_quote(pool, pool.assets[i], pool.assets[1 - i], amount))
    for (pool, ours), answer in zip(asked, rpc.batch(calls), strict=True):
        amount_out, price_after = decode(["uint256", "uint160"], bytes.fromhex(answer[2:]))
        assert isinstance(ours.after, ConcentratedPool)
        assert (amount_out, price_after) == (ours.amount_out, ours.after.sqrt_price_x96), pool.id
    return len(asked)


def _plain(pool: ConcentratedPool) -> Any:
    from chains.devnet.market import V3Pool

    token0, token1 = map(address_of, pool.assets)
    ticks = tuple(zip(pool.table.ticks, pool.table.nets, strict=True))
    price = (pool.sqrt_price_x96, pool.tick, pool.liquidity)
    return V3Pool(pool.id, token0, token1, pool.fee_pips, pool.tick_spacing, *price, ticks)


def concentrated(market: dict[str, Any]) -> list[ConcentratedPool]:
    return [pool for pool in parse_market(market).pools.values() if isinstance(pool, ConcentratedPool)]


def test_the_quoter_answers_our_arithmetic(small: Status) -> None:
    with Rpc(small.urls[1]) as rpc:
        assert quotes_agree(rpc, concentrated(small_market())) >= 12


def test_a_swap_fills_what_was_quoted_in_v3_v2_and_a_fork(small: Status) -> None:
    market = parse_market(small_market())
    amount = 3 * 10**18
    with Rpc(small.cheat_urls[1]) as rpc:
        rpc("anvil_impersonateAccount", ALICE)
        rpc("anvil_setBalance", ALICE, hex(10**21))

        def send(to: str, data: bytes, value: int = 0) -> None:
            tx = {
                "from": ALICE,
                "to": to,
                "data": "0x" + data.hex(),
                "value": hex(value),
                "gas": hex(2_000_000),
            }
            assert rpc.transact(tx)["status"] == "0x1"

        def ours(pool: Pool) -> int:
            weth = next(asset for asset in pool.assets if address_of(asset) == AT.weth.lower())
            other = next(asset for asset in pool.assets if asset != weth)
            swapped = swap_exact_in(pool, weth, other, amount)
            assert isinstance(swapped, Swapped)
            return swapped.amount_out

        deep, _, pair, fork = market.pools.values()
        trade = (AT.weth, AT.usdc, 500, ALICE, amount, 0, 0)
        send(AT.uniswap.router02, artifact("SwapRouter02").call("exactInputSingle", trade), amount)
        assert token_balance(rpc, AT.usdc, ALICE) == ours(deep)

        path = [AT.weth, AT.usdc]
        call = artifact("UniswapV2Router02").call("swapExactETHForTokens", 0, path, ALICE, 2**40)
        send(AT.uniswap.v2_router, call, amount)
        assert token_balance(rpc, AT.usdc, ALICE) == ours(deep) + ours(pair)

        give_token(small.cheat_urls[1], AT.weth, FORK_PAIR, amount)
        gold_first = int(GOLD, 16) < int(AT.weth, 16)
        out = ours(fork)
        both = (out, 0) if gold_first else (0, out)
        send(FORK_PAIR, artifact("UniswapV2Pair").call("swap", *both, ALICE, b""))
        assert token_balance(rpc, GOLD, ALICE) == out


def test_the_manifest_tells_genuine_from_fork_and_mock(small: Status) -> None:
    labels = {contract.address: contract.label for contract in small.contracts}
    assert (
        labels[v3_address(AT, AT.usdc, AT.weth, 500)] == "exact" == labels[v2_address(AT, AT.usdc, AT.weth)]
    )
    assert labels[FORK_PAIR] == "mock" == labels[GOLD]
    assert "UniswapV3 USDC/WETH 0.05%" in {contract.name for contract in small.contracts}
    assert not any("Balancer USDC-USDT-DAI" in contract.name for contract in small.contracts), (
        "no demo market beside it"
    )


def test_the_eth_feed_follows_the_file(small: Status) -> None:
    feed = artifact("MockV3Aggregator")
    with Rpc(small.urls[1]) as rpc:
        answer = rpc(
            "eth_call", {"to": AT.feeds["ETH"], "data": "0x" + feed.call("latestAnswer").hex()}, "latest"
        )
    assert int(answer, 16) == 181818181818  # 1 / 0.00055 USD


def test_no_chain_keeps_the_demo_market_beside_a_file(tmp_path: Path) -> None:
    try:
        up = service.up(runtime=tmp_path, chains=[1, 8453], market=small_market(), relay=False)
        assert not [c.name for c in up.contracts if c.chain == 8453 and c.name.startswith("UniswapV3 ")]
        feed = artifact("MockV3Aggregator").call("latestAnswer")
        with Rpc(up.urls[8453]) as rpc:
            answer = rpc("eth_call", {"to": CHAINS[8453].feeds["ETH"], "data": "0x" + feed.hex()}, "latest")
            assert int(answer, 16) == 181818181818, "no second price of ETH either"
            head = int(rpc("eth_blockNumber"), 16)
            deadline = time.monotonic() + 10
            while int(rpc("eth_blockNumber"), 16) == head and time.monotonic() < deadline:
                time.sleep(0.1)
            assert int(rpc("eth_blockNumber"), 16) > head, "blocks go on at the chain's own pace"
    finally:
        service.down(runtime=tmp_path)


def test_a_file_without_pools_for_us_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Usage, match="no Uniswap V3"):
        service.up(runtime=tmp_path, market=small_market() | {"pools": []})


def test_another_market_is_refused_while_one_is_up(small: Status) -> None:
    with pytest.raises(Usage, match="already up"):
        service.up(runtime=small.runtime, chains=[1], market=small_market())


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda m: m.update(fairlead="market/2"), "market/2"),
        (lambda m: m.pop("assets"), "assets"),
        (lambda m: m["pools"][0].update(liquidity="1"), "not the sum of its ticks"),
        (lambda m: m["pools"][0]["assets"].reverse(), "token0 and token1"),
        (lambda m: m["pools"][2].update(reserves_raw=["1", "x"]), "not a market/1 file"),
    ],
)
def test_a_malformed_file_is_refused_by_name(spoil: Any, says: str) -> None:
    market = small_market()
    spoil(market)
    with pytest.raises(Usage, match=says):
        plan_market(market, AT)


def recorded() -> dict[str, Any]:
    if not RECORDED.exists():
        pytest.skip(f"the recorded market is not here: {RECORDED} (set FAIRLEAD_DATA)")
    market: dict[str, Any] = json.loads(gzip.decompress(RECORDED.read_bytes()))
    return market


@pytest.fixture(scope="module")
def mainnet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Status]:
    yield from _up(tmp_path_factory, recorded())


def test_every_recorded_v3_pool_quotes_our_arithmetic(mainnet: Status) -> None:
    pools = concentrated(recorded())
    assert len(pools) == 299 and max(len(pool.table.ticks) for pool in pools) == 1213
    with Rpc(mainnet.urls[1]) as rpc:
        assert quotes_agree(rpc, pools) > 2000


def test_recorded_v2_pairs_quote_our_arithmetic(mainnet: Status) -> None:
    genuine = {v2.address.lower() for v2 in plan_market(recorded(), AT).v2 if v2.genuine}
    pools = [p for p in parse_market(recorded()).pools.values() if p.id.rpartition("/")[2].lower() in genuine]
    assert len(pools) > 200
    router, compared = artifact("UniswapV2Router02"), 0
    with Rpc(mainnet.urls[1]) as rpc:
        for pool in pools:
            asset_in, asset_out = pool.assets
            amount = 10**15
            ours = swap_exact_in(pool, asset_in, asset_out, amount)
            if not isinstance(ours, Swapped):
                continue
            data = router.call("getAmountsOut", amount, [address_of(asset_in), address_of(asset_out)])
            answer = rpc("eth_call", {"to": AT.uniswap.v2_router, "data": "0x" + data.hex()}, "latest")
            assert decode(["uint256[]"], bytes.fromhex(answer[2:]))[0][1] == ours.amount_out
            compared += 1
    assert compared > 150
