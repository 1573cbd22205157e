"""The paper exchange's engine: nobody's money appears or disappears, and the best price and then the oldest order trade."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.app.testvenue.engine import Engine, NewOrder
from agent.app.testvenue.spec import SymbolSpec, VenueError

D = Decimal
SPEC = SymbolSpec("ETH", "USDC", min_notional=D("0.01"))
WHO = ("ann", "bob", "eve")


@dataclass(frozen=True)
class Command:
    who: str
    kind: str
    side: str
    tif: str
    px: Decimal
    qty: Decimal


commands = st.builds(
    Command,
    st.sampled_from((*WHO, "house")),
    st.sampled_from(("LIMIT", "LIMIT", "LIMIT", "MARKET", "QUOTE", "LIMIT_MAKER", "CANCEL")),
    st.sampled_from(("BUY", "SELL")),
    st.sampled_from(("GTC", "GTC", "IOC", "FOK")),
    st.integers(95, 105).map(lambda n: D(n)),
    st.integers(1, 400).map(lambda n: D(n) / 100),
)


def new_engine() -> Engine:
    engine = Engine([SPEC], D("0.001"), D("0.002"))
    for who in WHO:
        engine.deposit(who, "ETH", D(6))
        engine.deposit(who, "USDC", D(700))
    return engine


def request(command: Command, number: int) -> NewOrder:
    kind = "MARKET" if command.kind == "QUOTE" else command.kind
    limit = command.kind in ("LIMIT", "LIMIT_MAKER")
    return NewOrder(
        command.who,
        "ETHUSDC",
        f"id-{number}",
        command.side,
        kind,
        command.tif if command.kind == "LIMIT" else "GTC",
        command.px if limit else None,
        None if command.kind == "QUOTE" else command.qty,
        command.qty * 100 if command.kind == "QUOTE" else None,
    )


def sound(engine: Engine) -> None:
    assert engine.total("ETH") == 18 and engine.total("USDC") == 2_100
    for who in WHO:
        for asset in ("ETH", "USDC"):
            assert engine.free.get((who, asset), D(0)) >= 0
            held = engine.locked.get((who, asset), D(0))
            side = "BUY" if asset == "USDC" else "SELL"
            mine = [o for o in engine.open_orders(who) if o.side == side]
            assert held == sum((o.locked for o in mine), D(0))
            assert held == sum((o.remaining * (o.px if side == "BUY" else 1) for o in mine), D(0))
    book = engine.books["ETHUSDC"]
    bid, ask = book.bids.best(), book.asks.best()
    assert bid is None or ask is None or bid < ask
    for order in engine.orders.values():
        assert 0 <= order.executed <= order.qty
        fills = [f for f in engine.fills if f.order_id == order.order_id]
        if order.account in WHO:
            assert sum((f.qty for f in fills), D(0)) == order.executed
            assert sum((f.qty * f.px for f in fills), D(0)) == order.cum_quote


@settings(max_examples=60, deadline=None)
@given(st.lists(commands, max_size=40))
def test_money_is_conserved_and_the_book_never_crosses(script: list[Command]) -> None:
    engine = new_engine()
    for number, command in enumerate(script):
        try:
            if command.kind == "CANCEL":
                mine = engine.open_orders(command.who)
                if mine:
                    engine.cancel(mine[number % len(mine)], number)
            else:
                engine.place(request(command, number), number)
        except VenueError as refused:
            assert refused.code in (-1013, -2010, -2011)
        sound(engine)


@settings(max_examples=60, deadline=None)
@given(st.lists(commands.filter(lambda c: c.kind == "LIMIT"), max_size=30))
def test_trades_are_those_of_a_plain_list_sorted_by_price_and_age(script: list[Command]) -> None:
    """Against a matcher with no cleverness at all: scan every resting order, best price first, oldest first."""
    engine = Engine([SPEC], D(0), D(0))
    resting: list[tuple[str, Decimal, int, Decimal]] = []  # side, price, age, quantity
    expected: list[tuple[Decimal, Decimal]] = []
    for number, command in enumerate(script):
        who = f"trader-{number}"
        engine.deposit(who, "ETH", D(1_000))
        engine.deposit(who, "USDC", D(1_000_000))
        engine.place(request(Command(who, *list(vars(command).values())[1:]), number), number)
        buys = command.side == "BUY"
        others = sorted(
            (
                r
                for r in resting
                if r[0] != command.side and (r[1] <= command.px if buys else r[1] >= command.px)
            ),
            key=lambda r: (r[1] if buys else -r[1], r[2]),
        )
        left = command.qty
        if command.tif == "FOK" and sum(r[3] for r in others) < left:
            continue
        for row in others:
            if not left:
                break
            take = min(left, row[3])
            expected.append((row[1], take))
            left -= take
            resting.remove(row)
            if row[3] > take:
                resting.append((*row[:3], row[3] - take))
        if left and command.tif == "GTC":
            resting.append((command.side, command.px, number, left))
    assert [(t.px, t.qty) for t in engine.trades] == expected


@settings(max_examples=20, deadline=None)
@given(st.lists(commands, max_size=25))
def test_the_same_commands_make_the_same_exchange(script: list[Command]) -> None:
    def play() -> Engine:
        engine = new_engine()
        for number, command in enumerate(script):
            if command.kind != "CANCEL":
                try:
                    engine.place(request(command, number), number)
                except VenueError:
                    continue
        return engine

    one, two = play(), play()
    assert one.fills == two.fills and one.free == two.free and one.trades == two.trades
    assert one.books["ETHUSDC"].update_id == two.books["ETHUSDC"].update_id
