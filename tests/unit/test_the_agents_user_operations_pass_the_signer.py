"""The agent behind ERC-4337: its operation carries the call its transaction would, and is judged as that; one thing more and it is refused."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import agent_calls as plain
import custody as c
import pytest
from planned_legs import SELL

from chains import operations
from chains.errors import Usage
from chains.types import Address, Call, Environment, Fees
from chains.userops import Paymaster, UserOperation
from contracts.multisend import Part
from keys import erc4337
from keys.erc4337 import Window
from keys.policy import Allowed, Refusal, Signed
from keys.policy_operations import OperationRequest, judge_operation
from keys.signer.ledger import SpendLedger, safe_tx_facts

ACCOUNT = Address("0x3333333333333333333333333333333333333333")
ROAD = plain.AGENT_JSON | {"account": ACCOUNT, "key": c.AGENT.address}
TRADE = plain.call_of(SELL["V2 and V3"])
FEES = Fees(30 * 10**9, 10**9)


def policy(environment: Environment = Environment.DEVNET, **changes: Any) -> Any:
    return c.settings(environment, agent=ROAD | changes)


def operation(call: Call = TRADE, **changes: Any) -> UserOperation:
    data = operations.executing(call)
    op = UserOperation(ACCOUNT, operations.keyed(7), data, 600_000, 200_000, 80_000, FEES)
    return replace(op, **changes)


def judged(
    op: UserOperation, until: int = c.DEADLINE, ledger: Any = None, settings: Any = None, chain_id: int = 1
) -> Allowed | Refusal:
    settings = settings or policy()
    request = OperationRequest(settings.environment, chain_id, op, Window(until), c.NOW, c.NOW)
    return judge_operation(request, settings, ledger or c.EmptyLedger())


@pytest.mark.parametrize("environment", [Environment.DEVNET, Environment.LIVE])
def test_a_trade_of_the_account_is_allowed_as_the_keys_own_would_be(environment: Environment) -> None:
    verdict = judged(operation(), settings=policy(environment))
    assert isinstance(verdict, Allowed), verdict
    own = plain.judged(plain.outer(TRADE), plain.policy(environment))
    assert isinstance(own, Allowed)
    assert (verdict.spend, verdict.deadline, verdict.content) == (own.spend, own.deadline, own.content)
    assert verdict.gas_wei == (600_000 + 200_000 + 80_000) * FEES.max_fee_wei, "all it can be charged for"


def test_a_dearer_operation_at_the_same_nonce_is_the_same_spend_and_another_call_is_refused() -> None:
    first = judged(operation())
    assert isinstance(first, Allowed)
    signed = (Signed(first.content, first.deadline),)
    ledger = c.EmptyLedger(sender_signed=signed, known=(first.spend_id,))
    again = judged(operation(fees=Fees(60 * 10**9, 2 * 10**9)), ledger=ledger)
    assert isinstance(again, Allowed) and again.spend_id == first.spend_id
    other = judged(operation(plain.call_of(SELL["a second hop"])), ledger=ledger)
    assert isinstance(other, Refusal) and other.rule == "nonce-reused"
    nothing = operation(Call(ACCOUNT, b""))
    cancel = judged(nothing, until=c.NOW + 60, ledger=ledger)
    assert isinstance(cancel, Allowed) and cancel.cancel and not cancel.spend


def test_the_same_call_at_the_same_nonce_of_two_chains_is_two_spends() -> None:
    """A Safe, its Gate and its account stand at the same addresses on many chains: what one chain's cap counted is not free on another."""
    one = policy()
    both = replace(one, chains={1: one.chains[1], 10: replace(one.chains[1], chain_id=10)})
    first = judged(operation(), settings=both)
    assert isinstance(first, Allowed)
    ledger = c.EmptyLedger(spends={token: 10**30 for token in first.spend}, known=(first.spend_id,))
    assert isinstance(judged(operation(), settings=both, ledger=ledger), Allowed), "counted already"
    other = judged(operation(), settings=both, ledger=ledger, chain_id=10)
    assert isinstance(other, Refusal) and other.rule == "cap-per-day", other


def test_gas_that_was_counted_more_than_a_day_ago_counts_again_when_it_is_signed_again(
    tmp_path: Path,
) -> None:
    dear = operation()
    most, first = str(dear.prefund_wei), judged(dear)
    assert isinstance(first, Allowed)
    rules = c.settings(agent=ROAD, gas_per_tx_wei=most, gas_per_day_wei=most)
    with closing(SpendLedger(tmp_path / "ledger.jsonl")) as ledger:
        for sequence, at in ((7, c.NOW - 90_000), (8, c.NOW - 60)):
            facts = safe_tx_facts(1, c.SAFE, 0, Allowed(b"", b"", deadline=first.deadline))
            facts |= {
                "sender": ACCOUNT,
                "nonce": operations.keyed(sequence),
                "content": first.content.hex(),
                "gas_wei": most,
            }
            ledger.record("tx", f"operation-{sequence}", "", at, facts)
        again = judged(replace(dear, nonce=operations.keyed(8)), ledger=ledger, settings=rules)
        assert isinstance(again, Allowed), "the same nonce is paid once"
        old = judged(dear, ledger=ledger, settings=rules)
        assert isinstance(old, Refusal) and old.rule == "gas-per-day", old


ELSEWHERE = Address("0x" + "9" * 40)
BATCH = erc4337.batch(Address(c.MULTISEND), [Part(TRADE.to, 0, TRADE.data)] * 2)
REFUSED: dict[str, tuple[str, UserOperation]] = {
    "another account": ("agent-account", operation(sender=ELSEWHERE)),
    "a creation": ("operation-creation", operation(factory=ELSEWHERE, factory_data=b"\x01")),
    "a paymaster": ("operation-paymaster", operation(paymaster=Paymaster(ELSEWHERE, 1, 1))),
    "a batch": ("unknown-call", operation(call_data=BATCH)),
    "without the reason": ("unknown-call", operation(call_data=erc4337.executed(Part(TRADE.to, 0, TRADE.data), with_reason=False))),
    "a delegatecall": ("unknown-call", operation(call_data=erc4337.executed(Part(TRADE.to, 0, TRADE.data, 1)))),
    "bytes behind the call": ("unknown-call", operation(call_data=operations.executing(TRADE) + bytes(32))),
    "no call": ("unknown-call", operation(call_data=b"")),
    "a transfer": ("agent-road", operation(Call(Address(c.WETH), b"\xa9\x05\x9c\xbb" + bytes(64)))),
    "value to the modifier": ("outer-value", operation(Call(TRADE.to, TRADE.data, 1))),
    "value to itself": ("cancel", operation(Call(ACCOUNT, b"", 1))),
    "an owner added": ("cancel", operation(Call(ACCOUNT, b"\x0d\x58\x2f\x13" + bytes(64)))),
    "a cancel of nothing": ("cancel", operation(Call(ACCOUNT, b""))),
    "much for the bundler": ("gas-cap", operation(pre_verification_gas=50_000_000)),
    "much for the check": ("gas-cap", operation(verification_gas=50_000_000)),
    "a high fee": ("gas-cap", operation(fees=Fees(10**13, 1))),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_whatever_else_an_operation_can_do_is_refused_by_name(name: str) -> None:
    rule, op = REFUSED[name]
    verdict = judged(op)
    assert isinstance(verdict, Refusal) and verdict.rule == rule, verdict
    assert verdict.what and verdict.remedy


@pytest.mark.parametrize("until", [0, c.NOW, c.DEADLINE + 1, c.DEADLINE - 1, c.NOW + 10**6])
def test_it_lapses_with_its_own_deadline_and_not_later(until: int) -> None:
    verdict = judged(operation(), until=until)
    assert isinstance(verdict, Refusal) and verdict.rule == "operation-window", verdict


def test_a_key_that_is_its_own_account_has_no_operations_and_the_accounts_key_no_transactions() -> None:
    own = judged(operation(), settings=plain.policy())
    assert isinstance(own, Refusal) and own.rule == "agent-operation"
    direct = plain.judged(plain.outer(TRADE), policy())
    assert isinstance(direct, Refusal) and direct.rule == "agent-account"
    other = judged(operation(), chain_id=8453)
    assert isinstance(other, Refusal) and other.rule == "chain"
    with pytest.raises(Usage, match="itself"):
        policy(key=ACCOUNT)


def test_an_operation_is_written_down_and_read_back_and_is_no_transaction() -> None:
    op = operation(signature=b"\x01" * 77)
    raw = operations.to_raw(op)
    assert operations.is_operation(raw) and operations.from_raw(raw) == op
    assert operations.call_inside(op) == TRADE
    assert operations.is_keyed(op.nonce) and operations.sequence_of(op.nonce) == 7
    assert not operations.is_keyed(2**64 - 2) and not operations.is_operation(b"\x02\xf8")
    with pytest.raises(Usage, match="no user operation"):
        operations.from_raw(b"{")
