"""The paper exchange with everything that waits beside its books: whatever is sent in whatever order, nobody's money appears or disappears."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.app.testvenue.engine import STOPS, Engine, NewList, NewOrder
from agent.app.testvenue.spec import SymbolSpec, VenueError

D = Decimal
SPEC = SymbolSpec("ETH", "USDC", min_notional=D("0.01"))
WHO = ("ann", "bob")
KINDS = (
    "LIMIT",
    "LIMIT",
    "LIMIT",
    "MARKET",
    "LIMIT_MAKER",
    "ICEBERG",
    *STOPS,
    "OCO",
    "OTO",
    "OTOCO",
    "AMEND",
    "CANCEL",
)
commands = st.lists(
    st.tuples(
        st.sampled_from((*WHO, *WHO, "house")),
        st.sampled_from(KINDS),
        st.sampled_from(("BUY", "SELL")),
        st.sampled_from(("GTC", "GTC", "IOC", "FOK")),
        st.sampled_from(("NONE", "EXPIRE_MAKER", "EXPIRE_TAKER", "EXPIRE_BOTH")),
        st.integers(96, 104).map(D),
        st.integers(1, 300).map(lambda n: D(n) / 100),
    ),
    max_size=35,
)


def carry_out(engine: Engine, number: int, command: tuple[str, str, str, str, str, Decimal, Decimal]) -> None:
    who, kind, side, tif, stp, px, qty = command

    def one(
        name: str, type_: str, px: Decimal | None, stop: Decimal | None = None, side: str = side
    ) -> NewOrder:
        limited = type_ == "LIMIT" and kind == "LIMIT"
        ice = (qty / 3).quantize(D("0.01")) or qty if kind == "ICEBERG" else None
        return NewOrder(
            who, "ETHUSDC", name, side, type_, tif if limited else "GTC", px, qty, None, stp, stop, ice
        )

    if who == "house" and kind not in ("LIMIT", "MARKET", "CANCEL"):
        kind = "LIMIT"  # everybody else at once has no account that a list or a stop would be held against
    other = "SELL" if side == "BUY" else "BUY"
    away = 1 if side == "SELL" else -1
    pair = sorted(
        (
            one(f"{number}-limit", "LIMIT_MAKER", px + 2 * away),
            one(f"{number}-stop", "STOP_LOSS_LIMIT", px - 3 * away, px - 2 * away),
        ),
        key=lambda o: -(o.stop_px or o.px or 0),
    )
    match kind:
        case "OCO":
            engine.place_list(NewList(who, "ETHUSDC", f"l{number}", kind, tuple(pair)), number)
        case "OTO" | "OTOCO":
            first = one(f"{number}-first", "LIMIT", px, side=other)
            rest = pair if kind == "OTOCO" else pair[:1]
            engine.place_list(NewList(who, "ETHUSDC", f"l{number}", kind, (first, *rest)), number)
        case "CANCEL" | "AMEND":
            mine = engine.open_orders(who)
            if mine:
                chosen = mine[number % len(mine)]
                engine.cancel(chosen, number) if kind == "CANCEL" else engine.amend(chosen, qty, number)
        case "MARKET" | "STOP_LOSS" | "TAKE_PROFIT":
            engine.place(one(f"id-{number}", kind, None, px if kind != "MARKET" else None), number)
        case "ICEBERG":
            engine.place(one(f"id-{number}", "LIMIT", px), number)
        case _:
            engine.place(one(f"id-{number}", kind, px, px if kind in STOPS else None), number)


def sound(engine: Engine) -> None:
    assert engine.total("ETH") == 12 and engine.total("USDC") == 1_400
    for who in WHO:
        for asset, side in (("ETH", "SELL"), ("USDC", "BUY")):
            assert engine.free.get((who, asset), D(0)) >= 0
            held = engine.locked.get((who, asset), D(0))
            assert held == sum((o.locked for o in engine.open_orders(who) if o.side == side), D(0))
    book = engine.books["ETHUSDC"]
    bid, ask = book.bids.best(), book.asks.best()
    assert bid is None or ask is None or bid < ask
    for order in engine.orders.values():
        assert 0 <= order.executed <= order.qty and order.tip <= order.remaining or not order.resting
        assert order.is_open or not order.locked
    for found in engine.lists.values():
        orders = [engine.orders[i] for i in found.order_ids]
        exits = [o for o in orders if o.order_id != found.first]
        assert sum(1 for o in exits if o.executed) <= 1 or found.kind == "OTO", "both of a pair traded"
        assert found.done == (not any(o.is_open for o in orders))
        first = engine.orders[found.first] if found.first is not None else None
        if first is not None and first.executed < first.qty:
            assert not any(o.executed or o.status == "NEW" for o in exits), "an exit before its entry"


@settings(max_examples=60, deadline=None)
@given(commands)
def test_money_is_conserved_and_one_of_a_pair_trades(
    script: list[tuple[str, str, str, str, str, Decimal, Decimal]],
) -> None:
    engine = Engine([SPEC], D("0.001"), D("0.002"))
    for who in WHO:
        engine.deposit(who, "ETH", D(6))
        engine.deposit(who, "USDC", D(700))
    for number, command in enumerate(script):
        try:
            carry_out(engine, number, command)
        except VenueError:
            pass
        sound(engine)
        last = engine.books["ETHUSDC"].last_px
        for stop in engine.stops["ETHUSDC"].values():
            falling = (stop.side == "SELL") == stop.type.startswith("STOP_LOSS")
            assert last is None or (last > stop.stop_px if falling else last < stop.stop_px)
    for who in WHO:
        for order in engine.open_orders(who):
            if order.is_open:
                engine.cancel(order, 999)
        assert engine.locked.get((who, "ETH"), D(0)) == engine.locked.get((who, "USDC"), D(0)) == 0
    sound(engine)


def test_an_iceberg_shows_its_tip_and_goes_to_the_end_of_the_queue_with_each() -> None:
    engine = Engine([SPEC], D(0), D(0))
    for who in WHO:
        engine.deposit(who, "ETH", D(6))
    ice = NewOrder("ann", "ETHUSDC", "ice", "SELL", "LIMIT", "GTC", D(100), D(3), None, iceberg=D(1))
    engine.place(ice, 1)
    engine.place(NewOrder("bob", "ETHUSDC", "plain", "SELL", "LIMIT", "GTC", D(100), D(2), None), 2)
    assert engine.books["ETHUSDC"].asks.levels() == [(D(100), D(3))]
    engine.place(NewOrder("house", "ETHUSDC", "t1", "BUY", "LIMIT", "IOC", D(100), D("1.5"), None), 3)
    assert engine.find("ann", "ETHUSDC", None, "ice").executed == 1  # type: ignore[union-attr]
    assert engine.find("bob", "ETHUSDC", None, "plain").executed == D("0.5")  # type: ignore[union-attr]
    assert engine.books["ETHUSDC"].asks.levels() == [(D(100), D("2.5"))]
    engine.place(NewOrder("house", "ETHUSDC", "t2", "BUY", "LIMIT", "IOC", D(100), D(9), None), 4)
    assert engine.find("ann", "ETHUSDC", None, "ice").status == "FILLED"  # type: ignore[union-attr]
    assert engine.books["ETHUSDC"].asks.levels() == []
