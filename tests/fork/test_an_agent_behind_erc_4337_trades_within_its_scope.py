"""The role's member may be an ERC-4337 account: the same road behind a user operation, on the genuine EntryPoint, Roles and Uniswap."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from userop_support import SafeWorld

from agent.app.auditing import gas_held
from agent.app.chaos.custody.world import AGENT, ETH, THIEF, USDC, USDC_ONE, WETH, gated
from chains.devnet.service import Status
from chains.userops import ENTRY_POINT, ENTRY_POINTS
from contracts.hashing import address_bytes, keccak
from contracts.multisend import Part
from keys.scope_bound import bound
from keys.scope_state import readings

pytestmark = pytest.mark.devnet


async def test_the_account_trades_and_pays_its_own_gas(safe_world: SafeWorld, devnet: Status) -> None:
    account = safe_world.safe_with_module(77)
    world = gated(devnet.cheat_urls, agent=account, gas=None)
    wanted = {reading.key: reading.wanted for reading in readings(world.scope, world.creation)}
    assert wanted["roles members"][0] == (account,)

    before = world.balance(WETH), world.balance(USDC), world.balance(WETH, account)
    call = world.through(world.trade(ETH))
    assert world.why(call, AGENT), "the key that was the agent elsewhere has no role here"
    assert world.why(call, account) == ""
    op = safe_world.operation(account, Part(call.to, 0, call.data))
    got = await safe_world.settled(
        await safe_world.bundler.send(safe_world.signed(await safe_world.estimated(op)))
    )
    assert (got.success, got.sender) == (True, account) and got.gas_cost_wei > 0
    assert world.balance(WETH) == before[0] - ETH and world.balance(USDC) - before[1] > 2_990 * USDC_ONE
    assert world.balance(WETH, account) == before[2], "nothing passes through the account"
    assert world.balance(WETH, world.gate) == world.balance(USDC, world.gate) == 0

    # The printed bound is that of any other member; what can be burnt as gas is what the account has, its deposit included.
    deposit = await safe_world.deposit(account)
    held = await gas_held(safe_world.chain, account)
    assert deposit > 0
    assert held == int(world.rpc("eth_getBalance", account, "latest"), 16) + deposit
    mine, keys = (
        replace(world.scope, gas_float_wei=held),
        replace(world.scope, agent=AGENT, gas_float_wei=held),
    )
    assert bound(mine, Decimal(3_000)) == bound(keys, Decimal(3_000))
    lost = bound(mine, Decimal(3_000)).gas_per_day_usd

    # What the Gate refuses it refuses to an account, too: the operation fails, and moves nothing.
    theft = world.through(world.trade(ETH, data=world.single(ETH, recipient=THIEF)))
    assert "ReceivedBelowMinimum" in world.why(theft, account)
    kept = world.fingerprint()
    gas = await safe_world.estimated(safe_world.operation(account, Part(call.to, 0, call.data), nonce=1))
    hostile = safe_world.operation(account, Part(theft.to, 0, theft.data), nonce=1)
    hostile = replace(
        hostile,
        call_gas=gas.call_gas,
        verification_gas=gas.verification_gas,
        pre_verification_gas=gas.pre_verification_gas,
    )
    refused = await safe_world.settled(await safe_world.bundler.send(safe_world.signed(hostile)))
    assert not refused.success
    assert world.fingerprint() == kept and world.balance(USDC, THIEF) == 0
    burnt = Decimal(refused.gas_cost_wei) / ETH * 3_000
    assert 0 < burnt <= lost, "a failing operation costs gas, which the bound counts"
    assert held - await gas_held(safe_world.chain, account) == refused.gas_cost_wei

    # A deposit in any other EntryPoint is his, too: he withdraws it. None of those stands on the devnet; its own one is put there.
    held = await gas_held(safe_world.chain, account)
    deposits = "0x" + (keccak(b"depositTo(address)")[:4] + bytes(12) + address_bytes(account)).hex()
    for more, other in enumerate((ENTRY_POINTS[0], ENTRY_POINTS[3]), 1):
        world.rpc("anvil_setCode", other, world.rpc("eth_getCode", ENTRY_POINT, "latest"))
        paid = {"from": THIEF, "to": other, "data": deposits, "value": hex(ETH)}
        world.rpc("anvil_setBalance", THIEF, hex(10 * ETH))
        world.rpc("anvil_impersonateAccount", THIEF)
        assert world.rpc.transact(paid)["status"] == "0x1"
        assert await gas_held(safe_world.chain, account) == held + more * ETH
    world.rpc.close()
