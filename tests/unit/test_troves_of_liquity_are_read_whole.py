"""The reader of Liquity v2 takes each figure from where the branch lays it, at one block, and is believed only where the contract agrees."""

from __future__ import annotations

from typing import Any

import pytest
from fake_liquity import BOLD, REGISTRY, WAD, WETH, FakeTrove
from pydantic import ValidationError

from agent.app.settings_lending import TroveRef
from agent.app.settings_tree import Chain
from agent.app.watching.loans import loans_of
from agent.app.watching.loans_judged import Loan
from agent.margin.model import Side, State
from chains.errors import Retry
from chains.lending.liquity_v2 import TroveBatch, read_trove
from chains.types import Address

WHO = Address("0x" + "ab" * 20)


async def seen(trove: FakeTrove, reorganised: bool = False) -> list[Loan]:
    chain = Chain.model_validate(
        {
            "name": "ethereum",
            "chain_id": 1,
            "rpc": ["http://127.0.0.1:1"],
            "troves": [{"registry": REGISTRY, "id": "0xff"}],
        }
    )
    return await loans_of(chain, trove.chain(reorganised), WHO)  # type: ignore[arg-type]


async def test_every_figure_lands_in_its_place() -> None:
    found = await read_trove(FakeTrove(redistributed=(7, 3)).chain(), REGISTRY, 255)
    assert found is not None
    assert (found.collateral, found.debt, found.coll_1e18, found.debt_1e18) == (
        WETH,
        BOLD,
        10 * WAD,
        20_000 * WAD,
    )
    assert (found.annual_rate_1e18, found.block.timestamp - found.last_update) == (5 * 10**16, 365 * 86_400)
    assert (found.redistributed_debt_1e18, found.redistributed_coll_1e18) == (7, 3)
    assert (found.price_1e18, found.mcr_1e18) == (3_000 * WAD, 11 * 10**17)
    # A BOLD the pool keeps for itself.
    assert found.stability_pool_1e18 == (10**6 - 1) * WAD
    assert found.batch is None


async def test_the_price_is_fetched_before_it_is_asked_whether_the_branch_still_runs() -> None:
    chain = FakeTrove().chain()
    await read_trove(chain, REGISTRY, 255)
    asked = [signature for _, signature in chain.asked]
    assert asked.index("fetchPrice()") < asked.index("shutdownTime()")


async def test_a_trove_is_told_with_its_ratio_and_its_price() -> None:
    (loan,) = await seen(FakeTrove())
    health = loan.judged.health
    assert health is not None and health.state is State.SAFE
    # 20,000 and a year of 5 %: 30,000 / 21,000, over 1.1.
    assert health.health_1e18 == 10 * WAD * 3_000 * WAD // (21_000 * WAD) * WAD // (11 * 10**17)
    (px,) = health.liquidation_px
    assert (px.side, px.px_raw) == (Side.BELOW, 2_310 * WAD - 1)
    assert loan.judged.id == f"liquity_v2:eip155:1:{REGISTRY}:255"


async def test_a_trove_in_a_batch_is_told_by_its_shares() -> None:
    trove = FakeTrove(batch=(100_000 * WAD, 6 * 10**16, 10**16, 80_000), shares=16_000, debt=0, rate=0)
    found = await read_trove(trove.chain(), REGISTRY, 255)
    assert found is not None and found.batch is not None
    assert found.batch == TroveBatch(
        100_000 * WAD, 6 * 10**16, 10**16, found.block.timestamp - 365 * 86_400, 80_000
    )
    (loan,) = await seen(trove)
    assert loan.judged.health is not None and loan.judged.health.debt_value_raw == 21_400 * WAD * WAD


async def test_a_thin_trove_is_told_what_to_pay_and_a_closed_one_is_none() -> None:
    (loan,) = await seen(FakeTrove(price=2_400 * WAD))
    assert loan.judged.state is State.AT_RISK and loan.judged.fix is not None
    assert loan.judged.fix.do in ("repay", "add_collateral")
    (gone,) = await seen(FakeTrove(price=2_300 * WAD))
    assert gone.judged.health is not None and gone.judged.health.seized is not None
    for status in (2, 3):
        assert await seen(FakeTrove(status=status)) == []
    with pytest.raises(Retry, match="is no trove"):
        await read_trove(FakeTrove(status=0).chain(), REGISTRY, 1)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"status": 0}, "is no trove of"),
        ({"icr_off": 1}, "not the model's"),
        ({"debt_off": -1}, "not the model's"),
        ({"price": 0}, "price is zero"),
        ({"price": 10**40}, "beyond any asset's"),
        ({"price_failed": True}, "price source has failed"),
        ({"shutdown_at": 1_600_000_000}, "shut down"),
        ({"decimals": 8}, "8 decimals"),
        ({"mcr": 0}, "another version"),
        ({"batch": (1, 1, 1, 0)}, "has no shares"),
        ({"silent": {"fetchPrice()"}}, "did not answer fetchPrice"),
        ({"silent": {"Troves(uint256)"}}, "did not answer Troves"),
        ({"silent": {"MCR()"}}, "did not answer MCR"),
        ({"silent": {"getCurrentICR(uint256,uint256)"}}, "did not answer getCurrentICR"),
    ],
)
async def test_what_does_not_agree_or_answer_is_unknown(given: dict[str, Any], why: str) -> None:
    shares = {"shares": 0} if "batch" in given else {}
    trove = FakeTrove(**(given | shares))
    if given.get("batch"):
        trove.owed = lambda: 1  # type: ignore[method-assign]
    (loan,) = await seen(trove)
    assert loan.judged.state is State.UNKNOWN and why in loan.judged.why


async def test_a_block_that_moves_between_the_reads_is_unknown() -> None:
    (loan,) = await seen(FakeTrove(), reorganised=True)
    assert loan.judged.state is State.UNKNOWN and "reorganised under the read" in loan.judged.why


@pytest.mark.parametrize("wrong", ["", "abc", "0x", "-1", "1.5", str(2**256), "9" * 90])
def test_an_id_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(ValidationError, match="no trove's id"):
        TroveRef.model_validate({"registry": REGISTRY, "id": wrong})
