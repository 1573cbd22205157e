"""The reader of Compound III takes each figure from where the contract lays it, at one block, and is believed only where it agrees."""

from __future__ import annotations

import pytest
from fake_comet import BASE, WBTC, WETH, FakeComet

from agent.app.settings_tree import Chain
from agent.app.watching.loans import comet_account, loans_of
from agent.margin import compound_v3
from agent.margin.model import State
from chains.errors import Retry
from chains.lending.compound_v3 import read_account
from chains.types import Address

COMET, WHO = Address("0x" + "c0" * 20), Address("0x" + "ab" * 20)
PRICES = {BASE: 10**8, WETH: 3_000 * 10**8, WBTC: 60_000 * 10**8}


def market(principal: int = -20_000 * 10**6, **held: int) -> FakeComet:
    return FakeComet(principal, {WETH: held.get("weth", 10 * 10**18), WBTC: held.get("wbtc", 0)}, PRICES)


def chain() -> Chain:
    return Chain.model_validate(
        {"name": "ethereum", "chain_id": 1, "rpc": ["http://127.0.0.1:1"], "comets": [COMET]}
    )


async def test_every_figure_lands_in_its_place() -> None:
    found = await read_account(market(), COMET, WHO)
    assert (found.base, found.base_decimals, found.base_price_1e8) == (BASE, 6, 10**8)
    assert (found.principal_raw, found.borrow_index_1e15, found.borrow_rate_1e18) == (
        -20_000 * 10**6,
        12 * 10**14,
        10**9,
    )
    (weth,) = found.collateral
    assert (weth.asset, weth.decimals, weth.balance_raw, weth.price_1e8) == (
        WETH,
        18,
        10 * 10**18,
        3_000 * 10**8,
    )
    assert (weth.borrow_cf_1e18, weth.liquidate_cf_1e18, weth.liquidation_factor_1e18) == (
        8 * 10**17,
        85 * 10**16,
        95 * 10**16,
    )
    # 20,000 times an index of 1.2, a hundred seconds at 1e-9 more.
    assert compound_v3.present_raw(comet_account(found, 1), found.block.timestamp) == -24_000_002_400


async def test_an_account_is_told_with_its_state() -> None:
    (loan,) = await loans_of(chain(), market(), WHO)  # type: ignore[arg-type]
    assert loan.judged.state is State.AT_RISK and loan.judged.fix is not None and loan.block is not None
    assert await loans_of(chain(), market(0, weth=0), WHO) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"liquidatable": True}, "not the model's"),
        ({"covered": False}, "not the model's"),
        ({"paused": True}, "market is paused"),
        ({"prices": PRICES | {WETH: 0}, "liquidatable": True, "covered": False}, "price is zero"),
        ({"reorganised": True}, "reorganised under the read"),
        ({"assets": ((WETH, 3, 8, 85),)}, "is no power of ten"),
    ],
)
async def test_what_does_not_agree_is_unknown(change: dict[str, object], why: str) -> None:
    fake = market()
    for name, value in change.items():
        setattr(fake, name, value)
    (loan,) = await loans_of(chain(), fake, WHO)  # type: ignore[arg-type]
    assert loan.judged.state is State.UNKNOWN and why in loan.judged.why


async def test_what_does_not_answer_is_named() -> None:
    fake = market()
    fake.assets = ((WETH, 10**18, 8, 85),) * 30
    with pytest.raises(Retry, match="30 assets"):
        await read_account(fake, COMET, WHO)
