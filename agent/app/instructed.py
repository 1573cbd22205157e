"""What the wallet is told to do that is no trade, on the same road as an order from its rehearsal on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from agent.domain.errors import Denied, FairleadError, Halt, Reconcile, Reject
from agent.domain.events import Authorized, Instructed, PartFailed, Refused, Settled, Simulated
from agent.domain.ids import ClOrdId
from agent.execution.desk import Desk

Authorize = Callable[[Simulated], Awaitable[Authorized | Refused]]
Ended = Settled | Refused | PartFailed


async def instructed(desk: Desk, what: str, simulated: Simulated, authorize: Authorize) -> Ended | None:
    """Instructed → Simulated → Authorized → Submitted → … → Settled, in the chain's lane. None where the lane stopped it.

    Raises Halt HALTED where the kill switch is on.
    """
    why = desk.switch.why()
    if why:
        raise Halt("HALTED", f"trading is halted: {why}", "`fairlead resume` when you are ready")
    await desk.journal.record(Instructed(simulated.part, what, desk.clock.now_ns()))
    ended: list[Ended] = []
    await desk.lanes.enter(simulated.part, partial(_carry, desk, simulated, authorize, ended))
    return ended[0] if ended else None


async def _carry(desk: Desk, simulated: Simulated, authorize: Authorize, ended: list[Ended]) -> None:
    record, record_durably = desk.journal.record, desk.journal.record_durably
    authorized = await record_durably(await authorize(await record(simulated)))
    if isinstance(authorized, Refused):
        ended.append(authorized)
        return
    await record_durably(await desk.outbox.submit(authorized))
    ended.append(await record(await desk.tracker.follow(authorized)))


def failure(ended: Ended | None, desk: Desk, name: ClOrdId) -> FairleadError | None:
    """Why it was not done, or None where it is done and final. What was signed and is open is indeterminate."""
    record = desk.book.parts.get(name)
    if isinstance(ended, Settled):
        state = record.submission.value if record is not None and record.submission is not None else "UNKNOWN"
        if state == "FINAL":
            return None
        return Reject(
            "NOT_EXECUTED", f"{name} ended {state}: it had no effect but its gas", f"`fairlead orders {name}`"
        )
    if isinstance(ended, Refused):
        return Denied(ended.rule, ended.message, ended.remedy)
    if isinstance(ended, PartFailed):
        return Reject(ended.code, ended.message)
    if record is not None and record.authorized is not None:
        stopped = desk.stopped.get(name)
        why = f": {stopped.message}" if stopped is not None else ""
        return Reconcile(
            "INDETERMINATE", f"{name} was signed and is not over{why}", "`fairlead run --once` asks again"
        )
    code = record.failed if record is not None and record.failed else "NOT_DONE"
    return Reject(code, "it was stopped before anything was signed", "`fairlead doctor` tells what is wrong")
