"""One daemon opens a rule's hedge: the fire of a job that the store's lease gives to one owner, from its pricing until it is taken off.

A hedge's fires are numbered. The last that is not over is whose hedge it is; what was BEGUN is nobody else's, whatever became of whoever
began it: its contracts may stand, and only its own journal tells.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from agent.app.jobs.guard import owner_of, store_of
from agent.app.jobs.store import DONE, JobStore, Lease
from agent.app.rescue import orders
from agent.app.rescue.hedge import Rule, source_of, stands
from agent.domain.errors import Denied, Retry
from agent.domain.ids import ClOrdId
from agent.execution.desk import Desk

if TYPE_CHECKING:
    from agent.app.wiring import App

PRICED_NS = 60 * 10**9
"""A lease under which nothing was begun lapses after so long: its owner died while it asked for prices."""
LOST = "HEDGE_LEASE_LOST"


@dataclass(frozen=True, slots=True)
class HedgeLease:
    """Of one rule, for one daemon. Every method raises Retry JOBS_STORE: then nothing may be opened."""

    store: JobStore
    owner: str
    job: str

    @classmethod
    def of(cls, app: App, rule: Rule) -> HedgeLease | None:
        """None where the rule has no hedge."""
        if rule.hedge_at is None:
            return None
        return cls(store_of(app.settings), owner_of(app.settings), source_of(rule))

    def last(self) -> Lease | None:
        """The newest fire."""
        return next(iter(self.store.leases(self.job, 1)), None)

    def claim(self, now_ns: int) -> str:
        """'' where this daemon may open the hedge, or go on with its own; else whose it is."""
        last = self.last()
        number = 1 if last is None else int(last.key) + (last.state == DONE)
        # Numbers, not clocks, tell which fire is the newest: hosts' clocks differ.
        if self.store.claim(
            self.job, str(number), number, self.owner, now_ns, now_ns + PRICED_NS, resume=True
        ):
            return ""
        held = self.last()
        return held.owner if held is not None else "another daemon"

    def begin(self, now_ns: int) -> None:
        """Just before its order is recorded. Raises Denied where the lease lapsed meanwhile."""
        last = self.last()
        if last is None or not self.store.begin(self.job, last.key, self.owner, now_ns):
            raise Denied(
                LOST,
                f"{self.job}: its lease lapsed while it was priced, and another daemon may open it",
                "it is tried again",
            )

    def finish(self) -> None:
        """Nothing stands of it and nothing is under way: whoever needs one next may open it. Nothing where the last is another's."""
        last = self.last()
        if last is not None and last.owner == self.owner and last.state != DONE:
            self.store.finish(self.job, last.key, self.owner)


Begins = Callable[[ClOrdId], None]
T = TypeVar("T")


async def leased(
    lease: HedgeLease | None, desk: Desk, rule: Rule, does: Callable[[Begins], Awaitable[T]]
) -> T:
    """`does` with what it is to call before its order is recorded. Given back where nothing stands afterwards and nothing is under way. Raises
    Denied HEDGE_ELSEWHERE where another daemon has it, HEDGE_LEASE_LOST, Retry JOBS_STORE, and as `does`."""
    if lease is None:
        return await does(lambda name: None)
    if whose := lease.claim(desk.clock.now_ns()):
        raise Denied(
            "HEDGE_ELSEWHERE",
            f"{rule.name}: its hedge is {whose}'s, which opens it or has it open",
            "where that daemon is gone for good, look at the exchange, and close by hand what stands there",
        )
    try:
        return await does(lambda name: lease.begin(desk.clock.now_ns()))
    finally:
        if not stands(desk.book, rule) and orders.open_of(desk, source_of(rule)) is None:
            with suppress(Retry):  # at the next look else
                lease.finish()
