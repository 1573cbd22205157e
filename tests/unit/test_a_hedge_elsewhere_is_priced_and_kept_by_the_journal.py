"""What a hedge at a paper exchange would be, by its own book and margin; what stands of it, by the journal's orders alone; and how its keeper holds
other means up, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from hyper_rig import hyper_paper, hyper_session
from hyper_server import ACCOUNT
from manual_clock import ManualClock
from paper import Door

from agent.algos.step import REDUCE_ONLY
from agent.app.rescue import hedge
from agent.app.rescue.hedge import Crisis, lacks, stands
from agent.app.rescue.hedge_keeper import HOLDS_S, HedgeKeeper
from agent.app.settings_rescue import RescueTable
from agent.app.testvenue.futures import FuturesEngine
from agent.domain.errors import Denied, FairleadError, Retry
from agent.domain.orders import Side
from agent.transport.clock import SystemClock

D = Decimal


def rule(**more: Any) -> RescueTable:
    given = {
        "name": "house",
        "chain": "ethereum",
        "hedge_at": "paper",
        "hedge_with": "ETH-PERP",
        "hedge_most_usd": D(600_000),
    }
    return RescueTable.model_validate(given | more)


def app_of(venues: Mapping[str, Any]) -> Any:
    symbols = {"cex:paper/ETH-PERP": "ETH-PERP", "cex:paper/USDC-PERPS": "USDC"}
    return SimpleNamespace(
        venues=venues,
        unreachable={"paper": "is closed"},
        directory=SimpleNamespace(symbols=symbols),
        clock=SystemClock(),
    )


async def offer(door: Door, usd: str, **more: Any) -> hedge.Offer:
    venue = hyper_session(door.url)
    try:
        await venue.start()
        return await hedge.offered(app_of({"paper": venue}), Crisis(rule(**more), "loan", D(usd)))
    finally:
        await venue.close()


async def test_it_is_as_large_as_what_is_exposed_as_the_limit_and_as_the_margin_there() -> None:
    async with hyper_paper(FuturesEngine) as door:
        whole = (await offer(door, "30000")).found
        assert whole.side is Side.SELL and whole.bound_by == "" and abs(whole.notional - 30_000) < 1
        assert whole.funding_usd is None and whole.cost_usd > 30_000 * D("0.00045") * 2
        small = (await offer(door, "30000", hedge_most_usd=D(9_000))).found
        assert (
            small.bound_by == "hedge_most_usd"
            and 8_999 < small.notional <= 9_000
            and small.wanted == whole.qty
        )
        # 100,000 dollars are there: after a rise by half, q·3000·0.5 is lost and a tenth of q·4500 is to stay.
        large = (await offer(door, "590000", hedge_shock=D("0.5"))).found
        assert large.bound_by == "the margin there" and large.ratio_1e18 is not None
        assert 10**18 <= large.ratio_1e18 < 10**18 * 1001 // 1000
        assert abs(float(large.notional) * 0.65 - 100_000) < 300
        long = (await offer(door, "-30000")).found
        assert long.side is Side.BUY, "what is short of the coin is hedged by a purchase"
        with pytest.raises(Denied) as none:
            await offer(door, "30000", hedge_most_usd=D(9))
        assert none.value.code == "HEDGE_TOO_LARGE" and none.value.hint
        with pytest.raises(Denied) as nothing:
            await offer(door, "0")
        assert nothing.value.code == "HEDGE_NOTHING"
        with pytest.raises(Denied) as other:
            await offer(door, "30000", hedge_with="BTC-PERP")
        assert other.value.code == "HEDGE_CONTRACT"


async def test_funding_is_expected_as_it_was_paid_and_a_position_there_counts() -> None:
    async with hyper_paper(FuturesEngine) as door:
        assert door.here is not None
        engine: Any = door.here.venue.engine
        now_ms = door.here.venue.now_ms()
        for hour in range(72):
            engine.fund("ETHUSDC", D("0.00001"), now_ms - hour * 3_600_000)
        found = await offer(door, "30000", hedge_days=10)
        assert found.found.funding_usd is not None
        assert abs(
            found.found.funding_usd + found.found.notional.__float__().__int__() * D("0.00024") * 10
        ) < D("0.1")
        assert "to be received over 10 days" in hedge.words(found) and "raises no health" in hedge.words(
            found
        )
        engine.free[ACCOUNT, "USDC"] = D(10_000)
        alone = (await offer(door, "590000")).found
        held = engine.positions.setdefault((ACCOUNT, "ETHUSDC"), type(engine.position("x", "y"))())
        held.qty, held.cost = D(-5), D(-15_000)
        beside = (await offer(door, "590000")).found
        # The tiers are told now, 2 % where 10 % had been taken; what was short already needs its share.
        assert beside.bound_by == "the margin there" and beside.qty != alone.qty
        assert beside.ratio_1e18 is not None and beside.ratio_1e18 >= 10**18


async def test_an_exchange_that_is_not_there_is_no_hedge() -> None:
    with pytest.raises(Retry) as gone:
        await hedge.offered(app_of({}), Crisis(rule(), "loan", D(1_000)))
    assert gone.value.code == "HEDGE_VENUE" and "is closed" in gone.value.message


class Book:
    """Orders of the journal: (side, wanted, filled, reduces), in their order; `alarms` by (code, message, at)."""

    def __init__(self, *orders: tuple[Side, str, str, bool], closed: bool = True) -> None:
        self.alarms: list[Any] = []
        self.parents, self._filled = dict[str, Any](), dict[str, Decimal]()
        for number, (side, qty, filled, reduces) in enumerate(orders):
            name, params = f"p-{number}", (REDUCE_ONLY,) if reduces else ()
            intent = SimpleNamespace(source="hedge:house", algo_params=params)
            parent = SimpleNamespace(cl_ord_id=name, intent=intent, side=side, qty=D(qty))
            self.parents[name] = SimpleNamespace(
                parent=parent, accepted_ns=number + 1, closed=object() if closed else None
            )
            self._filled[name] = D(filled)

    def filled_base(self, name: str) -> Decimal:
        return self._filled[name]


S, B = Side.SELL, Side.BUY


@pytest.mark.parametrize(
    ("orders", "held", "missing"),
    [
        ((), "0", "0"),
        (((S, "2", "2", False),), "-2", "0"),
        (((S, "2", "0.5", False),), "-0.5", "1.5"),
        (((S, "2", "0.5", False), (S, "1.5", "1.5", False)), "-2", "0"),
        (((S, "2", "0", False),), "0", "0"),
        (((S, "2", "2", False), (B, "2", "0.7", True)), "-1.3", "0"),
        (((S, "2", "2", False), (B, "2", "2", True)), "0", "0"),
        (((S, "2", "2", False), (B, "2", "2", True), (S, "3", "1", False)), "-1", "2"),
        (((B, "2", "2", False), (S, "2", "2", True)), "0", "0"),
    ],
)
def test_what_stands_is_what_its_own_orders_filled(
    orders: tuple[tuple[Side, str, str, bool], ...], held: str, missing: str
) -> None:
    book: Any = Book(*orders)
    assert stands(book, rule()) == D(held) and lacks(book, rule()) == D(missing)
    assert stands(book, rule(name="other")) == 0
    book.alarms.append(SimpleNamespace(code=hedge.GONE, message="house: closed there", at_ns=len(orders)))
    assert stands(book, rule()) == 0 == lacks(book, rule()), "what was closed there is told no more"


async def test_an_order_whose_fate_is_unknown_holds_up_other_means_only_for_a_while() -> None:
    clock = ManualClock()
    alarms = list[tuple[str, str]]()

    class Desk:
        def __init__(self) -> None:
            self.clock, self.journal = clock, self
            self.book: Any = Book((S, "2", "0", False), closed=False)

        async def record(self, event: Any) -> None:
            alarms.append((event.code, event.message))

    desk: Any = Desk()
    keeper = HedgeKeeper(app_of({}), desk, rule(hedge_first=True), D(200), lambda line: None, None)
    assert keeper.busy and keeper.holds and keeper.comes_first
    await clock.sleep(HOLDS_S)
    assert keeper.busy and not keeper.holds and not keeper.comes_first
    desk.book = Book()
    assert not keeper.busy and keeper.comes_first
    for _ in range(3):
        keeper.wanted(Crisis(rule(), "loan", D(1_000)))
        await asyncio.sleep(0.01)
    ((code, text),) = alarms
    assert code == "HEDGE_IMPOSSIBLE" and "HEDGE_VENUE" in text and keeper.refused and not keeper.comes_first
    keeper.over("loan", "well")
    assert not keeper.refused and not keeper.busy
    await keeper.ended()


async def test_what_may_not_be_begun_now_is_no_hedge() -> None:
    alarms = list[str]()

    class Desk:
        def __init__(self) -> None:
            self.clock, self.journal, self.book = ManualClock(), self, Book()

        async def record(self, event: Any) -> None:
            alarms.append(event.message)

    async def before() -> None:
        raise Denied("SCOPE_GONE", "the scope was taken back", "ask its owners")

    desk: Any = Desk()
    keeper = HedgeKeeper(app_of({}), desk, rule(), D(200), lambda line: None, before)
    keeper.wanted(Crisis(rule(), "loan", D(1_000)))
    await asyncio.sleep(0.01)
    assert "SCOPE_GONE" in alarms[0] and isinstance(keeper.fatal, FairleadError | None)
    await keeper.ended()


async def test_a_hedge_that_the_exchange_tells_no_more_is_alerted_and_counts_no_more() -> None:
    """Two coins short by the journal; at the exchange nothing is: it was closed there, and is not bought back."""
    alarms = list[Any]()

    class Desk:
        def __init__(self) -> None:
            self.clock, self.journal, self.book = ManualClock(), self, Book((S, "2", "2", False))

        async def record(self, event: Any) -> None:
            alarms.append(event)

    async with hyper_paper(FuturesEngine) as door:
        venue = hyper_session(door.url)
        try:
            await venue.start()
            desk: Any = Desk()
            keeper = HedgeKeeper(app_of({"paper": venue}), desk, rule(), D(200), lambda line: None, None)
            assert keeper.stands == -2
            keeper.over("loan", "health factor 1.4000")
            for _ in range(500):
                if alarms:
                    break
                await asyncio.sleep(0.01)
            assert not await venue.open_orders()
            await keeper.ended()
        finally:
            await venue.close()
    (gone,) = alarms
    assert gone.code == "HEDGE_GONE"
    assert gone.message == "house: paper tells no hedge of loan any more: it was closed there"
    desk.book.alarms.append(SimpleNamespace(code=gone.code, message=gone.message, at_ns=2))
    assert keeper.stands == 0
