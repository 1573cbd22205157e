"""Hourly candles out of the recorded parquet files: just as much of that format as these files use.

A page is: a header in Thrift's compact protocol, then a Snappy block of definition levels (all present) and values, which are plain or
numbers of a dictionary page before them, in runs or packed bits. Format: apache/parquet-format, google/snappy format_description.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from recordings import recording

DOUBLE, INT64 = 5, 2
DICTIONARY_PAGE = 2
PLAIN = 0


def candles(name: str, columns: Sequence[str]) -> list[tuple[Any, ...]]:
    """Rows of those columns, in the file's order: `Date` in microseconds since 1970, all others floats, as they were written."""
    return list(zip(*_columns(recording("history", name), columns), strict=True))


def _columns(path: Path, names: Sequence[str]) -> Iterator[list[Any]]:
    body = path.read_bytes()
    size = int.from_bytes(body[-8:-4], "little")
    assert body[:4] == body[-4:] == b"PAR1"
    footer = _struct(body, [len(body) - 8 - size])
    (group,) = footer[4]  # one row group
    chunks = {chunk[3][3][0].decode(): chunk[3] for chunk in group[1]}
    for name in names:
        yield _column(body, chunks[name])


def _column(body: bytes, chunk: dict[int, Any]) -> list[Any]:
    """A column's values. `chunk` is its ColumnMetaData: 1 type, 5 values, 9 and 11 where its pages begin."""
    letter = {DOUBLE: "d", INT64: "q"}[chunk[1]]
    at = [chunk.get(11, chunk[9])]
    words: tuple[Any, ...] = ()
    found: list[Any] = []
    while len(found) < chunk[5]:
        header = _struct(body, at)
        page = _unsnapped(body[at[0] : at[0] + header[3]], header[2])
        at[0] += header[3]
        if header[1] == DICTIONARY_PAGE:
            words = struct.unpack(f"<{header[7][1]}{letter}", page)
            continue
        count, encoding = header[5][1], header[5][2]
        levels = 4 + int.from_bytes(page[:4], "little")
        if encoding == PLAIN:
            found += struct.unpack_from(f"<{count}{letter}", page, levels)
        else:
            found += [words[n] for n in _numbers(page[levels + 1 :], page[levels], count)]
    return found


def _numbers(page: bytes, bits: int, count: int) -> list[int]:
    """Numbers of so many bits, in runs of one number or packed by eights, least bit first."""
    found: list[int] = []
    at = [0]
    while len(found) < count:
        head = _varint(page, at)
        if head & 1:
            size = (head >> 1) * bits
            packed = int.from_bytes(page[at[0] : at[0] + size], "little")
            at[0] += size
            mask = (1 << bits) - 1
            # Eight numbers at a time: shifting the whole once for each would be quadratic.
            block = (1 << (8 * bits)) - 1
            raw = packed.to_bytes(size, "little")
            for start in range(0, size, bits):
                eight = int.from_bytes(raw[start : start + bits], "little") & block
                found += [(eight >> (bits * n)) & mask for n in range(8)]
        else:
            size = (bits + 7) // 8
            found += [int.from_bytes(page[at[0] : at[0] + size], "little")] * (head >> 1)
            at[0] += size
    return found[:count]


def _unsnapped(packed: bytes, size: int) -> bytes:
    at = [0]
    assert _varint(packed, at) == size
    pos, end, out = at[0], len(packed), bytearray()
    while pos < end:
        tag = packed[pos]
        pos += 1
        kind, length = tag & 3, tag >> 2
        if kind == 0:
            if length >= 60:
                more = length - 59
                length = int.from_bytes(packed[pos : pos + more], "little")
                pos += more
            out += packed[pos : pos + length + 1]
            pos += length + 1
            continue
        if kind == 1:
            length, back = (length & 7) + 4, (tag >> 5) << 8 | packed[pos]
            pos += 1
        else:
            width = 2 if kind == 2 else 4
            length, back = length + 1, int.from_bytes(packed[pos : pos + width], "little")
            pos += width
        start = len(out) - back
        if back >= length:
            out += out[start : start + length]
        else:  # it copies what it is writing
            piece = bytes(out[start:])
            out += (piece * (length // back + 1))[:length]
    assert len(out) == size
    return bytes(out)


# ---- Thrift's compact protocol; `at` is where to read on


def _varint(body: bytes, at: list[int]) -> int:
    value = shift = 0
    while True:
        byte = body[at[0]]
        at[0] += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value


def _struct(body: bytes, at: list[int]) -> dict[int, Any]:
    found: dict[int, Any] = {}
    field = 0
    while head := body[at[0]]:
        at[0] += 1
        field = field + (head >> 4) if head >> 4 else _zigzag(_varint(body, at))
        found[field] = _value(body, at, head & 15)
    at[0] += 1
    return found


def _value(body: bytes, at: list[int], kind: int) -> Any:
    if kind in (1, 2):
        return kind == 1
    if kind == 3:
        at[0] += 1
        return body[at[0] - 1]
    if kind in (4, 5, 6):
        return _zigzag(_varint(body, at))
    if kind == 7:
        at[0] += 8
        return struct.unpack_from("<d", body, at[0] - 8)[0]
    if kind == 8:
        size = _varint(body, at)
        at[0] += size
        return body[at[0] - size : at[0]]
    if kind == 9:
        head = body[at[0]]
        at[0] += 1
        count = head >> 4 if head >> 4 < 15 else _varint(body, at)
        return [_value(body, at, head & 15) for _ in range(count)]
    assert kind == 12, f"no such kind of field is in these files: {kind}"
    return _struct(body, at)


def _zigzag(value: int) -> int:
    return value >> 1 ^ -(value & 1)
