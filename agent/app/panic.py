"""Cancels everything that can be cancelled, with as little as possible: the settings, the exchanges, the relays.

The journal is read where it reads, never written. Every place is tried whatever the others do, within a time-out of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import aiohttp

from agent.app.chain_desks import relay_of
from agent.app.places import place_named
from agent.app.readonly import read_book
from agent.app.settings_tree import Settings, Venue
from agent.app.wiring import connect_venue
from agent.domain.errors import FairleadError
from agent.domain.submission_state import UNDECIDED
from agent.execution.outbox import signed_tx
from agent.journal.records import PartRecord
from agent.transport.clock import SystemClock
from keys.client import SignerClient

TIMEOUT_S = 20.0


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
    found += [_offer(settings, record) for record in opened if record.is_offer]
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        signer = SignerClient(settings.signer.socket, settings.environment)
        stack.push_async_callback(signer.close)
        work: list[tuple[str, Awaitable[list[Done]]]] = [
            (venue.name, _venue(venue, signer)) for venue in settings.venues
        ]
        for record in pending:
            where = place_named(settings, record.part.place)
            work.append((where, _drop(settings, session, signer, where, record)))
        told = await asyncio.gather(
            *(asyncio.wait_for(each, TIMEOUT_S) for _, each in work), return_exceptions=True
        )
    for (where, _), outcome in zip(work, told, strict=True):
        found += [_failed(where, outcome)] if isinstance(outcome, BaseException) else outcome
    return found


def _failed(where: str, error: BaseException) -> Done:
    if isinstance(error, TimeoutError):
        return Done(where, "no answer", False, f"nothing came back within {TIMEOUT_S:g} s")
    return Done(where, "failed", False, str(error) or type(error).__name__)


def _offer(settings: Settings, record: PartRecord) -> Done:
    """An order for others to settle ends by a transaction of the Safe, or by itself: neither is done within a moment."""
    authorized = record.authorized
    assert authorized is not None
    return Done(
        place_named(settings, record.part.place),
        f"order {authorized.request_digest[:18]}…",
        False,
        f"a solver may settle it at its limit until {authorized.deadline_s}; `fairlead cancel {record.part.cl_ord_id}` ends it on chain",
    )


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
    """Cancels each open order at one exchange, ours or not, and then asks what is left."""
    name, done = configured.name, []
    venue = connect_venue(configured, SystemClock(), signer)
    try:
        await venue.start()
        opened = list(await venue.open_orders())
        outcomes = await asyncio.gather(
            *(venue.cancel(order.cl_ord_id, order.symbol) for order in opened), return_exceptions=True
        )
        left = {order.cl_ord_id for order in await venue.open_orders()}
        for order, outcome in zip(opened, outcomes, strict=True):
            about = f"{order.side.value.lower()} {order.order_qty} {order.symbol} {order.cl_ord_id}"
            gone = order.cl_ord_id not in left
            done.append(Done(name, about, gone, _told(outcome, gone)))
        new = left - {order.cl_ord_id for order in opened}
        done += [Done(name, f"order {other}", False, "appeared meanwhile") for other in sorted(new)]
        if not opened and not left:
            done.append(Done(name, "open orders", True, "none"))
    finally:
        await venue.close()
    return done


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


__all__ = ["Done", "everything"]
