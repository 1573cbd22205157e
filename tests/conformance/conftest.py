"""One account at each exchange that orders go to, for the suite that runs over all of them; see tests/support/venue_rigs.py."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator

import pytest
from venue_rigs import RIGS, Rig
from wire import Wire, wired

from agent.venues import VenueFacts

IN_MEMORY = {"memory"}
"""The fake of the other tests has no network to go wrong."""


@pytest.fixture(params=RIGS)
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with RIGS[request.param]() as found:
        yield found


@pytest.fixture(params=[name for name in RIGS if name not in IN_MEMORY])
async def on_a_wire(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Rig, Wire]]:
    """The same account with a network before its exchange that spoils what it is told to."""
    async with RIGS[request.param]() as found, wired(found.venue, found.orders_wire) as wire:
        yield found, wire


@pytest.fixture
def facts(request: pytest.FixtureRequest) -> VenueFacts:
    """What the exchange of the rig says that it takes; the fake speaks the dialect of Binance's spot market, and FIX says what REST does."""
    name = request.node.callspec.params["rig"].partition(" ")[0]
    module = importlib.import_module(f"agent.venues.{'binance_spot' if name in IN_MEMORY else name}")
    found: VenueFacts = module.VENUE
    return found
