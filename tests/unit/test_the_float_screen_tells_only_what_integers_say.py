"""Ten thousand accounts screened by floats: the same accounts and the same factors as by integers alone, at any prices."""

from __future__ import annotations

import random

import pytest
from lending_crowd import AT, crowd

from agent.margin.aave_account import EMode
from agent.margin.screen import Screen


def same(count: int, seed: int, shocks: int) -> None:
    accounts, prices = crowd(count, seed)
    screen, draw = Screen(accounts, AT), random.Random(seed)
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
        Screen([(model, type(account)(account.reserves, priced))], AT)
