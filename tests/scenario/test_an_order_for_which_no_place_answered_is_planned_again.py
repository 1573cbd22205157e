"""That no place answered is no refusal: a slice is planned again, three times at most, and then the order says why it failed."""

from __future__ import annotations

from pathlib import Path

import pytest
from desk import PAPER, MemoryMarket, Office, order

from agent.domain.errors import Denied, FairleadError, Reject
from agent.execution.spine import work
from agent.market.view import MarketView

NOBODY = Reject("NO_MARKET", "no place answered: paper: GARBLED: half an answer", "see `fairlead doctor`")


class Silent(MemoryMarket):
    """Its first views end in that error."""

    def __init__(self, office: Office, error: FairleadError, times: int) -> None:
        super().__init__(office)
        self._left = [error] * times

    async def view(self, base: str, quote: str) -> MarketView:
        if self._left:
            raise self._left.pop()
        return await super().view(base, quote)


@pytest.mark.parametrize(
    ("error", "times", "status", "slices"),
    [
        (NOBODY, 1, "FILLED", 2),
        (NOBODY, 9, "FAILED", 3),
        (Denied("SCOPE_ASSET", "the scope does not name it", "ask the owners"), 1, "FAILED", 1),
    ],
)
async def test_it_is_done_once_somebody_answers(
    tmp_path: Path, error: FairleadError, times: int, status: str, slices: int
) -> None:
    office = Office(tmp_path, places=(PAPER,))
    async with office.open() as desk:
        desk.market = Silent(office, error, times)
        parent = order(office, "3")
        await work(parent, desk)
        record = desk.book.parents[parent.cl_ord_id]
        assert record.closed is not None and record.closed.status == status
        assert len(record.children) == slices and (status == "FILLED" or error.message in record.closed.why)
