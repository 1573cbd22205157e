"""Everything a thief of the agent's key would try, sent for real: refused by the rule named, and nothing of the Safe moved."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from devnet_fixture import prices_of_now

from agent.app.chaos.custody import delegation_moves, router_attacks
from agent.app.chaos.custody.attack import Attack
from agent.app.chaos.custody.catalogue import GATE
from agent.app.chaos.custody.moves import Move, Room
from agent.app.chaos.custody.world import USDC, USDC_ONE, Gated, gated
from chains.devnet.jsonrpc import Rpc
from chains.devnet.service import Status

pytestmark = pytest.mark.devnet
ATTACKS = [attack for family in GATE.values() for attack in family]


@pytest.fixture(scope="module")
def granted(devnet_session: Status) -> Iterator[Gated]:
    prices_of_now(devnet_session)
    with Rpc(devnet_session.cheat_urls[1]) as rpc:
        snapshot = rpc("evm_snapshot")
    world = gated(devnet_session.cheat_urls)
    yield world
    world.rpc("evm_revert", snapshot)
    world.rpc("anvil_dropAllTransactions")
    world.rpc.close()


@pytest.fixture(autouse=True)
def feeds_of_now(granted: Gated) -> None:
    """A state that was put back may stand at a later time than its prices were told at (Anvil): an hour is what a feed is believed."""
    granted.prices()


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


@pytest.mark.parametrize("move", [*router_attacks.moves(), *delegation_moves.moves()], ids=lambda m: m.name)
def test_what_is_not_refused_was_really_tried_and_is_an_honest_trade(granted: Gated, move: Move) -> None:
    """In the chaos run whatever is said of such a move counts as long as the bound holds: here it has to have happened."""
    snapshots = {chain: rpc_at(granted.urls[chain], "evm_snapshot") for chain in (1, 8453)}
    room, before = Room(granted, None, None), granted.balance(USDC)  # type: ignore[arg-type]
    try:
        move.before(room)
        assert (move.rule or "honest") in move.act(room)
        assert (granted.balance(USDC) > before + 2_990 * USDC_ONE) is not move.repelled
    finally:
        for chain, snapshot in snapshots.items():
            rpc_at(granted.urls[chain], "evm_revert", snapshot)


def rpc_at(url: str, method: str, *params: str) -> str:
    with Rpc(url) as rpc:
        return str(rpc(method, *params))


def test_the_same_world_lets_the_honest_trade_through(granted: Gated) -> None:
    """Without this, a world in which nothing works would refuse every attack."""
    snapshot = granted.rpc("evm_snapshot")
    assert granted.why(granted.through(granted.trade())) == ""
    granted.does(granted.trade())
    granted.rpc("evm_revert", snapshot)


def test_there_are_many_and_no_two_alike() -> None:
    assert len(ATTACKS) >= 180
    assert len({a.name for a in ATTACKS}) == len(ATTACKS)
