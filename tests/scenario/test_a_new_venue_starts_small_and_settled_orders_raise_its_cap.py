"""What is new may have little of ours at once; orders that settled there raise that, and a restart forgets none of them."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from desk import HERE, LIMITS, PAPER, Office, order

from agent.domain.events import Authorized, Breach
from agent.domain.risk import Ramp
from agent.execution.spine import work

RAMP = Ramp(Decimal(400), 4, 2, Decimal(20_000))


async def carried(office: Office, *quantities: str, salt: str) -> list[str]:
    """How each of these orders closed, one after the other, in one process's life."""
    async with office.open() as desk:
        closed = []
        for number, qty in enumerate(quantities):
            parent = order(office, qty, salt=f"{salt}{number}")
            await work(parent, desk)
            ended = desk.book.parents[parent.cl_ord_id].closed
            closed.append(ended.status if ended is not None else "")
        return closed


async def test_the_cap_denies_grows_with_what_settled_and_outlives_the_process(tmp_path: Path) -> None:
    office = Office(tmp_path, places=(PAPER,), limits=replace(LIMITS, ramp=RAMP))
    assert await carried(office, "1", salt="a") == ["FAILED"]
    (breach,) = [event for event in office.events() if isinstance(event, Breach)]
    (reason,) = breach.reasons
    assert reason.rule == "RAMP_CAP"
    assert "cex:paper is new here: 400 USD" in reason.message and "3000.00" in reason.message
    assert "2 more settled orders and 400.00 USD more of them raise it to 1600 USD" in reason.remedy
    assert not [event for event in office.events() if isinstance(event, Authorized)]
    assert await carried(office, "0.1", "0.1", salt="b") == ["FILLED", "FILLED"]
    assert await carried(office, "0.5", salt="c") == ["FILLED"], "what settled before the restart counts"
    assert await carried(office, "1", salt="d") == ["FAILED"], "1,600 USD is the second step"
    assert await carried(office, "0.5", "2", "1", salt="e") == ["FILLED", "FILLED", "FILLED"]
    assert await carried(office, "8", salt="f") == ["FILLED"], (
        "the third step ended it: the limits alone hold"
    )


async def test_a_place_that_is_known_is_free_and_its_new_pools_are_not(tmp_path: Path) -> None:
    ramp = replace(RAMP, known=(HERE,))
    office = Office(tmp_path, places=(HERE,), limits=replace(LIMITS, ramp=ramp))
    assert await carried(office, "4", salt="a") == ["FAILED"]
    (breach,) = [event for event in office.events() if isinstance(event, Breach)]
    assert {reason.rule for reason in breach.reasons} == {"RAMP_CAP"}
    assert all(reason.message.startswith("eip155:1/0x") for reason in breach.reasons)
