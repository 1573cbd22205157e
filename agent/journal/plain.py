"""Any state as canonical bytes, and their hash: what two folds of one journal are compared by."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping, Sequence, Set
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any

from chains.errors import Halt

SAFE_INT = 2**53
_COUNTS = re.compile(
    r"(^|_)(ns|s|ms|bps|pips|number|index|block|id|ids|nonce|gas|decimals|version|threshold|count|crossed|seq|slices|no|attempt|tick|status)$"
)


def is_money_name(name: str) -> bool:
    """Whether a field of this name may hold base units: any integer whose name does not say that it counts or times.

    Those are written as decimal strings, never as JSON numbers.
    """
    return _COUNTS.search(name) is None


def plain(value: Any) -> Any:
    """JSON-ready data that differs wherever two values differ: every type but str, bool, None and list carries its tag.

    Mappings and sets are ordered by their canonical form, so insertion order does not count.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return {"enum": f"{type(value).__name__}.{value.name}"}
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return {"int": str(value)}
    if isinstance(value, Decimal):
        return {"dec": str(value)}
    if isinstance(value, float):
        return {"float": repr(value)}
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, datetime):
        return {"time": value.isoformat()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = [[field.name, plain(getattr(value, field.name))] for field in dataclasses.fields(value)]
        return {"type": type(value).__name__, "fields": fields}
    if isinstance(value, Mapping):
        pairs = [[plain(k), plain(v)] for k, v in value.items()]
        return {"map": sorted(pairs, key=lambda pair: _dump(pair[0]))}
    if isinstance(value, Set):
        return {"set": sorted((plain(v) for v in value), key=_dump)}
    if isinstance(value, Sequence):
        return [plain(v) for v in value]
    raise Halt(
        "JOURNAL_STATE",
        f"a state holds a {type(value).__qualname__}, which has no canonical form",
        "use frozen dataclasses and plain values",
    )


def _dump(data: Any) -> bytes:
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()


def canonical(value: Any) -> bytes:
    return _dump(plain(value))


def state_hash(state: Any) -> str:
    """0x-prefixed SHA-256 of the state's canonical bytes: equal states, and only those, have equal hashes."""
    return "0x" + hashlib.sha256(canonical(state)).hexdigest()
