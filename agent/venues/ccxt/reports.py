"""Reports of an account of the family: the audit over REST tells them; the exchange's socket, where it has one for us, only wakes it.

So nothing that is told hangs on what the library makes of a socket's messages: a message that is lost, doubled or misread costs the
time to the next audit, and never a fill.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from agent.domain.errors import Denied, FairleadError, Reject
from agent.domain.reports import ExecutionReport
from agent.ports import Clock
from agent.transport.executions import Executions, Told

if TYPE_CHECKING:
    from agent.venues.ccxt.library import Library
    from agent.venues.ccxt.session import Ccxt

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 20.0


class Reports(Executions):
    def __init__(self, venue: Ccxt, clock: Clock, audit_s: float) -> None:
        super().__init__(venue, venue.place, clock, audit_s)
        self._time = clock
        self.heard = 0

    def told(self, library: Library, sockets: bool) -> AsyncIterator[ExecutionReport]:
        return self.merged((lambda told: self._listen(library, told)) if sockets else None)

    async def _listen(self, library: Library, told: Told) -> None:
        """Never ends by itself: a line that breaks is taken up again, with growing pauses, and the audit goes on meanwhile."""
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                await library.subscribe()
                self.wake()
                while True:
                    await library.heard()
                    self.heard += 1
                    pause_s = FIRST_PAUSE_S
                    self.wake()
            except (Reject, Denied) as refused:
                await told.put(refused)
                return
            except FairleadError:
                await library.hang_up()
            await self._time.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
