"""Cancels everything that can be cancelled, with as little as possible: the settings, the exchanges, the relays.

The journal is read where it reads, never written. Every place is tried whatever the others do, within a time-out of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import aiohttp

from agent.app.chain_desks import relay_of
from agent.app.endpoints import resolve_endpoint
from agent.app.places import place_named
from agent.app.readonly import read_book
from agent.app.settings_tree import Settings, Venue
from agent.app.wiring import connect_venue
from agent.domain.errors import FairleadError
from agent.domain.submission_state import UNDECIDED
from agent.execution.agent_offers import is_agents
from agent.execution.outbox import signed_tx
from agent.journal.records import PartRecord
from agent.ports import ExecutionVenue, HeldCondition, KeepsConditions
from agent.transport.clock import SystemClock
from chains.intents.cow import CowBook
from chains.operations import is_keyed
from keys.client import SignerClient

TIMEOUT_S = 20.0
CLOCK_SLACK_S = 60
"""How far this machine's clock may be ahead of the chain's before an order's end is believed."""


@dataclass(frozen=True, slots=True)
class Done:
    """`confirmed` only where the place itself said that nothing is left to happen there."""

    where: str
    what: str
    confirmed: bool
    told: str


async def everything(settings: Settings) -> list[Done]:
    """Never raises for what a place, a file or the signer did: it is told as a result."""
    found: list[Done] = []
    opened, problem = _open_parts(settings)
    pending = [r for r in opened if r.submission in UNDECIDED]
    if problem:
        found.append(Done("journal", "not read", False, problem))
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        signer = SignerClient(settings.signer.socket, settings.environment)
        stack.push_async_callback(signer.close)
        work: list[tuple[str, Awaitable[list[Done]]]] = [
            (venue.name, _venue(venue, signer)) for venue in settings.venues
        ]
        now_s = SystemClock().now_ns() // 10**9
        for record in (r for r in opened if r.is_offer):
            where = place_named(settings, record.part.place)
            work.append((where, _offer(settings, session, record, now_s)))
        for record in pending:
            where = place_named(settings, record.part.place)
            work.append((where, _drop(settings, session, signer, where, record)))
        told = await asyncio.gather(*(_in_time(each) for _, each in work), return_exceptions=True)
    for (where, _), outcome in zip(work, told, strict=True):
        found += [_failed(where, outcome)] if isinstance(outcome, BaseException) else outcome
    return found


async def _in_time(work: Awaitable[list[Done]]) -> list[Done]:
    async with asyncio.timeout(TIMEOUT_S):
        return await work


def _failed(where: str, error: BaseException) -> Done:
    if isinstance(error, TimeoutError):
        return Done(where, "no answer", False, f"nothing came back within {TIMEOUT_S:g} s")
    return Done(where, "failed", False, str(error) or type(error).__name__)


async def _offer(
    settings: Settings, session: aiohttp.ClientSession, record: PartRecord, now_s: int
) -> list[Done]:
    """What is left of an order for others to settle. Nothing withdraws it at once: the order book's DELETE takes signatures of ordinary
    accounts alone (EIP-712, eth_sign), and a Safe's order ends by a transaction of its owners, or by its last second. One under the agent's
    key any one owner ends.

    That second is proof, once no block can be dated before it any more; what the book says is told as its word.
    """
    authorized = record.authorized
    assert authorized is not None and authorized.offer is not None
    where, uid = place_named(settings, record.part.place), authorized.request_digest
    order = authorized.offer.order
    if now_s > authorized.deadline_s + CLOCK_SLACK_S:
        over = "its last second has passed: no block can settle it any more"
        if is_agents(order):
            over += f"; what is left of it lies in {order.owner} until anybody calls its `end`, which pays it to the wallet"
        return [Done(where, f"order {uid[:18]}…", True, over)]
    chain = settings.chain(authorized.chain_id)
    said = "no order book is configured to be asked"
    if chain is not None and chain.order_book is not None:
        try:
            book = CowBook(resolve_endpoint(chain.order_book.url), session)
            async with asyncio.timeout(TIMEOUT_S / 2):
                told = await book.order(uid)
            said = f"{book.name} has no such order"
            if told is not None:
                done = (told.bought_raw if order.buys else told.sold_raw) * 100 // order.whole_raw
                said = f"{book.name} says {told.status}, {done} % of it {'bought' if order.buys else 'sold'}"
        except (FairleadError, TimeoutError) as error:
            said = f"the order book does not answer ({type(error).__name__})"
    left = f"a solver may settle it at its limit until {authorized.deadline_s}"
    ends = f"`fairlead cancel {record.part.cl_ord_id}` ends it on chain, the only way for a Safe's order"
    if is_agents(order):
        ends = f"any one owner stops it at once: `fairlead wallet freeze --owner 0x… --live`, or `end` at {order.owner}"
    return [Done(where, f"order {uid[:18]}…", False, f"{said}; {left}; {ends}")]


def _open_parts(settings: Settings) -> tuple[list[PartRecord], str]:
    """What was signed and may still take effect on a chain, as far as the journal tells."""
    try:
        book = read_book(settings)
    except FairleadError as error:
        return [], f"{error}: transactions that are still private cannot be named"
    except OSError as error:
        return [], f"{error}: transactions that are still private cannot be named"
    if book is None:
        return [], ""
    return [r for r in book.open_parts() if r.authorized is not None], ""


async def _venue(configured: Venue, signer: SignerClient) -> list[Done]:
    venue = connect_venue(configured, SystemClock(), signer)
    try:
        await venue.start()
        return await emptied(venue)
    finally:
        await venue.close()


async def emptied(venue: ExecutionVenue) -> list[Done]:
    """Cancels what waits for its price and each open order at one exchange, ours or not, and then asks what is left.

    What waits goes first, and is asked for first afterwards: what was triggered meanwhile is an open order then, and is met as one. Where
    it could not be read at first it is ended once it can.
    Raises as the venue's reads of open orders.
    """
    name = venue.name
    done = list[Done]()
    waiting, unread_first = await _conditions(venue)
    told = {held.venue_order_id: await _ended(venue, held) for held in waiting}
    opened = list(await venue.open_orders())
    outcomes = await venue.cancel_many([(order.cl_ord_id, order.symbol) for order in opened])
    still, unread = await _conditions(venue)
    if unread_first and still:  # seen too late to be first, and ended all the same
        waiting, told = still, {held.venue_order_id: await _ended(venue, held) for held in still}
        still, unread = await _conditions(venue)
    left = {order.cl_ord_id for order in await venue.open_orders()}
    there = {held.venue_order_id for held in still}
    for held in waiting:
        gone = held.venue_order_id not in there and not unread
        done.append(Done(name, f"{held.about}, {held.cl_ord_id}", gone, told[held.venue_order_id]))
    for order in opened:
        outcome = outcomes[order.cl_ord_id]
        about = f"{order.side.value.lower()} {order.order_qty} {order.symbol} {order.cl_ord_id}"
        gone = order.cl_ord_id not in left
        done.append(Done(name, about, gone, _told(outcome, gone)))
    new = left - {order.cl_ord_id for order in opened}
    done += [Done(name, f"order {other}", False, "appeared meanwhile") for other in sorted(new)]
    before = {held.venue_order_id for held in waiting}
    done += [
        Done(name, f"{held.about}, {held.cl_ord_id}", False, "appeared meanwhile")
        for held in still
        if held.venue_order_id not in before
    ]
    return [*done, *unread] or [Done(name, "open orders", True, "none")]


async def _conditions(venue: ExecutionVenue) -> tuple[Sequence[HeldCondition], list[Done]]:
    """What waits for its price, and where it cannot be read, that: open orders are cancelled all the same."""
    if not isinstance(venue, KeepsConditions):
        return (), []
    try:
        return await venue.conditions(), []
    except FairleadError as error:
        return (), [Done(venue.name, "conditional orders", False, f"not read: {error}")]


async def _ended(venue: ExecutionVenue, held: HeldCondition) -> str:
    assert isinstance(venue, KeepsConditions)
    try:
        return await venue.end_condition(held)
    except FairleadError as error:
        return str(error)


def _told(outcome: Any, gone: bool) -> str:
    if isinstance(outcome, BaseException):
        return f"{outcome}" + ("; it is not open any more" if gone else "")
    filled = f", {outcome.cum_qty} of it was filled" if outcome.cum_qty else ""
    return f"{outcome.status.value}{filled}"


async def _drop(
    settings: Settings,
    session: aiohttp.ClientSession,
    signer: SignerClient,
    where: str,
    record: PartRecord,
) -> list[Done]:
    """Asks the relay to drop a private transaction. It is confirmed by nobody but the chain, once its nonce is used."""
    authorized = record.authorized
    assert authorized is not None
    if is_keyed(authorized.nonce):
        told = f"a bundler gives nothing back: it may execute until its deadline {authorized.deadline_s}"
        ends = f"`fairlead cancel {record.part.cl_ord_id}` uses its nonce for nothing"
        return [Done(where, f"user operation {authorized.tx_hash}", False, f"{told}; {ends}")]
    what = f"transaction {authorized.tx_hash}"
    chain = settings.chain(authorized.chain_id)
    relay = relay_of(chain, session, signer) if chain is not None else None
    if relay is None or not relay.profile.cancels:
        name = relay.profile.name if relay is not None else "no relay"
        return [
            Done(
                where,
                what,
                False,
                f"{name} withdraws nothing: it may execute until its deadline {authorized.deadline_s}",
            )
        ]
    dropped = all([await relay.cancel(signed_tx(form)) for form in record.signed])
    told = (
        "the relay dropped it; a builder may still hold it until its deadline"
        if dropped
        else "the relay does not hold it: it may be in a block"
    )
    return [Done(where, what, dropped, told)]


__all__ = ["Done", "emptied", "everything"]
