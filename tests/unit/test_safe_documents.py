"""Proposals as documents: what was changed on the way, or signed by somebody else, is refused by name before anybody relies on it."""

from __future__ import annotations

import copy
import json
import random
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import custody as c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.app.multisig import building, files
from chains.errors import Denied, FairleadError, Usage
from chains.types import Address
from contracts.hashing import checksum
from keys import safe_document as sd
from keys import safe_signatures as ss
from keys.curve import SigningKey, personal_digest
from keys.safe import SafeTx

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from safe_eth.safe.safe_signature import SafeSignature

STRANGER = SigningKey(bytes([7] * 32))
OWNERS = tuple(o.address for o in c.OWNERS)
SEEN = sd.Seen("1.4.1", Address("0x41675C099F32341bf84BFc5382aF534df5C7461a"), OWNERS, 2, 4)


def proposal(*signers: SigningKey, nonce: int = 4) -> sd.SafeDocument:
    document = sd.SafeDocument(
        1, Address(c.SAFE), replace(c.sell(), nonce=nonce), (), "devnet", SEEN, "rent", "2027-01-15T08:00:00Z"
    )
    for key in signers:
        document = sd.with_confirmation(
            document, sd.Confirmation(key.address, key.sign(document.digest), "now")
        )
    return document


def as_json(document: sd.SafeDocument) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(sd.to_json(document)))
    return found


def code_of(data: Any, chain_id: int | None = None) -> str:
    with pytest.raises(FairleadError) as refused:
        sd.parse(data, chain_id)
    return refused.value.code


def now(**changes: Any) -> dict[str, Any]:
    return {
        "environment": "devnet", "version": "1.4.1", "singleton": SEEN.singleton, "owners": OWNERS, "threshold": 2, "nonce": 4,
    } | changes  # fmt: skip


def test_what_is_written_is_read_back_whole() -> None:
    document = proposal(c.OWNERS[2], c.OWNERS[0])
    assert sd.parse(as_json(document)) == document
    assert list(document.signers) == sorted((OWNERS[0], OWNERS[2]), key=lambda o: int(o, 16))
    assert len(document.packed(OWNERS, 2)) == 130


CHANGES: dict[str, Any] = {
    "safe": c.THIEF, "to": c.THIEF, "value": "1", "data": "0x00", "operation": 0, "gasToken": c.WETH, "safeTxGas": "1",
    "baseGas": "1", "gasPrice": "1", "refundReceiver": c.THIEF, "nonce": "5", "contractTransactionHash": "0x" + "1" * 64,
    "safeTxHash": "0x" + "1" * 64,
}  # fmt: skip


@pytest.mark.parametrize("field", CHANGES)
def test_a_changed_field_is_refused(field: str) -> None:
    data = as_json(proposal(c.OWNERS[0]))
    data[field] = checksum(bytes.fromhex(c.THIEF[2:])) if CHANGES[field] == c.THIEF else CHANGES[field]
    assert code_of(data) == "SAFE_HASH_DIFFERS"


def test_another_chain_is_refused_and_a_missing_one_asked_for() -> None:
    data = as_json(proposal())
    assert code_of(data, 8453) == "SAFE_OTHER_CHAIN"
    data["fairlead"]["chain_id"] = 8453
    assert code_of(data) == "SAFE_HASH_DIFFERS"
    del data["fairlead"]
    assert code_of(data) == "SAFE_CHAIN_UNKNOWN"
    assert sd.parse(data, 1).seen is None


def test_a_signature_of_another_key_or_of_something_else_is_foreign() -> None:
    signed = as_json(proposal(c.OWNERS[0]))
    lied = copy.deepcopy(signed)
    lied["confirmations"][0]["owner"] = OWNERS[1]
    assert code_of(lied) == "SAFE_SIGNATURE_FOREIGN"
    moved = copy.deepcopy(signed)
    moved["confirmations"] = as_json(proposal(c.OWNERS[0], nonce=5))["confirmations"]
    assert code_of(moved) == "SAFE_SIGNATURE_FOREIGN"
    sent = copy.deepcopy(signed)
    sent["sender"] = OWNERS[1]
    assert code_of(sent) == "SAFE_SIGNATURE_FOREIGN"
    strange = proposal(STRANGER)  # a true signature, of nobody who owns the Safe
    with pytest.raises(Denied, match="not an owner"):
        sd.check_against(strange, **now())
    with pytest.raises(Denied) as refused:
        strange.packed(OWNERS, 1)
    assert refused.value.code == "SAFE_SIGNATURE_FOREIGN"


def test_a_double_or_unsorted_signature_is_refused() -> None:
    data = as_json(proposal(*c.OWNERS))
    data["confirmations"].append(data["confirmations"][0])
    assert code_of(data) == "SAFE_SIGNATURE_DUPLICATE"
    data = as_json(proposal(*c.OWNERS))
    parts = [entry["signature"][2:] for entry in data.pop("confirmations")]
    data |= {"signature": None, "sender": None, "signatures": "0x" + "".join(parts)}
    assert sd.parse(data).signers == proposal(*c.OWNERS).signers
    data["signatures"] = "0x" + "".join(parts[::-1])
    assert code_of(data) == "SAFE_SIGNATURE_UNSORTED"
    data["signatures"] = "0x" + parts[0] * 2
    assert code_of(data) == "SAFE_SIGNATURE_UNSORTED"
    data["signatures"] = "0x" + parts[0][:-2]
    assert code_of(data) == "SAFE_SIGNATURE_INVALID"


@pytest.mark.parametrize(
    "change, code",
    [
        ({"environment": "live"}, "SAFE_OTHER_ENVIRONMENT"),
        ({"nonce": 5}, "SAFE_NONCE_USED"),
        ({"owners": OWNERS[:2]}, "SAFE_CHANGED"),
        ({"owners": (*OWNERS, c.THIEF)}, "SAFE_CHANGED"),
        ({"threshold": 1}, "SAFE_CHANGED"),
        ({"version": "1.5.0"}, "SAFE_CHANGED"),
        ({"singleton": c.THIEF}, "SAFE_CHANGED"),
    ],
)
def test_the_safe_must_be_the_one_it_was_proposed_for(change: dict[str, Any], code: str) -> None:
    sd.check_against(proposal(), **now())
    with pytest.raises(Denied) as refused:
        sd.check_against(proposal(), **now(**change))
    assert refused.value.code == code and refused.value.hint


def test_merging_keeps_every_signature_and_refuses_another_transaction() -> None:
    one, two, three = (proposal(key) for key in c.OWNERS)
    assert sd.merge(one, two, three).signers == proposal(*c.OWNERS).signers
    assert sd.merge(one, one) == one
    with pytest.raises(Denied) as refused:
        sd.merge(one, proposal(c.OWNERS[1], nonce=5))
    assert refused.value.code == "SAFE_FILES_DIFFER"


def test_two_programs_that_add_to_one_file_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    stale = files.keep(path, proposal())
    for key in c.OWNERS:  # each read the file before any of the others wrote it
        files.add(path, sd.Confirmation(key.address, key.sign(stale.digest)), 1)
    assert files.read(path).signers == proposal(*c.OWNERS).signers
    assert files.keep(path, stale).signers == proposal(*c.OWNERS).signers
    found, broken = files.listed(tmp_path)
    assert [p.name for p, _ in found] == ["t.json"] and not broken


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'"x"', b"[" * 1_000_000, b"\xff", b"{}"])
def test_a_file_that_is_no_proposal_says_so(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t.json"
    path.write_bytes(content)
    with pytest.raises(Usage) as refused:
        files.read(path, 1)
    assert refused.value.code == "SAFE_FILE_INVALID"
    with pytest.raises(Usage) as refused:
        files.read(tmp_path / "missing.json", 1)
    assert refused.value.code == "SAFE_FILE_UNREADABLE"


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20) | st.just("0x" + "f" * 40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@given(field=st.sampled_from([*as_json(proposal(c.OWNERS[0])), "signatures"]), value=JUNK)
def test_no_content_of_a_field_ends_in_anything_but_a_named_error(field: str, value: Any) -> None:
    data = as_json(proposal(c.OWNERS[0]))
    data[field] = value
    try:
        found = sd.parse(data)
    except FairleadError as error:
        assert error.code and error.message
    else:  # what is still taken is the same transaction with true signatures
        assert found.digest == proposal().digest and set(found.signers) <= {OWNERS[0]}


@given(seed=st.integers(0, 2**32), part=st.sampled_from(["confirmations", "fairlead"]), value=JUNK)
def test_nor_does_what_stands_inside_them(seed: int, part: str, value: Any) -> None:
    data, rng = as_json(proposal(c.OWNERS[0])), random.Random(seed)
    inside = data[part][0] if part == "confirmations" else rng.choice([data[part], data[part]["seen"]])
    inside[rng.choice(list(inside))] = value
    try:
        assert sd.parse(data, 1).digest == proposal().digest
    except FairleadError as error:
        assert error.code and error.message


def test_large_numbers_survive_as_strings() -> None:
    tx = SafeTx(Address(c.THIEF), 2**256 - 1, b"", 0, 2**200, 2**255, 1, 2, Address(c.WETH), Address(c.USDC))
    document = sd.SafeDocument(1, Address(c.SAFE), tx, (), "devnet", SEEN)
    assert sd.parse(as_json(document)).tx == tx


def test_a_list_of_calls_is_read_entry_by_entry(tmp_path: Path) -> None:
    path = tmp_path / "calls.json"
    path.write_text(
        json.dumps(
            {
                "transactions": [
                    {"to": c.THIEF, "value": 10**20},
                    {"to": c.USDC, "data": "0x1234", "value": "7"},
                ]
            }
        )
    )
    assert [(call.value, call.data) for call in building.calls_of_file(path)] == [
        (10**20, b""),
        (7, b"\x12\x34"),
    ]
    wrong: list[Any] = [
        [], {}, "x", [1], [{}], [{"to": "0x12"}], [{"to": c.USDC, "value": -1}], [{"to": c.USDC, "value": True}],
        [{"to": c.USDC, "value": 1.5}], [{"to": c.USDC, "data": "1234"}], [{"to": c.USDC, "data": "0x1"}],
        [{"to": c.USDC, "operation": 1}], [{"to": c.USDC, "value": 2**256}], [{"to": c.USDC}] * 201,
    ]  # fmt: skip
    for content in wrong:
        path.write_text(json.dumps(content))
        with pytest.raises(Usage) as refused:
            building.calls_of_file(path)
        assert refused.value.hint, content


def test_what_a_stranger_wrote_cannot_paint_a_terminal() -> None:
    data = as_json(proposal())
    data["origin"] = "rent\x1b[2J\r\n\u202egnihton"
    assert sd.parse(data).origin == "rent[2Jgnihton"
    for field in ("contractTransactionHash", "to", "value"):
        painted = {**data, field: "\x1b[2J\r"}
        with pytest.raises(FairleadError) as refused:
            sd.parse(painted)
        assert "\x1b" not in str(refused.value) and "\r" not in str(refused.value)
    data["fairlead"]["seen"]["version"] = "1.4.1\x1b[2J"
    assert code_of(data) == "SAFE_FILE_INVALID"


def in_every_form(document: sd.SafeDocument) -> list[ss.OwnerSignature]:
    digest = document.digest
    return [
        ss.by_message(digest, c.OWNERS[0].sign(personal_digest(digest))),
        ss.by_approval(OWNERS[1]),
        ss.by_contract(OWNERS[2], b"an inner Safe's own signatures"),
    ]


def test_every_form_is_kept_named_and_packed() -> None:
    document = proposal()
    for made in in_every_form(document):
        document = sd.with_confirmation(document, sd.Confirmation(made.owner, made.alone))
    data = as_json(document)
    assert {e["owner"]: e["signatureType"] for e in data["confirmations"]} == dict(
        zip(OWNERS, ("ETH_SIGN", "APPROVED_HASH", "CONTRACT_SIGNATURE"), strict=True)
    )
    assert sd.parse(data) == document and document.proved == (OWNERS[0],)
    packed = document.packed(OWNERS, 3)
    assert packed == ss.pack(in_every_form(document), OWNERS, 3)
    # The whole blob, as the service's `signatures`, gives the same confirmations.
    del data["confirmations"]
    blob = sd.parse(data | {"signature": None, "sender": None, "signatures": "0x" + packed.hex()})
    assert [(x.owner, x.signature) for x in blob.confirmations] == [
        (x.owner, x.signature) for x in document.confirmations
    ]


def test_a_contracts_signature_is_read_as_the_service_exports_it() -> None:
    """By safe-eth-py, which the service is built on."""
    document = proposal()
    made = in_every_form(document)[2]
    theirs = SafeSignature.parse_signature(made.alone, document.digest)[0]
    assert str(theirs.owner) == made.owner
    exported = bytes(theirs.export_signature())
    assert exported == made.alone
    assert ss.read(document.digest, exported) == made
    for wrong in (
        exported + b"\0",
        made.alone + bytes(32),
        made.alone[:-1],
        made.alone + made.alone,
    ):
        with pytest.raises(Denied):
            ss.read(document.digest, wrong)


def test_a_claim_never_stands_in_the_way_of_its_owners_signature() -> None:
    document = proposal()
    claim = ss.by_approval(OWNERS[0])
    document = sd.with_confirmation(document, sd.Confirmation(claim.owner, claim.alone))
    mine = sd.Confirmation(OWNERS[0], c.OWNERS[0].sign(document.digest), "now")
    signed = sd.with_confirmation(document, mine)
    assert signed.confirmations == (mine,)
    assert sd.with_confirmation(signed, document.confirmations[0]) == signed
    assert sd.merge(document, signed) == signed == sd.merge(signed, document)
