"""A private plan whose relay is missing, refuses, or cannot be reached never becomes public: it is denied, or it waits."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from desk import HERE, Office, order, statuses

from agent.domain.errors import Denied
from agent.execution.spine import work
from chains import relays
from chains.relay import Sendable, check_road, sendable
from chains.types import Protection, SignedTx


async def test_no_relay_is_denied_before_anything_is_signed(tmp_path: Path) -> None:
    office = Office(tmp_path, places=(HERE,), relay_missing=True)
    before, parent = office.held(), order(office, "4")
    async with office.open() as desk:
        await asyncio.wait_for(work(parent, desk), 20)
        closed = desk.book.parents[parent.cl_ord_id].closed
        assert closed is not None and closed.status == "FAILED"
        assert "relay" in closed.why
    assert not office.sender.signed, "a signed transaction is a bearer instrument: nothing may be signed"
    assert office.held() == before


async def test_a_relay_that_does_not_honour_the_plan_gets_nothing(tmp_path: Path) -> None:
    office = Office(tmp_path, places=(HERE,))
    chain = office.chains[1]
    chain.honours = frozenset({Protection.PUBLIC})
    before, parent = office.held(), order(office, "4")
    async with office.open() as desk:
        await asyncio.wait_for(work(parent, desk), 20)
        closed = desk.book.parents[parent.cl_ord_id].closed
        assert closed is not None and closed.status == "FAILED"
    assert not chain.sent and not chain.pending and office.held() == before


@pytest.mark.parametrize("says", ["unreachable", "refuses"])
async def test_a_relay_in_trouble_is_waited_for_or_ends_the_attempt(tmp_path: Path, says: str) -> None:
    office = Office(tmp_path, places=(HERE,))
    chain = office.chains[1]
    chain.relay_says = [says] * 4
    before, parent = office.held(), order(office, "4", life_s=7200)
    async with office.open() as desk:
        await asyncio.wait_for(work(parent, desk), 60)
        found = list(statuses(desk.book, parent))
        if says == "unreachable":  # four tries, then its deadline, then a fresh attempt with the same nonce
            assert found == ["EXPIRED", "FILLED"]
            assert before[0] - office.held()[0] == 4
        else:
            assert found == ["EXPIRED"] * 3, "three refusals in a row are enough"
            assert office.held() == before
    assert len({tx.nonce for tx in office.sender.signed}) == 1
    assert chain.swaps() == (1 if says == "unreachable" else 0)


def test_the_type_itself_refuses_another_road() -> None:
    private = relays.load("flashbots")
    public = relays.load("public")
    signed = SignedTx(1, "0x" + "11" * 20, 0, b"\x02", "0x" + "22" * 32)  # type: ignore[arg-type]
    item = sendable(signed, Protection.PRIVATE, private)
    with pytest.raises(Denied, match="allowed on flashbots"):
        check_road(item, public)
    with pytest.raises(Denied) as denied:
        sendable(signed, Protection.PRIVATE, public)
    assert denied.value.code == "PROTECTION_NOT_HONOURED"
    with pytest.raises(Denied):
        Sendable(signed, Protection.PRIVATE, "flashbots", object())  # type: ignore[arg-type]
