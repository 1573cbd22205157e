"""Coinbase: orders go by the signer alone, are found among the account's orders where their number is not known, and end when the venue says so."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal

import pytest
from coinbase_rig import ALLOWED, KEY, PRODUCT, Signer, coinbase_paper, coinbase_session
from paper import Door
from venue_rigs import name_of
from waiting import until

from agent.app.testvenue.coinbase import CoinbaseServer
from agent.app.testvenue.engine import NewOrder
from agent.domain.errors import Denied, Reconcile, Reject, Retry, Usage
from agent.domain.ids import ClOrdId, as_uuid
from agent.domain.order_state import ExecType, OrdStatus
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder
from agent.domain.reports import ExecutionReport
from agent.venues import Terms
from agent.venues.coinbase import Coinbase
from agent.venues.coinbase.session import PAGES
from chains.ending import ended

D = Decimal


def bid(number: int, qty: str = "1", px: str = "2990", tif: TimeInForce = TimeInForce.GTC) -> VenueOrder:
    return VenueOrder(name_of(number), PRODUCT, Side.BUY, OrdType.LIMIT, tif, D(qty), D(px))


@asynccontextmanager
async def another(door: Door, signer: Signer, audit_s: float = 0.05) -> AsyncIterator[Coinbase]:
    """A session that begins with nothing."""
    venue = coinbase_session(door.url, signer, audit_s=audit_s)
    await venue.start()
    try:
        yield venue
    finally:
        await venue.close()


@asynccontextmanager
async def account(**more: object) -> AsyncIterator[tuple[Door, Coinbase, Signer]]:
    signer = Signer(**more)  # type: ignore[arg-type]
    async with coinbase_paper() as door, another(door, signer, 60.0 if more else 0.05) as venue:
        yield door, venue, signer


def there(door: Door) -> CoinbaseServer:
    assert isinstance(door.here, CoinbaseServer)
    return door.here


async def test_what_was_sent_is_found_among_all_and_never_sent_again() -> None:
    """Numbers 1 and 2: its number was in the answer that was lost."""
    async with account() as (door, venue, signer):
        for number in range(1, 6):
            await venue.submit(await venue.authorize(bid(number, "0.1")))
        request = await venue.authorize(bid(0))
        await door.fault("order.place", "reset_after")
        with pytest.raises(Reconcile):
            await venue.submit(request)
        there(door).page = 2
        async with another(door, signer) as fresh:  # knows no number: page by page
            found = await fresh.query(name_of(0), PRODUCT)
            assert found is not None and (found.cl_ord_id, found.status) == (name_of(0), OrdStatus.NEW)
            with pytest.raises(Reconcile):
                await fresh.submit(request)  # the signer sent it
            assert await fresh.query(name_of(9), PRODUCT) is None
            assert len(await fresh.open_orders()) == 6
            ended = await fresh.cancel(name_of(3), PRODUCT)
            assert (ended.cl_ord_id, ended.status) == (name_of(3), OrdStatus.CANCELED)
        found = await venue.query(name_of(0), PRODUCT)
        assert found is not None and found.status is OrdStatus.NEW
        assert len((await door.truth())["orders"]) == 6


async def test_the_venue_answers_a_name_that_it_had_with_the_order_of_that_name() -> None:
    async with account() as (door, venue, _):
        await venue.submit(await venue.authorize(bid(0)))
        await venue.cancel(name_of(0), PRODUCT)
        async with another(door, Signer()) as other:  # another signer, which forgot it
            placed = await other.submit(await other.authorize(bid(0, "2")))
            assert (placed.status, placed.order_qty) == (OrdStatus.CANCELED, 1)
        assert len((await door.truth())["orders"]) == 1


async def test_terms_changes_and_refusals() -> None:
    async with account() as (door, venue, signer):
        with pytest.raises(Reject) as refused:
            await venue.submit(await venue.authorize_with(bid(0, px="3100"), Terms(post_only=True)))
        assert refused.value.code == "POST_ONLY_REJECTED"
        await venue.submit(await venue.authorize_with(bid(1, "2"), Terms(post_only=True)))
        changed = await venue.modify(bid(1, "1.5"))
        assert (changed.cl_ord_id, changed.order_qty, changed.px) == (name_of(1), D("1.5"), 2990)
        before = signer.ledger.ordered("paper", 0)[PRODUCT]
        with pytest.raises(
            Reject
        ):  # the same once more is sent and counted once more, and is no change there
            await venue.modify(bid(1, "1.5"))
        assert signer.ledger.ordered("paper", 0)[PRODUCT] == before + D("1.5") * signer.limit.px_to
        with pytest.raises(Reject):
            await venue.modify(bid(1, "1.5", "2991"))  # not at this exchange
        for terms in (Terms(reduce_only=True), Terms(good_till_ns=1)):
            with pytest.raises(Usage):
                await venue.authorize_with(bid(2), terms)
        async with another(door, Signer()) as other:
            with pytest.raises(Denied) as strange:
                await other.modify(bid(1, "1"))
            assert strange.value.code == "EXCHANGE_ORDER"
        with pytest.raises(Reject) as never:
            await venue.modify(bid(8))
        assert never.value.code == "NO_SUCH_ORDER"


async def test_an_order_that_is_none_of_ours_goes_by_its_number_and_can_be_ended() -> None:
    async with account() as (door, venue, signer):
        await venue.submit(await venue.authorize(replace(bid(0), cl_ord_id=ClOrdId("typed-by-hand"))))
        async with another(door, signer) as fresh:
            (stands,) = await fresh.open_orders()
            assert stands.cl_ord_id == f"coinbase-{stands.venue_order_id}"
            found = await fresh.query(stands.cl_ord_id, PRODUCT)
            assert found == stands
            ended = await fresh.cancel(stands.cl_ord_id, PRODUCT)
            assert ended.status is OrdStatus.CANCELED
            assert await fresh.query(ClOrdId("coinbase-none"), PRODUCT) is None


async def test_pages_are_followed_and_too_many_are_not_taken_for_all() -> None:
    async with account() as (door, venue, _):
        exchange, there(door).page = there(door).venue, 2
        for number in range(PAGES + 1):
            name = as_uuid(name_of(number))
            exchange.place(NewOrder(KEY, "ETHUSDC", name, "BUY", "LIMIT", "IOC", D(3100), D("0.01"), None))
            if number == 4:
                told = await venue.fills(PRODUCT, 0)
                assert len({fill.exec_id for _, fill in told}) == 5
                assert [name for name, _ in told] == [name_of(number) for number in range(5)]
        there(door).page = 1
        with pytest.raises(Retry) as many:
            await venue.fills(PRODUCT, 0)
        assert many.value.code == "TOO_MANY_PAGES"


async def test_what_is_not_told_yet_is_asked_again_and_never_taken_for_none() -> None:
    async with account(now_ms=lambda: time.time_ns() // 10**6) as (door, venue, signer):
        await venue.submit(await venue.authorize(bid(0, "0.1", "3100", TimeInForce.IOC)))
        (mine,) = [one.order_id for one in there(door).engine.orders.values() if one.account == KEY]
        there(door).hidden.add(mine)
        with pytest.raises(Retry) as early:
            await venue.query(name_of(0), PRODUCT)
        assert early.value.code == "NOT_VISIBLE_YET"
        async with another(door, signer, 60.0) as fresh:
            with pytest.raises(Retry):  # whose it is shall not be guessed
                await fresh.fills(PRODUCT, 0)
            there(door).hidden.clear()
            assert [name for name, _ in await fresh.fills(PRODUCT, 0)] == [name_of(0)]


async def test_another_key_or_an_old_token_is_refused_with_the_remedy() -> None:
    async with coinbase_paper() as door:
        from Crypto.PublicKey import ECC

        other = Signer(secret=ECC.generate(curve="P-256").export_key(format="PEM"))
        old = Signer(now_ms=lambda: 1_700_000_000_000)
        for signer in (other, old):
            async with another(door, signer) as venue:
                with pytest.raises(Reject) as refused:
                    await venue.balances()
                assert refused.value.code == "UNAUTHORIZED" and "private key" in refused.value.hint


async def test_the_user_channel_wakes_the_audit_where_its_token_is_granted() -> None:
    async with account(allow=ALLOWED) as (door, venue, signer):
        got: list[ExecutionReport] = []

        async def read() -> None:
            async for report in venue.stream():
                got.append(report)

        reading = asyncio.create_task(read())
        await until(lambda: any(c.account for c in there(door).hub.connections))
        await venue.submit(await venue.authorize(bid(0, "0.5", "3100", TimeInForce.IOC)))
        await until(lambda: bool(got))  # an audit of its own comes once a minute here
        assert [(r.cl_ord_id, r.exec_type) for r in got] == [(name_of(0), ExecType.TRADE)]
        await door.disconnect()
        await until(lambda: signer.asked.count("WS user") == 2)
        await ended([reading])
