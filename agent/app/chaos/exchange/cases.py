"""One case: its faults are ordered, its desk lives and dies as its fate says, until its order is closed."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agent.app.chaos.deaths import Dead, Doom, first_of
from agent.app.chaos.exchange.dialects import DIALECTS
from agent.app.chaos.exchange.fates import Fate, by_fix, called, draw, of_contracts
from agent.app.chaos.exchange.ground import Exchange
from agent.app.chaos.exchange.lanes import PX, Lane
from agent.app.chaos.exchange.listed import let_go, of_lists, parameters, then_exits
from agent.app.comparison import compare_venue
from agent.app.start_check import locks_of
from agent.domain.errors import FairleadError, Halt
from agent.domain.events import CancelRequested
from agent.domain.ids import intent_id, parent_id
from agent.domain.orders import Intent, ParentOrder, Side
from agent.execution.desk import Desk
from agent.execution.reconcile import resume
from agent.execution.spine import work
from chains.types import Protection

LIFE_S = 40
"""By the exchange's clock."""
BEGIN_S = 60
"""By the exchange's clock, for each life in a process of its own: that has to begin first."""
PATIENCE_S = 60.0
"""By the wall's: a case that takes longer has stopped for good, which is a violation."""
ROOT = Path(__file__).resolve().parents[4]


@dataclass
class Told:
    """How a case went; what it says of its orders stands in the lane's journal."""

    fate: Fate
    lane: Lane
    parent: str = ""
    deaths: int = 0
    sigkills: int = 0
    stopped: str = ""
    locked: list[str] = field(default_factory=list)
    """What the start-up certificate found against the exchange that nothing explains: after a death there is to be nothing."""


def fate_of(by: str, seed: int, case: int) -> Fate:
    """What befalls that case at an exchange of that session's."""
    dialect = DIALECTS[by]
    fate = called(draw(seed, case), dialect.on or {})
    if dialect.lists:
        fate = called(of_lists(fate), dialect.on or {})
    if dialect.contract:
        fate = of_contracts(fate)
    return replace(fate, reduces=False) if fate.listed else fate  # what only reduces brings nothing to exit


def order(fate: Fate, lane: Lane, now_ns: int) -> ParentOrder:
    intent = Intent(
        id=intent_id("devnet", lane.name, str(fate.seed), str(fate.case)),
        source="chaos",
        side=Side.BUY if fate.buys else Side.SELL,
        base="ETH",
        quote="USDC",
        qty=fate.qty,
        limit_px=PX if fate.listed else None,
        algo="bracket" if fate.listed else "market",
        algo_params=parameters(fate, PX) if fate.listed else (),
        max_slippage_bps=fate.slippage_bps,
        protection=Protection.PRIVATE,
        created_ns=now_ns,
        expire_ns=now_ns + (LIFE_S + BEGIN_S * sum(death.real for death in fate.deaths)) * 10**9,
    )
    return ParentOrder(parent_id(intent.id), intent)


async def live(lane: Lane, fate: Fate, exchange: Exchange) -> Told:
    """From the order to its end, whatever befalls it."""
    told = Told(fate, lane)
    # a process takes a while to begin, by this clock minutes where the machine is busy: it has begun when its order comes
    first = await _begun() if fate.deaths and fate.deaths[0].real else None
    exchange.refill()
    faults = exchange.server.faults
    for fault in fate.faults:
        faults.add(by_fix(dict(fault)) if lane.by == "fix" else dict(fault))
    parent = order(fate, lane, lane.clock.now_ns())
    told.parent = parent.cl_ord_id
    house = asyncio.create_task(_house(exchange, fate))
    try:
        async with asyncio.timeout(PATIENCE_S):
            await _lives(lane, fate, parent, told, first)
    except TimeoutError:
        told.stopped = f"nothing more happened within {PATIENCE_S:g} s"
    finally:
        house.cancel()
        await asyncio.gather(house, return_exceptions=True)
        if first is not None and first.returncode is None:
            first.kill()
            await first.wait()
        faults.clear()
        faults.clock_ms = 0
    return told


async def _lives(
    lane: Lane, fate: Fate, parent: ParentOrder, told: Told, first: Process | None = None
) -> None:
    for number, death in enumerate((*fate.deaths, None)):
        if death is not None and death.real:
            process = first if number == 0 and first is not None else await _begun()
            told.sigkills += await _real_life(lane, fate, parent, number, process)
            told.deaths += 1
            continue
        told.deaths += death is not None
        try:
            async with lane.open(Doom(death), fate) as desk:
                if parent.cl_ord_id in desk.book.parents:
                    told.locked += await locked_by(lane, desk)
                await one_life(desk, parent, fate, lane)
            told.deaths -= death is not None
            return
        except* Dead:
            pass  # the next life begins
        except* FairleadError as stopped:
            told.stopped = str(first_of(stopped))


async def locked_by(lane: Lane, desk: Desk) -> list[str]:
    """As `agent.app.start_check` judges it; an exchange that does not answer just then locks nothing for good."""
    venue = lane.venue
    assert venue is not None
    sent = [r.authorized for r in desk.book.open_parts() if r.authorized is not None]
    for one in sent:
        await desk.tracker.look_at_venue(one)
    try:
        found = await compare_venue(venue, desk.book, (lane.dialect.symbol,), desk.clock.now_ns())
    except FairleadError:
        return []
    return [f"{lock.code}: {lock.why}" for lock in locks_of(found)]


async def _begun() -> Process:
    """A process that is ready for a life, and waits for it. Raises Halt CHAOS_WORLD where it ended instead."""
    command = [sys.executable, "-m", "agent.app.chaos.exchange.life"]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdin=PIPE, stdout=PIPE)
    assert process.stdout is not None
    if not await process.stdout.readline():
        await process.wait()
        raise Halt("CHAOS_WORLD", "a desk's process ended before its life began", "see stderr")
    return process


async def _real_life(lane: Lane, fate: Fate, parent: ParentOrder, number: int, process: Process) -> bool:
    """A life in another process. True where it ended by SIGKILL; raises Halt CHAOS_WORLD where it ended badly otherwise."""
    job = {
        "seed": fate.seed,
        "case": fate.case,
        "death": number,
        "lane": lane.number,
        "url": lane.url,
        "folder": str(lane.folder),
        "since_ns": lane.clock.since_ns,
        "created_ns": parent.intent.created_ns,
        "by": lane.by,
        "fix_url": lane.fix_url,
    }
    try:
        await process.communicate(json.dumps(job).encode())
        ended = await process.wait()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if ended not in (0, -signal.SIGKILL):
        raise Halt("CHAOS_WORLD", f"case {fate.case}: a desk's process ended with {ended}", "see stderr")
    return ended != 0


async def one_life(desk: Desk, parent: ParentOrder, fate: Fate, lane: Lane) -> None:
    known = parent.cl_ord_id in desk.book.parents
    async with asyncio.TaskGroup() as group:
        doing = group.create_task(_work(desk, parent, known, fate, lane))
        if fate.listed:
            group.create_task(let_go(desk, parent, doing))
        if fate.ends == "us":
            group.create_task(_cancel(desk, parent, fate, doing))


async def _work(desk: Desk, parent: ParentOrder, known: bool, fate: Fate, lane: Lane) -> None:
    if known:
        await resume(desk)
    else:
        await work(parent, desk)
    if fate.listed and lane.venue is not None:
        await then_exits(desk, parent, lane.venue, lane.dialect.directory)


async def _cancel(desk: Desk, parent: ParentOrder, fate: Fate, doing: asyncio.Task[Any]) -> None:
    waiting = asyncio.ensure_future(desk.clock.sleep(fate.pause_s + 1))
    await asyncio.wait({waiting, doing}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    record = desk.book.parents.get(parent.cl_ord_id)
    if not doing.done() and record is not None and record.closed is None and not record.cancel_requested:
        asked = CancelRequested(parent.cl_ord_id, "chaos", desk.clock.now_ns())
        await desk.journal.record_durably(asked)


async def _house(exchange: Exchange, fate: Fate) -> None:
    """Trades with what rests, once a share of each order and after a while with all of it; or ends it, as the fate says."""
    seen: dict[int, int] = {}
    while True:
        await exchange.clock.sleep(0.6)
        for resting in exchange.resting():
            rounds = seen[resting.order_id] = seen.get(resting.order_id, 0) + 1
            if rounds == 2:
                exchange.trade_with(resting, fate.share)
            elif rounds == 4 and fate.ends == "them":
                exchange.end(resting)
            elif rounds == 10:
                exchange.trade_with(resting, type(fate.share)(1))
