"""Moves of an order desk, drawn by chance and told as events of the real types: any order, any report, any observation, at any
time, about orders that are known, ended or were never heard of."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal

from agent.domain import events as ev
from agent.domain.ids import ClOrdId, IntentId
from agent.domain.instruments import AssetId, Place
from agent.domain.order_lists import listed_ids
from agent.domain.order_state import ExecType
from agent.domain.orders import (
    Attached,
    ChildOrder,
    Exits,
    Intent,
    OrdType,
    ParentOrder,
    Part,
    Side,
    TimeInForce,
    VenueOrder,
)
from agent.domain.reports import Balance, ExecutionReport, Fill
from agent.domain.risk import BreachReason, OraclePrice, Reservation
from agent.domain.routes import Costs, Leg, PlaceSummary, Route
from agent.domain.submission_state import Observation
from agent.journal.book import Book
from chains.types import Address, Call, Hash32, Protection

CHAIN, VENUE = Place("eip155:1"), Place("cex:paper")
ASSETS = {
    CHAIN: (AssetId("eip155:1/erc20:0xWETH"), AssetId("eip155:1/erc20:0xUSDC")),
    VENUE: (AssetId("cex:paper/ETH"), AssetId("cex:paper/USDC")),
}
HASH = Hash32("0x" + "ab" * 32)

ODD = ("0", "1E+2", "0.000000000000000001", "123456789.123456789123456789", "1", "0.5")


def amount(chance: random.Random) -> Decimal:
    if chance.random() < 0.5:
        return Decimal(chance.choice(ODD))
    return Decimal(chance.randrange(10**17)).scaleb(-8)


def word(chance: random.Random) -> str:
    return "".join(chance.choice('ab "\\\n\0é€😀') for _ in range(chance.randrange(8)))


class Teller:
    """Makes the next event out of what the book holds now; times count up, so that no two events are alike."""

    def __init__(self) -> None:
        self.now_ns = 1_700_000_000_000_000_000
        self._made = 0

    def tell(self, chance: random.Random, book: Book) -> object:
        self.now_ns += 1_000
        self._made += 1
        made: object = chance.choice(_MOVES)(self, chance, book)
        return made

    # ------------------------------------------------------------------ who is meant

    def _one_of(self, chance: random.Random, known: Sequence[str], kind: str) -> ClOrdId:
        """One that is known, and now and then one that nobody has heard of."""
        if not known or chance.random() < 0.06:
            return ClOrdId(f"{kind}-unknown")
        return ClOrdId(chance.choice(list(known)))

    def _child(self, chance: random.Random, book: Book) -> ChildOrder:
        name = self._one_of(chance, tuple(book.children), "c")
        record = book.children.get(name)
        return (
            record.child
            if record is not None
            else child(name, ClOrdId("p-unknown"), 0, Side.SELL, Decimal(1))
        )

    def _part(self, chance: random.Random, book: Book) -> Part:
        name = self._one_of(chance, tuple(book.parts), "fl")
        record = book.parts.get(name)
        return record.part if record is not None else part(name, ClOrdId("c-unknown"), CHAIN)

    # ------------------------------------------------------------------ the moves

    def accept(self, chance: random.Random, book: Book) -> object:
        side, qty = chance.choice(list(Side)), amount(chance)
        intent = Intent(
            IntentId(f"i-{self._made}"), word(chance), side, "ETH", "USDC", qty, chance.choice([None, amount(chance)]), "market",
            ((word(chance), word(chance)),), 50, chance.choice(list(Protection)), self.now_ns, self.now_ns + 10**9,
        )  # fmt: skip
        return ev.Accepted(ParentOrder(ClOrdId(f"p-{self._made}"), intent), self.now_ns)

    def slice(self, chance: random.Random, book: Book) -> object:
        name = self._one_of(chance, tuple(book.parents), "p")
        record = book.parents.get(name)
        side = record.parent.side if record is not None else Side.BUY
        return ev.Sliced(
            child(ClOrdId(f"c-{self._made}"), name, chance.randrange(4), side, amount(chance)), self.now_ns
        )

    def plan(self, chance: random.Random, book: Book) -> object:
        of = self._child(chance, book)
        places = chance.sample([CHAIN, VENUE], chance.randint(1, 2))
        parts = tuple(part(ClOrdId(f"fl-{self._made}-{i}"), of.cl_ord_id, p) for i, p in enumerate(places))
        return planned(of, parts, amount(chance), self.now_ns)

    def approve(self, chance: random.Random, book: Book) -> object:
        of = self._child(chance, book)
        record = book.children.get(of.cl_ord_id)
        plan = record.planned if record is not None else None
        held = Reservation(amount(chance), ((ASSETS[CHAIN][0], chance.randrange(2**256 - 1)),))
        prices = (OraclePrice("chainlink", "ETH", amount(chance), 1_700_000_000),)
        return ev.Approved(plan or planned(of, (), Decimal(1), self.now_ns), held, prices, self.now_ns)

    def breach(self, chance: random.Random, book: Book) -> object:
        reasons = (BreachReason("DAY_LIMIT", word(chance), word(chance)),)
        return ev.Breach(self._child(chance, book).cl_ord_id, reasons, self.now_ns)

    def instruct(self, chance: random.Random, book: Book) -> object:
        return ev.Instructed(
            part(ClOrdId(f"fl-{self._made}"), ClOrdId(""), CHAIN), "supply 1 ETH", self.now_ns
        )

    def prepare(self, chance: random.Random, book: Book) -> object:
        of = self._part(chance, book)
        if of.place == CHAIN:
            batch = ev.ChainBatch(
                1, Address("0xSafe"), (Call(Address("0xTo"), b"\x00\xff", 1),), 9, Protection.PRIVATE
            )
            return ev.Prepared(of, batch, None, self.now_ns)
        return ev.Prepared(of, None, order(of, amount(chance)), self.now_ns)

    def authorize(self, chance: random.Random, book: Book) -> object:
        of = self._part(chance, book)
        at_venue = order(of, amount(chance)) if of.place == VENUE else None
        if at_venue is not None and chance.random() < 0.3:  # an entry, with its exits in the same list
            at_venue = replace(at_venue, then=behind(of, amount(chance)))
        return ev.Authorized(
            of, at_venue, 0 if at_venue else 1, Address("0xSender"), chance.randrange(4), chance.randrange(4), HASH, b"\x02raw", "digest",
            Protection.PRIVATE, 100, 1_700_000_000, chance.randrange(2**256 - 1), self.now_ns,
        )  # fmt: skip

    def refuse(self, chance: random.Random, book: Book) -> object:
        return ev.Refused(self._part(chance, book), "CAP", word(chance), word(chance), self.now_ns)

    def fail(self, chance: random.Random, book: Book) -> object:
        return ev.PartFailed(self._part(chance, book), "REVERT", word(chance), self.now_ns)

    def submit(self, chance: random.Random, book: Book) -> object:
        of = self._part(chance, book)
        return ev.Submitted(of.cl_ord_id, of.place, "flashbots", word(chance), self.now_ns)

    def lose_sight(self, chance: random.Random, book: Book) -> object:
        of = self._part(chance, book)
        return ev.Indeterminate(of.cl_ord_id, of.place, word(chance), self.now_ns)

    def observe(self, chance: random.Random, book: Book) -> object:
        of = self._part(chance, book)
        seen, block = chance.choice(list(Observation)), chance.randrange(4)
        gas = chance.randrange(10**7), chance.randrange(10**12), chance.randrange(10**15)
        return ev.Observed(of.cl_ord_id, of.place, seen, HASH, block, f"0x{block}", *gas, self.now_ns)

    def report(self, chance: random.Random, book: Book) -> object:
        of = self._part(chance, book)
        kind = chance.choice([*ExecType, *[ExecType.TRADE, ExecType.TRADE_CANCEL] * 4])
        exec_id = f"x-{chance.randrange(4)}"
        fill = None
        if kind is ExecType.TRADE:
            give, get = (of.asset_in, of.asset_out)
            fee = chance.choice([give, get, AssetId("cex:paper/BNB")])
            fill = Fill(
                exec_id, of.place, give, get, amount(chance), amount(chance), fee, amount(chance), self.now_ns
            )
        ref = exec_id if kind is ExecType.TRADE_CANCEL else ""
        return ev.Reported(
            ExecutionReport(of.cl_ord_id, of.place, kind, self.now_ns, "9", fill, ref, word(chance))
        )

    def settle(self, chance: random.Random, book: Book) -> object:
        return ev.Settled(self._part(chance, book), (), chance.randrange(10**18), self.now_ns)

    def ask_to_cancel(self, chance: random.Random, book: Book) -> object:
        return ev.CancelRequested(
            self._one_of(chance, (*book.parents, *book.parts), "p"), word(chance), self.now_ns
        )

    def close(self, chance: random.Random, book: Book) -> object:
        status = chance.choice(["FILLED", "CANCELED", "EXPIRED"])
        return ev.ParentClosed(
            self._one_of(chance, tuple(book.parents), "p"), status, word(chance), self.now_ns
        )

    def attribute(self, chance: random.Random, book: Book) -> object:
        figures = [amount(chance)] * 12
        return ev.Attributed(
            self._one_of(chance, tuple(book.parents), "p"), "ETH", "USDC", *figures, self.now_ns
        )

    def adopt(self, chance: random.Random, book: Book) -> object:
        place = chance.choice([CHAIN, VENUE])
        base, quote = ASSETS[place]
        balances = (Balance(base, amount(chance), amount(chance)), Balance(quote, amount(chance)))
        prices = (OraclePrice("chainlink", "ETH", amount(chance), 1_700_000_000),)
        return ev.Adopted(place, balances, ((base, "ETH"), (quote, "USDC")), prices, self.now_ns)

    def halt(self, chance: random.Random, book: Book) -> object:
        return ev.Halted("halt", word(chance), self.now_ns)

    def resume(self, chance: random.Random, book: Book) -> object:
        return ev.Resumed("resume", self.now_ns)

    def alarm(self, chance: random.Random, book: Book) -> object:
        return ev.Alarmed("OVERFILL", word(chance), self.now_ns)

    def schedule(self, chance: random.Random, book: Book) -> object:
        return ev.Scheduled(
            f"job-{chance.randrange(4)}", word(chance), self.now_ns + chance.randrange(4), self.now_ns
        )

    def fire(self, chance: random.Random, book: Book) -> object:
        return ev.Fired(f"job-{chance.randrange(4)}", str(self.now_ns), "NOTHING", word(chance), self.now_ns)

    def reconcile(self, chance: random.Random, book: Book) -> object:
        return ev.Reconciled(CHAIN, (word(chance),), self.now_ns)

    def quote(self, chance: random.Random, book: Book) -> object:
        return ev.Quoted(f"q-{self._made}", "sell", "ETH", "USDC", amount(chance), route(), self.now_ns)


def child(name: ClOrdId, parent: ClOrdId, slice_no: int, side: Side, qty: Decimal) -> ChildOrder:
    return ChildOrder(name, parent, slice_no, side, "ETH", "USDC", qty, None, 50, Protection.PRIVATE, 2**62)


def part(name: ClOrdId, of: ClOrdId, place: Place) -> Part:
    give, get = ASSETS[place]
    return Part(name, of, place, 0, give, get, 10**18, 3_000 * 10**6, 2_990 * 10**6, (0,))


def order(of: Part, qty: Decimal) -> VenueOrder:
    return VenueOrder(
        of.cl_ord_id, "ETHUSDC", Side.SELL, OrdType.LIMIT, TimeInForce.IOC, qty, Decimal("2999.5")
    )


def behind(of: Part, qty: Decimal) -> Attached:
    exits = Exits(Decimal(3100), Decimal(3110), Decimal(2900))
    return Attached(listed_ids(of.cl_ord_id, of.place).part, qty, exits, 3_110 * 10**6, 10**18)


def route() -> Route:
    give, get = ASSETS[CHAIN]
    leg = Leg("eip155:1/0xPool", CHAIN, give, get, 10**18, 3_000 * 10**6, 110_000, 5, get, "uniswap_v3")
    there = PlaceSummary(
        VENUE, *ASSETS[VENUE], 10**18, 3_000 * 10**6, 0, 0, 5, Decimal(3000), Decimal(3001), Decimal(3)
    )
    return Route(
        give, get, 10**18, 3_000 * 10**6, 2_999 * 10**6, Costs(1, 0, 5, "0.00033"), (leg,), (there,), "digest"
    )


def planned(of: ChildOrder, parts: tuple[Part, ...], px: Decimal, at_ns: int) -> ev.Planned:
    return ev.Planned(of, route(), parts, px, ((CHAIN, px),), ((CHAIN, px),), at_ns)


_OFTEN = [Teller.authorize, Teller.observe, Teller.report] * 4 + [
    Teller.accept,
    Teller.slice,
    Teller.plan,
] * 2
_MOVES: Sequence[Callable[[Teller, random.Random, Book], object]] = [
    *_OFTEN, Teller.approve, Teller.breach, Teller.instruct, Teller.prepare, Teller.refuse, Teller.fail, Teller.submit,
    Teller.lose_sight, Teller.settle, Teller.ask_to_cancel, Teller.close, Teller.attribute, Teller.adopt, Teller.halt,
    Teller.resume, Teller.alarm, Teller.schedule, Teller.fire, Teller.reconcile, Teller.quote,
]  # fmt: skip
