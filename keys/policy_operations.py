"""May the agent's key sign this user operation of its account? Judged from its fields alone, as its transaction would be. Pure.

    judge_operation(request, settings, ledger) -> Allowed | Refusal

The account (a Safe with the 4337 module, whose one owner is the agent's key) is the role's member; the operation carries the one call
that an ordinary member would send: Roles → Gate, judged to the leaf by `policy_agent`, or nothing at all, which cancels what was signed
at its nonce. Everything else an operation can do is refused: creating an account, a paymaster, another callData, a batch.

What an operation can be made to burn is its whole prefund: preVerificationGas goes to whoever bundles it, used or not. So the caps on gas
count all of its limits together. It lapses with the call's own deadline: after that it could only fail, and cost gas.
"""

from __future__ import annotations

from dataclasses import dataclass

from chains.errors import FairleadError
from chains.operations import call_inside
from chains.types import Address, Environment, UnsignedTx
from chains.userops import UserOperation
from contracts.hashing import keccak
from keys.erc4337 import Window
from keys.policy import Allowed, LedgerView, OuterRequest, Refusal, agents_own, chain_of, gas_of
from keys.policy_settings import AgentPolicy, PolicySettings
from keys.policy_state import Refused


@dataclass(frozen=True, slots=True)
class OperationRequest:
    """`now` in seconds of the chain's clock, `wall` in seconds of ours (the ledger's)."""

    environment: Environment
    chain_id: int
    op: UserOperation
    window: Window
    now: int
    wall: int


def judge_operation(
    request: OperationRequest, settings: PolicySettings, ledger: LedgerView
) -> Allowed | Refusal:
    try:
        return _judged(request, settings, ledger)
    except Refused as refused:
        return Refusal(refused.rule, refused.what, refused.remedy)


def _judged(request: OperationRequest, settings: PolicySettings, ledger: LedgerView) -> Allowed:
    op, window = request.op, request.window
    policy = chain_of(request.environment, request.chain_id, settings)
    agent = policy.agent
    if agent is None or agent.key is None:
        raise Refused(
            "agent-operation",
            f"a user operation of {op.sender}",
            "Name the account and its key in the agent's road: `fairlead wallet scope` prints it.",
        )
    _plain(op, agent)
    try:
        call = call_inside(op)
    except FairleadError as error:
        raise Refused(
            "unknown-call", error.message, "One plain call through the account's 4337 module is signed."
        ) from None
    tx = UnsignedTx(request.chain_id, op.nonce, call.to, call.value, call.data, op.gas_limit, op.fees)
    outer = OuterRequest(request.environment, agent.account, tx, 0, request.now, request.wall)
    gas_wei = gas_of(outer, policy, ledger)
    content = keccak(b"".join((tx.to.lower().encode(), tx.value.to_bytes(32, "big"), tx.data)))
    earlier = ledger.sender_nonce(request.chain_id, agent.account, op.nonce)
    if window.after or not request.now < window.until <= request.now + policy.max_deadline_s:
        raise Refused(
            "operation-window",
            f"valid from {window.after} until {window.until}",
            f"From now on, and no longer than {policy.max_deadline_s} s.",
        )
    if call.to == agent.account:
        if call.value or call.data:
            raise Refused(
                "cancel", "the account calls itself with value or data", "A cancel carries neither."
            )
        if not earlier:
            raise Refused(
                "cancel",
                f"nonce {op.nonce} was never signed here",
                "Only a signed operation can be cancelled.",
            )
        return Allowed(b"", content, gas_wei=gas_wei, deadline=window.until, cancel=True)
    allowed = agents_own(outer, policy, ledger, content, gas_wei, earlier)
    if window.until != allowed.deadline:
        raise Refused(
            "operation-window",
            f"valid until {window.until}, the call's own deadline is {allowed.deadline}",
            "They are the same in what Fairlead builds: later it could only fail, and cost gas.",
        )
    return allowed


def _plain(op: UserOperation, agent: AgentPolicy) -> None:
    if op.sender != agent.account:
        raise Refused(
            "agent-account",
            f"{op.sender} is not the agent's account {agent.account}",
            "Only the role's member may use it.",
        )
    if op.factory is not None:
        raise Refused(
            "operation-creation",
            f"the operation creates its sender by {op.factory}",
            "The account stands before it becomes a member.",
        )
    if op.paymaster is not None:
        raise Refused(
            "operation-paymaster",
            f"{op.paymaster.address} is to pay",
            "The account pays its own gas, which the caps bound.",
        )


def signing_key(agent: AgentPolicy | None, account: Address) -> Address | None:
    """Whose signature the account asks for; None where the settings know no such account."""
    return agent.key if agent is not None and agent.account == account else None
