"""Crossings followed to their end on both chains: what the journal knows, looked at again and again; each new stage is written.

Nothing is sent from here. A deposit that is in no block is its part's to follow, by nonce and deadline; once the part is over without
it, nothing was sent. After a restart the journal's last stage is where it goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from agent.app.bridging.flying import chain_in
from agent.app.places import place_named
from agent.domain.errors import FairleadError, Retry
from agent.domain.events import Alarmed, Crossed
from agent.domain.ids import ClOrdId
from agent.domain.instruments import place_of
from agent.domain.submission_state import SubmissionState
from agent.domain.units import qty_exact
from agent.execution.desk import Desk
from agent.execution.settlement import token_of
from agent.journal.crossing_fold import flight_of, is_over, open_crossings
from chains.bridges import across
from chains.bridges.across import Crossing
from chains.bridges.flight import Stage, moved

if TYPE_CHECKING:
    from agent.app.wiring import App

LOOK_S = 1.0
LATE_TIMES = 8
"""So many times its usual time is late: then it is told, once."""


async def look(app: App, desk: Desk, name: ClOrdId) -> Crossed:
    """One look at one crossing; the stage it is at, written where it is new. Raises Retry where a chain is silent, Halt as `moved`."""
    book = desk.book
    one, record = book.crossings[name], book.parts[name]
    if is_over(one):
        return one
    flight, signed = flight_of(one), record.authorized
    never = signed is None and record.ended
    undone = record.ended and record.submission is not SubmissionState.FINAL
    if flight.stage is Stage.SENT and (never or undone):
        return await _write(desk, one, moved(flight, Stage.DROPPED).stage, 0)
    if signed is None:
        return one
    here, there = app.chains.get(chain_in(one.given)), app.chains.get(chain_in(one.received))
    if here is None or there is None:
        raise Retry("BRIDGE_SILENT", f"{name}: one of its chains is not in the settings", "put it back until it is over")  # fmt: skip
    tx_hash = record.winner or signed.tx_hash
    known = Crossing(
        chain_in(one.given),
        chain_in(one.received),
        type(signed.tx_hash)(tx_hash),
        one.since_block,
        here.wallet,
        there.wallet,
        (token_of(one.given), token_of(one.received)),
        flight,
    )
    others = [c for c in book.crossings.values() if c.given == one.given and c.stage == Stage.REFUNDED.value]
    first = min(c.since_block for c in (one, *others))
    found = await across.look(here.gateway, there.gateway, known, sum(c.in_raw for c in others), first)
    if found.flight.stage is flight.stage:
        return one
    return await _write(desk, one, found.flight.stage, found.flight.paid_raw)


async def _write(desk: Desk, one: Crossed, stage: Stage, paid_raw: int) -> Crossed:
    event = replace(one, stage=stage.value, paid_raw=paid_raw, at_ns=desk.clock.now_ns())
    return await desk.journal.record_durably(event)


async def follow(app: App, desk: Desk, name: ClOrdId, until_ns: int, *, paid: bool = False) -> Crossed:
    """Until it is over, or has expired (it comes back within hours), or it is `until_ns` and nobody has paid it out; with `paid` no longer
    than until somebody has, which is not final yet. A chain that is silent is asked again."""
    while True:
        try:
            found = await look(app, desk, name)
        except Retry:
            found = desk.book.crossings[name]
        there = found.stage == Stage.FILLED.value
        late = desk.clock.now_ns() >= until_ns and not there
        if is_over(found) or found.stage == Stage.EXPIRED.value or late or (there and paid):
            return found
        await desk.clock.sleep(LOOK_S)


async def follow_all(app: App, desk: Desk) -> tuple[Crossed, ...]:
    """Every crossing that an earlier run left open, each for as long as one usually takes; what is then still under way."""
    until = desk.clock.now_ns() + LATE_TIMES * app.settings.bridge.usual_s * 10**9
    left = []
    for one in open_crossings(desk.book):
        found = await follow(app, desk, one.cl_ord_id, until)
        left += [found] if not is_over(found) else []
    return tuple(left)


class CrossingWatch:
    """Looks after every crossing for as long as the daemon runs; what is late, has expired or is back is an alarm, told once."""

    def __init__(self, app: App, desk: Desk, tell: Callable[[str], None]) -> None:
        self._app, self._desk, self._tell = app, desk, tell
        self._told: set[tuple[str, str]] = set()

    async def run(self) -> None:
        """Raises what means that nothing can be recorded any more, or that chains and record disagree."""
        while True:
            await self.step()
            await self._desk.clock.sleep(LOOK_S)

    async def step(self) -> None:
        for one in open_crossings(self._desk.book):
            try:
                found = await look(self._app, self._desk, one.cl_ord_id)
            except Retry:
                continue
            except FairleadError as error:
                if error.verb == "HALT":
                    raise
                await self._once(one, error.code, f"{error.message} → {error.hint}")
                continue
            if found.stage != one.stage:
                self._tell(f"bridge {one.cl_ord_id}: {words(self._app, found)}")
            if found.stage == Stage.EXPIRED.value:
                told = f"{words(self._app, found)}; the bridge gives it back, which can take hours"
                await self._once(found, "BRIDGE_EXPIRED", told)
            elif found.stage == Stage.DEPOSITED.value and self._late(found):
                told = f"{words(self._app, found)}, and no relayer has taken it yet; offer more the next time (bridge.fee_bps)"
                await self._once(found, "BRIDGE_LATE", told)

    def _late(self, one: Crossed) -> bool:
        return is_late(self._app, self._desk, one)

    async def _once(self, one: Crossed, code: str, told: str) -> None:
        if (one.cl_ord_id, code) in self._told:
            return
        self._told.add((one.cl_ord_id, code))
        text = f"bridge {one.cl_ord_id}: {told}"
        await self._desk.journal.record(Alarmed(code, text, self._desk.clock.now_ns()))


def is_late(app: App, desk: Desk, one: Crossed) -> bool:
    """Whether it stands at its stage for longer than a crossing takes."""
    return desk.clock.now_ns() - one.at_ns > LATE_TIMES * app.settings.bridge.usual_s * 10**9


def words(app: App, one: Crossed) -> str:
    """Where it stands, in a line."""
    symbol = app.directory.symbols.get(one.given, one.given)
    there = place_named(app.settings, place_of(one.received))
    raw = one.paid_raw or one.in_raw
    return f"{qty_exact(raw, one.decimals):f} {symbol} to {there}: {one.stage.lower()}"
