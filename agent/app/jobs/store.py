"""Where added jobs stand, which are stopped, and who runs which fire: one interface, so that several daemons can share it.

A fire goes CLAIMED (somebody prices it, for as long as its lease lasts) → BEGUN (its order is about to be recorded; nobody else ever runs
it) → DONE. A lease that lapsed before BEGUN may be claimed by another daemon; what was BEGUN is run by nobody else, whatever became of
whoever began it: a fire that was lost is said, one that was done twice costs money.

A budget goes with it: what an order may come to is reserved in the transaction that begins its fire, and is counted by every daemon until
its owner, who alone has the journal to tell it by, settles it to what the order came to. Nothing reserved lapses by time: an order whose
daemon is gone may still be filled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

CLAIMED, BEGUN, DONE = "CLAIMED", "BEGUN", "DONE"
ALL = "*"
KEPT = 2_000


@dataclass(frozen=True, slots=True)
class StoredJob:
    """`table` is "jobs" or "hedges", `body` the table's keys as JSON."""

    name: str
    table: str
    body: str
    added_ns: int


@dataclass(frozen=True, slots=True)
class Lease:
    """`at_ns` is when the fire was due, `until_ns` when the lease lapses."""

    job: str
    key: str
    at_ns: int
    owner: str
    until_ns: int
    state: str


@dataclass(frozen=True, slots=True)
class Reserved:
    """What one order takes of a budget, in USD: while it is `open` what it may come to, then what it came to. Open ones count however old
    they are, others where `at_ns` is recent."""

    budget: str
    owner: str
    name: str
    at_ns: int
    usd: Decimal
    open: bool = True

    def counts(self, since_ns: int) -> bool:
        return self.open or self.at_ns >= since_ns


@dataclass(frozen=True, slots=True)
class Held:
    """A fire whose lease somebody holds now, to be begun."""

    job: str
    key: str
    now_ns: int


@dataclass(frozen=True, slots=True)
class Room:
    """Whether it was reserved. `counted_usd` is what stood against the budget besides, `open_usd` how much of that other owners have open."""

    granted: bool
    counted_usd: Decimal
    open_usd: Mapping[str, Decimal]


class JobStore(Protocol):
    """Every method is one transaction, seen by all daemons at once. Raises Retry JOBS_STORE where the store does not answer."""

    def add(self, job: StoredJob) -> bool:
        """False where one of that name is there already."""
        ...

    def remove(self, name: str) -> bool:
        """False where there is none. Its fires stay: one of the same name added later runs none of them again."""
        ...

    def jobs(self) -> tuple[StoredJob, ...]: ...

    def stop(self, name: str, why: str) -> None:
        """`name` may be ALL. Holds for jobs of the settings as well."""
        ...

    def start(self, name: str) -> bool:
        """False where it was not stopped."""
        ...

    def stopped(self) -> dict[str, str]:
        """Why, by name."""
        ...

    def claim(
        self,
        job: str,
        key: str,
        at_ns: int,
        owner: str,
        now_ns: int,
        until_ns: int,
        spacing_ns: int = 0,
        resume: bool = False,
    ) -> bool:
        """Whether `owner` runs this fire. Not where another does or did, nor where another fire of the job stands less than `spacing_ns`
        before. With `resume` what `owner` itself had BEGUN is given back to it: whoever asks so knows by its journal what was done.
        """
        ...

    def begin(self, job: str, key: str, owner: str, now_ns: int) -> bool:
        """False where the lease is no longer the owner's: nothing may be done then."""
        ...

    def finish(self, job: str, key: str, owner: str) -> None:
        """Over. Of what is DONE all but the job's newest KEPT fires may be forgotten: nobody asks for one so old."""
        ...

    def leases(self, job: str, limit: int = 20) -> tuple[Lease, ...]:
        """The newest first."""
        ...

    def reserve(
        self, wanted: Reserved, limit_usd: Decimal, since_ns: int, fire: Held | None = None
    ) -> Room | None:
        """Reserves where what counts since then leaves room for it, and begins the fire with it. Asked again of one that is open, it stands
        as asked last. None, and nothing done, where the fire's lease is no longer the owner's or that order is settled already."""
        ...

    def settle(self, budget: str, owner: str, name: str, usd: Decimal, at_ns: int | None = None) -> bool:
        """What an open one came to; zero where it never left. False where it is not open. It is of the time it was reserved for, unless another is said."""
        ...

    def reserved(self, budget: str | None = None) -> tuple[Reserved, ...]:
        """Of one budget or of all, the oldest first, what is forgotten left out."""
        ...
