"""Ten thousand accounts screened by floats: the same accounts and the same factors as by integers alone, at any prices."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from lending_crowd import AT, crowd
from random_books import book

from agent.app.cli import health
from agent.margin import aave_v3_0, aave_v3_5, aave_v3_7
from agent.margin.aave_account import Account, EMode, Reserve
from agent.margin.accounts import judge, judge_below, read
from agent.margin.model import State
from agent.margin.ray import RAY
from agent.margin.screen import Look, Screen, Screening, screened, whole
from agent.margin.surface import Member, grid, order

MODELS = (aave_v3_0.MODEL, aave_v3_5.MODEL, aave_v3_7.MODEL)


def same(count: int, seed: int, shocks: int) -> None:
    accounts, prices = crowd(count, seed)
    screen, draw = Screen([(model, account, AT) for model, account in accounts]), random.Random(seed)
    found = confirmed = 0
    for n in range(shocks):
        moved = {a: max(1, int(px * draw.uniform(0.93, 1.05))) if n else px for a, px in prices.items()}
        for threshold in (10**18, 11 * 10**17):
            told = screen.below(moved, threshold)
            assert told.below == screen.all_integer(moved, threshold)
            found += len(told.below)
            confirmed += told.confirmed
    # The band is narrow: what is computed in integers is mostly what is told.
    assert found > count // 100 and confirmed < found * 1.3 + count / 20


def test_the_screen_equals_the_integers() -> None:
    same(3_000, 1, 3)


@pytest.mark.full
def test_the_screen_equals_the_integers_for_many() -> None:
    for seed in range(10):
        same(10_000, 10 + seed, 5)


def test_what_has_a_price_of_its_own_is_not_screened() -> None:
    accounts, _ = crowd(1, 1)
    model, account = accounts[0]
    priced = EMode(9_000, 9_300, frozenset({"a0"}), price_1e8=1)
    with pytest.raises(ValueError, match="price of its own"):
        Screen([(model, replace(account, emode=priced), AT)])


# ---- what is odd: dust, thresholds of a basis point or none, prices of nothing or beyond any float


def odd(draw: random.Random) -> Account:
    rows = []
    for n in range(draw.randrange(1, 6)):
        digits = draw.choice((0, 2, 6, 18))
        price = draw.choice((0, 1, int(10 ** draw.uniform(0, 13)), int(10 ** draw.uniform(0, 13))))
        threshold = draw.choice((0, 1, draw.randrange(2, 30), draw.randrange(1, 10_001)))
        lent, owed = (
            int(10 ** draw.uniform(0, digits + 3)) if draw.random() < share else 0 for share in (0.7, 0.5)
        )
        rows.append(
            Reserve(f"a{n}", digits, 10**320 if draw.random() < 0.01 else price, 5_000, threshold, draw.random() < 0.9,
                    AT - draw.choice((0, 10**6)), lent, draw.randrange(RAY, 2 * RAY), draw.randrange(RAY // 2),
                    owed, draw.randrange(RAY, 2 * RAY), draw.randrange(RAY))
        )  # fmt: skip
    inside = frozenset(r.asset for r in rows if draw.random() < 0.5)
    return Account(tuple(rows), EMode(1, draw.choice((0, 1, 9_000)), inside) if draw.random() < 0.3 else None)


def at_the_edge(draw: random.Random, model: Any, account: Account, threshold: int) -> Account:
    """The account with one of its debts within three units of where the threshold is crossed."""
    number = draw.randrange(len(account.reserves))

    def owing(scaled: int) -> Account:
        rows = list(account.reserves)
        rows[number] = replace(rows[number], scaled_debt_raw=scaled)
        return replace(account, reserves=tuple(rows))

    good, found = 0, 10**30
    while found - good > 1:
        middle = (good + found) // 2
        factor = model.account_data(owing(middle), AT).health_1e18
        good, found = (good, middle) if factor is not None and factor < threshold else (middle, found)
    return owing(max(0, found + draw.randrange(-3, 4)))


def test_nobody_is_passed_over_whatever_rounding_does() -> None:
    draw, passed, low = random.Random(5), 0, 0
    for threshold in (10**16, 10**18, 11 * 10**17, 10**20):
        accounts = []
        for _ in range(250):
            model, account = draw.choice(MODELS), odd(draw)
            accounts += [(model, account, AT), (model, at_the_edge(draw, model, account, threshold), AT)]
        screen = Screen(accounts)
        for n in range(3):
            part = [Fraction(0), Fraction(draw.randrange(1, 3 * 10**6), 10**6)]
            moves = {f"a{a}": draw.choice(part) for a in range(n * 2)}
            for (model, account, at), near in zip(accounts, screen.near(moves, threshold), strict=True):
                factor = model.at_moves(account, moves, at)
                assert near or factor is None or factor >= threshold, (model.name, account, moves)
                low += factor is not None and factor < threshold
                passed += not near
    assert passed > 600 and low > 600


# ---- where the product judges many


def mixed(count: int) -> list[Member]:
    """Accounts of every model, and one that nobody could read."""
    draw = random.Random(7)
    many = [Member(f"c{n}", model, account, AT) for n, (model, account) in enumerate(crowd(count, 3)[0])]
    renamed = [replace(m, name=f"b{b}{m.name}") for b in range(20) for m in book(draw)]
    return [*many, *renamed, Member("lost", None, None, 0, "not read")]


def test_a_shock_tells_the_same_of_a_book_as_integers_alone() -> None:
    members, passed = mixed(40), [0, 0]
    shock = {"a0": Fraction(-1, 2), "a1": Fraction(-1, 2), "a4": Fraction(1, 10), "weth": Fraction(-2, 5), "wbtc": Fraction(-2, 5)}  # fmt: skip
    levels = [Fraction(n, 5) for n in range(-4, 3)]

    def counted(accounts: Any) -> Look:
        look = screened(accounts)

        def seen(moves: Any, threshold_1e18: int) -> list[bool]:
            near = look(moves, threshold_1e18)
            passed[0], passed[1] = passed[0] + near.count(False), passed[1] + len(near)
            return near

        return seen

    def told(screen: Screening) -> tuple[Any, ...]:
        # Each account's surface apart: of a whole book's only the worst is told.
        surfaces = [grid([m], ["a0", "a1", "weth"], ["a4"], levels, screen) for m in members]
        return order(members, shock, screen=screen), surfaces, grid(members, ["a0"], [], levels, screen)

    falls, surfaces, worst = told(counted)
    assert (falls, surfaces, worst) == told(whole)
    assert {f.state for f in falls} == set(State) == {s for one in surfaces for row in one for s, _ in row}
    assert passed[0] > passed[1] // 5


def document(count: int) -> dict[str, Any]:
    """accounts/1 of a crowd, two vaults that no screen knows, and one that cannot be judged."""
    accounts, _ = crowd(count, 4)
    rows = []
    for n, (model, account) in enumerate(accounts):
        reserves = [
            {k: str(v) if k.endswith(("_raw", "_1e8", "_1e27")) else v for k, v in asdict(r).items() if k != "decimals"}
            for r in account.reserves
        ]  # fmt: skip
        ids = [r | {"asset": f"eip155:1/erc20:0x{int(r['asset'][1:]) + 1:040x}"} for r in reserves]
        rows.append({"id": f"n{n}", "model": model.name, "chain": "eip155:1", "reserves": ids})
    rows.append({**rows[0], "id": "unknown", "doubt": "half of it was read"})
    for name, balance in (("far", "100000"), ("near", "2000")):
        position = {"asset": "cex:hl/ETH", "size": "5", "entry_px": "3000", "mark_px": "3000",
                    "tiers": [["0", "25"]]}  # fmt: skip
        rows.append(
            {
                "id": name,
                "model": "hyperliquid",
                "chain": "cex:hl",
                "balance": balance,
                "positions": [position],
            }
        )
    digits = {r.asset: r.decimals for r in accounts[0][1].reserves}
    assets = [{"id": f"eip155:1/erc20:0x{int(a[1:]) + 1:040x}", "symbol": a, "decimals": d} for a, d in digits.items()]  # fmt: skip
    assets.append({"id": "cex:hl/ETH", "symbol": "ETH", "decimals": 18})
    times = {"eip155:1": {"timestamp": AT}, "cex:hl": {"timestamp": AT}}
    return {"fairlead": "accounts/1", "at": times, "assets": assets, "accounts": rows}


def test_those_below_a_factor_are_those_of_the_whole_file(tmp_path: Path) -> None:
    given = document(150)
    every = judge(given)
    for threshold in (10**17, 10**18, 11 * 10**17, 2 * 10**18):
        below = [
            j for j in every
            if j.health is None or (j.health.health_1e18 is not None and j.health.health_1e18 < threshold)
        ]  # fmt: skip
        assert judge_below(read(given), threshold) == below
        assert "unknown" in [j.id for j in below]
    path = tmp_path / "many.json"
    path.write_text(json.dumps(given))
    shown = CliRunner().invoke(health.command, [str(path), "--below", "1.1", "--json"])
    told = json.loads(shown.stdout)
    want = {j.id for j in every if j.state in (State.AT_RISK, State.LIQUIDATABLE)}
    assert want | {"unknown"} == {a["id"] for a in told["accounts"]} and len(want) > 5
    assert told["looked_at"] == len(every) and told["unknown"] == ["unknown"]


@pytest.mark.parametrize(
    ("words", "code"),
    [(["FILE", "--below", "much"], "BAD_FACTOR"), (["FILE", "--below", "1e9"], "BAD_FACTOR"), (["--below", "1"], "NO_FILE")],
)  # fmt: skip
def test_a_factor_that_is_none_is_named(words: list[str], code: str) -> None:
    stopped = CliRunner().invoke(health.command, words).exception
    assert getattr(stopped, "code", "") == code
