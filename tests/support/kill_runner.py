"""Process lives of a desk that end by SIGKILL at a chosen point; run as a program by the tests that need real deaths.

It imports everything once, then forks a child for each line of JSON on stdin: {"settings", "journal", "place", "qty", "side",
"kill": "MOMENT EVENT [N]" or ""}. The child wires the app as the command line does and wraps nothing but the recorder's
store: MOMENT is `before` (the event is not written), `after` (appended, perhaps not on the disk) or `durable` (on the disk).
With a book that has orders it resumes, else it works a new one; `by_agent`
has the agent's own key sign instead of owners. One JSON line comes back for each life.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import traceback
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from agent.app.agent_road import take_agents_road
from agent.app.cli.common import first_error
from agent.app.settings import load
from agent.app.settings_tree import Settings
from agent.app.wiring import open_app, open_trading
from agent.domain.events import Observed, Reported
from agent.domain.ids import intent_id, parent_id
from agent.domain.orders import Intent, ParentOrder, Side
from agent.execution.reconcile import resume
from agent.execution.spine import work
from agent.journal.chain import Seq
from agent.journal.store import Journal
from chains.types import Protection


class KillingStore:
    def __init__(self, journal: Journal, moment: str, name: str, nth: int) -> None:
        self._journal, self._moment, self._name, self._nth = journal, moment, name, nth

    def append(self, event: object) -> Seq:
        mine = self._name in names_of(event)
        self._nth -= mine
        struck = mine and self._nth == 0
        if struck and self._moment == "before":
            die()
        seq = self._journal.append(event)
        if struck:
            if self._moment == "durable":
                self._journal.checkpoint()
            die()
        return seq

    async def durable(self, seq: Seq) -> None:
        await self._journal.durable(seq)


def names_of(event: object) -> tuple[str, ...]:
    kind = type(event).__name__
    if isinstance(event, Observed):
        return kind, event.seen.value
    if isinstance(event, Reported):
        return kind, event.report.exec_type.value
    return (kind,)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def narrowed(settings: Settings, place: str, journal: Path) -> Settings:
    """The same settings with one place to trade in, and a journal of their own."""
    chains = tuple(
        c if place == f"eip155:{c.chain_id}" else c.model_copy(update={"pools": ()}) for c in settings.chains
    )
    venues = tuple(
        v if place == f"cex:{v.name}" else v.model_copy(update={"symbols": ()}) for v in settings.venues
    )
    files = settings.journal.model_copy(
        update={"path": journal, "emergency_path": journal.with_suffix(".bin")}
    )
    return settings.model_copy(update={"chains": chains, "venues": venues, "journal": files})


async def life(job: dict[str, Any]) -> dict[str, Any]:
    settings = narrowed(load(Path(job["settings"])), job["place"], Path(job["journal"]))
    async with AsyncExitStack() as stack:
        app = await open_app(settings, stack)
        if job.get("by_agent"):
            (await take_agents_road(app)).refuse_trouble()
        desk = await open_trading(app, stack)
        if job.get("deadline_s"):
            desk.workshop._deadline_s = job["deadline_s"]  # type: ignore[attr-defined]
        if job["kill"]:
            moment, name, *nth = job["kill"].split()
            desk.journal.store = KillingStore(app.journal, moment, name, int(nth[0]) if nth else 1)  # type: ignore[arg-type]
        if desk.book.parents:
            await resume(desk)
        else:
            await work(new_order(settings, job, app.clock.now_ns()), desk)
        (parent,) = desk.book.parents.values()
        return {
            "status": parent.closed.status if parent.closed else None,
            "why": parent.closed.why if parent.closed else "",
            "filled": str(desk.book.filled_base(parent.parent.cl_ord_id)),
            "parts": [
                [p.part.cl_ord_id, p.status.value if p.status else p.failed] for p in desk.book.parts.values()
            ],
            "gas_wei": {place: str(wei) for place, wei in desk.book.gas_wei.items()},
            "alarms": [alarm.code for alarm in desk.book.alarms],
        }


def new_order(settings: Settings, job: dict[str, Any], now_ns: int) -> ParentOrder:
    from decimal import Decimal

    intent = Intent(
        id=intent_id(settings.environment.value, settings.wallet.address, job["qty"], job["journal"]),
        source="test",
        side=Side[job["side"]],
        base="ETH",
        quote="USDC",
        qty=Decimal(job["qty"]),
        limit_px=None,
        algo=job.get("algo", "market"),
        algo_params=tuple((k, v) for k, v in job.get("params", [])),
        max_slippage_bps=50,
        protection=Protection.PRIVATE,
        created_ns=now_ns,
        expire_ns=now_ns + 600 * 10**9,
    )
    return ParentOrder(parent_id(intent.id), intent)


def child(job: dict[str, Any], out: int) -> None:
    try:
        told: dict[str, Any] = asyncio.run(life(job))
    except BaseException as wrong:  # noqa: BLE001 - told to the test, which fails on it
        error = first_error(wrong) if isinstance(wrong, BaseExceptionGroup) else wrong
        told = {"error": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()[-3000:]}
    os.write(out, json.dumps(told).encode())


def main() -> None:
    for line in sys.stdin:
        job = json.loads(line)
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reader)
            os.setpgid(0, 0)
            child(job, writer)
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as answers:
            told = answers.read()
        _, status = os.waitpid(pid, 0)
        try:
            os.killpg(pid, signal.SIGKILL)  # the simulators it leaves behind
        except ProcessLookupError:
            pass
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        print(json.dumps({"killed": killed, **(json.loads(told) if told else {})}), flush=True)


if __name__ == "__main__":
    main()
