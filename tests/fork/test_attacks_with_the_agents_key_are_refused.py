"""Everything a thief of the agent's key would try, sent for real: refused by the rule named, and nothing of the Safe moved."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agent.app.chaos.custody.attack import Attack
from agent.app.chaos.custody.catalogue import GATE
from agent.app.chaos.custody.world import Gated, gated
from chains.devnet.jsonrpc import Rpc
from chains.devnet.service import Status

pytestmark = pytest.mark.devnet
ATTACKS = [attack for family in GATE.values() for attack in family]


@pytest.fixture(scope="module")
def granted(devnet_session: Status) -> Iterator[Gated]:
    with Rpc(devnet_session.cheat_urls[1]) as rpc:
        snapshot = rpc("evm_snapshot")
    world = gated(devnet_session.cheat_urls)
    yield world
    world.rpc("evm_revert", snapshot)
    world.rpc("anvil_dropAllTransactions")
    world.rpc.close()


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda a: a.name)
def test_refused_by_its_rule_and_nothing_moved(granted: Gated, attack: Attack) -> None:
    snapshot = granted.rpc("evm_snapshot")
    try:
        attack.before(granted)
        call = attack.call(granted)
        before = granted.fingerprint()
        assert attack.rule in granted.why(call, attack.sender), granted.why(call, attack.sender)
        assert granted.sends(call, sender=attack.sender)["status"] == "0x0"
        assert granted.fingerprint() == before
    finally:
        granted.rpc("evm_revert", snapshot)


def test_the_same_world_lets_the_honest_trade_through(granted: Gated) -> None:
    """Without this, a world in which nothing works would refuse every attack."""
    snapshot = granted.rpc("evm_snapshot")
    assert granted.why(granted.through(granted.trade())) == ""
    granted.does(granted.trade())
    granted.rpc("evm_revert", snapshot)


def test_there_are_many_and_no_two_alike() -> None:
    assert len(ATTACKS) >= 180
    assert len({a.name for a in ATTACKS}) == len(ATTACKS)
