"""Order entry and drop copy over real sockets at the paper exchange's FIX door, whose switchboard loses, repeats and breaks messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from decimal import Decimal

import pytest
from fix_exchange import Exchange, fix_exchange, log_on
from venue_rigs import name_of

from agent.domain.errors import Denied, Halt, Reconcile, Reject, Retry
from agent.domain.order_state import ExecType, OrdStatus
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder
from agent.domain.reports import ExecutionReport, OrderSnapshot
from agent.venues.binance_spot.by_fix import BinanceSpotByFix

D = Decimal


@pytest.fixture
async def there() -> AsyncIterator[Exchange]:
    async with fix_exchange() as found:
        yield found


@pytest.fixture
async def venue(there: Exchange) -> AsyncIterator[BinanceSpotByFix]:
    made = there.session(copy=False)
    await made.start()
    yield made
    await made.close()


def bid(number: int = 0, px: str = "2990", qty: str = "1", tif: TimeInForce = TimeInForce.GTC) -> VenueOrder:
    return VenueOrder(name_of(number), "ETHUSDC", Side.BUY, OrdType.LIMIT, tif, D(qty), D(px))


async def sent(venue: BinanceSpotByFix, order: VenueOrder | None = None) -> OrderSnapshot:
    return await venue.submit(await venue.authorize(order or bid()))


async def told(
    venue: BinanceSpotByFix, enough: Callable[[list[ExecutionReport]], bool]
) -> list[ExecutionReport]:
    got: list[ExecutionReport] = []
    async with asyncio.timeout(10):
        async for report in venue.stream():
            got.append(report)
            if enough(got):
                break
    return got


async def orders(there: Exchange) -> int:
    return len((await there.door.truth())["orders"])


@pytest.mark.parametrize(
    "kind", ["hang_after", "reset_after", "partial", "checksum", "gap", "half_open", "close"]
)
async def test_an_answer_that_never_came_whole_is_asked_for_and_nothing_is_sent_again(
    there: Exchange, venue: BinanceSpotByFix, kind: str
) -> None:
    """Numbers 1 and 3: it took effect, whatever became of the answer."""
    request = await venue.authorize(bid())
    await venue.entry.line.ready(2)
    on = "fix.order" if kind.endswith("after") else "fix"
    await there.door.fault(on, kind)
    if kind == "close":  # after the answer: it is known, and the session is gone
        assert (await venue.submit(request)).status is OrdStatus.NEW
    else:
        with pytest.raises(Reconcile):
            await venue.submit(request)
    with pytest.raises(Reconcile) as again:
        await venue.submit(request)
    assert again.value.code == "SENT_BEFORE"
    found = await venue.query(name_of(0), "ETHUSDC")
    assert found is not None and found.status is OrdStatus.NEW and await orders(there) == 1


@pytest.mark.parametrize("kind", ["hang_before", "reset_before"])
async def test_an_order_that_never_arrived_is_asked_for_too(
    there: Exchange, venue: BinanceSpotByFix, kind: str
) -> None:
    request = await venue.authorize(bid())
    await venue.entry.line.ready(2)
    await there.door.fault("fix.order", kind)
    with pytest.raises(Reconcile):
        await venue.submit(request)
    assert await venue.query(name_of(0), "ETHUSDC") is None and await orders(there) == 0


async def test_an_order_that_is_late_is_refused_by_its_own_window(
    there: Exchange, venue: BinanceSpotByFix
) -> None:
    """What waits on a line longer than its signature lives never becomes an order."""
    request = await venue.authorize(bid())
    await venue.entry.line.ready(2)
    await there.door.fault("fix.order", "late", delay_ms=50)
    await there.door.fault("clock", "jump", delay_ms=6_000)
    with pytest.raises(Reject) as refused:
        await venue.submit(request)
    assert "recvWindow" in refused.value.message and await orders(there) == 0


async def test_a_session_that_stops_for_good_is_told_by_the_stream_and_begun_again(there: Exchange) -> None:
    asked: list[str] = []
    listens = asyncio.Event()

    async def breaks_once(method: str, path: str, query: str) -> str:
        asked.append(query)
        await listens.wait()
        if len(asked) == 1:
            raise RuntimeError("what nobody foresaw")
        return await log_on(method, path, query)

    venue = there.session(copy=False, logs_on=breaks_once)
    await venue.start()
    try:
        listening = asyncio.create_task(told(venue, lambda seen: False))
        await asyncio.sleep(0.05)
        listens.set()
        with pytest.raises(Halt) as stopped:
            await listening
        assert stopped.value.code == "FIX_STOPPED" and "what nobody foresaw" in stopped.value.message
        await sent(venue, bid())
        got = await told(venue, lambda seen: True)
        assert got[0].exec_type is ExecType.NEW and venue.entry.up
    finally:
        await venue.close()


async def test_what_was_signed_too_long_ago_is_not_sent(there: Exchange, venue: BinanceSpotByFix) -> None:
    request = await venue.authorize(bid())
    stamp = next(part for part in request.payload.split("&") if part.startswith("timestamp="))
    old = request.payload.replace(stamp, f"timestamp={int(stamp[10:]) - 5_001}")
    with pytest.raises(Reject) as refused:
        await venue.submit(replace(request, payload=old))
    assert refused.value.code == "REQUEST_EXPIRED" and await orders(there) == 0


async def test_a_proxy_that_delivers_twice_makes_one_order(there: Exchange, venue: BinanceSpotByFix) -> None:
    await venue.entry.line.ready(2)
    await there.door.fault("fix.order", "twice")
    assert (await sent(venue)).status is OrdStatus.NEW
    assert await orders(there) == 1


@pytest.mark.parametrize("kind", ["drop", "gap", "again", "duplicate", "partial", "checksum", "close"])
async def test_every_fill_is_told_once_whatever_becomes_of_its_report(there: Exchange, kind: str) -> None:
    """Numbers 6 and 9, with a drop copy beside that tells the same executions."""
    venue = there.session()
    await venue.start()
    try:
        await sent(venue, bid(qty="3"))
        await there.door.fault("fix", kind, count=1)
        best = [D(size) for px, size in await there.door.bids() if D(px) > D(2990)]

        async def trade() -> None:
            await asyncio.sleep(0.1)
            await there.door.house("SELL", "2990", str(sum(best, D(0)) + 20))

        trading = asyncio.create_task(trade())
        got = await told(venue, lambda seen: seen[-1].exec_type is ExecType.TRADE)
        await trading
        more = await venue.query(name_of(0), "ETHUSDC")
        fills = [report.fill for report in got if report.fill is not None]
        assert (
            more is not None and more.fills and {f.exec_id for f in fills} <= {f.exec_id for f in more.fills}
        )
        assert len({f.exec_id for f in fills}) == len(fills)
        assert sum((f.qty_out for f in fills), D(0)) == more.cum_qty == 3
    finally:
        await venue.close()


async def test_a_fill_by_any_door_is_told_by_this_one(there: Exchange) -> None:
    """An order of another session of the account, sent by REST: the drop copy tells it, and says whose it was."""
    from paper import session

    venue, other = there.session(), session(there.door.url)
    await venue.start()
    await other.start()
    try:

        async def trade() -> None:
            await asyncio.sleep(0.1)
            await other.submit(await other.authorize(bid(7, px="3100", qty="0.5", tif=TimeInForce.IOC)))

        trading = asyncio.create_task(trade())
        got = await told(venue, lambda seen: seen[-1].exec_type is ExecType.TRADE)
        await trading
        assert {report.cl_ord_id for report in got} == {name_of(7)}
        assert sum((r.fill.qty_out for r in got if r.fill is not None), D(0)) == D("0.5")
    finally:
        await other.close()
        await venue.close()


async def test_a_venue_that_is_about_to_close_is_left_and_found_again(
    there: Exchange, venue: BinanceSpotByFix
) -> None:
    await sent(venue)
    there.fix.news("You'll be disconnected in 10 seconds. Please reconnect.")
    await venue.entry.line.left()
    await venue.entry.line.ready(5)
    assert (await sent(venue, bid(1))).status is OrdStatus.NEW and await orders(there) == 2
    assert venue.entry.line.session is not None and venue.entry.line.session.sender == "FLT2"


async def test_without_a_session_nothing_is_sent_and_reading_goes_on(there: Exchange) -> None:
    venue = there.session(copy=False)
    await there.door.fault("fix.logon", "error_before", count=None, msg="Too many connections.", code=-1003)
    await venue.start()
    try:
        request = await venue.authorize(bid())
        with pytest.raises(Retry) as down:
            await venue.entry.line.ready(0.2)
        assert down.value.code == "FIX_DOWN" and "Too many connections" in down.value.message
        await there.door.clear()
        assert (await venue.submit(request)).status is OrdStatus.NEW
    finally:
        await venue.close()


async def test_an_order_is_ended_also_while_no_session_is_up(
    there: Exchange, venue: BinanceSpotByFix
) -> None:
    for number in range(3):
        await sent(venue, bid(number, qty="0.1"))
    await there.door.fault("fix.logon", "error_before", count=None)
    there.fix.disconnect()
    await venue.entry.line.left()
    assert (await venue.cancel(name_of(0), "ETHUSDC")).status is OrdStatus.CANCELED
    ended = await venue.cancel_many([(name_of(n), "ETHUSDC") for n in (1, 2)])
    assert {one.status for one in ended.values()} == {OrdStatus.CANCELED}  # type: ignore[union-attr]


async def test_a_signer_that_signs_no_log_on_is_heard(there: Exchange) -> None:
    async def refuses(method: str, path: str, query: str) -> str:
        raise Denied("EXCHANGE_FIX_SENDER", "SenderCompID 'FLT1' is not listed", "list it")

    venue = there.session(copy=False, logs_on=refuses)
    await venue.start()
    try:
        with pytest.raises(Denied) as denied:
            await venue.entry.line.ready(0.2)
        assert denied.value.code == "EXCHANGE_FIX_SENDER"
    finally:
        await venue.close()


async def test_what_the_venue_refuses_is_a_refusal_by_its_code(
    there: Exchange, venue: BinanceSpotByFix
) -> None:
    with pytest.raises(Reject) as refused:
        await sent(venue, bid(px="3000", qty="50"))
    assert refused.value.code == "NEW_ORDER_REJECTED" and await orders(there) == 0


async def test_one_request_given_twice_at_once_is_said_once(there: Exchange, venue: BinanceSpotByFix) -> None:
    """Also where both wait for the session to come up, and where the first has ended before the second is said."""
    request = await venue.authorize(bid(px="3100", qty="0.1", tif=TimeInForce.IOC))
    told = await asyncio.gather(venue.submit(request), venue.submit(request), return_exceptions=True)
    assert {type(one) for one in told} == {OrderSnapshot, Reconcile} and await orders(there) == 1


async def test_another_process_that_sends_the_same_order_makes_no_second(
    there: Exchange, venue: BinanceSpotByFix
) -> None:
    """It died after it had sent it, and its successor does not know."""
    request = await venue.authorize(bid())
    await venue.submit(request)
    await venue.close()
    later = there.session(copy=False)
    await later.start()
    try:
        with pytest.raises(Reconcile) as twice:
            await later.submit(request)
        assert twice.value.code == "DUPLICATE_CLIENT_ID" and await orders(there) == 1
    finally:
        await later.close()


async def test_all_of_a_symbol_end_with_one_message(there: Exchange, venue: BinanceSpotByFix) -> None:
    for number in range(3):
        await sent(venue, bid(number, qty="0.1"))
    before = venue.entry.line.session.numbers.next_out  # type: ignore[union-attr]
    ended = await venue.cancel_many([(name_of(n), "ETHUSDC") for n in range(3)])
    assert venue.entry.line.session.numbers.next_out == before + 1  # type: ignore[union-attr]
    assert {name: one.status for name, one in ended.items()} == {  # type: ignore[union-attr]
        name_of(n): OrdStatus.CANCELED for n in range(3)
    }
    assert await venue.open_orders() == ()


async def test_it_leaves_with_a_log_out(there: Exchange) -> None:
    """A session that was left without one is barred for twice its heartbeat."""
    venue = there.session()
    await venue.start()
    await venue.entry.line.ready(2)
    assert venue.copy is not None
    await venue.copy.line.ready(2)
    await venue.close()
    assert not there.fix.clients
