"""Order lists among the lives of the chaos: an entry with its exits in one request, at exchanges that hold such. Which cases, at what
prices, and how their exits come to an end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from random import Random
from types import SimpleNamespace
from typing import Any

from agent.algos.bracket import AT, PROFIT, STOP
from agent.app.brackets import exit_after, listed_exits
from agent.app.chaos.exchange.fates import Fate
from agent.domain.events import CancelRequested
from agent.domain.orders import ParentOrder
from agent.execution.desk import Desk
from agent.execution.reconcile import carry_signed
from agent.execution.spine import work
from agent.ports import ExecutionVenue

SHARE = 0.25
PATIENCE_S = 9
"""By the exchange's clock: the house trades with what rests before."""


def of_lists(fate: Fate) -> Fate:
    """The same, a quarter of them as lists: both exits behind the entry, or one. Troubles of orders strike the list's request."""
    rng = Random(f"lists {fate.seed} {fate.case}")
    if rng.random() >= SHARE:
        return fate
    away = [Decimal(rng.choice((15, 40, 120, 400))) for _ in range(2)]
    exits = rng.choice(((STOP, PROFIT), (STOP, PROFIT), (STOP,), (PROFIT,)))
    door = "list.otoco" if len(exits) > 1 else "list.oto"
    struck = tuple(
        fault | ({"on": door} if fault["on"] == "order.place" and rng.random() < 0.8 else {})
        for fault in fate.faults
    )
    bps = tuple((name, away[name == PROFIT]) for name in exits)
    return replace(fate, rests=True, listed=bps, faults=struck)


def parameters(fate: Fate, px: Decimal) -> tuple[tuple[str, str], ...]:
    """Of the entry: a stop where it would lose, a take-profit where it would gain."""
    found = {AT: "paper"}
    for name, bps in fate.listed:
        sign = 1 if fate.buys == (name == PROFIT) else -1
        found[name] = str((px * (10_000 + sign * bps) / 10_000).quantize(Decimal("0.01")))
    return tuple(sorted(found.items()))


async def then_exits(desk: Desk, entry: ParentOrder, venue: ExecutionVenue, directory: Any) -> None:
    """The rest of a life after its entry: what stands in the list, and where that lapsed a pair of its own for what was brought."""
    listed = listed_exits(desk.book, entry.cl_ord_id)
    if listed is not None and desk.book.parents[listed.cl_ord_id].closed is None:
        await carry_signed(listed, desk)
    app: Any = SimpleNamespace(venues={"paper": venue}, directory=directory)
    after = await exit_after(app, desk.book, entry)
    if (
        after is not None and after.intent.algo == "oco"
    ):  # one exit alone would be watched here, and the chaos does not wait
        await work(after, desk)


async def let_go(desk: Desk, entry: ParentOrder, doing: asyncio.Task[Any]) -> None:
    """Ends exits whose price does not come: their owner cancels them."""
    while not doing.done():
        record = desk.book.parents.get(entry.cl_ord_id)
        over = record is not None and record.closed is not None
        waiting = asyncio.ensure_future(desk.clock.sleep(PATIENCE_S if over else 1))
        await asyncio.wait({waiting, doing}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if not over or doing.done():
            continue
        for exits in exits_of(desk, entry):
            known = desk.book.parents[exits.cl_ord_id]
            if known.closed is None and not known.cancel_requested:
                asked = CancelRequested(exits.cl_ord_id, "chaos", desk.clock.now_ns())
                await desk.journal.record_durably(asked)


def exits_of(desk: Desk, entry: ParentOrder) -> Iterator[ParentOrder]:
    """Every order for exits that this entry has."""
    for record in list(desk.book.parents.values()):
        if record.parent.intent.source == f"exits of {entry.cl_ord_id}":
            yield record.parent
