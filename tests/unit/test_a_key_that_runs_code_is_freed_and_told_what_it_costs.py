"""What stands around keys that run code: any of them can be told to stop, every cost is told before the key is asked for, no claim goes unlisted."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from settings_values import OWNER_A, SENDER, values

from agent.app.delegating import holder_of
from agent.app.settings import parse
from agent.app.template import render
from chains.errors import Denied, Usage
from chains.types import ZERO_ADDRESS, Address, Fees
from chains.userops import UserOperation, to_json
from chains.userops_08 import bound_to_code
from keys import owner_operate
from keys.delegations import typed_operation
from keys.owner_delegate import policy_of

POOL = "0x88e6A0c2dDD26FEEb64F039a2c41296FcB3f5640"
SCOPE = {
    "chain": "ethereum", "per_day_usd": "60000", "burst_usd": "30000", "pairs": [{"a": "WETH", "b": "USDC", "source": POOL}],
    "tokens": [{"symbol": "WETH", "allowance": "1000"}, {"symbol": "USDC", "allowance": "1000000"}],
}  # fmt: skip


def test_the_agents_key_delegates_to_nobody_and_can_always_be_freed() -> None:
    path = Path("/etc/fairlead.toml")
    settings = parse(render(values() | {"scopes": [SCOPE]}, path), path).settings
    agent = Address(SENDER)
    with pytest.raises(Denied, match="DELEGATION_IS_THE_AGENTS"):
        holder_of(settings, agent)
    assert holder_of(settings, agent, revoking=True).address == agent, "what `wallet audit` tells to do"
    assert holder_of(settings, Address(OWNER_A)).label == "laptop"


def test_an_operation_of_a_key_that_runs_nothing_listed_is_not_signed() -> None:
    account = Address(SENDER)
    op = UserOperation(account, 0, b"", 1, 1, 1, Fees(1, 1))
    for delegate in (Address(ZERO_ADDRESS), Address("0x" + "9" * 40)):
        with pytest.raises(Denied, match="POLICY_DELEGATE"):
            typed_operation(1, op, delegate, policy_of(1, account, frozenset()))


def test_an_operations_signature_names_the_code_it_is_for() -> None:
    account, code, other = Address(SENDER), Address("0x" + "9" * 40), Address("0x" + "8" * 40)
    listed = policy_of(1, account, frozenset({code, other}))
    bare = UserOperation(account, 0, owner_operate.executing(other, 1, b""), 1, 1, 1, Fees(1, 1))
    with pytest.raises(Denied, match="does not name the code"):
        typed_operation(1, bare, code, listed)
    named = bound_to_code(bare)
    request = {"chain_id": 1, "delegate": code, "op": to_json(named)}
    _, delegate, read, call = owner_operate.read(request, account)
    assert (delegate, read, call.to, call.value) == (code, named, other, 1)
    assert typed_operation(1, read, code, listed).message != typed_operation(1, read, other, listed).message
    for wrong in (bare, replace(named, factory_data=b"\x01"), replace(named, factory=other)):
        with pytest.raises(Usage, match="OPERATION_INVALID"):
            owner_operate.read(request | {"op": to_json(wrong)}, account)


def test_what_a_delegation_may_cost_is_told_before_a_key_is_asked_for() -> None:
    request = {"chain_id": 1, "nonce": 0, "delegate": ZERO_ADDRESS, "gas": 500_000, "max_fee_wei": str(10**15),
               "max_priority_fee_wei": "1"}  # fmt: skip
    command = [sys.executable, "-m", "keys.owner_delegate", "--environment", "devnet", "--address", SENDER]
    done = subprocess.run(
        command, input=json.dumps(request).encode(), capture_output=True, check=False, timeout=60
    )
    told = done.stderr.decode()
    assert done.returncode != 0 and "KEY_UNKNOWN" in told and not done.stdout
    assert f"costs at most {500_000 * 10**15} wei of {SENDER}" in told
