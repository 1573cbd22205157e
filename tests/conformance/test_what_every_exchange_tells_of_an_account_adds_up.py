"""The acceptance suite, its part on reconciliation: orders, fills, balances and positions of every exchange beside one another and the books.

Numbers 2, 5, 6, 7, 9 and 11 of the failures this must survive.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal

import pytest
from venue_rigs import Rig, name_of

from agent.app.comparison import Difference, compare_venue
from agent.domain.errors import Retry
from agent.domain.events import Certified
from agent.domain.instruments import place_of
from agent.domain.order_state import ExecType, OrdStatus
from agent.domain.reports import Balance, ExecutionReport, OrderSnapshot
from agent.journal.book import Book
from agent.ports import HoldsPositions

D = Decimal
AT_NS = 1_700_000_000_000_000_000


async def sent(rig: Rig, number: int = 0, qty: str = "2", ioc: bool = False) -> OrderSnapshot:
    return await rig.venue.submit(await rig.venue.authorize(rig.bid(number, qty, ioc=ioc)))


async def held(rig: Rig) -> dict[str, Balance]:
    return {balance.asset: balance for balance in await rig.venue.balances()}


async def stands(rig: Rig) -> dict[str, Decimal]:
    """What is held in contracts, where it has any."""
    if not isinstance(rig.venue, HoldsPositions):
        return {}
    return {held.symbol: held.qty for held in await rig.venue.positions() if held.qty}


async def told(rig: Rig, enough: Callable[[list[ExecutionReport]], bool]) -> list[ExecutionReport]:
    got: list[ExecutionReport] = []
    async with asyncio.timeout(10):
        async for report in rig.venue.stream():
            got.append(report)
            if enough(got):
                break
    return got


async def compared(rig: Rig, now_ns: int = AT_NS) -> list[Difference]:
    """Beside books that know nothing; positions have a test of their own."""
    found = await compare_venue(rig.venue, Book(), (rig.symbol,), now_ns)
    return [one for one in found if one.kind != "position"]


async def test_balances_change_by_what_was_filled_and_charged(rig: Rig) -> None:
    before = await held(rig)
    taken = await sent(rig, qty="0.5", ioc=True)
    (fill,) = taken.fills
    after = await held(rig)
    changed = {asset: after[asset].free - before[asset].free for asset in after}
    expected = dict.fromkeys(after, D(0))
    expected[fill.fee_asset] -= fill.fee_qty
    if rig.leverage is None:
        expected[fill.asset_in] -= fill.qty_in
        expected[fill.asset_out] += fill.qty_out
        assert changed == expected and not any(balance.locked for balance in after.values())
    else:  # no coin changes hands: what was bought is a claim, and margin is held for it
        margin = fill.qty_in / rig.leverage
        expected[fill.asset_in] -= margin
        assert (
            changed == expected
            and fill.asset_out not in after
            and await stands(rig) == {rig.symbol: fill.qty_out}
        )
        assert {asset: held.locked for asset, held in after.items() if held.locked} == {fill.asset_in: margin}


async def test_what_rests_is_locked_until_it_ends(rig: Rig) -> None:
    """On margin it is a share of it, and what was filled holds its own until it is closed."""
    before, share = await held(rig), rig.leverage or 1
    await sent(rig)
    during = await held(rig)
    (locked,) = [one for one in during.values() if one.locked]
    assert locked.locked == 2 * rig.far / share == before[locked.asset].free - locked.free
    await rig.fill(name_of(0), D("0.5"))
    filled = D("0.5") * rig.far / share if rig.leverage else D(0)
    assert (await held(rig))[locked.asset].locked == D("1.5") * rig.far / share + filled
    await rig.venue.cancel(name_of(0), rig.symbol)
    assert sum(one.locked for one in (await held(rig)).values()) == filled


async def test_a_fill_has_one_id_by_every_door_and_at_every_asking(rig: Rig) -> None:
    """What was found by asking, and is told later of itself, is the same execution: number 7. No fill is ever made up from an order's sums."""
    await sent(rig)
    await rig.fill(name_of(0), D("0.5"))
    await rig.fill(name_of(0), D("0.25"))
    asked = await rig.venue.query(name_of(0), rig.symbol)
    listed = [fill for _, fill in await rig.venue.fills(rig.symbol, 0)]
    heard = await told(rig, lambda seen: len([r for r in seen if r.fill is not None]) == 2)
    assert asked is not None and len({fill.exec_id for fill in asked.fills}) == 2
    assert list(asked.fills) == listed == [fill for _, fill in await rig.venue.fills(rig.symbol, 0)]
    assert [r.fill for r in heard if r.fill is not None] == listed
    assert {place_of(fill.asset_in) for fill in listed} == {f"cex:{rig.venue.name}"}


async def test_two_that_listen_one_after_the_other_hear_the_same_executions(rig: Rig) -> None:
    """A session that comes back tells again what the one before may have told, under the same ids: whoever counts by them counts once."""
    await sent(rig)
    await rig.fill(name_of(0), D("0.5"))
    first = await told(rig, lambda seen: any(r.fill is not None for r in seen))
    await rig.fill(name_of(0), D("0.75"))
    second = await told(rig, lambda seen: sum((r.fill.qty_out for r in seen if r.fill), D(0)) >= D("0.75"))
    ids = {r.fill.exec_id: r.fill for r in (*first, *second) if r.fill is not None}
    assert sum((fill.qty_out for fill in ids.values()), D(0)) == D("1.25")


async def test_a_fill_before_the_cancel_is_told_to_whoever_listens_only_then(rig: Rig) -> None:
    await sent(rig)
    await rig.fill(name_of(0), D("0.5"))
    await rig.venue.cancel(name_of(0), rig.symbol)
    got = await told(
        rig, lambda seen: {ExecType.TRADE, ExecType.CANCELED} <= {report.exec_type for report in seen}
    )
    assert [r.fill.qty_out for r in got if r.fill is not None] == [D("0.5")]


async def test_fills_are_asked_for_from_a_time_on(rig: Rig) -> None:
    await sent(rig, qty="0.5", ioc=True)
    ((_, fill),) = await rig.venue.fills(rig.symbol, 0)
    assert await rig.venue.fills(rig.symbol, fill.at_ns + 10_000_000) == ()
    assert [one for _, one in await rig.venue.fills(rig.symbol, fill.at_ns)] == [fill]


async def test_six_orders_are_all_there_when_asked_for(rig: Rig) -> None:
    for number in range(6):
        await sent(rig, number)
    await rig.venue.cancel(name_of(3), rig.symbol)
    opened = {one.cl_ord_id: one for one in await rig.venue.open_orders()}
    assert set(opened) == {name_of(number) for number in (0, 1, 2, 4, 5)}
    assert {(one.side.value, one.order_qty, one.px) for one in opened.values()} == {("BUY", D(2), rig.far)}


async def test_an_order_and_a_fill_that_the_books_do_not_know_are_named_and_left_alone(rig: Rig) -> None:
    assert await compared(rig) == []
    await sent(rig)
    taken = await sent(rig, 1, "0.5", ioc=True)
    found = {one.kind: one for one in await compared(rig, taken.fills[0].at_ns + 10**9)}
    assert set(found) == {"foreign order", "foreign fill"} and not any(d.explained for d in found.values())
    assert name_of(0) in found["foreign order"].what and name_of(1) in found["foreign fill"].what
    at_ns = taken.fills[0].at_ns + 10**9
    left = await compare_venue(rig.venue, Book(), (rig.symbol,), at_ns, leave=True)
    assert {d.kind for d in left if d.kind != "position"} == set(found)
    # They carry ids of Fairlead's: whatever the settings say of others' orders, another one has this key.
    locks = {"foreign order": "ORDERS_OPEN", "foreign fill": "BOOKS_CONTRADICTED"}
    assert {d.kind: d.locks for d in left if d.kind != "position"} == locks
    assert not any(d.explained for d in left)
    stands = await rig.venue.query(name_of(0), rig.symbol)
    assert stands is not None and stands.status is OrdStatus.NEW


async def test_positions_are_told_where_it_has_any_and_are_nothing_the_books_explain(rig: Rig) -> None:
    if not isinstance(rig.venue, HoldsPositions):
        found = await compare_venue(rig.venue, Book(), (), AT_NS)
        assert found == []
        return
    before = await stands(rig)
    if rig.leverage:
        await sent(rig, qty="0.5", ioc=True)
        before |= {rig.symbol: D("0.5")}
    there = await stands(rig)
    assert there == before
    found = [one for one in await compare_venue(rig.venue, Book(), (), AT_NS) if one.kind == "position"]
    assert [one.what.split(" stand")[0] for one in found] == [
        f"{q.normalize():f} {n}" for n, q in sorted(there.items())
    ]
    assert not any(one.explained for one in found)
    book = Book()  # its owner took the account over as it was
    book.apply(Certified((), tuple(f"{one.place}: {one.kind}: {one.what}" for one in found), "test", AT_NS))
    assert not [d for d in await compare_venue(rig.venue, book, (), AT_NS) if d.kind == "position"]
    another = Certified((), ("cex:x: position: 1 ETH stand as a position at x; the book has none",), "test", AT_NS)  # fmt: skip
    book.apply(another)
    assert [d for d in await compare_venue(rig.venue, book, (), AT_NS) if d.kind == "position"] == found


async def test_what_cannot_be_asked_is_no_agreement(rig: Rig) -> None:
    with pytest.raises(Retry):
        await compare_venue(rig.idle, Book(), (rig.symbol,), AT_NS)
