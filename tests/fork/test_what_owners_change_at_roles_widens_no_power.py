"""Roles' membership is the owners' to change at once: what a new member gets is the Gate's three verbs inside the one budget, and no more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from gate_reading import found

from agent.app.chaos.custody.world import AGENT, ETH, GAS, OWNERS, ROUTER02, USDC, WETH, Gated, gated
from agent.app.chaos.custody.world import THIEF as NEW
from chains.devnet.service import Status
from chains.evm import keccak, word
from chains.types import Address, Call
from contracts.codec import encode
from keys.safe import SafeTx
from keys.scope import ROLE
from keys.scope_state import changes, readings

pytestmark = pytest.mark.devnet
EVERYTHING = keccak(b"a role without limits")
CALL, DELEGATECALL, BOTH = 0, 1, 3


@pytest.fixture
def world(devnet: Status) -> Iterator[Gated]:
    one = gated(devnet.cheat_urls)
    yield one
    one.rpc.close()


def member(world: Gated, who: str, role: bytes = ROLE) -> None:
    world.safe_calls(world.roles, "zodiac_roles", "assignRoles", who, (role,), (True,))


def roles_do(world: Gated, function: str, *args: bytes) -> None:
    """What our interface of Roles leaves out, by the owners."""
    data = keccak(function.encode())[:4] + b"".join(args)
    world.owners_do(SafeTx(world.roles, 0, data, 0, world.nonce()))


def through(world: Gated, to: str, inner: bytes, role: bytes = EVERYTHING, operation: int = CALL) -> Call:
    args = (to, 0, inner, operation, role, True)
    return Call(world.roles, encode("zodiac_roles", "execTransactionWithRole", args))


def test_a_second_member_shares_the_one_budget(world: Gated) -> None:
    member(world, NEW)
    amount, sold = ETH, 0
    while not world.why(world.through(world.trade(amount, data=world.single(amount)))):
        world.does(world.trade(amount, data=world.single(amount)))
        sold += 1
    assert sold >= 2
    again = world.through(world.trade(amount, data=world.single(amount)))
    assert "OverBudget" in world.why(again) and "OverBudget" in world.why(again, NEW)
    assert world.sends(again, GAS, NEW)["status"] == "0x0"
    left: Any = world.read(world.gate, "gate", "budgetLeft")[0]
    assert left < 3_000 * ETH  # less than one more such trade, for all members together


def test_the_floor_the_routes_and_the_recipient_hold_for_every_member(world: Gated) -> None:
    member(world, NEW)
    floor = world.floor(WETH, USDC, ETH)
    assert "MinimumBelowFloor" in world.why(world.through(world.trade(minimumOut=floor - 1)), NEW)
    assert "RouteNotListed" in world.why(world.through(world.trade(router=NEW)), NEW)
    stolen = world.trade(data=world.single(recipient=NEW))
    assert "ReceivedBelowMinimum" in world.why(world.through(stolen), NEW)
    before = world.balance(USDC)
    assert world.sends(world.through(world.trade()), GAS, NEW)["status"] == "0x1"
    assert world.balance(USDC) - before >= floor


def test_a_role_without_any_limit_still_reaches_nothing_but_the_gates_verbs(world: Gated) -> None:
    """The owners, deceived, give somebody a role that may call anything, anyhow."""
    member(world, NEW, EVERYTHING)
    targets = (world.safe, world.gate, WETH, ROUTER02, NEW)
    for target in targets:
        roles_do(world, "allowTarget(bytes32,address,uint8)", EVERYTHING, word(target), word(BOTH))
    before = world.fingerprint()
    module = encode("safe", "enableModule", (NEW,))
    take = encode("erc20", "transfer", (NEW, ETH))
    pull = keccak(b"transferFrom(address,address,uint256)")[:4] + word(world.safe) + word(NEW) + word(ETH)
    for operation in (CALL, DELEGATECALL):
        for to, data in (
            (world.safe, module),
            (WETH, take),
            (WETH, pull),
            (ROUTER02, world.single()),
            (NEW, b"\\1\\2\\3\\4"),
        ):
            call = through(world, to, data, operation=operation)
            assert "NotThroughGate" in world.why(call, NEW), (to, operation)
            assert world.sends(call, GAS, NEW)["status"] == "0x0"
    for name, args in (("setLimits", None), ("setAgent", (NEW,)), ("unfreeze", ()), ("renew", ())):
        data = encode("gate", name, args) if args is not None else keccak(b"setLimits((uint128))")[:4]
        assert "RouteNotListed" in world.why(through(world, world.gate, data), NEW), name
    assert world.fingerprint() == before


def test_roles_turned_at_the_safe_itself_is_no_module_there(world: Gated) -> None:
    member(world, NEW, EVERYTHING)
    roles_do(world, "allowTarget(bytes32,address,uint8)", EVERYTHING, word(world.safe), word(BOTH))
    roles_do(world, "setTarget(address)", word(world.safe))
    call = through(world, world.safe, encode("safe", "enableModule", (NEW,)))
    assert "GS104" in world.why(call, NEW)
    assert world.sends(call, GAS, NEW)["status"] == "0x0"


def test_only_the_safe_changes_it_the_audit_names_it_and_one_owner_stops_all_of_it(world: Gated) -> None:
    assign = Call(world.roles, encode("zodiac_roles", "assignRoles", (NEW, (ROLE,), (True,))))
    for who in (AGENT, NEW, OWNERS[0].address):
        assert "OwnableUnauthorizedAccount" in world.why(assign, who)
    member(world, NEW)
    wanted = readings(world.scope, world.creation)
    assert [c.key for c in changes(wanted, found(world))] == ["roles members"]
    owner = Address(OWNERS[2].address)
    world.rpc("anvil_impersonateAccount", owner)
    world.rpc("anvil_setBalance", owner, hex(ETH))
    freeze = {"from": owner, "to": world.gate, "data": "0x" + encode("gate", "freeze").hex()}
    assert world.rpc.transact(freeze)["status"] == "0x1"
    for who in (AGENT, NEW):
        assert "IsFrozen" in world.why(world.through(world.trade()), who)
