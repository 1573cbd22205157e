"""Turns at an exchange that takes only growing nonces: what is signed is sent, and answered, in the order it was signed in.

Without them a call that is signed later and arrives earlier makes the exchange refuse the earlier one: an order that waits for its record
to be durable would be refused for an audit's question that overtook it.
"""

from __future__ import annotations

from agent.ports import Clock

LONGEST_NS, LOOK_S = 2 * 10**9, 0.01
"""A turn ends by itself after that, for an answer that does not come must not hold up a cancel."""


class Turns:
    """`take` before a call is signed, `over` with its number once it was answered."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._until_ns, self._number = clock, 0, 0

    async def take(self) -> int:
        while self._clock.now_ns() < self._until_ns:
            await self._clock.sleep(LOOK_S)
        self._number, self._until_ns = self._number + 1, self._clock.now_ns() + LONGEST_NS
        return self._number

    def over(self, number: int) -> None:
        if number == self._number:
            self._until_ns = 0
