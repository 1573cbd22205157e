"""Faults on demand (devnet only): what a network and an overloaded exchange do to a client, one by one.

HTTP (`on` is an operation such as order.place or depth.rest, or any): error_before · hang_before · delay · error_after · hang_after ·
reset_after; "after" means that the request took effect. Streams (`on` is user, depth, trade or bookTicker): drop ·
duplicate · delay · silence (the socket stays open and answers pings) · close.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

HTTP_KINDS = frozenset({"error_before", "hang_before", "delay", "error_after", "hang_after", "reset_after"})
STREAM_KINDS = frozenset({"drop", "duplicate", "delay", "silence", "close"})
STREAMS = frozenset({"user", "depth", "trade", "bookTicker"})


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

    def add(self, data: dict[str, Any]) -> Fault:
        """Raises ValueError for an unknown field or a kind that does not belong."""
        unknown = set(data) - {"on", "kind", "count", "skip", "delay_ms", "status", "code", "msg"}
        if unknown or "on" not in data or "kind" not in data:
            raise ValueError(
                f"a fault has on, kind, count, skip, delay_ms, status, code, msg; not {sorted(unknown)}"
            )
        fault = Fault(**data)
        kinds = STREAM_KINDS if fault.on in STREAMS else HTTP_KINDS
        if fault.kind not in kinds:
            raise ValueError(f"'{fault.kind}' cannot befall '{fault.on}'; one of {sorted(kinds)} can")
        self.active.append(fault)
        return fault

    def take(self, on: str) -> Fault | None:
        """The fault that strikes now, if any; it is used up by one."""
        for fault in self.active:
            if fault.on != on and not (fault.on == "any" and on not in STREAMS):
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            if fault.count is None or fault.struck < fault.count:
                fault.struck += 1
                return fault
        return None

    def clear(self) -> None:
        self.active.clear()
