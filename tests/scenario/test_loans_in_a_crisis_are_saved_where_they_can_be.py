"""`fairlead chaos rescue`: prices that fall fast, dear gas, stale oracles, a sequencer, a relay or an exchange that is down, a daemon that is
killed; another process knows beforehand what could be saved, and judges by the chain alone.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from agent_home import AgentHome
from flash_home import opted_in
from home_fixture import wait_for

from agent.app import template
from agent.app.chaos.report import Report
from agent.app.chaos.rescue.crises import Crisis, draw, pool_px_1e8
from agent.app.chaos.rescue.pools import Pools, sqrt_px_x96
from agent.app.chaos.rescue.referee_pools import Pool, sqrt_at
from agent.app.chaos.rescue.run import crises, run
from agent.app.chaos.rescue.world import World, with_rule
from agent.app.readonly import read_book
from agent.domain.submission_state import SubmissionState
from agent.journal.records import PartRecord
from chains.devnet.addresses import CHAINS
from chains.devnet.funding import give_token, set_feed_price
from chains.devnet.jsonrpc import Rpc, RpcError

pytestmark = pytest.mark.devnet
FALLEN, PUSHED, WORTHLESS = 183, 84, 137
"""Cases of seed 920."""
DEAR = 268
"""A case of seed 1, in which pools would take more of the collateral than the rule allows."""
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


def test_a_bare_wallets_loan_is_saved_by_its_own_collateral(ground: AgentHome, tmp_path: Path) -> None:
    """Below one at a blow and a daemon that never saw what it sent land; others who sell ahead of it; pools that are worth nothing to it."""
    report = Report("rescue", 920, 3)
    with opted_in(ground) as settings:
        url = ground.home.cheat_urls[1]
        try:
            crises(settings, url, tmp_path, 920, [FALLEN, PUSHED, WORTHLESS], report, lambda text: None)
        finally:
            with Rpc(url) as rpc:
                Pools(url, rpc, pools_of(ground)).to(3_000 * 10**8)
    assert report.violations == []
    counted = report.counters
    assert (counted["crises"], counted["bare"], counted["survived"], counted["infeasible"]) == (3, 3, 2, 1)
    assert counted["by_flash"] >= 2 and counted["cliffs"] >= 1 and counted["sigkills"] >= 1


SLOT_S, LOOKS_S, SECOND_WITHIN = 12, 3.0, 7
"""Seconds between two blocks, how long the daemon is given for a look at one, and the blocks after its first signature that the second
one has at most: four in which the first may be included, one in which it ends, one in which that is told, one for a busy machine."""


def test_what_the_pools_outran_is_signed_anew_in_a_few_blocks(ground: AgentHome, tmp_path: Path) -> None:
    """Others sell ahead of a payment that is with its relay: it is taken back, ends with its deadline, and another takes what they now give."""
    px, url = 2_640 * 10**8, ground.home.cheat_urls[1]
    with opted_in(ground) as settings:
        world = World(with_rule(settings, tmp_path, bare=True), url, tmp_path, lambda text: None, bare=True)
        assert world.pools is not None
        try:
            world.lay(Crisis(0, 0, 12_900, 0, 0, (), bare=True))
            world.take_over()
            world.begin()
            world.pools.to(px)
            set_feed_price(url, "ETH", px)
            outrun(world, pool_px_1e8(px, 0, 250))
            world.rpc("relay_mine", 1)
            assert world.health() >= 135 * 10**16 and len(payments_of(world)) == 2
        finally:
            world.pools.to(3_000 * 10**8)
            world.end()


def test_a_sale_the_pools_outran_is_planned_anew_in_a_few_blocks(ground: AgentHome, tmp_path: Path) -> None:
    """What a payment is bought with is sold no slower than the payment itself is made: the order ends, the next one takes what is now given."""
    url = ground.home.cheat_urls[1]
    path = with_rule(ground.owners_path, tmp_path, bare=True)
    values = tomllib.loads(path.read_text())
    (rule,) = values["rescues"]
    rule |= {"warn": "1.8", "trigger": "1.8", "target": "1.9", "add_collateral": False}
    template.write(values, path, note="A sale instead.", replace=True)
    world = World(path, url, tmp_path, lambda text: None, bare=True)
    assert world.pools is not None
    try:
        world.lay(Crisis(0, 0, 17_000, 0, 9_000, (), bare=True))
        world.take_over()
        world.begin()
        outrun(world, pool_px_1e8(3_000 * 10**8, 0, 80))
        for _ in range(4):  # the sale's own block, then the payment's
            world.rpc("relay_mine", 1)
            with suppress(AssertionError):
                wait_for(lambda: bool(world.rpc("relay_truth")["private_pending"]), LOOKS_S)
        sales = [r for r in payments_of(world) if not r.what]
        assert world.health() >= 19 * 10**17 and len(sales) == 2 and len(payments_of(world)) == 3
    finally:
        world.pools.to(3_000 * 10**8)
        world.end()


def outrun(world: World, px_1e8: int) -> None:
    """Others trade the pools there once something is with the relay; blocks of twelve seconds until it ended and another was signed."""
    assert world.pools is not None
    wait_for(lambda: bool(world.rpc("relay_truth")["private_pending"]), 60)
    world.pools.to(px_1e8)
    for _ in range(20):
        last = int(world.rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
        world.rpc("evm_setNextBlockTimestamp", last + SLOT_S)
        world.rpc("relay_mine", 1)
        with suppress(AssertionError):
            wait_for(lambda: len(payments_of(world)) > 1, LOOKS_S)
        if len(payments_of(world)) > 1:
            break
    first, second = payments_of(world)
    assert first.authorized is not None and second.authorized is not None
    blocks = second.authorized.signed_block - first.authorized.signed_block
    assert first.submission is SubmissionState.EXPIRED and not first.included_in
    assert first.authorized.max_block - first.authorized.signed_block <= 4 < blocks <= SECOND_WITHIN, blocks
    wait_for(lambda: world.rpc("relay_truth")["private_pending"] != [], 30)


def payments_of(world: World) -> list[PartRecord]:
    """Those that were signed, as the daemon's journal has them."""
    book = read_book(world.settings)
    return [] if book is None else [r for r in book.parts.values() if r.authorized is not None]


def pools_of(home: AgentHome) -> tuple[str, ...]:
    (chain,) = (c for c in home.settings.chains if c.chain_id == 1)
    return tuple(p.address for p in chain.pools if p.kind == "uniswap_v3")


def test_the_referee_knows_to_the_wei_what_the_pools_take(agent_home: AgentHome) -> None:
    """Beside Uniswap's own QuoterV2, wherever others have traded them to; beyond what a pool holds it has nothing."""
    home, at = agent_home, CHAINS[1]

    def read(
        to: str, contract: str, function: str, args: tuple[Any, ...], block: int | str
    ) -> tuple[Any, ...]:
        return home.read(to, contract, function, *args)

    url = home.home.cheat_urls[1]
    with Rpc(url) as rpc:
        moved, known = Pools(url, rpc, pools_of(home)), [Pool(read, address) for address in pools_of(home)]
        assert len(known) >= 2
        try:
            for px in (3_000, 2_700, 1_950, 1_400):
                moved.to(px * 10**8)
                sqrt = Fraction(sqrt_px_x96(px * 10**8), 1 << 96)
                for pool in known:
                    for usd in (1, 3_500, 250_000, 10**9):
                        asked = (at.weth, at.usdc, usd * 10**6, int(pool.fee * 10**6), 0)
                        wanted = pool.takes(sqrt, usd * 10**6)
                        if wanted is None:
                            with pytest.raises(RpcError):
                                home.read(at.uniswap.quoter_v2, "uniswap_v3_quoter_v2", "quoteExactOutputSingle", asked)  # fmt: skip
                            continue
                        told = home.read(at.uniswap.quoter_v2, "uniswap_v3_quoter_v2", "quoteExactOutputSingle", asked)  # fmt: skip
                        assert abs(told[0] - wanted) <= 10 + wanted / 10**12, (px, usd, pool.address)
        finally:
            moved.to(3_000 * 10**8)
    assert sqrt_at(0) == 1 and abs(sqrt_at(2) - Fraction(10_001, 10_000)) < Fraction(1, 1 << 100)
    assert pool_px_1e8(3_000 * 10**8, 100, 200) == 3_000 * 10**8 * 99 * 98 // 10**4


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
    assert {slot.death for slot in slots} == {"", "before", "after", "lands"}
    bare = [crisis for crisis in drawn if crisis.bare]
    assert len(drawn) // 4 < len(bare) < len(drawn) // 2 and all(c.off_bps == 0 for c in drawn if not c.bare)
    assert (
        any(s.cliff for s in slots)
        and any(s.pushed_bps for s in slots)
        and any(c.off_bps > 500 for c in bare)
    )
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
    ("mistake", "rules", "case"),
    [
        ("asleep", {"fallen", "silent"}, (1, TROUBLED)),
        ("thief", {"outside-policy"}, (1, TROUBLED)),
        ("late", {"fallen"}, (1, TROUBLED)),
        ("greedy", {"outside-policy"}, (1, TROUBLED)),
        ("blind", {"silent"}, (1, TROUBLED)),
        ("unarmed", {"fallen"}, (920, FALLEN)),
        ("spendthrift", {"outside-policy"}, (1, DEAR)),
    ],
)
def test_the_referee_finds_what_goes_wrong(mistake: str, rules: set[str], case: tuple[int, int]) -> None:
    report = run(case[0], [case[1]], mistake=mistake)
    assert {found["rule"] for found in report.violations} >= rules
