"""The reader of GMX v2 takes each figure from where Reader and DataStore lay it, at one block, and is believed only where the contract agrees."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from answering_chain import AnsweringChain
from fake_gmx import (
    CORE,
    E30,
    INDEX,
    MARKET,
    READER,
    REFERRALS,
    STORE,
    USDC,
    WETH,
    WHO,
    FakeGmx,
    FakePosition,
)

from agent.app.settings_tree import Chain
from agent.app.watching.loans import loans_of
from agent.app.watching.loans_judged import Loan
from agent.margin import gmx_v2
from agent.margin.model import AT_RISK_1E18, Side, State
from chains.evm import checksum
from chains.lending.gmx_v2 import key_of, position_key, read_position, read_positions


async def seen(chain: AnsweringChain) -> list[Loan]:
    gmx = {"reader": READER, "data_store": STORE, "referral_storage": REFERRALS, "symbols": {INDEX: "BTC"}}
    given = Chain.model_validate(
        {"name": "arbitrum", "chain_id": 42_161, "rpc": ["http://127.0.0.1:1"], "gmx": gmx}
    )
    return await loans_of(given, chain, WHO)  # type: ignore[arg-type]


def test_keys_are_those_of_the_live_data_store() -> None:
    # Published in the source of a contract that trades through GMX on Arbitrum, for WETH there.
    weth = checksum("0x82aF49447D8a07e3bd95BD0d56f35241523fBab1")
    assert (
        key_of("PRICE_FEED_MULTIPLIER", weth).hex()
        == "007b50887d7f7d805ee75efc0a60f8aaee006442b047c7816fc333d6d083cae0"
    )
    assert (
        key_of("PRICE_FEED", weth).hex() == "b1bca3c71fe4192492fabe2c35af7a68d4fc6bbd2cfba3e35e3954464a7d848e"
    )


async def test_every_figure_lands_in_its_place() -> None:
    chain = FakeGmx().chain()
    ref, (held,) = await read_positions(chain, CORE, WHO)
    assert (held.market, held.collateral, held.long, held.size_usd_1e30) == (
        MARKET,
        USDC,
        True,
        100_000 * E30,
    )
    assert (held.size_tokens_raw, held.collateral_raw) == (2 * 10**8, 10_000 * 10**6)
    assert held.key == position_key(WHO, MARKET, USDC, True)
    found = await read_position(chain, CORE, ref, held)
    assert (found.index, found.index_price.decimals, found.index_price.price_raw) == (
        INDEX,
        8,
        49_000 * 10**22,
    )
    assert (found.collateral_price.decimals, found.collateral_price.price_raw) == (6, 10**24)
    assert (found.position_fee_raw, found.borrowing_usd_1e30, found.funding_raw) == (
        60 * 10**6,
        120 * E30,
        30 * 10**6,
    )
    # 100,000 dollars at 1e-9 a second.
    assert found.borrowing_usd_per_second_1e30 == 10**26
    assert (found.impact_usd_1e30, found.max_impact_factor_1e30) == (-50 * E30, 2 * 10**27)
    assert (found.profit_usd_1e30, found.min_factor_1e30) == (-2_000 * E30, 5 * 10**27)


async def test_what_is_due_since_is_counted_besides_what_the_contract_says() -> None:
    (loan,) = await seen(FakeGmx().chain())
    health = loan.judged.health
    assert health is not None and health.state is State.SAFE
    # 10,000 less 2,000 lost, 50 of impact, 60 of fee, 120 of borrowing, 30 of funding: 7,740, over half a per cent of the size.
    assert health.collateral_value_raw == 7_740 * E30 and health.maintenance_raw == 500 * E30
    assert health.health_1e18 == 1_548 * 10**16
    (px,) = health.liquidation_px
    assert px.side is Side.BELOW and px.px_raw is not None
    # Falls where 7,240 more are lost on two coins.
    assert 0 <= (49_000 - 3_620) * 10**22 - px.px_raw <= 10**6
    # 1e-4 dollars a second and no more: some 7,240 of them are gone after 72.4 million seconds.
    assert health.seconds_to_liquidation is not None and abs(health.seconds_to_liquidation - 72_400_000) <= 1
    assert loan.judged.symbols[f"eip155:42161/erc20:{INDEX}"] == "BTC"


async def test_each_position_is_an_account_with_a_payment_of_its_own() -> None:
    thin = FakePosition(collateral_raw=2_790 * 10**6)
    short = FakePosition(long=False, collateral=WETH, collateral_raw=10**18, borrowing=0, settled=0, funding_raw=0, settled_funding_raw=0, impact=0)  # fmt: skip
    fake = FakeGmx((thin, short))
    found = {loan.judged.id.split(":")[4]: loan for loan in await seen(fake.chain())}
    assert set(found) == {"long", "short"} and found["short"].judged.state is State.SAFE
    one = found["long"].judged
    assert one.state is State.AT_RISK and one.fix is not None
    # 530 is left and half a thousand must be: twenty more make it a tenth more than that.
    assert (one.fix.do, one.fix.asset, one.fix.raw) == (
        "add_collateral",
        f"eip155:42161/erc20:{USDC}",
        20 * 10**6,
    )
    assert one.fix.factor_after_1e18 == AT_RISK_1E18
    (side,) = found["short"].judged.health.liquidation_px  # type: ignore[union-attr]
    assert side.side is Side.ABOVE
    assert await seen(FakeGmx(()).chain()) == []


async def test_a_profit_the_market_caps_and_a_discount_are_counted_as_the_contract_does() -> None:
    rich = FakePosition(discount_raw=6 * 10**6, capped=1_500 * E30)
    (loan,) = await seen(FakeGmx((rich,), price=51_000 * 10**8).chain())
    health = loan.judged.health
    assert (
        health is not None
        and abs(health.collateral_value_raw - (10_000 + 1_500 - 50 - 54 - 150) * E30) <= 2_002
    )


async def test_the_reader_of_before_is_asked_where_the_newer_question_is_not_known() -> None:
    (loan,) = await seen(FakeGmx(older=True).chain())
    assert loan.judged.health is not None and loan.judged.health.maintenance_raw == 1_000 * E30


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"told_off": E30 * 200}, "another version"),
        ({"told_off": -26 * E30}, "another version"),
        ({"flag_off": True}, "another version"),
        ({"row_words": 13}, "lays its positions out otherwise"),
        ({"feeds": 0}, "no price feed of"),
        ({"feeds": 2}, "no price feed of"),
        ({"price": 0}, "says 0"),
        ({"price": -5}, "says -5"),
        ({"price": 10**30}, "beyond any asset's"),
        ({"age_s": 3_601}, "3601 s old"),
        ({"usdc_decimals": 18}, "in other decimals"),
        ({"multiplier_off": 1}, "no decimals"),
        ({"silent": {"getAccountPositions"}}, "did not answer getAccountPositions"),
        ({"silent": {"getPositionInfo"}}, "did not answer getPositionInfo"),
        ({"silent": {"isPositionLiquidatable"}}, "did not answer isPositionLiquidatable"),
        ({"silent": {"getMarket"}}, "did not answer getMarket"),
        ({"silent": {"getUint"}}, "did not answer getUint"),
        ({"positions": [FakePosition()] * 101}, "more than 100 positions"),
    ],
)
async def test_what_does_not_agree_or_answer_is_unknown(given: dict[str, Any], why: str) -> None:
    (loan,) = await seen(FakeGmx(**given).chain())
    assert loan.judged.state is State.UNKNOWN and why in loan.judged.why


async def test_a_position_without_a_feed_leaves_the_others_told() -> None:
    fake = FakeGmx((FakePosition(), FakePosition(long=False)))
    chain = fake.chain()
    answers = chain.table[READER, "getMarket(address,address)"]
    asked: list[int] = []

    def getting(store: int, at: int) -> Any:
        asked.append(at)
        return None if len(asked) == 1 else answers(store, at)

    chain.table[READER, "getMarket(address,address)"] = getting
    states = [loan.judged.state for loan in await seen(chain)]
    assert sorted(state.value for state in states) == ["SAFE", "UNKNOWN"]


async def test_a_block_that_moves_between_the_reads_is_unknown() -> None:
    (loan,) = await seen(FakeGmx().chain(reorganised=True))
    assert loan.judged.state is State.UNKNOWN and "reorganised under the read" in loan.judged.why


def test_collateral_goes_to_the_position_that_is_nearest_to_its_end() -> None:
    one = gmx_v2.Position("btc", "usdc", True, 100 * E30, 10**8, 10 * 10**6, 10**24, 10**24, 10**28, 0, 22)
    two = replace(one, collateral_raw=5 * 10**6)
    other = replace(one, collateral="weth", collateral_raw=1)
    account = gmx_v2.Account((one, two, other))
    after = gmx_v2.deposited(account, "usdc", 7, 0)
    assert [p.collateral_raw for p in after.positions] == [10 * 10**6, 5 * 10**6 + 7, 1]
    assert gmx_v2.deposited(account, "dai", 7, 0) == account
