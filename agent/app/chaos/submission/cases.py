"""One case: its faults are ordered, its desk lives and dies as its fate says, until its order is closed."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.app.chaos.deaths import Dead, Doom, first_of
from agent.app.chaos.submission.arena import Arena
from agent.app.chaos.submission.fates import Fate
from agent.app.chaos.submission.lanes import Lane, Sender
from agent.domain.errors import FairleadError, Halt
from agent.domain.events import CancelRequested
from agent.domain.ids import intent_id, parent_id
from agent.domain.orders import Intent, ParentOrder, Side
from agent.domain.units import qty_exact, raw_exact
from agent.execution.desk import Desk
from agent.execution.reconcile import resume
from agent.execution.spine import work
from agent.journal.book import Book
from chains.ending import ended
from chains.types import Fees, Hash32, Protection, UnsignedTx

LIFE_S = 240
ROOT = Path(__file__).resolve().parents[4]
DEAR = Fees(500 * 10**9, 10**9)


@dataclass
class Told:
    """What a case's own journal says at the end; `begun` is the head when it was given its order, `quiet_from` the
    block after which nothing befell it any more."""

    fate: Fate
    lane: Lane
    status: str | None = None
    fills: list[list[str]] = field(default_factory=list)
    begun: int = 0
    quiet_from: int = 0
    deaths: int = 0
    sigkills: int = 0
    stopped: str = ""
    foreign: list[Hash32] = field(default_factory=list)
    """What another program sent with the sender's key."""

    def to_json(self) -> dict[str, Any]:
        return {
            "case": self.fate.case,
            "safe": self.lane.safe,
            "sender": self.lane.sender.address,
            "builders": self.fate.builders,
            "qty_raw": str(self.fate.qty_raw),
            "begun": self.begun,
            "quiet_from": self.quiet_from,
            "tight": self.fate.tight,
            "foreign": self.foreign,
            "stopped": self.stopped,
            "status": self.status,
            "fills": self.fills,
        }


def order(lane: Lane, fate: Fate, now_ns: int) -> ParentOrder:
    intent = Intent(
        id=intent_id("devnet", lane.safe, str(fate.qty_raw), str(fate.case)),
        source="chaos",
        side=Side.SELL,
        base="ETH",
        quote="USDC",
        qty=qty_exact(fate.qty_raw, 18),
        limit_px=None,
        algo="market",
        algo_params=(),
        max_slippage_bps=fate.slippage_bps,
        protection=Protection.PRIVATE,
        created_ns=now_ns,
        expire_ns=now_ns + LIFE_S * 10**9,
    )
    return ParentOrder(parent_id(intent.id), intent)


async def live(lane: Lane, fate: Fate, found: Arena) -> Told:
    """From the order to its end, whatever befalls it. Raises what the engine lets out that is neither a death nor a halt."""
    from agent.transport.clock import SystemClock

    told, pace, admin = Told(fate, lane), found.pace, found.admin
    lane.builders = fate.builders
    parent = order(lane, fate, SystemClock().now_ns())
    await admin.call("relay_fault", [{**fault, "owner": lane.owner} for fault in fate.faults])
    pace.begin(lane.name)
    told.begun = await _head(found)
    beside = [asyncio.create_task(_clear(lane, fate, found, told))]
    beside.append(asyncio.create_task(_foreign(lane, fate, found, told)))
    try:
        for number, death in enumerate((*fate.deaths, None)):
            told.deaths += death is not None
            if death is not None and death.real:
                killed = await _real_life(lane, fate, number, found)
                told.sigkills += killed
                told.quiet_from = max(told.quiet_from, await _head(found))
                if killed:
                    continue
                told.deaths -= 1
                break
            try:
                async with lane.open(Doom(death)) as desk:
                    await one_life(desk, parent, fate)
                told.deaths -= death is not None
                break
            except* Dead:
                told.quiet_from = max(told.quiet_from, await _head(found))
            except* FairleadError as stopped:
                told.stopped = str(first_of(stopped))
    finally:
        pace.end(lane.name)
        for why in await ended(beside):
            if isinstance(why, Exception):
                raise why
    await admin.call("relay_fault", [{"clear": True, "owner": lane.owner}])
    return told


async def _real_life(lane: Lane, fate: Fate, death: int, found: Arena) -> bool:
    """A life in another process. True where it ended by SIGKILL; raises Halt CHAOS_WORLD where it ended badly otherwise."""
    job = {
        "seed": fate.seed,
        "case": fate.case,
        "death": death,
        "lane": lane.number,
        "safe": lane.safe,
        "folder": str(lane.folder),
        "chain": lane.ground.scene.chain_id,
        "url": lane.ground.url,
        "pool": lane.ground.pool,
    }
    lane.close()
    command = [sys.executable, "-m", "agent.app.chaos.submission.life", json.dumps(job)]
    found.pace.end(lane.name)
    found.pace.alone += 1
    try:
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT)
        ended = await process.wait()
    finally:
        found.pace.alone -= 1
        found.pace.begin(lane.name)
    if ended not in (0, -signal.SIGKILL):
        raise Halt("CHAOS_WORLD", f"case {fate.case}: a desk's process ended with {ended}", "see stderr")
    return ended != 0


async def one_life(desk: Desk, parent: ParentOrder, fate: Fate) -> None:
    known = parent.cl_ord_id in desk.book.parents
    async with asyncio.TaskGroup() as group:
        doing = group.create_task(_work(desk, parent, known))
        if fate.cancelled:
            group.create_task(_cancel(desk, parent, fate, doing))


async def _work(desk: Desk, parent: ParentOrder, known: bool) -> None:
    if known:
        await resume(desk)
    else:
        await work(parent, desk)


async def _cancel(desk: Desk, parent: ParentOrder, fate: Fate, doing: asyncio.Task[None]) -> None:
    await asyncio.sleep(fate.pause_s)
    record = desk.book.parents.get(parent.cl_ord_id)
    if not doing.done() and record is not None and record.closed is None and not record.cancel_requested:
        asked = CancelRequested(parent.cl_ord_id, "chaos", desk.clock.now_ns())
        await desk.journal.record_durably(asked)


async def _clear(lane: Lane, fate: Fate, found: Arena, told: Told) -> None:
    """The faults end some blocks after the case began, where they have not spent themselves."""
    if not fate.faults:
        return
    await found.pace.reach(found.pace.block + 2 + fate.lasts)
    await found.admin.call("relay_fault", [{"clear": True, "owner": lane.owner}])
    longest = max((int(fault.get("blocks", 0)) for fault in fate.faults), default=0)
    told.quiet_from = max(told.quiet_from, await _head(found) + longest)


async def _foreign(lane: Lane, fate: Fate, found: Arena, told: Told) -> None:
    """Another program has the sender's key, and uses its next nonce for a transfer of nothing, in a block of its own."""
    if fate.foreign_s is None:
        return
    await asyncio.sleep(fate.foreign_s)
    scene, me = lane.ground.scene, lane.sender.address
    nonce = int(await found.admin.call("eth_getTransactionCount", [me, "latest"]), 16)
    signed = await Sender(lane.sender).sign(UnsignedTx(scene.chain_id, nonce, me, 0, b"", 21_000, DEAR), 0, 0)
    told.foreign.append(signed.hash)
    await found.pace.invite("0x" + signed.raw.hex())
    told.quiet_from = max(told.quiet_from, await _head(found))


async def _head(found: Arena) -> int:
    """The head that a desk can act upon now: the block under way, where there is one, waits for it no longer."""
    under_way = found.pace.building
    return int(await found.admin.call("eth_blockNumber"), 16) + under_way


def read(book: Book, told: Told) -> None:
    """What the wallet's journal, folded afresh, says of the case."""
    parent = order(told.lane, told.fate, 0)
    record = book.parents.get(parent.cl_ord_id)
    told.status = record.closed.status if record is not None and record.closed is not None else None
    if record is None:
        told.status = "NEVER"
        return
    for part in book.parts_of(parent.cl_ord_id):
        for fill in part.fills.values():
            told.fills.append([str(raw_exact(fill.qty_in, 18, "in")), str(raw_exact(fill.qty_out, 6, "out"))])
