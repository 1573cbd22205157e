"""Kraken: an order gets one nonce and is sent once, what overtook it ends it for certain, and two sessions on one key hinder nobody for long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal

import pytest
from kraken_rig import ALLOWED, PAIR, Signer, kraken_paper, kraken_session
from paper import KEY, Door
from usdm_rig import Jumped
from venue_rigs import name_of
from waiting import until

from agent.app.testvenue.engine import NewOrder
from agent.app.testvenue.kraken import KrakenServer
from agent.domain.errors import Denied, Reconcile, Reject, Retry, Usage
from agent.domain.ids import ClOrdId, as_uuid
from agent.domain.order_state import ExecType, OrdStatus
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder
from agent.domain.reports import ExecutionReport
from agent.venues import Terms
from agent.venues.kraken import Kraken
from chains.ending import ended

D = Decimal
SAID = [
    ("EOrder:Insufficient funds", Reject, "INSUFFICIENT_BALANCE"),
    ("EService:Unavailable", Reconcile, "UNKNOWN_OUTCOME"),
    ("EGeneral:Internal error", Reconcile, "UNKNOWN_OUTCOME"),
    ("EGeneral:Invalid arguments:cl_ord_id", Reconcile, "DUPLICATE_CLIENT_ID"),
    ("EAPI:Rate limit exceeded", Retry, "RATE_LIMITED"),
]
GTC, IOC = TimeInForce.GTC, TimeInForce.IOC


def order(number: int, side: Side, qty: str, px: str, tif: TimeInForce = GTC) -> VenueOrder:
    return VenueOrder(name_of(number), PAIR, side, OrdType.LIMIT, tif, D(qty), D(px))


def bid(number: int, qty: str = "1", px: str = "2990") -> VenueOrder:
    return order(number, Side.BUY, qty, px)


@asynccontextmanager
async def account(
    allow: tuple[str, ...] = (), audit_s: float = 0.05
) -> AsyncIterator[tuple[Door, Kraken, Jumped, Signer]]:
    clock = Jumped()
    signer = Signer(now_ms=clock.now_ms, allow=allow)
    async with kraken_paper(clock.now_ms) as door:
        venue = kraken_session(door.url, signer, clock, audit_s=audit_s)
        await venue.start()
        try:
            yield door, venue, clock, signer
        finally:
            await venue.close()


@asynccontextmanager
async def another(door: Door, signer: Signer) -> AsyncIterator[Kraken]:
    """A session that begins with nothing."""
    venue = kraken_session(door.url, signer)
    await venue.start()
    try:
        yield venue
    finally:
        await venue.close()


def there(door: Door) -> KrakenServer:
    assert isinstance(door.here, KrakenServer)
    return door.here


async def test_what_was_sent_is_asked_for_and_gets_no_second_signature() -> None:
    """Numbers 1 and 2, where the venue itself would take a name again once its order has ended."""
    async with account() as (door, venue, _, signer):
        request = await venue.authorize(bid(0))
        await door.fault("order.place", "reset_after")
        with pytest.raises(Reconcile):
            await venue.submit(request)
        await venue.cancel(name_of(0), PAIR)
        async with another(door, signer) as other:
            for session in (venue, other):  # the other does not remember; the signer does
                with pytest.raises(Reconcile):
                    await session.submit(request)
        assert len((await door.truth())["orders"]) == 1
        # a process that forgot all of it sends one of the same name: both are told
        async with another(door, signer) as forgot:
            await forgot.submit(await forgot.authorize(bid(0, "2")))
        async with another(door, signer) as fresh:
            found = await fresh.query(name_of(0), PAIR)
            assert found is not None and (found.status, found.order_qty) == (OrdStatus.NEW, 2)
            await fresh.cancel(name_of(0), PAIR)
        async with another(door, signer) as late:
            with pytest.raises(Reconcile) as two:
                await late.query(name_of(0), PAIR)
            assert two.value.code == "MORE_THAN_ONE_LIKE_IT"


async def test_what_was_overtaken_or_is_late_is_never_carried_out() -> None:
    async with account() as (door, venue, clock, _):
        request = await venue.authorize(bid(0))
        there(door).nonces[KEY] = 10**17  # somebody else's key, with a larger nonce
        with pytest.raises(Retry) as overtaken:
            await venue.balances()
        assert overtaken.value.code == "NONCE_OVERTAKEN"
        with pytest.raises(Reject) as refused:
            await venue.submit(request)
        assert refused.value.code == "REQUEST_EXPIRED" and "key of its own" in refused.value.hint
        there(door).nonces.clear()
        late = await venue.authorize(bid(1))
        clock.ahead_s += 6
        with pytest.raises(Denied) as window:
            await venue.submit(late)
        assert window.value.code == "EXCHANGE_WINDOW" and await venue.query(name_of(1), PAIR) is None
        assert not (await door.truth())["orders"]


async def test_what_the_venue_says_in_an_answers_body_is_a_verb_and_too_much_is_a_pause() -> None:
    async with account() as (door, venue, clock, _):
        for number, (words, kind, code) in enumerate(SAID):
            request = await venue.authorize(bid(number))
            await door.fault("order.place", "error_before", status=200, msg=words)
            with pytest.raises(kind) as said:
                await venue.submit(request)
            assert said.value.code == code and words in said.value.message
        with pytest.raises(Retry) as waits:
            venue.http.throttle.closed_for(10)
            await venue.balances()
        assert waits.value.code == "THROTTLED"
        clock.ahead_s += 11
        assert await venue.balances() and not (await door.truth())["orders"]


async def test_terms_changes_and_the_switch() -> None:
    async with account() as (door, venue, clock, _):
        with pytest.raises(Reject):
            await venue.submit(await venue.authorize_with(bid(0, px="3100"), Terms(post_only=True)))
        await venue.submit(await venue.authorize_with(bid(1, "2"), Terms(post_only=True)))
        changed = await venue.modify(bid(1, "1.5"))
        assert (changed.cl_ord_id, changed.order_qty, changed.px) == (name_of(1), D("1.5"), 2990)
        with pytest.raises(Denied):  # this signer signed no order of that name
            await venue.modify(bid(7))
        for terms in (Terms(reduce_only=True), Terms(good_till_ns=1)):
            with pytest.raises(Usage):
                await venue.authorize_with(bid(2), terms)
        assert venue.schedules_cancel
        await venue.schedule_cancel(5)
        await venue.schedule_cancel(None)
        clock.ahead_s += 6
        assert len(await venue.open_orders()) == 1
        await venue.schedule_cancel(5)
        clock.ahead_s += 6
        assert await venue.open_orders() == ()  # its sweep is done before every answer
        assert there(door).switch == {}


async def test_an_order_that_is_none_of_ours_goes_by_its_number_and_can_be_ended() -> None:
    async with account() as (door, venue, _, signer):
        strange = replace(bid(0), cl_ord_id=ClOrdId("typed-by-hand"))
        await venue.submit(await venue.authorize(strange))
        async with another(door, signer) as fresh:
            (stands,) = await fresh.open_orders()
            assert stands.cl_ord_id == f"kraken-{stands.venue_order_id}"
            await there_fill(door)
            assert [name for name, _ in await fresh.fills(PAIR, 0)] == [stands.cl_ord_id]
            found = await fresh.query(stands.cl_ord_id, PAIR)
            assert found is not None and found.cum_qty == D("0.25") and len(found.fills) == 1
            ended = await fresh.cancel(stands.cl_ord_id, PAIR)
            assert (ended.status, ended.cum_qty) == (OrdStatus.CANCELED, D("0.25"))
            assert await fresh.query(ClOrdId("kraken-OAAAAA-BBBBB-CCCCCC"), PAIR) is None


async def there_fill(door: Door) -> None:
    """Somebody sells a quarter into the bid of one at 2990, and all that stands before it."""
    bids = [(D(px), D(size)) for px, size in await door.bids()]
    before = sum((size for px, size in bids if px >= D(2990)), D(0)) - 1
    await door.house("SELL", "2990", str(before + D("0.25")))


async def test_more_than_a_page_of_trades_and_orders_is_told_whole_and_once() -> None:
    async with account(audit_s=60.0) as (door, venue, _, signer):
        exchange, count = there(door).venue, 53
        for number in range(count):
            name = as_uuid(name_of(number))
            exchange.place(NewOrder(KEY, "ETHUSDC", name, "BUY", "LIMIT", "IOC", D(3100), D("0.01"), None))
        told = await venue.fills(PAIR, 0)
        assert len({fill.exec_id for _, fill in told}) == count
        assert [name for name, _ in told] == [name_of(number) for number in range(count)]
        asked = [path.rpartition("/")[2] for path in signer.asked]
        assert (asked.count("TradesHistory"), asked.count("QueryOrders")) == (2, 2)


async def test_what_is_not_told_yet_is_asked_again_and_what_was_forgotten_goes_by_its_number() -> None:
    async with account(audit_s=60.0) as (door, venue, clock, signer):
        for number in range(2):
            await venue.submit(await venue.authorize(order(number, Side.BUY, "0.1", "3100", IOC)))
        mine = [one.order_id for one in there(door).engine.orders.values() if one.account == KEY]
        there(door).hidden.add(mine[0])
        with pytest.raises(Retry) as early:
            await venue.query(name_of(0), PAIR)
        assert early.value.code == "NOT_VISIBLE_YET"
        async with another(door, signer) as fresh:
            with pytest.raises(Retry):  # whose it is shall not be guessed
                await fresh.fills(PAIR, 0)
            there(door).hidden.clear()
            assert [name for name, _ in await fresh.fills(PAIR, 0)] == [name_of(0), name_of(1)]
        there(door).hidden.add(mine[0])
        clock.ahead_s += 700
        assert await venue.query(name_of(0), PAIR) is None  # after a minute that is an answer
        late = kraken_session(door.url, signer, clock)
        await late.start()
        first, second = [name for name, _ in await late.fills(PAIR, 0)]
        assert first.startswith("kraken-O") and second == name_of(1)
        await late.close()


async def test_the_private_socket_tells_at_once_where_its_token_is_granted() -> None:
    async with account(ALLOWED, audit_s=60.0) as (door, venue, _, signer):
        got: list[ExecutionReport] = []

        async def read() -> None:
            async for report in venue.stream():
                got.append(report)

        reading = asyncio.create_task(read())
        async with asyncio.timeout(10):
            await until(lambda: any(c.account for c in there(door).hub.connections))
            await venue.submit(await venue.authorize(bid(0)))
            await there_fill(door)
            await venue.cancel(name_of(0), PAIR)
            await until(lambda: bool(got) and got[-1].exec_type is ExecType.CANCELED)
            assert [r.exec_type for r in got] == [ExecType.TRADE, ExecType.CANCELED]
            assert {r.cl_ord_id for r in got} == {name_of(0)}
            await door.disconnect()  # a token is good for one connection: another is asked for
            await until(lambda: sum(asked.endswith("GetWebSocketsToken") for asked in signer.asked) == 2)
        await ended([reading])
        told = [r.fill for r in got if r.fill is not None]
        listed = [fill for _, fill in await venue.fills(PAIR, 0)]
        assert [f.exec_id for f in told] == [f.exec_id for f in listed]
        assert [(f.qty_in, f.qty_out, f.fee_qty) for f in told] == [(f.qty_in, f.qty_out, f.fee_qty) for f in listed]  # fmt: skip
