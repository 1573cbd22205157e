"""Given dYdX's dialect, with a key that may only trade: what it signs is taken once, nothing else of it is, and absence is only what is proved."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from dydx_rig import (
    ADDRESS,
    AUTHENTICATOR,
    MARKET,
    OWNER,
    TRADER,
    Signer,
    all_of,
    dydx_paper,
    dydx_session,
    sub,
)
from paper import Door
from usdm_rig import Jumped

from agent.app.comparison import compare_venue
from agent.app.testvenue.dydx import DydxServer
from agent.domain.errors import Reconcile, Reject, Retry
from agent.domain.events import Authorized
from agent.domain.ids import ClOrdId
from agent.domain.instruments import Place, cex_id
from agent.domain.order_state import OrdStatus
from agent.domain.orders import OrdType, Part, Protection, Side, TimeInForce, VenueOrder
from agent.journal.book import Book
from agent.journal.records import PartRecord
from agent.margin.accounts import judge
from agent.margin.model import Side as MarginSide
from agent.margin.model import State
from agent.ports import Clock
from agent.transport.clock import SystemClock
from agent.venues import Terms
from agent.venues.dydx import VENUE, Dydx, codec
from chains.protobuf import number, raw, text
from chains.types import Address, Hash32
from keys import dydx as chain
from keys.curve import SigningKey

D = Decimal


def order(
    name: str = "fl-a", px: str = "2990", tif: TimeInForce = TimeInForce.GTC, qty: str = "2"
) -> VenueOrder:
    return VenueOrder(ClOrdId(name), MARKET, Side.BUY, OrdType.LIMIT, tif, D(qty), D(px))


@asynccontextmanager
async def at(door: Door, signer: Signer | None = None, clock: Clock | None = None) -> AsyncIterator[Dydx]:
    venue = dydx_session(door.url, signer, clock)
    await venue.start()
    try:
        yield venue
    finally:
        await venue.close()


def server(door: Door) -> DydxServer:
    assert isinstance(door.here, DydxServer)
    return door.here


def transaction(key: SigningKey, kind: str, message: bytes, authenticator: int | None, network: str = chain.TESTNET) -> str:  # fmt: skip
    body = chain.body(kind, message, authenticator)
    auth = chain.auth_info(key.public, time.time_ns() // 10**6)
    signature = key.sign(chain.digest(body, auth, network, 100))[:64]
    return base64.b64encode(chain.signed_tx(body, auth, signature)).decode()


async def answer(venue: Dydx, tx: str) -> Any:
    try:
        await venue._broadcast(tx)
    except (Reject, Reconcile) as refused:
        return refused.message
    return "taken"


async def test_a_key_that_may_trade_can_take_nothing_out_and_no_other_key_can_trade() -> None:
    withdraw = "/dydxprotocol.sending.MsgWithdrawFromSubaccount"
    whose = text(1, ADDRESS) + number(2, 0)
    taking_out = raw(1, ADDRESS.encode()) + raw(2, whose) + number(3, 10**6)
    of = chain.OrderId(codec.Account(ADDRESS), 7, 64, 1)
    placing = chain.place(of, buy=True, quantums=10**9, subticks=2_900 * 10**6, until=int(time.time()) + 900, tif=0, reduce_only=False)  # fmt: skip
    stranger = SigningKey(b"\x09" * 32)
    async with dydx_paper() as door, at(door) as venue:
        for key, kind, message, by, said in (
            (TRADER, withdraw, taking_out, AUTHENTICATOR, f"authenticator {AUTHENTICATOR} failed"),
            (OWNER, withdraw, taking_out, None, "sdk 6"),  # its key may: this exchange has no withdrawals
            (TRADER, chain.PLACE, placing, None, "sdk 8"),
            (TRADER, chain.PLACE, placing, 99, "sdk 4"),
            (stranger, chain.PLACE, placing, AUTHENTICATOR, "sdk 4"),
            (stranger, chain.PLACE, placing, None, "sdk 8"),
        ):
            assert said in await answer(venue, transaction(key, kind, message, by)), (kind, by)
        assert "sdk 4" in await answer(venue, transaction(TRADER, chain.PLACE, placing, AUTHENTICATOR, chain.MAINNET))  # fmt: skip
        changed = bytearray(base64.b64decode(transaction(TRADER, chain.PLACE, placing, AUTHENTICATOR)))
        changed[changed.index(b"\x10\x01\x18") + 1] = 2  # the other side
        assert "sdk 4" in await answer(venue, base64.b64encode(changed).decode())
        assert await answer(venue, "AAAA") != "taken" and not (await door.truth())["orders"]
        assert await answer(venue, transaction(TRADER, chain.PLACE, placing, AUTHENTICATOR)) == "taken"
        async with at(door, Signer(OWNER, ADDRESS)) as owner:
            placed = await owner.submit(await owner.authorize(order()))
            assert placed.status is OrdStatus.NEW


async def test_bytes_that_were_taken_are_not_taken_again_whatever_became_of_the_order() -> None:
    async with dydx_paper() as door, at(door) as venue:
        rests, takes = order(), order("fl-b", "3100", TimeInForce.IOC, "0.5")
        for one in (rests, takes):
            request = await venue.authorize(one)
            placed = await venue.submit(request)
            await venue.cancel(one.cl_ord_id, MARKET)
            with pytest.raises(Reconcile) as again:
                await venue.submit(request)
            assert again.value.code in ("NONCE_NOT_TAKEN", "DUPLICATE_CLIENT_ID")
            found = await venue.query(one.cl_ord_id, MARKET)
            assert found is not None and found.cum_qty == placed.cum_qty
        assert len((await door.truth())["orders"]) == 2 and len(await venue.fills(MARKET, 0)) == 1


async def test_what_took_nothing_leaves_no_trace_and_is_over_after_its_last_block() -> None:
    async with dydx_paper() as door, at(door) as venue:
        ended = await venue.submit(await venue.authorize(order(tif=TimeInForce.IOC)))
        assert (ended.status, ended.cum_qty) == (OrdStatus.EXPIRED, 0)
        again = await venue.query(ended.cl_ord_id, MARKET)
        assert again is not None and again.status is OrdStatus.EXPIRED
        async with at(door) as later:
            assert await later.query(ended.cl_ord_id, MARKET) is None


async def test_an_answer_of_before_is_no_proof_of_absence() -> None:
    """It is asked again once the indexer is known to be past the order's last block."""
    async with dydx_paper() as door, at(door) as venue:
        request = await venue.authorize(order("fl-a", "3100", TimeInForce.IOC, "0.5"))
        await door.fault("order.place", "reset_after")
        with pytest.raises(Reconcile):
            await venue.submit(request)
        await door.fault("order.query", "stale")  # what it said when it was asked whether the name is free
        found = await venue.query(ClOrdId("fl-a"), MARKET)
        assert found is not None and (found.status, found.cum_qty) == (OrdStatus.FILLED, D("0.5"))
        assert server(door).faults.take("order.query") is None


async def test_an_order_whose_answer_was_lost_is_absent_only_past_its_last_block() -> None:
    """However the chain's blocks and this machine's clock go: till then it may yet be carried out, and is sent no second time."""
    async with dydx_paper() as door, at(door) as venue:
        request = await venue.authorize(order("fl-a", "3100", TimeInForce.IOC, "0.5"))
        await door.fault("order.place", "reset_before")
        with pytest.raises(Reconcile):
            await venue.submit(request)
        with pytest.raises(Retry) as early:
            await venue.query(ClOrdId("fl-a"), MARKET)
        assert early.value.code == "NOT_DECIDED_YET"
        while (await venue._height()) <= venue._sent[ClOrdId("fl-a")].until:  # noqa: ASYNC110  # a chain tells no event here
            await asyncio.sleep(0.02)
        assert await venue.query(ClOrdId("fl-a"), MARKET) is None
        assert not (await door.truth())["orders"]


async def test_an_indexer_that_refuses_a_question_refuses_no_order() -> None:
    async with dydx_paper() as door, at(door) as venue:
        request = await venue.authorize(order())
        await door.fault("order.query", "error_before", status=403)
        assert (await venue.submit(request)).status is OrdStatus.NEW
        assert server(door).faults.take("order.query") is None
        await door.fault("order.query", "error_before", status=403)
        with pytest.raises(Reject) as refused:  # but a question that is only one is
            await venue.query(ClOrdId("fl-a"), MARKET)
        assert refused.value.code == "VENUE_REFUSED"


async def test_an_indexer_that_is_behind_proves_no_absence() -> None:
    clock = Jumped()
    async with dydx_paper() as door, at(door, clock=clock) as venue:
        assert await venue.query(ClOrdId("fl-never"), MARKET) is None
        clock.ahead_s = 30  # as if its newest block were half a minute old
        with pytest.raises(Retry) as behind:
            await venue.query(ClOrdId("fl-never"), MARKET)
        assert behind.value.code == "INDEXER_BEHIND"


async def test_a_session_that_comes_later_calls_orders_by_our_names_once_it_is_shown_them() -> None:
    async with dydx_paper() as door:
        async with at(door) as first:
            for name in ("fl-a", "fl-b"):
                await first.submit(await first.authorize(order(name)))
        later = dydx_session(door.url)
        await later.start()
        strangers = [one.cl_ord_id for one in await later.open_orders()]
        assert all(name.startswith("dydx-") for name in strangers)
        (foreign,) = await compare_venue(later, booked("fl-a"), (MARKET,), time.time_ns())
        assert foreign.kind == "foreign order" and "fl-a" not in foreign.what
        later.remember([(ClOrdId("fl-c"), "GONE-USD")])
        known = {one.cl_ord_id: one for one in await later.open_orders()}
        assert ClOrdId("fl-a") in known and len(known) == 2
        (stranger,) = set(known) - {ClOrdId("fl-a")}
        ended = await later.cancel(stranger, MARKET)  # as `panic` does with whatever stands there
        assert (ended.cl_ord_id, ended.status) == (stranger, OrdStatus.CANCELED)
        assert [one.cl_ord_id for one in await later.open_orders()] == [ClOrdId("fl-a")]
        await later.close()


def booked(name: str) -> Book:
    """A journal that has sent this order."""
    place, assets = Place("cex:paper"), (cex_id("paper", "USDC"), cex_id("paper", MARKET))
    part = Part(ClOrdId(name), ClOrdId("fl-child"), place, 1, *assets, 1, 1, 1, (0,))
    sent = Authorized(
        part, order(name), 0, Address("0x"), 0, 0, Hash32(""), b"", "", Protection.PUBLIC, 0, 0, 0, 1
    )
    book = Book()
    book.parts[part.cl_ord_id] = PartRecord(part, False, authorized=sent, status=OrdStatus.NEW)
    return book


def alike() -> tuple[ClOrdId, ClOrdId]:
    """Two names of which the venue keeps the same 32 bits."""
    seen: dict[int, ClOrdId] = {}
    for at in range(1_000_000):
        name = ClOrdId(f"fl-{at}")
        other = seen.setdefault(codec.client_id(name), name)
        if other != name:
            return other, name
    raise AssertionError("none in a million")


async def test_a_name_whose_number_another_order_has_is_refused_before_it_is_signed() -> None:
    (first, second), signer = alike(), Signer()
    async with dydx_paper() as door, at(door, signer) as venue:
        await venue.submit(await venue.authorize(order(first)))
        await venue.cancel(first, MARKET)
        asked = len(signer.asked)
        with pytest.raises(Reject) as taken:
            await venue.authorize(order(second))
        assert taken.value.code == "CLIENT_ID_TAKEN" and len(signer.asked) == asked


async def test_a_short_is_a_position_below_zero_and_what_was_paid_in_stays_what_it_was() -> None:
    async with dydx_paper() as door, at(door) as venue:
        sale = replace(order("fl-a", "2990", TimeInForce.IOC), side=Side.SELL)
        sold = await venue.submit(await venue.authorize(sale))
        got, fees = sum((f.qty_out for f in sold.fills), D(0)), sum((f.fee_qty for f in sold.fills), D(0))
        (held,) = await venue.positions()
        assert (sold.cum_qty, held.qty, held.symbol, held.settle) == (2, -2, MARKET, "cex:paper/USDC")
        assert abs(held.cost + got) < D("1e-6")  # its price of entry is told to eight places
        (cash,) = await venue.balances()
        assert abs(cash.free + cash.locked - (D(100_000) - fees)) < D("1e-6") and cash.locked > 0
        (judged,) = judge(await venue.margin())
        health = judged.health
        assert judged.id == "paper USDC" and health is not None and health.maintenance_raw is not None
        # Three per cent of two at the oracle's price, in millionths of a dollar; its sale can only lose as that rises.
        (px,) = health.liquidation_px
        worth = 2 * D(px.now_raw).scaleb(-(px.decimals or 0))
        assert (
            judged.state is State.SAFE and px.side is MarginSide.ABOVE and px.asset == f"cex:paper/{MARKET}"
        )
        assert abs(D(health.maintenance_raw).scaleb(-6) - worth * 3 / 100) < D("0.00001")
        assert abs(D(health.collateral_value_raw).scaleb(-6) - (D(100_000) + got - fees - worth)) < D(
            "0.00001"
        )
        bought = await venue.submit(await venue.authorize(order("fl-b", "3100", TimeInForce.IOC)))
        paid, fees = sum((f.qty_in for f in bought.fills), D(0)), fees + sum((f.fee_qty for f in bought.fills), D(0))  # fmt: skip
        (cash,) = await venue.balances()
        assert judge(await venue.margin()) == []
        assert await venue.positions() == () and (cash.free, cash.locked) == (
            D(100_000) + got - paid - fees,
            0,
        )


async def test_terms_are_kept_by_the_chain_and_what_does_not_go_together_never_leaves() -> None:
    async with dydx_paper() as door, at(door) as venue:
        post, reduce = Terms(post_only=True), Terms(reduce_only=True)
        rests = await venue.submit(await venue.authorize_with(order(), post))
        assert rests.status is OrdStatus.NEW
        with pytest.raises(Reject) as crossed:
            await venue.submit(await venue.authorize_with(order("fl-b", "3100"), post))
        assert crossed.value.code == "POST_ONLY_REJECTED"
        sale = replace(order("fl-c", "2900", TimeInForce.IOC), side=Side.SELL)
        with pytest.raises(Reject) as nothing:
            await venue.submit(await venue.authorize_with(sale, reduce))
        assert nothing.value.code == "REDUCE_ONLY_REJECTED"
        bought = await venue.submit(await venue.authorize(order("fl-d", "3100", TimeInForce.IOC, "0.5")))
        closed = await venue.submit(await venue.authorize_with(replace(sale, cl_ord_id=ClOrdId("fl-e")), reduce))  # fmt: skip
        assert (bought.cum_qty, closed.cum_qty) == (D("0.5"), D("0.5")) and await venue.positions() == ()


async def test_a_lost_message_of_the_book_is_noticed_by_the_count_and_the_book_is_fetched_again() -> None:
    async with dydx_paper() as door, at(door) as venue:
        await venue.book(MARKET)
        await door.fault("depth", "drop")
        await door.level("BUY", "2985.5", "7")
        server(door).hub.flush()
        await door.level("BUY", "2985.6", "3")
        server(door).hub.flush()
        async with asyncio.timeout(10):
            while not venue.books.gaps:  # noqa: ASYNC110 - counted by a reader of its own
                await asyncio.sleep(0.01)
            book = await venue.book(MARKET)
        assert dict(book.bids)[D("2985.5")] == 7
        there = server(door).engine.books["ETHUSDC"]
        assert book.bids == tuple(there.bids.levels()) and book.asks == tuple(there.asks.levels())


async def test_each_network_has_an_indexer_and_a_node_of_its_own() -> None:
    async def unasked(method: str, path: str, payload: str) -> str:
        raise AssertionError("nothing is signed here")

    told = []
    for base in (None, "https://indexer.v4testnet.dydx.exchange/", "http://127.0.0.1:9"):
        venue = VENUE.connect("dx", SystemClock(), ADDRESS, unasked, base_url=base)
        assert isinstance(venue, Dydx)
        told.append((venue.http.base_url, venue._stream_url, venue.node.base_url))
        await venue.close()
    assert told == [
        ("https://indexer.dydx.trade", "wss://indexer.dydx.trade/v4/ws", "https://dydx-ops-rpc.kingnodes.com"),
        ("https://indexer.v4testnet.dydx.exchange", "wss://indexer.v4testnet.dydx.exchange/v4/ws", "https://test-dydx-rpc.kingnodes.com"),
        ("http://127.0.0.1:9", "ws://127.0.0.1:9/v4/ws", "http://127.0.0.1:9"),
    ]  # fmt: skip


async def test_what_the_key_may_do_is_told_from_the_chain() -> None:
    async with dydx_paper() as door, at(door) as venue:
        first, second = await venue.power()
        assert (
            "neither withdraw nor send" in first.text and not first.hint and TRADER.public.hex() in first.text
        )
        assert "all that this subaccount holds" in second.text and second.hint
        server(door).authenticators[ADDRESS, AUTHENTICATOR] = all_of(sub("SignatureVerification", TRADER.public))  # fmt: skip
        (more,) = await venue.power()
        assert "any message" in more.text and more.hint
