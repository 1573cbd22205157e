"""Across' depositV3 at the signer: denied without a way of its own in the settings, and with one unless every field is as it says."""

from __future__ import annotations

import copy
from typing import Any

import custody as c
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chains.bridges import across
from chains.errors import Usage
from chains.types import Address, Environment
from contracts.codec import encode
from contracts.decode import to_leaves
from contracts.leaves import BridgeDeposit, Unknown
from contracts.multisend import Part
from contracts.universal_router import deadline_guard
from keys.policy import Allowed, Refusal, SafeTxRequest, judge_safe_tx
from keys.sentences import sentence
from keys.settings import ChainPolicy, PolicySettings, chain_policy, signer_settings

SPOKE = across.SPOKE_POOLS[1]
THERE = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"
RAW, LEAST = 10_000 * 10**6, 9_990 * 10**6
FIELDS = (
    "depositor", "recipient", "token_in", "token_out", "amount_in", "amount_out", "destination", "relayer", "quoted_at", "fill_deadline",
    "exclusivity", "message",
)  # fmt: skip
HONEST: dict[str, Any] = dict(
    zip(
        FIELDS,
        (c.SAFE, c.SAFE, c.USDC, THERE, RAW, LEAST, 8453, "0x" + "0" * 40, c.NOW, c.NOW + 1_800, 0, b""),
        strict=True,
    )
)
WAY = {"to": 8453, "give": c.USDC, "receive": THERE, "recipient": c.SAFE, "max_fee_bps": 10}


def chain(**changes: Any) -> dict[str, Any]:
    known = c.chain_json()
    more = {
        "contracts": known["contracts"] | {SPOKE: "across_spoke_pool"},
        "spenders": [*known["spenders"], SPOKE],
        "bridges": [WAY],
    }
    return known | more | changes


POLICY: ChainPolicy = chain_policy(chain())


def deposit(value: int = 0, **changes: Any) -> Part:
    words = tuple((HONEST | changes)[name] for name in FIELDS)
    return Part(SPOKE, value, encode(across.ABI, "depositV3", words))


def judged(*parts: Part, policy: ChainPolicy = POLICY) -> Allowed | Refusal:
    world = PolicySettings(Environment.DEVNET, {1: policy})
    guard = Part(c.ROUTER, 0, deadline_guard(Address(c.SAFE), Address(c.USDC), c.DEADLINE))
    tx = c.batch(guard, *parts)
    return judge_safe_tx(
        SafeTxRequest(Environment.DEVNET, 1, Address(c.SAFE), tx, c.NOW, c.NOW), world, c.EmptyLedger()
    )


def approved(raw: int = RAW, token: str = c.USDC) -> Part:
    return c.approve(token, SPOKE, raw)


def test_an_honest_deposit_is_signed_and_counts_against_the_caps() -> None:
    verdict = judged(approved(), deposit())
    assert isinstance(verdict, Allowed), verdict
    assert dict(verdict.spend) == {c.USDC: RAW} and verdict.deadline == c.DEADLINE
    leaf = next(x for x in verdict.leaves if isinstance(x, BridgeDeposit))
    assert {name: getattr(leaf, name) for name in FIELDS} == HONEST, "every field is decoded"
    ours = across.quote(across.Terms(10, 0, 1, 10**30, 4), RAW, c.NOW, 1_800)
    calls = across.deposit_calls(
        1, 8453, Address(c.SAFE), Address(c.SAFE), (Address(c.USDC), Address(THERE)), ours
    )
    assert isinstance(judged(*(Part(x.to, x.value, x.data) for x in calls)), Allowed), "what we build"


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"depositor": c.THIEF}, "bridge-depositor"),
        ({"recipient": c.THIEF}, "recipient"),
        ({"token_in": c.USDT}, "bridge-way"),
        ({"token_in": c.THIEF}, "token"),
        ({"token_out": c.THIEF}, "bridge-token"),
        ({"amount_in": RAW + 1}, "bridge-fee"),
        ({"amount_out": LEAST - 1}, "bridge-fee"),
        ({"amount_out": 0}, "bridge-fee"),
        ({"amount_in": 0, "amount_out": 0}, "bridge-fee"),
        ({"amount_out": RAW + 1}, "bridge-fee"),
        ({"amount_in": RAW - 1, "amount_out": LEAST}, "allowance-left"),
        ({"destination": 42161}, "bridge-way"),
        ({"destination": 1}, "bridge-way"),
        ({"relayer": c.THIEF}, "bridge-exclusive"),
        ({"exclusivity": 1}, "bridge-exclusive"),
        ({"message": b"\x00"}, "bridge-message"),
        ({"quoted_at": c.NOW + 1}, "bridge-quote"),
        ({"fill_deadline": c.NOW + 3_601}, "bridge-deadline"),
        ({"fill_deadline": c.NOW}, "bridge-deadline"),
        ({"value": 1}, "unknown-call"),
    ],
)
def test_each_field_that_is_another_is_refused_by_its_rule(changes: dict[str, Any], rule: str) -> None:
    verdict = judged(approved(), deposit(**changes))
    assert isinstance(verdict, Refusal) and verdict.rule == rule and verdict.remedy, verdict


def test_without_a_way_or_an_exact_approval_nothing_leaves() -> None:
    bare = chain_policy(chain(bridges=[]))
    unlisted = chain_policy(c.chain_json())
    for parts, policy, rule in (
        ((approved(), deposit()), bare, "bridge-way"),
        ((approved(), deposit()), unlisted, "spender"),
        ((deposit(),), unlisted, "unknown-call"),
        ((deposit(),), POLICY, "allowance-missing"),
        ((approved(RAW + 1), deposit()), POLICY, "allowance-left"),
        ((approved(), deposit(), deposit()), POLICY, "allowance-missing"),
    ):
        verdict = judged(*parts, policy=policy)
        assert isinstance(verdict, Refusal) and verdict.rule == rule, verdict
    whole = 100_001 * 10**6
    verdict = judged(approved(whole), deposit(amount_in=whole, amount_out=whole))
    assert isinstance(verdict, Refusal) and verdict.rule == "approval-size", verdict


@given(at=st.integers(0, 4 + 13 * 32 - 1), byte=st.integers(0, 255))
@settings(max_examples=60, deadline=None)
def test_no_changed_byte_gets_past(at: int, byte: int) -> None:
    data = bytearray(deposit().data)
    data[at] = byte
    verdict = judged(approved(), Part(SPOKE, 0, bytes(data)))
    if isinstance(verdict, Allowed):
        leaf = next(x for x in verdict.leaves if isinstance(x, BridgeDeposit))
        fixed = set(FIELDS) - {"amount_out", "quoted_at", "fill_deadline"}
        assert {n: getattr(leaf, n) for n in fixed} == {n: HONEST[n] for n in fixed}
        assert LEAST <= leaf.amount_out <= RAW and leaf.fill_deadline <= c.NOW + 3_600


def test_other_functions_of_the_pool_are_not_understood_and_the_owners_read_every_field() -> None:
    fill = (HONEST["depositor"], c.SAFE, c.THIEF, c.USDC, THERE, 1, 1, 1, 1, 1, 1, b"")
    (leaf,) = to_leaves(
        Part(SPOKE, 0, encode(across.ABI, "fillV3Relay", (fill, 1))), {SPOKE: "across_spoke_pool"}
    )
    assert isinstance(leaf, Unknown)
    tokens = {c.USDC: ("USDC", 6)}

    def said(**changes: Any) -> str:
        (leaf,) = to_leaves(deposit(**changes), {SPOKE: "across_spoke_pool"})
        return sentence(leaf, c.SAFE, tokens)

    told = said()
    assert "10000 USDC" in told and "chain 8453" in told and str(LEAST) in told and THERE in told
    assert "this wallet" in told and "SOMEBODY" not in told and "ONLY" not in told
    crooked = said(depositor=c.THIEF, recipient=c.THIEF, relayer=c.USDT, exclusivity=9, message=b"\x01\x02")
    assert crooked.count(f"SOMEBODY ELSE ({c.THIEF})") == 2
    assert f"ONLY {c.USDT}" in crooked and "CALLS THE RECIPIENT with 2 bytes" in crooked


def test_a_way_in_the_settings_ends_at_the_safe_that_they_name_there() -> None:
    there = c.chain_json() | {"chain_id": 8453}
    good: dict[str, Any] = {
        "environment": "devnet", "ledger": "/tmp/x/l", "keystore": "/tmp/x/k", "chains": [chain(), there],
    }  # fmt: skip
    way = signer_settings(good).chains[1].bridges[8453, c.USDC]
    assert (way.recipient, way.receive, way.max_fee_bps, way.max_fill_s) == (c.SAFE, THERE, 10, 3_600)
    crooked = {c.THIEF: "across_spoke_pool"}
    for changes, said in (
        ({"bridges": [WAY | {"recipient": c.THIEF}]}, "the Safe there is"),
        ({"bridges": [WAY | {"to": 42161}]}, "no other chain of this file"),
        ({"bridges": [WAY | {"to": 1}]}, "no other chain of this file"),
        ({"bridges": [WAY | {"give": c.THIEF}]}, "a token without caps"),
        ({"bridges": [WAY | {"max_fee_bps": 10_000}]}, "lets all of it be kept"),
        ({"bridges": [{k: v for k, v in WAY.items() if k != "receive"}]}, "receive is missing"),
        ({"bridges": [WAY | {"max_fee": 1}]}, "did you mean max_fee_bps"),
        ({"contracts": c.chain_json()["contracts"], "spenders": []}, "needs the SpokePool"),
        ({"contracts": c.chain_json()["contracts"] | crooked, "spenders": []}, "not chain 1's"),
    ):
        wrong = copy.deepcopy(good)
        wrong["chains"][0] = chain(**changes)
        with pytest.raises(Usage) as caught:
            signer_settings(wrong)
        assert said in caught.value.message, (changes, caught.value.message)
