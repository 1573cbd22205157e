"""What cannot be computed is UNKNOWN, never safe: prices that are none, stopped markets, rates below zero, indexes of nothing. Pure.

Looked for in an account's own entry before a model reads it; each reason names the key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

MOST_USD = 10**15
"""A whole unit of no asset is worth more dollars than that: a price beyond it is a broken feed."""

_PRICE = re.compile(r"^(oracle_|base_)?price_1e(\d+)$")
_NATIVE_PRICE = re.compile(r"_price_raw$")
_EXCHANGE_PRICE = re.compile(r"^(?:mark|index|entry|forward|forward_fixed)_px$")
_RATE = re.compile(r"_rate_1e\d+$")
_INDEX = re.compile(r"_index_1e\d+$")
_SHARE = re.compile(r"^(?:liquidation_threshold_bps|liquidate_cf_1e18|borrow_cf_1e18)$")
_RAY = 10**27
_BY_PARAMETERS = frozenset({"derive_pm", "paradex_pm"})
"""Models whose table of moves differs by market and changes without notice: who writes an account down says by which it is to be judged."""
MOST_DUTY_1E27 = _RAY + _RAY // 10**5
"""A second's growth: 36 % an hour. Beyond it no century can be computed, and no vault has it."""


def growth_doubt(key: str, number: int) -> str:
    """Why what debts and deposits are multiplied with cannot be that, "" where it can: times zero every debt were none."""
    if _RATE.search(key) and number < 0:
        return f"{key} is below zero"
    if _INDEX.search(key) and number == 0:
        return f"{key} is zero: every debt times it would be none"
    if _SHARE.match(key) and number > (10_000 if key.endswith("_bps") else 10**18):
        return f"{key} counts collateral for more than it is worth"
    if key == "duty_1e27" and not _RAY <= number <= MOST_DUTY_1E27:
        return f"{key} is {'below no interest at all' if number < _RAY else 'beyond any interest'}"
    return ""


def price_doubt(price: int, decimals: int) -> str:
    """Why a price cannot be one, "" where it can."""
    if price == 0:
        return "its price is zero"
    if price > MOST_USD * 10**decimals:
        return f"its price, {price}, is beyond any asset's"
    return ""


def doubt(raw: Mapping[str, Any]) -> str:
    """Why nothing can be said of an account of an accounts/1 file, "" where it can."""
    if isinstance(said := raw.get("doubt"), str) and said:
        return said
    if raw.get("model") in _BY_PARAMETERS and "parameters" not in raw:
        return "its parameters are not told ({} for the published ones of BTC)"
    for where, entry in [("", raw), *_entries(raw)]:
        name = f"{entry.get('asset', where)}: " if where else ""
        if entry.get("paused") is True:
            return f"{name}the market is paused"
        if entry.get("active") is False:
            return f"{name}the market is not active"
        if entry.get("shut_down") is True:
            return f"{name}the branch is shut down: any of its troves may be redeemed at once"
        for key, value in entry.items():
            if _EXCHANGE_PRICE.match(key) and _beyond(value):
                return f"{name}{key}: its price, {value[:40]}, is beyond any asset's"
            number = _number(value)
            if number is None:
                continue
            if why := growth_doubt(key, number):
                return f"{name}{why}"
            # A price in a contract's own decimals, thirty of a dollar at most.
            if _NATIVE_PRICE.search(key) and number >= 0 and (why := price_doubt(number, 30)):
                return f"{name}{key}: {why}"
            if key == "oracle_price" and (why := price_doubt(number, _decimals(entry))):
                return f"{name}{key}: {why}"
            if found := _PRICE.match(key):
                # An eMode writes 0 for "no price of its own"; Morpho's price has decimals of its own.
                if where == "emode" and number == 0:
                    continue
                decimals = 54 if found.group(1) == "oracle_" else int(found.group(2))
                if number >= 0 and (why := price_doubt(number, decimals)):
                    return f"{name}{key}: {why}"
    return ""


def _entries(raw: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    found: list[tuple[str, Mapping[str, Any]]] = []
    for key in ("reserves", "collateral", "positions", "assets", "expiries"):
        rows = raw.get(key)
        if isinstance(rows, list):
            found += [(key, row) for row in rows if isinstance(row, Mapping)]
    if isinstance(perp := raw.get("perp"), Mapping):
        found.append(("perp", perp))
    modes = raw.get("emodes")
    if isinstance(modes, Mapping):
        found += [("emode", mode) for mode in modes.values() if isinstance(mode, Mapping)]
    return found


def _decimals(entry: Mapping[str, Any]) -> int:
    exponent = _number(entry.get("price_exponent"))
    return min(max(-exponent, 0), 30) if exponent is not None else 0


def _beyond(value: Any) -> bool:
    try:
        return isinstance(value, str) and len(value) <= 60 and Decimal(value) >= MOST_USD
    except InvalidOperation:
        return False  # the model's own reading says what is wrong with it


def _number(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,100}", value):
        return int(value)
    return None
