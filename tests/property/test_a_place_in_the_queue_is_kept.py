"""An order of ours in a level whose other quantity moves, as a recording or the market maker has it: what stood ahead of it stays ahead until
it is traded with or the level holds less, as a client who cannot see who cancelled has to assume."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from agent.app.testvenue.engine import Engine, NewOrder
from agent.app.testvenue.liquidity import Maker
from agent.app.testvenue.spec import SymbolSpec

D = Decimal
SPEC = SymbolSpec("ETH", "USDC", min_notional=D("0.01"))
PX, MINE = D(100), D(2)


def bid(who: str, qty: Decimal, name: str) -> NewOrder:
    return NewOrder(who, "ETHUSDC", name, "BUY", "LIMIT", "GTC", PX, qty, None)


def sold(engine: Engine, qty: Decimal, number: int) -> None:
    engine.place(
        NewOrder("house", "ETHUSDC", f"s-{number}", "SELL", "LIMIT", "IOC", PX, qty, None, "NONE"), 0
    )


def standing() -> Engine:
    engine = Engine([SPEC], D(0), D(0))
    engine.deposit("ann", "USDC", D(1_000))
    engine.set_level("ETHUSDC", "BUY", PX, D(5), 0)
    engine.place(bid("ann", MINE, "mine"), 0)
    return engine


@given(st.lists(st.tuples(st.sampled_from(["level", "sold"]), st.integers(0, 800)), max_size=30))
def test_ahead_is_what_was_there_and_only_trades_and_smaller_levels_lessen_it(
    moves: list[tuple[str, int]],
) -> None:
    engine = standing()
    (mine,) = engine.open_orders("ann")
    ahead = level = D(5)
    done = D(0)
    for number, (what, cents) in enumerate(moves):
        qty = D(cents) / 100
        if what == "level":
            engine.set_level("ETHUSDC", "BUY", PX, qty, 0)
            level, ahead = qty, min(ahead, qty)
        elif qty:
            sold(engine, qty, number)
            first = min(ahead, qty)
            own = min(MINE - done, qty - first)
            behind = min(level - ahead, qty - first - own)
            ahead, done, level = ahead - first, done + own, level - first - behind
        assert mine.executed == done
        assert engine.house_qty("ETHUSDC", "BUY", PX) == level
        shown = engine.books["ETHUSDC"].bids.qty_at(PX)
        assert shown == level + (MINE - done)
    assert engine.total("USDC") == 1_000


def test_the_market_maker_restores_a_level_behind_what_stands_there() -> None:
    """What a trade took comes back at the queue's end, so that our order is next; what was left ahead of it still is."""
    engine = standing()
    maker = Maker(SPEC, [("BUY", PX, D(5))], 1, breathing=False)
    sold(engine, D(3), 0)
    maker.tick(engine, 1, 0)
    assert engine.house_qty("ETHUSDC", "BUY", PX) == 5
    (mine,) = engine.open_orders("ann")
    sold(engine, D(2), 1)
    assert mine.executed == 0, "two of the five that came before it were left"
    sold(engine, D(1), 2)
    assert mine.executed == 1
