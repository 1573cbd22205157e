"""Protocol Buffers' wire format, as far as transactions of a Cosmos chain need it: written in field order, defaults left out. Pure.

Source: the published encoding of proto3. A field is a varint of number · 8 + wire type (0 varint, 1 eight bytes, 2 length and bytes, 5 four
bytes, little-endian). What is signed are bytes, so that there is one spelling here: numbers in their shortest form, fields ascending.
"""

from __future__ import annotations

from collections.abc import Sequence

MAX_BYTES = 1 << 20
Value = int | bytes


def varint(value: int) -> bytes:
    """Raises ValueError for what does not fit 64 bits without a sign."""
    if not 0 <= value < 1 << 64:
        raise ValueError(f"{value} does not fit 64 bits")
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    found.append(value)
    return bytes(found)


def number(field: int, value: int) -> bytes:
    """A uint, an enum or a bool; nothing for its default, 0."""
    return varint(field << 3) + varint(value) if value else b""


def fixed32(field: int, value: int) -> bytes:
    """Four bytes; nothing for 0. Raises OverflowError for what does not fit them."""
    return varint(field << 3 | 5) + value.to_bytes(4, "little") if value else b""


def raw(field: int, value: bytes) -> bytes:
    """Bytes, text or a message of its own; also an empty one."""
    return varint(field << 3 | 2) + varint(len(value)) + value


def text(field: int, value: str) -> bytes:
    """Nothing for an empty one."""
    return raw(field, value.encode()) if value else b""


def packed(field: int, values: Sequence[int]) -> bytes:
    """Repeated numbers, as proto3 writes them."""
    return raw(field, b"".join(map(varint, values))) if values else b""


def numbers(data: bytes) -> list[int]:
    """The reverse of `packed`. Raises ValueError."""
    found, at = [], 0
    while at < len(data):
        value, at = _varint(data, at)
        found.append(value)
    return found


def read(data: bytes) -> dict[int, list[Value]]:
    """Every field's values in their order. Raises ValueError for what is no message."""
    if len(data) > MAX_BYTES:
        raise ValueError(f"{len(data)} bytes are more than {MAX_BYTES}")
    found: dict[int, list[Value]] = {}
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        field, kind = tag >> 3, tag & 7
        if not field:
            raise ValueError("a field without a number")
        value: Value
        if kind == 0:
            value, at = _varint(data, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
            value, at = int.from_bytes(_cut(data, at, size), "little"), at + size
        elif kind == 2:
            size, at = _varint(data, at)
            value, at = _cut(data, at, size), at + size
        else:
            raise ValueError(f"wire type {kind}")
        found.setdefault(field, []).append(value)
    return found


def one(fields: dict[int, list[Value]], field: int) -> bytes:
    """The bytes of a field that stands once at most, empty without it. Raises ValueError."""
    values = fields.get(field, [b""])
    if len(values) != 1 or not isinstance(values[0], bytes):
        raise ValueError(f"field {field} is not one string of bytes")
    return values[0]


def count(fields: dict[int, list[Value]], field: int) -> int:
    """The number of a field that stands once at most, 0 without it. Raises ValueError."""
    values = fields.get(field, [0])
    if len(values) != 1 or not isinstance(values[0], int):
        raise ValueError(f"field {field} is not one number")
    return values[0]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for place in range(10):
        if at >= len(data):
            raise ValueError("cut short")
        value |= (data[at] & 0x7F) << 7 * place
        at += 1
        if not data[at - 1] & 0x80:
            if value >= 1 << 64:
                break
            return value, at
    raise ValueError("a number of more than 64 bits")


def _cut(data: bytes, at: int, size: int) -> bytes:
    if at + size > len(data):
        raise ValueError("cut short")
    return data[at : at + size]
