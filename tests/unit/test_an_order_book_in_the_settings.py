"""[chains.order_book] and protection INTENT: what the settings take, and what each mistake is told as."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from settings_values import values

from agent.app.chain_desks import road_of
from agent.app.settings import Settings, parse
from agent.app.template import render
from chains.errors import Usage
from chains.types import Protection

HERE = Path("/etc/fairlead.toml")
BOOK = {"name": "cow", "url": "https://api.cow.fi/mainnet"}


def read(number: int, **fields: Any) -> Settings:
    """The valid settings with `fields` put into a chain's table."""
    given = values()
    given["chains"][number] |= fields
    return parse(render(given, HERE), HERE).settings


def test_a_book_has_safe_defaults() -> None:
    book = read(0, order_book=BOOK).chains[0].order_book
    assert book is not None
    assert (book.scheme, book.valid_s, book.partially_fillable) == ("eip1271", 300, False)


def test_where_plans_are_intent_our_own_transactions_stay_private() -> None:
    chain = read(0, order_book=BOOK, protection="INTENT").chains[0]
    assert chain.protection is Protection.INTENT and road_of(chain) is Protection.PRIVATE


@pytest.mark.parametrize(
    "number,fields,told",
    [
        (0, {"protection": "INTENT"}, "chains[0].protection: is INTENT and there is no order book"),
        (1, {"order_book": BOOK}, "chains[1].order_book: CoW Protocol's contracts on base are not known here"),
        (0, {"order_book": BOOK, "protection": "INTENT", "relays": []}, "chains[0].relays: is empty, and the allowance"),
        (0, {"order_book": BOOK | {"valid_s": 86_400}}, "chains[0].order_book.valid_s"),
        (0, {"order_book": BOOK | {"scheme": "eip712"}}, "chains[0].order_book.scheme"),
        (0, {"order_book": BOOK | {"name": "fusion"}}, "chains[0].order_book.name"),
        (0, {"order_book": {"name": "cow"}}, "chains[0].order_book"),
    ],
)  # fmt: skip
def test_each_mistake_is_named(number: int, fields: dict[str, Any], told: str) -> None:
    with pytest.raises(Usage) as error:
        read(number, **fields)
    assert told in error.value.message
