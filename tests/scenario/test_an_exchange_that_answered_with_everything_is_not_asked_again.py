"""The answer to an order that ended at once is its whole story: nothing more is asked, and anything less is asked after."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import desk as d

from agent.domain.ids import ClOrdId
from agent.domain.order_state import OrdStatus
from agent.domain.orders import Side
from agent.domain.reports import Fill, OrderSnapshot
from agent.execution.outbox import is_whole
from agent.execution.spine import work

FILL = Fill(
    "ETHUSDC:1", d.PAPER, d.ETH[2], d.USDC[2], Decimal(2), Decimal(6000), d.USDC[2], Decimal(6), 1
)  # fmt: skip
TOLD = OrderSnapshot(
    ClOrdId("fl-1"), "7", "ETHUSDC", Side.SELL, OrdStatus.FILLED, Decimal(2), Decimal(3000), Decimal(2), (FILL,), 1
)  # fmt: skip


async def filled(folder: Path, *trouble: str) -> tuple[int, Decimal]:
    """(how often it was asked after the order, what the book says was sold)."""
    office = d.Office(folder, places=(d.PAPER,))
    assert office.venue is not None
    office.venue.silent, office.venue.next_submit = True, list(trouble)
    async with office.open() as desk:
        parent = d.order(office, "0.5")
        await work(parent, desk)
        assert not desk.outbox.answers
        return office.venue.asked, desk.book.filled_base(parent.cl_ord_id)


async def test_a_filled_orders_own_answer_is_its_end(tmp_path: Path) -> None:
    assert await filled(tmp_path) == (0, Decimal("0.5"))


async def test_an_answer_that_was_lost_is_asked_for(tmp_path: Path) -> None:
    asked, sold = await filled(tmp_path, "lost_after")
    assert asked >= 1 and sold == Decimal("0.5")


def test_only_an_ended_order_with_all_its_fills_is_whole() -> None:
    bought = replace(FILL, asset_in=d.USDC[2], asset_out=d.ETH[2], qty_in=Decimal(6000), qty_out=Decimal(2))
    assert is_whole(TOLD)
    assert is_whole(replace(TOLD, side=Side.BUY, fills=(bought,)))
    assert is_whole(replace(TOLD, status=OrdStatus.EXPIRED, cum_qty=Decimal(0), fills=()))
    for less in (
        replace(TOLD, fills=()),
        replace(TOLD, cum_qty=Decimal(3)),
        replace(TOLD, status=OrdStatus.NEW, cum_qty=Decimal(0), fills=()),
        replace(TOLD, status=OrdStatus.PARTIALLY_FILLED),
        replace(TOLD, side=Side.BUY),
    ):
        assert not is_whole(less), less
