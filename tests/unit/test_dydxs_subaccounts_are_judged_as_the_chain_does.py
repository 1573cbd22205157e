"""dYdX v4's margin in quote quantums: the chain's own published cases, prices that flip at one step of its oracle, what is bankrupt."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from agent.domain.errors import Usage
from agent.margin import dydx_v4
from agent.margin.changes import deposited
from agent.margin.dydx_v4 import Account, Position, bankruptcy_quote, falls
from agent.margin.fixes import cheapest
from agent.margin.model import Side, State

MODEL = dydx_v4.MODEL
NOW = 1_700_000_000


def read(quote: int, *positions: dict[str, Any]) -> Account:
    rows = [{"asset": ("btc", "eth")[n], **row} for n, row in enumerate(positions)]
    raw = {"id": "x", "model": "dydx_v4", "chain": "cex:x", "quote_raw": str(quote), "positions": rows}
    return MODEL.read(raw, {"btc": 10, "eth": 9})


def liquidatable(one: Account) -> bool:
    """As the chain's Risk.IsLiquidatable says."""
    return 0 < one.maintenance() > one.net()


def row(quantums: int, price: int, **given: Any) -> dict[str, Any]:
    return {
        "quantums": str(quantums), "atomic_resolution": -8, "oracle_price": str(price), "price_exponent": -5,
        "initial_margin_ppm": 50_000, "maintenance_fraction_ppm": 600_000, **given,
    }  # fmt: skip


# (price, exponent, resolution, quantums, initial ppm, fraction ppm, (open interest, caps), initial, maintenance), of the chain's own tests:
# dydxprotocol/v4-chain, protocol/x/perpetuals/lib/lib_test.go.
NONE = (0, 0, 0)
PUBLISHED = [
    (5_555, 2, -8, 7_000, 200, 500_000, NONE, 7_777, 3_889),
    (5_555, 0, -4, 7_000, 10_000, 500_000, NONE, 38_885_000, 19_442_500),
    (42, 5, 0, 88, 10_000, 500_000, NONE, 3_696_000_000_000, 1_848_000_000_000),
    (42_000_000, -2, -6, -5_000, 10_000, 500_000, NONE, 21_000_000, 10_500_000),
    (5_555, 0, -6, 7_000, 1_000_000, 1_000_000, NONE, 38_885_000, 38_885_000),
    (5_555, 3, -6, -7_000, 2, 500_000, NONE, 77_770, 38_885),
    (5_555, 0, -6, 7_000, 0, 1_000_000, NONE, 0, 0),
    (0, 1, -6, -7_000, 100, 1_000_000, NONE, 0, 0),
    (2**64 - 1, 1, -6, 2**64 - 1, 100, 1_000_000, NONE, 340282366920938463426481119284349109, 340282366920938463426481119284349109),
    (36_750, 0, -6, 12_000, 200_000, 500_000, NONE, 88_200_000, 44_100_000),
    (123_456, 0, -6, 74_523, 50_000, 600_000, NONE, 460_015_575, 276_009_345),
    (123_456, 0, -6, 74_523, 250_000, 600_000, NONE, 2_300_077_872, 1_380_046_724),
    (36_750, 0, -6, 12_000, 200_000, 500_000, (408_163_265, 10**13, 2 * 10**13), 264_599_559, 44_100_000),
    (36_750, 0, -6, 12_000, 200_000, 500_000, (10**9, 10**13, 2 * 10**13), 441_000_000, 44_100_000),
    (36_750, 0, -6, 12_000, 200_000, 500_000, (1_123_456_789, 25 * 10**12, 5 * 10**13), 318_042_585, 44_100_000),
    (123_456_789_123, -5, 4, 1, 200_000, 500_000, NONE, 2469135782460000, 1234567891230000),
    (123_456_789_123, -5, 4, -1, 200_000, 500_000, (10**12, 10**12, 2 * 10**12), 12345678912300000, 1234567891230000),
]  # fmt: skip


@pytest.mark.parametrize("case", PUBLISHED, ids=lambda case: f"{case[3]} at {case[0]}")
def test_the_chains_published_margin_requirements(case: tuple[Any, ...]) -> None:
    price, exponent, resolution, quantums, initial, fraction, (interest, low, high), im, mm = case
    one = Position("x", quantums, resolution, price, exponent, initial, fraction, 0, 0, interest, low, high)
    assert (one.initial(), one.maintenance()) == (im, mm)


def test_notional_is_cut_towards_zero_on_both_sides() -> None:
    for quantums, notional in ((10**12, 123_456_789), (-(10**12), -123_456_789), (0, 0)):
        assert Position("x", quantums, -16, 123_456_789_123, -5, 0, 0).worth(quantums) == notional


def test_the_owners_own_leverage_raises_initial_margin_alone() -> None:
    (plain,), (kept,) = (
        read(0, row(10**8, 5 * 10**9, **more)).positions for more in ({}, {"custom_imf_ppm": 200_000})
    )
    assert plain.initial() * 4 == kept.initial() and plain.maintenance() == kept.maintenance()
    assert replace(kept, custom_ppm=10_000).initial() == plain.initial()


def test_at_equality_an_account_stands_and_one_quantum_below_it_falls() -> None:
    # A coin at 50,000 needs 3 %: 1,500 of 50,000 less what is owed.
    for quote, state in ((-48_500_000_000, State.AT_RISK), (-48_500_000_001, State.LIQUIDATABLE)):
        health = MODEL.health(read(quote, row(10**8, 5 * 10**9)), NOW)
        assert health.state is state and health.maintenance_raw == 1_500_000_000
        assert health.initial_raw == 2_500_000_000 and health.value_unit == "USD_1e6"
    fix = cheapest(MODEL, read(-48_500_000_001, row(10**8, 5 * 10**9)), NOW)
    # Up to 1.1: 150,000,001 quantums, a hundred of 1e-8 dollars each.
    assert fix is not None and (fix.do, fix.asset, fix.raw) == ("deposit", "USD", 15_000_000_100)


def test_a_debt_without_a_position_is_left_and_one_with_worthless_positions_is_deleveraged() -> None:
    assert MODEL.health(read(-5), NOW).health_1e18 is None and not falls(read(-5))
    dust = read(-5, row(1, 1))
    assert not liquidatable(dust) and falls(dust) and MODEL.health(dust, NOW).state is State.LIQUIDATABLE
    assert MODEL.health(read(5, row(1, 1)), NOW).health_1e18 is None
    # All of its worth gone, a loan is not safe for there being nothing left to take.
    assert MODEL.at_moves(read(-5, row(10**8, 5 * 10**9)), {"btc": Fraction(0)}, NOW) == 0


def random_account(draw: random.Random) -> Account:
    rows, edge = [], 0
    for usual, resolution in ((9 * 10**9, -10), (3 * 10**9, -9))[: draw.randrange(1, 3)]:
        quantums = int(10 ** draw.uniform(0, 13)) * draw.choice((-1, 1))
        initial = draw.choice((20_000, 50_000, 100_000, 1_000_000))
        more = {"atomic_resolution": resolution, "initial_margin_ppm": initial}
        rows.append(row(quantums, int(usual * draw.uniform(0.2, 3)), **more))
    empty = read(0, *rows)
    edge = empty.maintenance() - empty.net()
    return replace(
        empty, quote=edge + draw.choice((-1, 0, 1, 5, edge // 50, abs(edge) // 3, -abs(edge) // 9))
    )


def flips(count: int, seed: int) -> None:
    draw, printed = random.Random(seed), 0
    for _ in range(count):
        one = random_account(draw)
        health = MODEL.health(one, NOW)
        assert (
            (health.state is State.LIQUIDATABLE) == liquidatable(one) == (0 < one.maintenance() > one.net())
        )
        for px in health.liquidation_px:
            if px.px_raw is None:
                # No price does it; or where it has fallen already, none undoes it.
                ends = {falls(one.at({px.asset: p})) for p in (1, px.now_raw, px.now_raw * 2, 2**64 - 1)}
                assert len(ends) == 1, (one, px)
                continue
            printed += 1
            step = 1 if px.side is Side.BELOW else -1
            assert falls(one.at({px.asset: px.px_raw})), (one, px)
            assert not falls(one.at({px.asset: px.px_raw + step})), (one, px)
    assert printed > count // 2


def test_every_printed_price_flips_at_one_step_of_the_oracle() -> None:
    flips(300, 3)


@pytest.mark.full
def test_fifty_thousand_accounts_do() -> None:
    flips(50_000, 4)


def test_two_positions_share_what_is_left_when_they_are_closed_at_their_bankruptcy_prices() -> None:
    draw = random.Random(9)
    for _ in range(200):
        one = random_account(draw)
        if not one.maintenance():
            continue
        left = one.net() + sum(bankruptcy_quote(one, p) - p.worth(p.quantums) for p in one.positions)
        # Nothing, but for what was rounded: up, never more than a quantum a position.
        assert 0 <= left <= len(one.positions)
    # The chain's own cases (x/clob/keeper/liquidations_test.go): a tenth of a coin at 50,000, 20 % at first and half of it to keep.
    tenth = {"initial_margin_ppm": 200_000, "maintenance_fraction_ppm": 500_000}
    for quantums, quote, published in ((10**7, -4_501, 4_501), (-(10**7), 5_499, -5_499)):
        one = read(quote * 10**6, row(quantums, 5 * 10**9, **tenth))
        assert liquidatable(one) and bankruptcy_quote(one, one.positions[0]) == published * 10**6
    # A coin bought with 49,000 owed: all of the 1,000 left may be lost, to 49,000.
    one = read(-49_000_000_000, row(10**8, 5 * 10**9))
    assert bankruptcy_quote(one, one.positions[0]) == 49_000_000_000
    (px,) = MODEL.health(one, NOW).bankruptcy_px
    assert px.px_raw == 49_000 * 10**5 and px.decimals == 5


def test_money_on_its_way_and_moves_are_counted() -> None:
    one = read(-49_000_000_000, row(10**8, 5 * 10**9))
    assert deposited(MODEL, one, "USD", 199, NOW).quote == one.quote + 1
    assert MODEL.at_moves(one, {"btc": Fraction(11, 10)}, NOW) == 6_000 * 10**18 // 1_650
    assert MODEL.at_moves(one, {"btc": Fraction(0)}, NOW) == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"oracle_price": 0}, "oracle_price is 0, not a price"),
        ({"oracle_price": 2**64}, "not a price of the chain's"),
        ({"atomic_resolution": 3}, "atomic_resolution is from -30 to 0"),
        ({"initial_margin_ppm": 1_000_001}, "above a million"),
        ({"open_interest_upper_cap": 1, "open_interest_lower_cap": 2}, "above open_interest_upper_cap"),
        ({"quantums": "1.5"}, "quantums is '1.5', not a whole number"),
        ({"sise": 1}, "unknown key 'sise'"),
    ],
)
def test_wrong_entries_are_refused_by_name(change: dict[str, Any], says: str) -> None:
    with pytest.raises(Usage) as wrong:
        read(0, row(1, 1) | change)
    assert says in wrong.value.message
    with pytest.raises(Usage, match="two positions"):
        read(0, row(1, 1), row(1, 1, asset="btc"))
