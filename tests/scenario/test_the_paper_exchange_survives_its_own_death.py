"""Killed and started again on its command log, the exchange knows every order, trade and balance it had acknowledged."""

from __future__ import annotations

import signal
from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest
from paper import Door, PaperProcess, session

from agent.domain.ids import ClOrdId
from agent.domain.order_state import OrdStatus
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder


async def test_sigkill_and_restart(tmp_path: Path) -> None:
    log = tmp_path / "commands"
    server = PaperProcess(tmp_path, "--journal", str(log), "--tick-ms", "50")
    await server.start()
    try:
        venue = session(server.url)
        await venue.start()
        sale = VenueOrder(
            ClOrdId("k1"), "ETHUSDC", Side.SELL, OrdType.MARKET, TimeInForce.IOC, Decimal(4), None
        )
        rest = VenueOrder(
            ClOrdId("k2"), "ETHUSDC", Side.BUY, OrdType.LIMIT, TimeInForce.GTC, Decimal(1), Decimal(2900)
        )
        await venue.submit(await venue.authorize(sale))
        await venue.submit(await venue.authorize(rest))
        async with aiohttp.ClientSession() as client:
            before = await Door(server.url, client).truth()
        server.stop(signal.SIGKILL)
        with log.open("ab") as file:
            file.write(b'{"op": "place", "t": 1, "r": {"accou')  # the write that death interrupted
        await server.start()
        async with aiohttp.ClientSession() as client:
            after = await Door(server.url, client).truth()
        assert after == before and len(after["trades"]) >= 2
        resting = await venue.query(ClOrdId("k2"), "ETHUSDC")
        assert resting is not None and resting.status is OrdStatus.NEW
        assert (await venue.cancel(ClOrdId("k2"), "ETHUSDC")).status is OrdStatus.CANCELED
        await venue.close()
    finally:
        server.stop()


async def test_a_log_of_another_exchange_is_refused(tmp_path: Path) -> None:
    log = tmp_path / "commands"
    server = PaperProcess(tmp_path, "--journal", str(log))
    await server.start()
    server.stop(signal.SIGTERM)
    other = PaperProcess(tmp_path, "--journal", str(log), "--seed", "2")
    with pytest.raises(AssertionError, match="other symbols, seed, mid or accounts"):
        await other.start()
    other.stop()
