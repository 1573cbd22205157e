"""The Aave V3.0 model by itself: recorded accounts to the last digit, every price given is the first bad one, clear refusals."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from agent.app.cli import run
from agent.domain.errors import Usage
from agent.margin.aave_v3_0 import MODEL, Account, EMode, Reserve, account_data
from agent.margin.accounts import judge, judge_text
from agent.margin.model import Side, State, models
from agent.margin.ray import RAY, SECONDS_PER_YEAR, binomial_interest, linear_interest, ray_mul_half_up

GOLDEN = Path(__file__).parent.parent / "golden"
ACCOUNTS, CONTRACT = GOLDEN / "aave_v3_0_accounts.json", GOLDEN / "aave_v3_0_contract.json"
AT = 1_700_000_000


def reserve(asset: str, **given: Any) -> Reserve:
    values: dict[str, Any] = {
        "asset": asset, "decimals": 18, "price_1e8": 3_000 * 10**8, "ltv_bps": 8000, "liquidation_threshold_bps": 8250,
        "collateral_enabled": True, "last_update": AT, "scaled_supply_raw": 0, "liquidity_index_1e27": RAY,
        "liquidity_rate_1e27": 0, "scaled_debt_raw": 0, "borrow_index_1e27": RAY, "borrow_rate_1e27": 0,
    }  # fmt: skip
    return Reserve(**{**values, **given})


def state_at(account: Account, asset: str, px: int) -> State:
    moved = tuple(replace(r, price_1e8=px) if r.asset == asset else r for r in account.reserves)
    health = account_data(replace(account, reserves=moved), AT).health_1e18
    return State.LIQUIDATABLE if health is not None and health < 10**18 else State.SAFE


def test_recorded_accounts_have_the_contracts_figures() -> None:
    judged = judge_text(ACCOUNTS.read_bytes())
    expected = json.loads(CONTRACT.read_text())
    assert [j.id for j in judged] == list(expected)
    for one in judged:
        assert one.health is not None
        told = {
            "health_1e18": None if one.health.health_1e18 is None else str(one.health.health_1e18),
            "collateral_value_raw": str(one.health.collateral_value_raw),
            "debt_value_raw": str(one.health.debt_value_raw),
        }
        assert told == expected[one.id]


def test_the_three_terms_of_compounding_are_the_binomials() -> None:
    draw = random.Random(3)
    for _ in range(200):
        rate, seconds = draw.randrange(RAY), draw.randrange(10**8)
        per_second = Fraction(rate, SECONDS_PER_YEAR * RAY)
        n = seconds
        exact = 1 + n * per_second + Fraction(n * (n - 1), 2) * per_second**2
        exact += Fraction(n * (n - 1) * max(n - 2, 0), 6) * per_second**3
        # Rates are cut to a ray a second squared before they are multiplied by seconds squared: that much, and no more.
        assert 0 <= exact * RAY - binomial_interest(rate, seconds) <= n**3 / 6 + n**2 / 2 + 2
    assert (
        binomial_interest(RAY, 0) == RAY and binomial_interest(RAY // 10, SECONDS_PER_YEAR) > 11 * RAY // 10
    )
    assert linear_interest(RAY // 10, SECONDS_PER_YEAR) == 11 * RAY // 10
    assert (ray_mul_half_up(1, RAY // 2), ray_mul_half_up(1, RAY // 2 - 1)) == (1, 0)


def test_a_borrower_by_hand() -> None:
    account = Account(
        (
            reserve("weth", scaled_supply_raw=10 * 10**18),
            reserve("usdc", decimals=6, price_1e8=10**8, scaled_debt_raw=20_000 * 10**6),
        )
    )
    health = MODEL.health(account, AT)
    assert (health.state, health.health_1e18) == (State.SAFE, 12_375 * 10**14)
    assert (health.collateral_value_raw, health.debt_value_raw) == (30_000 * 10**8, 20_000 * 10**8)
    weth, usdc = health.liquidation_px
    # 20,000 / (10 × 0.8250) = 2424.2424…; at the price given HF is below one, one tick above it is not.
    assert (weth.side, weth.px_raw) == (Side.BELOW, 2424_24242424)
    # A dollar coin at 1.2375 would make HF exactly one, which is not below one yet.
    assert (usdc.side, usdc.px_raw) == (Side.ABOVE, 1_23750001)
    assert str(health.distance_pct_down) == "19.19" and health.seconds_to_liquidation is None


@pytest.mark.parametrize(
    ("debt", "state"),
    [(24_750, State.AT_RISK), (24_751, State.LIQUIDATABLE), (22_500, State.SAFE), (22_501, State.AT_RISK)],
)
def test_the_edges_of_the_states(debt: int, state: State) -> None:
    lent = reserve("weth", scaled_supply_raw=10 * 10**18)
    owed = reserve("usdc", decimals=6, price_1e8=10**8, scaled_debt_raw=debt * 10**6)
    health = MODEL.health(Account((lent, owed)), AT)
    assert health.state is state
    if state is State.LIQUIDATABLE:
        assert health.distance_pct_down == 0 and health.seconds_to_liquidation == 0


def test_interest_alone_liquidates_at_the_very_second() -> None:
    lent = reserve("weth", scaled_supply_raw=10 * 10**18, liquidity_rate_1e27=RAY // 100)
    owed = reserve(
        "usdc", decimals=6, price_1e8=10**8, scaled_debt_raw=24_000 * 10**6, borrow_rate_1e27=RAY // 5
    )
    account = Account((lent, owed))
    seconds = MODEL.health(account, AT).seconds_to_liquidation
    assert seconds is not None and 0.1 < seconds / SECONDS_PER_YEAR < 0.25
    for after, liquidatable in ((seconds - 1, False), (seconds, True)):
        health = account_data(account, AT + after).health_1e18
        assert health is not None and (health < 10**18) is liquidatable


def small_account(draw: random.Random) -> Account:
    """Few base units at few ticks each, so that every price can be tried; no asset both lent and borrowed."""
    reserves = []
    for number in range(draw.randrange(2, 5)):
        lent = number == 0 or draw.random() < 0.5
        reserves.append(
            reserve(
                f"a{number}", decimals=draw.choice((0, 1)), price_1e8=draw.randrange(1, 400),
                ltv_bps=draw.choice((0, 5000)), liquidation_threshold_bps=draw.choice((0, 4000, 7777, 8250, 9300)),
                collateral_enabled=draw.random() < 0.9,
                scaled_supply_raw=draw.randrange(1, 1200) if lent else 0, scaled_debt_raw=0 if lent else draw.randrange(1, 1200),
            )
        )  # fmt: skip
    category = EMode(9000, 9300, frozenset({"a0", "a1"}))
    return Account(tuple(reserves), category if draw.random() < 0.3 else None)


@pytest.mark.parametrize("seed", range(4))
def test_the_price_given_is_the_first_bad_one_of_all_prices(seed: int) -> None:
    draw = random.Random(seed)
    sides = set()
    for _ in range(40):
        account = small_account(draw)
        holdings, prices = MODEL.holdings(account, AT), account.prices()
        for px in MODEL.health(account, AT).liquidation_px:
            # The balances are the same at every price: only the sums are made anew, as a whole account's are here and there.
            factors = {p: MODEL.data(holdings, prices | {px.asset: p}).health_1e18 for p in range(1, 1200)}
            bad = [p for p, factor in factors.items() if factor is not None and factor < 10**18]
            for p in (1, 400, 1199):
                assert (p in bad) == (state_at(account, px.asset, p) is State.LIQUIDATABLE)
            sides.add(px.side)
            if px.side is Side.BELOW:
                assert px.px_raw is not None and (px.px_raw > 1199 or px.px_raw == max(bad))
            elif px.side is Side.ABOVE:
                assert px.px_raw is not None and (px.px_raw > 1199 or px.px_raw == min(bad))
            else:
                assert bad in ([], list(range(1, 1200)))
    assert sides == set(Side)


def real_account(draw: random.Random) -> Account:
    """Amounts and prices of life; assets may be lent and borrowed at once."""
    reserves = []
    for number in range(draw.randrange(1, 6)):
        decimals = draw.choice((6, 8, 18))
        reserves.append(
            reserve(
                f"a{number}", decimals=decimals, price_1e8=int(10 ** draw.uniform(6, 13)),
                liquidation_threshold_bps=draw.randrange(4000, 9500), liquidity_index_1e27=draw.randrange(RAY, 2 * RAY),
                borrow_index_1e27=draw.randrange(RAY, 2 * RAY),
                scaled_supply_raw=int(10 ** draw.uniform(0, decimals + 3)) if draw.random() < 0.7 else 0,
                scaled_debt_raw=int(10 ** draw.uniform(0, decimals + 3)) if draw.random() < 0.7 else 0,
            )
        )  # fmt: skip
    return Account(tuple(reserves))


def test_no_price_called_safe_is_bad() -> None:
    draw = random.Random(11)
    looked = 0
    for _ in range(250):
        account = real_account(draw)
        health = MODEL.health(account, AT)
        if health.state is State.LIQUIDATABLE or health.health_1e18 is None:
            continue
        for px in health.liquidation_px:
            far = 0 if px.side is not Side.ABOVE else px.now_raw * 1000
            end = far if px.px_raw is None else px.px_raw + (1 if px.side is Side.BELOW else -1)
            low, high = sorted((max(end, 1), px.now_raw))
            tries = [low, high, *(draw.randint(low, high) for _ in range(10))]
            if px.px_raw is not None:
                assert state_at(account, px.asset, px.px_raw) is State.LIQUIDATABLE
                tries += [
                    p for n in range(40) if low <= (p := end + (n if px.side is Side.BELOW else -n)) <= high
                ]
            assert all(state_at(account, px.asset, p) is not State.LIQUIDATABLE for p in tries)
            looked += px.px_raw is not None
    assert looked > 100


def document() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ACCOUNTS.read_text())
    return found


def test_a_model_that_is_not_here_is_unknown_and_never_guessed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    told = document()
    told["accounts"] = [told["accounts"][0] | {"model": "aave_v4"}, told["accounts"][1]]
    (tmp_path / "a.json").write_text(json.dumps(told))
    assert run(["health", str(tmp_path / "a.json"), "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)["accounts"]
    assert (first["state"], first["health_1e18"], first["collateral_value_raw"]) == ("UNKNOWN", None, None)
    assert "aave_v4" in first["why"] and "aave_v3_0" in first["why"]
    assert set(second) == {
        "id", "model", "state", "health_1e18", "collateral_value_raw", "debt_value_raw", "value_unit", "liquidation_px",
        "distance_pct", "seconds_to_liquidation", "cheapest_rescue",
    }  # fmt: skip
    assert second["state"] == "SAFE" and all(
        set(p) == {"asset", "side", "px"} for p in second["liquidation_px"]
    )
    assert run(["health", str(tmp_path / "a.json")]) == 0
    assert "there is no margin model 'aave_v4'" in capsys.readouterr().out


def broken(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    told = document()
    change(told)
    return told


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.update(fairlead="market/1"), "accounts/1"),
        (lambda d: d["accounts"][0].pop("id"), "accounts[0]: id is missing"),
        (lambda d: d["accounts"][1].update(id="n0"), "account n0 stands there twice"),
        (lambda d: d["accounts"][0]["reserves"][0].pop("borrow_rate_1e27"), "borrow_rate_1e27 is missing"),
        (lambda d: d["accounts"][0]["reserves"][0].update(price_1e8="-1"), "price_1e8 is '-1'"),
        (lambda d: d["accounts"][0]["reserves"][0].update(prise_1e8="1"), "did you mean 'price_1e8'?"),
        (lambda d: d["accounts"][0]["reserves"][0].update(last_update=2**40), "is after the time asked for"),
        (lambda d: d["accounts"][0].update(emode=4), "emode 4 is not among its emodes"),
        (lambda d: d["accounts"][0]["reserves"][0].update(asset="WETH"), "WETH is not listed in assets"),
        (lambda d: d["at"].clear(), "at says nothing of eip155:1000"),
        (lambda d: d.update(accounts={}), "accounts is not a list"),
    ],
)
def test_a_broken_file_is_refused_with_one_clear_message(
    change: Callable[[dict[str, Any]], object], says: str
) -> None:
    with pytest.raises(Usage) as wrong:
        judge(broken(change))
    assert wrong.value.code == "BAD_ACCOUNTS_FILE" and says in wrong.value.message


def test_fractions_and_what_is_no_json_are_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for text in (
        '{"fairlead": "accounts/1", "at": {"eip155:1": {"timestamp": 1.5}}}',
        "{",
        '["accounts/1"]',
        "\x00",
    ):
        with pytest.raises(Usage):
            judge_text(text)
    assert run(["health", str(tmp_path / "none.json"), "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "NO_SUCH_FILE"


def test_the_model_is_found_by_its_files_name() -> None:
    assert models()["aave_v3_0"] is MODEL
