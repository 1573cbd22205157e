"""FlashRepay in the settings, in the signer's file and in plans: nothing without the code's hash, and no more than the rule leaves."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from math import isqrt
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from settings_values import USDC, WETH, values

from agent.amm import ConcentratedPool
from agent.amm.ticks import TickTable, tick_at_sqrt_price
from agent.app import signer_file, template
from agent.app.places import Directory
from agent.app.rescue import flash
from agent.app.rescue.doubts import Doubt
from agent.app.settings import parse
from agent.app.settings_rescue import RescueTable
from agent.app.settings_tree import Settings
from agent.domain.instruments import Asset, AssetId
from agent.margin import aave_v3_0
from agent.margin.aave_account import Account, Reserve
from agent.margin.ray import RAY
from agent.margin.rescue import Move, plans
from chains.devnet import solidity
from chains.devnet.addresses import AAVE
from chains.errors import Usage
from chains.profiles import load
from chains.types import Address, Fees
from contracts import flash_repay
from contracts.codec import decode_call
from contracts.uniswap_pools import v3_pool
from keys.settings import signer_settings

HERE = Path("/nowhere/fairlead.toml")
HASH = f"0x{flash_repay.FLASH.runtime_hash.hex()}"
AT = 1_700_000_000
LENT, OWED = AssetId(f"eip155:1/erc20:{WETH}"), AssetId(f"eip155:1/erc20:{USDC}")
A_WETH = Address("0x4d5F47FA6A74757f35C14fD3a6Ef8E3C9BC514E8")


def settings(**wallet: Any) -> Settings:
    given = values()
    given["wallet"] |= wallet
    given["limits"]["allow_assets"] = ["ETH", "WETH", "USDC"]
    return parse(template.render(given, HERE), HERE).settings


def runtime() -> bytes:
    """As set-up compiled it."""
    return bytes.fromhex(json.loads((solidity.own_dir() / "FlashRepay.json").read_text())["runtime"])


def pool(fee: int = 500, factory: str | None = None) -> ConcentratedPool:
    """Three thousand dollars an ether, liquid all the way; the genuine factory's unless another is named."""
    at = v3_pool(factory or load(1).contracts["uniswap_v3_factory"], USDC, WETH, fee)
    liquidity, end = 10**23, 887_200
    table = TickTable((-end, end), (liquidity, -liquidity))
    sqrt = isqrt(10**18 * 2**192 // (3_000 * 10**6))
    assets = (str(OWED), str(LENT))
    return ConcentratedPool(
        f"eip155:1/{at}", assets, fee, 10, sqrt, tick_at_sqrt_price(sqrt), liquidity, table
    )


def app(**wallet: Any) -> Any:
    assets = {LENT: Asset(LENT, "WETH", 18), OWED: Asset(OWED, "USDC", 6)}
    found = {"own": pool(), "copy": pool(500, "0x" + "55" * 20)}

    async def pools_at(chain_id: int) -> dict[str, ConcentratedPool]:
        assert chain_id == 1
        return {p.id: p for p in found.values()}

    return SimpleNamespace(
        settings=settings(**wallet), directory=Directory({"WETH": (LENT,), "USDC": (OWED,)}, assets),
        market=SimpleNamespace(pools_at=pools_at),
    )  # fmt: skip


def sight(debt: int = 21_500, **rule: Any) -> Any:
    """Ten ether at 3,000 against dollars, without interest: a health factor of 1.151."""
    rows = (
        Reserve(str(LENT), 18, 3_000 * 10**8, 8_000, 8_250, True, AT, 10 * 10**18, RAY, 0, 0, RAY, 0),
        Reserve(str(OWED), 6, 10**8, 0, 0, False, AT, 0, RAY, 0, debt * 10**6, RAY, 0),
    )
    table = RescueTable.model_validate({"name": "house", "chain": "ethereum"} | rule)
    return SimpleNamespace(
        one=SimpleNamespace(account=Account(rows), engine=aave_v3_0.MODEL), rule=table, pools={"p": pool()}, doubts=(),
        fees=Fees(10**9, 0), usd_of_wei=lambda wei: Decimal(3), lender=SimpleNamespace(contract=AAVE["Pool"]),
        desk=SimpleNamespace(profile=load(1)),
    )  # fmt: skip


def move(one: Any) -> Move:
    (means,) = flash.flash_means(app(flash_repay=HASH), one, AT)
    target = int(one.rule.target * 10**18)
    (plan,) = plans(one.one.engine, one.one.account, (AT,), target, [means])
    return plan.moves[0]


def test_another_codes_hash_is_named_and_the_signers_file_lists_what_is_opted_in_to() -> None:
    with pytest.raises(Usage) as wrong:
        settings(flash_repay="0x" + "ab" * 32)
    assert "wallet.flash_repay" in wrong.value.message and HASH in wrong.value.message
    for opted in (True, False):
        told = signer_file.content(settings(**({"flash_repay": HASH} if opted else {})), {})
        policy = signer_settings(told).chains[1]
        assert (policy.contracts.get(flash.ADDRESS) == "flash_repay") is opted
        assert (flash.ADDRESS in policy.spenders) is opted


@pytest.mark.parametrize(
    ("code", "said"), [(b"", "nothing stands"), (b"\1\2", "other code stands"), (None, "")]
)
async def test_only_the_genuine_code_and_genuine_pools_are_used(code: bytes | None, said: str) -> None:
    there = runtime() if code is None else code

    async def code_of(address: Address) -> bytes:
        assert address == flash_repay.ADDRESS
        return there

    desk: Any = SimpleNamespace(gateway=SimpleNamespace(code=code_of), profile=load(1))
    pools, doubts = await flash.pools_of(app(flash_repay=HASH), desk)
    assert [said in d.message for d in doubts] == ([True] if said else [])
    assert set(pools) == (set() if said else {pool().id}), "the copy of another factory is none"
    assert await flash.pools_of(app(), desk) == ({}, [])


async def test_pools_that_cannot_be_read_at_once_are_read_again_and_told_where_they_cannot() -> None:
    async def code_of(address: Address) -> bytes:
        return runtime()

    async def slept(seconds: float) -> None:
        slept_s.append(seconds)

    desk: Any = SimpleNamespace(gateway=SimpleNamespace(code=code_of), profile=load(1))
    for fails, said in ((1, []), (9, ["FLASH_NO_POOLS"])):
        slept_s, asked = list[float](), list[int]()

        async def pools_at(chain_id: int, fails: int = fails, asked: list[int] = asked) -> dict[str, Any]:
            asked.append(chain_id)
            return {} if len(asked) <= fails else {pool().id: pool()}

        one = app(flash_repay=HASH)
        one.clock = SimpleNamespace(sleep=slept)
        one.market = SimpleNamespace(pools_at=pools_at, left_out={"ethereum": "it does not answer"})
        pools, doubts = await flash.pools_of(one, desk)
        assert [d.code for d in doubts] == said and bool(pools) is not bool(said)
        assert all("it does not answer" in d.message for d in doubts)
        assert len(slept_s) == min(fails, flash.READ_AGAIN)


def test_what_stands_against_it_leaves_no_plan() -> None:
    told, one = app(flash_repay=HASH), sight()
    assert len(flash.flash_means(told, one, AT)) == 1
    for changed in (
        {"pools": {}},
        {"rule": one.rule.model_copy(update={"swap": False})},
        {"rule": one.rule.model_copy(update={"most_cost_usd": Decimal(2)})},
        {"doubts": (Doubt("ORACLE_STALE", "", "", no_sale=True),)},
        {"usd_of_wei": lambda wei: None},
    ):
        assert flash.flash_means(told, SimpleNamespace(**(vars(one) | changed)), AT) == [], changed
    told.settings = parse(template.render(values(), HERE), HERE).settings  # WETH may not be traded there
    assert flash.flash_means(told, one, AT) == []


def test_its_calls_bound_what_is_taken_and_what_is_left() -> None:
    one = sight(max_slippage_bps=50)
    planned = move(one)
    most = flash.most_raw_taken(one, planned, Decimal(200))
    assert most == -(-flash.taken_raw(planned) * 10_050 // 10_000)
    approve, act, back = flash.calls(one, planned, A_WETH, most, AT, AT + 60)
    granted = [decode_call("erc20", c.data).args for c in (approve, back)]
    assert [(g["spender"], g["amount"]) for g in granted] == [(flash.ADDRESS, most), (flash.ADDRESS, 0)]
    assert approve.to == back.to == A_WETH and act.to == flash.ADDRESS
    asked = flash_repay.checked(decode_call("flash_repay", act.data).args["r"])
    assert asked.repays == planned.raw and asked.mostCollateral == most and asked.deadline == AT + 60
    assert asked.tokens == (USDC, WETH) and asked.fees == (500,)
    assert asked.leastHealth == 115 * 10**16, "the trigger: nothing more is due then"


def test_no_more_is_taken_than_the_rescue_may_cost() -> None:
    one = sight()
    planned = move(one)
    taken, lost = flash.taken_raw(planned), flash.lost_usd(one, planned)
    assert 0 < lost < 10
    tight = flash.most_raw_taken(one, planned, lost + 3 + Decimal("0.5"))
    assert taken < tight <= taken + 5 * 10**17 // 3_000 + 1, (
        "half a dollar above the plan, beside three of gas"
    )
    assert flash.most_raw_taken(one, planned, Decimal(0)) == taken


def test_the_health_that_must_be_left_is_always_better_than_before() -> None:
    low = sight(24_700)  # 1.002: halfway to what a small repayment leaves is below the trigger
    planned = move(low)
    assert flash.least_health_1e18(low, planned, AT) == 115 * 10**16
    little = replace(planned, raw=planned.raw // 20)
    least = flash.least_health_1e18(low, little, AT)
    assert 10**18 <= least < 115 * 10**16 and least > 1_002 * 10**15
    under = sight(30_000)  # 0.825
    assert flash.least_health_1e18(under, replace(planned, raw=10**6), AT) == 10**18
