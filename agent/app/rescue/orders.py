"""One order of a rescue at an exchange, on the road of all orders: planned over the book, reviewed, signed, followed to its end."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import TYPE_CHECKING

from agent.app.cli.common import first_error
from agent.app.cli.output import note
from agent.app.intents import Request, check_max_loss
from agent.app.proposals import held_to_price, propose
from agent.domain.errors import Usage
from agent.domain.ids import ClOrdId
from agent.domain.instruments import AssetId, cex_id
from agent.execution.desk import Desk
from agent.execution.spine import work
from agent.journal.records import ParentRecord

if TYPE_CHECKING:
    from agent.app.wiring import App
    from agent.ports import VenueInstrument


def of_source(desk: Desk, source: str) -> list[ParentRecord]:
    """Every order of it that the journal knows, in the order they were begun."""
    return [r for r in desk.book.parents.values() if r.parent.intent.source == source]


def open_of(desk: Desk, source: str) -> ClOrdId | None:
    """Its order that is not over."""
    return next((r.parent.cl_ord_id for r in of_source(desk, source) if r.closed is None), None)


def pair(app: App, venue: str, market: VenueInstrument) -> tuple[str, str]:
    """(contract, what it settles in), as they would be typed. Raises Usage UNNAMED_ASSET."""
    named = []
    for one in (market.base, market.quote):
        symbol = app.directory.symbols.get(AssetId(cex_id(venue, one)))
        if symbol is None:
            raise Usage("UNNAMED_ASSET", f"[assets] names no cex:{venue}/{one}", "add it to [assets]")
        named.append(f"{symbol}@cex:{venue}")
    return named[0], named[1]


async def carried(
    app: App,
    desk: Desk,
    request: Request,
    account: str,
    source: str,
    most_cost_usd: Decimal,
    begins: Callable[[ClOrdId], None] | None = None,
) -> ClOrdId:
    """To its end, whatever that is. Its name follows from the account and how many orders of the source there were: a restart begins none a
    second time. `begins` may raise where it may not be. Raises as `propose`, Denied MAX_LOSS."""
    salt, now_ns = f"{account} {len(of_source(desk, source))}", desk.clock.now_ns()
    found = await propose(app, request, salt=salt, source=source, created_ns=now_ns, note=note)
    check_max_loss(found.preview, most_cost_usd)
    parent = held_to_price(found, request)
    if begins is not None:
        begins(parent.cl_ord_id)
    try:
        await work(parent, desk)
    except BaseExceptionGroup as group:
        raise first_error(group) from None
    return parent.cl_ord_id
