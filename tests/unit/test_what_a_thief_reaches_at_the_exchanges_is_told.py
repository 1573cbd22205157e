"""The bound at the exchanges as `wallet scope` and `doctor` tell it: the signer's own figures, and never silence where there are none."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from settings_values import parsed_with_jobs

from agent.app.exchange_bound import ExchangeBound, bounds_json, bounds_of, exchange_bounds, sentence
from agent.app.settings_tree import Signer

STATUS = {"exchange_limits": {"paper": {"per_day_usd": "30000.00", "repeats": 200, "symbols": ["ETHUSDC"]}}}


def test_a_days_orders_are_multiplied_by_how_often_a_signature_can_be_used() -> None:
    bounds = bounds_of(STATUS, ["paper", "elsewhere"])
    assert bounds == (ExchangeBound("paper", Decimal("30000.00"), 200),)
    assert bounds is not None and bounds[0].per_day_usd == 6_000_000
    assert bounds_json(bounds) == [
        {"name": "paper", "per_day_usd": "6000000.00", "signed_per_day_usd": "30000.00", "repeats": 200}
    ]
    said = sentence(bounds[0])
    assert said.startswith("at exchange paper: up to 6,000,000.00 USD a day, and no more than lies there, since nothing there checks")  # fmt: skip
    assert "30,000.00 USD of orders may be signed, each signature used up to 200 times" in said


def test_an_exchange_without_limits_and_one_used_once_are_told_plainly() -> None:
    assert sentence(ExchangeBound("paper", Decimal(0), 200)) == "at exchange paper: nothing, since the signer signs no order there"  # fmt: skip
    assert sentence(ExchangeBound("paper", Decimal(5), 1)).endswith("since nothing there checks prices")


def test_a_signer_that_does_not_say_is_unknown_and_not_nothing() -> None:
    assert bounds_of({"environment": "devnet"}, ["paper"]) is None
    assert bounds_json(None) is None


async def test_no_signer_is_unknown_and_no_exchange_is_nothing(tmp_path: Path) -> None:
    settings = parsed_with_jobs()
    silent = settings.model_copy(update={"signer": Signer(socket=tmp_path / "nobody.sock")})
    assert await exchange_bounds(silent) is None
    assert await exchange_bounds(silent.model_copy(update={"venues": ()})) == ()
