"""The signer's sending key around a transaction that people signed: no cap and no list, but their signatures, and the gas caps."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import custody as c
import pytest

from chains.types import ZERO_ADDRESS, Address, Environment, Fees, UnsignedTx
from contracts.codec import encode
from keys import safe
from keys import safe_signatures as ss
from keys.curve import personal_digest
from keys.policy import Allowed, OuterRequest, Refusal, judge_outer
from keys.safe import SafeTx
from keys.signer.ledger import SpendLedger, safe_tx_facts

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


def packed_outer(
    signatures: list[ss.OwnerSignature], *, attended: bool = True, tail: bytes = b"", sender: Any = None
) -> Any:
    """The sale, which both roads take, with these signatures."""
    owners = [*(o.address for o in c.OWNERS), c.AGENT.address]
    data = safe.exec_transaction(c.sell(), ss.pack(signatures, owners, 2) + tail)
    tx = c.sell()
    sent = UnsignedTx(1, 0, Address(c.SAFE), 0, data, 300_000, Fees(10**9, 1))
    request = OuterRequest(Environment.DEVNET, c.AGENT.address, sent, tx.nonce, c.NOW, c.NOW, attended)
    return judge_outer(request, c.settings(owners=owners), c.EmptyLedger())


DIGEST = safe.safe_tx_hash(1, Address(c.SAFE), c.sell())
BY_KEY = ss.by_key(DIGEST, c.OWNERS[0].sign(DIGEST))
BY_MESSAGE = ss.by_message(DIGEST, c.OWNERS[1].sign(personal_digest(DIGEST)))
APPROVED = ss.by_approval(c.OWNERS[1].address)
CONTRACT = ss.by_contract(c.OWNERS[2].address, b"what the contract is given")


def test_what_a_key_proved_passes_on_both_roads() -> None:
    for attended in (True, False):
        assert isinstance(packed_outer([BY_KEY, BY_MESSAGE], attended=attended), Allowed)


@pytest.mark.parametrize("claimed", [APPROVED, CONTRACT], ids=["approved", "contract"])
def test_what_only_the_chain_knows_passes_attended_and_never_unattended(claimed: ss.OwnerSignature) -> None:
    assert isinstance(packed_outer([BY_KEY, claimed]), Allowed)
    assert rule(packed_outer([BY_KEY, claimed], attended=False)) == "owner-signatures"


def test_the_sender_never_agrees_by_merely_sending() -> None:
    """The Safe takes the sender's own approval without any: it would be an owner's consent that nobody gave."""
    assert rule(packed_outer([BY_KEY, ss.by_approval(c.AGENT.address)])) == "owner-signatures"
    own = ss.by_key(DIGEST, c.AGENT.sign(DIGEST))
    assert isinstance(packed_outer([BY_KEY, own]), Allowed)


def test_claims_are_judged_by_owner_order_and_form() -> None:
    assert rule(packed_outer([BY_KEY, CONTRACT], tail=b"\0" * 32)) == "owner-signatures"
    tx, good = c.sell(), ss.pack([BY_KEY, APPROVED], [o.address for o in c.OWNERS], 2)
    stranger = ss.pack([BY_KEY, ss.by_approval(c.THIEF)], [c.OWNERS[0].address, c.THIEF], 2)
    for wrong in (good[65:] + good[:65], good[:65] * 2, good[:65], stranger):
        sent = UnsignedTx(1, 0, Address(c.SAFE), 0, safe.exec_transaction(tx, wrong), 300_000, Fees(10**9, 1))
        request = OuterRequest(Environment.DEVNET, c.AGENT.address, sent, tx.nonce, c.NOW, c.NOW, True)
        assert rule(judge_outer(request, c.settings(), c.EmptyLedger())) == "owner-signatures"


def test_a_transaction_sent_as_the_owners_own_is_not_free_of_caps_afterwards(tmp_path: Path) -> None:
    """A thief has it sent with claims that are false; the same sale, unattended, still counts against the day's cap."""
    with closing(SpendLedger(tmp_path / "ledger.jsonl")) as ledger:
        claimed = packed_outer([BY_KEY, APPROVED])
        assert isinstance(claimed, Allowed)
        facts = safe_tx_facts(1, c.SAFE, 3, claimed) | {
            "sender": c.AGENT.address, "nonce": 0, "content": claimed.content.hex(), "gas_wei": "1",
        }  # fmt: skip
        ledger.record("tx", "send-1", "digest", c.NOW, facts)
        assert not ledger.counted(DIGEST)
