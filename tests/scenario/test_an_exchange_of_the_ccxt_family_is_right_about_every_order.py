"""What the family adds to the suite every venue passes: exchanges without names of ours, replacements, long histories, the socket that
only wakes the audit, and answers that the library cannot class. Over the library's own Binance class at the paper exchange."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from ccxt_rig import Signer, at_paper
from kraken_rig import API_SECRET, kraken_paper
from paper import Door, paper
from venue_rigs import fill_at_paper, name_of

from agent.app.contracts import all_in
from agent.domain.errors import Reconcile, Reject, Retry, Usage
from agent.domain.instruments import cex_id
from agent.domain.order_state import OrdStatus
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder
from agent.market.book import Book, buy_base_exact
from agent.ports import VenueBook
from agent.transport.clock import SystemClock
from agent.transport.http import TimeOuts
from agent.venues.ccxt import VENUE, Ccxt, border
from agent.venues.ccxt.exchanges import KNOWN
from agent.venues.ccxt.library import Library

D = Decimal


@asynccontextmanager
async def account(audit_s: float = 0.1, names: bool = True) -> AsyncIterator[tuple[Door, Ccxt, Signer]]:
    async with paper() as door:
        signer = Signer("binance", "ETHUSDC")
        venue = at_paper(door.url, audit_s, signer=signer)
        await venue.start()
        if not names:
            venue.library.known = replace(KNOWN["binance"], asked="")
        try:
            yield door, venue, signer
        finally:
            await venue.close()


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not what():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def bid(number: int = 0, qty: str = "2", px: str = "2990") -> VenueOrder:
    return VenueOrder(name_of(number), "ETHUSDC", Side.BUY, OrdType.LIMIT, TimeInForce.GTC, D(qty), D(px))


async def test_where_it_has_no_names_of_ours_a_lost_order_is_recognised_by_what_was_sent() -> None:
    async with account(names=False) as (door, venue, _):
        lost = await venue.authorize(bid())
        await door.fault("order.place", "reset_after")
        with pytest.raises(Reconcile):
            await venue.submit(lost)
        (seen,) = await venue.open_orders()
        assert seen.cl_ord_id == f"binance-{seen.venue_order_id}", (
            "an audit sees it before anybody asks for it"
        )
        found = await venue.query(name_of(0), "ETHUSDC")
        assert found is not None and (found.cl_ord_id, found.status) == (name_of(0), OrdStatus.NEW)
        assert [order.cl_ord_id for order in await venue.open_orders()] == [name_of(0)]
        never = await venue.authorize(bid(1, "1"))
        await door.fault("order.place", "reset_before")
        with pytest.raises(Reconcile):
            await venue.submit(never)
        assert await venue.query(name_of(1), "ETHUSDC") is None
        assert "by our name" in venue.capabilities().missing[0] and not venue.capabilities().client_ids


async def test_a_lost_order_is_recognised_by_the_exchanges_clock_and_in_a_whole_history_alone() -> None:
    async with account(names=False) as (door, venue, _):
        venue._clock = Fast()
        await venue._set_clock(venue.library)
        assert -31_000 < venue.library.ahead_ms < -29_000
        venue.library._clock = venue._clock
        lost = await venue.authorize(bid())
        await door.fault("order.place", "reset_after")
        with pytest.raises(Reconcile):
            await venue.submit(lost)
        found = await venue.query(name_of(0), "ETHUSDC")
        assert found is not None and found.cl_ord_id == name_of(0)

        class Ended:
            """Gives as many ended orders as one answer holds, none of them ours."""

            raw, known, ahead_ms, count = venue.library.raw, venue.library.known, venue.library.ahead_ms, 50

            async def call(self, method: str, *_: Any) -> Any:
                row = {"side": "sell", "price": "1", "amount": "1", "timestamp": 2 * 10**12}
                return [row | {"id": f"{n}"} for n in range(self.count)] if "closed" in method else []

        venue._sent[name_of(1)] = bid(1), venue._there_ms()
        real, ended = venue._library, Ended()
        venue._library = ended  # type: ignore[assignment]
        with pytest.raises(Reconcile, match="not all"):
            await venue._recognised(name_of(1), "ETHUSDC")
        ended.count = 49
        assert await venue._recognised(name_of(1), "ETHUSDC") is None
        venue._library = real


async def test_an_order_is_not_absent_while_its_request_would_still_be_carried_out() -> None:
    async with account() as (door, venue, _):
        venue.library.known = replace(KNOWN["binance"], life_s=30)
        never = await venue.authorize(bid())
        await door.fault("order.place", "reset_before")
        with pytest.raises(Reconcile):
            await venue.submit(never)
        with pytest.raises(Retry, match="30 s more|29 s more"):
            await venue.query(name_of(0), "ETHUSDC")
        order, at_ms = venue._sent[name_of(0)]
        venue._sent[name_of(0)] = order, at_ms - 31_000
        assert await venue.query(name_of(0), "ETHUSDC") is None


async def test_whatever_is_made_of_an_answer_an_order_that_was_sent_is_not_sent_again() -> None:
    async with account() as (_, venue, _):
        request = await venue.authorize(bid())
        real, venue.library.answered = venue.library.answered, unanswered  # type: ignore[method-assign]
        with pytest.raises(Reconcile, match="was sent"):
            await venue.submit(request)
        venue.library.answered = real  # type: ignore[method-assign]
        found = await venue.query(name_of(0), "ETHUSDC")
        assert found is not None and found.status is OrdStatus.NEW


async def unanswered(*_: Any) -> Any:
    raise Retry("RATE_LIMITED", "a further question was turned away")


class Fast(SystemClock):
    """Half a minute ahead of everybody else's."""

    def now_ns(self) -> int:
        return super().now_ns() + 30 * 10**9


async def test_where_it_has_no_names_of_ours_two_alike_are_never_guessed_between() -> None:
    async with account(names=False) as (door, venue, _):
        for number in (0, 1):
            request = await venue.authorize(bid(number))
            await door.fault("order.place", "reset_after")
            with pytest.raises(Reconcile):
                await venue.submit(request)
        with pytest.raises(Reconcile, match="2 orders like"):
            await venue.query(name_of(0), "ETHUSDC")
        with pytest.raises(Reconcile, match="another run"):
            await venue.query(name_of(7), "ETHUSDC")


async def test_a_replacement_ends_the_first_and_has_a_name_of_its_own() -> None:
    async with account() as (_, venue, signer):
        await venue.submit(await venue.authorize(bid()))
        placed = await venue.modify(name_of(0), bid(1, "1.5", "2980"))
        assert (placed.cl_ord_id, placed.order_qty, placed.px) == (name_of(1), D("1.5"), D(2980))
        first = await venue.query(name_of(0), "ETHUSDC")
        assert first is not None and first.status is OrdStatus.CANCELED
        assert ("POST", "private/order/cancelReplace") in signer.asked
        with pytest.raises(Usage, match="name of its own"):
            await venue.modify(name_of(1), bid(1, "1"))
        with pytest.raises(Reject):
            await venue.modify(name_of(5), bid(6))


async def test_the_socket_wakes_the_audit_and_its_silence_costs_one_audit() -> None:
    """Number 9."""
    async with account(audit_s=60) as (door, venue, signer):
        got: list[Any] = []

        async def read() -> None:
            async for report in venue.stream():
                got.append(report)

        reading = asyncio.create_task(read())
        await until(lambda: ("WS", "userDataStream.subscribe.signature") in signer.asked)
        await until(lambda: venue.reports.audits >= 2)
        await venue.submit(await venue.authorize(bid()))
        await fill_at_paper(door, venue, name_of(0), D("0.5"))
        await until(lambda: bool(got))
        assert venue.reports.heard and got[0].fill.qty_out == D("0.5") and got[0].cl_ord_id == name_of(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    async with account(audit_s=0.05) as (door, venue, _):
        await door.fault("user", "silence", count=None)
        await venue.submit(await venue.authorize(bid()))
        await fill_at_paper(door, venue, name_of(0), D("0.5"))
        async for report in venue.stream():
            assert report.fill is not None and report.fill.qty_out == D("0.5")
            break


async def test_a_history_longer_than_a_page_is_read_to_both_ends() -> None:
    class Pages:
        """Gives the newest three of a span, as some exchanges do, or the oldest, as others."""

        known = KNOWN["binance"]

        def __init__(self, newest: bool) -> None:
            self.newest = newest

        def page(self, method: str, most: int) -> int:
            return most

        async def call(self, method: str, unified: str, since: int, limit: int, more: dict[str, int]) -> Any:
            rows = [trade(at) for at in range(200) if since <= at <= more.get("until", 10**6)]
            return rows[-60:] if self.newest else rows[:60]

    def trade(at: int) -> dict[str, Any]:
        return {
            "id": str(at),
            "order": "1",
            "side": "buy",
            "price": "3000",
            "amount": "1",
            "timestamp": at,
            "fee": None,
        }

    for newest in (True, False):
        async with account() as (_, venue, _):
            venue._names["1"] = name_of(0)
            real, venue._library = venue._library, Pages(newest)  # type: ignore[assignment]
            told = await venue._trades("ETHUSDC", 0)
            venue._library = real
        assert [fill.at_ns // 10**6 for _, _, fill in told] == list(range(200))


async def test_numbers_are_exact_to_the_digit_whatever_form_they_came_in() -> None:
    async with account() as (_, venue, _):
        library = venue.library
        data = library.raw.parse_json(
            '{"a": 0.1000000000000000055511151231257827, "b": "12345678901234567890.123456789"}'
        )
        assert border.exact(data["a"]) == D("0.1000000000000000055511151231257827")
        assert library.raw.safe_number(data, "b") == "12345678901234567890.123456789"
        levels = library.raw.parse_order_book(
            {"bids": [["0.30000000000000004", "1"], ["0.3", "2"]], "asks": []}, "x"
        )
        assert levels["bids"] == [[D("0.30000000000000004"), D(1)], [D("0.3"), D(2)]]
    for odd in (None, True, "NaN", "Infinity", "x"):
        with pytest.raises((ValueError, ArithmeticError)):
            border.exact(odd)


def test_a_fee_is_what_was_charged_and_not_what_is_listed_first() -> None:
    def fee(*listed: tuple[str | None, str | None]) -> tuple[str, Decimal]:
        return border.fee_of(
            {"fee": {"cost": None}, "fees": [{"cost": c, "currency": a} for c, a in listed]}, "USDC"
        )

    assert fee(("0", "ETH"), ("0.25", "GT")) == ("GT", D("0.25"))
    assert fee(("0.1", "ETH"), ("0.2", "ETH")) == ("ETH", D("0.3"))
    assert (
        fee(("0", "ETH")) == ("ETH", D(0)) and fee() == ("USDC", D(0)) and fee(("-1", "ETH")) == ("ETH", D(0))
    )
    assert border.fee_of({"fee": {"cost": "1", "currency": "BNB"}}, "USDC") == ("BNB", D(1))
    with pytest.raises(ValueError, match="ETH and GT"):
        fee(("1", "ETH"), ("1", "GT"))


def test_what_the_library_raises_is_told_by_our_verbs() -> None:
    import ccxt

    for error, write, verb in (
        (ccxt.InsufficientFunds("x"), True, "REJECT"),
        (ccxt.OrderNotFound("x"), True, "REJECT"),
        (ccxt.RequestTimeout("x"), True, "RECONCILE"),
        (ccxt.RequestTimeout("x"), False, "RETRY"),
        (ccxt.ExchangeError("an internal error"), True, "RECONCILE"),
        (ccxt.ExchangeError("an internal error"), False, "REJECT"),
        (ccxt.InvalidOrder("Duplicate order sent."), True, "RECONCILE"),
        (ccxt.RateLimitExceeded("x"), True, "RETRY"),
        (ccxt.InvalidNonce("x"), False, "RETRY"),
        (ccxt.InvalidNonce("x"), True, "REJECT"),
        (RuntimeError("x"), True, "RECONCILE"),
    ):
        assert border.error_of(error, "x", write=write).verb == verb, error


async def test_an_exchange_that_is_not_known_gives_prices_and_takes_no_orders() -> None:
    async with paper() as door:
        venue = Ccxt(
            VENUE,
            "x",
            "gemini",
            SystemClock(),
            Signer("binance", "x").sign,
            door.url,
            None,
            TimeOuts(),
            False,
        )
        with pytest.raises((Retry, Reject)):
            await venue.start()
        await venue.close()
    with pytest.raises(Usage, match="no exchange 'okxx'") as wrong:
        Library("x", "okxx", SystemClock(), Signer("okx", "x").sign, TimeOuts(), None, None, False)
    assert "okx" in wrong.value.hint
    with pytest.raises(Usage, match="no sandbox"):
        Library("x", "kraken", SystemClock(), Signer("okx", "x").sign, TimeOuts(), None, None, True)


def test_another_address_replaces_every_one_of_the_librarys() -> None:
    library = Library(
        "x",
        "binance",
        SystemClock(),
        Signer("binance", "x").sign,
        TimeOuts(),
        "http://127.0.0.1:9/",
        None,
        False,
    )

    def texts(value: Any) -> list[str]:
        return [text for one in value.values() for text in texts(one)] if isinstance(value, dict) else [value]

    found = texts(library.raw.urls["api"])
    assert len(found) > 20 and {text.partition("//")[2].partition("/")[0] for text in found if text} == {
        "127.0.0.1:9"
    }
    assert all(text.startswith("ws://") for text in texts(library.raw.urls["api"]["ws"]))


async def test_where_the_fee_is_taken_in_the_quote_what_comes_is_what_was_planned_to_the_last_digit() -> None:
    """The library's Kraken at the paper exchange in that dialect: the plan has the fee in its prices, and the account agrees with it."""
    async with kraken_paper() as door:
        assert door.here is not None
        engine, signer = door.here.venue.engine, Signer("kraken", "ETHUSDC", API_SECRET)
        venue = at_paper(door.url, exchange="kraken", signer=signer)
        await venue.start()
        try:
            (there,) = await venue.instruments()
            assert there.fee_in_quote and there.taker_fee_bps == 10
            levels = engine.books["ETHUSDC"]
            told = VenueBook("ETHUSDC", tuple(levels.bids.levels()), tuple(levels.asks.levels()), 1)
            bids, asks, fee_bps = all_in(there, told)
            base, quote = cex_id("paper", "ETH"), cex_id("paper", "USDC")
            book = Book("paper", "ETH/USDC", base, quote, fee_bps, there.lot, there.tick, there.min_notional, bids, asks)  # fmt: skip
            plan = buy_base_exact(book, 3 * 10**8, 8, 8)
            assert plan is not None and plan.out_raw == 3 * 10**8
            worst = max(px for px, _ in told.asks[:20])
            order = VenueOrder(name_of(0), "ETHUSDC", Side.BUY, OrdType.LIMIT, TimeInForce.IOC, D(3), worst)
            done = await venue.submit(await venue.authorize(order))
            assert done.status is OrdStatus.FILLED and {fill.fee_asset for fill in done.fills} == {quote}
            held = {balance.asset: balance.free for balance in await venue.balances()}
            spent = D(100_000) - held[quote]
            assert held[base] == D(53), "no more than was wanted, and no less"
            assert (
                0 <= plan.in_raw - spent.scaleb(8) <= len(done.fills) + 1
            )  # each fee is rounded down by itself
            sold = VenueOrder(name_of(1), "ETHUSDC", Side.SELL, OrdType.LIMIT, TimeInForce.IOC, D(1), D(2000))
            gone = await venue.submit(await venue.authorize(sold))
            assert {fill.fee_asset for fill in gone.fills} == {quote}
            assert {b.asset: b.free for b in await venue.balances()}[base] == D(52)
        finally:
            await venue.close()
