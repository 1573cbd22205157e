"""What a hedge is sized by: where the coin's fall liquidates, the model's own largest liquidation there; nothing where no fall of it does."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from margin_book import USDC, WETH, WSTETH, every_model

from agent.margin.accounts import judge
from agent.margin.lost import PARTS, fallen, lost
from agent.margin.shocks import coin_of, moved_assets

NOW = 1_700_000_100


def member(name: str) -> tuple[Any, Any]:
    (found,) = [j.member for j in judge(every_model()) if j.id == name]
    assert found is not None
    return found.model, found.account


def test_half_of_an_aave_debt_and_its_bonus_is_taken_at_the_price_where_it_begins() -> None:
    """21,000 owed against 10 at a threshold of 82.5 %: it begins at 21000 / 8.25 dollars; a call repays half, with 5 % on top."""
    model, account = member("aave")
    (raw,) = lost(model, account, NOW, [WETH]).values()
    px = 21_000 / 8.25
    assert abs(raw / 1e18 - 10_500 * 1.05 / px) < 1e-3
    at = Fraction(int(px / 3_000 * PARTS) + 2, PARTS)
    factor = model.at_moves(account, {WETH: at}, NOW)
    assert factor is not None and factor >= 10**18, "a little higher nothing is taken"


def test_at_morpho_the_whole_debt_is_paid_for_and_the_collateral_is_what_it_names() -> None:
    model, account = member("morpho")
    (taken,) = lost(model, account, NOW, [WSTETH]).items()
    assert taken[0] == WSTETH and 0 < taken[1] <= account.collateral_raw
    assert lost(model, account, NOW, [WETH]) == {}


def test_no_fall_of_a_coin_that_is_not_there_takes_anything() -> None:
    model, account = member("aave")
    assert lost(model, account, NOW, []) == {} and lost(model, account, NOW, [USDC]) == {}


@pytest.mark.parametrize("name", ["aave", "comet", "morpho", "vault", "trove"])
def test_prices_that_fall_are_the_models_own(name: str) -> None:
    model, account = member(name)
    falling = [WETH, WSTETH]
    for part in (Fraction(1), Fraction(9, 10), Fraction(1, 2)):
        there = fallen(account, falling, part)
        assert model.at_moves(there, {}, NOW) == model.at_moves(account, dict.fromkeys(falling, part), NOW)


def test_a_contract_follows_its_coin() -> None:
    for symbol in (
        "ETH-PERP",
        "ETHUSDT",
        "ETHUSDC",
        "ETH-USD",
        "ETH_USDC-PERPETUAL",
        "ETH-PERPETUAL",
        "WETH",
        "wstETH",
    ):
        assert coin_of(symbol) == "ETH", symbol
    for symbol in ("USDC", "USDT", "SUSDS", "DAI", "USDC.E"):
        assert coin_of(symbol) in (symbol, "USDS", "USDC"), symbol
    moved = moved_assets({"ETH": Fraction(-1, 5)}, {"a": "ETH-PERP", "b": "USDC", "c": "BTCUSDT"})
    assert moved == {"a": Fraction(-1, 5)}
