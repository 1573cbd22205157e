"""Whoever trades a combo with himself, at any price and on either side that the signer lets him, takes no more than the ledger counts."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest

from agent.app.testvenue.combos import ComboEngine, combo_spec
from agent.app.testvenue.matching import NewOrder
from agent.app.testvenue.spec import SymbolSpec
from chains.errors import Denied
from keys.signer.deribit_combos import ComboLimit, judge

D = Decimal
NAME, THERE = "ETH_USDC-FS-27DEC30_PERP", "ETH-FS-27DEC30_PERPUSDC"
OWNER, THIEF = "owner", "thief"
RATE, MONEY = D("0.001"), D(10**9)


def day(seed: int) -> tuple[Decimal, Decimal, int]:
    """(what the owner lost by the marks, what was counted, orders that were signed)."""
    chance = random.Random(seed)
    band = sorted(D(chance.randrange(-20_000, 20_001)) / 100 for _ in range(2))
    if band[0] == band[1]:
        band[1] += 1
    worth = D(chance.randrange(int(band[0] * 100), int(band[1] * 100) + 1)) / 100
    perpetual = SymbolSpec("ETH", "USDC", mid=D(3000), max_notional=D(10**9))
    dated = SymbolSpec("ETH-27DEC30", "USDC", mid=D(3000) + worth, max_notional=D(10**9))
    combo = combo_spec("ETH-FS-27DEC30_PERP", {dated.symbol: 1, perpetual.symbol: -1}, [perpetual, dated])
    engine = ComboEngine([perpetual, dated, combo], RATE, RATE)
    assert engine.mark(THERE) == worth
    for account in (OWNER, THIEF):
        engine.deposit(account, "USDC", MONEY)
    # both legs side by side, at the dearest that their prices can be inside the band
    fees = RATE * 2 * (D(3000) + 400)
    limit = ComboLimit({"ETH_USDC-27DEC30": 1, "ETH_USDC-PERPETUAL": -1}, D(20_000), D(60_000), band[0], band[1], fees)  # fmt: skip
    counted, signed = D(0), 0
    for number in range(8):
        side = chance.choice(["BUY", "SELL"])
        edge = band[1] if side == "BUY" else band[0]
        px = chance.choice([edge, edge, D(chance.randrange(int(band[0] * 100) - 500, int(band[1] * 100) + 500)) / 100])  # fmt: skip
        qty = D(chance.randrange(1, 400)) / 10
        words = {"symbol": NAME, "side": side, "type": "LIMIT", "quantity": f"{qty:f}", "price": f"{px:f}"}
        try:
            cost = judge(words, {NAME: limit}, {NAME: counted}).cost
        except Denied as refused:
            assert refused.code in ("EXCHANGE_COLLAR", "EXCHANGE_PER_ORDER", "EXCHANGE_PER_DAY")
            continue
        counted, signed = counted + cost, signed + 1
        other = "SELL" if side == "BUY" else "BUY"
        engine.place(NewOrder(THIEF, THERE, f"t{number}", other, "LIMIT", "GTC", px, qty, None), number)
        done = engine.place(NewOrder(OWNER, THERE, f"o{number}", side, "LIMIT", "IOC", px, qty, None), number)
        assert done.order is not None and done.order.status == "FILLED"
    left = engine.free[OWNER, "USDC"] + sum((engine.gain(OWNER, s.symbol) for s in (perpetual, dated)), D(0))
    assert engine.total("USDC") == 2 * MONEY
    return MONEY - left, counted, signed


def test_a_day_of_his_orders_costs_no_more_than_it_counts() -> None:
    taken = [day(seed) for seed in range(120)]
    assert all(lost <= counted for lost, counted, _ in taken)
    assert all(counted <= 60_000 for _, counted, _ in taken)
    assert sum(signed for *_, signed in taken) > 300
    assert max(lost / counted for lost, counted, _ in taken if counted) > D("0.6"), "a bound and no fancy"


@pytest.mark.full
def test_so_do_thousands_of_days() -> None:
    assert all(lost <= counted for lost, counted, _ in map(day, range(1_000, 11_000)))
