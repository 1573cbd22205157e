"""Whatever happens to orders, in whatever order: what is open at a place or in a pool that is new stays within its cap, and the cap
grows by what settled alone. Beside the product's own fold stands a plain count of the same events."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journal_moves import ASSETS, CHAIN, HASH, VENUE, order

from agent.domain import events as ev
from agent.domain.ids import ClOrdId
from agent.domain.instruments import AssetId, Place
from agent.domain.order_state import ExecType
from agent.domain.orders import ChildOrder, Part, Side
from agent.domain.reports import ExecutionReport, Fill
from agent.domain.risk import Ramp, Reservation, Standing
from agent.domain.routes import Costs, Leg, Route
from agent.domain.submission_state import Observation
from agent.journal.book import Book
from agent.journal.standing import standing
from agent.risk.ramp import asked_usd, breaches, stage
from chains.types import Address, Protection

RAMP = Ramp(Decimal(100), 3, 1, Decimal(2_000))
CAPS = [Decimal(100), Decimal(300), Decimal(900)]
DECIMALS = {asset: digits for at in ASSETS.values() for asset, digits in zip(at, (18, 6), strict=True)}
PX = Decimal(10)
POOLS = ("eip155:1/0xaa", "eip155:1/0xbb")


@dataclass
class One:
    """An order as the plain count sees it: what it has at each name, in USD."""

    part: Part
    at: dict[str, Decimal]
    state: str = "open"
    filled: Decimal = Decimal(0)
    """The share of it that was filled."""


@dataclass
class Desk:
    chance: random.Random
    told: list[object] = field(default_factory=list)
    book: Book = field(default_factory=Book)
    orders: list[One] = field(default_factory=list)
    denied: int = 0
    highest: int = 0

    def tell(self, event: object) -> None:
        self.told.append(event)
        self.book.apply(event)

    # ------------------------------------------------------------------ what may happen

    def wish(self) -> None:
        """An order at the exchange, or through one or two pools of the chain; carried where the rule lets it."""
        n, side = len(self.told), self.chance.choice(list(Side))
        qty = Decimal(self.chance.choice([1, 2, 5, 9, 12, 30, 90, 200]))
        place = self.chance.choice([CHAIN, VENUE])
        plan = planned(ClOrdId(f"c{n}"), side, qty, place, self.chance.randrange(3))
        asked = asked_usd(plan, qty * PX, DECIMALS)
        seen = standing(self.book, RAMP, asked, DECIMALS)
        if breaches(RAMP, asked, seen):
            over = [name for name in asked if self.open_at(name) + asked[name] > (self.cap(name) or 10**9)]
            assert over, f"denied although {asked} fits"
            self.denied += 1
            return
        part = plan.parts[0]
        self.tell(ev.Sliced(plan.child, n))
        self.tell(plan)
        self.tell(ev.Approved(plan, Reservation(qty * PX, ()), (), n))
        venue_order = order(part, qty) if place == VENUE else None
        self.tell(
            ev.Authorized(
                part, venue_order, 0 if venue_order else 1, Address("0x"), n, n, HASH, b"", "", Protection.PRIVATE, 9, 9,
                0, n,
            )
        )  # fmt: skip
        self.orders.append(One(part, asked))

    def fill(self) -> None:
        for one in self.some("open"):
            if one.filled:
                continue
            at_exchange = one.part.place == VENUE
            share = Decimal(self.chance.choice(["1", "0.5"])) if at_exchange else Decimal(1)
            if not at_exchange:
                self.observe(one, Observation.INCLUDED)
            self.report(one, ExecType.NEW)
            self.report(one, ExecType.TRADE, share)
            one.filled = share

    def take_back(self) -> None:
        """A reorganisation, or an exchange that busts a trade: before it was settled, and now and then long after."""
        for one in self.some("open", "settled"):
            if not one.filled or (one.part.place == CHAIN and one.state == "settled"):
                continue
            if one.part.place == CHAIN:
                self.observe(one, Observation.REORGED)
            self.report(one, ExecType.TRADE_CANCEL)
            one.filled = Decimal(0)

    def settle(self) -> None:
        for one in self.some("open"):
            if not one.filled and self.chance.random() < 0.7:
                continue
            self.tell(ev.Settled(one.part, (), 0, len(self.told)))
            one.state = "settled"

    def fail(self) -> None:
        for one in self.some("open"):
            if one.filled:
                continue
            self.tell(ev.PartFailed(one.part, "WOULD_REVERT", "", len(self.told)))
            one.state = "failed"

    def some(self, *states: str) -> list[One]:
        found = [one for one in self.orders if one.state in states]
        return self.chance.sample(found, min(len(found), self.chance.choice([1, 1, 2])))

    def observe(self, one: One, seen: Observation) -> None:
        n = len(self.told)
        self.tell(ev.Observed(one.part.cl_ord_id, CHAIN, seen, HASH, n, f"0x{n}", 0, 0, 0, n))

    def report(self, one: One, kind: ExecType, share: Decimal = Decimal(0)) -> None:
        part, n = one.part, len(self.told)
        fill = None
        if share:
            given = Decimal(part.in_raw).scaleb(-DECIMALS[part.asset_in]) * share
            got = Decimal(part.out_raw).scaleb(-DECIMALS[part.asset_out]) * share
            fill = Fill(
                f"x{n}", part.place, part.asset_in, part.asset_out, given, got, part.asset_out, Decimal(0), n
            )
        known = next(iter(self.book.parts[part.cl_ord_id].fills), "")
        reference = known if kind is ExecType.TRADE_CANCEL else ""
        self.tell(ev.Reported(ExecutionReport(part.cl_ord_id, part.place, kind, n, "", fill, reference)))

    # ------------------------------------------------------------------ the plain count

    def open_at(self, name: str) -> Decimal:
        return sum((one.at.get(name, Decimal(0)) for one in self.orders if one.state == "open"), Decimal(0))

    def cap(self, name: str) -> Decimal | None:
        done = [o for o in self.orders if o.state == "settled" and o.filled and name in o.at]
        worth = sum((o.at[name] * o.filled for o in done), Decimal(0))
        for step, cap in enumerate(CAPS):
            if len(done) < step + 1 or worth < cap:
                self.highest = max(self.highest, step)
                return cap
        self.highest = len(CAPS)
        return None


def planned(name: ClOrdId, side: Side, qty: Decimal, place: Place, pools: int) -> ev.Planned:
    """10 of the quote for one of the base. `pools`: through the first, in halves through both, or through one and then the other."""
    base, quote = ASSETS[place]
    give, get = (base, quote) if side is Side.SELL else (quote, base)
    worth = {base: int(qty * 10**18), quote: int(qty * PX * 10**6)}
    spent, got = worth[give], worth[get]

    def leg(pool: str, a: AssetId, b: AssetId, paid: int, came: int) -> Leg:
        return Leg(pool, place, a, b, paid, came, 0, 0, a, "uniswap_v2")

    middle = AssetId("eip155:1/erc20:0xMID")
    first, second = POOLS if place == CHAIN else ("paper:ETH/USDC", "")
    if place == VENUE or pools == 0:
        legs = [leg(first, give, get, spent, got)]
    elif pools == 1:
        legs = [leg(pool, give, get, spent // 2, got // 2) for pool in (first, second)]
    else:
        legs = [leg(first, give, middle, spent, 7), leg(second, middle, get, 7, got)]
    part = Part(ClOrdId(f"fl-{name}"), name, place, 1, give, get, spent, got, got, tuple(range(len(legs))))
    child = ChildOrder(name, ClOrdId("p"), 0, side, "ETH", "USDC", qty, None, 50, Protection.PRIVATE, 2**62)
    route = Route(give, get, spent, got, got, Costs(0, 0, 0, "1"), tuple(legs), (), "digest")
    return ev.Planned(child, route, (part,), PX, (), (), 0)


def live(seed: int, acts: int) -> Desk:
    desk = Desk(random.Random(seed))
    moves = [desk.wish, desk.fill, desk.settle] * 3 + [desk.take_back, desk.fail]
    for _ in range(acts):
        desk.chance.choice(moves)()
        names = ("eip155:1", "cex:paper", *POOLS)
        seen = standing(desk.book, RAMP, names, DECIMALS)
        for name in names:
            cap = desk.cap(name)
            assert stage(RAMP, seen[name])[1] == cap, f"{name}: {seen[name]}"
            if cap is not None:
                assert seen[name].open_usd == desk.open_at(name)
    again = Book()
    for event in desk.told:
        again.apply(event)
    assert standing(again, RAMP, names, DECIMALS) == seen, "a restart knows something else"
    return desk


@given(seed=st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_no_order_of_events_gets_past_a_cap(seed: int) -> None:
    live(seed, 40)


@pytest.mark.full
@given(seed=st.integers(0, 2**32))
@settings(max_examples=2_000, deadline=None)
def test_no_order_of_many_events_gets_past_a_cap(seed: int) -> None:
    live(seed, 120)


def test_the_search_reaches_every_step_and_every_refusal() -> None:
    """Without this the property could hold because nothing ever grew."""
    desks = [live(seed, 400) for seed in range(6)]
    assert max(desk.highest for desk in desks) == len(CAPS)
    assert sum(desk.denied for desk in desks) > 20
    taken = [
        e
        for d in desks
        for e in d.told
        if isinstance(e, ev.Reported) and e.report.exec_type is ExecType.TRADE_CANCEL
    ]
    assert len(taken) > 10


def test_crumbs_do_not_raise_a_cap() -> None:
    crumbs = Standing(settled=1_000, settled_usd=Decimal(99))
    assert stage(RAMP, crumbs) == (0, Decimal(100))
    assert stage(RAMP, Standing(1_000, Decimal(100))) == (1, Decimal(300))
    assert stage(RAMP, Standing(0, Decimal(10**6))) == (0, Decimal(100))
