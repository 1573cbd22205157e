"""The digest over an answer: whatever is changed in it afterwards shows, even where the proof would still hold."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

_SEALED = ("sell", "buy", "in_raw", "out_raw", "net_out_raw", "costs", "legs", "places")
_BESIDE = ("arbitrage", "seconds")
"""What only some answers have."""


def seal_of(route: Mapping[str, Any]) -> str:
    """sha256 of the canonical JSON (keys sorted, no spaces) of a route's figures, legs, places and certificate, the seal left out."""
    certificate = {key: value for key, value in route["certificate"].items() if key != "seal"}
    told = {key: route.get(key) for key in _SEALED} | {"certificate": certificate}
    told |= {key: route[key] for key in _BESIDE if route.get(key) is not None}
    text = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def gap_bps(bound_raw: int, net_out_raw: int) -> float | None:
    """1e4 * (bound - net) / bound, None where nothing is netted."""
    if net_out_raw <= 0 or bound_raw <= 0:
        return None
    return (bound_raw - net_out_raw) * 10_000 / bound_raw
