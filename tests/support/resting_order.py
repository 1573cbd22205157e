"""An order that rests at a home's exchange, placed by another program with the same API key."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from agent.app.settings_tree import Settings
from agent.app.wiring import connect_venue
from agent.domain.ids import ClOrdId
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder
from agent.transport.clock import SystemClock
from keys.client import SignerClient


def leave_open(settings: Settings, name: str) -> None:
    """A bid far below the market, of which no journal here knows."""

    async def place() -> None:
        signer = SignerClient(settings.signer.socket, settings.environment)
        venue = connect_venue(settings.venues[0], SystemClock(), signer)
        await venue.start()
        order = VenueOrder(
            ClOrdId(name), "ETHUSDC", Side.BUY, OrdType.LIMIT, TimeInForce.GTC, Decimal(1), Decimal("2000.00")
        )
        await venue.submit(await venue.authorize(order))
        await venue.close()
        await signer.close()

    asyncio.run(place())
