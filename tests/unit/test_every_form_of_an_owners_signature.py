"""Key, eth_sign, pre-approved and contract signatures: ordered, packed and read back as a Safe does; safe-eth-py beside it."""

from __future__ import annotations

import random
import warnings

import custody as c
import pytest

from chains.errors import Denied, FairleadError
from chains.types import Address
from contracts.hashing import checksum, keccak
from keys import safe
from keys import safe_signatures as ss
from keys.curve import SigningKey, personal_digest
from keys.safe_signatures import Form, OwnerSignature

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from safe_eth.safe.safe_signature import SafeSignature

TEN = [SigningKey(keccak(b"ten %d" % i)) for i in range(10)]
OWNERS = [k.address for k in TEN]
TYPED = safe.typed(1, Address(c.SAFE), c.sell())
DIGEST = TYPED.digest


def of(form: Form, key: SigningKey) -> OwnerSignature:
    match form:
        case Form.KEY:
            return ss.by_key(DIGEST, key.sign(DIGEST))
        case Form.ETH_SIGN:
            return ss.by_message(DIGEST, key.sign(personal_digest(DIGEST)))
        case Form.APPROVED:
            return ss.by_approval(key.address)
    return ss.by_contract(key.address, keccak(key.address.encode()) * (1 + int(key.address[-1], 16)))


def test_seven_of_ten_in_any_mixture_comes_back_in_order() -> None:
    rng = random.Random(7)
    for _ in range(60):
        who = rng.sample(TEN, 7)
        given = [of(rng.choice(list(Form)), k) for k in who]
        packed = ss.pack(given, OWNERS, 7)
        found = ss.unpack(DIGEST, packed, OWNERS, 7)
        assert [f.owner for f in found] == sorted((k.address for k in who), key=lambda a: int(a, 16))
        by_owner = {g.owner: g for g in given}
        assert all((f.form, f.data) == (by_owner[f.owner].form, by_owner[f.owner].data) for f in found)
        contracts = [f for f in found if f.form is Form.CONTRACT]
        assert len(packed) == 7 * 65 + sum(32 + len(f.data) for f in contracts)
        theirs = SafeSignature.parse_signature(packed, DIGEST)
        assert [str(t.owner) for t in theirs] == [f.owner for f in found]
        names = {
            Form.KEY: "EOA",
            Form.ETH_SIGN: "ETH_SIGN",
            Form.APPROVED: "APPROVED_HASH",
            Form.CONTRACT: "CONTRACT_SIGNATURE",
        }
        assert [t.signature_type.name for t in theirs] == [names[f.form] for f in found]


def test_more_than_needed_are_cut_to_those_that_need_no_chain() -> None:
    given = [of(Form.APPROVED, k) for k in TEN[:5]] + [of(Form.KEY, k) for k in TEN[5:]]
    found = ss.unpack(DIGEST, ss.pack(given, OWNERS, 7), OWNERS, 7)
    assert sum(f.proved for f in found) == 5 and len(found) == 7


def test_plain_keys_are_packed_as_before() -> None:
    raw = [k.sign(DIGEST) for k in TEN]
    assert ss.pack([ss.by_key(DIGEST, s) for s in raw], OWNERS, 7) == safe.pack_signatures(
        DIGEST, raw, OWNERS, 7
    )


def refused(code: str, act: object) -> None:
    with pytest.raises(FairleadError) as error:
        act()  # type: ignore[operator]
    assert error.value.code == code and error.value.message


def test_what_the_contract_would_refuse_is_refused_here() -> None:
    a, b = sorted(TEN[:2], key=lambda k: int(k.address, 16))
    two = [a.address, b.address]
    good = [of(Form.KEY, a), of(Form.KEY, b)]
    refused("SAFE_BELOW_THRESHOLD", lambda: ss.pack(good[:1], two, 2))
    refused("SAFE_SIGNATURE_DUPLICATE", lambda: ss.pack([good[0], of(Form.ETH_SIGN, a)], two, 2))
    refused("SAFE_SIGNATURE_FOREIGN", lambda: ss.pack([good[0], of(Form.APPROVED, TEN[5])], two, 2))
    refused(
        "SAFE_SIGNATURE_FOREIGN",
        lambda: ss.pack([ss.by_key(DIGEST, a.sign(keccak(b"other"))), good[1]], two, 2),
    )
    refused("SAFE_THRESHOLD_INVALID", lambda: ss.pack(good, two, 3))
    refused("SAFE_SIGNATURE_INVALID", lambda: ss.by_key(DIGEST, a.sign(DIGEST)[:64]))
    refused("SAFE_SIGNATURE_INVALID", lambda: ss.by_key(DIGEST, a.sign(DIGEST)[:64] + b"\x02"))
    refused("SAFE_SIGNATURE_INVALID", lambda: ss.by_message(DIGEST, a.sign(DIGEST)[:64] + b"\x1f"))

    packed = ss.pack(good, two, 2)
    refused("SAFE_SIGNATURE_UNSORTED", lambda: ss.unpack(DIGEST, packed[65:] + packed[:65], two, 2))
    refused("SAFE_SIGNATURE_UNSORTED", lambda: ss.unpack(DIGEST, packed[:65] * 2, two, 2))
    refused("SAFE_BELOW_THRESHOLD", lambda: ss.unpack(DIGEST, packed[:129], two, 2))
    refused("SAFE_SIGNATURE_FOREIGN", lambda: ss.unpack(keccak(b"other"), packed, two, 2))

    nested = ss.pack([of(Form.CONTRACT, a), good[1]], two, 2)
    dirty = b"\x01" + nested[1:]
    inside = nested[:32] + (64).to_bytes(32, "big") + nested[64:]
    beyond = nested[:32] + (len(nested)).to_bytes(32, "big") + nested[64:]
    longer = nested[:130] + (1 << 200).to_bytes(32, "big") + nested[162:]
    for bad in (dirty, inside, beyond, longer, nested[:-1]):
        refused("SAFE_SIGNATURE_INVALID", lambda bad=bad: ss.unpack(DIGEST, bad, two, 2))


def test_only_a_keys_forms_are_proved_here() -> None:
    for form in Form:
        assert of(form, TEN[0]).proved is (form in (Form.KEY, Form.ETH_SIGN))
    with pytest.raises(Denied):
        ss.by_key(DIGEST, ss.by_approval(OWNERS[0]).part)


def test_what_a_safe_that_is_an_owner_signs_depends_on_its_parents_version() -> None:
    assert ss.nested_message(TYPED, "1.3.0") == ss.nested_message(TYPED, "1.4.1") == TYPED.preimage
    assert ss.nested_message(TYPED, "1.5.0") == TYPED.digest
    wallet = Address(checksum(keccak(b"an owner's Safe")[12:]))
    assert ss.safe_message(1, wallet, b"x").digest != ss.safe_message(2, wallet, b"x").digest
