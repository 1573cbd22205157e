"""How single values are written: one small pair of functions for each form that agent/journal/codec.py names."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import orjson

from agent.journal.plain import SAFE_INT
from chains.errors import Halt

Encode = Callable[[Any], Any]
Decode = Callable[[Any], Any]


class Mismatch(Exception):
    """A value that is not what its annotation says; the path is collected on the way out."""


@dataclasses.dataclass(frozen=True, slots=True)
class Coder:
    """One annotation's two directions. `accepts` tells the members of a union apart; `fixed`: no value of it ever changes."""

    tag: str
    encode: Encode
    decode: Decode
    accepts: Callable[[Any], bool]
    fixed: bool = True


def dumps(plain: Any) -> bytes:
    """Canonical JSON bytes of plain data."""
    try:
        return orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # text with lone surrogates, as a hostile or broken peer may send it
        return json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def loads(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return json.loads(data)


def scalar_coder(cls: type, encode: Encode | None, decode: Decode | None, exact: bool = True) -> Coder:
    def accepts(value: Any) -> bool:
        return type(value) is cls if exact else isinstance(value, cls)

    def write(value: Any) -> Any:
        if type(value) is not cls and (exact or not isinstance(value, cls)):
            raise Mismatch(f": {type(value).__qualname__} where {cls.__qualname__} is meant")
        return value if encode is None else encode(value)

    def read(plain: Any) -> Any:
        if type(plain) is not cls:
            raise Mismatch(f"{plain!r:.60} is not a {cls.__qualname__}")
        return plain

    return Coder(cls.__name__, write, decode or read, accepts)


def _int_out(value: int) -> int | str:
    return value if -SAFE_INT <= value <= SAFE_INT else str(value)


def _int_in(plain: Any) -> int:
    if type(plain) is int or type(plain) is str:
        return int(plain)
    raise Mismatch(f"{plain!r:.60} is not an integer")


def _decimal_out(value: Decimal) -> str:
    if not value.is_finite():
        raise Mismatch(f": {value} is no quantity")
    return str(value)


def _decimal_in(plain: Any) -> Decimal:
    if type(plain) is not str:
        raise Mismatch(f"{plain!r:.60} is not a decimal string")
    return Decimal(plain)


def _time_out(value: datetime) -> str:
    if value.tzinfo is None:
        raise Mismatch(": a datetime without a time zone")
    return value.astimezone(UTC).isoformat()


def _bytes_in(plain: Any) -> bytes:
    if type(plain) is not str or not plain.startswith("0x"):
        raise Mismatch(f"{plain!r:.60} is not 0x-prefixed hex")
    return bytes.fromhex(plain[2:])


def money_int_coder() -> Coder:
    return scalar_coder(int, str, _int_in)


SCALARS: dict[Any, Coder] = {
    bool: scalar_coder(bool, None, None),
    str: scalar_coder(str, None, None, exact=False),
    int: scalar_coder(int, _int_out, _int_in),
    float: scalar_coder(float, repr, float),
    Decimal: scalar_coder(Decimal, _decimal_out, _decimal_in),
    bytes: scalar_coder(bytes, lambda v: "0x" + bytes(v).hex(), _bytes_in, exact=False),
    datetime: scalar_coder(datetime, _time_out, datetime.fromisoformat, exact=False),
}


def literal_coder(values: tuple[Any, ...]) -> Coder:
    def check(value: Any) -> Any:
        if value not in values:
            raise Mismatch(f": {value!r:.60} is none of {values!r}")
        return value

    return Coder("literal", check, check, lambda v: v in values)


def enum_coder(cls: type[Enum]) -> Coder:
    members = cls.__members__

    def write(value: Any) -> str:
        if type(value) is not cls:
            raise Mismatch(f": {type(value).__qualname__} where {cls.__qualname__} is meant")
        return value._name_

    def read(plain: Any) -> Enum:
        try:
            return members[plain]
        except (KeyError, TypeError):
            raise Mismatch(f"{cls.__qualname__} has no member {plain!r:.60}") from None

    return Coder(cls.__name__, write, read, lambda v: type(v) is cls)


def sequence_coder(tag: str, item: Coder, build: Callable[[Iterable[Any]], Any]) -> Coder:
    kind: type[Any] = tuple if tag == "tuple" else frozenset
    encode, decode = item.encode, item.decode

    def write(value: Any) -> list[Any]:
        if not isinstance(value, kind):
            raise Mismatch(f": {type(value).__qualname__} where {tag} is meant")
        out = [encode(v) for v in value]
        return sorted(out, key=dumps) if tag == "frozenset" else out

    def read(plain: Any) -> Any:
        if type(plain) is not list:
            raise Mismatch(f"{plain!r:.60} is not a list")
        return build([decode(p) for p in plain])

    return Coder(tag, write, read, lambda v: isinstance(v, kind), item.fixed)


def record_coder(items: list[Coder]) -> Coder:
    def write(value: Any) -> list[Any]:
        if not isinstance(value, tuple) or len(value) != len(items):
            raise Mismatch(f": {value!r:.60} is not a tuple of {len(items)}")
        return [item.encode(v) for item, v in zip(items, value, strict=True)]

    def read(plain: Any) -> Any:
        if type(plain) is not list or len(plain) != len(items):
            raise Mismatch(f"{plain!r:.60} is not a list of {len(items)}")
        return tuple([item.decode(p) for item, p in zip(items, plain, strict=True)])

    def accepts(value: Any) -> bool:
        return isinstance(value, tuple) and len(value) == len(items)

    return Coder("tuple", write, read, accepts, all(item.fixed for item in items))


def key_coder(annotation: Any) -> Coder:
    while isinstance(annotation, typing.NewType):
        annotation = annotation.__supertype__
    if annotation is str:
        return SCALARS[str]
    if annotation is int:
        return money_int_coder()
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return enum_coder(annotation)
    raise Halt("JOURNAL_TYPE", f"{annotation!r} cannot be the key of a mapping", "use str, int or an Enum")


def mapping_coder(key: Coder, item: Coder) -> Coder:
    def write(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise Mismatch(f": {type(value).__qualname__} where a mapping is meant")
        return {key.encode(k): item.encode(v) for k, v in value.items()}

    def read(plain: Any) -> dict[Any, Any]:
        if type(plain) is not dict:
            raise Mismatch(f"{plain!r:.60} is not an object")
        return {key.decode(k): item.decode(v) for k, v in plain.items()}

    return Coder("dict", write, read, lambda v: isinstance(v, Mapping), fixed=False)


def tagged_coder(members: list[Coder]) -> Coder:
    by_tag: dict[str, Coder] = {}
    for member in members:
        if member.tag in by_tag:
            raise Halt("JOURNAL_TYPE", f"a union of two types called {member.tag}", "rename one of them")
        by_tag[member.tag] = member

    def write(value: Any) -> dict[str, Any]:
        for member in members:
            if member.accepts(value):
                return {"$": member.tag, "v": member.encode(value)}
        raise Mismatch(f": {type(value).__qualname__} is none of {sorted(by_tag)}")

    def read(plain: Any) -> Any:
        if type(plain) is not dict or plain.get("$") not in by_tag:
            raise Mismatch(f"{plain!r:.60} is none of {sorted(by_tag)}")
        return by_tag[plain["$"]].decode(plain["v"])

    fixed = all(member.fixed for member in members)
    return Coder("union", write, read, lambda v: any(m.accepts(v) for m in members), fixed)
