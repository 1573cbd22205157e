"""One lost or garbled read of an exchange's account costs a plan a moment; one that stays away, or keeps its caller waiting, is left out."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from fake_venue import SYMBOL, FakeVenue
from manual_clock import ManualClock

from agent.app.live_market import LiveMarket
from agent.app.places import Directory
from agent.domain.errors import Reject, Retry
from agent.domain.instruments import Asset, cex_id
from agent.domain.reports import Balance
from agent.ports import VenueInstrument

ETH, USDC = cex_id("paper", "ETH"), cex_id("paper", "USDC")
KNOWN = Directory({"ETH": (ETH,), "USDC": (USDC,)}, {ETH: Asset(ETH, "ETH", 8), USDC: Asset(USDC, "USDC", 8)})


class Garbling(FakeVenue):
    """So many answers of the account, or of its markets, come as half of one, each after `late_s`."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock)
        self.garbled = {"balances": 0, "instruments": 0}
        self.told = {"balances": 0, "instruments": 0}
        self.late_s = 0.0

    async def _spoil(self, what: str) -> None:
        self.told[what] += 1
        if self.told[what] <= self.garbled[what]:
            await self._clock.sleep(self.late_s or 0.001)
            raise Retry("GARBLED", f"{what}: it broke on its way", "ask again")

    async def balances(self) -> Sequence[Balance]:
        await self._spoil("balances")
        return await super().balances()

    async def instruments(self) -> Sequence[VenueInstrument]:
        await self._spoil("instruments")
        return await super().instruments()


async def planning() -> tuple[Garbling, LiveMarket, ManualClock]:
    async def prices() -> tuple[()]:
        return ()

    clock = ManualClock()
    venue = Garbling(clock)
    await venue.start()
    settings: Any = SimpleNamespace(venue=lambda name: SimpleNamespace(symbols=(SYMBOL,)), chains=())
    return venue, LiveMarket(clock, settings, KNOWN, {}, {"paper": venue}, prices), clock


@pytest.mark.parametrize("what", ["balances", "instruments"])
async def test_a_read_that_was_garbled_is_asked_again_and_planned_with(what: str) -> None:
    venue, market, clock = await planning()
    began_ns = clock.now_ns()
    venue.garbled[what] = 3
    view = await market.view("ETH", "USDC")
    assert len(view.books) == 1 and view.inventory[ETH] == 50 * 10**8 and not market.left_out
    assert venue.told[what] == 4 and clock.now_ns() - began_ns < 10**9


async def test_one_that_never_answers_whole_is_left_out_after_two_seconds() -> None:
    venue, market, clock = await planning()
    began_ns = clock.now_ns()
    venue.garbled["balances"] = 10**6
    with pytest.raises(Reject, match="GARBLED") as none:
        await market.view("ETH", "USDC")
    assert none.value.code == "NO_MARKET" and 2 * 10**9 <= clock.now_ns() - began_ns < 3 * 10**9


async def test_one_that_let_us_wait_as_long_is_not_asked_again() -> None:
    venue, market, _ = await planning()
    venue.garbled["balances"], venue.late_s = 1, 5.0
    with pytest.raises(Reject, match="GARBLED"):
        await market.view("ETH", "USDC")
    assert venue.told["balances"] == 1
