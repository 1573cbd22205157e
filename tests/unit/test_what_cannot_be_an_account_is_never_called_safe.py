"""Accounts whose figures cannot be: every one is UNKNOWN or refused by name, and no file ends in a traceback or a long wait."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from margin_book import every_model

from agent.domain.errors import Usage
from agent.margin.accounts import health_json, judge, judge_text
from agent.margin.model import State

BOOK = every_model()
NUMBERS = {account["id"]: k for k, account in enumerate(BOOK["accounts"])}


def alone(name: str, way: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """The book with that one account, one of its fields changed."""
    found = copy.deepcopy(BOOK)
    at = account = found["accounts"][NUMBERS[name]]
    for key in way[:-1]:
        at = at[key]
    at[way[-1]] = value
    found["accounts"] = [account]
    return found


@pytest.mark.parametrize(
    ("name", "way", "value", "why"),
    [
        ("aave", ("reserves", 1, "borrow_index_1e27"), "0", "borrow_index_1e27 is zero"),
        ("spark", ("reserves", 1, "borrow_index_1e27"), "0", "borrow_index_1e27 is zero"),
        ("aave", ("reserves", 0, "liquidity_index_1e27"), "0", "liquidity_index_1e27 is zero"),
        ("comet", ("borrow_index_1e15",), 0, "borrow_index_1e15 is zero"),
        ("vault", ("duty_1e27",), "0", "below no interest"),
        ("vault", ("duty_1e27",), str(2 * 10**27), "beyond any interest"),
        ("aave", ("reserves", 0, "liquidation_threshold_bps"), 10_001, "for more than it is worth"),
        ("perps", ("positions", 0, "mark_px"), "1" + "0" * 38, "beyond any asset's"),
        ("unified", ("assets", 0, "index_px"), "1e15", "beyond any asset's"),
        ("comet", ("collateral", 0, "liquidate_cf_1e18"), str(10**18 + 1), "for more than it is worth"),
        ("derive", ("perp", "mark_px"), "1" + "0" * 38, "beyond any asset's"),
        ("derive", ("expiries", 0, "forward_px"), "1e15", "beyond any asset's"),
        ("dydx", ("positions", 0, "oracle_price"), "0", "its price is zero"),
        ("dydx", ("positions", 0, "oracle_price"), "1" + "0" * 22, "beyond any asset's"),
    ],
)
def test_a_debt_that_only_a_broken_figure_hides_is_unknown(
    name: str, way: tuple[Any, ...], value: Any, why: str
) -> None:
    (found,) = judge(alone(name, way, value))
    assert found.state is State.UNKNOWN and why in found.why


@pytest.mark.parametrize("name", ["derive", "paradex"])
def test_a_matrix_that_nobody_told_is_not_guessed(name: str) -> None:
    found = copy.deepcopy(BOOK)
    (account,) = [a for a in found["accounts"] if a["id"] == name]
    del account["parameters"]
    (judged,) = judge(found | {"accounts": [account]})
    assert judged.state is State.UNKNOWN and "parameters are not told" in judged.why


@pytest.mark.parametrize(("size", "told"), [(5000, "…"), (101, "…")])
def test_a_number_longer_than_any_is_refused_by_its_key(size: int, told: str) -> None:
    with pytest.raises(Usage) as caught:
        judge(alone("aave", ("reserves", 0, "scaled_supply_raw"), "1" * size))
    assert caught.value.code == "BAD_ACCOUNTS_FILE" and told in caught.value.message
    assert "scaled_supply_raw" in caught.value.message and len(caught.value.message) < 200


def ways(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield (*way, key)
        yield from ways(one, (*way, key))


@pytest.mark.parametrize("name", NUMBERS)
def test_whatever_stands_in_a_field_the_answer_is_a_judgement_or_a_message(name: str) -> None:
    for way in ways(BOOK["accounts"][NUMBERS[name]]):
        for odd in ("0", "--5", "1" * 60, "1" * 5000, [], None):
            try:
                (found,) = judge_text(json.dumps(alone(name, way, odd)))
            except Usage as told:
                assert told.code == "BAD_ACCOUNTS_FILE", told
                continue
            health_json(found.id, found.model, found.health, found.price_decimals, found.why, found.fix)
