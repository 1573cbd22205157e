"""The forms single settings have, each with a message of its own that never repeats what may be a secret."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from agent.domain.errors import Usage
from agent.domain.instruments import asset_id
from keys.secrets import is_reference

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_HASH = re.compile(r"0x[0-9a-fA-F]{64}")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_SYMBOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,30}")
_URL = re.compile(r"(https?|wss?)://[^\s/]+\S*")
_REFERENCES = "env:NAME, file:PATH, credential:NAME, keyring:SERVICE/USER, keystore:PATH?REF or cmd:COMMAND"


def wrong(message: str, hint: str = "") -> PydanticCustomError:
    return PydanticCustomError("settings", "{message}\x1f{hint}", {"message": message, "hint": hint})


def _money(value: Any) -> Decimal:
    if isinstance(value, Decimal):
        return value
    if not isinstance(value, str):
        raise wrong(
            f"money is written as a string, not as the {type(value).__name__} {value!r}",
            f'write "{value}", in quotes',
        )
    try:
        amount = Decimal(value.replace("_", ""))
    except InvalidOperation:
        raise wrong(f"'{value}' is not a decimal number", 'write it like "2500.50"') from None
    if not amount.is_finite() or amount < 0:
        raise wrong(f"'{value}' is not an amount of money", "it must be zero or more")
    return amount


def _positive(value: Decimal) -> Decimal:
    if value <= 0:
        raise wrong("must be greater than zero")
    return value


def code_hash(value: Any) -> str:
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        raise wrong("it is not a code hash", "0x and 64 hexadecimal digits")
    return value.lower()


def address(value: Any) -> str:
    if not isinstance(value, str) or not _ADDRESS.fullmatch(value):
        raise wrong(f"{value!r} is no address", "an address is 0x and 40 hexadecimal digits")
    from contracts.hashing import to_checksum

    right = to_checksum(value.lower())
    if value != right and value[2:] not in (value[2:].lower(), value[2:].upper()):
        raise wrong(
            f"{value} has a wrong checksum: a digit was mistyped",
            "copy it again from where you know it to be right",
        )
    return right


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise wrong(
            f"'{value}' is no name",
            "names are lower-case letters, digits and _, as files of modules are called",
        )
    return value


def _symbol(value: str) -> str:
    if not _SYMBOL.fullmatch(value):
        raise wrong(f"'{value}' is no symbol", "write it like WETH")
    return value


def _asset(value: str) -> str:
    try:
        found = asset_id(value)
    except Usage as error:
        raise wrong(error.message, error.hint) from None
    head, _, token = found.partition("/erc20:")
    return f"{head}/erc20:{address(token)}" if token else found


def _pool(value: str) -> str:
    if re.fullmatch(r"0x[0-9a-fA-F]{64}", value):
        return value.lower()
    return address(value)


def _market_id(value: str) -> str:
    if not re.fullmatch(r"0x[0-9a-fA-F]{64}", value):
        raise wrong(f"{value!r} is no market of Morpho Blue", "its id is 0x and 64 hexadecimal digits")
    return value.lower()


LEAST_SWITCH_S = 10
"""Exchanges take no less, or a third of it is no time for a renewal."""


def _reference(value: Any) -> str:
    if not isinstance(value, str) or not is_reference(value):
        raise wrong("a secret is given by reference, never as itself", f"write one of {_REFERENCES}")
    return value


def _endpoint(value: Any) -> str:
    if not isinstance(value, str):
        raise wrong("is not text", "write a URL in quotes")
    if is_reference(value):
        return value
    if not _URL.fullmatch(value):
        raise wrong("is neither a URL nor a reference", f"write http(s)://… or ws(s)://…, or {_REFERENCES}")
    if "@" in value.split("/")[2]:
        raise wrong(
            "holds a password inside the URL", f"put the whole URL elsewhere and refer to it: {_REFERENCES}"
        )
    return value


def _switch(value: int) -> int:
    if 0 < value < LEAST_SWITCH_S:
        raise wrong(
            f"{value} s would end orders for one late answer",
            f"at least {LEAST_SWITCH_S}, or 0 for no switch",
        )
    return value


Money = Annotated[Decimal, BeforeValidator(_money)]
PositiveMoney = Annotated[Decimal, BeforeValidator(_money), AfterValidator(_positive)]
Address = Annotated[str, BeforeValidator(address)]
MorphoId = Annotated[str, AfterValidator(_market_id)]
"""A market of Morpho Blue, as its contract names it."""
CodeHash = Annotated[str, BeforeValidator(code_hash)]
PoolId = Annotated[str, AfterValidator(_pool)]
Name = Annotated[str, AfterValidator(_name)]
SwitchSeconds = Annotated[int, AfterValidator(_switch)]
Symbol = Annotated[str, AfterValidator(_symbol)]
AssetRef = Annotated[str, AfterValidator(_asset)]
SecretRef = Annotated[str, BeforeValidator(_reference)]
"""Where a secret is, for `keys.secrets.resolve`; never the secret."""
Endpoint = Annotated[str, BeforeValidator(_endpoint)]
"""A URL, or a reference to one that holds a key."""
Bps = Annotated[int, Field(ge=0, le=10_000, strict=True)]
Seconds = Annotated[int, Field(ge=1, strict=True)]
