"""`liquidationCall` of Aave 3.0 and 3.6 as their published libraries execute it: what it takes, when it refuses, each border within three units.

The libraries run whole (LiquidationLogic.executeLiquidationCall of core-v3 1.19.3 and of aave-v3-origin 3.6.0) over balances and prices of
ours. Aave 3.0's is asked at genuine pools, too, in `tests/fork`.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from eth_hash.auto import keccak
from lending_oracle import AT, Judge, judge

from agent.margin import aave_v3_0, aave_v3_6, aave_v3_7
from agent.margin.aave_account import Account, Reserve
from agent.margin.aave_core import AaveModel
from agent.margin.ray import RAY

OLD, NEW = aave_v3_0.MODEL, aave_v3_6.MODEL
NEAR = range(-3, 4)
DOLLAR = 10**8
DUST, HEALTHY, WORDS = (
    int.from_bytes(keccak(name.encode())[:4], "big")
    for name in ("MustNotLeaveDust()", "HealthFactorNotBelowThreshold()", "Error(string)")
)


def borrower(draw: random.Random, dollars: int, factor: float) -> Account:
    """One collateral and one debt of so many 1e-8 dollars, near that health."""
    rows = []
    threshold = draw.randrange(5_000, 9_500)
    for n in range(2):
        digits, price = draw.choice((6, 8, 18)), int(10 ** draw.uniform(6, 13))
        worth = dollars if n else int(dollars * factor * 10_000 / threshold)
        index = draw.randrange(RAY, 2 * RAY)
        raw = max(worth * 10**digits // price * RAY // index, 1)
        rows.append(
            Reserve(
                "cd"[n], digits, price, threshold - 100, threshold, n == 0, AT - draw.choice((0, 1, 10**6)),
                0 if n else raw, index, draw.randrange(RAY // 20), raw if n else 0, index, draw.randrange(RAY // 20),
                liquidation_bonus_bps=draw.randrange(10_100, 11_500), protocol_fee_bps=draw.choice((0, 1_000, draw.randrange(10_000))),
            )
        )  # fmt: skip
    return Account(tuple(rows))


def with_debt(account: Account, scaled: int) -> Account:
    return Account((account.reserves[0], replace(account.reserves[1], scaled_debt_raw=max(scaled, 1))))


def with_collateral(account: Account, scaled: int) -> Account:
    return Account((replace(account.reserves[0], scaled_supply_raw=max(scaled, 1)), account.reserves[1]))


def at_health(model: AaveModel, account: Account, factor: int) -> list[Account]:
    """The debt at which the health first is no more than that, give or take three units."""
    good, found = 0, 10**40
    while found - good > 1:
        middle = (good + found) // 2
        health = model.account_data(with_debt(account, middle), AT).health_1e18
        good, found = (good, middle) if health is not None and health <= factor else (middle, found)
    return [with_debt(account, found + n) for n in NEAR]


def of_worth(account: Account, dollars: int, health: float) -> list[Account]:
    """The debt, then the collateral, about so many dollars, the other side by the health."""
    lent, owed = account.reserves
    scaled = [
        dollars * 10**r.decimals * RAY // r.price_1e8 // index
        for r, index in ((lent, NEW.supply_index(lent, AT)), (owed, NEW.debt_index(owed, AT)))
    ]
    data = NEW.account_data(account, AT)
    other = scaled[1] * lent.scaled_supply_raw // owed.scaled_debt_raw
    assert data.health_1e18
    by_debt = with_collateral(account, int(other * health * 10**18 / data.health_1e18))
    other = scaled[0] * owed.scaled_debt_raw // lent.scaled_supply_raw
    by_lent = with_debt(account, int(other * data.health_1e18 / health / 10**18))
    return [with_debt(by_debt, scaled[1] + n) for n in NEAR] + [with_collateral(by_lent, scaled[0] + n) for n in NEAR]  # fmt: skip


def of_dust(draw: random.Random, account: Account) -> list[Account]:
    """Half of some 2,000 dollars is repaid, and the collateral that is left is worth 1,000, give or take three units."""
    lent, owed = account.reserves
    debt, bonus = draw.randrange(2_000, 2_100) * DOLLAR, draw.randrange(10_100, 11_500)
    worth = debt // 2 * bonus // 10_000 + 1_000 * DOLLAR
    lent = replace(
        lent, liquidation_bonus_bps=bonus, liquidation_threshold_bps=min(98 * debt * 100 // worth, 10_000)
    )
    account = Account((lent, owed))
    scaled = debt * 10**owed.decimals * RAY // owed.price_1e8 // NEW.debt_index(owed, AT) + 2
    held = worth * 10**lent.decimals * RAY // lent.price_1e8 // NEW.supply_index(lent, AT)
    return [with_collateral(with_debt(account, scaled), held + n) for n in range(-6, 7)]


def exact(draw: random.Random) -> list[Account]:
    """Base units that are worth one value unit each: health of 0.95, sides of 2,000, 1,000 left of the collateral, all to the unit."""
    found = []
    for lent, owed, threshold in ((5_000, 5_000, 9_500), (2_000, 2_010, 9_850), (2_050, 2_000, 9_560)):
        for n in NEAR:
            rows = (
                Reserve("c", 8, DOLLAR, 9_000, threshold, True, AT, lent * DOLLAR + n, RAY, 0, 0, RAY, 0,
                        liquidation_bonus_bps=10_500, protocol_fee_bps=draw.choice((0, 1_000))),
                Reserve("d", 8, DOLLAR, 0, 0, False, AT, 0, RAY, 0, owed * DOLLAR, RAY, 0),
            )  # fmt: skip
            found.append(Account(rows))
    return found


def given(account: Account) -> tuple[Any, ...]:
    rows = tuple(
        (
            r.ltv_bps | r.liquidation_threshold_bps << 16 | r.liquidation_bonus_bps << 32 | r.decimals << 48 | 1 << 56 | r.protocol_fee_bps << 152,
            r.liquidity_index_1e27, r.liquidity_rate_1e27, r.borrow_index_1e27, r.borrow_rate_1e27, AT - r.last_update,
            r.scaled_supply_raw, r.scaled_debt_raw, r.price_1e8,
        )
        for r in account.reserves
    )  # fmt: skip
    return rows, 0b0110  # the first lent as collateral, the second owed


def ours(model: AaveModel, account: Account) -> tuple[int, ...]:
    """As the harness tells it."""
    data = model.account_data(account, AT)
    if data.health_1e18 is None or data.health_1e18 >= 10**18:
        return (HEALTHY if model.rules.seize.whole else WORDS, 0, 0, 0, 0)
    found = model._seized(account, model.holdings(account, AT), data, AT)
    if found is None:
        return (DUST, 0, 0, 0, 0)
    taken = found.collateral[0][1] - found.fee_raw
    return (0, found.repaid_raw, taken, found.fee_raw, found.bad_debt_raw)


def _liquidated(model: AaveModel, contract: Judge, count: int) -> Counter[str]:
    draw, new = random.Random(count), model.rules.seize.whole
    accounts = exact(draw)
    for _ in range(count):
        one = borrower(draw, int(10 ** draw.uniform(9, 14)), draw.choice((0.5, 0.9, 0.95, 0.97, 0.99)))
        large = borrower(draw, draw.randrange(5_000, 10**6) * DOLLAR, 1.0)
        accounts += [one, *at_health(model, large, 10**18), *at_health(model, large, 95 * 10**16)]
        accounts += of_worth(large, 2_000 * DOLLAR, draw.uniform(0.951, 0.999)) + of_dust(draw, large)
    seen = Counter[str]()
    answers = contract.ask("liquidate", [given(a) for a in accounts])
    for account, answer in zip(accounts, answers, strict=True):
        assert ours(model, account) == tuple(answer), account
        seen["dust" if answer[0] == DUST else "healthy" if answer[0] else "taken"] += 1
        whole = answer[1] == model.debt_raw(account.reserves[1], AT)
        seen["whole" if whole else "part"] += answer[0] == 0
        seen["bad debt"] += answer[4] > 0
        seen["otherwise in another"] += ours(aave_v3_7.MODEL if new else NEW, account) != tuple(answer)
    return seen


Versions = pytest.mark.parametrize(
    ("name", "model"), [("Aave30Liquidation", OLD), ("Aave36Liquidation", NEW)], ids=["3.0", "3.6"]
)


@Versions
@pytest.mark.parametrize("count", [12, pytest.param(250, marks=pytest.mark.full)])
def test_what_a_liquidation_takes_is_what_its_contract_takes(name: str, model: AaveModel, count: int) -> None:
    with judge(name) as contract:
        seen = _liquidated(model, contract, count)
    kinds = ["healthy", "taken", "whole", "part", "otherwise in another"]
    kinds += ["dust", "bad debt"] if model is NEW else []
    assert all(seen[kind] > count // 4 for kind in kinds), seen
