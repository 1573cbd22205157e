"""One JSON object read key by key, for market/1: every refusal names the field, and the nearest name of what is unknown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Any, NoReturn

from agent.domain.errors import Usage
from agent.domain.instruments import Asset, AssetId


def refuse(where: str, what: str, hint: str = "") -> NoReturn:
    raise Usage("BAD_MARKET_FILE", f"{where}: {what}", hint)


def nearest(name: str, known: Mapping[str, Any] | set[str] | list[str]) -> str:
    near = get_close_matches(name, list(known), n=1, cutoff=0.4)
    return f"did you mean '{near[0]}'?" if near else f"known are: {', '.join(sorted(known))}"


class Fields:
    """One JSON object read key by key; what is left unread at the end is refused by name."""

    __slots__ = ("known", "values", "where")

    def __init__(
        self, where: str, values: Any, required: tuple[str, ...], optional: tuple[str, ...] = ()
    ) -> None:
        if not isinstance(values, dict):
            refuse(where, "is not a JSON object")
        self.where, self.values, self.known = where, values, {*required, *optional}
        for key in values:
            if key not in self.known:
                refuse(where, f"unknown key '{key}'", nearest(key, self.known))
        for key in required:
            if key not in values:
                refuse(where, f"'{key}' is missing")

    def text(self, key: str) -> str:
        value = self.values[key]
        if not isinstance(value, str):
            refuse(f"{self.where}.{key}", f"must be a string, not {json.dumps(value)[:40]}")
        return str(value)

    def number(self, key: str, low: int, high: int, default: int | None = None) -> int:
        if key not in self.values and default is not None:
            return default
        value = self.values[key]
        if type(value) is not int:
            refuse(f"{self.where}.{key}", f"must be a whole number, not {json.dumps(value)[:40]}")
        if not low <= value <= high:
            refuse(f"{self.where}.{key}", f"is {value}, outside {low} to {high}")
        return int(value)

    def raw(self, key: str, low: int = 0, high: int = (1 << 256) - 1) -> int:
        return raw_text(f"{self.where}.{key}", self.values[key], low, high)

    def raws(self, key: str, count: int, low: int = 0, high: int = (1 << 256) - 1) -> tuple[int, ...]:
        return tuple(
            raw_text(f"{self.where}.{key}[{k}]", v, low, high) for k, v in enumerate(self.list(key, count))
        )

    def list(self, key: str, count: int | None = None) -> list[Any]:
        value = self.values.get(key, [])
        if not isinstance(value, list):
            refuse(f"{self.where}.{key}", "must be a list")
        if count is not None and len(value) != count:
            refuse(f"{self.where}.{key}", f"has {len(value)} entries, not {count}")
        return list(value)

    def decimal(self, key: str, low: Decimal = Decimal(0)) -> Decimal:
        return decimal_text(f"{self.where}.{key}", self.values[key], low)


def raw_text(where: str, value: Any, low: int = 0, high: int = (1 << 256) - 1) -> int:
    """A whole number written as a decimal string."""
    if not isinstance(value, str) or not value.lstrip("-").isascii() or not value.removeprefix("-").isdigit():
        refuse(
            where,
            f"must be a whole number as a string, not {json.dumps(value)[:40]}",
            'base units are strings: "1500"',
        )
    if len(value) > 80:
        refuse(where, f"has {len(value)} digits; no contract holds that")
    number = int(value)
    if not low <= number <= high:
        refuse(where, f"is {value}, outside {low} to {high}")
    return number


def decimal_text(where: str, value: Any, low: Decimal = Decimal(0)) -> Decimal:
    if not isinstance(value, str):
        refuse(where, f"must be a decimal as a string, not {json.dumps(value)[:40]}")
    try:
        number = Decimal(value)
    except InvalidOperation:
        refuse(where, f"'{value[:40]}' is not a decimal number")
    if not number.is_finite() or number < low or number.adjusted() > 80 or number.adjusted() < -80:
        refuse(where, f"is {value[:40]}; it must be finite and at least {low}")
    return number


def known_asset(where: str, text: Any, assets: Mapping[AssetId, Asset]) -> AssetId:
    if not isinstance(text, str) or text not in assets:
        refuse(
            where,
            f"{json.dumps(text)[:90]} is not in assets",
            "list every asset the file uses under 'assets'",
        )
    return AssetId(text)
