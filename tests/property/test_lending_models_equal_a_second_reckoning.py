"""Aave 3.3 to 3.7, Compound III and Maker beside a second reckoning of ours (`lending_referee`): random accounts, and every border within three units.

No contract of 3.3, 3.4, 3.5, 3.7, Comet or dss is on a package index; 3.6, which is, is judged by its contract in `tests/conformance`.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import lending_referee as referee
import pytest
from lending_cases import at_the_edge, random_account

from agent.margin import aave_v3_3, aave_v3_4, aave_v3_5, aave_v3_6, aave_v3_7, compound_v3, maker_vault
from agent.margin.aave_core import AaveModel
from agent.margin.aave_seize import largest
from agent.margin.ray import RAY

AT = 2_000_000_000
MODELS = [m.MODEL for m in (aave_v3_3, aave_v3_4, aave_v3_5, aave_v3_6, aave_v3_7)]
Versions = pytest.mark.parametrize("model", MODELS, ids=lambda m: m.name)
NEAR = range(-3, 4)
Amounts = pytest.mark.parametrize("count", [120, pytest.param(10_000, marks=pytest.mark.full)])


@Versions
@Amounts
def test_accounts_at_aave(model: AaveModel, count: int) -> None:
    draw, flips = random.Random(count), Counter[bool]()
    plain = [random_account(draw, False, AT) for _ in range(count)]
    near = [
        a for p in plain[: count // 4] for a in at_the_edge(model, p, draw.randrange(len(p.reserves)), AT)
    ]
    assert len(near) > count // 3
    for account in plain + near:
        found = model.account_data(account, AT)
        told = referee.aave(model.name, account, AT)
        ours = (
            found.collateral_base,
            found.debt_base,
            found.liquidation_threshold_bps,
            found.health_1e18,
        )
        assert ours == told, account
        if told[3] is not None:
            flips[told[3] < 10**18] += 1
    assert min(flips[True], flips[False]) > count // 8


def pair(draw: random.Random) -> dict[str, Any]:
    """A pair of reserves and a health, some of it drawn to a border of the close factor or of dust, give or take three units."""
    unit, debt_unit = 10 ** draw.choice((6, 8, 18)), 10 ** draw.choice((6, 8, 18))
    px, debt_px = int(10 ** draw.uniform(6, 13)), int(10 ** draw.uniform(6, 13))

    def worth(base: int, price: int, of: int) -> int:
        return max(base * of // price + draw.choice((*NEAR, 0)), 1)

    dollars = draw.choice((2_000 * 10**8, 2_000 * 10**8, 4_000 * 10**8, int(10 ** draw.uniform(9, 14))))
    debt = worth(dollars, debt_px, debt_unit)
    lent = draw.choice((2_000 * 10**8, dollars * 21 // 20, dollars * 2, int(10 ** draw.uniform(9, 14))))
    bonus = draw.randrange(10_001, 11_500)
    if draw.random() < 0.3:  # what is left of the collateral is about 1,000, or nothing
        lent = dollars * bonus // draw.choice((10_000, 20_000)) + draw.choice((0, 1_000 * 10**8))
    held = worth(lent, px, unit)
    base = debt * debt_px // debt_unit
    half = base + draw.choice((*NEAR, 10**9, base // 2, base))
    total = max(2 * half + draw.choice((-1, 0, 1)) if draw.random() < 0.4 else half, base)
    return {
        "collateral_px": px, "collateral_unit": unit, "collateral_raw": held, "debt_px": debt_px, "debt_unit": debt_unit,
        "debt_raw": debt, "bonus_bps": bonus, "fee_bps": draw.choice((0, 1_000, draw.randrange(10_000))),
        "total_collateral": held * px // unit + draw.choice((0, 0, 10**9)), "total_debt": total,
        "health_1e18": draw.choice((95 * 10**16 + draw.choice(NEAR), 98 * 10**16, 90 * 10**16)),
    }  # fmt: skip


def dust(draw: random.Random, name: str) -> dict[str, Any]:
    """A pair of which half is taken, with 1,000 dollars of one side left, give or take three units."""
    given = pair(draw) | {"health_1e18": 98 * 10**16, "total_debt": 2 * 5_000 * 10**8}

    def left(px: int, unit: int) -> int:
        return 1_000 * 10**8 * unit // px + draw.choice(NEAR)

    cover = 5_000 * 10**8 * given["debt_unit"] // given["debt_px"]
    plenty = 100_000 * 10**8 * given["collateral_unit"] // given["collateral_px"] + 1
    given |= {"debt_raw": cover * 2 + 1, "collateral_raw": plenty, "total_collateral": 10**20}
    if draw.random() < 0.5:
        return given | {"debt_raw": cover + max(left(given["debt_px"], given["debt_unit"]), 1)}
    told = referee.liquidated(name, given)
    lost = told[1] if told else 0
    return given | {"collateral_raw": lost + max(left(given["collateral_px"], given["collateral_unit"]), 1)}


@Versions
@pytest.mark.parametrize("count", [600, pytest.param(10_000, marks=pytest.mark.full)])
def test_what_a_liquidation_takes_at_aave(model: AaveModel, count: int) -> None:
    draw, seen = random.Random(count), Counter[str]()
    for n in range(count):
        given = dust(draw, model.name) if n % 3 == 0 else pair(draw)
        told = referee.liquidated(model.name, given)
        found = largest(model.rules.seize, collateral_asset="c", debt_asset="d", **given)
        ours = (
            None
            if found is None
            else (found.repaid_raw, found.collateral[0][1], found.fee_raw, found.bad_debt_raw)
        )
        assert ours == told, given
        other = "aave_v3_4" if model.rules.seize.debt_up else "aave_v3_5"
        seen["elsewhere"] += referee.liquidated(other, given) != told
        seen["dust" if told is None else "part" if told[0] < given["debt_raw"] else "whole"] += 1
        seen["bad"] += bool(told and told[3])
    assert all(seen[kind] > count // 60 for kind in ("dust", "part", "whole", "bad")), seen
    # One version taken for another is found at the borders alone.
    assert seen["elsewhere"] > count // 100, seen


def at_comet(draw: random.Random) -> compound_v3.Account:
    rows = tuple(
        compound_v3.Collateral(
            f"c{n}", digits := draw.choice((6, 8, 18)), int(10 ** draw.uniform(0, digits + 4)), int(10 ** draw.uniform(4, 13)),
            *(sorted((draw.randrange(1, 10**18), draw.randrange(1, 10**18)))), draw.randrange(1, 10**18),
        )
        for n in range(draw.randrange(0, 6))
    )  # fmt: skip
    return compound_v3.Account(
        "base", digits := draw.choice((6, 18)), int(10 ** draw.uniform(6, 12)), draw.choice((-1, -1, 1)) * int(10 ** draw.uniform(0, digits + 6)),
        draw.randrange(10**15, 2 * 10**15), draw.randrange(10**15, 2 * 10**15), draw.randrange(10**10), AT - draw.choice((0, 1, draw.randrange(10**7))),
        rows, draw.randrange(10**10),
    )  # fmt: skip


@Amounts
def test_accounts_at_compound(count: int) -> None:
    draw, flips = random.Random(count), Counter[bool]()
    accounts = []
    for _ in range(count):
        one = at_comet(draw)
        accounts.append(one)
        owed = first(lambda n, one=one: referee.comet(replace(one, principal_raw=-n), AT)[0])  # type: ignore[misc]
        accounts += [replace(one, principal_raw=-max(owed + n, 0)) for n in NEAR if owed]
    for one in accounts:
        bad, collateralised, debt, loss = referee.comet(one, AT)
        factor = compound_v3.MODEL.factor(one, one.prices(), AT)
        assert (factor is not None and factor < 10**18) is bad, one
        enough = compound_v3.liquidity(one, AT, one.prices(), liquidate=False) >= 0
        assert enough is collateralised and max(-compound_v3.present_raw(one, AT), 0) == debt
        if bad:
            seized = compound_v3.absorbed(one, AT)
            assert (seized.repaid_raw, seized.bad_debt_raw) == (debt, loss)
        flips[bad] += 1
    assert min(flips[True], flips[False]) > count


def at_maker(draw: random.Random) -> maker_vault.Account:
    ink, rate = int(10 ** draw.uniform(16, 23)), draw.randrange(RAY, 2 * RAY)
    mat, px = draw.randrange(101, 300) * 10**25, int(10 ** draw.uniform(16, 23))
    art = max(int(ink * px // 10**18 * RAY // mat * RAY // rate * draw.uniform(0.5, 1.5)), 1)
    dust = draw.choice((0, art * rate // draw.randrange(2, 40)))
    room = draw.choice((None, 0, int(art * rate * draw.uniform(0, 1.5)), dust * 2))
    return maker_vault.Account(
        "gem", "dai", ink, art, rate, draw.choice((RAY, RAY + draw.randrange(10**19))), AT - draw.choice((0, 1, 2, draw.randrange(10**6))),
        px, draw.choice((RAY, draw.randrange(RAY // 2, 2 * RAY))), mat, draw.randrange(10**18, 12 * 10**17), dust, room,
    )  # fmt: skip


@Amounts
def test_vaults_at_maker(count: int) -> None:
    draw, seen = random.Random(count), Counter[str]()
    vaults = []
    for _ in range(count):
        one = at_maker(draw)
        border = first(lambda n, one=one: referee.vault(replace(one, art_1e18=n), AT)[0])  # type: ignore[misc]
        vaults += [one, *(replace(one, art_1e18=max(border + n, 1)) for n in NEAR)]
        gone = replace(one, art_1e18=border * 2)
        rate = maker_vault.rate_at(gone, AT)
        # The part that the auctions take, and the rest, about as large as the dust.
        for kept in (gone.dust_1e45, gone.art_1e18 * rate - gone.dust_1e45):
            for n in NEAR:
                part = max(kept // rate + n, 0)
                vaults.append(
                    replace(gone, room_1e45=part * rate * gone.chop_1e18 // 10**18 + draw.choice(NEAR) % 5)
                )
    for one in vaults:
        unsafe, debt, stands_for, taken = referee.vault(one, AT)
        factor = maker_vault.MODEL.factor(one, AT)
        assert factor is not None and (factor < 10**18) is unsafe, one
        assert factor == stands_for * 10**18 // debt
        if unsafe:
            seized = maker_vault.barked(one, AT)
            assert (None if seized is None else (seized.repaid_raw, seized.collateral[0][1])) == taken, one
            seen["none" if taken is None else "whole" if taken[1] == one.ink_1e18 else "part"] += 1
        else:
            seen["safe"] += 1
    assert all(seen[kind] > count // 10 for kind in ("none", "whole", "part", "safe")), seen


def first(bad: Callable[[int], bool], most: int = 10**45) -> int:
    """The smallest number from 1 on at which it holds, of what then goes on to; 0 where none does."""
    if not bad(most):
        return 0
    good, found = 0, most
    while found - good > 1:
        middle = (good + found) // 2
        good, found = (good, middle) if bad(middle) else (middle, found)
    return found
