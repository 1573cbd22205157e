"""`fairlead chaos rescue`: prices that fall fast, dear gas, stale oracles, a sequencer, a relay or an exchange that is down, a daemon that is
killed; another process knows beforehand what could be saved, and judges by the chain alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_home import AgentHome

from agent.app.chaos.report import Report
from agent.app.chaos.rescue.crises import draw
from agent.app.chaos.rescue.run import crises, run
from chains.devnet.addresses import CHAINS
from chains.devnet.funding import give_token, set_feed_price

pytestmark = pytest.mark.devnet
TROUBLED, POOR = 2_263, 48
"""Cases of seed 1: a death, dear gas, a sequencer, a relay and an exchange that are down, and a fall that would end in liquidation; a stale
price with next to nothing in the wallet."""


@pytest.fixture
def ground(agent_home: AgentHome) -> Iterator[AgentHome]:
    """The agent's world; afterwards it owes nothing and holds what it held, at the prices it had."""
    home, url = agent_home, agent_home.home.cheat_urls[1]
    held = {"WETH": home.balance("WETH"), "USDC": home.balance("USDC")}
    yield home
    set_feed_price(url, "ETH", 3_000 * 10**8)
    give_token(url, CHAINS[1].usdc, home.safe, 10_000 * 10**6)
    owed = home.run("lend repay 9000 USDC --live --yes --max-loss 200 --json", home.owners_path)
    assert owed.status == 0, owed.err + owed.out
    for symbol, token in (("WETH", CHAINS[1].weth), ("USDC", CHAINS[1].usdc)):
        give_token(url, token, home.safe, held[symbol] - home.balance(symbol))
    for symbol, usd in (("ETH", 3_000), ("USDC", 1)):
        set_feed_price(url, symbol, usd * 10**8)


def test_what_can_be_saved_is_saved_and_what_cannot_is_told(ground: AgentHome, tmp_path: Path) -> None:
    home, report = ground, Report("rescue", 1, 2)
    crises(
        home.settings_path,
        home.home.cheat_urls[1],
        tmp_path,
        1,
        [TROUBLED, POOR],
        report,
        lambda text: None,
    )
    assert report.violations == []
    counted = report.counters
    assert (counted["crises"], counted["survived"], counted["infeasible"], counted["outside_policy"]) == (
        2,
        1,
        1,
        0,
    )
    assert counted["payments"] >= 1 and (counted["warned"], counted["sigkills"]) == (2, 1)


def test_what_befalls_a_loan_is_the_same_for_ever_and_of_every_kind() -> None:
    drawn = [draw(1, case) for case in range(300)]
    assert drawn == [draw(1, case) for case in range(300)]
    slots = [slot for crisis in drawn for slot in crisis.slots]
    for happens in (
        any(s.down for s in slots),
        any(s.gap_s for s in slots),
        any(s.base_gwei > 1 for s in slots),
        any(s.stopped for s in slots),
        any(s.dark for s in slots),
    ):
        assert happens
    assert {slot.death for slot in slots} == {"", "before", "after"}
    assert all(
        slot.px_1e8 == before.px_1e8
        for c in drawn
        for before, slot in zip(c.slots, c.slots[1:], strict=False)
        if slot.stopped
    )


@pytest.mark.full
def test_five_hundred_crises() -> None:
    report = run(2026, range(500))
    found = report.counters
    assert found["outside_policy"] == 0 and found["silent"] == 0, report.violations
    assert found["infeasible"] <= 50 and found["survived"] >= (500 - found["infeasible"]) * 99 / 100, (
        report.violations
    )
    assert found["lost_cents"] < found["lost_repaying_cents"] < found["lost_doing_nothing_cents"]


@pytest.mark.full
@pytest.mark.parametrize(
    ("mistake", "rules"),
    [
        ("asleep", {"fallen", "silent"}),
        ("thief", {"outside-policy"}),
        ("late", {"fallen"}),
        ("greedy", {"outside-policy"}),
        ("blind", {"silent"}),
    ],
)
def test_the_referee_finds_what_goes_wrong(mistake: str, rules: set[str]) -> None:
    report = run(1, [TROUBLED], mistake=mistake)
    assert {found["rule"] for found in report.violations} >= rules
