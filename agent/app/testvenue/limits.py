"""Request weight by the minute and orders by ten seconds, counted as the response headers tell."""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.app.testvenue.spec import VenueError

BAN_AFTER = 10
"""Requests sent on after a 429 before the 418."""


class TooMany(VenueError):
    def __init__(self, http: int, retry_after_s: int, code: int, msg: str) -> None:
        super().__init__(code, msg, http)
        self.retry_after_s = retry_after_s


@dataclass(slots=True)
class Limits:
    weight_limit: int = 6_000
    order_limit: int = 100
    weight: int = 0
    _minute: int = 0
    _ignored: int = 0
    _banned_until_ms: int = 0
    _orders: dict[tuple[str, int], int] = field(default_factory=dict)

    def spend(self, weight: int, now_ms: int) -> None:
        """Raises TooMany 429 over the limit, 418 for a caller that goes on regardless."""
        if now_ms < self._banned_until_ms:
            raise self._ban(now_ms)
        minute = now_ms // 60_000
        if minute != self._minute:
            self._minute, self.weight, self._ignored = minute, 0, 0
        self.weight += weight
        if self.weight <= self.weight_limit:
            return
        self._ignored += 1
        if self._ignored > BAN_AFTER:
            self._banned_until_ms = now_ms + 120_000
            raise self._ban(now_ms)
        wait = 60 - now_ms // 1_000 % 60
        raise TooMany(
            429,
            wait,
            -1003,
            f"Too much request weight used; current limit is {self.weight_limit} request weight per 1 MINUTE. "
            "Please use WebSocket Streams for live updates to avoid polling the API.",
        )

    def _ban(self, now_ms: int) -> TooMany:
        return TooMany(
            418,
            -(-(self._banned_until_ms - now_ms) // 1_000),
            -1003,
            f"Way too much request weight used; IP banned until {self._banned_until_ms}. "
            "Please use WebSocket Streams for live updates to avoid bans.",
        )

    def order(self, account: str, now_ms: int) -> int:
        """Counts an order; how many in this window. Raises TooMany -1015."""
        window = now_ms // 10_000
        self._orders = {k: v for k, v in self._orders.items() if k[1] == window}
        count = self._orders[account, window] = self._orders.get((account, window), 0) + 1
        if count > self.order_limit:
            text = f"Too many new orders; current limit is {self.order_limit} orders per 10 SECOND."
            raise TooMany(429, 10 - now_ms // 1_000 % 10, -1015, text)
        return count
