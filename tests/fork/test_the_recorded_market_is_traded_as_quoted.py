"""The recorded market, loaded into genuine pools: every swap executed there gives what our arithmetic said, to the wei; and the
25 ETH order walks the whole road on it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import redirect_stdout
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest

from agent.amm import ConcentratedPool, ConstantProductPool, Pool, Swapped, swap_exact_in
from agent.app.cli import run
from agent.app.cli.marketfile import load_market
from agent.app.devnet_home import Home, bring_up
from agent.app.readonly import read_book
from agent.app.settings import load
from agent.market.write import market_json
from chains.devnet import service
from chains.devnet.addresses import CHAINS
from chains.devnet.artifacts import artifact
from chains.devnet.funding import give_eth, give_token, token_balance
from chains.devnet.jsonrpc import Rpc
from chains.devnet.market import plan_market

RECORDED = (
    Path(os.environ.get("FAIRLEAD_DATA", "../shared/data")) / "markets/ethereum-2023-09-12.market.json.gz"
)
pytestmark = [
    pytest.mark.devnet,
    pytest.mark.skipif(
        not RECORDED.exists(), reason="the recorded market is not on this machine (FAIRLEAD_DATA)"
    ),
]
AT = CHAINS[1]
ALICE = "0xA11cE00000000000000000000000000000000001"
LARGEST = "0x88e6a0c2ddd26feeb64f039a2c41296fcb3f5640"
FOREVER = 2**40


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    runtime = tmp_path_factory.mktemp("recorded")
    market = market_json(load_market(str(RECORDED)))
    yield bring_up(runtime=runtime, fast=True, market=market, progress=lambda _: None)
    service.down(runtime=runtime)


def bare(asset: str) -> str:
    return asset.rpartition("erc20:")[2]


def depth_raw(pool: Pool, i: int, rpc: Rpc) -> int:
    """What the pool holds of an asset; sizes are shares of it."""
    if isinstance(pool, ConstantProductPool):
        return pool.reserves[i]
    return token_balance(rpc, bare(pool.assets[i]), pool.id.rpartition("/")[2])


def swap_call(pool: Pool, i: int, amount: int) -> tuple[str, str]:
    """(router, calldata) of one exact-input swap through Uniswap's own routers."""
    give, get = bare(pool.assets[i]), bare(pool.assets[1 - i])
    if isinstance(pool, ConcentratedPool):
        args = (give, get, pool.fee_pips, ALICE, FOREVER, amount, 0, 0)
        assert AT.uniswap.v3_router is not None
        return AT.uniswap.v3_router, "0x" + artifact("SwapRouter").call("exactInputSingle", args).hex()
    data = artifact("UniswapV2Router02").call(
        "swapExactTokensForTokens", amount, 0, [give, get], ALICE, FOREVER
    )
    return AT.uniswap.v2_router, "0x" + data.hex()


def execute(rpc: Rpc, cheat_url: str, pool: Pool, i: int, amount: int) -> int:
    """What the swap really paid; the chain is put back afterwards."""
    give, get = bare(pool.assets[i]), bare(pool.assets[1 - i])
    snapshot = rpc("evm_snapshot")
    give_token(cheat_url, give, ALICE, amount)
    router, data = swap_call(pool, i, amount)
    approve = "0x" + artifact("MockERC20").call("approve", router, 2**256 - 1).hex()
    rpc("anvil_impersonateAccount", ALICE)
    before = token_balance(rpc, get, ALICE)
    for to, calldata in ((give, approve), (router, data)):
        rpc("eth_sendTransaction", {"from": ALICE, "to": to, "data": calldata, "gas": hex(25_000_000)})
    rpc("evm_mine")
    paid = token_balance(rpc, get, ALICE) - before
    rpc("evm_revert", snapshot)
    rpc("anvil_dropAllTransactions")
    return paid


def test_executed_swaps_give_what_was_quoted_in_a_hundred_pools(home: Home) -> None:
    view = load_market(str(RECORDED))
    plan = plan_market(market_json(view), AT)
    genuine = {p.address.lower() for p in plan.v3} | {p.address.lower() for p in plan.v2 if p.genuine}
    pools = {p.id.rpartition("/")[2].lower(): p for p in view.pools.values()}
    wanted = (
        sorted(
            (a for a in genuine if isinstance(pools[a], ConcentratedPool)),
            key=lambda a: -len(pools[a].table.ticks),  # type: ignore[union-attr]
        )[:90]
        + sorted(a for a in genuine if isinstance(pools[a], ConstantProductPool))[:30]
    )
    assert LARGEST in wanted and len(pools[LARGEST].table.ticks) == 1213  # type: ignore[union-attr]
    # The Anvil behind the relay: nobody else mines it while the relay is stopped.
    behind = next(s for s in home.status.services if s.name == "anvil-1")
    compared = traded = 0
    with Rpc(f"http://127.0.0.1:{behind.port}") as rpc:
        url = f"http://127.0.0.1:{behind.port}"
        give_eth(url, ALICE, 10**21)
        with Rpc(home.status.cheat_urls[1]) as admin:
            admin("relay_pause")
            try:
                for address in wanted:
                    pool, done = pools[address], 0
                    for i, share in ((0, 10_000), (1, 100), (0, 2)):
                        amount = max(1, depth_raw(pool, i, rpc) // share)
                        ours = swap_exact_in(pool, pool.assets[i], pool.assets[1 - i], amount)
                        if not isinstance(ours, Swapped) or not ours.complete or ours.amount_out == 0:
                            continue
                        assert execute(rpc, url, pool, i, amount) == ours.amount_out, (address, i, share)
                        compared, done = compared + 1, done + 1
                    traded += done > 0
            finally:
                admin("relay_resume")
    assert traded >= 100, traded
    assert compared >= 250, compared


def test_the_order_of_25_eth_walks_the_whole_road_on_it(home: Home) -> None:
    out = StringIO()
    words = "trade sell 25 ETH --for USDC --live --yes --max-loss 900 --json".split()
    assert home.settings is not None
    with redirect_stdout(out):
        status = run(["--settings", str(home.settings), *words])
    told = json.loads(out.getvalue())
    assert status == 0, told
    assert told["parent"]["status"] == "FILLED" and told["parent"]["filled_base"] == "25"
    assert told["settlement"]["final"] is True
    (execution,) = told["executions"]
    # The route that was shown was found a block or more earlier: another base fee may have made another split the better one.
    book = read_book(load(home.settings))
    assert book is not None
    (child,) = book.parents[told["parent"]["cl_ord_id"]].children
    carried = book.children[child].planned
    assert carried is not None
    (part,) = carried.parts
    promised = Decimal(part.out_raw).scaleb(-6)
    if all(leg.asset_in.endswith(AT.weth) for leg in carried.route.legs):
        assert Decimal(execution["qty_out"]) == promised, "what was planned came, to the last unit"
    assert Decimal(execution["qty_out"]) >= promised
    assert Decimal(told["parent"]["filled_quote"]) > 40_000
