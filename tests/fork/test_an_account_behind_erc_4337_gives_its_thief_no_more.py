"""The attacks on an agent behind ERC-4337, each made for real and judged by the referee's process: refused by its rule, or within the bound."""

from __future__ import annotations

import pytest

from agent.app.chaos.custody import account_moves
from agent.app.chaos.custody.run import run
from chains.devnet.service import Status

pytestmark = pytest.mark.devnet


def test_what_the_account_is_made_to_do_stays_within_the_same_bound(devnet: Status) -> None:
    moves, said = account_moves.moves(), []
    report = run(devnet.cheat_urls, 1, range(len(moves)), moves=moves, say=said.append)
    assert report.violations == [], said
    assert report.attacks == len(moves) == 12 and report.repelled == 9
    assert any("the floor and not one unit more" in line for line in said), said
    assert 0 < report.extracted <= report.bound
