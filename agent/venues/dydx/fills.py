"""An account's fills at dYdX: the indexer tells the newest first, page by page, each page back from an instant."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from agent.domain.errors import Retry
from agent.domain.ids import ClOrdId
from agent.domain.instruments import cex_id
from agent.domain.reports import Fill, FillsNotTold
from agent.market.reading import whole
from agent.venues import understood
from agent.venues.dydx import codec

PAGE, PAGES = 100, 100
Told = tuple[ClOrdId, str, Fill]
Ask = Callable[[str, str, Mapping[str, str]], Awaitable[Any]]


class Fills:
    def __init__(self, reader: codec.Reader, ask: Ask) -> None:
        self._reader, self._ask = reader, ask

    async def since(self, since_ns: int, symbol: str = "") -> list[Told]:
        """Oldest first; of one market, or of all that are traded. Raises Retry TOO_MANY_FILLS."""
        found = await self._back(symbol, lambda fill, height: fill[2].at_ns < since_ns, lambda: False)
        return [one for one in found if one[2].at_ns >= since_ns]

    async def of(self, stands: codec.Stands) -> tuple[Fill, ...]:
        """Of one order, oldest first, all that make up what is told to be done of it. Raises FillsNotTold where some are not told yet."""
        order, mine = stands.order, dict[str, Fill]()
        contract = cex_id(self._reader.venue, order.symbol)

        def done() -> Decimal:
            return sum((f.qty_out if f.asset_out == contract else f.qty_in for f in mine.values()), Decimal(0))  # fmt: skip

        def older(fill: Told, height: int) -> bool:
            if fill[1] == stands.id:
                mine[fill[2].exec_id] = fill[2]
            return height < stands.height

        await self._back(order.symbol, older, lambda: done() == order.cum_qty)
        fills = tuple(sorted(mine.values(), key=lambda fill: (fill.at_ns, fill.exec_id)))
        if done() != order.cum_qty:
            raise FillsNotTold(self._reader.venue, replace(order, fills=fills))
        return fills

    async def _back(self, symbol: str, older: Callable[[Told, int], bool], enough: Callable[[], bool]) -> list[Told]:  # fmt: skip
        """Everything back to the first that is `older`, oldest first."""
        found: dict[str, Told] = {}
        account, before = self._reader.account, ""
        for _ in range(PAGES):
            asked = {"address": account.address, "subaccountNumber": str(account.subaccount), "limit": str(PAGE)}  # fmt: skip
            asked |= {"market": symbol, "marketType": "PERPETUAL"} if symbol else {}
            asked |= {"createdBeforeOrAt": before} if before else {}
            data = await self._ask("fills", "/v4/fills", asked)
            known, over = len(found), False
            with understood("fills"):
                rows = data["fills"]
                for row in rows:
                    if self._reader.trades(row):
                        told = self._reader.fill(row)
                        over |= older(told, whole(row["createdAtHeight"]))
                        found[told[2].exec_id] = told
                before = rows[-1]["createdAt"] if rows else ""
            if over or enough() or len(rows) < PAGE:
                return sorted(found.values(), key=lambda told: (told[2].at_ns, told[2].exec_id))
            if len(found) == known:  # a whole page of one instant, or of markets that are not traded
                before = _earlier(before)
        raise Retry("TOO_MANY_FILLS", f"more than {PAGE * PAGES} fills since then", "ask for a later time")


def _earlier(instant: str) -> str:
    """A millisecond before."""
    with understood("fills"):
        at = datetime.fromisoformat(instant.replace("Z", "+00:00")).astimezone(UTC)
        ms = int(at.timestamp()) * 1_000 + at.microsecond // 1_000 - 1
        return datetime.fromtimestamp(ms // 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1_000:03d}Z"
