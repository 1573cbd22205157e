"""Orders by a seed at Kraken and Coinbase, over a network that spoils requests: none lost, none twice, and the balances are what the fills say."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from decimal import Decimal
from random import Random

import pytest
from venue_rigs import RIGS, Rig, name_of
from wire import Fault, Wire, wired

from agent.domain.errors import FairleadError, Reconcile, Reject, Retry
from agent.domain.order_state import TERMINAL, OrdStatus
from agent.domain.orders import Side, VenueOrder
from agent.domain.reports import OrderSnapshot

D = Decimal
FAULTS = [fault for fault in Fault if fault is not Fault.SILENT_AFTER]
SPOT = ("kraken", "coinbase")


async def totals(rig: Rig) -> Counter[str]:
    found = Counter[str]()
    for one in await rig.venue.balances():
        found[one.asset] += one.free + one.locked  # type: ignore[assignment]
    return found


def drawn(rig: Rig, number: int, chance: Random) -> VenueOrder:
    takes, qty = chance.random() < 0.5, D(chance.randrange(1, 60)) / 100
    order = rig.bid(number, str(qty), ioc=takes)
    if chance.random() < 0.4:
        px = rig.far if takes else rig.near
        order = replace(order, side=Side.SELL, px=px)
    return order


async def life(rig: Rig, wire: Wire, number: int, chance: Random) -> OrderSnapshot | None:
    """The order as its exchange has it, where it has it: asked for by its name whatever became of an answer."""
    name, order = name_of(number), drawn(rig, number, chance)
    if chance.random() < 0.6:
        wire.arm(chance.choice(FAULTS), write=True)
    request = await rig.venue.authorize(order)
    for _ in range(2):
        try:
            await rig.venue.submit(request)
        except Retry:
            continue  # turned away: the same bytes again
        except Reconcile:
            with pytest.raises(FairleadError) as again:
                await rig.venue.submit(request)
            assert again.value.verb in ("RECONCILE", "REJECT")
        except Reject:
            pass  # its nonce was overtaken by what was asked since
        break
    found = await rig.venue.query(name, rig.symbol)
    if found is None or found.status in TERMINAL or chance.random() < 0.5:
        return found
    if chance.random() < 0.5:
        wire.arm(chance.choice(FAULTS), write=True)
    try:
        await rig.venue.cancel(name, rig.symbol)
    except (Retry, Reconcile):
        pass
    return await rig.venue.query(name, rig.symbol)


async def lives(which: str, count: int, seed: int) -> Counter[str]:
    chance, ends = Random(f"{which} {seed}"), Counter[str]()
    async with RIGS[which]() as rig, wired(rig.venue) as wire:
        before, there = await totals(rig), dict[str, OrderSnapshot]()
        for number in range(count):
            found = await life(rig, wire, number, chance)
            wire._armed.clear()
            if found is not None:
                there[name_of(number)] = found
                ends[found.status.value] += 1
            else:
                ends["never there"] += 1
        assert await rig.orders_there() == len(there)
        resting = {name for name, one in there.items() if one.status is OrdStatus.NEW}
        assert {one.cl_ord_id for one in await rig.venue.open_orders()} == resting
        told = await rig.venue.fills(rig.symbol, 0)
        assert len({fill.exec_id for _, fill in told}) == len(told)
        moved = Counter[str]()
        for name, fill in told:
            assert fill in there[name].fills
            moved[fill.asset_out] += fill.qty_out  # type: ignore[assignment]
            moved[fill.asset_in] -= fill.qty_in  # type: ignore[assignment]
            moved[fill.fee_asset] -= fill.fee_qty  # type: ignore[assignment]
        assert sum(len(one.fills) for one in there.values()) == len(told)
        after = await totals(rig)
        assert {a: after[a] - before[a] for a in after} == {a: moved[a] for a in after}
    return ends


@pytest.mark.parametrize("which", SPOT)
async def test_forty_lives_end_as_their_exchange_says(which: str) -> None:
    ends = await lives(which, 40, 1)
    assert ends["FILLED"] > 5 and ends["NEW"] > 2 and ends["CANCELED"] > 2 and ends["never there"] > 2


@pytest.mark.full
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("which", SPOT)
async def test_so_do_a_thousand_each(which: str) -> None:
    total = Counter[str]()
    for seed in range(10):
        total += await lives(which, 100, 100 + seed)
    assert sum(total.values()) == 1_000 and min(total.values()) > 20
