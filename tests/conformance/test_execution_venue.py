"""What every ExecutionVenue must do, shown by the session over the network and by the one in memory alike."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal

import pytest
from fake_venue import FakeVenue
from paper import paper, session

from agent.domain.errors import Reconcile, Reject, Retry, Usage
from agent.domain.ids import ClOrdId
from agent.domain.order_state import ExecType, OrdStatus
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder
from agent.domain.reports import ExecutionReport, OrderSnapshot
from agent.ports import ExecutionVenue
from agent.transport.clock import SystemClock

D = Decimal


@dataclass
class Rig:
    venue: ExecutionVenue
    house: Callable[[str, str, str], Awaitable[None]]
    lose_answer: Callable[[bool], Awaitable[None]]
    orders_there: Callable[[], Awaitable[list[str]]]


@pytest.fixture(params=["network", "memory"])
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    if request.param == "memory":
        fake = FakeVenue(SystemClock())

        async def hand(side: str, px: str, qty: str) -> None:
            fake.house(side, px, qty)

        async def lose(after: bool) -> None:
            fake.next_submit.append("lost_after" if after else "lost_before")

        async def there() -> list[str]:
            return [o.cl_ord_id for o in fake.venue.engine.orders.values() if o.account == "owner"]

        await fake.start()
        yield Rig(fake, hand, lose, there)
        await fake.close()
        return
    async with paper() as door:
        real = session(door.url)

        async def hand(side: str, px: str, qty: str) -> None:
            await door.house(side, px, qty)

        async def lose(after: bool) -> None:
            await door.fault("order.place", "hang_after" if after else "hang_before")

        async def there() -> list[str]:
            return [order["clientOrderId"] for order in (await door.truth())["orders"]]

        await real.start()
        yield Rig(real, hand, lose, there)
        await real.close()


def limit(name: str, side: Side, px: str, qty: str, tif: TimeInForce = TimeInForce.GTC) -> VenueOrder:
    return VenueOrder(ClOrdId(name), "ETHUSDC", side, OrdType.LIMIT, tif, D(qty), D(px))


def market(name: str, side: Side, qty: str) -> VenueOrder:
    return VenueOrder(ClOrdId(name), "ETHUSDC", side, OrdType.MARKET, TimeInForce.IOC, D(qty), None)


async def collect(
    venue: ExecutionVenue, enough: Callable[[list[ExecutionReport]], bool]
) -> list[ExecutionReport]:
    got: list[ExecutionReport] = []

    async def read() -> None:
        async for report in venue.stream():
            got.append(report)
            if enough(got):
                return

    await asyncio.wait_for(read(), 10)
    return got


async def test_it_names_its_markets_with_exact_steps(rig: Rig) -> None:
    (eth,) = await rig.venue.instruments()
    assert (eth.symbol, eth.base, eth.quote) == ("ETHUSDC", "ETH", "USDC")
    assert (eth.tick, eth.lot, eth.min_qty, eth.min_notional) == (D("0.01"), D("0.0001"), D("0.0001"), D(5))


async def test_its_book_is_sorted_best_first_and_does_not_cross(rig: Rig) -> None:
    book = await rig.venue.book("ETHUSDC")
    assert [px for px, _ in book.bids] == sorted((px for px, _ in book.bids), reverse=True)
    assert [px for px, _ in book.asks] == sorted(px for px, _ in book.asks)
    assert book.bids[0][0] < book.asks[0][0]
    assert all(qty > 0 for _, qty in (*book.bids, *book.asks))


async def test_a_market_order_fills_at_the_book_it_showed(rig: Rig) -> None:
    book, left, worth = await rig.venue.book("ETHUSDC"), D("2.5"), D(0)
    for px, qty in book.bids:
        take = min(left, qty)
        worth, left = worth + px * take, left - take
    placed = await rig.venue.submit(await rig.venue.authorize(market("m1", Side.SELL, "2.5")))
    assert placed.status is OrdStatus.FILLED and placed.cum_qty == D("2.5")
    assert sum((f.qty_in for f in placed.fills), D(0)) == D("2.5")
    assert sum((f.qty_out for f in placed.fills), D(0)) == worth
    assert {f.fee_asset for f in placed.fills} == {f"cex:{rig.venue.name}/USDC"}
    held = {b.asset: b for b in await rig.venue.balances()}
    fees = sum((f.fee_qty for f in placed.fills), D(0))
    assert held[f"cex:{rig.venue.name}/ETH"].free == D("47.5")
    assert held[f"cex:{rig.venue.name}/USDC"].free == D(100_000) + worth - fees


async def test_query_and_fills_tell_the_same_fills_as_the_answer_did(rig: Rig) -> None:
    placed = await rig.venue.submit(await rig.venue.authorize(market("m2", Side.BUY, "1.5")))
    asked = await rig.venue.query(ClOrdId("m2"), "ETHUSDC")
    assert asked is not None and asked.fills == placed.fills and asked.status is OrdStatus.FILLED
    assert [(name, fill) for name, fill in await rig.venue.fills("ETHUSDC", 0)] == [
        ("m2", f) for f in placed.fills
    ]


async def test_an_id_the_venue_never_saw_is_none_and_only_that(rig: Rig) -> None:
    assert await rig.venue.query(ClOrdId("never-sent"), "ETHUSDC") is None


async def test_a_resting_order_locks_its_money_and_a_cancel_frees_it(rig: Rig) -> None:
    placed = await rig.venue.submit(await rig.venue.authorize(limit("r1", Side.BUY, "2900.00", "2")))
    assert placed.status is OrdStatus.NEW and placed.px == D("2900.00")
    assert [o.cl_ord_id for o in await rig.venue.open_orders()] == ["r1"]
    usdc = next(b for b in await rig.venue.balances() if b.asset.endswith("/USDC"))
    assert (usdc.free, usdc.locked) == (D(94_200), D(5_800))
    ended = await rig.venue.cancel(ClOrdId("r1"), "ETHUSDC")
    assert ended.status is OrdStatus.CANCELED and ended.cl_ord_id == "r1"
    assert await rig.venue.open_orders() == ()
    usdc = next(b for b in await rig.venue.balances() if b.asset.endswith("/USDC"))
    assert (usdc.free, usdc.locked) == (D(100_000), D(0))


async def test_cancelling_what_has_ended_shows_how_it_ended(rig: Rig) -> None:
    await rig.venue.submit(await rig.venue.authorize(limit("r2", Side.SELL, "3050.00", "1")))
    await rig.house("BUY", "3050.00", "1000")
    ended = await rig.venue.cancel(ClOrdId("r2"), "ETHUSDC")
    assert ended.status is OrdStatus.FILLED and ended.cum_qty == D(1) and len(ended.fills) >= 1


async def test_cancelling_what_was_never_there_is_a_refusal(rig: Rig) -> None:
    with pytest.raises(Reject) as refused:
        await rig.venue.cancel(ClOrdId("ghost"), "ETHUSDC")
    assert refused.value.code == "NO_SUCH_ORDER"


async def test_ioc_fills_what_it_can_and_fok_fills_all_or_nothing(rig: Rig) -> None:
    best = (await rig.venue.book("ETHUSDC")).asks[0]
    more = str(best[1] + 1)
    fok = await rig.venue.submit(
        await rig.venue.authorize(limit("f1", Side.BUY, str(best[0]), more, TimeInForce.FOK))
    )
    assert (fok.status, fok.cum_qty, fok.fills) == (OrdStatus.EXPIRED, D(0), ())
    ioc = await rig.venue.submit(
        await rig.venue.authorize(limit("f2", Side.BUY, str(best[0]), more, TimeInForce.IOC))
    )
    assert (ioc.status, ioc.cum_qty) == (OrdStatus.EXPIRED, best[1])


async def test_too_little_money_is_a_refusal_and_nothing_is_left_behind(rig: Rig) -> None:
    with pytest.raises(Reject) as refused:
        await rig.venue.submit(await rig.venue.authorize(limit("b1", Side.SELL, "3100.00", "51")))
    assert refused.value.code == "NEW_ORDER_REJECTED" and "insufficient balance" in refused.value.message
    assert await rig.venue.query(ClOrdId("b1"), "ETHUSDC") is None


async def test_an_id_that_is_open_already_means_ask_not_again(rig: Rig) -> None:
    await rig.venue.submit(await rig.venue.authorize(limit("d1", Side.BUY, "2800.00", "1")))
    with pytest.raises(Reconcile) as unclear:
        await rig.venue.submit(await rig.venue.authorize(limit("d1", Side.BUY, "2800.00", "1")))
    assert unclear.value.code == "DUPLICATE_CLIENT_ID"
    assert await rig.orders_there() == ["d1"]


@pytest.mark.parametrize("after", [True, False])
async def test_a_lost_answer_is_reconcile_and_query_tells_what_happened(rig: Rig, after: bool) -> None:
    await rig.lose_answer(after)
    with pytest.raises(Reconcile):
        await rig.venue.submit(await rig.venue.authorize(limit("l1", Side.BUY, "2800.00", "1")))
    asked = await rig.venue.query(ClOrdId("l1"), "ETHUSDC")
    assert (asked is not None) is after
    assert await rig.orders_there() == (["l1"] if after else [])


@pytest.mark.parametrize(
    ("px", "qty", "code"),
    [
        ("2900.001", "1", "OFF_GRID"),
        ("2900.00", "0.00005", "OFF_GRID"),
        ("2900.00", "0.0001", "BELOW_MIN_NOTIONAL"),
    ],
)
async def test_an_order_off_the_grid_never_leaves(rig: Rig, px: str, qty: str, code: str) -> None:
    with pytest.raises(Usage) as wrong:
        await rig.venue.authorize(limit("g1", Side.BUY, px, qty))
    assert wrong.value.code == code
    assert await rig.orders_there() == []


async def test_a_market_it_does_not_have_is_named(rig: Rig) -> None:
    with pytest.raises(Usage) as wrong:
        await rig.venue.book("DOGEUSDC")
    assert wrong.value.code == "UNKNOWN_SYMBOL"


async def test_the_stream_tells_an_order_s_whole_life_each_execution_once(rig: Rig) -> None:
    async def trade() -> None:
        await rig.venue.submit(await rig.venue.authorize(limit("s1", Side.SELL, "3050.00", "2")))
        book = await rig.venue.book("ETHUSDC")
        above = sum((qty for px, qty in book.asks if px < D("3050.00")), D(0))
        await rig.house("BUY", "3050.00", str(above + D("0.5")))
        await rig.venue.cancel(ClOrdId("s1"), "ETHUSDC")

    work = asyncio.create_task(trade())
    got = await collect(rig.venue, lambda seen: seen[-1].exec_type is ExecType.CANCELED)
    await work
    mine = [r for r in got if r.cl_ord_id == "s1"]
    assert [r.exec_type for r in mine][0] is ExecType.NEW and mine[-1].exec_type is ExecType.CANCELED
    trades = [r.fill for r in mine if r.exec_type is ExecType.TRADE and r.fill is not None]
    assert sum((f.qty_in for f in trades), D(0)) == D("0.5") and len({f.exec_id for f in trades}) == len(
        trades
    )


async def test_before_it_has_started_it_says_so_at_once(rig: Rig) -> None:
    idle: ExecutionVenue = (
        FakeVenue(SystemClock()) if isinstance(rig.venue, FakeVenue) else session("http://127.0.0.1:9")
    )
    for call in (
        idle.instruments(),
        idle.book("ETHUSDC"),
        idle.balances(),
        idle.query(ClOrdId("x"), "ETHUSDC"),
    ):
        with pytest.raises(Retry) as early:
            await asyncio.wait_for(call, 1)
        assert early.value.code == "MARKETS_NOT_LOADED"
    await idle.close()


async def test_many_orders_end_together_and_each_tells_its_own_end(rig: Rig) -> None:
    """Open ones, one that ended before, one partly done, one that never was; what is not named stays open."""
    for n in range(4):
        await rig.venue.submit(await rig.venue.authorize(limit(f"many-{n}", Side.BUY, str(1000 + n), "0.1")))
    await rig.venue.cancel(ClOrdId("many-3"), "ETHUSDC")
    best = (await rig.venue.book("ETHUSDC")).bids[0][0]
    await rig.venue.submit(await rig.venue.authorize(limit("partly", Side.BUY, str(best + D("0.01")), "2")))
    await rig.house("SELL", str(best + D("0.01")), "0.5")
    names = ["many-0", "many-1", "many-3", "partly", "never"]
    ended = await rig.venue.cancel_many([(ClOrdId(n), "ETHUSDC") for n in names])
    assert [o.cl_ord_id for o in await rig.venue.open_orders()] == ["many-2"]
    assert list(ended) and set(ended) == set(names)
    missing = ended.pop(ClOrdId("never"))
    assert isinstance(missing, Reject) and missing.code == "NO_SUCH_ORDER"
    done = {str(n): o for n, o in ended.items() if isinstance(o, OrderSnapshot)}
    assert {o.status for o in done.values()} == {OrdStatus.CANCELED} and len(done) == 4
    assert done["partly"].cum_qty == D("0.5") == sum((f.qty_out for f in done["partly"].fills), D(0))
    # Nothing but these is open now: a venue that can ends them in one request, and tells the same.
    await rig.venue.submit(await rig.venue.authorize(limit("many-4", Side.BUY, "1004", "0.1")))
    both = await rig.venue.cancel_many([(ClOrdId(n), "ETHUSDC") for n in ("many-2", "many-4")])
    assert [o.status for o in both.values() if isinstance(o, OrderSnapshot)] == [OrdStatus.CANCELED] * 2
    assert not await rig.venue.open_orders() and await rig.venue.cancel_many([]) == {}
