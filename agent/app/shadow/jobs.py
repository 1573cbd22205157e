"""The live daemon's jobs as a shadow runs them: it reads which there are and which are stopped, and keeps its own leases."""

from __future__ import annotations

from agent.app.jobs.known import all_jobs
from agent.app.jobs.sqlite_store import SqliteStore
from agent.app.jobs.store import JobStore
from agent.app.settings_jobs import Timing
from agent.app.settings_tree import Settings


class ShadowStore(SqliteStore):
    """Of the shadow's own file; `live` is only read."""

    def __init__(self, own: SqliteStore, live: JobStore) -> None:
        super().__init__(own.path)
        self._live = live

    def known(self, settings: Settings, store: JobStore) -> tuple[Timing, ...]:
        """Every job of the daemon's; one that is a shadow there is carried here as if it acted."""
        return tuple(job.model_copy(update={"shadow": False}) for job in all_jobs(settings, self._live))

    def stopped(self) -> dict[str, str]:
        return self._live.stopped()
