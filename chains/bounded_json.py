"""JSON from strangers, with whole numbers of any size kept whole and no depth that could overflow a stack."""

from __future__ import annotations

import json
from typing import Any

import orjson


def loads(data: bytes) -> Any:
    """The value of a JSON text in UTF-8. Raises ValueError for what is none, or is nested too deep.

    First the parser that bounds its depth, then json: a library below eth-keyfile raises Python's own bound to 100,000, with which
    json's parser overflows the stack.
    """
    orjson.loads(data)
    return json.loads(data)
