"""The attacks on a paymaster leave its deposit as it was, and what one sponsorship can cost is known to the wei before it is signed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from agent.app.chaos.custody.attack import Attack
from agent.app.chaos.custody.paymaster_attacks import (
    ACCOUNT,
    DEPOSIT_WEI,
    PAYMASTER,
    PAYMASTERS,
    operation,
    sponsored,
    stands,
)
from agent.app.chaos.custody.world import THIEF, Gated, gated
from chains.devnet.addresses import ENTRY_POINT
from chains.devnet.jsonrpc import Rpc
from chains.devnet.service import Status
from chains.userops import handle_ops
from contracts.codec import encode

pytestmark = pytest.mark.devnet
WASTE = "0x5f3560e01c6319822f7c14601257" + "5b600e56" + "5b5f5f5260205ff3"
"""validateUserOp (0x19822f7c) returns 0; any other call burns all its gas in a loop."""


@pytest.fixture(scope="module")
def granted(devnet_session: Status) -> Iterator[Gated]:
    with Rpc(devnet_session.cheat_urls[1]) as rpc:
        snapshot = rpc("evm_snapshot")
    world = gated(devnet_session.cheat_urls)
    yield world
    world.rpc("evm_revert", snapshot)
    world.rpc("anvil_dropAllTransactions")
    world.rpc.close()


@pytest.fixture
def world(granted: Gated) -> Iterator[Gated]:
    snapshot = granted.rpc("evm_snapshot")
    stands(granted)
    yield granted
    granted.rpc("evm_revert", snapshot)


def deposit(w: Gated) -> int:
    data = encode("entry_point_07", "balanceOf", (PAYMASTER,))
    return int(w.rpc("eth_call", {"to": ENTRY_POINT, "data": "0x" + data.hex()}, "latest"), 16)


@pytest.mark.parametrize("attack", PAYMASTERS, ids=lambda a: a.name)
def test_the_deposit_is_as_it_was(world: Gated, attack: Attack) -> None:
    attack.before(world)
    call, before = attack.call(world), deposit(world)
    world.sends(call, sender=attack.sender)
    assert deposit(world) == before > 0


def test_what_the_sponsor_signs_is_paid(world: Gated) -> None:
    """Without this, a paymaster that pays for nothing would refuse every attack."""
    assert deposit(world) == DEPOSIT_WEI
    receipt = world.thief(handle_ops((sponsored(world, operation()),), THIEF))
    assert receipt["status"] == "0x1" and 0 < DEPOSIT_WEI - deposit(world) < operation().prefund_wei


def test_an_account_that_wastes_every_gas_costs_at_most_the_prefund(world: Gated) -> None:
    """The sponsor's loss to an account that turned out a thief's: the number he can read before he signs."""
    world.rpc("anvil_setCode", ACCOUNT, WASTE)
    op = sponsored(world, replace(operation(call=b"\x01\x02\x03\x04"), call_gas=2_000_000))
    before = deposit(world)
    assert world.thief(handle_ops((op,), THIEF))["status"] == "0x1"
    lost = before - deposit(world)
    assert 2_000_000 * op.fees.max_fee_wei < lost <= op.prefund_wei
    assert world.thief(handle_ops((op,), THIEF))["status"] == "0x0", "and it is lost once"
    assert before - deposit(world) == lost
