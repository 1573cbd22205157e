"""Kraken's answers and frames of an account, each with what reads it: for the suite that cuts, mixes and changes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

from agent.domain.errors import FairleadError
from agent.domain.reports import Fill
from agent.venues import understood
from agent.venues.kraken import codec
from agent.venues.kraken.line import heard

SEEDS: dict[str, list[str]] = json.loads(
    (Path(__file__).parents[1] / "golden" / "order_frames.json").read_text()
)
FEES = Decimal(40), Decimal(80)
MARKETS = codec.Markets()
MARKETS.read(codec.result(SEEDS["kraken markets"][0].encode(), "AssetPairs"), *FEES)
READER = codec.Reader("x", MARKETS)
Read = Callable[[bytes], Any]


def _result(read: Callable[[Any], Any], *, write: bool = False) -> Read:
    return lambda body: read(codec.result(body, "x", write=write))


def _placed(data: Any) -> None:
    with understood("the answer to an order", write=True):
        (txid,) = data["txid"]
        assert codec.text_of(txid)


def _orders(data: Any) -> Any:
    with understood("orders"):
        rows = data.get("open", data.get("closed", data))
        return [READER.order(txid, row) for txid, row in rows.items() if READER.knows(row)]


def _trades(data: Any) -> Any:
    with understood("trades"):
        found = [READER.fill(*row) for row in codec.in_order(data.get("trades", data))]
        return [one[1] for one in found if one is not None]


def _markets(data: Any) -> Any:
    found = codec.Markets()
    found.read(data, *FEES)
    return [market.instrument for market in found.by_symbol.values()]


def _refusal(body: bytes) -> None:
    """An answer that is an error is read as one: what cannot be read of a write is never a refusal."""
    try:
        codec.result(body, "x", write=True)
    except FairleadError as error:
        assert error.verb in ("RETRY", "REJECT", "RECONCILE") and len(str(error)) < 600


def _socket(body: bytes) -> Any:
    told = heard(body.decode("utf-8", "replace"), READER)
    return [what for _, _, what, _ in told if isinstance(what, Fill)]


KRAKEN_DOORS: dict[str, Read] = {
    "kraken placed": _result(_placed, write=True),
    "kraken orders": _result(_orders),
    "kraken trades": _result(_trades),
    "kraken account": _result(lambda data: codec.balances(data, MARKETS, "x")),
    "kraken key": _result(lambda data: codec.permissions(data) and None),
    "kraken markets": _result(_markets),
    "kraken refusal": _refusal,
    "kraken socket": _socket,
}
