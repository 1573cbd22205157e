"""A stop that was reached and is then refused by a rule of ours protects nothing: what it ends counts for no cap of what may stand at an
exchange, and where a rule refuses it all the same its owner hears of it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from desk import LIMITS, PAPER, Grave, Office, order

from agent.app.cli.trade import refuse_unprotecting
from agent.domain.errors import Denied
from agent.domain.events import Alarmed, Breach
from agent.domain.risk import BreachReason, Limits, Ramp
from agent.execution.spine import work

D = Decimal
NEAR = (("stop-loss", "2990"), ("take-profit", "3010"))
CAPPED = replace(LIMITS, counterparty_cap_usd=((PAPER, D(1)),))
RAMPED = replace(LIMITS, ramp=Ramp(D(250), 4, 3, D(50_000)))


async def reached(folder: Path, limits: Limits, seconds: float) -> tuple[Office, Grave, str]:
    """An exit whose stop is reached after three seconds; how it stands `seconds` later."""
    office, grave = Office(folder, places=(PAPER,), limits=limits), Grave()
    assert office.venue is not None
    parent = order(office, "2", algo="exit", params=NEAR, life_s=100_000)
    async with office.open(grave) as desk:
        doing = asyncio.create_task(work(parent, desk))
        await desk.clock.sleep(3)
        office.venue.house("SELL", "2985", "1200", tif="GTC")
        await desk.clock.sleep(seconds)
        closed = desk.book.parents[parent.cl_ord_id].closed
        doing.cancel()
        await asyncio.gather(doing, return_exceptions=True)
    return office, grave, closed.status if closed is not None else ""


async def test_an_exchange_above_its_cap_still_takes_the_stop(tmp_path: Path) -> None:
    office, _, status = await reached(tmp_path, CAPPED, 60)
    assert status == "FILLED" and office.held()[0] == D(48)


async def test_but_no_other_order(tmp_path: Path) -> None:
    office, grave = Office(tmp_path, places=(PAPER,), limits=CAPPED), Grave()
    async with office.open(grave) as desk:
        await work(order(office, "2"), desk)
    (breach,) = [event for event in grave.seen if isinstance(event, Breach)]
    assert breach.reasons[0].rule == "COUNTERPARTY_CAP" and office.held()[0] == D(50)


async def test_a_stop_that_a_rule_refuses_is_told_once_an_hour(tmp_path: Path) -> None:
    _, grave, status = await reached(tmp_path, RAMPED, 2 * 3600 + 120)
    refused = [event for event in grave.seen if isinstance(event, Breach)]
    told = [event for event in grave.seen if isinstance(event, Alarmed)]
    assert not status and len(refused) > 60, "it is tried again for as long as it lives"
    assert [alarm.code for alarm in told] == ["EXIT_REFUSED"] * 3
    assert "RAMP_CAP: cex:paper is new here: 250 USD" in told[0].message


def test_it_is_refused_when_it_is_asked_for_and_not_when_its_price_comes() -> None:
    for rule in ("RAMP_CAP", "ORDER_TOO_LARGE", "ASSET_NOT_ALLOWED"):
        with pytest.raises(Denied, match="when its price comes") as refused:
            refuse_unprotecting([BreachReason("FRESH", "passes", ""), BreachReason(rule, "too much", "less")])
        assert refused.value.code == rule
    refuse_unprotecting(
        [BreachReason("PRICE_UNKNOWN", "a source is down", "wait")]
    )  # the market may be back by then
