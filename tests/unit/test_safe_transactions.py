"""Safe hashes, signatures and calldata against safe-eth-py, and what is refused before anything is sent."""

from __future__ import annotations

import random
import warnings

import custody as c
import pytest

from chains.errors import Denied, FairleadError, Usage
from chains.types import ZERO_ADDRESS, Address
from contracts.codec import decode_call, encode
from contracts.hashing import checksum, keccak
from keys import safe
from keys.curve import SigningKey
from keys.safe import SafeSetup, SafeTx

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from eth_account import Account
    from safe_eth.eth.eip712 import eip712_encode_hash

OWNERS = [o.address for o in c.OWNERS]


def random_tx(rng: random.Random) -> SafeTx:
    def address() -> Address:
        return Address(checksum(rng.randbytes(20)))

    def number() -> int:
        return rng.choice([0, 1, rng.getrandbits(64), rng.getrandbits(256)])

    size = rng.choice([0, 1, 31, 32, 33, rng.randrange(2000)])
    return SafeTx(
        address(),
        number(),
        rng.randbytes(size),
        rng.randrange(2),
        number(),
        number(),
        number(),
        number(),
        rng.choice([ZERO_ADDRESS, address()]),
        rng.choice([ZERO_ADDRESS, address()]),
    )


def reference_hash(chain_id: int, wallet: str, tx: SafeTx) -> bytes:
    """safe-eth-py's EIP-712 encoder over the Safe's own types."""
    fields = [
        ("to", "address"),
        ("value", "uint256"),
        ("data", "bytes"),
        ("operation", "uint8"),
        ("safeTxGas", "uint256"),
        ("baseGas", "uint256"),
        ("gasPrice", "uint256"),
        ("gasToken", "address"),
        ("refundReceiver", "address"),
        ("nonce", "uint256"),
    ]
    domain = [("chainId", "uint256"), ("verifyingContract", "address")]
    message = {
        "to": tx.to,
        "value": tx.value,
        "data": tx.data,
        "operation": tx.operation,
        "safeTxGas": tx.safe_tx_gas,
        "baseGas": tx.base_gas,
        "gasPrice": tx.gas_price,
        "gasToken": tx.gas_token,
        "refundReceiver": tx.refund_receiver,
        "nonce": tx.nonce,
    }
    return bytes(
        eip712_encode_hash(
            {
                "types": {
                    "EIP712Domain": [{"name": n, "type": t} for n, t in domain],
                    "SafeTx": [{"name": n, "type": t} for n, t in fields],
                },
                "primaryType": "SafeTx",
                "domain": {"chainId": chain_id, "verifyingContract": wallet},
                "message": message,
            }
        )
    )


def check_hashes(count: int) -> None:
    rng = random.Random(20)
    for _ in range(count):
        tx = random_tx(rng)
        chain_id = rng.choice([1, 8453, 42161, rng.getrandbits(40)])
        wallet = Address(checksum(rng.randbytes(20)))
        assert safe.safe_tx_hash(chain_id, wallet, tx) == reference_hash(chain_id, wallet, tx)


def test_hashes_equal_the_reference() -> None:
    check_hashes(300)


@pytest.mark.full
def test_hashes_equal_the_reference_over_ten_thousand() -> None:
    check_hashes(10_000)


def test_signatures_and_calldata_equal_the_reference() -> None:
    """safe-eth-py signs and builds the same transaction from the same keys (no node is asked)."""

    rng = random.Random(4)
    tx = random_tx(rng)
    digest = safe.safe_tx_hash(1, Address(c.SAFE), tx)
    ours = safe.pack_signatures(digest, [o.sign(digest) for o in reversed(c.OWNERS)], OWNERS, 3)
    theirs = sorted(
        (
            int(Account.from_key(keccak(b"owner %d" % i)).address, 16),
            bytes(Account.unsafe_sign_hash(digest, keccak(b"owner %d" % i)).signature),
        )
        for i in range(3)
    )
    assert ours == b"".join(s for _, s in theirs)
    call = decode_call("safe", safe.exec_transaction(tx, ours))
    assert (
        call.function == "execTransaction"
        and call.args["signatures"] == ours
        and call.args["data"] == tx.data
    )


def test_packing_sorts_by_owner_and_keeps_the_threshold() -> None:
    digest = keccak(b"x")
    signatures = [o.sign(digest) for o in c.OWNERS]
    packed = safe.pack_signatures(digest, signatures, OWNERS, 2)
    signers = safe.check_packed(digest, packed, OWNERS, 2)
    assert list(signers) == sorted(OWNERS, key=lambda a: int(a, 16))[:2]
    assert safe.missing_signers(digest, signatures[:1], OWNERS) == tuple(
        sorted(OWNERS[1:], key=lambda a: int(a, 16))
    )


def test_seven_of_ten() -> None:
    keys = [SigningKey(keccak(b"ten %d" % i)) for i in range(10)]
    digest = keccak(b"seven")
    packed = safe.pack_signatures(digest, [k.sign(digest) for k in keys[3:]], [k.address for k in keys], 7)
    assert len(safe.check_packed(digest, packed, [k.address for k in keys], 7)) == 7


def refused(code: str, *signatures: bytes, threshold: int = 2) -> None:
    with pytest.raises(FairleadError) as error:
        safe.pack_signatures(keccak(b"x"), signatures, OWNERS, threshold)
    assert error.value.code == code and error.value.message


def test_what_the_contract_would_refuse_is_refused_here() -> None:
    digest = keccak(b"x")
    first, second, _ = (o.sign(digest) for o in c.OWNERS)
    refused("SAFE_BELOW_THRESHOLD", first)
    refused("SAFE_SIGNATURE_DUPLICATE", first, first)
    refused("SAFE_SIGNATURE_FOREIGN", first, c.AGENT.sign(digest))
    refused("SAFE_SIGNATURE_FOREIGN", first, c.OWNERS[1].sign(keccak(b"another transaction")))
    refused("SAFE_SIGNATURE_INVALID", first, second[:64])
    refused("SAFE_SIGNATURE_INVALID", first, second[:64] + b"\x01")
    refused("SAFE_THRESHOLD_INVALID", first, second, threshold=4)
    refused("SAFE_THRESHOLD_INVALID", first, second, threshold=0)
    packed = safe.pack_signatures(digest, [first, second], OWNERS, 2)
    with pytest.raises(Denied, match="UNSORTED"):
        safe.check_packed(digest, packed[65:] + packed[:65], OWNERS, 2)


def test_the_json_form_comes_back_the_same_and_bad_ones_are_named() -> None:
    tx = c.sell()
    data = safe.to_json(1, Address(c.SAFE), tx)
    assert safe.from_json(data) == (1, c.SAFE, tx)
    for field, value in (
        ("value", "-1"),
        ("value", 1.5),
        ("to", "0x12"),
        ("data", "12"),
        ("nonce", True),
        ("nonce", str(1 << 256)),
    ):
        with pytest.raises(Usage, match="SAFE_TX_INVALID"):
            safe.from_json(data | {field: value})
    with pytest.raises(Usage, match="unknown extra"):
        safe.from_json(data | {"extra": 1})
    with pytest.raises(Usage, match="missing nonce"):
        safe.from_json({k: v for k, v in data.items() if k != "nonce"})


def test_a_wrong_checksum_is_refused() -> None:
    with pytest.raises(Usage, match="SAFE_TX_INVALID"):
        safe.from_json(safe.to_json(1, Address(c.SAFE), c.sell()) | {"to": c.WETH.replace("C", "c", 1)})


def test_setups_the_contract_would_refuse() -> None:
    good = SafeSetup(tuple(Address(o) for o in OWNERS), 2, ZERO_ADDRESS, 7)
    assert safe.setup_calldata(good) == encode(
        "safe", "setup", (OWNERS, 2, ZERO_ADDRESS, b"", ZERO_ADDRESS, ZERO_ADDRESS, 0, ZERO_ADDRESS)
    )
    for owners, threshold in (
        ((), 0),
        ((OWNERS[0],), 2),
        ((OWNERS[0], OWNERS[0]), 1),
        (("0x" + "0" * 39 + "1",), 1),
    ):
        with pytest.raises(Usage):
            safe.setup_calldata(SafeSetup(tuple(Address(o) for o in owners), threshold, ZERO_ADDRESS, 0))
