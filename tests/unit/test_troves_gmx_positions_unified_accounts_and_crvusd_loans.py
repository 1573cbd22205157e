"""Liquity v2's troves, GMX v2's positions, loans of crvUSD, unified accounts: by hand, digit by digit, at and beside their edge.

No published contract or worked example of these could be run here: each figure below is the protocol's formula worked out by hand.
"""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from agent.domain.errors import Usage
from agent.margin import bybit_uta, crvusd, gmx_v2, liquity_v2, okx_multi, unified
from agent.margin.accounts import judge
from agent.margin.changes import deposited, repaid
from agent.margin.fixes import cheapest
from agent.margin.model import AT_RISK_1E18, Side, State

AT, YEAR_S = 1_700_000_000, 31_536_000
ETH, BOLD, E30 = 10**18, 10**18, 10**30


def trove(**given: Any) -> liquity_v2.Account:
    base = liquity_v2.Account("weth", "bold", 10 * ETH, 20_000 * BOLD, 5 * 10**16, AT, 3_000 * ETH, 11 * 10**17)  # fmt: skip
    return replace(base, **given)


# ---- Liquity


def test_a_trove_owes_simple_interest_by_the_second() -> None:
    one = trove(redistributed_debt_1e18=7, redistributed_coll_1e18=3)
    assert liquity_v2.entire_debt(one, AT) == 20_000 * BOLD + 7
    assert liquity_v2.entire_debt(one, AT + YEAR_S) == 21_000 * BOLD + 7
    # 20,000 at 5 % for a second: 1000/31,536,000 of a BOLD, floored to its last digit.
    assert liquity_v2.entire_debt(one, AT + 1) - 20_000 * BOLD - 7 == 1_000 * BOLD // YEAR_S
    # Within a year the ratio of 10·3000/20,000 over 1.1 is reached by interest alone at 30,000/1.1 of debt.
    health = liquity_v2.MODEL.health(trove(), AT)
    assert health.health_1e18 == 15 * 10**17 * 10**18 // (11 * 10**17)
    owed = Fraction(30_000 * 10, 11)
    assert health.seconds_to_liquidation is not None
    assert abs(health.seconds_to_liquidation - (owed / 20_000 - 1) * 20 * YEAR_S) <= 1


def test_a_trove_in_a_batch_owes_its_shares_of_each_part() -> None:
    batch = liquity_v2.Batch(100_000 * BOLD, 6 * 10**16, 10**16, AT - YEAR_S, 80_000)
    one = trove(batch=batch, batch_shares=16_000, debt_1e18=0, annual_rate_1e18=0)
    assert liquity_v2.batch_debt(batch, AT) == (100_000 * BOLD, 6_000 * BOLD, 1_000 * BOLD)
    assert liquity_v2.entire_debt(one, AT) == 21_400 * BOLD
    after = repaid(liquity_v2.MODEL, one, "bold", 1_400 * BOLD, AT)
    left = liquity_v2.entire_debt(after, AT)
    # Shares are whole: what is left is never less than what the payment left, and less than a share more.
    assert 20_000 * BOLD <= left < 20_002 * BOLD


def test_a_trove_is_liquidated_below_its_ratio_and_not_at_it() -> None:
    health = liquity_v2.MODEL.health(trove(), AT)
    (px,) = health.liquidation_px
    assert (px.side, px.px_raw) == (Side.BELOW, 2_200 * ETH - 1)
    assert liquity_v2.MODEL.health(trove(price_1e18=2_200 * ETH), AT).state is State.AT_RISK
    gone = liquity_v2.MODEL.health(trove(price_1e18=2_200 * ETH - 1), AT)
    assert gone.state is State.LIQUIDATABLE and gone.seized is not None


def test_what_a_liquidation_takes_and_what_is_left_to_claim() -> None:
    gone = trove(price_1e18=2_100 * ETH)
    # 0.05 of ten to whoever liquidates; the pool takes 20,000·1.05/2,100 = 10, more than what is left: nothing to claim.
    seized = liquity_v2.liquidated(gone, AT)
    assert seized.fee_raw == ETH // 20 and seized.collateral == (("weth", 10 * ETH),)
    rich = trove(price_1e18=2_500 * ETH)
    assert liquity_v2.liquidated(rich, AT).collateral == (("weth", ETH // 20 + 84 * ETH // 10),)
    # Half of it redistributed: half of the rest at 5 %, and the other half, with what the pool left, at 10 %.
    half = liquity_v2.liquidated(replace(rich, stability_pool_1e18=10_000 * BOLD), AT)
    assert half.collateral == (("weth", ETH // 20 + 42 * ETH // 10 + 44 * ETH // 10),)
    assert half.repaid_raw == 20_000 * BOLD


def test_a_payment_never_leaves_less_than_the_least_debt() -> None:
    small = trove(coll_1e18=ETH, debt_1e18=2_600 * BOLD, price_1e18=2_900 * ETH)
    fix = cheapest(liquity_v2.MODEL, small, AT)
    # 1.21 is wanted: 2,900/1.21 = 2,396.7 may stay, which is above 2,000.
    assert fix is not None and fix.do in ("repay", "add_collateral") and (fix.factor_after_1e18 or 0) >= AT_RISK_1E18  # fmt: skip
    assert repaid(liquity_v2.MODEL, small, "bold", 601 * BOLD, AT) == small
    assert liquity_v2.entire_debt(repaid(liquity_v2.MODEL, small, "bold", 600 * BOLD, AT), AT) == 2_000 * BOLD
    assert liquity_v2.entire_debt(repaid(liquity_v2.MODEL, small, "bold", 2_600 * BOLD, AT), AT) == 0
    more = deposited(liquity_v2.MODEL, small, "weth", ETH, AT)
    assert more.coll_1e18 == 2 * ETH


# ---- GMX


def gmx(**given: Any) -> gmx_v2.Position:
    """Ten coins at 3,000 against 1,500 dollars; half a percent and five dollars must remain."""
    base = gmx_v2.Position(
        "weth", "usdc", True, 30_000 * E30, 10 * ETH, 1_500 * 10**6, 3_000 * 10**12, 10**24, 5 * 10**27, 5 * E30, 12
    )  # fmt: skip
    return replace(base, **given)


def health_of(*positions: gmx_v2.Position) -> Any:
    return gmx_v2.MODEL.health(gmx_v2.Account(positions), AT)


@pytest.mark.parametrize(("long", "edge"), [(True, 2_865), (False, 3_135)])
def test_a_position_falls_where_less_than_half_a_percent_remains(long: bool, edge: int) -> None:
    (px,) = health_of(gmx(long=long)).liquidation_px
    # 1,500 ± 10·(p − 3,000) below 150.
    step = -1 if long else 1
    assert (px.side, px.px_raw, px.decimals) == (Side.BELOW if long else Side.ABOVE, edge * 10**12 + step, 12)
    assert health_of(gmx(long=long, index_px=edge * 10**12)).state is State.AT_RISK
    assert health_of(gmx(long=long, index_px=edge * 10**12 + step)).state is State.LIQUIDATABLE


def test_fees_and_impact_come_off_and_gains_of_impact_do_not_count() -> None:
    one = gmx(position_fee_factor=7 * 10**26, borrowing_usd=11 * E30, funding_raw=4 * 10**6, liquidation_fee_factor=2 * 10**27)  # fmt: skip
    # 21 + 11 + 60 dollars, and four of funding.
    assert one.remaining(AT) == (1_500 - 96) * E30
    assert replace(one, impact_usd=50 * E30).remaining(AT) == (1_500 - 96) * E30
    assert replace(one, impact_usd=-50 * E30).remaining(AT) == (1_500 - 146) * E30
    assert replace(one, impact_usd=-50 * E30, max_impact_factor=10**27).remaining(AT) == (1_500 - 126) * E30
    # Each fee is floored to units of the collateral: a third of a unit costs nothing.
    assert gmx(borrowing_usd=10**24 // 3).remaining(AT) == 1_500 * E30
    # A profit counts as far as the market's cap leaves it, a loss whole.
    assert gmx(index_px=3_100 * 10**12, counted_profit=E30 // 2).remaining(AT) == 2_000 * E30
    assert gmx(index_px=2_900 * 10**12, counted_profit=E30 // 2).remaining(AT) == 500 * E30


def test_a_position_in_its_own_coin_moves_twice() -> None:
    one = gmx(collateral="weth", collateral_raw=ETH // 2, collateral_px=3_000 * 10**12)
    (px,) = health_of(one).liquidation_px
    # 10.5·p − 30,000 = 150.
    assert px.side is Side.BELOW and px.px_raw == -(-30_150 * 10**12 * 2 // 21) - 1
    # A short of what it holds falls neither way; one of more than it holds falls where the coin rises.
    (flat,) = health_of(replace(one, long=False, collateral_raw=10 * ETH)).liquidation_px
    assert flat.side is Side.NONE
    (short,) = health_of(replace(one, long=False, collateral_raw=ETH)).liquidation_px
    assert short.side is Side.ABOVE


def test_the_worst_position_is_the_accounts_and_borrowing_counts_down() -> None:
    book = health_of(gmx(), gmx(long=False, collateral_raw=300 * 10**6, borrowing_usd_per_second=10**28, last_update=AT))  # fmt: skip
    assert book.health_1e18 == 2 * 10**18
    # 150 dollars at a cent a second, and not before less than that remains.
    assert book.seconds_to_liquidation == 15_001
    assert health_of(gmx(size_usd=0, size_tokens=0)).health_1e18 is None


def test_least_dollars_hold_for_small_positions() -> None:
    small = gmx(size_usd=30 * E30, size_tokens=10**16, collateral_raw=6 * 10**6)
    assert small.required() == 5 * E30
    assert health_of(small).state is State.SAFE
    assert health_of(replace(small, collateral_raw=5 * 10**6 - 1)).state is State.LIQUIDATABLE
    assert health_of(replace(small, collateral_raw=5 * 10**6)).state is State.AT_RISK


# ---- unified accounts


def row(asset: str, equity: str, px: str, **more: Any) -> dict[str, Any]:
    return {"asset": asset, "equity": equity, "index_px": px, **more}


def account(model: Any, **given: Any) -> Any:
    return model.read({"id": "x", **given}, {"btc": 8, "eth": 8, "usdt": 6})


def uta(**given: Any) -> Any:
    """A coin counted in two tiers, dollars owed, a short with Bybit's deductions and its fee to close."""
    short = {"asset": "eth", "size": "-5", "entry_px": "3100", "mark_px": "3000", "settles": "usdt", "close_fee_rate": "0.0006",
             "brackets": [["0", "0.005", "0"], ["10000", "0.01", "50"]]}  # fmt: skip
    values: dict[str, Any] = {
        "assets": [row("btc", "1.5", "40000", collateral_rate=[["0", "0.95"], ["1", "0.8"]]),
                   row("usdt", "-20000", "1", loan="20000", loan_rate="0.04")],
        "positions": [short], "order_loss": "100",
    }  # fmt: skip
    return account(bybit_uta.MODEL, **(values | given))


def test_bybits_maintenance_margin_rate_by_hand() -> None:
    equity, required = unified.totals(uta(), {})
    # 0.95 + 0.5·0.8 coins, the loan, a profit of 500 in dollars, what open orders would lose.
    assert equity == Fraction("1.35") * 40_000 - 20_000 + 500 - 100
    assert required == 20_000 * Fraction("0.04") + 15_000 * Fraction("0.01") - 50 + 15_000 * Fraction(
        "0.0006"
    )
    health = bybit_uta.MODEL.health(uta(), 0)
    assert health.state is State.SAFE and health.health_1e18 == int(equity / required * 10**18)
    found = {px.asset: px for px in health.liquidation_px}
    assert found["btc"].side is Side.BELOW and found["eth"].side is Side.ABOVE
    for px in found.values():
        assert px.px_raw is not None
        step = 1 if px.side is Side.BELOW else -1
        at = [bybit_uta.MODEL.at_prices(uta(), {px.asset: p}, 0) for p in (px.px_raw, px.px_raw + step)]
        assert at[0] is not None and at[1] is not None and at[0] < 10**18 <= at[1]


def test_okx_liquidates_at_a_hundred_percent_and_warns_below_three() -> None:
    flat = {"asset": "eth", "size": "10", "entry_px": "3000", "mark_px": "3000", "settles": "usdt", "close_fee_rate": "0.0005",
            "brackets": [["0", "0.0095", "0"]]}  # fmt: skip
    for equity, state in (("300", State.LIQUIDATABLE), ("300.01", State.AT_RISK), ("900", State.AT_RISK), ("900.01", State.SAFE)):  # fmt: skip
        one = account(okx_multi.MODEL, assets=[row("usdt", equity, "1")], positions=[flat])
        assert okx_multi.MODEL.health(one, 0).state is state


@pytest.mark.parametrize(
    ("rate", "why"),
    [
        ([["1", "0.9"]], "begin at 0"), ([["0", "0.8"], ["2", "0.9"]], "fall"), ([["0", "1.2"]], "between 0 and 1"),
        ([["0"]], "rows"), ([], "rows"), ("1.5", "between 0 and 1"),
    ],
)  # fmt: skip
def test_haircuts_that_cannot_be_are_refused(rate: Any, why: str) -> None:
    with pytest.raises(Usage, match=why):
        uta(assets=[row("btc", "1", "40000", collateral_rate=rate), row("usdt", "0", "1")])


def test_more_of_a_coin_never_counts_for_less() -> None:
    draw = random.Random(5)
    held = unified.Held("btc", Fraction(0), Fraction(0), Fraction(1), ((Fraction(0), Fraction(9, 10)), (Fraction(2), Fraction(1, 2)), (Fraction(9), Fraction(0))), Fraction(0))  # fmt: skip
    last = held.counted(Fraction(-10))
    for units in sorted(Fraction(draw.randrange(-10_000, 20_000), 1000) for _ in range(300)):
        counted = held.counted(units)
        assert last <= counted <= units
        last = counted
    assert held.counted(Fraction(20)) == Fraction("1.8") + Fraction("3.5")


def test_a_branch_that_is_shut_down_is_unknown() -> None:
    from margin_book import every_model

    book = every_model()
    book["accounts"] = [a | {"shut_down": True} for a in book["accounts"] if a["id"] == "trove"]
    (found,) = judge(book)
    assert found.state is State.UNKNOWN and "shut down" in found.why


# ---- crvUSD


def loan(**given: Any) -> crvusd.Account:
    """Ten bands of a coin each from 1,900 down, A = 100, nine percent of discount."""
    bands = tuple(crvusd.Band(0, ETH, 10**18, 10**18) for _ in range(10))
    base = crvusd.Account("weth", "crvusd", 15_000 * ETH, 18, 0, AT, 9 * 10**16, 100, 2_000 * ETH, 1_900 * ETH, 5, 0, bands)  # fmt: skip
    return replace(base, **given)


def test_a_loan_is_worth_what_its_bands_become_on_the_way_down() -> None:
    # Each band is sold from its upper to its lower end: a coin at their geometric mean.
    ends = [1_900 * 0.99**n for n in range(11)]
    sold = sum((up * down) ** 0.5 for up, down in zip(ends, ends[1:], strict=False))
    inside = crvusd.factor_at(loan(price_1e18=1_900 * ETH), AT)
    assert inside is not None and abs(inside / 1e18 - sold * 0.91 / 15_000) < 1e-12
    # Above all of its bands, what the price is higher than they begin counts besides: 100 of each of ten coins.
    above = crvusd.factor_at(loan(), AT)
    assert above is not None and abs((above - inside) / 1e18 - 1_000 / 15_000) < 1e-12
    assert crvusd.factor_at(loan(active_band=5), AT) == inside
    # Debt and the prices of the bands grow by the same interest.
    later = crvusd.factor_at(loan(price_1e18=1_800 * ETH, rate_1e18=10**9), AT + 10**6)
    same = crvusd.factor_at(
        loan(price_1e18=1_800 * ETH, debt_raw=15_015 * ETH, p_up_1e18=19_019 * ETH // 10), AT
    )
    assert later == same


def test_a_loan_is_liquidated_below_zero_and_at_risk_while_it_is_converted() -> None:
    (px,) = crvusd.MODEL.health(loan(), AT).liquidation_px
    assert px.side is Side.BELOW and px.px_raw is not None and 1_750 * ETH < px.px_raw < 1_760 * ETH
    assert crvusd.MODEL.health(loan(price_1e18=px.px_raw), AT).state is State.LIQUIDATABLE
    assert crvusd.MODEL.health(loan(price_1e18=px.px_raw + 1), AT).state is State.AT_RISK
    first = crvusd.Band(1_890 * ETH, 0, 10**18, 10**18)
    soft = loan(price_1e18=1_870 * ETH, debt_raw=9_000 * ETH, bands=(first, *loan().bands[1:]), active_band=6)
    health = crvusd.MODEL.health(soft, AT)
    assert health.state is State.AT_RISK and (health.health_1e18 or 0) > AT_RISK_1E18
    fix = cheapest(crvusd.MODEL, loan(price_1e18=1_800 * ETH), AT)
    assert fix is not None and fix.do == "repay" and (fix.factor_after_1e18 or 0) >= AT_RISK_1E18
