"""An entry that rests with exits behind it, over every exchange that orders go to: one list where it holds such, else the entry alone and
never an order whose exits were quietly left away. See tests/support/venue_rigs.py."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from venue_rigs import RIGS, Rig, name_of

from agent.app.workshop import Workshop
from agent.domain.errors import Reject
from agent.domain.events import Approved, Planned, Prepared, Simulated
from agent.domain.ids import ClOrdId
from agent.domain.instruments import Place, cex_id
from agent.domain.order_lists import listed_ids
from agent.domain.order_state import TERMINAL, OrdStatus
from agent.domain.orders import ChildOrder, Exits, Part, Side, TimeInForce
from agent.domain.risk import Reservation
from agent.domain.routes import Costs, Leg, Route
from agent.ports import HoldsPairs
from agent.transport.clock import SystemClock
from chains.types import Protection

D = Decimal
HOLD_LISTS = {"binance_spot", "deribit"}
"""All others say so: their exits are given by this process once the entry is over."""


@pytest.fixture(params=RIGS)
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[tuple[str, Rig]]:
    async with RIGS[request.param]() as found:
        yield request.param, found


async def prepared(rig: Rig, exits: bool) -> tuple[Workshop, Prepared, Approved, Any]:
    """The entry as the road prepares it, its exits with it where they are wanted in one list."""
    place = Place(f"cex:{rig.venue.name}")
    instrument = next(one for one in await rig.venue.instruments() if one.symbol == rig.symbol)
    base, quote = (cex_id(rig.venue.name, one) for one in (instrument.base, instrument.quote))
    then = Exits(D(2900), D(2880), D(3200)) if exits else None
    child = ChildOrder(
        ClOrdId("c-x"), ClOrdId("p-x"), 0, Side.BUY, "ETH", "USDC", D(2), rig.far, 50, Protection.PRIVATE, 2**62,
        rests=True, then=then,
    )  # fmt: skip
    raws = (620_000_000_000, 200_000_000)
    part = Part(name_of(0), child.cl_ord_id, place, 1, quote, base, *raws, 0, (0,))
    leg = Leg(f"{rig.venue.name}:{instrument.base}/{instrument.quote}", place, quote, base, *raws, 0, 0, base, "book", qty=D(2), px=rig.near)  # fmt: skip
    route = Route(quote, base, *raws, raws[1], Costs(0, 0, 0, "1"), (leg,), (), "")
    approved = Approved(Planned(child, route, (part,), rig.far, (), (), 0), Reservation(D(0), ()), (), 0)
    view: Any = SimpleNamespace(assets={asset: SimpleNamespace(decimals=8) for asset in (base, quote)})
    workshop = Workshop(SystemClock(), {}, {rig.venue.name: rig.venue}, 60)
    return workshop, await workshop.prepare(part, approved, view), approved, view


async def test_an_entry_rests_at_its_limit(rig: tuple[str, Rig]) -> None:
    _, there = rig
    workshop, found, approved, view = await prepared(there, exits=False)
    assert found.order is not None
    assert (found.order.px, found.order.time_in_force) == (there.far, TimeInForce.GTC)
    assert isinstance(await workshop.simulate(found, approved, view), Simulated)
    taken = await there.venue.submit(await there.venue.authorize(found.order))
    assert (taken.status, taken.px) == (OrdStatus.NEW, there.far)
    ended = await there.venue.cancel(found.order.cl_ord_id, there.symbol)
    assert ended.status is OrdStatus.CANCELED and ended.cum_qty == 0


async def test_exits_go_with_it_as_one_list_or_nothing_goes(rig: tuple[str, Rig]) -> None:
    name, there = rig
    holds = isinstance(there.venue, HoldsPairs) and there.venue.holds_pairs(there.symbol)
    assert holds is (name in HOLD_LISTS)
    if not holds:
        with pytest.raises(Reject) as no:
            await prepared(there, exits=True)
        assert no.value.code == "NO_PAIRS_THERE" and await there.venue.open_orders() == ()
        return
    _, found, _, _ = await prepared(there, exits=True)
    assert found.order is not None and found.order.then is not None
    if there.leverage is not None:  # no fee is taken of a contract: the exits are of all that comes
        assert found.order.then.order_qty == found.order.order_qty
    exits = listed_ids(found.order.cl_ord_id, f"cex:{there.venue.name}").part
    await there.venue.submit(await there.venue.authorize(found.order))
    opened = {one.cl_ord_id: one.status for one in await there.venue.open_orders()}
    assert opened == {found.order.cl_ord_id: OrdStatus.NEW, exits: OrdStatus.NEW}
    await there.fill(found.order.cl_ord_id, D(2))
    assert {one.cl_ord_id for one in await there.venue.open_orders()} == {exits}
    assert (await there.venue.cancel(exits, there.symbol)).status in TERMINAL
    assert await there.venue.open_orders() == ()
