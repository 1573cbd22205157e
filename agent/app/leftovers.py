"""After every settled trade on a chain: is anything still approved? A batch takes its own approvals back, so whatever is left raises an alarm.

A task beside the road, never in its way: it reads once the part is over, and what cannot be read is said and left to `doctor`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from agent.app.chain_desk import ChainDesk
from agent.app.watching.approvals import Approval, held_by
from agent.domain.errors import FairleadError
from agent.domain.events import Alarmed, Settled
from agent.domain.instruments import address_of, chain_of
from agent.execution.recorder import Recorder
from agent.ports import Clock
from chains.ending import ended
from chains.types import Address

CLOSING_S = 5.0


class Leftovers:
    """A watcher of the record: give `saw` to the recorder, run it with `async with`. The same approvals alarm once a run."""

    def __init__(
        self, desks: Mapping[int, ChainDesk], recorder: Recorder, clock: Clock, say: Callable[[str], None]
    ) -> None:
        self._desks, self._recorder, self._clock, self._say = desks, recorder, clock, say
        self._queue: asyncio.Queue[tuple[int, tuple[Address, ...]]] = asyncio.Queue()
        self._told: set[Approval] = set()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Leftovers:
        self._task = asyncio.create_task(self._run(), name="leftovers")
        return self

    async def __aexit__(self, *_: object) -> None:
        """What is queued gets a moment: a command that ends with its trade has looked."""
        assert self._task is not None
        try:
            async with asyncio.timeout(CLOSING_S):
                await self._queue.join()
        except TimeoutError:
            self._say("approvals after the last trade were not looked at: `fairlead wallet approvals`")
        await ended([self._task])

    def saw(self, event: object) -> None:
        if not isinstance(event, Settled) or (chain_id := chain_of(event.part.place)) is None:
            return
        if not event.part.legs:  # what people instructed themselves may grant on purpose, and they were told
            return
        tokens = (address_of(a) for a in (event.part.asset_in, event.part.asset_out))
        self._queue.put_nowait((chain_id, tuple(Address(t) for t in tokens if t is not None)))

    async def _run(self) -> None:
        while True:
            chain_id, tokens = await self._queue.get()
            try:
                await self._look(self._desks[chain_id], tokens)
            except FairleadError as error:
                self._say(
                    f"approvals on {self._desks[chain_id].profile.name} could not be read: {error.message}"
                )
            finally:
                self._queue.task_done()

    async def _look(self, desk: ChainDesk, tokens: tuple[Address, ...]) -> None:
        held = await held_by(desk.profile, desk.gateway, desk.wallet, tokens)
        new = [a for a in held.left if a not in self._told]
        if not new:
            return
        self._told.update(new)
        first = new[0]
        others = f" and {len(new) - 1} more" if len(new) > 1 else ""
        message = f"after a trade on {desk.profile.name} {first.spender_name} may {first.may(held.tokens[first.token])}{others}"
        await self._recorder.record(Alarmed("APPROVALS_LEFT", message, self._clock.now_ns()))
