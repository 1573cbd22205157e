"""MEV-Share, bloXroute and Timeboost: requests as their publishers document them, their answers read, and whatever else comes back ours."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import orjson
import pytest
from anvil_support import User
from eth_account import Account
from eth_account.messages import encode_defunct, encode_typed_data
from eth_utils import keccak

from chains import bloxroute, mev_share, timeboost
from chains.bundles import Bundle
from chains.errors import Denied, Reconcile, Reject, Retry, Usage
from chains.mev_share import Hint, ShareBundle
from chains.relay import Sendable, sendable
from chains.relays import flashbots, public
from chains.rpc import RpcReject
from chains.types import Address, Hash32, Protection

KEY = bytes([5] * 32)
USER = User(Account.from_key(KEY))
OTHERS = Hash32("0x" + "ab" * 32)
TO = Address("0x52908400098527886E0F7030069857D2E4169EE7")
AUCTION = Address("0x5fcb496a31b7AE91e7c9078Ec662bd7A55cd3079")


def item(nonce: int = 0, protection: Protection = Protection.PRIVATE) -> Sendable:
    signed = USER.sign("0x" + "00" * 19 + "07", value=1, nonce=nonce)
    return sendable(signed, protection, flashbots.RELAY if protection is Protection.PRIVATE else public.RELAY)


A, B = item(0), item(1)
RAW = [i.signed.raw.hex() for i in (A, B)]


# ---------------------------------------------------------------- MEV-Share


def test_a_share_bundle_is_worded_as_documented() -> None:
    own = ShareBundle(
        (A, B), 0x1361BD3, 0x1361BD6, frozenset({Hint.HASH}), ("flashbots", "Titan"), {0: 90}, ((TO, 100),)
    )
    assert mev_share.wording(own) == {
        "version": "v0.1", "inclusion": {"block": "0x1361bd3", "maxBlock": "0x1361bd6"},
        "body": [{"tx": "0x" + RAW[0], "canRevert": False}, {"tx": "0x" + RAW[1], "canRevert": False}],
        "validity": {"refund": [{"bodyIdx": 0, "percent": 90}], "refundConfig": [{"address": TO, "percent": 100}]},
        "privacy": {"hints": ["hash"], "builders": ["flashbots", "Titan"]},
    }  # fmt: skip
    behind = ShareBundle((OTHERS, A), 7)
    assert mev_share.wording(behind) == {
        "version": "v0.1", "inclusion": {"block": "0x7"}, "body": [{"hash": OTHERS}, {"tx": "0x" + RAW[0], "canRevert": False}]
    }  # fmt: skip
    shown = ShareBundle((item(0, Protection.PUBLIC),), 7, hints=frozenset({Hint.CALLDATA, Hint.LOGS}))
    assert mev_share.wording(shown)["privacy"] == {"hints": ["calldata", "logs"]}


@pytest.mark.parametrize("hint", sorted(set(Hint) - {Hint.HASH}, key=lambda h: h.value))
def test_a_private_transaction_is_shown_by_its_hash_alone(hint: Hint) -> None:
    with pytest.raises(Denied) as denied:
        ShareBundle((A,), 7, hints=frozenset({Hint.HASH, hint}))
    assert denied.value.code == "HINT_TELLS" and hint.value in denied.value.message


@pytest.mark.parametrize(
    "made",
    [
        lambda: ShareBundle((), 1),
        lambda: ShareBundle((A,), 0),
        lambda: ShareBundle((A,), 9, 8),
        lambda: ShareBundle((A,), 9, refund={1: 50}),
        lambda: ShareBundle((A,), 9, refund={0: 100}),
        lambda: ShareBundle((A, B), 9, refund={0: 60, 1: 60}),
        lambda: ShareBundle((A,), 9, refund={0: 50}, refund_to=((TO, 90),)),
        lambda: ShareBundle((OTHERS,), 9, hints=frozenset({Hint.HASH})),
        lambda: ShareBundle((OTHERS, A, B), 9),
        lambda: ShareBundle((A,) * 51, 9),
    ],
)
def test_a_share_bundle_that_does_not_fit_together_is_refused(made: Callable[[], ShareBundle]) -> None:
    with pytest.raises(Usage) as refused:
        made()
    assert refused.value.code == "SHARE_INVALID"


def test_the_documented_event_is_read_and_pings_are_none() -> None:
    documented = (
        b'data: {"hash":"0xc7dc06c994400830054ab815732d91275bc1241f9be62b62b687b7882f19b8d4","logs":null,"txs":[{"to":'
        b'"0x0000c335bc9d5d1af0402cad63fa7f258363d71a","functionSelector":"0x696d2073","callData":"0x696d20736861726969696969696e67"}]}\n'
    )
    event = mev_share.read_event(documented)
    assert event is not None and event.hash.startswith("0xc7dc06c9") and event.logs == ()
    (tx,) = event.txs
    assert (tx.selector, tx.data) == (bytes.fromhex("696d2073"), b"im shariiiiiing")
    assert tx.to is not None and tx.to.lower() == "0x0000c335bc9d5d1af0402cad63fa7f258363d71a"
    priced = mev_share.read_event(
        b'data: {"hash":"%s","gasUsed":"0x1d4c0","mevGasPrice":"0x4a817c8"}' % OTHERS.encode()
    )
    assert priced is not None and (priced.gas_used, priced.mev_gas_price) == (120_000, 78_125_000)
    for quiet in (b":ping\n", b"", b"\n", b"event: message\n", b"id: 5"):
        assert mev_share.read_event(quiet) is None


def test_an_event_names_the_hash_of_the_hash() -> None:
    ours = A.signed.hash
    line = b'data: {"hash":"0x%s"}' % keccak(hexstr=ours).hex().encode()
    event = mev_share.read_event(line)
    assert (
        event is not None and mev_share.told_of(event, ours) and not mev_share.told_of(event, B.signed.hash)
    )
    plain = mev_share.read_event(b'data: {"hash":"%s"}' % ours.encode())
    assert plain is not None and not mev_share.told_of(plain, ours)


def test_share_answers_are_read() -> None:
    assert mev_share.read_sent({"bundleHash": OTHERS}) == OTHERS
    assert mev_share.read_refund_total({"total": "0x2a5e"}) == 10846


# ---------------------------------------------------------------- bloXroute


def test_bloxroute_requests_are_worded_as_documented() -> None:
    assert bloxroute.private_tx(A) == {
        "jsonrpc": "2.0", "id": 1, "method": "blxr_private_tx",
        "params": {"transaction": RAW[0], "timeout": 0, "mev_builders": {"all": ""}},
    }  # fmt: skip
    name = uuid.UUID("9d1b7e0a-31a4-4d0c-9c7f-0d8f6a2f3b11")
    whole = Bundle(
        (A, B), 0xBA10D0, name, frozenset({A.signed.hash}), frozenset({B.signed.hash}), 1616511391, 1617806320
    )
    assert bloxroute.bundle(whole, {"flashbots": "", "bloxroute": ""}) == {
        "jsonrpc": "2.0", "id": 1, "method": "blxr_submit_bundle",
        "params": {
            "transaction": RAW, "block_number": "0xba10d0", "min_timestamp": 1616511391, "max_timestamp": 1617806320,
            "reverting_hashes": [A.signed.hash], "dropping_hashes": [B.signed.hash], "uuid": str(name),
            "mev_builders": {"flashbots": "", "bloxroute": ""},
        },
    }  # fmt: skip
    assert set(bloxroute.bundle(Bundle((A,), 1))["params"]) == {"transaction", "block_number", "mev_builders"}
    with pytest.raises(Usage):
        bloxroute.bundle(Bundle((A,), 1, refund_percent=50))


def test_bloxroute_answers_are_read() -> None:
    assert bloxroute.read_tx({"txHash": A.signed.hash[2:]}, A.signed) == A.signed.hash, "theirs has no 0x"
    assert bloxroute.read_bundle({"bundleHash": OTHERS}, named=False) == OTHERS
    for nothing in (None, {}, ""):
        assert bloxroute.read_bundle(nothing, named=True) == "", "with a uuid they answer nothing"
        with pytest.raises(Reconcile):
            bloxroute.read_bundle(nothing, named=False)
    with pytest.raises(Reconcile) as wrong:
        bloxroute.read_tx({"txHash": OTHERS}, A.signed)
    assert wrong.value.code == "WRONG_HASH"


# ---------------------------------------------------------------- Timeboost

OFFER = timeboost.Bid(42161, AUCTION, 11, Address(USER.address), 10**16)
LANE = timeboost.LaneTx(AUCTION, 10, 3, USER.sign("0x" + "00" * 19 + "07", nonce=0, chain_id=42161))


def test_a_bid_is_signed_as_the_auction_contract_hashes_it() -> None:
    typed = encode_typed_data(
        {"name": "ExpressLaneAuction", "version": "1", "chainId": 42161, "verifyingContract": AUCTION},
        {"Bid": [{"name": "round", "type": "uint64"}, {"name": "expressLaneController", "type": "address"}, {"name": "amount", "type": "uint256"}]},
        {"round": 11, "expressLaneController": USER.address, "amount": 10**16},
    )  # fmt: skip
    assert timeboost.bid_digest(OFFER) == keccak(b"\x19" + typed.version + typed.header + typed.body)
    signature = bytes(Account.sign_message(typed, KEY).signature)
    assert timeboost.bid(OFFER, signature) == {
        "chainId": "0xa4b1", "expressLaneController": USER.address, "auctionContractAddress": AUCTION, "round": "0xb",
        "amount": "0x2386f26fc10000", "signature": "0x" + signature.hex(),
    }  # fmt: skip


def test_a_submission_is_signed_by_the_controller_over_the_documented_bytes() -> None:
    message = (
        keccak(b"TIMEBOOST_BID") + (42161).to_bytes(32, "big") + bytes.fromhex(AUCTION[2:]) + bytes([0] * 7 + [10])
        + bytes([0] * 7 + [3]) + LANE.signed.raw
    )  # fmt: skip
    assert timeboost.lane_message(LANE) == message
    signed = Account.sign_message(encode_defunct(message), KEY)
    assert timeboost.lane_digest(LANE) == bytes(signed.message_hash)
    assert timeboost.lane(LANE, bytes(signed.signature)) == {
        "chainId": "0xa4b1", "round": "0xa", "auctionContractAddress": AUCTION, "sequenceNumber": "0x3",
        "transaction": "0x" + LANE.signed.raw.hex(), "options": {}, "signature": "0x" + bytes(signed.signature).hex(),
    }  # fmt: skip
    anyhow = timeboost.LaneTx(AUCTION, 10, timeboost.DONT_CARE, LANE.signed)
    assert timeboost.lane(anyhow, bytes(65))["sequenceNumber"] == "0xffffffffffffffff"


def test_every_documented_refusal_has_its_own_word() -> None:
    for word in timeboost.REFUSALS:
        found = timeboost.refusal(RpcReject(-32000, f"{word}: round 9"))
        assert isinstance(found, Reject) and found.code == word
    assert isinstance(timeboost.refusal(RpcReject(-32000, "SEQUENCE_NUMBER_ALREADY_SEEN")), Reconcile)
    other = timeboost.refusal(RpcReject(-32000, "sequence number has reached max allowed limit"))
    assert (other.code, "max allowed" in other.message) == ("EXPRESS_LANE_REFUSED", True)
    for nothing in (None, {}, ""):
        timeboost.read_taken(nothing)


@pytest.mark.parametrize(
    "made",
    [
        lambda: timeboost.Bid(42161, AUCTION, 0, TO, 1),
        lambda: timeboost.Bid(42161, AUCTION, 1, TO, 0),
        lambda: timeboost.LaneTx(AUCTION, 1, 2**64, LANE.signed),
        lambda: timeboost.bid(OFFER, bytes(64)),
    ],
)
def test_what_the_lane_could_not_take_is_refused_here(made: Callable[[], object]) -> None:
    with pytest.raises(Usage):
        made()


# ---------------------------------------------------------------- whatever they answer


def test_whatever_they_answer_a_lane_gets_one_of_our_errors() -> None:
    rng = random.Random(7)
    leaves: list[Any] = [
        None, True, 0, -1, 2**80, 1.5, "", "0x", "0x12", "0x" + "ab" * 32, "ab" * 32, [], {}, [[]], "\x00", "é" * 70, {"a": 1}, "0xzz",
    ]  # fmt: skip
    names = [
        "hash",
        "txs",
        "logs",
        "gasUsed",
        "mevGasPrice",
        "txHash",
        "bundleHash",
        "total",
        "to",
        "functionSelector",
        "callData",
    ]
    for _ in range(3_000):
        thing = {
            rng.choice(names): rng.choice([*leaves, [{rng.choice(names): rng.choice(leaves)}]])
            for _ in range(3)
        }
        thing.setdefault("hash", "0x" + "cd" * 32)
        result = rng.choice([thing, rng.choice(leaves)])
        for read in (
            lambda r=result: mev_share.read_sent(r),
            lambda r=result: mev_share.read_refund_total(r),
            lambda r=result: bloxroute.read_tx(r, A.signed),
            lambda r=result: bloxroute.read_bundle(r, rng.random() < 0.5),
            lambda r=result: timeboost.read_taken(r),
            lambda r=thing: mev_share.read_event(b"data: " + _json(r)),
            lambda: mev_share.read_event(bytes(rng.randrange(256) for _ in range(20))),
            lambda: mev_share.read_event(b"data:" + bytes(rng.randrange(256) for _ in range(20))),
            lambda: mev_share.read_event(b"data: " + b"[" * 5_000),
        ):
            with suppress(Retry, Reconcile):
                read()


def _json(value: object) -> bytes:
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:  # wider than 64 bits
        import json

        return json.dumps(value).encode()
