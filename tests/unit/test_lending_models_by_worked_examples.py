"""What differs between Aave's versions, Compound III, Morpho Blue and Maker vaults, by figures worked out by hand."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction

import pytest

from agent.margin import (
    aave_v3_0,
    aave_v3_3,
    aave_v3_4,
    aave_v3_5,
    aave_v3_6,
    aave_v3_7,
    compound_v3,
    maker_vault,
    morpho_blue,
)
from agent.margin.aave_account import Account, EMode, Reserve
from agent.margin.aave_seize import SeizeRules, available, leaves_dust, most_debt
from agent.margin.model import Side, State
from agent.margin.ray import RAY

AT = 1_700_000_000
ETH, USD = 10**18, 10**6


def reserve(asset: str, decimals: int, px: int, **given: int | bool) -> Reserve:
    base = Reserve(asset, decimals, px, 8000, 8250, True, AT, 0, RAY, 0, 0, RAY, 0)
    return replace(base, **given)  # type: ignore[arg-type]


def borrower(eth: int, usdc: int, **given: int | bool) -> Account:
    return Account(
        (
            reserve("weth", 18, 3_000 * 10**8, scaled_supply_raw=eth, liquidation_bonus_bps=10_500, **given),
            reserve("usdc", 6, 10**8, scaled_debt_raw=usdc),
        )
    )


# ---- Aave


def test_one_wei_of_debt_is_worth_nothing_before_3_5_and_something_since() -> None:
    dust = Account((reserve("weth", 18, 3_000 * 10**8, scaled_supply_raw=ETH, scaled_debt_raw=1),))
    assert [m.MODEL.account_data(dust, AT).debt_base for m in (aave_v3_0, aave_v3_3, aave_v3_4)] == [0, 0, 0]
    assert [m.MODEL.account_data(dust, AT).debt_base for m in (aave_v3_5, aave_v3_6, aave_v3_7)] == [1, 1, 1]


def test_the_averaged_threshold_loses_what_the_sum_keeps() -> None:
    # 2 of 10,000 at 82.50 % and 1 at 40 %: the mean is 68.333… %, floored to 68.33 % before 3.5.
    lent = [reserve("a", 6, 10**8, scaled_supply_raw=20_000 * USD), reserve("b", 6, 10**8, scaled_supply_raw=10_000 * USD, liquidation_threshold_bps=4000)]  # fmt: skip
    account = Account((*lent, reserve("c", 6, 10**8, scaled_debt_raw=20_499 * USD + 500_000)))
    assert aave_v3_4.MODEL.health(account, AT).state is State.LIQUIDATABLE
    assert aave_v3_5.MODEL.health(account, AT).state is State.AT_RISK
    assert aave_v3_5.MODEL.account_data(account, AT).health_1e18 == 20_500 * 10**18 * 10 // 204_995


def test_interest_by_the_series_is_more_than_by_the_binomial() -> None:
    owed = reserve(
        "usdc", 6, 10**8, scaled_debt_raw=10**12, borrow_rate_1e27=RAY // 2, last_update=AT - 31_536_000
    )
    # e^0.5 by three terms: 1 + 0.5 + 0.125 + 0.0208333…
    assert aave_v3_6.MODEL.debt_raw(owed, AT) == 1_645_833_333_334
    # 3.0.x cuts the second and third term per second first.
    assert 1_645_830_000_000 < aave_v3_0.MODEL.debt_raw(owed, AT) < 1_645_833_333_333


def test_categories_of_3_5_3_6_and_3_7() -> None:
    members = frozenset({"weth"})
    plain = borrower(10 * ETH, 20_000 * USD, ltv_bps=0)
    emode = EMode(9000, 9300, members, ltvzero=members)
    # 3.5 asks the reserve's own loan-to-value; 3.6 the category, and whether the asset is a zero loan there.
    assert aave_v3_5.MODEL.account_data(replace(plain, emode=replace(emode, ltvzero=frozenset())), AT).ltv_bps == 0  # fmt: skip
    assert aave_v3_6.MODEL.account_data(replace(plain, emode=replace(emode, ltvzero=frozenset())), AT).ltv_bps == 9000  # fmt: skip
    assert aave_v3_6.MODEL.account_data(replace(plain, emode=emode), AT).ltv_bps == 0
    # A reserve without a threshold of its own counts in a category since 3.6.
    only = borrower(10 * ETH, 20_000 * USD, liquidation_threshold_bps=0)
    assert aave_v3_5.MODEL.account_data(replace(only, emode=emode), AT).collateral_base == 0
    assert aave_v3_6.MODEL.account_data(replace(only, emode=emode), AT).liquidation_threshold_bps == 9300
    # An isolated category of 3.7 takes the loan-to-value of all others, and not their thresholds.
    outside = replace(
        borrower(10 * ETH, 20_000 * USD), emode=EMode(9000, 9300, frozenset({"x"}), isolated=True)
    )
    data = aave_v3_7.MODEL.account_data(outside, AT)
    assert (data.ltv_bps, data.liquidation_threshold_bps) == (0, 8250)


def test_how_much_may_be_repaid_at_once() -> None:
    old, new = aave_v3_0.MODEL.rules.seize, aave_v3_6.MODEL.rules.seize
    tight, deep = 99 * 10**16, 95 * 10**16
    big = 30_000 * 10**8
    for health, part in ((tight, 2), (deep + 1, 2), (deep, 1)):
        assert most_debt(old, 20_000 * USD, 20_000 * 10**8, big, 20_000 * 10**8, health, 10**8, USD) == 20_000 * USD // part  # fmt: skip
        assert most_debt(new, 20_000 * USD, 20_000 * 10**8, big, 20_000 * 10**8, health, 10**8, USD) == 20_000 * USD // part  # fmt: skip
    # Below 2,000 of either, all of it at once (3.3 on); and half of the whole position may be all of one debt.
    assert most_debt(new, 1_999 * USD, 1_999 * 10**8, big, 20_000 * 10**8, tight, 10**8, USD) == 1_999 * USD
    assert most_debt(new, 9_000 * USD, 9_000 * 10**8, 1_999 * 10**8, 9_000 * 10**8, tight, 10**8, USD) == 9_000 * USD  # fmt: skip
    assert most_debt(new, 9_000 * USD, 9_000 * 10**8, big, 20_000 * 10**8, tight, 10**8, USD) == 9_000 * USD
    assert leaves_dust(new, 999 * USD, 10**8, USD, ETH, 3_000 * 10**8, ETH)
    assert not leaves_dust(new, 1_000 * USD, 10**8, USD, ETH, 3_000 * 10**8, ETH)
    assert leaves_dust(new, 5_000 * USD, 10**8, USD, ETH // 4, 3_000 * 10**8, ETH)
    assert not leaves_dust(new, 0, 10**8, USD, 1, 3_000 * 10**8, ETH)


def test_a_liquidation_by_hand_and_its_rounding_in_3_7() -> None:
    # 1,000 dollars repaid at 3,000 a coin with 5 %: 0.35 coins, of the 0.01666… bonus a tenth to the protocol.
    args = (3_000 * 10**8, ETH, 10**8, USD, 1_000 * USD, ETH, 10_500, 1_000)
    v36, v37 = (available(m.MODEL.rules.seize, *args) for m in (aave_v3_6, aave_v3_7))
    # A third of a coin is cut first: 333…333·1.05 = 349…999.65, half-up or floored.
    assert v36.collateral_raw + v36.fee_raw == 350_000_000_000_000_000
    assert v37.collateral_raw + v37.fee_raw == 349_999_999_999_999_999
    assert v36.fee_raw == 1_666_666_666_666_667 and v37.fee_raw == 1_666_666_666_666_667
    assert v36.debt_raw == v37.debt_raw == 1_000 * USD
    assert isinstance(aave_v3_7.MODEL.rules.seize, SeizeRules)


def test_what_a_liquidation_would_take_is_told_and_bad_debt_is_named() -> None:
    seized = aave_v3_6.MODEL.health(borrower(10 * ETH, 25_000 * USD), AT).seized
    assert seized is not None and seized.repaid_raw == 12_500 * USD and seized.bad_debt_raw == 0
    # 4.1666… cut, times 1.05: …999.3 half-up.
    assert seized.collateral == (("weth", 4_374_999_999_999_999_999),)
    under = aave_v3_6.MODEL.health(borrower(10 * ETH, 40_000 * USD), AT).seized
    assert under is not None and under.collateral == (("weth", 10 * ETH),)
    # 30,000 / 1.05 rounded up is what the collateral pays for.
    assert under.repaid_raw == 28_571_428_572 and under.bad_debt_raw == 40_000 * USD - 28_571_428_572


@pytest.mark.parametrize("model", [aave_v3_5.MODEL, aave_v3_7.MODEL], ids=["3.5", "3.7"])
def test_every_price_given_flips_the_predicate_and_nothing_before_it_does(model: object) -> None:
    from agent.margin.aave_core import AaveModel

    assert isinstance(model, AaveModel)
    draw, looked = random.Random(7), 0
    for _ in range(120):
        rows = []
        for number in range(draw.randrange(2, 6)):
            decimals = draw.choice((6, 8, 18))
            rows.append(
                reserve(
                    f"a{number}", decimals, int(10 ** draw.uniform(6, 13)), liquidation_threshold_bps=draw.randrange(4000, 9500),
                    scaled_supply_raw=int(10 ** draw.uniform(0, decimals + 3)) if draw.random() < 0.7 else 0,
                    scaled_debt_raw=int(10 ** draw.uniform(0, decimals + 3)) if draw.random() < 0.6 else 0,
                )
            )  # fmt: skip
        account = Account(tuple(rows))
        health = model.health(account, AT)
        if health.state is State.LIQUIDATABLE:
            continue
        for px in health.liquidation_px:
            if px.px_raw is None:
                continue
            away = 1 if px.side is Side.BELOW else -1
            tries = {px.px_raw + away * n for n in (1, 2, 3, 1000)} | {
                draw.randint(*sorted((px.px_raw + away, px.now_raw))) for _ in range(4)
            }
            at = {p: model.at_prices(account, {px.asset: p}, AT) for p in {*tries, px.px_raw}}
            gone = at.pop(px.px_raw)
            assert gone is not None and gone < 10**18
            assert all(factor is None or factor >= 10**18 for factor in at.values())
            looked += 1
    assert looked > 60


# ---- Compound III


def comet(debt: int, eth: int = 10 * ETH, **given: int) -> compound_v3.Account:
    weth = compound_v3.Collateral("weth", 18, eth, 3_000 * 10**8, 8 * 10**17, 85 * 10**16, 95 * 10**16)
    base = compound_v3.Account("usdc", 6, 10**8, -debt, 10**15, 10**15, 0, AT, (weth,))
    return replace(base, **given)  # type: ignore[arg-type]


def test_the_zone_in_which_comet_neither_lends_nor_liquidates() -> None:
    model = compound_v3.MODEL
    for debt, state in (
        (24_000 * USD, State.AT_RISK), (24_000 * USD + 1, State.AT_RISK), (25_500 * USD, State.AT_RISK),
        (25_500 * USD + 1, State.LIQUIDATABLE), (23_000 * USD, State.SAFE),
    ):  # fmt: skip
        account = comet(debt)
        assert model.health(account, AT).state is state, debt
        assert (compound_v3.liquidity(account, AT, account.prices(), liquidate=False) < 0) is (debt > 24_000 * USD)  # fmt: skip
        assert (compound_v3.liquidity(account, AT, account.prices(), liquidate=True) < 0) is (debt > 25_500 * USD)  # fmt: skip


def test_comet_within_three_wei_of_the_edge_and_at_every_price_it_names() -> None:
    draw, checked = random.Random(5), 0
    for _ in range(300):
        assets = tuple(
            compound_v3.Collateral(
                f"c{n}", d := draw.choice((6, 8, 18)), int(10 ** draw.uniform(1, d + 4)), int(10 ** draw.uniform(5, 13)),
                0, draw.randrange(5_000, 9_500) * 10**14, 9 * 10**17,
            )
            for n in range(draw.randrange(1, 6))
        )  # fmt: skip
        account = replace(comet(1), collateral=assets, base_price_1e8=draw.randrange(9 * 10**7, 11 * 10**7),
                          borrow_index_1e15=draw.randrange(10**15, 2 * 10**15))  # fmt: skip

        def bad(principal: int, account: compound_v3.Account = account) -> bool:
            moved = replace(account, principal_raw=-principal)
            told = compound_v3.liquidity(moved, AT, moved.prices(), liquidate=True) < 0
            factor = compound_v3.MODEL.factor(moved, moved.prices(), AT)
            # The contract's loop with its early end, and the factor, say the same.
            assert told is (factor is not None and factor < 10**18)
            return told

        good, found = 0, 10**40
        while found - good > 1:
            middle = (good + found) // 2
            good, found = (good, middle) if bad(middle) else (middle, found)
        assert [bad(found + n) for n in range(-3, 4) if found + n >= 0][-7:][-4:] == [True] * 4
        safe = replace(account, principal_raw=-(good - good // 10))
        for px in compound_v3.MODEL.health(safe, AT).liquidation_px:
            if px.px_raw is not None:
                at = [compound_v3.MODEL.at_prices(safe, {px.asset: px.px_raw + n}, AT) for n in (-1, 0, 1)]
                gone = [f is not None and f < 10**18 for f in at]
                assert gone == ([True, True, False] if px.side is Side.BELOW else [False, True, True])
                checked += 1
    assert checked > 300


def test_comet_accrues_linearly_and_absorbs_all() -> None:
    later = comet(25_000 * USD, borrow_rate_1e18=10**9, borrow_index_1e15=12 * 10**14)
    # A thousand seconds at 1e-9: one millionth more of an index of 1.2.
    assert compound_v3.present_raw(later, AT + 1000) == -30_000_030_000
    taken = compound_v3.MODEL.health(comet(40_000 * USD), AT).seized
    assert taken is not None and taken.collateral == (("weth", 10 * ETH),)
    assert (taken.repaid_raw, taken.bad_debt_raw) == (40_000 * USD, 40_000 * USD - 28_500 * USD)
    seconds = compound_v3.MODEL.health(comet(25_000 * USD, borrow_rate_1e18=10**9), AT).seconds_to_liquidation
    # 2 % at 1e-9 a second is 20,000,000 seconds; the debt is cut to a millionth of a dollar.
    assert seconds is not None and 20_000_000 <= seconds <= 20_000_100


def test_who_lends_to_comet_cannot_be_liquidated() -> None:
    health = compound_v3.MODEL.health(comet(-1_000 * USD), AT)
    assert (health.state, health.health_1e18, health.debt_value_raw) == (State.SAFE, None, 0)
    assert health.collateral_value_raw == 31_000 * 10**8
    assert all(px.side is Side.NONE for px in health.liquidation_px)


# ---- Morpho Blue, Maker


def test_a_borrower_at_morpho_by_hand() -> None:
    account = morpho_blue.Account(
        "usdc",
        6,
        "weth",
        18,
        86 * 10**16,
        3_000 * 10**24,
        10 * ETH,
        20_000 * USD * 10**6,
        10**12,
        10**18,
        0,
        AT,
    )
    health = morpho_blue.MODEL.health(account, AT)
    # Virtual shares: 20,000e12·(1e12+1)/(1e18+1e6), rounded up.
    assert health.debt_value_raw == 20_000 * USD and health.collateral_value_raw == 30_000 * USD
    assert health.health_1e18 == 129 * 10**16
    (px,) = health.liquidation_px
    assert px.px_raw is not None and px.decimals == 24
    # 20,000 / 8.6 = 2325.58…, but for the millionths of a dollar that values are cut to.
    assert abs(Fraction(px.px_raw, 10**24) - Fraction(20_000, Fraction(86, 10))) < Fraction(1, 10**6)
    at = [morpho_blue.MODEL.factor(account, px.px_raw + n, AT) for n in (0, 1)]
    assert at[0] is not None and at[1] is not None and at[0] < 10**18 <= at[1]
    assert morpho_blue.incentive(86 * 10**16) == 10**36 // (10**18 - 42 * 10**15)
    assert morpho_blue.incentive(3 * 10**17) == 115 * 10**16
    gone = morpho_blue.MODEL.health(replace(account, oracle_price_1e36=2_300 * 10**24), AT)
    assert gone.state is State.LIQUIDATABLE and gone.seized is not None and gone.seized.bad_debt_raw == 0


def vault(**given: int | None) -> maker_vault.Account:
    base = maker_vault.Account(
        "weth", "dai", 10 * ETH, 10_000 * ETH, RAY, RAY, AT, 3_000 * ETH, RAY, 15 * 10**26
    )
    return replace(base, **given)  # type: ignore[arg-type]


def test_a_vault_by_hand() -> None:
    # 10 at 3,000 with 150 %: worth 20,000 of debt, twice the 10,000.
    health = maker_vault.MODEL.health(vault(), AT)
    assert (health.health_1e18, health.debt_value_raw) == (2 * 10**18, 10_000 * 10**45)
    (px,) = health.liquidation_px
    assert (px.side, px.px_raw) == (Side.BELOW, 1_500 * ETH - 1)
    # The stability fee of a year at 5 %: the venue's own per-second rate, by its own power.
    grown = vault(duty_1e27=1_000000001547125957863212448)
    assert abs(maker_vault.rate_at(grown, AT + 31_536_000) - 105 * RAY // 100) < 10**12
    assert maker_vault.power_half_up(3 * RAY, 5) == 243 * RAY and maker_vault.power_half_up(5 * RAY, 0) == RAY


def test_a_bark_is_limited_by_room_and_leaves_no_dust() -> None:
    gone = vault(price_1e18=1_400 * ETH, chop_1e18=113 * 10**16)
    assert maker_vault.MODEL.health(gone, AT).state is State.LIQUIDATABLE
    whole = maker_vault.barked(gone, AT)
    assert (
        whole is not None and whole.repaid_raw == 10_000 * ETH and whole.collateral == (("weth", 10 * ETH),)
    )
    half = maker_vault.barked(replace(gone, room_1e45=5_650 * 10**45), AT)
    assert half is not None and half.repaid_raw == 5_000 * ETH and half.collateral == (("weth", 5 * ETH),)
    assert maker_vault.barked(replace(gone, room_1e45=0), AT) is None
    # 9,734 of 10,000 fit: what is left would be dust, so that all goes. Of 1,000 fit 884, dust itself.
    dusty = replace(gone, room_1e45=11_000 * 10**45, dust_1e45=2_000 * 10**45)
    assert maker_vault.barked(dusty, AT) == whole
    assert maker_vault.barked(replace(dusty, room_1e45=1_000 * 10**45), AT) is None
