"""Random books of several accounts under every lending model and at an exchange: none is called safe that is not, and each price that
is printed, put into a fresh account, is the last integer at which its own arithmetic says that it is liquidated."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from pathlib import Path

import pytest
from book_runs import Counted, part, parts
from random_books import AT, KINDS, aave, flips, hold, more

from agent.margin import aave_v3_0, aave_v3_4, aave_v3_6, aave_v3_7
from agent.margin.aave_account import Account as Aave
from agent.margin.aave_account import Reserve
from agent.margin.model import Side, State
from agent.margin.surface import Member

FOUR = (aave_v3_0, aave_v3_4, aave_v3_6, aave_v3_7)


def of_every_kind(total: Counted) -> None:
    """What was drawn is of every kind (Aave's six versions are of one, and two exchanges' loans), and about its edge: a third has fallen, the others have somewhere to
    fall."""
    assert len(total.models) == len(set(KINDS)) + 6 and total.prices > 2 * total.books
    assert total.books / 4 < total.fallen < total.books


def test_several_hundred_books() -> None:
    of_every_kind(part(5, 0, 400))


@pytest.mark.full
@pytest.mark.timeout(14_400)
def test_a_million_books() -> None:
    """Seventy-five minutes of a core's own time. With FAIRLEAD_BOOKS naming a file, what was counted stays there and is not counted again."""
    kept, total = os.environ.get("FAIRLEAD_BOOKS"), Counted()
    for number, counted, _ in parts(1_000_000, 1_001, 5_000, Path(kept) if kept else None):
        total.add(counted)
        print(f"part {number}: {total.books:,} books, {total.accounts:,} accounts, {total.prices:,} prices")
    assert total.books == 1_000_000
    of_every_kind(total)


def test_a_run_that_was_cut_short_goes_on_where_it_was(tmp_path: Path) -> None:
    kept, ran = tmp_path / "kept.jsonl", list[int]()

    def run(seed: int, number: int, size: int) -> Counted:
        ran.append(number)
        return part(seed, number, size)

    whole = {n: c for n, c, _ in parts(25, 9, 10)}
    assert [c.books for c in whole.values()] == [10, 10, 5]
    begun = parts(25, 9, 10, kept, run)
    next(begun), next(begun)
    with kept.open("a") as file:
        file.write('{"code": "cut sho')
    kept.write_text(kept.read_text() + "\n")
    again = {n: (c, known) for n, c, known in parts(25, 9, 10, kept, run)}
    assert ran == [0, 1, 2] and [known for _, known in again.values()] == [True, True, False]
    for n, (counted, _) in again.items():
        assert replace(counted, cpu_s=0) == replace(whole[n], cpu_s=0)
    assert [known for _, _, known in parts(25, 10, 10, kept)] == [False] * 3, "another seed is another run"


@pytest.mark.parametrize(
    "count", [150, pytest.param(60_000, marks=[pytest.mark.full, pytest.mark.timeout(7_200)])]
)
def test_troves_gmx_positions_unified_accounts_and_crvusd_loans(count: int) -> None:
    draw, printed, gone, models = random.Random(77), 0, 0, set[str]()
    for _ in range(count):
        member = Member("one", *more(draw), AT)
        assert member.model is not None
        printed += hold(member)
        gone += member.state({}) is State.LIQUIDATABLE
        models.add(member.model.name)
    assert models == {"liquity_v2", "gmx_v2", "bybit_uta", "okx_multi", "crvusd"}
    assert printed > count and count / 5 < gone < 4 * count / 5


def test_a_price_about_which_two_floors_flicker_is_the_first_on_the_way() -> None:
    """Dust, both lent and owed, whose two values move once in several ticks: between the first bad price and the last good one the
    contract's answer goes to and fro."""
    draw = random.Random(4)
    model, account = [aave(draw, FOUR) for _ in range(150)][149]
    assert model is aave_v3_4.MODEL
    health = model.health(account, AT)
    told = next(px for px in health.liquidation_px if px.asset == "wbtc")
    assert told.side is Side.ABOVE and told.px_raw is not None
    flips(model, account, told, bad_now=False)

    def bad(px: int) -> bool:
        factor = model.at_prices(account, {"wbtc": px}, AT)
        return factor is not None and factor < 10**18

    near = [bad(px) for px in range(told.px_raw - 200, told.px_raw + 40)]
    assert not any(near[:200]) and near[200] and not all(near[200:])


def test_what_is_lent_and_owed_alike_is_liquidated_by_the_rise_that_floors_its_threshold() -> None:
    """By exact thresholds a fall of the bitcoin alone would be bad; floored to whole basis points, the average of a rising one is below its own."""
    rows = (
        Reserve("dai", 18, 96714727, 7500, 7800, True, 1699001003, 630814745951761608998912, 1165829597349158509452422773, 33009283923185681699333039, 0,
                1270005201066518441336649546, 66018567846371363398666078),
        Reserve("usdc", 6, 141722201, 6700, 7000, True, 1699302085, 0, 1114695977639013845922351764, 7761983558357989820375763, 156233525895,
                1218245957367253012161839588, 15523967116715979640751526),
        Reserve("wbtc", 8, 7916890444669, 8700, 9000, True, 1698899861, 571646308, 1287753812306855881597990845, 18280416487459139511329793, 502651049,
                1317202791683734658562735710, 36560832974918279022659587),
    )  # fmt: skip
    member = Member("one", aave_v3_4.MODEL, Aave(rows, None), AT)
    assert member.state({}) is not State.LIQUIDATABLE
    told = {px.asset: px for px in aave_v3_4.MODEL.health(member.account, AT).liquidation_px}
    assert hold(member) == 3 and told["wbtc"].side is Side.ABOVE
