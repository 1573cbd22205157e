"""The exchange's own dead man's switch, held while orders of ours work there: should this process end, it ends them by itself.

It is taken up when an order is about to leave, renewed at a third of its time, and let go once nothing of ours is open there or this
process ends in order. What an exchange ends by it are all orders of the account, whoever sent them.
"""

from __future__ import annotations

import asyncio
from typing import Protocol, runtime_checkable

from agent.domain.errors import FairleadError, Halt, Reconcile, Retry
from agent.domain.events import Alarmed, Authorized
from agent.domain.instruments import Place
from agent.execution.recorder import Recorder
from agent.ports import Clock
from agent.transport.executions import until_woken

GOODBYE_S = 2.0
PASSING = frozenset({"REQUEST_EXPIRED"})
"""Refusals of one request, which say nothing of the switch."""


@runtime_checkable
class Switched(Protocol):
    """A venue that has one. `schedules_cancel`: whether this account's exchange does."""

    @property
    def name(self) -> str: ...

    @property
    def schedules_cancel(self) -> bool: ...

    async def schedule_cancel(self, seconds: float | None) -> None: ...


class DeadMan:
    """Of one venue; `run` is its task, `saw` a watcher of the journal's."""

    def __init__(self, venue: Switched, seconds: float, clock: Clock, recorder: Recorder) -> None:
        self._venue, self._seconds, self._clock, self._recorder = venue, seconds, clock, recorder
        self._place = Place(f"cex:{venue.name}")
        self._wake = asyncio.Event()
        self.held = False

    def saw(self, event: object) -> None:
        if isinstance(event, Authorized) and event.part.place == self._place:
            self._wake.set()

    def works(self) -> bool:
        """Whether anything of ours is open there, or about to be."""
        return any(
            part.part.place == self._place and part.authorized is not None
            for part in self._recorder.book.open_parts()
        )

    async def run(self) -> None:
        """Ends by itself only where the exchange refuses the switch from the first, which is an alarm; else with its task. One that was
        taken up is tried again whatever is said later."""
        taken = told = False
        try:
            while True:
                self._wake.clear()
                try:
                    if self.works():
                        self.held = True  # also where no answer comes: it has to be let go then
                        await self._venue.schedule_cancel(self._seconds)
                        taken, told = True, False
                    elif self.held:
                        await self._venue.schedule_cancel(None)
                        self.held = False
                except FairleadError as error:
                    if not (taken or isinstance(error, Retry | Reconcile) or error.code in PASSING):
                        self.held = False
                        await self._alarm(
                            f"it has no switch for us: {error.message}; orders there outlive this process"
                        )
                        return
                    if not told:
                        await self._alarm(
                            f"the switch was not renewed and ends orders there in time: {error.message}"
                        )
                    told = True
                await until_woken(self._wake, self._clock, self._seconds / 3)
        finally:
            await self._goodbye()

    async def _goodbye(self) -> None:
        """An end in order leaves open orders as they are, as the journal says; where that cannot be said the exchange ends them."""
        if not self.held:
            return
        try:
            async with asyncio.timeout(GOODBYE_S):
                await self._venue.schedule_cancel(None)
                self.held = False
        except (FairleadError, TimeoutError):
            return

    async def _alarm(self, text: str) -> None:
        try:
            await self._recorder.record(
                Alarmed("NO_DEAD_MAN", f"{self._venue.name}: {text}", self._clock.now_ns())
            )
        except Halt:
            return  # the journal's own failure is told where it failed


def dead_men(
    venues: dict[str, object], seconds: dict[str, int], clock: Clock, recorder: Recorder
) -> list[DeadMan]:
    """One for each venue that has a switch and whose settings do not say 0."""
    found = [
        DeadMan(venue, seconds[name], clock, recorder)
        for name, venue in venues.items()
        if isinstance(venue, Switched) and venue.schedules_cancel and seconds.get(name, 0)
    ]
    recorder.watchers.extend(one.saw for one in found)
    return found
