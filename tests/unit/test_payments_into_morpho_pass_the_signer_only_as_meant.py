"""Repaying and adding collateral at Morpho Blue are read field by field; whatever is otherwise than Fairlead builds it is refused by name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chains.types import Address, Call
from contracts.codec import encode
from contracts.decode import to_leaves
from contracts.leaves import MorphoPayment
from contracts.morpho_blue import market_id
from contracts.universal_router import deadline_guard
from keys.policy_flow import follow
from keys.policy_settings import Cap, ChainPolicy
from keys.policy_state import Flow, Refused
from keys.sentences import sentence

SAFE, MORPHO, ROUTER, THIEF, LOAN, LENT = (Address("0x" + f"{n:02x}" * 20) for n in range(1, 7))
PARAMS = {"loanToken": LOAN, "collateralToken": LENT, "oracle": THIEF, "irm": THIEF, "lltv": 86 * 10**16}
KNOWN = {LOAN: "erc20", LENT: "erc20", MORPHO: "morpho_blue", ROUTER: "universal_router"}
NOW = 1_000
POLICY = ChainPolicy(
    1, SAFE, frozenset({THIEF}), 1, KNOWN, frozenset({MORPHO}), {LOAN: Cap(100, 200), LENT: Cap(100, 200)}, LENT,
    morpho_markets=frozenset({market_id(PARAMS)}),
)  # fmt: skip


def followed(*calls: Call, policy: ChainPolicy = POLICY) -> Flow:
    guarded = (Call(ROUTER, deadline_guard(SAFE, LOAN, NOW + 60)), *calls)
    return follow([leaf for call in guarded for leaf in to_leaves(call, policy.contracts)], policy, NOW)


def approved(token: Address, raw: int) -> Call:
    return Call(token, encode("erc20", "approve", (MORPHO, raw)))


def repaid(assets: int = 50, shares: int = 0, who: str = SAFE, data: bytes = b"", **params: Any) -> Call:
    given = (PARAMS | params, assets, shares, who, data)
    return Call(MORPHO, encode("morpho_blue", "repay", given))


def test_what_fairlead_builds_passes_and_counts_as_spent() -> None:
    assert followed(approved(LOAN, 50), repaid()).spend == {LOAN: 50}
    supplied = Call(MORPHO, encode("morpho_blue", "supplyCollateral", (PARAMS, 70, SAFE, b"")))
    assert followed(approved(LENT, 70), supplied).spend == {LENT: 70}
    whole = followed(approved(LOAN, 90), repaid(0, 10**12), approved(LOAN, 0))
    assert whole.spend == {LOAN: 90}, "shares may take all that was approved"


@pytest.mark.parametrize(
    ("rule", "calls"),
    [
        ("morpho-market", (approved(LOAN, 50), repaid(oracle=SAFE))),
        ("morpho-market", (approved(LOAN, 50), repaid(lltv=1))),
        ("recipient", (approved(LOAN, 50), repaid(who=THIEF))),
        ("callback", (approved(LOAN, 50), repaid(data=b"\x01"))),
        ("amount", (approved(LOAN, 50), repaid(0))),
        ("amount", (approved(LOAN, 50), repaid(50, 50))),
        ("allowance-missing", (repaid(),)),
        ("allowance-left", (approved(LOAN, 60), repaid())),
        ("allowance-left", (approved(LOAN, 60), repaid(0, 10))),
        ("token", (approved(LOAN, 50), repaid(loanToken=THIEF))),
        ("unknown-call", (Call(MORPHO, encode("morpho_blue", "market", (bytes(32),))),)),
        ("unknown-call", (Call(MORPHO, bytes.fromhex("50d8cd4b") + bytes(320)),)),
    ],
)
def test_anything_else_is_refused(rule: str, calls: tuple[Call, ...]) -> None:
    with pytest.raises(Refused) as refused:
        followed(*calls)
    assert refused.value.rule == rule


def test_a_market_that_nobody_listed_is_not_paid_into() -> None:
    with pytest.raises(Refused) as refused:
        followed(approved(LOAN, 50), repaid(), policy=replace(POLICY, morpho_markets=frozenset()))
    assert refused.value.rule == "morpho-market"


def test_an_owner_reads_amount_wallet_and_market() -> None:
    (leaf,) = to_leaves(repaid(5 * 10**6), KNOWN)
    assert isinstance(leaf, MorphoPayment)
    told = sentence(leaf, SAFE, {LOAN: ("USDC", 6)})
    assert "repay 5 USDC" in told and market_id(PARAMS) in told and "CALL" not in told
