"""Every module of agent/venues: facts that can be read without a network, and a session that is an ExecutionVenue."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import pkgutil
import time
from decimal import Decimal

import pytest
from paper import KEY, SECRET, paper

import agent.venues
from agent.domain.ids import ClOrdId
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder
from agent.ports import ExecutionVenue
from agent.transport.clock import SystemClock
from agent.venues import VenueFacts

MODULES = [m.name for m in pkgutil.iter_modules(agent.venues.__path__) if not m.name.startswith("_")]
NAMES = [name for name in MODULES if hasattr(importlib.import_module(f"agent.venues.{name}"), "VENUE")]
FAMILIES = {name for name in NAMES if hasattr(importlib.import_module(f"agent.venues.{name}"), "FAMILY")}
"""Modules that speak to many exchanges: their addresses are those of the one that the settings name."""


async def no_signer(method: str, path: str, payload: str) -> str:
    raise AssertionError("nothing may be signed here")


@pytest.mark.parametrize("name", NAMES)
async def test_the_facts_are_complete_and_the_session_has_every_method(name: str) -> None:
    facts = importlib.import_module(f"agent.venues.{name}").VENUE
    assert isinstance(facts, VenueFacts)
    if name not in FAMILIES:
        assert facts.rest_url.startswith("https://")
        assert facts.stream_url.startswith("wss://") and facts.order_api_url.startswith("wss://")
    assert Decimal(0) <= facts.maker_fee_bps <= facts.taker_fee_bps <= 100
    assert 0 < facts.recv_window_ms < 15_000, (
        "an answer of 'no such order' is believed 15 s after the signature"
    )
    assert facts.book_quiet_s < facts.book_stale_s
    which = {"exchange": "okx"} if name in FAMILIES else {}
    venue = facts.connect("mine", SystemClock(), "key", no_signer, base_url="http://127.0.0.1:9", **which)
    assert venue.name == "mine"
    for method, wanted in inspect.getmembers(ExecutionVenue, inspect.isfunction):
        if not method.startswith("_"):
            ours = getattr(type(venue), method)
            assert list(inspect.signature(ours).parameters) == list(inspect.signature(wanted).parameters), (
                method
            )
    await venue.close()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in FAMILIES])
async def test_a_base_url_replaces_every_address(name: str) -> None:
    venue = importlib.import_module(f"agent.venues.{name}").VENUE.connect(
        "mine", SystemClock(), "key", no_signer, base_url="http://127.0.0.1:9"
    )
    addresses = [venue.http.base_url, *(v for v in vars(venue).values() if isinstance(v, str) and "://" in v)]
    assert len(addresses) == 3 and all("//127.0.0.1:9" in address for address in addresses)
    await venue.close()


async def test_the_signer_would_sign_everything_the_session_asks_for() -> None:
    """The signer's own list of endpoints and parameters, against every call of a session that trades and listens."""
    from keys.signer import exchange

    async with paper() as door:

        async def judged(method: str, path: str, payload: str) -> str:
            exchange.check("binance", (), method, path, payload, now_ms=time.time_ns() // 1_000_000)
            asked.add(f"{method} {path}")
            if method == "WS":
                subscribed.set()
            return exchange.sign(SECRET.encode(), payload)

        asked: set[str] = set()
        subscribed = asyncio.Event()
        venue = importlib.import_module("agent.venues.binance_spot").VENUE.connect(
            "paper", SystemClock(), KEY, judged, base_url=door.url
        )
        await venue.start()
        order = VenueOrder(
            ClOrdId("j1"), "ETHUSDC", Side.BUY, OrdType.LIMIT, TimeInForce.GTC, Decimal(1), Decimal(3001)
        )
        await venue.submit(await venue.authorize(order))

        async def listen() -> None:
            async for _ in venue.stream():
                pass

        listener = asyncio.create_task(listen())
        await asyncio.wait_for(subscribed.wait(), 5)
        await venue.query(ClOrdId("j1"), "ETHUSDC")
        await venue.cancel(ClOrdId("j1"), "ETHUSDC")
        await venue.fills("ETHUSDC", 0)
        await venue.balances()
        listener.cancel()
        await asyncio.gather(listener, return_exceptions=True)
        await venue.close()
    reads = {f"GET /api/v3/{name}" for name in ("account", "openOrders", "myTrades", "order")}
    assert asked == reads | {
        "POST /api/v3/order",
        "DELETE /api/v3/order",
        "WS userDataStream.subscribe.signature",
    }
