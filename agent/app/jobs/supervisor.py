"""Keeps one task a job: what is added begins, what is removed or switched off ends once its fire is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from agent.app.jobs.known import all_jobs
from agent.app.jobs.store import JobStore
from agent.app.settings_jobs import Timing
from agent.app.settings_tree import Settings
from agent.domain.errors import FairleadError
from agent.ports import Clock

if TYPE_CHECKING:
    from agent.app.scheduler import Scheduler

LOOK_S = 1.0


class Supervisor:
    def __init__(
        self,
        settings: Settings,
        store: JobStore,
        scheduler: Scheduler,
        clock: Clock,
        tell: Callable[[str], None],
        known: Callable[[Settings, JobStore], tuple[Timing, ...]] = all_jobs,
    ) -> None:
        self._known = known
        self._settings, self._store, self._scheduler = settings, store, scheduler
        self._clock, self._tell = clock, tell
        self._tasks: dict[str, tuple[Timing, asyncio.Task[None]]] = {}

    async def run(self) -> None:
        """Until cancelled; a job that ends is an error, and is raised."""
        said = ""
        try:
            while True:
                try:
                    wanted = {
                        job.name: job for job in self._known(self._settings, self._store) if job.enabled
                    }
                    said = ""
                except FairleadError as error:
                    if str(error) != said:
                        self._tell(f"jobs: {error}; those at work go on")
                    said, wanted = str(error), {name: job for name, (job, _) in self._tasks.items()}
                self._keep(wanted)
                sleeping = asyncio.ensure_future(self._clock.sleep(LOOK_S))
                await asyncio.wait(
                    {sleeping, *(task for _, task in self._tasks.values())},
                    return_when=asyncio.FIRST_COMPLETED,
                )
                sleeping.cancel()
                for _, task in self._tasks.values():
                    if task.done():
                        task.result()
        finally:
            for _, task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*(task for _, task in self._tasks.values()), return_exceptions=True)

    def _keep(self, wanted: dict[str, Timing]) -> None:
        for name, (job, task) in list(self._tasks.items()):
            if wanted.get(name) != job and name not in self._scheduler.firing:
                task.cancel()
                del self._tasks[name]
                self._tell(f"job {name} {'changed' if name in wanted else 'is gone'}")
        for name, job in wanted.items():
            if name not in self._tasks:
                self._tasks[name] = (job, asyncio.create_task(self._scheduler.run(job), name=f"job {name}"))
