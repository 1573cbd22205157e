"""Random accounts, and accounts within three wei of liquidation, have the figures that the published Solidity itself gives.

Aave 3.0.x and 3.6 (core-v3 1.19.3, aave-v3-origin 3.6.0) and Morpho Blue 1.0.0 judge, run in an Anvil of the test's own.
3.3 to 3.5 and 3.7, Compound III and Maker are set beside a second reckoning (`tests/property`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from lending_cases import at_the_edge, random_account
from lending_oracle import AT, Judge, judge

from agent.margin import aave_v3_0, aave_v3_6, aave_v3_7, morpho_blue
from agent.margin.aave_account import Account
from agent.margin.aave_core import AaveModel
from agent.margin.aave_seize import available

NEVER = 2**256 - 1
Versions = pytest.mark.parametrize(
    ("contract", "model"), [("Aave30", aave_v3_0.MODEL), ("Aave36", aave_v3_6.MODEL)], ids=["3.0", "3.6"]
)


@pytest.fixture(scope="module")
def judges() -> Iterator[Callable[[str], Judge]]:
    from contextlib import ExitStack

    with ExitStack() as stack:
        kept: dict[str, Judge] = {}

        def find(name: str) -> Judge:
            if name not in kept:
                kept[name] = stack.enter_context(judge(name))
            return kept[name]

        yield find


# ---- Aave


def given(account: Account) -> tuple[Any, ...]:
    """The account as the harness takes it."""
    rows, flags, emode = [], 0, account.emode
    members = zero = 0
    for n, r in enumerate(account.reserves):
        inside = account.in_emode(r)
        config = (
            r.ltv_bps
            | r.liquidation_threshold_bps << 16
            | 10_500 << 32
            | r.decimals << 48
            | int(inside) << 168
        )
        rows.append(
            (config, r.liquidity_index_1e27, r.liquidity_rate_1e27, r.borrow_index_1e27, r.borrow_rate_1e27, AT - r.last_update,
             r.scaled_supply_raw, r.scaled_debt_raw, r.stable_debt_raw, r.price_1e8)
        )  # fmt: skip
        owes = bool(r.scaled_debt_raw or r.stable_debt_raw)
        flags |= (int(owes) | int(bool(r.scaled_supply_raw) and r.collateral_enabled) << 1) << 2 * n
        members |= int(inside) << n
        zero |= int(emode is not None and r.asset in emode.ltvzero) << n
    if emode is None:
        return (rows, flags, 0, 0, 0, 0, 0, 0, 0)
    mode = (1, emode.ltv_bps, emode.liquidation_threshold_bps, 10_100, members, zero, emode.price_1e8)
    return (rows, flags, *mode)


def ours(model: AaveModel, account: Account) -> tuple[int, ...]:
    found = model.account_data(account, AT)
    health = NEVER if found.health_1e18 is None else found.health_1e18
    return (
        found.collateral_base, found.debt_base, found.ltv_bps, found.liquidation_threshold_bps, health,
    )  # fmt: skip


def _aave(ask: Judge, model: AaveModel, count: int, seed: int) -> int:
    """How many of `count` random accounts, and of others at the edge, another version would have got wrong."""
    draw = random.Random(seed)
    plain = [random_account(draw, model is aave_v3_0.MODEL, AT) for _ in range(count)]
    edges = [
        a for p in plain[: count // 4] for a in at_the_edge(model, p, draw.randrange(len(p.reserves)), AT)
    ]
    assert len(edges) > count // 3
    theirs = ask.ask("run", [given(a) for a in plain + edges])
    wrong, other = 0, aave_v3_6.MODEL if model is aave_v3_0.MODEL else aave_v3_0.MODEL
    for account, told in zip(plain + edges, theirs, strict=True):
        assert ours(model, account) == tuple(told), account
        wrong += ours(other, account) != tuple(told)
    flips = {told[4] >= 10**18 for told in theirs[count:]}
    assert flips == {True, False}
    return wrong


@Versions
def test_a_hundred_accounts_at_aave(judges: Callable[[str], Judge], contract: str, model: AaveModel) -> None:
    assert _aave(judges(contract), model, 60, 1) > 20


@pytest.mark.full
@Versions
def test_ten_thousand_accounts_at_aave(
    judges: Callable[[str], Judge], contract: str, model: AaveModel
) -> None:
    assert _aave(judges(contract), model, 10_000, 2) > 3_000


def _seize(ask: Judge, model: AaveModel, count: int) -> int:
    draw, rows = random.Random(count), []
    for _ in range(count):
        units = [10 ** draw.choice((6, 8, 18)) for _ in "cd"]
        prices = [int(10 ** draw.uniform(5, 13)) for _ in "cd"]
        cover, held = (
            int(10 ** draw.uniform(1, 13)) * u // 10**6 + draw.randrange(1000) + 1 for u in units[::-1]
        )
        bonus, fee = draw.randrange(10_001, 11_500), draw.choice((0, 1_000, draw.randrange(10_000)))
        rows.append((prices[0], units[0], prices[1], units[1], cover, held, bonus, fee))
    digits = {10**d: d for d in (6, 8, 18)}
    asked = [(digits[r[1]] << 48 | r[7] << 152, *r[:7]) for r in rows]
    differ = 0
    for row, told in zip(rows, ask.ask("seize", asked), strict=True):
        found = available(model.rules.seize, *row)
        assert (found.collateral_raw, found.debt_raw, found.fee_raw) == tuple(told), row
        later = available(aave_v3_7.MODEL.rules.seize, *row)
        differ += (later.collateral_raw, later.debt_raw, later.fee_raw) != tuple(told)
    return differ


@Versions
def test_what_a_liquidation_takes_at_aave(
    judges: Callable[[str], Judge], contract: str, model: AaveModel
) -> None:
    # 3.7 rounds otherwise: taking one version for the other would be found here.
    assert _seize(judges(contract), model, 300) > 60


@pytest.mark.full
@Versions
def test_what_ten_thousand_liquidations_take_at_aave(
    judges: Callable[[str], Judge], contract: str, model: AaveModel
) -> None:
    assert _seize(judges(contract), model, 10_000) > 2_000


# ---- Morpho Blue


def market(draw: random.Random) -> morpho_blue.Account:
    decimals = (draw.choice((6, 18)), draw.choice((6, 8, 18)))
    total = int(10 ** draw.uniform(6, 26))
    shares = total * 10**6 * draw.randrange(50, 101) // 100
    return morpho_blue.Account(
        "loan", decimals[0], "collateral", decimals[1], draw.choice((385, 625, 770, 860, 945, 980)) * 10**15,
        int(10 ** draw.uniform(24, 46)), int(10 ** draw.uniform(4, 24)), max(1, int(shares * draw.random())), total, shares,
        int(10 ** draw.uniform(6, 10.5)), AT - draw.choice((0, 1, int(10 ** draw.uniform(0, 7.5)))),
    )  # fmt: skip


def _morpho(ask: Judge, count: int, seed: int) -> None:
    draw = random.Random(seed)
    cases: list[tuple[morpho_blue.Account, int]] = []
    while len(cases) < count:
        one = market(draw)
        px = morpho_blue.MODEL.health(one, AT).liquidation_px[0].px_raw
        if px is None or not 100 < px < 10**60:
            continue
        for step in (-3, -2, -1, 0, 1, 2, 3, -px // draw.randrange(3, 50)):
            near = replace(one, oracle_price_1e36=px + step)
            cases.append((near, draw.choice((0, near.collateral_raw, near.collateral_raw // 2, 1))))
    rows = [
        (a.lltv_1e18, a.oracle_price_1e36, a.collateral_raw, a.borrow_shares_raw, a.total_borrow_assets_raw,
         a.total_borrow_shares_raw, a.borrow_rate_1e18, AT - a.last_update, seized)
        for a, seized in cases
    ]  # fmt: skip
    seen = {"healthy": 0, "liquidatable": 0, "seized": 0}
    for (account, seized), told in zip(cases, ask.ask("run", rows), strict=True):
        debt, healthy, went, shares_left, collateral_left, repaid = told
        factor = morpho_blue.MODEL.factor(account, account.oracle_price_1e36, AT)
        assert morpho_blue.debt_raw(account, AT) == debt and factor is not None
        assert (factor >= 10**18) is bool(healthy)
        seen["healthy" if healthy else "liquidatable"] += 1
        if went:
            shares = morpho_blue.repaid_shares_for(account, seized, AT)
            total = morpho_blue.total_borrow(account, AT)
            assert morpho_blue.assets_up(shares, total, account.total_borrow_shares_raw) == repaid
            assert collateral_left == account.collateral_raw - seized
            assert shares_left in (account.borrow_shares_raw - shares, 0)
            seen["seized"] += 1
    assert min(seen.values()) > count // 20, seen


def test_two_hundred_borrowers_at_morpho(judges: Callable[[str], Judge]) -> None:
    _morpho(judges("Morpho"), 200, 1)


@pytest.mark.full
def test_ten_thousand_borrowers_at_morpho(judges: Callable[[str], Judge]) -> None:
    _morpho(judges("Morpho"), 10_000, 2)
