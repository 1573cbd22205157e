"""A job store in memory: small enough to be read in full, for tests and as the reference of what a store does."""

from __future__ import annotations

import threading
from dataclasses import replace
from decimal import Decimal

from agent.app.jobs.store import BEGUN, CLAIMED, DONE, Held, Lease, Reserved, Room, StoredJob


class MemoryJobStore:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._jobs: dict[str, StoredJob] = {}
        self._stopped: dict[str, str] = {}
        self._fires: dict[tuple[str, str], Lease] = {}
        self._reserved: dict[tuple[str, str, str], Reserved] = {}

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
                near = other.job == job and other.key != key and abs(other.at_ns - at_ns) < spacing_ns
                if near and (other.state != CLAIMED or other.until_ns > now_ns):
                    return False
            self._fires[job, key] = Lease(job, key, at_ns, owner, until_ns, CLAIMED)
            return True

    def begin(self, job: str, key: str, owner: str, now_ns: int) -> bool:
        with self._lock:
            if not self._held(Held(job, key, now_ns), owner):
                return False
            self._fires[job, key] = replace(self._fires[job, key], state=BEGUN)
            return True

    def _held(self, fire: Held, owner: str) -> bool:
        held = self._fires.get((fire.job, fire.key))
        if held is None or held.owner != owner or held.state == DONE:
            return False
        return held.state == BEGUN or held.until_ns > fire.now_ns

    def finish(self, job: str, key: str, owner: str) -> None:
        with self._lock:
            held = self._fires.get((job, key))
            if held is not None and held.owner == owner:
                self._fires[job, key] = replace(held, state=DONE)

    def leases(self, job: str, limit: int = 20) -> tuple[Lease, ...]:
        mine = [one for one in self._fires.values() if one.job == job]
        return tuple(sorted(mine, key=lambda one: (one.at_ns, one.key), reverse=True)[:limit])

    def reserve(
        self, wanted: Reserved, limit_usd: Decimal, since_ns: int, fire: Held | None = None
    ) -> Room | None:
        with self._lock:
            mine = (wanted.budget, wanted.owner, wanted.name)
            known = self._reserved.get(mine)
            if (known is not None and not known.open) or (fire and not self._held(fire, wanted.owner)):
                return None
            others = [r for k, r in self._reserved.items() if k != mine and r.budget == wanted.budget]
            others = [r for r in others if r.open or r.at_ns >= since_ns]
            elsewhere = {
                o: sum((r.usd for r in others if r.open and r.owner == o), Decimal(0))
                for o in {r.owner for r in others if r.open} - {wanted.owner}
            }
            counted = sum((r.usd for r in others), Decimal(0))
            if counted + wanted.usd > limit_usd:
                return Room(False, counted, elsewhere)
            self._reserved[mine] = wanted
            if fire is not None:
                self._fires[fire.job, fire.key] = replace(self._fires[fire.job, fire.key], state=BEGUN)
            return Room(True, counted, elsewhere)

    def settle(self, budget: str, owner: str, name: str, usd: Decimal, at_ns: int | None = None) -> bool:
        with self._lock:
            known = self._reserved.get((budget, owner, name))
            if known is None or not known.open:
                return False
            when = known.at_ns if at_ns is None else at_ns
            self._reserved[budget, owner, name] = replace(known, usd=usd, open=False, at_ns=when)
            if not usd:
                del self._reserved[budget, owner, name]
            return True

    def reserved(self, budget: str | None = None) -> tuple[Reserved, ...]:
        with self._lock:
            found = [r for r in self._reserved.values() if budget in (None, r.budget)]
        return tuple(sorted(found, key=lambda r: (r.at_ns, r.owner, r.name)))
