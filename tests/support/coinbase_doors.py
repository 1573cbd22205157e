"""Coinbase's answers of an account, each with what reads it: for the suite that cuts, mixes and changes them."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from kraken_doors import FEES, SEEDS, Read

from agent.domain.errors import FairleadError
from agent.venues import understood
from agent.venues.coinbase import codec

MARKETS = codec.markets(codec.result(200, SEEDS["coinbase markets"][0].encode(), "products"), *FEES)
READER = codec.Reader("x", MARKETS)


def _result(read: Callable[[Any], Any], *, write: bool = False) -> Read:
    return lambda body: read(codec.result(200, body, "x", write=write))


def _order(data: Any) -> Any:
    with understood("an order"):
        return READER.order(data["order"]) if READER.knows(data["order"]) else None


def _orders(data: Any) -> Any:
    with understood("orders"):
        return [READER.order(row) for row in data["orders"] if READER.knows(row)]


def _fills(data: Any) -> Any:
    """What is told as an amount of the quote is read too, and its base is no number of the frame's."""
    with understood("fills"):
        found = [(READER.fill(row), row.get("size_in_quote") is True) for row in data["fills"]]
        return [one[1] for one, in_quote in found if one is not None and not in_quote]


def _account(data: Any) -> Any:
    with understood("accounts"):
        return codec.balances(data["accounts"], "x")


def _refusal(body: bytes) -> None:
    """An answer that is an error is read as one: what cannot be read of a write is never a refusal."""
    try:
        codec.result(400, body, "x", write=True)
    except FairleadError as error:
        assert error.verb in ("RETRY", "REJECT", "RECONCILE") and len(str(error)) < 600
        return
    raise AssertionError("an error that was read as none")


COINBASE_DOORS: dict[str, Read] = {
    "coinbase placed": _result(lambda data: codec.placed(data) and None, write=True),
    "coinbase order": _result(_order),
    "coinbase orders": _result(_orders),
    "coinbase fills": _result(_fills),
    "coinbase account": _result(_account),
    "coinbase key": _result(lambda data: codec.permissions(data) and None),
    "coinbase markets": _result(lambda data: list(codec.markets(data, Decimal(40), Decimal(80)).values())),
    "coinbase cancelled": _result(codec.cancelled, write=True),
    "coinbase refusal": _refusal,
}
