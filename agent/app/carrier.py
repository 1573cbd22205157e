"""One desk working several parents: a command's own, those another process hands over, those of the schedule.

It serves the inbox for as long as it is entered. A parent that fails tells an alarm and leaves the others at work; only
where nothing can be recorded any more does all of it stop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from types import TracebackType
from typing import TYPE_CHECKING, Any

from agent.algos.bracket import AT
from agent.app.brackets import exit_after, exit_id, list_of, listed_exits, waiting_entries
from agent.app.cli.common import first_error
from agent.app.exchange_pairs import held, holder_of
from agent.app.inbox import Answer, Inbox, Request, refusal
from agent.domain.errors import Denied, FairleadError, Reject, Usage
from agent.domain.events import Accepted, Alarmed, CancelRequested, Halted, Resumed
from agent.domain.ids import ClOrdId
from agent.domain.order_lists import AFTER
from agent.domain.order_state import OrdStatus
from agent.domain.orders import ParentOrder
from agent.execution.desk import Desk
from agent.execution.reconcile import carry_signed, close_what_never_left, settle_open_parts
from agent.execution.spine import work
from agent.journal.registry import event_codec
from chains.ending import ended
from chains.types import Environment

if TYPE_CHECKING:
    from agent.app.wiring import App

LOOK_S = 0.25
FRESH_NS = 30 * 10**9
"""A wish handed over later than this was made for another market."""


def inbox_of(app: App) -> Inbox:
    return Inbox(app.settings.journal.path.parent / "inbox", app.clock)


def handed_over(parent: ParentOrder, at_ns: int) -> str:
    """A parent as it stands in a request: the journal's own text of its acceptance."""
    _, _, payload = event_codec().encode(Accepted(parent, at_ns))
    return payload.decode()


def received(text: str) -> ParentOrder:
    """Raises Usage BAD_REQUEST."""
    codec = event_codec()
    try:
        found: Accepted = codec.decode("Accepted", codec.version_of(Accepted), text.encode())
    except FairleadError as wrong:
        raise Usage("BAD_REQUEST", f"the order handed over does not read: {wrong}", "") from None
    return found.parent


class Carrier:
    """`async with` it; `carry` works one parent to its end, `rest` waits for all others. `tell` gets one line a fact."""

    def __init__(self, app: App, desk: Desk, tell: Callable[[str], None], takes_orders: bool = True) -> None:
        self._app, self._desk, self._tell, self._takes = app, desk, tell, takes_orders
        self._tasks: dict[ClOrdId, asyncio.Task[None]] = {}
        self._own: set[ClOrdId] = set()
        self._taken_up: set[ClOrdId] = set()
        self._serving: asyncio.Task[None] | None = None
        self._following: asyncio.Task[None] | None = None
        self._again: list[asyncio.Task[None]] = []
        self.failure: FairleadError | None = None
        self.changed = asyncio.Event()

    async def __aenter__(self) -> Carrier:
        self._serving = asyncio.create_task(inbox_of(self._app).serve(self.handle), name="inbox")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks: list[asyncio.Task[None]] = [*self._tasks.values(), *self._again]
        tasks += [task for task in (self._serving, self._following) if task is not None]
        for outcome in await ended(tasks):
            if isinstance(outcome, Exception) and error is None:
                raise outcome

    # ------------------------------------------------------------------ parents

    async def carry(self, parent: ParentOrder) -> None:
        """Raises the first FairleadError of the road, bare."""
        self._own.add(parent.cl_ord_id)
        try:
            # Nobody follows what was signed in an entry's list, unless an earlier run left it open.
            entry = dict(parent.intent.algo_params).get(AFTER)
            begun_here = entry is not None and parent.cl_ord_id not in self._taken_up
            await (carry_signed if begun_here else work)(parent, self._desk)
        except BaseExceptionGroup as group:
            raise first_error(group) from None
        finally:
            self._own.discard(parent.cl_ord_id)

    async def own(self, parent: ParentOrder) -> None:
        """Works the command's own order: to its end, or until an exchange holds it, exits and all. Raises as `carry`."""
        intent = parent.intent
        held = intent.algo == "oco" or (intent.algo == "bracket" and AT in dict(intent.algo_params))
        await (self.until_held if held else self.carry)(parent)

    async def exit_of(self, entry: ParentOrder) -> ParentOrder | None:
        """The exits that are to follow an entry that is over, if any; see `agent.app.brackets`."""
        return await exit_after(self._app, self._desk.book, entry)

    def listed(self, entry: ParentOrder) -> ParentOrder | None:
        """The exits that an exchange got with this entry in one list, where the entry is over and they are not."""
        book = self._desk.book
        exits = listed_exits(book, entry.cl_ord_id)
        over = book.parents[entry.cl_ord_id].closed is not None
        return exits if over and exits is not None and book.parents[exits.cl_ord_id].closed is None else None

    async def _begin_exits(self, entry: ParentOrder) -> None:
        there, listed = list_of(self._desk.book, entry.cl_ord_id), self.listed(entry)
        if listed is not None and listed.cl_ord_id not in self._tasks:
            self._tell(f"order {entry.cl_ord_id} is over: its exits are order {listed.cl_ord_id}")
            self.start(listed)
        if (
            there is not None and there[1] == entry.cl_ord_id
        ):  # a list's exits are over: may be their entry has none now
            entry = self._desk.book.parents[there[0]].parent
        after = await self.exit_of(entry)
        if after is not None and after.cl_ord_id not in self._tasks:
            self._tell(f"order {entry.cl_ord_id} is filled: its exits are order {after.cl_ord_id}")
            await self._desk.journal.record_durably(Accepted(after, self._desk.clock.now_ns()))
            self.start(after)

    async def finish(self, name: ClOrdId) -> None:
        """Follows one parent, or one part, of an earlier run to its end, and nothing else. Raises as `carry`."""
        book = self._desk.book
        self._taken_up.add(name)
        await close_what_never_left(self._desk)
        mine = {record.part.cl_ord_id for record in book.parts_of(name)} if name in book.parents else {name}
        following = settle_open_parts(self._desk, lambda record: record.part.cl_ord_id in mine)
        self._following = asyncio.create_task(following, name=f"parts of {name}")
        if name in book.parents:
            await self.carry(book.parents[name].parent)
        await self._following

    def ended_with(self, name: ClOrdId) -> ClOrdId | None:
        """The other order of a list, where what ended this one ended it too: an entry that is filled leaves its exits standing."""
        book = self._desk.book
        if (mine := list_of(book, name)) is None:
            return None
        entry, exits = mine
        other = exits if name == entry else entry
        if book.parents[other].closed is not None or book.parents[name].closed is None:
            return None
        filled = any(part.status is OrdStatus.FILLED for part in book.parts_of(entry))
        return None if filled and name == entry else other

    async def take_up(self, but: Collection[ClOrdId] = (), *, exits: bool = False) -> tuple[ClOrdId, ...]:
        """Begins to follow every signed part of an earlier run, and to work every unfinished parent beside them, `but` those; with `exits`
        also to give those of entries that ended without."""
        await close_what_never_left(self._desk)
        left = {part.part.cl_ord_id for name in but for part in self._desk.book.parts_of(name)}
        following = settle_open_parts(self._desk, lambda record: record.part.cl_ord_id not in left)
        self._following = asyncio.create_task(following, name="open parts")
        opened = (record for record in self._desk.book.parents.values() if record.closed is None)
        records = [record for record in opened if record.parent.cl_ord_id not in but]
        self._taken_up.update(record.parent.cl_ord_id for record in records)
        for record in records:
            self.start(record.parent)
        begun = [r.parent.cl_ord_id for r in records]
        for entry in waiting_entries(self._desk.book) if exits else ():
            await self._begin_exits(entry)
            begun.append(exit_id(entry))
        return tuple(name for name in begun if name in self._desk.book.parents)

    def take_again(self, parts: Collection[ClOrdId]) -> None:
        """Follows signed parts whose lane had stopped, now that their place answers, and works the parents that waited for them."""
        book, left = self._desk.book, {name for name in parts if not self._desk.book.parts[name].ended}
        for name in left:
            self._desk.stopped.pop(name, None)
        following = settle_open_parts(self._desk, lambda record: record.part.cl_ord_id in left)
        self._again = [task for task in self._again if not task.done()]
        self._again.append(asyncio.create_task(following, name="parts again"))
        for name in left:
            if (child := book.children.get(book.parts[name].part.child)) is not None:
                self._pick_up(child.child.parent)

    def start(self, parent: ParentOrder) -> None:
        """Works a parent beside the others."""
        task = asyncio.create_task(self._beside(parent), name=parent.cl_ord_id)
        self._tasks[parent.cl_ord_id] = task

    async def _beside(self, parent: ParentOrder) -> None:
        name = parent.cl_ord_id
        try:
            await self.carry(parent)
            closed = self._desk.book.parents[name].closed
            self._tell(f"order {name} closed: {closed.why if closed else 'its story goes on'}")
            await self._begin_exits(parent)
        except FairleadError as error:
            if error.verb == "HALT":
                self.failure = error
            else:
                self._tell(f"order {name} stopped: {error}")
                now = self._desk.clock.now_ns()
                await self._desk.journal.record(Alarmed(error.code, f"{name} stopped: {error.message}", now))
        finally:
            self._tasks.pop(name, None)
            self.changed.set()

    @property
    def busy(self) -> tuple[ClOrdId, ...]:
        return tuple(self._tasks)

    async def rest(self, but: Collection[ClOrdId] = (), standing: bool = False) -> None:
        """Returns when every parent taken on beside the command's own has ended; `but` those, and with `standing` what an exchange holds,
        which need only have nothing open that was signed."""
        while waited := self._waited(but, standing):
            await asyncio.wait(waited, timeout=LOOK_S if but or standing else None)

    async def look(self) -> None:
        """Asks once for what an earlier run left at exchanges: it may have been filled since, whoever ran."""
        for part in self._desk.book.open_parts():
            if held(part) and part.authorized is not None:
                await self._desk.tracker.look_at_venue(part.authorized)

    def _waited(self, but: Collection[ClOrdId], standing: bool) -> list[asyncio.Task[None]]:
        book = self._desk.book

        def quiet(name: ClOrdId) -> bool:
            return name in but or (standing and holder_of(book, name) is not None)

        found = [task for name, task in self._tasks.items() if not quiet(name) or self._acts(name)]
        following = self._following
        if following is not None and not following.done():
            if not (but or standing) or any(not held(part) for part in self._desk.book.open_parts()):
                found.append(following)
        return found

    def _acts(self, name: ClOrdId) -> bool:
        return any(not part.ended and not held(part) for part in self._desk.book.parts_of(name))

    async def until_held(self, parent: ParentOrder) -> None:
        """Begins a pair and returns when an exchange holds it, or it is over. Raises as `carry`."""
        name = parent.cl_ord_id
        task = asyncio.create_task(self.carry(parent), name=name)
        try:
            while not task.done() and holder_of(self._desk.book, name) is None:
                await asyncio.wait([task], timeout=LOOK_S)
            if task.done():
                task.result()
        finally:
            await ended([task])

    def waiting(self) -> tuple[ClOrdId, ...]:
        """Exits of an earlier run that do nothing but wait for their price, here or at an exchange, for weeks maybe: no other order is to
        wait for them."""
        opened = (record for record in self._desk.book.parents.values() if record.closed is None)
        names = (
            r.parent.cl_ord_id
            for r in opened
            if r.parent.intent.algo in ("exit", "oco", "bracket") and not r.cancel_requested
        )
        return tuple(name for name in names if not self._acts(name))

    def close_door(self) -> None:
        """No order is taken over from now on; cancelling and halting go on."""
        self._takes = False

    # ------------------------------------------------------------------ requests

    async def handle(self, request: Request) -> Answer:
        try:
            match request.kind:
                case "cancel":
                    return await self._cancel(str(request.fields.get("id", "")), request.source)
                case "halt":
                    return await self._halt(str(request.fields.get("why", "")), request.source)
                case "resume":
                    return await self._resume(request.source)
                case _:
                    return await self._intent(request)
        except FairleadError as error:
            return refusal(error)

    async def _cancel(self, name: str, source: str) -> Answer:
        book, now = self._desk.book, self._desk.clock.now_ns()
        if name not in book.parents and name not in book.parts:
            raise Usage("UNKNOWN_ORDER", f"there is no order {name}", "`fairlead orders --all` lists them")
        await self._desk.journal.record_durably(CancelRequested(ClOrdId(name), source, now))
        self._tell(f"cancel of {name} asked by {source}")
        self._pick_up(ClOrdId(name))
        return Answer(True, "the running process cancels it")

    def _pick_up(self, name: ClOrdId) -> None:
        """A parent of an earlier run that nobody works here is taken on, so that its cancel comes to an end."""
        record = self._desk.book.parents.get(name)
        worked = name in self._tasks or name in self._own
        if record is not None and record.closed is None and not worked:
            self.start(record.parent)

    async def _halt(self, why: str, source: str) -> Answer:
        self._desk.switch.set(why or "no reason given")
        await self._desk.journal.record_durably(Halted(source, why, self._desk.clock.now_ns()))
        self._tell(f"HALTED by {source}: {why or 'no reason given'}")
        return Answer(True, "recorded by the running process")

    async def _resume(self, source: str) -> Answer:
        await self._desk.journal.record_durably(Resumed(source, self._desk.clock.now_ns()))
        self._desk.switch.clear()
        self._tell(f"resumed by {source}")
        return Answer(True, "recorded by the running process")

    def _right_signers(self, by: str) -> None:
        """Whoever hands an order over may say whose key is to sign it. Raises Denied where this process signs by another."""
        agent_signs, live = self._app.roads is not None, self._app.settings.environment is Environment.LIVE
        if agent_signs and (by == "owners" or (live and by != "agent")):
            raise Denied(
                "AGENT_SIGNS_HERE",
                "the running process signs by the agent's own key, and this order is for the owners to sign",
                "`--by agent` hands it over, within the scope; else end that process first",
            )
        if not agent_signs and (live or by == "agent"):
            raise Denied(
                "OWNERS_SIGN_ATTENDED",
                "another process trades, and owners sign in the terminal that asks them",
                "wait for it to end; `fairlead orders` shows it",
            )

    async def _intent(self, request: Request) -> Answer:
        parent = received(str(request.fields.get("accepted", "")))
        if parent.cl_ord_id in self._desk.book.parents:
            return Answer(True, "it is known already")
        self._right_signers(str(request.fields.get("by", "")))
        if not self._takes:
            raise Reject("ENDING", "the running process is ending", "try again")
        if self._desk.clock.now_ns() - request.at_ns > FRESH_NS:
            raise Reject("STALE_REQUEST", "the order was handed over too long ago", "quote again")
        await self._desk.journal.record_durably(Accepted(parent, self._desk.clock.now_ns()))
        self._tell(f"order {parent.cl_ord_id} taken over from {request.source}")
        self.start(parent)
        return Answer(True, "the running process carries it")


def tell_alarms(tell: Callable[[str], None]) -> Callable[[object], None]:
    """A watcher that says alarms as they are recorded."""

    def saw(event: Any) -> None:
        if isinstance(event, Alarmed):
            tell(f"ALARM {event.code}: {event.message}")

    return saw
