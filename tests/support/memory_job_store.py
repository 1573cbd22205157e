"""A job store in memory: small enough to be read in full, for tests and as the reference of what a store does."""

from __future__ import annotations

import threading
from dataclasses import replace

from agent.app.jobs.store import BEGUN, CLAIMED, DONE, Lease, StoredJob


class MemoryJobStore:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: dict[str, StoredJob] = {}
        self._stopped: dict[str, str] = {}
        self._fires: dict[tuple[str, str], Lease] = {}

    def add(self, job: StoredJob) -> bool:
        with self._lock:
            return self._jobs.setdefault(job.name, job) is job

    def remove(self, name: str) -> bool:
        with self._lock:
            return self._jobs.pop(name, None) is not None

    def jobs(self) -> tuple[StoredJob, ...]:
        return tuple(self._jobs[name] for name in sorted(self._jobs))

    def stop(self, name: str, why: str) -> None:
        self._stopped[name] = why

    def start(self, name: str) -> bool:
        return self._stopped.pop(name, None) is not None

    def stopped(self) -> dict[str, str]:
        return dict(self._stopped)

    def claim(
        self, job: str, key: str, at_ns: int, owner: str, now_ns: int, until_ns: int, spacing_ns: int = 0,
        resume: bool = False,
    ) -> bool:  # fmt: skip
        with self._lock:
            held = self._fires.get((job, key))
            if held is not None and held.state == BEGUN:
                return held.owner == owner and resume
            if held is not None and (held.state == DONE or (held.owner != owner and held.until_ns > now_ns)):
                return False
            for other in self._fires.values() if spacing_ns else ():
                near = other.job == job and other.key != key and other.at_ns > at_ns - spacing_ns
                if near and (other.state != CLAIMED or other.until_ns > now_ns):
                    return False
            self._fires[job, key] = Lease(job, key, at_ns, owner, until_ns, CLAIMED)
            return True

    def begin(self, job: str, key: str, owner: str, now_ns: int) -> bool:
        with self._lock:
            held = self._fires.get((job, key))
            if held is None or held.owner != owner:
                return False
            if held.state != BEGUN and (held.state == DONE or held.until_ns <= now_ns):
                return False
            self._fires[job, key] = replace(held, state=BEGUN)
            return True

    def finish(self, job: str, key: str, owner: str) -> None:
        with self._lock:
            held = self._fires.get((job, key))
            if held is not None and held.owner == owner:
                self._fires[job, key] = replace(held, state=DONE)

    def leases(self, job: str, limit: int = 20) -> tuple[Lease, ...]:
        mine = [one for one in self._fires.values() if one.job == job]
        return tuple(sorted(mine, key=lambda one: (one.at_ns, one.key), reverse=True)[:limit])
