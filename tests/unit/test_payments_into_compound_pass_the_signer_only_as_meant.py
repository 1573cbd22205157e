"""Paying into Compound III is read field by field; whatever is otherwise than Fairlead builds it is refused by name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chains.types import Address, Call
from contracts.codec import encode
from contracts.decode import to_leaves
from contracts.leaves import CometPayment
from contracts.universal_router import deadline_guard
from keys.policy_flow import follow
from keys.policy_settings import Cap, ChainPolicy
from keys.policy_state import Flow, Refused
from keys.sentences import sentence

SAFE, COMET, ROUTER, THIEF, BASE, LENT = (Address("0x" + f"{n:02x}" * 20) for n in range(1, 7))
KNOWN = {BASE: "erc20", LENT: "erc20", COMET: "comet", ROUTER: "universal_router"}
NOW, ALL = 1_000, 2**256 - 1
POLICY = ChainPolicy(
    1,
    SAFE,
    frozenset({THIEF}),
    1,
    KNOWN,
    frozenset({COMET}),
    {BASE: Cap(100, 200), LENT: Cap(100, 200)},
    LENT,
)


def followed(*calls: Call, policy: ChainPolicy = POLICY) -> Flow:
    guarded = (Call(ROUTER, deadline_guard(SAFE, BASE, NOW + 60)), *calls)
    return follow([leaf for call in guarded for leaf in to_leaves(call, policy.contracts)], policy, NOW)


def approved(token: Address, raw: int) -> Call:
    return Call(token, encode("erc20", "approve", (COMET, raw)))


def paid(token: Address, raw: int) -> Call:
    return Call(COMET, encode("comet", "supply", (token, raw)))


def test_what_fairlead_builds_passes_and_counts_as_spent() -> None:
    assert followed(approved(BASE, 50), paid(BASE, 50)).spend == {BASE: 50}
    assert followed(approved(LENT, 70), paid(LENT, 70)).spend == {LENT: 70}
    whole = followed(approved(BASE, 90), paid(BASE, ALL), approved(BASE, 0))
    assert whole.spend == {BASE: 90}, "all that is owed may take all that was approved"


@pytest.mark.parametrize(
    ("rule", "calls"),
    [
        ("amount", (approved(BASE, 50), paid(BASE, 0))),
        ("allowance-missing", (paid(BASE, 50),)),
        ("allowance-missing", (paid(BASE, ALL),)),
        ("allowance-left", (approved(BASE, 60), paid(BASE, 50))),
        ("allowance-left", (approved(BASE, 60), paid(BASE, ALL))),
        ("token", (approved(BASE, 50), paid(THIEF, 50))),
        ("unknown-call", (approved(BASE, 50), Call(COMET, encode("comet", "userBasic", (SAFE,))))),
        # withdrawTo(address,address,uint256), supplyTo(address,address,uint256), allow(address,bool) of Comet
        ("unknown-call", (Call(COMET, bytes.fromhex("c3b35a7e") + bytes(96)),)),
        ("unknown-call", (Call(COMET, bytes.fromhex("4232cd63") + bytes(96)),)),
        ("unknown-call", (Call(COMET, bytes.fromhex("110496e5") + bytes(64)),)),
    ],
)
def test_anything_else_is_refused(rule: str, calls: tuple[Call, ...]) -> None:
    with pytest.raises(Refused) as refused:
        followed(*calls)
    assert refused.value.rule == rule


def test_a_market_that_nobody_listed_is_not_paid_into() -> None:
    with pytest.raises(Refused):
        followed(approved(BASE, 50), paid(BASE, 50), policy=replace(POLICY, spenders=frozenset()))
    with pytest.raises(Refused):
        followed(
            paid(BASE, 50), policy=replace(POLICY, contracts={k: v for k, v in KNOWN.items() if k != COMET})
        )


def test_an_owner_reads_amount_and_market() -> None:
    (leaf,) = to_leaves(paid(BASE, 5 * 10**6), KNOWN)
    assert isinstance(leaf, CometPayment)
    told = sentence(leaf, SAFE, {BASE: ("USDC", 6)})
    assert "pays 5 USDC" in told and COMET in told
    (leaf,) = to_leaves(paid(BASE, ALL), KNOWN)
    assert "all of what is owed in USDC" in sentence(leaf, SAFE, {BASE: ("USDC", 6)})
