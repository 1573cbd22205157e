"""How much may still be asked of a server in this minute, or whatever else it counts by: our own count, corrected by the server's."""

from __future__ import annotations

from agent.domain.errors import Retry
from agent.ports import Clock

MINUTE_NS = 60 * 10**9
WAIT_AT_MOST_S = 5.0


class Throttle:
    """A budget of `limit` weight for each minute of the server's clock, or each `window_ns`; a tenth of it is kept for writes. Whoever speaks
    to that server spends of the same.

    A server that says 429 or 418 with Retry-After is not spoken to before that time.
    """

    def __init__(self, clock: Clock, limit: int, window_ns: int = MINUTE_NS) -> None:
        self._clock, self.limit, self._window_ns = clock, limit, window_ns
        self._window, self.used = 0, 0
        self._closed_until_ns = 0

    def _roll(self) -> int:
        now = self._clock.now_ns()
        if now // self._window_ns != self._window:
            self._window, self.used = now // self._window_ns, 0
        return now

    async def spend(self, weight: int, *, write: bool) -> None:
        """Takes `weight` from the budget, waiting a little for the next window where that helps; what was taken before (0) waits for none.

        Raises Retry THROTTLED where the wait would be longer than 5 s: nothing was sent.
        """
        while True:
            now = self._roll()
            until = self._closed_until_ns
            if now >= until:
                budget = self.limit if write else self.limit * 9 // 10
                if not weight or self.used + weight <= budget:
                    self.used += weight
                    return
                until = (self._window + 1) * self._window_ns
            wait_s = (until - now) / 1e9
            if wait_s > WAIT_AT_MOST_S:
                raise Retry(
                    "THROTTLED",
                    "the venue's request limit is reached",
                    f"wait {int(wait_s) + 1} s and try again",
                )
            await self._clock.sleep(wait_s)

    def told(self, used: int) -> None:
        """The server's own count for this window: what others of the same address or key used is in it."""
        self._roll()
        self.used = max(self.used, used)

    def closed_for(self, seconds: float) -> None:
        """The server said 429 or 418: nothing is sent before this time has passed."""
        self._closed_until_ns = max(self._closed_until_ns, self._clock.now_ns() + int(seconds * 1e9))
