"""Until when a wallet's batch may still execute. Pure."""

from __future__ import annotations


def until_s(head_s: int, now_ns: int, most_s: int, lasts_s: int | None = None) -> int:
    """The deadline in a batch's calldata, by the chain's clock: `lasts_s` seconds from the block that it could be in at the soonest, though no
    later than `most_s` after the head, whose time is `head_s`."""
    if lasts_s is None:
        return head_s + most_s
    return min(head_s + most_s, max(head_s + 1, now_ns // 10**9) - 1 + lasts_s)
