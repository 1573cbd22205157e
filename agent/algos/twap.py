"""Equal slices at equal times. What a slice failed to do is spread over those that are left; the last one takes the rest."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal, localcontext

from agent.algos.step import Algorithm, Progress, Step, rest_left, slice_of
from agent.domain.errors import Usage
from agent.domain.orders import ParentOrder
from agent.domain.units import WIDE

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
LONGEST_S = 3_653 * 86_400


def seconds_of(text: str, what: str) -> int:
    """`90s`, `10m`, `4h`, `1d`, ten years at most. Raises Usage BAD_DURATION."""
    count = text[:-1]
    if text[-1:] in UNITS and len(count) <= 10 and count.isdecimal() and int(count) > 0:
        seconds = int(count) * UNITS[text[-1]]
        if seconds <= LONGEST_S:
            return seconds
        raise Usage("BAD_DURATION", f"{what} '{text}' is longer than ten years", "write it like 90s, 10m, 4h or 1d")  # fmt: skip
    raise Usage("BAD_DURATION", f"{what} '{text[:40]}' is no duration", "write it like 90s, 10m, 4h or 1d")


def check(parameters: dict[str, str]) -> None:
    seconds_of(parameters.get("over", ""), "--over")
    slices = parameters.get("slices", "")
    if not slices.isdecimal() or len(slices) > 5 or not 1 <= int(slices) <= 10_000:
        raise Usage(
            "BAD_SLICES", f"--slices '{slices}' is not between 1 and 10000", "write it like --slices 5"
        )


def step(parent: ParentOrder, progress: Progress, now_ns: int) -> Step:
    parameters = dict(parent.intent.algo_params)
    slices = int(parameters["slices"])
    gap_ns = seconds_of(parameters["over"], "--over") * 10**9 // slices
    busy = progress.working > 0 or progress.unsettled > 0
    if progress.leaves <= progress.lot and not busy:
        return Step(done="FILLED")
    due = progress.accepted_ns + progress.children * gap_ns
    if progress.children >= slices or now_ns >= parent.intent.expire_ns or progress.leaves <= progress.lot:
        return (
            Step(wake_ns=now_ns + 250_000_000)
            if busy
            else Step(done=rest_left(parent, progress) or "EXPIRED")
        )
    if now_ns < due:
        return Step(wake_ns=due)
    left = slices - progress.children
    with localcontext(WIDE):
        share = progress.leaves / left
        qty = (
            progress.leaves
            if left == 1
            else max((share / progress.lot).to_integral_value(ROUND_FLOOR), Decimal(1)) * progress.lot
        )
    return Step(
        children=(
            slice_of(
                parent, progress.children, qty, min(due + 2 * gap_ns + 60 * 10**9, parent.intent.expire_ns)
            ),
        )
    )


ALGO = Algorithm(
    "twap",
    "equal slices at equal times",
    (("over", "how long, like 10m"), ("slices", "how many")),
    step,
    check,
)
