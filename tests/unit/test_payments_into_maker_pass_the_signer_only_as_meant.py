"""Paying into a vault at Maker is read field by field: into listed vaults alone, out of the wallet alone, and only towards safety."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chains.errors import Usage
from chains.types import Address, Call
from contracts.codec import encode
from contracts.decode import to_leaves
from contracts.universal_router import deadline_guard
from keys.policy_flow import follow
from keys.policy_settings import Cap, ChainPolicy, MakerPolicy
from keys.policy_state import Flow, Refused
from keys.sentences import sentence
from keys.settings import chain_policy

SAFE, VAT, JUG, JOIN, DAI_JOIN, ROUTER, THIEF, DAI, LENT, URN = (
    Address("0x" + f"{n:02x}" * 20) for n in (*range(1, 10), 0x11)
)
ILK = b"ETH-A".ljust(32, b"\0")
KNOWN = {
    DAI: "erc20", LENT: "erc20", VAT: "maker_vat", JUG: "maker_jug", JOIN: "maker_join", DAI_JOIN: "maker_join", ROUTER: "universal_router",
}  # fmt: skip
NOW = 1_000
POLICY = ChainPolicy(
    1, SAFE, frozenset({THIEF}), 1, KNOWN, frozenset({JOIN, DAI_JOIN}), {DAI: Cap(100, 200), LENT: Cap(100, 200)}, LENT,
    maker=MakerPolicy({JOIN: LENT, DAI_JOIN: DAI}, frozenset({(ILK, URN)})),
)  # fmt: skip


def followed(*calls: Call, policy: ChainPolicy = POLICY) -> Flow:
    guarded = (Call(ROUTER, deadline_guard(SAFE, DAI, NOW + 60)), *calls)
    return follow([leaf for call in guarded for leaf in to_leaves(call, policy.contracts)], policy, NOW)


def paid(
    token: Address, join: Address, raw: int, usr: str = SAFE, approved: int | None = None
) -> tuple[Call, Call]:
    return (
        Call(token, encode("erc20", "approve", (join, raw if approved is None else approved))),
        Call(join, encode("maker_join", "join", (usr, raw))),
    )


def frob(dink: int = 0, dart: int = -40, **given: Any) -> Call:
    fields = {"i": ILK, "u": URN, "v": SAFE, "w": SAFE, "dink": dink, "dart": dart} | given
    return Call(VAT, encode("maker_vat", "frob", tuple(fields.values())))


def test_what_fairlead_builds_passes_and_counts_as_spent() -> None:
    drip = Call(JUG, encode("maker_jug", "drip", (ILK,)))
    assert followed(drip, *paid(DAI, DAI_JOIN, 50), frob()).spend == {DAI: 50}
    assert followed(*paid(LENT, JOIN, 70), frob(70, 0)).spend == {LENT: 70}


@pytest.mark.parametrize(
    ("rule", "calls"),
    [
        ("maker-vault", (*paid(DAI, DAI_JOIN, 50), frob(u=THIEF))),
        ("maker-vault", (*paid(DAI, DAI_JOIN, 50), frob(i=b"ETH-B".ljust(32, b"\0")))),
        ("maker-vault", (frob(-1, 0),)),
        ("maker-vault", (frob(0, 1),)),
        ("maker-vault", (frob(-1, -1),)),
        ("maker-vault", (frob(1, 1),)),
        ("maker-vault", (frob(0, 0),)),
        ("recipient", (*paid(DAI, DAI_JOIN, 50), frob(v=THIEF))),
        ("recipient", (*paid(DAI, DAI_JOIN, 50), frob(w=THIEF))),
        ("recipient", paid(DAI, DAI_JOIN, 50, THIEF)),
        ("amount", paid(DAI, DAI_JOIN, 0, SAFE, 50)),
        ("allowance-missing", paid(LENT, DAI_JOIN, 50)),
        ("allowance-missing", paid(DAI, DAI_JOIN, 50)[1:]),
        ("allowance-left", paid(DAI, DAI_JOIN, 50, SAFE, 60)),
        ("unknown-call", (Call(VAT, encode("maker_vat", "urns", (ILK, URN))),)),
        # hope(address), move(address,address,uint256), flux(…) of the Vat; exit(address,uint256) of an adapter
        ("unknown-call", (Call(VAT, bytes.fromhex("a3b22fc4") + bytes(32)),)),
        ("unknown-call", (Call(VAT, bytes.fromhex("bb35783b") + bytes(96)),)),
        ("unknown-call", (Call(VAT, bytes.fromhex("6111be2e") + bytes(128)),)),
        ("unknown-call", (Call(JOIN, bytes.fromhex("ef693bed") + bytes(64)),)),
    ],
)
def test_anything_else_is_refused(rule: str, calls: tuple[Call, ...]) -> None:
    with pytest.raises(Refused) as refused:
        followed(*calls)
    assert refused.value.rule == rule


def test_an_owner_reads_the_vault_and_what_becomes_of_it() -> None:
    (leaf,) = to_leaves(frob(0, -40), KNOWN)
    told = sentence(leaf, SAFE, {})
    assert "ETH-A" in told and URN in told and "debt -40" in told


def test_the_signers_file_reads_what_may_be_paid_into() -> None:
    chain: dict[str, Any] = {
        "chain_id": 1, "safe": SAFE, "owners": [THIEF], "threshold": 1, "weth": LENT, "contracts": {VAT: "maker_vat", JOIN: "maker_join"},
        "spenders": [JOIN], "tokens": {}, "maker": {"joins": {JOIN: LENT}, "vaults": [{"ilk": "0x" + ILK.hex(), "urn": URN}]},
    }  # fmt: skip
    assert chain_policy(json.loads(json.dumps(chain))).maker == MakerPolicy(
        {JOIN: LENT}, frozenset({(ILK, URN)})
    )
    for wrong in (
        {"joins": {}},
        {"vaults": []},
        {"joins": {}, "vaults": [{"ilk": "0x00", "urn": URN}]},
        {"joins": {}, "vaults": [{"urn": URN}]},
    ):
        with pytest.raises(Usage) as refused:
            chain_policy(chain | {"maker": wrong})
        assert "maker" in refused.value.message
