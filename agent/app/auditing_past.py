"""What stands on chain beside a scope, looked for in the logs of the Gate and its modifier.

The logs are read once and then only what is new of them, so that a run which audits every minute asks for little.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.app.scoping import Granted
from agent.app.watching.log_search import logs_within
from agent.app.watching.words import age
from agent.domain.errors import FairleadError
from chains.gateway import Gateway
from chains.types import Log
from contracts.codec import selector
from keys.scope import Scope
from keys.scope_past import QUEUE_LIFE_S, Past, extras, powers, waiting

PAUSE_S = 3_600
AGAIN = 128
"""So many of the newest blocks are read again: a reorganisation changes what was logged in them."""


@dataclass
class Logged:
    """What of a Gate's and its modifier's logs was read so far: kept by whoever audits more than once. `since`: the first block.

    `why` says why the last reading failed, and `again_s` from when on, in seconds of the chain's clock, there is another: an endpoint that
    refuses so many blocks does so every minute.
    """

    since: int = 0
    read: list[Log] = field(default_factory=list)
    upto: int = -1
    why: str = ""
    again_s: int = 0


@dataclass(frozen=True, slots=True)
class Beside:
    """`drift`: powers that the settings do not say. `waits`: widenings in the Gate's queue. `unread`: why the logs were not read, or ''."""

    drift: tuple[str, ...] = ()
    waits: tuple[str, ...] = ()
    unread: str = ""


async def beside(gateway: Gateway, scope: Scope, has: Granted, logged: Logged, most: int = 40) -> Beside:
    """`most`: requests for logs. Raises Retry where the chain does not answer."""
    if has.none_yet:
        return Beside()
    head = has.block.number
    if has.block.timestamp >= logged.again_s:
        await _read(gateway, has, logged, most)
    past = Past.of(logged.read, has.gate, has.roles)
    beyond = [Past.of(logged.read, payer.contract, payer.roles) for payer in has.payers]
    wanted = [x for one in (past, *beyond) for x in extras(one, scope)]
    queued = waiting(past)
    calls = [x.call for x in wanted] + [c for _, *both in queued for c in both]
    _, told = await gateway.multicall(calls, head) if calls else (None, [])
    drift = [x.sentence for x, answer in zip(wanted, told, strict=False) if answer.ok and any(answer.data)]
    waits = []
    for i, (one, _, _) in enumerate(queued):
        ready, named = (told[len(wanted) + 2 * i + k].data for k in (0, 1))
        at = int.from_bytes(ready, "big")
        left = at + QUEUE_LIFE_S - has.block.timestamp
        if at and named == one.id and left >= 0:
            when = "NOW" if at <= has.block.timestamp else f"in {age(at - has.block.timestamp)}"
            waits.append(
                f"{one.words} waits in the Gate's queue: any owner can run it {when}, and cancel(0x{one.id.hex()})"
            )
    found = [*drift, *powers(past, scope)]
    for payer, one_past in zip(has.payers, beyond, strict=True):
        found += powers(one_past, scope, frozenset({selector("payments", "pay")}))
        if payer.opens_at > has.block.timestamp:
            waits.append(
                f"{payer.interface.replace('_', ' ')} into loans open in {age(payer.opens_at - has.block.timestamp)}: any one owner can close them"
            )
    return Beside(tuple(found), tuple(waits), logged.why)


async def _read(gateway: Gateway, has: Granted, logged: Logged, most: int) -> None:
    """What is new. Where that fails, what was read before is judged on: a finding does not go away because an endpoint is silent."""
    budget, first, head = [most], max(logged.since, logged.upto - AGAIN + 1), has.block.number
    try:
        both = [has.gate, has.roles, *(payer.roles for payer in has.payers)]
        found = await logs_within(gateway, both, [], first, head, budget)
    except FairleadError as error:
        if error.verb == "HALT":
            raise
        logged.why = error.message
        logged.again_s = has.block.timestamp + (PAUSE_S if error.verb == "REJECT" else 0)
        return
    kept = [log for log in logged.read if log.block_number < first]
    logged.read = [*kept, *sorted(found, key=lambda x: (x.block_number, x.log_index))]
    logged.upto, logged.why, logged.again_s = head, "", 0
