"""The wire: four bytes of length, big endian, then one JSON object. At most 1 MiB.

request   {"id": "…", "method": "…", "params": {…}}
response  {"id": "…", "result": {…}} or {"id": "…", "error": {"code", "verb", "message", "hint"}}
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from chains.bounded_json import loads

MAX_FRAME = 1 << 20
_WRITER = json.JSONEncoder(separators=(",", ":"))


class BadFrame(Exception):
    """The peer does not speak this protocol; the connection is of no further use."""


def pack(message: dict[str, Any]) -> bytes:
    body = _WRITER.encode(message).encode()
    return len(body).to_bytes(4, "big") + body


async def read(reader: asyncio.StreamReader) -> dict[str, Any] | None:
    """One message, None at the end of the stream. Raises BadFrame."""
    try:
        head = await reader.readexactly(4)
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise BadFrame("the stream ended inside a length") from None
        return None
    size = int.from_bytes(head, "big")
    if not 2 <= size <= MAX_FRAME:
        raise BadFrame(f"a frame of {size} bytes")
    try:
        body = await reader.readexactly(size)
        message = loads(body)
    except asyncio.IncompleteReadError:
        raise BadFrame("the stream ended inside a frame") from None
    except ValueError:
        raise BadFrame("a frame that is not JSON") from None
    if not isinstance(message, dict):
        raise BadFrame("a frame that is not a JSON object")
    return message
