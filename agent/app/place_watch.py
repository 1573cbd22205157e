"""A place that did not answer when the process began: it is asked again, compared first, and opened where nothing else locks it.

Then what was sent there before is followed on, and its orders are taken up again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from agent.app.local_proof import prove_environment
from agent.app.places import place_named
from agent.app.start_check import locks_of, look, tell
from agent.domain.errors import Denied, FairleadError
from agent.domain.events import Reconciled
from agent.domain.instruments import Place, venue_of
from agent.execution.locks import NOT_COMPARED, Lock

if TYPE_CHECKING:
    from agent.app.carrier import Carrier
    from agent.app.wiring import App
    from agent.execution.desk import Desk

FIRST_S, LONGEST_S = 5.0, 60.0


class PlaceWatch:
    """Runs for as long as the daemon does."""

    def __init__(self, app: App, desk: Desk, carrier: Carrier, say: Callable[[str], None]) -> None:
        self._app, self._desk, self._carrier, self._say = app, desk, carrier, say

    async def run(self) -> None:
        pause_s = FIRST_S
        while True:
            await self._desk.clock.sleep(pause_s)
            pause_s = min(pause_s * 2, LONGEST_S)
            for lock in self._app.locks:
                if lock.opens_itself:
                    await self.ask(lock.place)

    async def ask(self, place: Place) -> bool:
        """Once; whether it is open now. Raises Halt alone."""
        try:
            await self._reach(place)
            return await self._compared(place)
        except Denied as no:  # it answers, and is not what the settings say
            await self._shut(Lock(place, no.code, no.message, no.hint))
        except FairleadError as error:
            if error.verb == "HALT":
                raise
        return False

    async def _reach(self, place: Place) -> None:
        """Raises as `start`, and Denied as `prove_environment`."""
        from agent.app.wiring import connect_venue

        app, name = self._app, venue_of(place)
        if name is None or name in app.venues:
            return
        configured = app.settings.venue(name)
        assert configured is not None
        venue = connect_venue(configured, app.clock, app.signer)
        try:
            await venue.start()
            await prove_environment(app.settings, {name}, app.session)
        except FairleadError as error:
            app.unreachable[name] = str(error)
            await venue.close()
            raise
        app.closing.push_async_callback(venue.close)
        app.venues[name] = venue
        app.unreachable.pop(name, None)
        app.listen(venue)

    async def _compared(self, place: Place) -> bool:
        compared = await look(self._app, self._desk, [place])
        found = locks_of(compared.differences)
        if not found:
            await self._open(place)
            return True
        if found[0].code != NOT_COMPARED:
            await self._shut(found[0])
        return False

    async def _shut(self, lock: Lock) -> None:
        self._app.locks.shut(lock)
        await tell(self._app, self._desk, lock)

    async def _open(self, place: Place) -> None:
        app, desk = self._app, self._desk
        app.locks.open(place)
        await desk.journal.record(Reconciled(place, (), desk.clock.now_ns()))
        self._say(f"{place_named(app.settings, place)} answers, was compared with the books, and is open")
        book = desk.book
        self._carrier.take_again([n for n in desk.stopped if book.parts[n].part.place == place])
        await app.adopt_balances()


__all__ = ["PlaceWatch"]
