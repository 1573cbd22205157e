"""Reading keys of an accounts/1 file with one clear message each. Amounts are decimal strings, never floats."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Any

from agent.domain.errors import Usage
from agent.domain.instruments import asset_id

MOST_DIGITS = 100
"""No figure of a contract (78 digits) or an exchange is longer; what is, is no amount and would only be slow."""
_BEYOND = 10**MOST_DIGITS


def _cut(value: Any) -> str:
    """A value of a stranger's, short enough for a message; Python itself refuses to print a whole number of many digits."""
    if isinstance(value, int) and abs(value) >= _BEYOND:
        return f"a number of more than {MOST_DIGITS} digits"
    told = repr(value)
    return told if len(told) <= 80 else told[:80] + "…"


def wrong(message: str) -> Usage:
    return Usage(
        "BAD_ACCOUNTS_FILE",
        message,
        "agent/margin/README.md shows a whole file; each model's keys stand in agent/margin/MODEL.py",
    )


def only(raw: Mapping[str, Any], where: str, known: set[str]) -> None:
    """Refuses a key that is not known, naming the nearest that is."""
    for key in raw:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            raise wrong(f"{where}: unknown key '{key}'" + (f", did you mean '{near[0]}'?" if near else ""))


def text(raw: Mapping[str, Any], key: str, where: str) -> str:
    value = raw.get(key)
    if not isinstance(value, str) or not value:
        raise wrong(f"{where}: {key} is missing" if key not in raw else f"{where}: {key} is not text")
    return value


def rows(raw: Mapping[str, Any], key: str, where: str) -> list[Any]:
    value = raw.get(key)
    if not isinstance(value, list):
        raise wrong(f"{where}: {key} is not a list")
    return value


def whole(raw: Mapping[str, Any], key: str, where: str, *, default: int | None = None) -> int:
    """A whole number, zero or more, as a number or a string of digits."""
    value = raw.get(key, default)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= MOST_DIGITS:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _BEYOND:
        return value
    if value is None:
        raise wrong(f"{where}: {key} is missing")
    raise wrong(f"{where}: {key} is {_cut(value)}, not a whole number of zero or more")


def signed(raw: Mapping[str, Any], key: str, where: str, *, default: int | None = None) -> int:
    """A whole number that may be below zero, as a number or a string of digits."""
    value = raw.get(key, default)
    if isinstance(value, str):
        digits = value[1:] if value.startswith("-") else value
        if digits.isascii() and digits.isdigit() and len(digits) <= MOST_DIGITS:
            return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _BEYOND:
        return value
    if value is None:
        raise wrong(f"{where}: {key} is missing")
    raise wrong(f"{where}: {key} is {_cut(value)}, not a whole number")


def flag(raw: Mapping[str, Any], key: str, where: str, *, default: bool | None = None) -> bool:
    value = raw.get(key, default)
    if not isinstance(value, bool):
        raise wrong(f"{where}: {key} is true or false")
    return value


class Unlisted(Usage):
    """A well-formed asset that the file does not list: nothing can be said of the account that holds it, and all of the others."""

    def __init__(self, asset: str, told: Usage) -> None:
        super().__init__(told.code, told.message, told.hint)
        self.asset = asset


def listed(raw: Mapping[str, Any], key: str, where: str, decimals: Mapping[str, int]) -> str:
    """An asset that the file's `assets` lists. Raises Unlisted where they do not, and Usage where it is no asset's id."""
    asset = text(raw, key, where)
    if asset in decimals:
        return asset
    told = wrong(f"{where}: {asset} is not listed in assets")
    try:
        asset_id(asset)
    except Usage:
        raise told from None
    raise Unlisted(asset, told)


def fraction(raw: Mapping[str, Any], key: str, where: str, *, default: str | None = None) -> Decimal:
    """A decimal string, exact: sizes, prices and rates of exchanges. Neither NaN nor infinite, at most 60 digits."""
    value = raw.get(key, default)
    if value is None:
        raise wrong(f"{where}: {key} is missing")
    if isinstance(value, str) and len(value) <= 60:
        try:
            found = Decimal(value)
        except InvalidOperation:
            found = Decimal("NaN")
        if found.is_finite() and -40 <= found.adjusted() <= 40:
            return found
    raise wrong(f"{where}: {key} is {_cut(value)}, not a decimal number in a string")
