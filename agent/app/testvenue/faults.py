"""Faults on demand (devnet only): what a network and an overloaded exchange do to a client, one by one.

HTTP (`on` is an operation such as order.place or depth.rest, or any):
    error_before · hang_before · delay · reset_before (the request is lost on its way) · limited (429) · banned (418) · maintenance (503)
    late (it takes effect after `delay_ms`, when its client has given up) · twice (a proxy delivers it twice and hands on the second answer)
    error_after · hang_after · reset_after · partial (half of the answer's JSON) · stale (the answer of the last time it was asked)
"after" means that the request took effect.
Streams (`on` is user, depth, trade or bookTicker):
    drop · duplicate · delay · reorder (it comes after the next one) · partial (half of its JSON) · silence (the socket stays open and
    answers pings) · half_open (this connection never says anything again, and stays open) · close
FIX requests (`on` is fix.logon, fix.order, fix.cancel, or fix.request for an order or a cancel):
    hang_before · reset_before · late · twice · hang_after · reset_after, as above · error_before (a Reject with `code`) · error_after (the
    Reject first, then what became of it) · maintenance (a Logout, and the request is lost) · checksum · partial (of its answer)
    A log-on knows hang_before, reset_before and error_before.
FIX messages to a client (`on` is fix; not heartbeats):
    drop (its number is used) · gap (a number is left out) · duplicate (the same number twice) · again (under a new number) · checksum (a
    wrong one) · partial (half of it, then the connection ends) · half_open · close (after it)
The clock (`on` is clock): jump, by `delay_ms`, which may be below zero.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

BEFORE = frozenset(
    {"error_before", "hang_before", "delay", "late", "reset_before", "limited", "banned", "maintenance"}
)
HTTP_KINDS = BEFORE | {"error_after", "hang_after", "reset_after", "partial", "stale", "twice"}
STREAM_KINDS = frozenset(
    {"drop", "duplicate", "delay", "reorder", "partial", "silence", "half_open", "close"}
)
FIX_REQUESTS = frozenset({"fix.logon", "fix.order", "fix.cancel", "fix.request"})
FIX_REQUEST_KINDS = frozenset(
    {
        "hang_before",
        "reset_before",
        "late",
        "twice",
        "hang_after",
        "reset_after",
        "error_before",
        "error_after",
        "maintenance",
        "checksum",
        "partial",
    }
)
FIX_KINDS = frozenset({"drop", "gap", "duplicate", "again", "checksum", "partial", "half_open", "close"})
STREAMS = frozenset({"user", "depth", "trade", "bookTicker"})
_KINDS = (
    dict.fromkeys(STREAMS, STREAM_KINDS) | dict.fromkeys(FIX_REQUESTS, FIX_REQUEST_KINDS) | {"fix": FIX_KINDS}
)


@dataclass(slots=True)
class Fault:
    """`count` is how often it strikes, None until it is cleared; `skip` lets that many pass first."""

    on: str
    kind: str
    count: int | None = 1
    skip: int = 0
    delay_ms: int = 0
    status: int = 504
    code: int = -1007
    msg: str = (
        "Timeout waiting for response from backend server. Send status unknown; execution status unknown."
    )
    struck: int = 0


class Faults:
    def __init__(self) -> None:
        self.active: list[Fault] = []
        self.clock_ms = 0
        self.struck: Counter[str] = Counter()

    def add(self, data: dict[str, Any]) -> Fault:
        """Raises ValueError for an unknown field or a kind that does not belong."""
        unknown = set(data) - {"on", "kind", "count", "skip", "delay_ms", "status", "code", "msg"}
        if unknown or "on" not in data or "kind" not in data:
            raise ValueError(
                f"a fault has on, kind, count, skip, delay_ms, status, code, msg; not {sorted(unknown)}"
            )
        fault = Fault(**data)
        if fault.on == "clock" and fault.kind == "jump":
            self.clock_ms += fault.delay_ms
            self.struck["clock jump"] += 1
            return fault
        kinds = _KINDS.get(fault.on, HTTP_KINDS)
        if fault.kind not in kinds:
            raise ValueError(f"'{fault.kind}' cannot befall '{fault.on}'; one of {sorted(kinds)} can")
        self.active.append(fault)
        return fault

    def take(self, on: str) -> Fault | None:
        """The fault that strikes now, if any; it is used up by one."""
        for fault in self.active:
            if fault.on != on and not (fault.on == "any" and on not in _KINDS):
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            if fault.count is None or fault.struck < fault.count:
                fault.struck += 1
                self.struck[f"{on} {fault.kind}"] += 1
                return fault
        return None

    def clear(self) -> None:
        self.active.clear()
