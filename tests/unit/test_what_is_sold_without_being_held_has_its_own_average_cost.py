"""Contracts and a combo's legs are sold before they are bought: the P&L of that, and nothing of it left in the next position's cost."""

from __future__ import annotations

import random
from decimal import Decimal, localcontext

import pytest

from agent.domain.units import WIDE
from agent.journal.records import Position

D = Decimal
BUY, SELL = False, True


def traded(*trades: tuple[bool, str, str]) -> Position:
    """(side, quantity, price) one after the other."""
    held = Position()
    for sells, qty, px in trades:
        take(held, sells, D(qty), D(qty) * D(px))
    return held


def take(held: Position, sells: bool, qty: Decimal, quote: Decimal) -> None:
    with localcontext(WIDE):
        base, cost, realised, *_ = held.effect_of(sells, qty, quote)
        held.qty, held.cost, held.realised = held.qty + base, held.cost + cost, held.realised + realised


@pytest.mark.parametrize(
    ("trades", "qty", "avg", "realised"),
    [
        ([(BUY, "2", "100"), (SELL, "1", "120")], "1", "100", "20"),
        ([(SELL, "1", "100")], "-1", "100", "0"),
        ([(SELL, "1", "100"), (SELL, "1", "120")], "-2", "110", "0"),
        ([(SELL, "2", "100"), (BUY, "1", "90")], "-1", "100", "10"),
        ([(SELL, "1", "100"), (BUY, "1", "90")], "0", None, "10"),
        ([(SELL, "1", "100"), (BUY, "1", "90"), (BUY, "1", "80")], "1", "80", "10"),
        ([(SELL, "1", "100"), (BUY, "3", "110")], "2", "110", "-10"),
        ([(BUY, "1", "100"), (SELL, "3", "110")], "-2", "110", "10"),
        ([(BUY, "3", "100"), (SELL, "3", "100"), (SELL, "1", "7")], "-1", "7", "0"),
    ],
)
def test_it_is_closed_at_its_own_price_and_the_rest_opens_at_the_new_one(
    trades: list[tuple[bool, str, str]], qty: str, avg: str | None, realised: str
) -> None:
    held = traded(*trades)
    assert (held.qty, held.avg_px, held.realised) == (D(qty), None if avg is None else D(avg), D(realised))
    assert held.qty or held.cost == 0


def test_no_money_comes_or_goes_on_the_way_between_long_and_short() -> None:
    """Of random trades: what came in money is what was realised less what the position cost, and a flat one costs nothing."""
    chance, flat = random.Random(7), 0
    for _ in range(200):
        held, money = Position(), D(0)
        for _ in range(30):
            sells, qty = chance.random() < 0.5, D(chance.randrange(1, 8))
            if chance.random() < 0.3 and held.qty:  # to the last unit
                sells, qty = held.qty > 0, abs(held.qty)
            quote = D(chance.randrange(1, 10**9)) / 1000
            take(held, sells, qty, quote)
            money += quote if sells else -quote
            with localcontext(WIDE):
                assert abs(held.realised - held.cost - money) < D("1e-90")
            assert (held.cost > 0) == (held.qty > 0) and (held.cost < 0) == (held.qty < 0)
            flat += held.qty == 0
    assert flat > 500
