"""A market where the best sale splits, merges and splits again: with the RouteExecutor opted in to, `trade` carries it in one call. So it
does where Curve's, Aerodrome's and a V2 fork's pools are listed or found by their factories; without it they are named and left out."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import asdict, replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import decode
from mainnet_world import call_data
from other_exchanges import PANCAKE_PIPS, Others, build_others

from agent.app.cli import run
from agent.app.devnet_home import Home, bring_up
from agent.app.readonly import read_book
from agent.app.settings import load
from agent.app.template import render
from chains.devnet import service
from chains.devnet.addresses import AAVE, CHAINS
from chains.devnet.builder import Builder
from chains.devnet.deploy.aave import a_token
from chains.devnet.deploy.base import mock_token
from chains.devnet.funding import give_token
from chains.devnet.jsonrpc import Rpc
from chains.devnet.market import v3_address
from chains.evm import checksum
from contracts import flash_repay
from contracts.codec import encode
from contracts.route_executor import ADDRESS, EXECUTOR

pytestmark = pytest.mark.devnet
AT = CHAINS[1]
GOLD = "0x9999999999999999999999999999999999999999"
DAI, USDT = "0x6B175474E89094C44Da98b954EedeAC495271d0F", "0xdAC17F958D2ee523a2206206994597C13D831ec7"


def ref(address: str) -> str:
    return f"eip155:1/erc20:{address.lower()}"


def pool(a: str, b: str, fee: int, spacing: int, price: float, liquidity: int) -> dict[str, Any]:
    """One V3 pool, liquid all the way, at `price` raw units of b for one of a."""
    (low, high), ratio = ((a, b), price) if int(a, 16) < int(b, 16) else ((b, a), 1 / price)
    from math import floor, log

    end = 887_200 // spacing * spacing
    return {
        **{"id": f"eip155:1/{v3_address(AT, low, high, fee).lower()}", "kind": "uniswap_v3"},
        **{"assets": [ref(low), ref(high)], "fee_pips": fee, "tick_spacing": spacing},
        **{"tick": floor(log(ratio, 1.0001)), "sqrt_price_x96": str(int(ratio**0.5 * 2**96))},
        **{"liquidity": str(liquidity), "ticks": [[-end, str(liquidity)], [end, str(-liquidity)]]},
    }


def market() -> dict[str, Any]:
    """Gold at 2 dollars: two pools of it with either side, and nothing straight from WETH to USDC but a puddle."""
    weth, usdc = AT.weth, AT.usdc
    return {
        "fairlead": "market/1",
        "at": {"eip155:1": {"block": None, "base_fee_wei": "1", "priority_fee_wei": "1", "native_as": ref(weth)}},
        "reference_px_native": {ref(usdc): "0.000333333333333333", ref(weth): "1"},
        "assets": [
            {"id": ref(weth), "symbol": "WETH", "decimals": 18},
            {"id": ref(usdc), "symbol": "USDC", "decimals": 6},
            {"id": ref(GOLD), "symbol": "GOLD", "decimals": 18},
        ],
        "pools": [
            pool(weth, usdc, 3000, 60, 3_000e-12, 10**15),
            pool(weth, GOLD, 500, 10, 1_500, 6 * 10**23),
            pool(weth, GOLD, 3000, 60, 1_500, 3 * 10**24),
            pool(GOLD, usdc, 500, 10, 2e-12, 3 * 10**19),
            pool(GOLD, usdc, 3000, 60, 2e-12, 15 * 10**19),
        ],
    }  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    runtime = tmp_path_factory.mktemp("executor")
    yield bring_up(runtime=runtime, fast=True, market=market(), executor=True, progress=lambda _: None)
    service.down(runtime=runtime)


def fairlead(home: Home, *words: str) -> tuple[int, Any]:
    out = StringIO()
    with redirect_stdout(out):
        status = run(["--settings", str(home.settings), *words, "--json"])
    return status, json.loads(out.getvalue())


def test_it_is_there_and_doctor_and_the_wallet_say_so(home: Home) -> None:
    status, told = fairlead(home, "wallet", "executor")
    assert status == 0 and told["address"] == ADDRESS and told["opted_in"] and "create" not in told
    assert told["code_hash"] == f"0x{EXECUTOR.runtime_hash.hex()}"
    assert {c["standing"] for c in told["chains"]} == {"ours"} and len(told["chains"]) == 3
    _, checks = fairlead(home, "doctor")
    for name in ("executor ", "flash "):
        assert [c["level"] for c in checks["checks"] if c["check"].startswith(name)] == ["ok"] * 3
    status, told = fairlead(home, "wallet", "flash")
    assert status == 0 and told["address"] == flash_repay.ADDRESS and told["opted_in"]
    assert {c["standing"] for c in told["chains"]} == {"ours"}


def test_a_loan_is_repaid_by_way_of_two_genuine_pools(home: Home) -> None:
    """Each pool is paid by the next, the last by the genuine market, and nothing of it stays: at prices of other rounding as well."""
    pool, who = AAVE["Pool"], "0x00000000000000000000000000000000000B0770"
    with Rpc(home.status.cheat_urls[1]) as rpc:
        rpc("anvil_impersonateAccount", who)
        rpc("anvil_setBalance", who, hex(10**20))
        token = a_token(rpc, AT.weth)

        def send(to: str, contract: str, function: str, *args: Any) -> Any:
            data = "0x" + encode(contract, function, args).hex()
            sent = rpc("eth_sendTransaction", {"from": who, "to": to, "data": data, "gas": hex(3_000_000)})
            receipt = rpc("eth_getTransactionReceipt", sent)
            return receipt if receipt["status"] == "0x1" else None

        def held(of: str, by: str) -> int:
            call = {"to": of, "data": "0x" + encode("erc20", "balanceOf", (by,)).hex()}
            return int(rpc("eth_call", call, "latest"), 16)

        give_token(home.status.cheat_urls[1], AT.weth, who, 10**19)
        assert send(AT.weth, "erc20", "approve", pool, 10**19)
        assert send(pool, "aave_v3_pool", "supply", AT.weth, 10**19, who, 0)
        assert send(pool, "aave_v3_pool", "borrow", AT.usdc, 20_000 * 10**6, 2, 0, who)
        most, raw = 4 * 10**18, 9_000 * 10**6
        asked = flash_repay.Repayment(
            pool, token, raw, most, 15 * 10**17, 2**40, AT.uniswap.v3_factory, (AT.usdc, GOLD, AT.weth), (500, 500)
        )  # fmt: skip
        assert not send(flash_repay.ADDRESS, "flash_repay", "repay", asdict(asked)), "nothing is approved"
        assert send(token, "erc20", "approve", flash_repay.ADDRESS, most)
        low = replace(asked, leastHealth=17 * 10**17)
        assert not send(flash_repay.ADDRESS, "flash_repay", "repay", asdict(low)), (
            "more health than it leaves"
        )
        for each in (raw, 1, 7 * 10**6 + 3):
            one = asdict(replace(asked, repays=each, mostCollateral=most))
            receipt = send(flash_repay.ADDRESS, "flash_repay", "repay", one)
            told = next(log for log in receipt["logs"] if log["address"] == flash_repay.ADDRESS.lower())
            words = [int(told["data"][at : at + 64], 16) for at in range(2, 258, 64)]
            assert words[1] == each, "owed, repaid, collateral, taken"
            assert each * 10**12 // 3_000 < words[3] < each * 10**12 // 2_980 + 10**10
        assert held(AT.usdc, who) == 20_000 * 10**6, "what was borrowed is still there"
        for one_token in (AT.usdc, AT.weth, GOLD, token):
            assert held(one_token, flash_repay.ADDRESS) == 0


def test_the_trade_goes_through_it_and_nothing_is_left(home: Home) -> None:
    status, told = fairlead(
        home, "trade", "sell", "50", "ETH", "--for", "USDC", "--live", "--yes", "--max-loss", "9000"
    )
    assert status == 0, told
    assert told["parent"]["status"] == "FILLED"
    assert home.settings is not None
    settings = load(home.settings)
    book = read_book(settings)
    assert book is not None
    (child,) = book.parents[told["parent"]["cl_ord_id"]].children
    planned = book.children[child].planned
    assert planned is not None
    legs = [leg for leg in planned.route.legs if leg.place == "eip155:1"]
    gold = ref(GOLD).lower()
    assert sum(leg.asset_out.lower() == gold for leg in legs) == 2
    assert sum(leg.asset_in.lower() == gold for leg in legs) == 2
    (execution,) = [e for e in told["executions"] if e["place"] == "eip155:1"]
    with Rpc(home.status.cheat_urls[1]) as rpc:
        tx = rpc("eth_getTransactionByHash", execution["exec_id"].partition("@")[0])
        assert ADDRESS[2:].lower() in tx["input"].lower()
        for token in (AT.weth, AT.usdc, GOLD):
            for data, of in (("balanceOf", (ADDRESS,)), ("allowance", (settings.wallet.address, ADDRESS))):
                call = {"to": token, "data": "0x" + encode("erc20", data, of).hex()}
                assert int(rpc("eth_call", call, "latest"), 16) == 0


@pytest.fixture(scope="module")
def listed(home: Home, tmp_path_factory: pytest.TempPathFactory) -> tuple[Others, Path, Path]:
    """The other exchanges on the home's chain, and its settings with them: with the executor, and without."""
    with Rpc(home.status.cheat_urls[1]) as rpc:
        before = int(rpc("eth_getBlockByNumber", "latest", False)["number"], 16)
        b = Builder(rpc, AT)
        for symbol, address, decimals in (("DAI", DAI, 18), ("USDT", USDT, 6)):
            mock_token(b, symbol, address, decimals)
        others = build_others(b, DAI, USDT)
        rpc("anvil_autoImpersonateAccount", False)
        # Each of these blocks was a second: the chain's clock goes on from there, and waits for nobody's.
        rpc("evm_increaseTime", int(rpc("eth_getBlockByNumber", "latest", False)["number"], 16) - before)
    assert home.settings is not None
    folder = home.settings.parent
    values = tomllib.loads(home.settings.read_text())
    values["chains"][0]["pools"].append({"kind": "curve_stableswap", "address": others.curve})
    values["chains"][0]["factories"] = [
        {"kind": "solidly", "address": others.solidly},
        {"kind": "uniswap_v2", "address": others.pancake, "fee_pips": PANCAKE_PIPS},
    ]
    with_it, without = folder / "listed.toml", folder / "audited.toml"
    with_it.write_text(render(values, with_it))
    del values["wallet"]["route_executor"]
    without.write_text(render(values, without))
    return others, with_it, without


def asked(settings: Path, *words: str) -> tuple[int, Any]:
    out = StringIO()
    with redirect_stdout(out):
        status = run(["--settings", str(settings), *words, "--json"])
    return status, json.loads(out.getvalue())


def test_pools_of_other_exchanges_are_shown_written_quoted_and_traded(
    home: Home, listed: tuple[Others, Path, Path], tmp_path: Path
) -> None:
    others, with_it, without = listed
    mine = {f"eip155:1/{at}" for at in (others.curve, others.volatile, others.pairs[0])}
    status, shown = asked(with_it, "market", "show")
    assert status == 0, shown
    assert mine <= {m["id"] for m in shown["markets"]}, shown["left_out"]
    fees = {m["id"]: m["fee_bps"] for m in shown["markets"]}
    assert (fees[f"eip155:1/{others.volatile}"], fees[f"eip155:1/{others.pairs[0]}"]) == ("30", "20")
    status, told = asked(without, "market", "show")
    assert all(
        "no router here" in told["left_out"][f"ethereum pool {name.rpartition('/')[2]}"] for name in mine
    )
    line = StringIO()
    with redirect_stdout(line):
        assert run(["--settings", str(with_it), "market", "watch", "--count", "1"]) == 0
    assert "ethereum ETH/USDC" in line.getvalue()

    file = tmp_path / "market.json"
    assert asked(with_it, "market", "snapshot", "--out", str(file))[0] == 0
    written = {pool["id"]: pool["kind"] for pool in json.loads(file.read_text())["pools"]}
    assert {written[name] for name in mine} == {"curve_stableswap", "solidly_volatile", "uniswap_v2"}
    amount = 7 * 10**18
    quoted = ("pool", "quote", str(file), "--pool", others.volatile, "--in", "WETH", "--raw", str(amount))
    status, quote = asked(with_it, *quoted)
    data = call_data("getAmountOut(uint256,address)", amount, AT.weth)
    with Rpc(home.status.cheat_urls[1]) as rpc:
        answer = rpc("eth_call", {"to": others.volatile, "data": data}, "latest")
    assert status == 0 and int(quote["out_raw"]) == decode(["uint256"], bytes.fromhex(answer[2:]))[0]

    words = ("trade", "sell", "20", "ETH", "--for", "USDC", "--live", "--yes", "--max-loss", "9000")
    status, done = asked(with_it, *words)
    assert status == 0 and done["parent"]["status"] == "FILLED", done
    book = read_book(load(with_it))
    assert book is not None
    planned = book.children[book.parents[done["parent"]["cl_ord_id"]].children[0]].planned
    assert planned is not None
    assert {leg.kind for leg in planned.route.legs} >= {"solidly_volatile", "uniswap_v2"}
    (execution,) = [e for e in done["executions"] if e["place"] == "eip155:1"]
    with Rpc(home.status.cheat_urls[1]) as rpc:
        receipt = rpc("eth_getTransactionReceipt", execution["exec_id"].partition("@")[0])
    assert {others.volatile, others.pairs[0]} <= {checksum(log["address"]) for log in receipt["logs"]}
