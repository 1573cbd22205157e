"""`--hedge carry` in an inverse contract at Deribit: coins held as margin, a short of so many dollars, and no delta between them at any price."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from deribit_rig import INVERSE, INVERSE_SYMBOL, deribit_session, inverse_paper, inverse_signer
from paper import Door
from planned_contracts import Desk
from settings_values import values

from agent.app import template
from agent.app.contracts import holdings_of
from agent.app.jobs.carry import carry_of
from agent.app.jobs.hedging import hedge_request
from agent.app.places import Directory, directory
from agent.app.settings import parse
from agent.app.settings_jobs import HedgeJob
from agent.app.testvenue.futures import futures_of
from agent.app.watching.margins import judged_now
from agent.domain.errors import Denied
from agent.domain.instruments import Asset, AssetId
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder
from agent.domain.risk import OraclePrice
from agent.journal.book import Book
from agent.margin.model import State as Is
from agent.transport.clock import SystemClock
from agent.venues.deribit import Deribit

D = Decimal
PERP, COIN = AssetId(f"cex:paper/{INVERSE}"), AssetId("cex:paper/BTC")
HOUR_MS = 3_600_000
GIVEN = {
    "base": "BTC", "instrument": "BTC-PERP", "quote": "USDC", "size": "0.8", "tranche": "0.4", "keep": "0.2", "enter": "5",
    "cost_bps": "20", "hours": "24", "step": "0.0001",
}  # fmt: skip
JOB = HedgeJob.model_validate(
    {"name": "basis", "every": "5m", "hedge": "carry", "algo": "market", "hedge_with": GIVEN}
)


class CoinDesk(Desk):
    """Buys and sells dollars with the coin."""

    def __init__(self, venue: Deribit, coins: str) -> None:
        super().__init__(venue, PERP)
        self.known = Directory(
            {"BTC-PERP": (PERP,), "BTC": (COIN,)},
            {PERP: Asset(PERP, "BTC-PERP", 8), COIN: Asset(COIN, "BTC", 8)},
        )
        self.market.directory = self.known
        self.names = ("BTC-PERP", "BTC")
        self.booked = {PERP: D(0), COIN: D(coins)}

    async def there(self) -> dict[AssetId, Decimal]:
        told = {b.asset: b.free + b.locked for b in await holdings_of(self.venue, self.known.assets)}
        return {asset: told.get(asset, D(0)) for asset in (PERP, COIN)}

    async def agrees(self) -> bool:
        """The book of what fills said beside what the exchange says is held: dollars exactly, coins to its rounding."""
        there = await self.there()
        return there[PERP] == self.booked[PERP] and abs(there[COIN] - self.booked[COIN]) < D("1e-12")


def world(venue: Deribit, px: str) -> Any:
    """What a job's fire sees: this exchange, two sources of each price (a contract's is a dollar's), and no chain."""
    feed = {"kind": "chainlink", "chain": "ethereum", "address": f"0x{'5' * 40}"}
    two = [feed, feed | {"chain": "base"}]
    changed = values(oracles__USDC=two, oracles__BTC=two)
    changed["oracles"] |= {"BTC-PERP": two}
    changed["assets"] |= {"BTC-PERP": [str(PERP)], "BTC": [str(COIN)]}
    changed["venues"][0] |= {"module": "deribit", "symbols": [INVERSE]}
    path = Path("/nowhere/fairlead.toml")
    settings = parse(template.render(changed, path), path).settings
    now_s = SystemClock().now_ns() // 10**9
    told = {"BTC": D(px), "USDC": D(1), "BTC-PERP": D(1)}

    async def prices() -> tuple[OraclePrice, ...]:
        return tuple(OraclePrice(source, name, each, now_s) for name, each in told.items() for source in "ab")

    return SimpleNamespace(
        settings=settings, directory=directory(settings, {}), venues={"paper": venue}, chains={}, unreachable={}, pretended={},
        clock=SystemClock(), oracles=SimpleNamespace(prices=prices),
    )  # fmt: skip


@asynccontextmanager
async def there(coins: str = "1") -> AsyncIterator[tuple[Door, Deribit, CoinDesk, Any]]:
    async with inverse_paper(coins) as door:
        venue = deribit_session(door.url, inverse_signer())
        await venue.start()
        try:
            assert door.here is not None
            yield door, venue, CoinDesk(venue, coins), futures_of(door.here.venue.engine)
        finally:
            await venue.close()


def paid(engine: Any, rate: str) -> None:
    """What was told of the last hours, nobody paying it yet."""
    now_ms = SystemClock().now_ns() // 10**6
    engine.funding[INVERSE_SYMBOL] = [
        (now_ms - n * HOUR_MS + 60_000, D(rate), D(60_000)) for n in range(24, 0, -1)
    ]


async def test_it_is_begun_restarted_and_ended_and_the_coins_beside_it_are_the_whole_delta() -> None:
    async with there() as (door, venue, one, engine):
        app = world(venue, "60000")
        paid(engine, "0.00005")
        done = list[tuple[Side, Decimal]]()
        keep, sign = D("0.2"), 1
        for turn in range(12):
            request, why = await hedge_request(app, JOB, Book(), "job:basis")
            if request is None:
                if sign < 0:
                    break
                # All of what is above `keep` has been sold for dollars: begun. Then the funding turns.
                assert abs((await one.there())[COIN] - keep) * 60_000 < 60, why
                sign = -1
                paid(engine, "-0.00001")
                continue
            if request.base == "BTC":  # the long leg goes, elsewhere: here the coins are just taken out
                assert request.side is Side.SELL and sign < 0
                key = next(iter(door.here.venue.accounts)) if door.here is not None else ""
                engine.free[key, "BTC"] -= request.qty
                one.booked[COIN] -= request.qty
                continue
            assert (request.base, request.quote) == ("BTC-PERP", "BTC") and request.qty <= 24_000
            qty = request.qty - request.qty % 10
            if qty < 100:  # what the book's spread cost is put right
                assert abs((await one.there())[COIN] - keep) * 60_000 < 100
            else:
                assert request.side is (Side.BUY if sign > 0 else Side.SELL)
            await one.trade(request.side, f"{qty:f}")
            done.append((request.side, qty))
            assert await one.agrees()
            if turn == 0:  # a restart in between: another session, told everything by the exchange
                await venue.close()
                venue = deribit_session(door.url, inverse_signer())
                await venue.start()
                app, after = world(venue, "60000"), CoinDesk(venue, "1")
                after.booked, after.sent = one.booked, one.sent
                one = after
        bought = sum((qty for side, qty in done if side is Side.BUY), D(0))
        sold = sum((qty for side, qty in done if side is Side.SELL), D(0))
        assert 47_000 < bought <= 48_100 and sold == bought, done
        assert (await one.there())[PERP] == 0 and await one.agrees()
        await venue.close()


async def test_what_it_is_worth_moves_by_the_coins_beside_it_and_its_account_is_watched() -> None:
    async with there() as (_, venue, one, engine):
        with pytest.raises(Denied) as untold:
            await carry_of(world(venue, "60000"), GIVEN)
        assert untold.value.code == "FUNDING_UNKNOWN"
        paid(engine, "0.00005")
        await one.trade(Side.BUY, "48000")
        (position,) = await venue.positions()
        assert (position.qty, position.inverse) == (-48_000, True), "the exchange's short"
        told = await carry_of(world(venue, "60000"), GIVEN)
        assert told is not None and told.yearly == D("0.00005") * 8_760
        assert told.room is None, "a short with more coins beside it than it sold falls at no price"
        (account,) = await judged_now(venue)
        assert (account.model, account.state) == ("deribit_sm", Is.SAFE)
        held = await one.there()
        key = next(iter(engine.free))[0]
        worth = {}
        for px in ("40000", "61000", "90000"):
            engine.books[INVERSE_SYMBOL].last_px = D(px)
            equity = engine.free["test-key", "BTC"] + engine.gain("test-key", INVERSE_SYMBOL)
            worth[D(px)] = equity * D(px)
            now = await one.there()
            assert now[PERP] == 48_000 and abs(now[COIN] - held[COIN]) < D("1e-12"), (key, now)
        for px, usd in worth.items():
            assert abs(usd - (held[COIN] * px + held[PERP])) < D("1e-6"), (
                "coins at the price, and so many dollars"
            )
        engine.books[INVERSE_SYMBOL].last_px = D(60_000)
        before, total = (await one.there())[COIN], engine.total("BTC")
        engine.fund(INVERSE_SYMBOL, D("0.001"), SystemClock().now_ns() // 10**6)
        got = (await one.there())[COIN] - before
        assert D(0) <= 48_000 / D(60_000) * D("0.001") - got < D("2e-8"), "a short is paid in coins"
        assert engine.total("BTC") == total


async def test_more_dollars_than_the_coins_are_worth_are_not_bought_and_little_room_makes_it_smaller() -> (
    None
):
    async with there("0.1") as (_, venue, one, engine):
        paid(engine, "0.00005")
        with pytest.raises(Exception) as refused:
            await one.order(Side.BUY, "9000")
        assert getattr(refused.value, "verb", "") in ("DENIED", "REJECT", "USAGE"), refused.value
        await one.trade(Side.BUY, "5000")
        # Three quarters of the coins go: what is left bears little of a rise.
        engine.free["test-key", "BTC"] = D("0.015")
        app = world(venue, "60000")
        told = await carry_of(app, GIVEN)
        assert told is not None and told.room is not None and told.room < D("0.25")
        tight = JOB.model_copy(update={"hedge_with": GIVEN | {"keep": "0", "room": "25"}})
        request, why = await hedge_request(app, tight, Book(), "job:basis")
        assert request is not None and request.side is Side.SELL and request.base == "BTC-PERP", why
        missing = -(await one.there())[COIN]
        assert 0 <= missing * 60_000 - request.qty < 10, "as many dollars as coins are missing for"


async def test_an_order_says_to_the_exchange_what_it_says_here_turned_round() -> None:
    async with there() as (_, venue, one, _):
        (market,) = await venue.instruments()
        assert (market.base, market.quote, market.contract) == (INVERSE, "BTC", "inverse")
        book = await venue.book(INVERSE)
        assert book.bids[0][0] < book.asks[0][0] < D("1.67e-5")
        order = await one.order(Side.BUY, "3000")
        assert order.side is Side.BUY and order.px is not None
        resting = VenueOrder(
            order.cl_ord_id, INVERSE, Side.BUY, OrdType.LIMIT, TimeInForce.GTC, D(3_000), D("0.000016")
        )
        request = await venue.authorize(resting)
        assert "private/sell" in request.path and "price=62500" in request.payload
        placed = await venue.submit(request)
        assert (placed.side, placed.px, placed.cum_qty) == (Side.BUY, D("0.000016"), 0)
        (open_now,) = await venue.open_orders()
        assert (open_now.side, open_now.px) == (Side.BUY, D("0.000016"))
        ended = await venue.cancel(order.cl_ord_id, INVERSE)
        assert ended.side is Side.BUY


async def test_a_coin_that_is_no_base_of_the_settings_is_named() -> None:
    async with there() as (_, venue, _, engine):
        paid(engine, "0.00005")
        changed = JOB.model_copy(update={"hedge_with": GIVEN | {"base": "ETH"}})
        with pytest.raises(Denied) as no:
            await hedge_request(world(venue, "60000"), changed, Book(), "job:basis")
        assert no.value.code == "CARRY_COIN" and "assets.ETH" in no.value.hint
        delta = {
            "base": "BTC",
            "instrument": "BTC-PERP",
            "quote": "USDC",
            "risk_aversion": "0.001",
            "cost_bps": "5",
        }
        other = JOB.model_copy(update={"hedge": "delta", "hedge_with": delta})
        with pytest.raises(Denied) as no:
            await hedge_request(world(venue, "60000"), other, Book(), "job:basis")
        assert no.value.code == "HEDGE_INVERSE"
