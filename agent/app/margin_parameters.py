"""The file of a venue's `margin_parameters`: an object of objects by index, each of which the margin's own model reads and judges."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.domain.errors import Usage
from agent.margin.derive_parameters import read_parameters as judged
from chains.bounded_json import loads

LONGEST = 10**6


def read_parameters(path: Path | None) -> Mapping[str, Any]:
    """Empty where no file is named. Raises Usage MARGIN_PARAMETERS naming the file, and what in it is wrong where."""
    if path is None:
        return {}
    try:
        if path.stat().st_size > LONGEST:
            raise ValueError(f"more than {LONGEST} bytes")
        found: Any = loads(path.read_bytes())
        if not isinstance(found, dict) or not all(isinstance(one, dict) for one in found.values()):
            raise ValueError("no object of objects by index")
        for name, one in found.items():
            judged(one, name)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise _wrong(path, f"{why}") from None
    except Usage as error:
        raise _wrong(path, error.message) from None
    return found


def _wrong(path: Path, why: str) -> Usage:
    return Usage(
        "MARGIN_PARAMETERS", f"{path}: {why}", 'an object by index, {"ETH": {"mm_perp": "0.0075", …}}'
    )
