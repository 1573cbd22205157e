"""Each hedging policy: what it wishes for, when it wishes for nothing, and what it refuses to guess. Simulated orders are applied and asked again."""

from __future__ import annotations

import importlib
import pkgutil
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent import hedging
from agent.amm.ticks import MAX_SQRT_PRICE, MIN_SQRT_PRICE, sqrt_price_at_tick
from agent.domain.errors import Denied, Usage
from agent.domain.orders import Side
from agent.hedging import collateral_target, dca, delta, uniswap_v3_lp, weights
from agent.hedging.liquidity import Range
from agent.hedging.policy import Debt, Hedge, State

COSTS = {"base": "ETH", "quote": "USDC", "risk_aversion": "0.001", "cost_bps": "5"}
GOOD: dict[str, dict[str, str]] = {
    "delta": {**COSTS, "gamma": "-0.01", "target": "10"},
    "uniswap_v3_lp": {**COSTS, "positions": "7, 8", "target": "5"},
    "weights": {"weights": "ETH 60, WBTC 30", "quote": "USDC"},
    "collateral_target": {"base": "USDC", "quote": "ETH", "floor": "1.5", "target": "1.8"},
    "dca": {"base": "ETH", "quote": "USDC", "usd": "100"},
    "carry": {
        "base": "ETH",
        "quote": "USDC",
        "instrument": "ETH-PERP",
        "size": "10",
        "tranche": "2",
        "keep": "0",
        "enter": "8",
        "cost_bps": "30",
    },  # fmt: skip
}
PX = {"ETH": Decimal(3000), "USDC": Decimal(1), "WBTC": Decimal(60_000)}


def state(**held: str) -> State:
    return State(0, PX, {name: Decimal(qty) for name, qty in held.items()})


def with_(one: State, **changes: Any) -> State:
    from dataclasses import replace

    return replace(one, **changes)


def hedges() -> dict[str, Hedge]:
    found = {}
    for module in pkgutil.iter_modules(hedging.__path__):
        plug = getattr(importlib.import_module(f"agent.hedging.{module.name}"), "HEDGE", None)
        if plug is not None:
            assert plug.name == module.name
            found[module.name] = plug
    return found


def test_every_policy_takes_what_is_right_and_names_what_is_wrong() -> None:
    known = hedges()
    assert known.keys() == GOOD.keys()
    for name, plug in known.items():
        plug.check(GOOD[name])
        for wrong in (
            {**GOOD[name], "gama": "1"},
            {**GOOD[name], "least_usd": "-1", "usd": "much", "step": "0"},
        ):
            with pytest.raises(Usage) as refused:
                plug.check(wrong)
            assert refused.value.code in ("HEDGE_PARAMETER", "BAD_AMOUNT") and refused.value.hint
        required = [k for k in GOOD[name] if k not in ("target", "gamma")]
        for key in required:
            with pytest.raises(Usage, match=key):
                plug.check({k: v for k, v in GOOD[name].items() if k != key})


# ---------------------------------------------------------------------- the delta hedges


def test_an_exposure_is_brought_to_the_edge_of_its_band_and_then_left_alone() -> None:
    given = GOOD["delta"]
    inside = delta.decide(given, state(ETH="10.05"))
    assert inside.wishes == () and "band" in inside.why
    for held, side in (("14", Side.SELL), ("6", Side.BUY)):
        (wish,) = delta.decide(given, state(ETH=held)).wishes
        assert (wish.side, wish.base, wish.quote) == (side, "ETH", "USDC")
        after = Decimal(held) + (wish.qty if side is Side.BUY else -wish.qty)
        assert Decimal(0) < abs(after - 10) < Decimal(1), "the edge is not the middle"
        step = Decimal("0.000001")
        again = delta.decide(given, state(ETH=str(after))).wishes
        assert all(wish.qty <= step for wish in again), "what is left is less than an order may be"


def test_gas_widens_the_band_and_the_trade_ends_inside_it() -> None:
    dear = {**GOOD["delta"], "gas_usd": "20"}
    cheap = delta.decide(GOOD["delta"], state(ETH="11.2")).wishes[0]
    assert delta.decide(dear, state(ETH="11.2")).wishes == ()
    far = delta.decide(dear, state(ETH="14")).wishes[0]
    assert far.qty > Decimal("3.5") > cheap.qty


def test_what_is_not_known_is_not_hedged() -> None:
    with pytest.raises(Denied, match="ETH"):
        delta.decide(GOOD["delta"], state(USDC="1"))
    with pytest.raises(Denied) as refused:
        delta.decide(GOOD["delta"], with_(state(ETH="1"), px={}))
    assert refused.value.code == "PRICE_UNKNOWN"
    with pytest.raises(Denied, match="ETH"):
        uniswap_v3_lp.decide(GOOD["uniswap_v3_lp"], state(ETH="1"))
    with pytest.raises(Denied):
        collateral_target.decide(GOOD["collateral_target"], state(USDC="1"))


# ---------------------------------------------------------------------- liquidity


def lp(sqrt_price_x96: int, tick_lower: int = 195_000, tick_upper: int = 198_600) -> Range:
    """USDC (6) and WETH (18) as on chain 1: token0 is USDC, 196,256 is about 3,000 USDC for a WETH."""
    return Range("7", 10**17, tick_lower, tick_upper, sqrt_price_x96, ("USDC", "ETH"), (6, 18))


def px_of(one: Range) -> Decimal:
    """USDC for a WETH."""
    root = Decimal(one.sqrt_price_x96) / (1 << 96)
    return (1 / root**2).scaleb(12)


@given(st.integers(195_050, 198_550))
@settings(max_examples=60, deadline=None)
def test_delta_and_gamma_are_the_slopes_of_value_and_holding(tick: int) -> None:
    """By differences of the exact integers over a small step of the price."""
    here = lp(sqrt_price_at_tick(tick))
    up, down = (lp(sqrt_price_at_tick(tick) * f // 10**6) for f in (10**6 - 20, 10**6 + 20))
    step = px_of(up) - px_of(down)

    def value(one: Range) -> Decimal:
        return one.exposure("USDC") + one.exposure("ETH") * px_of(one)

    assert step > 0
    assert float((value(up) - value(down)) / step) == pytest.approx(float(here.exposure("ETH")), rel=1e-4)
    assert float((up.exposure("ETH") - down.exposure("ETH")) / step) == pytest.approx(
        float(here.gamma("ETH")), rel=1e-4
    )
    assert here.gamma("ETH") < 0


@given(st.integers(MIN_SQRT_PRICE, MAX_SQRT_PRICE - 1))
@settings(max_examples=60, deadline=None)
def test_outside_its_range_a_position_is_one_token_and_does_not_move(price: int) -> None:
    one = lp(price)
    usdc, eth = one.amounts_raw()
    if not one.within:
        assert (usdc == 0) != (eth == 0) and one.gamma("ETH") == 0 == one.gamma("USDC")
    else:
        assert usdc >= 0 and eth >= 0 and one.gamma("ETH") < 0


def test_positions_and_what_is_held_beside_them_are_one_exposure() -> None:
    here = lp(sqrt_price_at_tick(196_256))
    eth = here.exposure("ETH")
    given = {**GOOD["uniswap_v3_lp"], "target": str(eth + 5)}
    even = with_(state(ETH="5", USDC="0"), ranges=(here,))
    assert uniswap_v3_lp.decide(given, even).wishes == ()
    fallen = with_(even, ranges=(lp(sqrt_price_at_tick(197_400)),))
    (wish,) = uniswap_v3_lp.decide(given, fallen).wishes
    assert wish.side is Side.SELL and wish.qty < fallen.ranges[0].exposure("ETH") - eth
    owed = with_(
        even,
        ranges=(
            Range(
                **{f: getattr(here, f) for f in here.__slots__ if f != "owed_raw"}, owed_raw=(0, 9 * 10**18)
            ),
        ),
    )
    assert uniswap_v3_lp.decide(given, owed).wishes[0].side is Side.SELL, "fees are exposure as well"


def test_a_position_between_two_forms_of_one_asset_is_held_and_does_not_move() -> None:
    """Ether and staked ether under one name of the settings: both amounts are exposure, and no price between them moves it."""
    both = Range("8", 10**18, -600, 600, sqrt_price_at_tick(0), ("ETH", "ETH"), (18, 18))
    held = sum(both.amounts_raw())
    given = {**GOOD["uniswap_v3_lp"], "target": "0"}
    (wish,) = uniswap_v3_lp.decide(given, with_(state(ETH="0", USDC="0"), ranges=(both,))).wishes
    assert wish.side is Side.SELL and 0 < wish.qty <= Decimal(held).scaleb(-18)
    # Without gamma there is no band to stay in but that of fixed costs: nearly all of it is sold.
    assert wish.qty > Decimal(held).scaleb(-18) * 9 / 10
    beside = with_(state(ETH="0", USDC="0"), ranges=(both, lp(sqrt_price_at_tick(196_256))))
    assert uniswap_v3_lp.decide(given, beside).wishes[0].qty > wish.qty


# ---------------------------------------------------------------------- the others


def test_parts_that_strayed_are_traded_back_sales_first() -> None:
    given = GOOD["weights"]
    even = state(ETH="20", WBTC="0.5", USDC="10000")
    assert weights.decide(given, even).wishes == ()
    strayed = state(ETH="26", WBTC="0.1", USDC="16000")
    sell, buy = weights.decide(given, strayed).wishes
    assert (sell.side, sell.base, sell.qty) == (Side.SELL, "ETH", Decimal(6))
    assert (buy.side, buy.base, buy.qty) == (Side.BUY, "WBTC", Decimal("0.4"))
    for wrong in ("ETH 60, ETH 10", "ETH 90, WBTC 20", "USDC 10", "ETH"):
        with pytest.raises(Usage):
            weights.check({**given, "weights": wrong})


@given(st.integers(1_000, 10**7), st.integers(101, 149), st.integers(50, 95))
@settings(max_examples=60, deadline=None)
def test_the_repayment_reaches_the_target_and_is_the_least_that_does(
    debt: int, health: int, threshold: int
) -> None:
    t = Decimal(threshold) / 100
    loan = Debt(Decimal(debt) * health / 100 / t, Decimal(debt), t)
    x = collateral_target.repayment(loan, Decimal("1.8"))
    after = loan.collateral * t / (loan.debt - x)
    assert float(after) == pytest.approx(1.8)
    decided = collateral_target.decide(GOOD["collateral_target"], with_(state(USDC="0", ETH="1"), loan=loan))
    (wish,) = decided.wishes
    assert wish.side is Side.BUY and x <= wish.qty < x + Decimal("0.00001")
    at_hand = with_(state(USDC=str(debt), ETH="1"), loan=loan)
    assert "fairlead lend repay" in collateral_target.decide(GOOD["collateral_target"], at_hand).why


def test_a_sound_account_is_left_alone() -> None:
    sound = Debt(Decimal(20_000), Decimal(10_000), Decimal("0.8"))
    assert (
        collateral_target.decide(GOOD["collateral_target"], with_(state(USDC="0"), loan=sound)).wishes == ()
    )
    for wrong in ({"floor": "2"}, {"floor": "0.9"}):
        with pytest.raises(Usage):
            collateral_target.check({**GOOD["collateral_target"], **wrong})


def test_so_much_money_at_each_fire_until_the_whole() -> None:
    given = {**GOOD["dca"], "at_most_usd": "250", "not_above": "3500"}
    (first,) = dca.decide(given, state()).wishes
    assert first.qty == Decimal("0.033333") and first.side is Side.BUY
    (last,) = dca.decide(given, with_(state(), spent_usd=Decimal(200))).wishes
    assert last.qty == Decimal("0.016666")
    assert dca.decide(given, with_(state(), spent_usd=Decimal(250))).wishes == ()
    assert dca.decide(given, with_(state(), px={"ETH": Decimal(3501)})).wishes == ()
