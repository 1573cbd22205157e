"""One lane per place: signing and sending are serial inside, side by side with the others, all under one task group.

A lane is free for the next part as soon as the last one is on its chain, or at its venue; following to finality goes on
beside it. The top of a lane is the one place that may catch everything: what failed before a signature ends its part,
what failed after one leaves the part open for reconciliation, a bug halts the lane, and a halted lane takes no new work.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from agent.domain.errors import FairleadError, Halt
from agent.domain.events import Observed, Reported, Submitted
from agent.domain.ids import ClOrdId
from agent.domain.instruments import Place
from agent.domain.order_state import ExecType
from agent.domain.orders import Part
from agent.domain.submission_state import Observation

Begin = Callable[[], Coroutine[Any, Any, object]]
Stopped = Callable[[Part, FairleadError], Awaitable[None]]

NONCE_DECIDED = frozenset(
    {
        Observation.INCLUDED,
        Observation.REVERTED,
        Observation.EXPIRED,
        Observation.CANCEL_MINED,
        Observation.REFUSED,
    }
)

_FREEING = frozenset({Observed, Submitted, Reported})


class Lanes:
    def __init__(self, stopped: Stopped) -> None:
        self._locks: dict[Place, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._holding: dict[ClOrdId, asyncio.Lock] = {}
        self._stopped = stopped
        self.halted: dict[Place, str] = {}

    async def run(self, work: Mapping[Part, Begin]) -> None:
        """Runs each part in its place's lane and returns when all of them have ended."""
        if len(work) == 1:  # nothing to run beside it: no task of its own
            ((part, begin),) = work.items()
            return await self.enter(part, begin)
        async with asyncio.TaskGroup() as group:
            for part, begin in work.items():
                group.create_task(self.enter(part, begin), name=f"{part.place} {part.cl_ord_id}")

    async def enter(self, part: Part, begin: Begin, *, holds: bool = True) -> None:
        """`holds` False: of a part that left before and is only followed, at an exchange for weeks maybe, so that nothing waits for it."""
        place = part.place
        if holds:
            lock = self._locks[place]
            await lock.acquire()
            self._holding[part.cl_ord_id] = lock
        try:
            if place in self.halted:
                why = f"{place} is halted: {self.halted[place]}"
                await self._stopped(part, Halt("LANE_HALTED", why, "see `fairlead doctor`"))
            else:
                await begin()
        except FairleadError as error:
            if isinstance(error, Halt):
                self.halted[place] = error.message
            await self._stopped(part, error)
        except Exception as bug:  # noqa: BLE001 - the one place that catches everything: the lane halts, others go on
            self.halted[place] = f"{type(bug).__name__}: {bug}"
            await self._stopped(part, Halt("BUG", self.halted[place], "please report it with the journal"))
        finally:
            self._free(part.cl_ord_id)

    def saw(self, event: object) -> None:
        """Watches the record: a part whose nonce is decided, or whose order is at its venue, frees its lane."""
        if type(event) not in _FREEING or not self._holding:
            return
        if isinstance(event, Observed) and event.seen in NONCE_DECIDED:
            self._free(event.cl_ord_id)
        elif isinstance(event, Submitted) and event.place.startswith("cex:"):
            self._free(event.cl_ord_id)
        elif isinstance(event, Reported) and event.report.exec_type is ExecType.REJECTED:
            self._free(event.report.cl_ord_id)

    def _free(self, part: ClOrdId) -> None:
        lock = self._holding.pop(part, None)
        if lock is not None:
            lock.release()
