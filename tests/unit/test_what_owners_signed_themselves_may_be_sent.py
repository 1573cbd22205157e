"""The signer's sending key around a transaction that people signed: no cap and no list, but their signatures, and the gas caps."""

from __future__ import annotations

from typing import Any

import custody as c
import pytest

from chains.types import ZERO_ADDRESS, Address, Environment, Fees, UnsignedTx
from contracts.codec import encode
from keys import safe
from keys.policy import Allowed, OuterRequest, Refusal, judge_outer
from keys.safe import SafeTx

FACTORY = "0x4e1DCf7AD4e460CfD30791CCC4F9c8a4f820ec67"
PAYMENT = SafeTx(Address(c.USDC), 0, encode("erc20", "transfer", (c.THIEF, 10**15)), 0, 3)


def outer(
    tx: SafeTx,
    *,
    attended: bool = True,
    signed: SafeTx | None = None,
    signers: Any = c.OWNERS[:2],
    gas: int = 300_000,
) -> Any:
    digest = safe.safe_tx_hash(1, Address(c.SAFE), signed or tx)
    ordered = sorted(signers, key=lambda k: int(k.address, 16))
    packed = b"".join(key.sign(digest) for key in ordered)
    data = safe.exec_transaction(tx, packed)
    sent = UnsignedTx(1, 0, Address(c.SAFE), 0, data, gas, Fees(10**9, 1))
    request = OuterRequest(Environment.DEVNET, c.AGENT.address, sent, tx.nonce, c.NOW, c.NOW, attended)
    return judge_outer(
        request,
        c.settings(contracts={**c.chain_json()["contracts"], FACTORY: "safe_proxy_factory"}),
        c.EmptyLedger(),
    )


def rule(verdict: Any) -> str:
    assert isinstance(verdict, Refusal), verdict
    return verdict.rule


def test_a_payment_to_anybody_is_sent_only_as_the_owners_own() -> None:
    assert rule(outer(PAYMENT, attended=False)) == "recipient"
    allowed = outer(PAYMENT)
    assert isinstance(allowed, Allowed) and not allowed.spend
    assert allowed.safe_hash == safe.safe_tx_hash(1, Address(c.SAFE), PAYMENT)


def test_the_owners_must_have_signed_this_very_transaction() -> None:
    other = SafeTx(PAYMENT.to, 0, PAYMENT.data, 0, 4)
    assert rule(outer(PAYMENT, signed=other)) == "owner-signatures"
    assert rule(outer(PAYMENT, signers=c.OWNERS[:1])) == "owner-signatures"
    assert rule(outer(PAYMENT, signers=[c.OWNERS[0], c.AGENT])) == "owner-signatures"


def test_gas_stays_capped_and_nobody_is_refunded() -> None:
    assert rule(outer(PAYMENT, gas=50_000_000)) == "gas-cap"
    refund = SafeTx(PAYMENT.to, 0, PAYMENT.data, 0, 3, gas_price=1, refund_receiver=Address(c.THIEF))
    assert rule(outer(refund)) == "refund-fields"


@pytest.mark.parametrize("to", [c.THIEF, c.ROUTER])
def test_no_foreign_code_runs_as_the_safe(to: str) -> None:
    assert rule(outer(SafeTx(Address(to), 0, b"\1\2\3\4", 1, 3))) == "operation"


def test_the_deadline_in_a_batch_is_what_the_nonce_waits_for() -> None:
    dated = outer(c.sell())
    assert isinstance(dated, Allowed) and dated.deadline == c.DEADLINE


def test_a_new_safe_costs_gas_and_nothing_else() -> None:
    setup = safe.SafeSetup(tuple(o.address for o in c.OWNERS), 2, ZERO_ADDRESS, 5)
    call = safe.create_call(Address(FACTORY), Address(c.VAULT), setup)

    def judged(data: bytes, value: int = 0) -> Any:
        sent = UnsignedTx(1, 0, Address(FACTORY), value, data, 300_000, Fees(10**9, 1))
        request = OuterRequest(Environment.DEVNET, c.AGENT.address, sent, 0, c.NOW, c.NOW)
        listed = {**c.chain_json()["contracts"], FACTORY: "safe_proxy_factory"}
        return judge_outer(request, c.settings(contracts=listed), c.EmptyLedger())

    made = judged(call.data)
    assert isinstance(made, Allowed) and not made.safe_hash and not made.spend
    assert rule(judged(call.data, 1)) == rule(judged(call.data[:-1])) == "unknown-call"
    sent = UnsignedTx(1, 0, Address(FACTORY), 0, call.data, 300_000, Fees(10**9, 1))
    unlisted = OuterRequest(Environment.DEVNET, c.AGENT.address, sent, 0, c.NOW, c.NOW)
    assert rule(judge_outer(unlisted, c.settings(), c.EmptyLedger())) == "target"
