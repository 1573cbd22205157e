"""What a server says of its own limits, as data: see `agent.transport.http` for who listens."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LimitHeaders:
    """Where a server tells its limits, by header. `used`: of the throttle's window, counted in `of` (0: as the throttle counts);
    `orders`: of the orders' own window; `left`: requests that may still be made, until `reset`, in milliseconds of Unix time, or from now
    on where `from_now`. `resets`: where a request was turned away `reset` says for how long, for its Retry-After is no number of seconds."""

    used: str = ""
    of: int = 0
    orders: str = ""
    left: str = ""
    reset: str = ""
    from_now: bool = False
    resets: bool = False
