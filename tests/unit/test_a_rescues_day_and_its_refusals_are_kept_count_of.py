"""What rescues paid in today counts also where the debt is gone since; a plan that is refused again and again is told once; what a look
cannot have seen is not paid a second time."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from memory_job_store import MemoryJobStore

from agent.app.jobs.budgets import Budgets
from agent.app.jobs.store import Reserved
from agent.app.places import Directory
from agent.app.rescue import acting, bringing
from agent.app.rescue.words import missing_words
from agent.domain.errors import Denied
from agent.domain.instruments import Asset, AssetId
from agent.margin.aave_account import Account, Reserve
from agent.margin.aave_moves import REPAY
from agent.margin.rescue import Means, Move, Need

USDC, DAI, ODD = (AssetId(f"eip155:1/erc20:0x{n * 40}") for n in "abc")
APP: Any = SimpleNamespace(
    directory=Directory(
        {"USDC": (USDC,), "DAI": (DAI,)}, {USDC: Asset(USDC, "USDC", 6), DAI: Asset(DAI, "DAI", 18)}
    )
)
NOW = 100 * acting.DAY_NS
ACCOUNT = "aave_v3:eip155:1"


def sight_of(*reserves: AssetId) -> Any:
    rows = [Reserve(str(a), 6, 2 * 10**8, 0, 0, True, 0, 0, 10**27, 0, 0, 10**27, 0) for a in reserves]
    rule = SimpleNamespace(name="house", most_usd=Decimal(10_000))
    return SimpleNamespace(
        name=ACCOUNT, rule=rule, prices={"USDC": Decimal(1)}, unit_usd=Decimal(1),
        one=SimpleNamespace(account=Account(tuple(rows))),
    )  # fmt: skip


def paid(asset: AssetId, raw: int, age_ns: int = 0) -> Any:
    part = SimpleNamespace(asset_in=asset, in_raw=raw)
    return SimpleNamespace(what=f"rescue house {ACCOUNT}: repay", failed="", part=part, authorized=SimpleNamespace(at_ns=NOW - age_ns))  # fmt: skip


@pytest.mark.parametrize(
    ("held", "asset", "usd"),
    [((USDC,), USDC, "1000"), ((DAI,), USDC, "500"), ((USDC,), DAI, "10000"), ((), ODD, "10000")],
)
def test_what_was_repaid_whole_still_counts_for_the_day(
    held: tuple[AssetId, ...], asset: AssetId, usd: str
) -> None:
    book: Any = SimpleNamespace(
        parts={"a": paid(asset, 500 * 10**6), "b": paid(asset, 10**6, 2 * acting.DAY_NS)}
    )
    assert acting.spent_usd(APP, book, sight_of(*held), NOW) == Decimal(usd)


async def test_a_plan_that_stays_refused_is_told_once() -> None:
    """The agent's scope grants no reserve, so that every plan is refused before anything is rehearsed or signed."""
    told: list[Any] = []

    async def record(event: Any) -> None:
        told.append(event)

    desk: Any = SimpleNamespace(
        clock=SimpleNamespace(now_ns=lambda: NOW), journal=SimpleNamespace(record=record), book=SimpleNamespace(parts={})
    )  # fmt: skip
    nothing = SimpleNamespace(scope=SimpleNamespace(reserves=(), lending_pool="0xPool"))
    app: Any = SimpleNamespace(directory=APP.directory, roads=SimpleNamespace(opened={1: nothing}))
    sight = sight_of(USDC)
    sight.desk = SimpleNamespace(simulator=True, wallet="", road=SimpleNamespace(deadline_s=60), profile=SimpleNamespace(chain_id=1, name="ethereum"))  # fmt: skip
    sight.lender = SimpleNamespace(contract="0xPool", words="Aave V3")
    sight.one.found = SimpleNamespace(block=SimpleNamespace(timestamp=1))
    ways = [(REPAY, USDC), (REPAY, DAI), ("add_collateral", DAI)]
    plans: Any = [
        SimpleNamespace(moves=[Move(Means(do, asset, 10**6, Decimal(0)), 10**6)]) for do, asset in ways
    ]
    known: set[tuple[str, ...]] = set()
    for _ in range(5):
        with pytest.raises(Denied, match="does not let it supply DAI"):
            await acting.act_first(app, desk, sight, plans, Decimal(1), known)
    assert [event.code for event in told] == ["RESCUE_PLAN_REFUSED"] * 2
    assert "repay 1.000000 USDC" in told[0].message and "DAI" in told[1].message


class Receipts:
    """A chain that holds one transaction, in one block."""

    def __init__(self, block: int | None) -> None:
        self.block = block

    async def receipt(self, tx_hash: str) -> Any:
        return None if self.block is None else SimpleNamespace(block_number=self.block)


def in_block(*, ended: bool) -> Any:
    return SimpleNamespace(
        what=f"rescue house {ACCOUNT}: repay",
        ended=ended,
        included_in="0xb",
        signed=[SimpleNamespace(tx_hash="0xa")],
    )


@pytest.mark.parametrize(("block", "seen"), [(99, True), (100, True), (101, False), (None, False)])
async def test_a_payment_that_came_into_a_block_after_the_look_is_not_paid_again(
    block: int | None, seen: bool
) -> None:
    book: Any = SimpleNamespace(parts={"a": in_block(ended=False)}, parents={})
    sight = sight_of(USDC)
    sight.desk = SimpleNamespace(gateway=Receipts(block))
    sight.one.found = SimpleNamespace(block=SimpleNamespace(number=100))
    assert await acting.seen_since(book, sight, acting.over(book)) is seen


async def test_a_payment_or_a_sale_that_came_to_its_end_during_the_look_is_not_done_again() -> None:
    """The look began at block 100; the payment came in at 101 and was final at once, so that nothing of it is under way any more."""
    sale = SimpleNamespace(parent=SimpleNamespace(intent=SimpleNamespace(source="rescue:house")), closed=None)
    book: Any = SimpleNamespace(parts={"a": in_block(ended=False)}, parents={"s": sale})
    before = acting.over(book)
    sight = sight_of(USDC)
    sight.desk = SimpleNamespace(gateway=Receipts(101))
    sight.one.found = SimpleNamespace(block=SimpleNamespace(number=100))
    book.parts["a"].ended = True
    assert not await acting.seen_since(book, sight, before)
    assert await acting.seen_since(book, sight, (after := acting.over(book)))
    sale.closed = SimpleNamespace(status="FILLED")
    assert not await acting.seen_since(book, sight, after)


@pytest.mark.parametrize(
    ("held", "left_s", "told"),
    [(501, None, True), (501, 61, True), (501, 60, False), (500, None, False), (0, None, False)],
)
def test_what_lies_on_another_chain_is_told_where_there_is_enough_and_time(
    held: int, left_s: int | None, told: bool
) -> None:
    there = AssetId(f"eip155:8453/erc20:0x{'d' * 40}")
    assets = {USDC: Asset(USDC, "USDC", 6), there: Asset(there, "USDC", 6)}
    chains = {8453: SimpleNamespace(name="base")}
    app: Any = SimpleNamespace(
        directory=Directory({"USDC": (USDC, there)}, assets),
        settings=SimpleNamespace(chain=chains.get, bridge=SimpleNamespace(usual_s=15, fee_bps=10)),
        roads=None,
    )
    sight = sight_of(USDC)
    sight.rule.chain = "ethereum"
    sight.desk = SimpleNamespace(wallet="0xWallet")
    sight.one.symbols, sight.one.health = {str(USDC): "USDC"}, SimpleNamespace(seconds_to_liquidation=left_s)
    sight.health_1e18, sight.below = 11 * 10**17, lambda threshold: threshold > 1.1
    sight.rule.bridge_above = Decimal("1.03")
    sight.at_venues, sight.on_chains = {}, {there: held * 10**6}
    lines = list(missing_words(app, sight, Need(REPAY, str(USDC), 500 * 10**6)))
    assert lines[0].startswith("500.000000 USDC to 0xWallet on ethereum")
    assert (
        any(
            "bridge 500.000000 USDC" in line and "from base to 0xWallet on ethereum" in line for line in lines
        )
        is told
    )


def test_what_is_under_way_is_waited_for_until_it_is_late_and_what_is_signed_always() -> None:
    """One crossing a stage, for this account and for another: of those that are not over, in and past their time."""
    app: Any = SimpleNamespace(settings=SimpleNamespace(bridge=SimpleNamespace(usual_s=15)))
    stages = ("SENT", "DEPOSITED", "FILLED", "ARRIVED", "EXPIRED", "REFUNDED", "DROPPED")
    sight = sight_of(USDC)
    for now_s, waited in ((119, {"SENT", "DEPOSITED", "FILLED"}), (121, {"SENT"})):
        crossings = {
            name: SimpleNamespace(stage=name.split()[0], at_ns=0) for s in stages for name in (s, f"{s} too")
        }
        parts = {
            n: SimpleNamespace(
                what=f"bridge 5 USDC from base to ethereum for {n[-3:] == 'too' and 'other' or ACCOUNT}"
            )
            for n in crossings
        }
        desk: Any = SimpleNamespace(book=SimpleNamespace(crossings=crossings, parts=parts), clock=SimpleNamespace(now_ns=lambda s=now_s: s * 10**9))  # fmt: skip
        assert {c.stage for c in bringing.awaited(app, desk, sight)} == waited
        assert len(bringing.awaited(app, desk, sight)) == len(waited), "the other account's are none of it"


@pytest.mark.parametrize(("held", "sent"), [(500, None), (501, 501), (505, 505), (10_000, 505_505_506)])
def test_a_little_more_than_is_missing_is_brought_where_there_is_more(held: int, sent: int | None) -> None:
    app: Any = SimpleNamespace(settings=SimpleNamespace(bridge=SimpleNamespace(fee_bps=10)))
    found = bringing.enough(app, 500 * 10**6, held * 10**6)
    assert found == (sent if sent is None or sent > 10**6 else sent * 10**6)


@pytest.mark.parametrize(
    ("near", "far", "room", "raws"),
    [(505, 600, 2_000, [(505, "base"), (505_505_506, "far")]),  # all of it, from either
     (400, 25, 2_000, [(400, "base"), (25, "far")]),            # as much of it as there is, the most first
     (24, 450, 2_000, [(450, "far")]),                          # a twentieth at the least
     (505, 600, 999, []), (400, 25, 799, [(25, "far")])],       # a unit is two dollars here
)  # fmt: skip
def test_all_that_is_missing_is_brought_or_as_much_as_there_is(
    near: int, far: int, room: int, raws: list[tuple[int, str]]
) -> None:
    there, other = (AssetId(f"{place}/erc20:0x{'d' * 40}") for place in ("eip155:8453", "eip155:42161"))
    desks = {place: SimpleNamespace(place=place, name=name) for place, name in (("eip155:1", "here"), ("eip155:8453", "base"), ("eip155:42161", "far"))}  # fmt: skip
    app: Any = SimpleNamespace(
        directory=Directory({"USDC": (USDC, there, other)}, {a: Asset(a, "USDC", 6) for a in (USDC, there, other)}),
        settings=SimpleNamespace(bridge=SimpleNamespace(fee_bps=10, usual_s=15)), roads=None, chains=desks,
    )  # fmt: skip
    sight = sight_of(USDC)
    sight.rule.bridge, sight.rule.bridge_above = True, Decimal("1.03")
    sight.health_1e18, sight.below = 11 * 10**17, lambda threshold: False
    sight.one.health = SimpleNamespace(seconds_to_liquidation=None)
    sight.on_chains = {there: near * 10**6, other: far * 10**6}
    found = bringing.choices(app, sight, (Need(REPAY, str(USDC), 500 * 10**6),), Decimal(room))
    told = [(one.raw, one.way.here.name) for one in found]  # type: ignore[attr-defined]
    assert told == [(raw if raw > 10**6 else raw * 10**6, name) for raw, name in raws]


def test_what_another_daemon_paid_in_today_is_none_of_ours_to_pay_again() -> None:
    """A day of 1,000 dollars of which another daemon has 600 under way: 500 are not reserved, 400 are, and settled once they are final."""
    store, parts = MemoryJobStore(), dict[str, Any]()
    book: Any = SimpleNamespace(parts=parts, parents={})
    desk: Any = SimpleNamespace(clock=SimpleNamespace(now_ns=lambda: NOW), book=book)
    sight = sight_of(USDC)
    sight.rule.per_day_usd = Decimal(1_000)
    theirs = Reserved("rescue:house", "far:1", "p@1", NOW - 1, Decimal(600))
    assert store.reserve(theirs, Decimal(1_000), 0)
    shared = Budgets(store, "here:2")

    def pay(usd: int, name: str) -> None:
        part = SimpleNamespace(asset_in=USDC, in_raw=usd * 10**6 // 2, cl_ord_id=name)
        acting._reserve(APP, desk, sight, SimpleNamespace(part=part), shared)  # type: ignore[arg-type]

    assert acting.counted_usd(APP, desk, sight, shared) == 600
    with pytest.raises(Denied) as full:
        pay(500, "l-1")
    assert full.value.code == "RESCUE_OVER_DAY" and "600.00 by far:1" in full.value.message
    pay(400, "l-1")
    parts["l-1"] = SimpleNamespace(what="", failed="", ended=False, authorized=None)
    with pytest.raises(Denied):
        pay(1, "l-2")
    parts["l-1"].failed = "it reverted"
    assert acting.counted_usd(APP, desk, sight, shared) == 600, "what failed is free again"
    pay(400, "l-2")
    parts["l-2"] = SimpleNamespace(what="", failed="", ended=True, authorized=None)
    assert acting.counted_usd(APP, desk, sight, shared) == 1_000
    assert [(row.owner, row.open) for row in store.reserved()] == [("far:1", True), ("here:2", False)]
