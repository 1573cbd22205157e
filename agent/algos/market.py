"""Everything at once; what a place failed to do is planned again, a few times, and then left; so is a rest too small to be ordered."""

from __future__ import annotations

from agent.algos.step import Algorithm, Progress, Step, rest_left, slice_of
from agent.domain.orders import ParentOrder

MAX_FAILED = 3


def step(parent: ParentOrder, progress: Progress, now_ns: int) -> Step:
    if progress.working > 0 or (progress.leaves <= progress.lot and progress.unsettled):
        return Step(wake_ns=now_ns + 250_000_000)
    if progress.leaves <= progress.lot:
        return Step(done="FILLED")
    if progress.too_small and progress.unsettled:
        return Step(wake_ns=now_ns + 250_000_000)
    if progress.too_small:
        return Step(done=rest_left(parent, progress) or "FAILED")
    if now_ns >= parent.intent.expire_ns:
        return Step(done="EXPIRED")
    if progress.denied or progress.failed >= MAX_FAILED:
        return Step(done="FAILED")
    return Step(children=(slice_of(parent, progress.children, progress.leaves, parent.intent.expire_ns),))


def check(parameters: dict[str, str]) -> None:
    return None


ALGO = Algorithm("market", "everything at once, over every place", (), step, check)
