"""Waits until the whole remainder can be done at the limit or better, all costs included, then does it at once.

What a first attempt left is waited for likewise, unless no place takes an order so small."""

from __future__ import annotations

from agent.algos.step import Algorithm, Progress, Step, rest_left, slice_of
from agent.domain.orders import ParentOrder, Side

MAX_FAILED = 10
LOOK_EVERY_NS = 500_000_000


def step(parent: ParentOrder, progress: Progress, now_ns: int) -> Step:
    if progress.working > 0 or (progress.leaves <= progress.lot and progress.unsettled):
        return Step(wake_ns=now_ns + LOOK_EVERY_NS)
    if progress.leaves <= progress.lot:
        return Step(done="FILLED")
    if ended := rest_left(parent, progress):
        return Step(done=ended)
    if now_ns >= parent.intent.expire_ns:
        return Step(done="EXPIRED")
    if progress.failed >= MAX_FAILED:
        return Step(done="FAILED")
    limit, px = parent.intent.limit_px, progress.px_now
    reached = px is not None and (limit is None or (px >= limit if parent.side is Side.SELL else px <= limit))
    if not reached:
        return Step(wake_ns=min(now_ns + LOOK_EVERY_NS, parent.intent.expire_ns))
    return Step(children=(slice_of(parent, progress.children, progress.leaves, parent.intent.expire_ns),))


def check(parameters: dict[str, str]) -> None:
    return None


ALGO = Algorithm("limit", "all at once, when the net price reaches --limit", (), step, check, wants_px=True)
