"""An exchange that holds more than its owner allowed: an alarm that names what to withdraw, once for each piece of news."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from fake_venue import FakeVenue
from hypothesis import given
from hypothesis import strategies as st
from manual_clock import ManualClock

from agent.app.counterparty import AGAIN_NS, CapWatch, Lot, excess
from agent.app.places import Directory
from agent.domain.errors import Retry
from agent.domain.events import Alarmed
from agent.domain.instruments import Asset, cex_id, erc20_id
from agent.domain.risk import OraclePrice

D = Decimal
WETH = erc20_id(1, "0x" + "11" * 20)
ETH, USDC = cex_id("paper", "ETH"), cex_id("paper", "USDC")
KNOWN = Directory(
    {"ETH": (ETH, WETH), "USDC": (USDC,)},
    {a: Asset(a, s, 8) for a, s in ((ETH, "ETH"), (USDC, "USDC"), (WETH, "ETH"))},
)

lots = st.builds(
    Lot,
    st.sampled_from(["ETH", "BTC", "USDC", "DOGE"]),
    st.decimals(0, 10_000, places=8),
    st.decimals(0, 1_000, places=8),
    st.none() | st.decimals("0.0001", 100_000, places=6),
    st.integers(0, 8),
)


@given(st.lists(lots, max_size=4, unique_by=lambda lot: lot.symbol), st.decimals(1, 10**6, places=2))
def test_what_is_named_ends_the_excess_and_a_step_less_would_not(found: list[Lot], cap: Decimal) -> None:
    over = excess(found, cap)
    value = sum((lot.worth for lot in found), D(0))
    assert (over is None) is (value <= cap)
    if over is None:
        return
    there = {lot.symbol: lot for lot in found}
    took = [(there[symbol], qty, there[symbol].px or D(0)) for symbol, qty in over.take]
    assert all(0 < qty <= lot.free and px for lot, qty, px in took)
    worth = sum((qty * px for _, qty, px in took), D(0))
    assert over.value == value and value - worth - over.locked_usd <= cap
    if took and not over.locked_usd:
        lot, _, px = took[-1]
        assert value - worth + px * D(1).scaleb(-lot.places) > cap


@dataclass
class Told:
    alarms: list[Alarmed] = field(default_factory=list)

    async def record(self, event: Any) -> Any:
        self.alarms.append(event)
        return event

    record_durably = record


async def test_one_alarm_for_each_piece_of_news_with_asset_quantity_and_destination() -> None:
    clock, told, px = ManualClock(), Told(), [D(3000)]
    venue = FakeVenue(clock)  # 50 ETH and 100,000 USDC
    await venue.start()

    async def prices() -> list[OraclePrice]:
        dearer = [OraclePrice("b", "ETH", px[0], clock.now_s), OraclePrice("a", "ETH", px[0] - 100, 0)]
        return [*dearer, OraclePrice("a", "USDC", D(1), clock.now_s)]

    watch = CapWatch({"paper": venue}, {"paper": D(150_000)}, KNOWN, prices, clock, told, "0xSafe")
    await watch.look()
    await watch.look()
    (first,) = told.alarms
    assert first.code == "COUNTERPARTY_CAP"
    assert (
        "paper holds 250000.00 USD of yours, 100000.00 more than its cap of 150000: withdraw 33.33333334 ETH to 0xSafe on eip155:1. "
        in first.message
    )
    assert "cannot withdraw" in first.message
    px[0] = D(3300)  # 15,000 more: by more than a tenth
    await watch.look()
    assert len(told.alarms) == 2 and "34.84848485 ETH" in told.alarms[1].message
    await clock.sleep(AGAIN_NS / 1e9)
    await watch.look()
    assert len(told.alarms) == 3
    px[0] = D(900)  # 145,000: below
    await watch.look()
    px[0] = D(3000)
    await watch.look()
    assert len(told.alarms) == 4 and told.alarms[3].message == first.message


async def test_what_orders_hold_is_told_to_be_freed_first_and_the_unpriced_is_named() -> None:
    found = excess(
        [
            Lot("ETH", D(1), D(30), D(3000), 8),
            Lot("USDC", D(2_000), D(0), D(1), 2),
            Lot("DOGE", D(5), D(0), None, 8),
        ],
        D(50_000),
    )
    assert found is not None
    assert (found.over, found.take) == (D(45_000), (("ETH", D(1)), ("USDC", D(2_000))))
    said = found.said("paper", {})
    assert "40000.00 USD of it are held by open orders" in said and "for want of a price: DOGE" in said


async def test_an_exchange_that_does_not_answer_is_looked_at_the_next_time() -> None:
    clock, told = ManualClock(), Told()
    venue = FakeVenue(clock)

    async def prices() -> list[OraclePrice]:
        return [OraclePrice("a", "ETH", D(3000), clock.now_s)]

    watch = CapWatch({"paper": venue}, {"paper": D(1)}, KNOWN, prices, clock, told, "0xSafe")
    with pytest.raises(Retry):
        await venue.balances()
    await watch.look()
    assert told.alarms == []
    await venue.start()
    await watch.look()
    assert [alarm.code for alarm in told.alarms] == ["COUNTERPARTY_CAP"]


async def test_without_a_cap_nothing_is_said_for_its_orders_are_denied_anyway() -> None:
    clock, told = ManualClock(), Told()
    venue = FakeVenue(clock)
    await venue.start()

    async def prices() -> list[OraclePrice]:
        return [OraclePrice("a", "ETH", D(3000), clock.now_s)]

    for caps in ({}, {"paper": D(0)}):
        await CapWatch({"paper": venue}, caps, KNOWN, prices, clock, told, "0xSafe").look()
    assert told.alarms == []


async def test_a_clock_that_went_back_is_no_reason_for_silence() -> None:
    clock, told = ManualClock(), Told()
    venue = FakeVenue(clock)
    await venue.start()

    async def prices() -> list[OraclePrice]:
        return [OraclePrice("a", "ETH", D(3000), clock.now_s)]

    watch = CapWatch({"paper": venue}, {"paper": D(1)}, KNOWN, prices, clock, told, "0xSafe")
    await watch.look()
    await watch.look()
    assert len(told.alarms) == 1
    watch.clock = ManualClock(clock.now_ns() - 3_600 * 10**9)
    await watch.look()
    await watch.look()
    assert len(told.alarms) == 2
