"""JSON from strangers, with whole numbers of any size kept whole and no depth that could overflow a stack."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import orjson


def loads(data: bytes, *, parse_float: Callable[[str], Any] | None = None) -> Any:
    """The value of a JSON text in UTF-8. Raises ValueError for what is none, or is nested too deep.

    First the parser that bounds its depth (1,024), then json: a library below eth-keyfile raises Python's own bound to 100,000, with
    which json's parser overflows the stack; without it Python's bound may be met a little below ours.
    """
    orjson.loads(data)
    try:
        return json.loads(data, parse_float=parse_float)
    except RecursionError:
        raise ValueError("nested too deep") from None
