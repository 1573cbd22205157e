"""The reader of crvUSD and Llamalend takes each figure from where controller and AMM lay it, at one block, and is believed only where it agrees."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from answering_chain import AnsweringChain
from fake_crvusd import COLLATERAL, CONTROLLER, CRVUSD, FakeLoan, above, selling

from agent.app.health_alerts import sift
from agent.app.settings_tree import Chain
from agent.app.watching.crvusd import crvusd_account, differs
from agent.app.watching.loans import loans_of
from agent.app.watching.loans_judged import Loan
from agent.margin import crvusd
from agent.margin.model import AT_RISK_1E18, State
from chains.lending.crvusd import read_loan
from chains.types import Address

WHO = Address("0x" + "ab" * 20)


def settings() -> Chain:
    return Chain.model_validate(
        {"name": "ethereum", "chain_id": 1, "rpc": ["http://127.0.0.1:1"], "crvusd_controllers": [CONTROLLER]}
    )


async def seen(chain: AnsweringChain) -> list[Loan]:
    return await loans_of(settings(), chain, WHO)  # type: ignore[arg-type]


async def test_every_figure_lands_in_its_place() -> None:
    found = await read_loan(above().chain(), CONTROLLER, WHO)
    assert found is not None
    assert (found.debt, found.debt_decimals, found.collateral, found.collateral_decimals) == (
        CRVUSD,
        18,
        COLLATERAL,
        18,
    )
    assert (found.debt_raw, found.rate_1e18, found.a) == (10_000 * 10**18, 10**9, 100)
    assert (found.price_1e18, found.p_oracle_up_1e18) == (3_000 * 10**18, 2_500 * 10**18)
    assert (found.first_band, found.active_band, len(found.bands)) == (-12, -20, 10)
    # Of 5 a tenth: half a coin less what the dead shares weigh, 1,000 in 1e19.
    assert found.bands[0].own_y_raw == (5 * 10**18 + 1) * 10**18 // (10**19 + 1_000)


async def test_a_loan_above_its_bands_is_told_with_its_health() -> None:
    (loan,) = await seen(above().chain())
    health = loan.judged.health
    assert health is not None and loan.block is not None and health.health_1e18 is not None
    # By hand: five coins, sold on the way through ten bands from 2,500 down, each a hundredth lower and at its middle; less 6 %; and 500
    # that the price is higher, for each coin.
    through = sum(0.5 * 2_500 * 0.99**n * 0.99**0.5 for n in range(10))
    assert abs(health.health_1e18 / 1e18 - (through * 0.94 + 5 * 500) / 10_000) < 1e-6
    assert health.state is State.SAFE and loan.judged.fix is None
    assert await seen(above(exists=False).chain()) == []


async def test_a_loan_at_risk_is_told_what_to_repay() -> None:
    (loan,) = await seen(above(debt=12_600 * 10**18).chain())
    fix = loan.judged.fix
    assert loan.judged.state is State.AT_RISK and fix is not None and not fix.eases_only
    assert (fix.do, fix.asset) == ("repay", f"eip155:1/erc20:{CRVUSD}")
    assert fix.factor_after_1e18 is not None and AT_RISK_1E18 <= fix.factor_after_1e18 < AT_RISK_1E18 + 10**6
    assert 0 < fix.raw < 1_200 * 10**18


async def test_while_collateral_is_being_sold_nothing_is_called_safe() -> None:
    (loan,) = await seen(selling().chain())
    # Healthy enough, and no payment short of the whole debt ends it: none is advised.
    assert loan.judged.state is State.AT_RISK and loan.judged.health is not None
    assert loan.judged.health.health_1e18 is not None and loan.judged.health.health_1e18 >= AT_RISK_1E18
    assert loan.judged.fix is None
    (thin,) = await seen(selling(debt=11_000 * 10**18).chain())
    assert thin.judged.state is State.AT_RISK and thin.judged.fix is not None and thin.judged.fix.eases_only


@pytest.mark.parametrize("digits", [18, 8, 6])
async def test_shares_that_nobody_can_read_are_found_back_and_never_too_many(digits: int) -> None:
    """Whatever the shares and decimals, the controller's health is within what flooring can do, and a part in a thousand off is noticed."""
    chance = random.Random(digits)
    for _ in range(25):
        totals = [chance.randrange(10**18, 10**24) for _ in range(chance.randint(4, 50))]
        mixed = chance.random() < 0.5
        bands = tuple(
            (
                chance.randrange(10**22) if mixed and n == 0 else 0,
                chance.randrange(10**18, 10**20),
                chance.randrange(total // 50, total),
                total,
            )
            for n, total in enumerate(totals)
        )
        price = chance.randrange(2_000, 4_000) * 10**18
        loan = FakeLoan(
            bands, 10**6 * 10**18, price, collateral_decimals=digits, active=-12 if mixed else -20
        )
        found = await read_loan(loan.chain(), CONTROLLER, WHO)
        assert found is not None and differs(found, 1) == ""
        exact = found.health_1e18 + crvusd.WAD
        told = crvusd.factor_at(crvusd_account(found, 1), found.block.timestamp)
        assert told is not None and exact * 999 // 1_000 <= told <= exact + 2
        for off in (-exact // 1_000, exact // 1_000):
            assert "another version" in differs(replace(found, health_1e18=found.health_1e18 + off), 1)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"health_off": 10**15}, "not the model's"),
        ({"health_off": -(10**15)}, "not the model's"),
        ({"price": 0}, "price is zero"),
        ({"price": 10**60}, "beyond any asset's"),
        ({"debt_decimals": 19}, "19 decimals"),
        ({"bands_told": 51}, "51 bands"),
        ({"bands_told": -3}, "-3 bands"),
        ({"bands_told": 9}, "did not answer get_xy"),
        ({"silent": {"get_xy(address)"}}, "did not answer get_xy"),
        ({"silent": {"price_oracle()"}}, "did not answer price_oracle"),
        ({"silent": {"health(address,bool)"}}, "did not answer health"),
        ({"silent": {"amm()"}}, "did not answer amm"),
        ({"silent": {"bands_y(int256)"}}, "did not answer decimals, p_oracle_up or bands"),
        ({"a": 1}, "no loan has"),
        ({"discount": 10**18}, "no loan has"),
    ],
)
async def test_what_does_not_agree_or_answer_is_unknown(given: dict[str, object], why: str) -> None:
    (loan,) = await seen(_odd(given))
    assert loan.judged.state is State.UNKNOWN and why in loan.judged.why
    assert loan.judged.id == f"crvusd:eip155:1:{CONTROLLER}"


def _odd(given: dict[str, object]) -> AnsweringChain:
    loan = above(**given)  # type: ignore[arg-type]
    if loan.debt_decimals > 18 or loan.a < 2 or loan.discount >= 10**18:
        # The contract's own figures do not matter where no model is asked.
        sound = above()
        chain = replace(loan, debt_decimals=18, a=100, discount=6 * 10**16).chain()
        chain.token(CRVUSD, loan.debt_decimals, "crvUSD")
        chain.table[(CONTROLLER, "liquidation_discounts(address)")] = lambda _: [loan.discount]
        chain.answers(_amm(chain), A=lambda: [loan.a])
        chain.table[(CONTROLLER, "health(address,bool)")] = lambda *_: [sound.health(chain.now)]
        return chain
    return loan.chain()


def _amm(chain: AnsweringChain) -> Address:
    return Address(str(chain.table[(CONTROLLER, "amm()")]()[0]))  # type: ignore[index]


async def test_a_block_that_moves_between_the_reads_is_unknown() -> None:
    (loan,) = await seen(above().chain(reorganised=True))
    assert loan.judged.state is State.UNKNOWN and "reorganised under the read" in loan.judged.why


async def test_the_alert_of_a_loan_that_is_being_sold_does_not_promise_safety() -> None:
    from agent.app.health_alerts import _news

    (thin,) = await seen(selling(debt=11_000 * 10**18).chain())
    j = thin.judged
    news = _news(j.id, j.state, j.health, j.why, j.fix, j.symbols)
    assert "goes on being sold" in news.words and "makes it safe" not in news.words
    assert sift([news], {}, 0)[0] == [news]
