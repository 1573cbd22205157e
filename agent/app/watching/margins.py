"""Margin accounts at exchanges, read now and judged by their models. One that does not answer is UNKNOWN, never left out."""

from __future__ import annotations

import asyncio
import importlib

from agent.app.settings_tree import Settings, Venue
from agent.app.watching.loans import Loan
from agent.domain.errors import FairleadError
from agent.margin.accounts import Judged, judge
from agent.ports import TellsMargin
from keys.client import SignerClient


async def judged_now(venue: TellsMargin) -> list[Judged]:
    """Raises Retry, Reject as the venue's reads."""
    return judge(await venue.margin())


def tells_margin(configured: Venue) -> bool:
    """Told by the module itself: no other exchange is asked anything."""
    try:
        module = importlib.import_module(f"agent.venues.{configured.module}")
    except ImportError:
        return False
    found = getattr(module, "MARGIN", False) or configured.exchange in getattr(module, "MARGIN_AT", ())
    return found or configured.portfolio_margin


async def margins_of(settings: Settings, signer: SignerClient | None = None) -> list[Loan]:
    """Of every configured exchange that tells them and has a key. `signer` None: the settings' own."""
    asked = [venue for venue in settings.venues if venue.api_key is not None and tells_margin(venue)]
    if not asked:
        return []
    client = signer or SignerClient(settings.signer.socket, settings.environment)
    try:
        found = await asyncio.gather(*(_of(venue, client) for venue in asked))
    finally:
        if signer is None:
            await client.close()
    return [loan for loans in found for loan in loans]


async def _of(configured: Venue, signer: SignerClient) -> list[Loan]:
    from agent.app.wiring import connect_venue
    from agent.transport.clock import SystemClock

    exchange = None
    try:
        exchange = connect_venue(configured, SystemClock(), signer)
        assert isinstance(exchange, TellsMargin)
        await exchange.start()
        return [Loan(judged, None) for judged in await judged_now(exchange)]
    except FairleadError as error:
        halt = error if error.verb == "HALT" else None
        name, place = f"{configured.name} margin", f"cex:{configured.name}"
        unknown = Judged(name, configured.module, place, None, {}, 0, error.message)
        return [Loan(unknown, None, halt=halt)]
    finally:
        if exchange is not None:
            await exchange.close()
