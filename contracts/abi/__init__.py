"""Minimal interfaces as data: one JSON file a contract, each entry a human-readable signature.

    {"functions": ["transfer(address to, uint256 amount) returns (bool ok)"],
     "events":    ["Transfer(address indexed from, address indexed to, uint256 value)"],
     "errors":    ["InsufficientAllowance(uint256 amount)"]}

Only what Fairlead calls, reads or must recognise is listed: an entry that is absent is a call that is refused.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent


@cache
def load(name: str) -> dict[str, Any]:
    """The interface file `name`.json. Raises KeyError when there is none."""
    path = _FOLDER / f"{name}.json"
    if not name.replace("_", "").isalnum() or not path.is_file():
        raise KeyError(name)
    data: dict[str, Any] = json.loads(path.read_text())
    return data


@cache
def names() -> tuple[str, ...]:
    """Every interface there is, sorted."""
    return tuple(sorted(p.stem for p in _FOLDER.glob("*.json")))
