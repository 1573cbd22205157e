"""`fairlead chaos rescue --kind bridge`: what saves the loan is on another chain and comes by genuine SpokePools, late, or not at all, and the
daemon is killed on the way; another process knows beforehand what could come in time, and compares both chains to the base unit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from bridge_home import BridgeHome

from agent.app.chaos.report import Report
from agent.app.chaos.rescue.bridged_crises import DEATHS, draw_bridged
from agent.app.chaos.rescue.crises import NEVER, Abroad, Crisis, Slot
from agent.app.chaos.rescue.referee_bridge import Brought, Mark, Sent
from agent.app.chaos.rescue.run import bridged, run
from chains.devnet.addresses import CHAINS
from chains.profiles.ethereum import CHAIN
from contracts.codec import encode

CASES: tuple[int, ...] = (268, 37)
"""Of seed 2: killed before the deposit is in a block, and still in time; killed while it is under way, and nobody takes it."""


@pytest.fixture
def ground(bridge_home: BridgeHome) -> Iterator[BridgeHome]:
    """Afterwards the wallet owes nothing and holds what it held."""
    home, symbols = bridge_home, ("USDC", "WETH")
    held = {(chain, symbol): home.balance(chain, symbol) for chain in (1, 8453) for symbol in symbols}
    yield home
    assert CHAIN.aave is not None
    pool, owed = CHAIN.aave.pool, 2**256 - 1
    home.eth_at(3_000)
    home.give("USDC", 1, 10_000 * 10**6)
    home.as_safe(
        (CHAINS[1].usdc, encode("erc20", "approve", (pool, owed))),
        (pool, encode("aave_v3_pool", "repay", (CHAINS[1].usdc, owed, 2, home.home.safe))),
        (CHAINS[1].usdc, encode("erc20", "approve", (pool, 0))),
        (pool, encode("aave_v3_pool", "withdraw", (CHAINS[1].weth, owed, home.home.safe))),
    )
    for (chain, symbol), raw in held.items():
        home.give(symbol, chain, raw - home.balance(chain, symbol))


@pytest.mark.devnet
def test_it_comes_once_and_in_time_or_back_whole(ground: BridgeHome, tmp_path: Path) -> None:
    home, report = ground, Report("rescue", 2, len(CASES))
    bridged(home.settings_path, home.home.cheat_urls, tmp_path, 2, CASES, report, lambda text: None)
    assert report.violations == []
    counted = report.counters
    assert (counted["crises"], counted["bridged"], counted["survived"], counted["infeasible"]) == (2, 2, 2, 0)
    assert counted["crossings"] >= 2 and counted["came_back"] == 1 and counted["sigkills"] == 2
    assert counted["payments"] >= 2 and counted["lost_cents"] > 0


def test_what_befalls_money_elsewhere_is_the_same_for_ever_and_of_every_kind() -> None:
    drawn = [draw_bridged(1, case) for case in range(200)]
    assert drawn == [draw_bridged(1, case) for case in range(200)]
    abroad = [c.abroad for c in drawn if c.abroad is not None]
    assert len(abroad) == 200 and {a.delay for a in abroad} == {0, 1, 2, NEVER}
    assert any(a.weth_bps for a in abroad) and any(a.usdc_bps < 500 and not a.weth_bps for a in abroad)
    slots = [slot for crisis in drawn for slot in crisis.slots]
    assert {slot.death for slot in slots} == {"", *DEATHS}
    assert (
        any(s.down for s in slots) and any(s.base_gwei > 1 for s in slots) and any(c.usdc_bps for c in drawn)
    )


def case_of(crisis: Crisis) -> Any:
    """Two ether at 3,000 dollars, of which 80 % secures: what the referee reads, without chains."""
    debt = Fraction(6_000 * 8, 10) * 10_000 / crisis.health_bps
    return SimpleNamespace(
        crisis=crisis.to_json(), collateral=Fraction(2), debt=debt, threshold=Fraction(8, 10),
        usdc=debt * crisis.usdc_bps / 10_000, weth=Fraction(0), prices=[Fraction(s.px_1e8, 10**8) for s in crisis.slots],
    )  # fmt: skip


JUDGE: Any = SimpleNamespace(
    trigger=Fraction("1.15"), target=Fraction("1.35"), told={"above": "1.03", "fee_bps": 10, "safe": ""}
)


def brought(crisis: Crisis) -> Brought:
    one = Brought.__new__(Brought)
    one.judge, one.case = JUDGE, case_of(crisis)
    assert crisis.abroad is not None
    one.delay = crisis.abroad.delay
    one.could = (
        one.case.debt * crisis.abroad.usdc_bps / 10_000,
        Fraction(2 * crisis.abroad.weth_bps, 10_000),
    )
    return one


FALL = tuple(Slot(px * 10**8, 1) for px in (2_700, 2_600, 2_500, 2_405, 2_200, 2_000))
"""From a health of 1.25: 1.125, 1.083, 1.042, 1.002, 0.917, 0.833."""


@pytest.mark.parametrize(
    ("abroad", "stands"),
    [
        (Abroad(6_000, 0, 0), True),
        (Abroad(6_000, 0, 3), True),  # in the very slot in which it would be too late after
        (Abroad(6_000, 0, 4), False),
        (Abroad(6_000, 0, NEVER), False),
        (Abroad(500, 0, 0), False),
        (Abroad(0, 6_000, 1), True),
        (Abroad(500, 6_000, 0), True),
    ],
)
def test_the_referee_knows_what_comes_in_time(abroad: Abroad, stands: bool) -> None:
    crisis = Crisis(0, 0, 12_500, 0, 0, FALL, abroad=abroad)
    one = brought(crisis)
    assert any(one._stands(order) for order in ((0, 1), (1, 0))) is stands
    deep = replace(crisis, slots=(Slot(2_450 * 10**8, 1), *FALL[4:]))
    late = brought(deep)
    assert not any(late._stands(order) for order in ((0, 1), (1, 0))), "at 1.02 nothing is sent any more"


def test_the_referee_finds_what_was_sent_twice_for_nothing_or_is_gone() -> None:
    one = brought(Crisis(0, 0, 12_500, 0, 0, FALL, abroad=Abroad(6_000, 0, 1)))
    one.before, held, paid = (10**9, 0), [900 * 10**6, 0], {1: [99_900_000]}
    deposit = Sent(1, True, 100_000_000, 99_900_000)
    sent, due = [deposit], Mark(1, 1, Fraction("1.1"), (Fraction(100), Fraction(1)))
    one.sent, one.fills, one._held = lambda: sent, lambda: paid, lambda: (held[0], held[1])  # type: ignore[method-assign]
    one.marks = [due]
    assert one.outside() == []
    held[0] -= 1
    assert len(one.outside()) == 1, "a base unit is gone"
    held[0] += 1
    one.marks = [replace(due, health=Fraction("1.16"))]
    assert "was not due" in one.outside()[0]
    one.marks = [replace(due, missing=(Fraction(97), Fraction(1)))]
    assert "97.000000 were missing" in one.outside()[0]
    one.marks = [replace(due, sent=2, paid=0), due]
    assert "while another was on its way" in one.outside()[0]
    sent[0] = replace(deposit, out_raw=99_900_001)
    one.marks = [due]
    assert any("the fee is 100000" in said for said in one.outside())


@pytest.mark.full
@pytest.mark.devnet
@pytest.mark.timeout(7_200)
def test_a_hundred_crises_of_money_elsewhere() -> None:
    report = run(2026, range(100), kind="bridge")
    found = report.counters
    assert found["outside_policy"] == 0 and found["silent"] == 0, report.violations
    assert found["survived"] >= (100 - found["infeasible"]) * 99 / 100, report.violations
    assert (
        found["crossings"] >= 80
        and found["came_back"] >= 5
        and found["lost_cents"] < found["lost_doing_nothing_cents"]
    )


@pytest.mark.full
@pytest.mark.devnet
@pytest.mark.parametrize(
    ("mistake", "rules"), [("asleep", {"fallen", "silent"}), ("thief", {"outside-policy"})]
)
def test_the_referee_of_the_bridge_finds_what_goes_wrong(mistake: str, rules: set[str]) -> None:
    report = run(2, [5], kind="bridge", mistake=mistake)
    assert {found["rule"] for found in report.violations} >= rules
