"""The ABI's types: parsing of type strings, canonical encoding, strict decoding (Solidity ABI specification, v0.8).

Values: uintN and intN are int, bool is bool, address an EIP-55 string, bytesN and bytes are bytes, string is str, arrays are
tuples, tuples with named components are dicts. Decoding is strict by default: every offset must be the one a canonical
encoder writes, padding must be zero and no byte may trail, so that decode(data) succeeding means encode(decode(data)) == data.
All functions raise AbiError and nothing else for bad data or bad values.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from contracts.hashing import address_bytes, checksum


class AbiError(ValueError):
    """Data that is not the canonical encoding of its type, or a value that does not fit it."""


Value = Any
_ZERO12 = bytes(12)


class AbiType(ABC):
    """One type: `head` bytes in a static head, `dynamic` when its content lives in the tail."""

    name: str
    dynamic = False
    head = 32

    @abstractmethod
    def enc(self, value: Value) -> bytes:
        """The canonical encoding. Raises AbiError."""

    @abstractmethod
    def dec(self, data: bytes, at: int, strict: bool) -> tuple[Value, int]:
        """The value whose encoding starts at `at`, and the position after it. Raises AbiError."""


def _word(data: bytes, at: int) -> bytes:
    word = data[at : at + 32]
    if len(word) != 32:
        raise AbiError(f"data ends inside the word at byte {at}")
    return word


class Uint(AbiType):
    def __init__(self, bits: int) -> None:
        self.name, self.bits = f"uint{bits}", bits

    def enc(self, value: Value) -> bytes:
        if type(value) is not int or value < 0 or value >> self.bits:
            raise AbiError(f"{value!r} is not a {self.name}")
        return value.to_bytes(32, "big")

    def dec(self, data: bytes, at: int, strict: bool) -> tuple[Value, int]:
        value = int.from_bytes(_word(data, at), "big")
        if value >> self.bits:
            raise AbiError(f"dirty high bits in a {self.name} at byte {at}")
        return value, at + 32


class Int(AbiType):
    def __init__(self, bits: int) -> None:
        self.name, self.limit = f"int{bits}", 1 << (bits - 1)

    def enc(self, value: Value) -> bytes:
        if type(value) is not int or not -self.limit <= value < self.limit:
            raise AbiError(f"{value!r} is not an {self.name}")
        return value.to_bytes(32, "big", signed=True)

    def dec(self, data: bytes, at: int, strict: bool) -> tuple[Value, int]:
        value = int.from_bytes(_word(data, at), "big", signed=True)
        if not -self.limit <= value < self.limit:
            raise AbiError(f"dirty high bits in an {self.name} at byte {at}")
        return value, at + 32


class Bool(AbiType):
    name = "bool"

    def enc(self, value: Value) -> bytes:
        if type(value) is not bool:
            raise AbiError(f"{value!r} is not a bool")
        return value.to_bytes(32, "big")

    def dec(self, data: bytes, at: int, strict: bool) -> tuple[Value, int]:
        value = int.from_bytes(_word(data, at), "big")
        if value > 1:
            raise AbiError(f"dirty bool at byte {at}")
        return value == 1, at + 32


class AddressType(AbiType):
    name = "address"

    def enc(self, value: Value) -> bytes:
        try:
            return _ZERO12 + address_bytes(value)
        except (ValueError, TypeError) as error:
            raise AbiError(f"{value!r} is not an address: {error}") from None

    def dec(self, data: bytes, at: int, strict: bool) -> tuple[Value, int]:
        word = _word(data, at)
        if word[:12] != _ZERO12:
            raise AbiError(f"dirty high bits in an address at byte {at}")
        return checksum(word[12:]), at + 32


class FixedBytes(AbiType):
    def __init__(self, size: int) -> None:
        self.name, self.size = f"bytes{size}", size

    def enc(self, value: Value) -> bytes:
        if not isinstance(value, bytes) or len(value) != self.size:
            raise AbiError(f"{value!r} is not a {self.name}")
        return value.ljust(32, b"\0")

    def dec(self, data: bytes, at: int, strict: bool) -> tuple[Value, int]:
        word = _word(data, at)
        if any(word[self.size :]):
            raise AbiError(f"dirty low bytes in a {self.name} at byte {at}")
        return word[: self.size], at + 32


class Bytes(AbiType):
    name, dynamic = "bytes", True

    def enc(self, value: Value) -> bytes:
        if not isinstance(value, bytes):
            raise AbiError(f"{value!r} is not bytes")
        return len(value).to_bytes(32, "big") + value + bytes(-len(value) % 32)

    def dec(self, data: bytes, at: int, strict: bool) -> tuple[Value, int]:
        size = int.from_bytes(_word(data, at), "big")
        start = at + 32
        end = start + size + -size % 32
        if end > len(data):
            raise AbiError(f"bytes at byte {at} run past the end of the data")
        if any(data[start + size : end]):
            raise AbiError(f"dirty padding after bytes at byte {at}")
        return data[start : start + size], end


class String(Bytes):
    name = "string"

    def enc(self, value: Value) -> bytes:
        if not isinstance(value, str):
            raise AbiError(f"{value!r} is not a string")
        return super().enc(value.encode())

    def dec(self, data: bytes, at: int, strict: bool) -> tuple[Value, int]:
        raw, end = super().dec(data, at, strict)
        try:
            return raw.decode(), end
        except UnicodeDecodeError:
            raise AbiError(f"the string at byte {at} is not UTF-8") from None


def enc_sequence(types: Sequence[AbiType], values: Sequence[Value]) -> bytes:
    if len(types) != len(values):
        raise AbiError(f"{len(types)} values are needed, {len(values)} were given")
    tail_at = sum(t.head for t in types)
    heads: list[bytes] = []
    tails: list[bytes] = []
    for kind, value in zip(types, values, strict=True):
        encoded = kind.enc(value)
        if kind.dynamic:
            heads.append(tail_at.to_bytes(32, "big"))
            tails.append(encoded)
            tail_at += len(encoded)
        else:
            heads.append(encoded)
    return b"".join(heads + tails)


def dec_sequence(types: Sequence[AbiType], data: bytes, at: int, strict: bool) -> tuple[list[Value], int]:
    position, tail = at, at
    for kind in types:
        tail += kind.head
    values: list[Value] = []
    for kind in types:
        if kind.dynamic:
            start = at + int.from_bytes(_word(data, position), "big")
            if strict and start != tail:
                raise AbiError(f"non-canonical offset at byte {position}")
            if start > len(data):
                raise AbiError(f"the offset at byte {position} points past the end of the data")
            value, end = kind.dec(data, start, strict)
            tail = end if strict else max(tail, end)
            position += 32
        else:
            value, position = kind.dec(data, position, strict)
        values.append(value)
    return values, tail


class Array(AbiType):
    def __init__(self, item: AbiType, length: int | None) -> None:
        self.item, self.length = item, length
        self.name = f"{item.name}[{'' if length is None else length}]"
        self.dynamic = length is None or item.dynamic
        self.head = 32 if self.dynamic else item.head * (length or 0)

    def enc(self, value: Value) -> bytes:
        if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
            raise AbiError(f"{value!r} is not a list for {self.name}")
        if self.length is not None and len(value) != self.length:
            raise AbiError(f"{self.name} needs {self.length} items, {len(value)} were given")
        body = enc_sequence([self.item] * len(value), value)
        return body if self.length is not None else len(value).to_bytes(32, "big") + body

    def dec(self, data: bytes, at: int, strict: bool) -> tuple[Value, int]:
        count = self.length
        if count is None:
            count = int.from_bytes(_word(data, at), "big")
            at += 32
            if count * self.item.head > len(data) - at:
                raise AbiError(f"an array of {count} does not fit the data at byte {at}")
        values, end = dec_sequence([self.item] * count, data, at, strict)
        return tuple(values), end


class Tuple(AbiType):
    def __init__(self, types: Sequence[AbiType], names: Sequence[str]) -> None:
        self.types, self.names = tuple(types), tuple(names)
        self.name = f"({','.join(t.name for t in types)})"
        self.dynamic = any(t.dynamic for t in types)
        self.head = 32 if self.dynamic else sum(t.head for t in types)

    def order(self, value: Value) -> Sequence[Value]:
        """A mapping in the order of the components; a sequence as it is."""
        if isinstance(value, Mapping):
            if set(value) != set(self.names):
                raise AbiError(
                    f"fields {sorted(self.names)} are needed, {sorted(map(str, value))} were given"
                )
            return [value[n] for n in self.names]
        if isinstance(value, (str, bytes)) or not isinstance(value, Sequence):
            raise AbiError(f"{value!r} is not a tuple for {self.name}")
        return value

    def enc(self, value: Value) -> bytes:
        return enc_sequence(self.types, self.order(value))

    def dec(self, data: bytes, at: int, strict: bool) -> tuple[Value, int]:
        values, end = dec_sequence(self.types, data, at, strict)
        return dict(zip(self.names, values, strict=True)), end

    def decode(self, data: bytes, strict: bool = True) -> dict[str, Value]:
        """All of `data` as this tuple. Raises AbiError when a byte trails (strict) or the layout is not canonical."""
        values, end = dec_sequence(self.types, data, 0, strict)
        if strict and end != len(data):
            raise AbiError(f"{len(data) - end} bytes trail the arguments")
        return dict(zip(self.names, values, strict=True))


_ARRAY = re.compile(r"^(.*)\[(\d*)\]$")
_NUMBER = re.compile(r"^(u?int|bytes)(\d+)$")


def parse_type(text: str) -> AbiType:
    """`uint256`, `address[2]`, `(address token, uint256 amount)[]` … to its type. Raises AbiError when unknown."""
    text = text.strip()
    if match := _ARRAY.match(text):
        return Array(parse_type(match[1]), int(match[2]) if match[2] else None)
    if text.startswith("(") and text.endswith(")"):
        return parse_tuple(text[1:-1])
    simple: dict[str, Callable[[], AbiType]] = {
        "address": AddressType,
        "bool": Bool,
        "bytes": Bytes,
        "string": String,
    }
    if text in simple:
        return simple[text]()
    if text in ("uint", "int"):
        text += "256"
    if match := _NUMBER.match(text):
        size = int(match[2])
        if match[1] == "bytes" and 1 <= size <= 32:
            return FixedBytes(size)
        if match[1] != "bytes" and size % 8 == 0 and 8 <= size <= 256:
            return Uint(size) if match[1] == "uint" else Int(size)
    raise AbiError(f"unknown ABI type {text!r}")


def split_top(text: str) -> list[str]:
    """Splits at the commas that stand outside brackets."""
    parts, depth, start = [], 0, 0
    for index, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    rest = text[start:]
    return [p.strip() for p in [*parts, rest]] if text.strip() else []


def parse_tuple(text: str) -> Tuple:
    """`address token, uint256 amount` (names optional: then the position names the field) to a tuple type."""
    types, names = [], []
    for index, part in enumerate(split_top(text)):
        closing = part.rfind(")")
        head, _, name = part.rpartition(" ") if " " in part[closing + 1 :] else (part, "", "")
        types.append(parse_type(head.replace(" indexed", "")))
        names.append(name.strip() or str(index))
    return Tuple(types, names)
