"""AWS KMS: what it answers is made an Ethereum signature, strictly; what it refuses keeps its meaning. moto's server stands for AWS."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fault_proxy import Proxy, forwarding
from kms_server import client, kms, new_key

from chains.errors import Denied, FairleadError, Reject, Retry, Usage
from chains.types import Environment
from contracts.hashing import keccak
from keys import curve
from keys.aws_kms import SPKI_PREFIX, address_of_spki, failure, read_der
from keys.curve import ORDER, SigningKey
from keys.signers import Signer, open_signer, read_spec
from keys.typed import TypedHash

TYPED = TypedHash(keccak(b"domain"), keccak(b"message"))


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with kms() as url:
        yield url


@pytest.fixture
def proxy(server: str) -> Iterator[Proxy]:
    with forwarding(server) as made:
        yield made


def spec(url: str, key_id: str, address: str, folder: Path, **more: Any) -> dict[str, Any]:
    (folder / "secret").write_text("an-aws-secret")
    (folder / "secret").chmod(0o600)
    reference = f"file:{folder / 'secret'}"
    return {
        "kind": "aws_kms", "environment": "devnet", "address": address, "key_id": key_id, "region": "eu-central-1",
        "endpoint": url, "access_key_id": reference, "secret_access_key": reference, "timeout_s": 2,
    } | more  # fmt: skip


def address_at(url: str, key_id: str) -> str:
    admin = client(url)
    found = address_of_spki(admin.get_public_key(KeyId=key_id)["PublicKey"])
    admin.close()
    return found


def opened(url: str, key_id: str, folder: Path, through: str = "", **more: Any) -> Signer:
    return open_signer(
        read_spec(spec(through or url, key_id, address_at(url, key_id), folder, **more)), Environment.DEVNET
    )


def test_high_s_comes_and_low_s_leaves(server: str, tmp_path: Path) -> None:
    """Half of what KMS signs has a high s. The chance that 40 have none is one in a million million."""
    key_id = new_key(server)
    signer, admin = opened(server, key_id, tmp_path), client(server)
    high = 0
    for n in range(40):
        typed = TypedHash(keccak(b"%d" % n), bytes(32))
        raw = admin.sign(
            KeyId=key_id, Message=typed.digest, MessageType="DIGEST", SigningAlgorithm="ECDSA_SHA_256"
        )
        r, s = read_der(raw["Signature"])
        high += s > ORDER // 2
        whole = curve.complete(typed.digest, r, s, signer.address)
        assert curve.recover(typed.digest, whole) == signer.address
        assert curve.recover(typed.digest, signer.sign_typed(typed)) == signer.address
    assert 0 < high < 40
    signer.close()
    admin.close()


def test_the_digest_goes_as_a_digest_and_the_secret_does_not_go(
    server: str, proxy: Proxy, tmp_path: Path
) -> None:
    signer = opened(server, new_key(server), tmp_path, proxy.url)
    signer.sign_typed(TYPED)
    asked = json.loads(proxy.asked[-1])
    assert (asked["MessageType"], asked["SigningAlgorithm"]) == ("DIGEST", "ECDSA_SHA_256")
    assert proxy.headers["X-Amz-Target"] == "TrentService.Sign"
    assert "an-aws-secret" not in proxy.headers["Authorization"].replace("Credential=an-aws-secret", "")
    signer.close()


def test_der_is_read_strictly() -> None:
    def der(r: bytes, s: bytes, extra: bytes = b"") -> bytes:
        body = b"\x02" + bytes((len(r),)) + r + b"\x02" + bytes((len(s),)) + s + extra
        return b"\x30" + bytes((len(body),)) + body

    def integer(n: int) -> bytes:
        return n.to_bytes(n.bit_length() // 8 + 1, "big")

    rng = random.Random(1)
    for _ in range(2_000):
        r, s = rng.randrange(1, ORDER) >> rng.choice([0, 0, 8, 200]), rng.randrange(1, ORDER)
        assert read_der(der(integer(r), integer(s))) == (r, s)
    good = der(integer(ORDER - 1), integer(7))
    wrong = [
        b"", b"\x30", good[:-1], good + b"\0", b"\x31" + good[1:], good[:1] + b"\x81" + good[1:],
        der(integer(7), integer(7), b"\x02\x01\x07"), der(b"", integer(7)), der(b"\x80", integer(7)), der(b"\0\x07", integer(7)),
        der(bytes(34), integer(7)), good.replace(b"\x02", b"\x03", 1),
    ]  # fmt: skip
    for bad in wrong:
        with pytest.raises(Reject, match="KMS_ANSWER"):
            read_der(bad)


def test_only_a_secp256k1_public_key_is_taken(server: str, tmp_path: Path) -> None:
    key = SigningKey(keccak(b"x"))
    public = key._key.public_key.format(compressed=False)
    assert address_of_spki(SPKI_PREFIX + public) == key.address
    for bad in (
        b"",
        public,
        SPKI_PREFIX + public[:-1],
        SPKI_PREFIX + b"\x03" + public[1:],
        SPKI_PREFIX + public + b"\0",
    ):
        with pytest.raises(Usage, match="KMS_KEY_UNSUITABLE"):
            address_of_spki(bad)
    for other in ("ECC_NIST_P256", "RSA_2048"):
        with pytest.raises(Usage, match="KMS_KEY_UNSUITABLE"):
            open_signer(
                read_spec(spec(server, new_key(server, other), key.address, tmp_path)), Environment.DEVNET
            )


def test_a_key_that_is_not_there_or_not_ours(server: str, tmp_path: Path) -> None:
    mine, other = new_key(server), new_key(server)
    missing = spec(server, "11111111-2222-3333-4444-555555555555", address_at(server, mine), tmp_path)
    with pytest.raises(Usage, match="KMS_KEY_UNKNOWN"):
        open_signer(read_spec(missing), Environment.DEVNET)
    with pytest.raises(Denied, match="SIGNER_OTHER_KEY"):
        open_signer(read_spec(spec(server, other, address_at(server, mine), tmp_path)), Environment.DEVNET)


def test_what_aws_says_keeps_its_meaning(server: str, proxy: Proxy, tmp_path: Path) -> None:
    signer = opened(server, new_key(server), tmp_path, proxy.url)
    cases: list[tuple[str, int, type[FairleadError], str]] = [
        ("AccessDeniedException", 400, Reject, "KMS_REFUSED"),
        ("DisabledException", 400, Reject, "KMS_REFUSED"),
        ("KMSInvalidStateException", 400, Reject, "KMS_REFUSED"),
        ("NotFoundException", 400, Usage, "KMS_KEY_UNKNOWN"),
        ("InvalidKeyUsageException", 400, Usage, "KMS_KEY_UNSUITABLE"),
        ("ExpiredTokenException", 400, Usage, "KMS_CREDENTIALS"),
        ("UnrecognizedClientException", 403, Usage, "KMS_CREDENTIALS"),
        ("ThrottlingException", 400, Retry, "KMS_BUSY"),
        ("KeyUnavailableException", 500, Retry, "KMS_BUSY"),
        ("KMSInternalException", 500, Retry, "KMS_BUSY"),
    ]
    proxy.fault = "answer"
    for code, status, kind, ours in cases:
        proxy.status = status
        proxy.body = json.dumps(
            {"__type": code, "message": "arn:aws:kms:eu:123:key/abc said hunter2"}
        ).encode()
        before = proxy.seen
        with pytest.raises(kind) as found:
            signer.sign_typed(TYPED)
        assert found.value.code == ours and code in found.value.message
        assert "hunter2" not in str(found.value) and "arn:aws" not in str(found.value)
        assert proxy.seen == before + 1, "boto3 does not ask again behind our back"
    proxy.status, proxy.body = 200, b"not json"
    with pytest.raises(Retry, match="KMS_UNREACHABLE"):
        signer.sign_typed(TYPED)
    proxy.body = b'{"Signature": "AAAA"}'
    with pytest.raises(Reject, match="KMS_ANSWER"):
        signer.sign_typed(TYPED)
    signer.close()
    assert "hunter2" not in str(failure('x" hunter2', 400))


def test_nothing_listens_and_no_credentials(server: str, tmp_path: Path) -> None:
    key_id = new_key(server)
    address = address_at(server, key_id)
    with pytest.raises(Retry, match="KMS_UNREACHABLE"):
        open_signer(read_spec(spec("http://127.0.0.1:1", key_id, address, tmp_path)), Environment.DEVNET)
    bad = spec(server, key_id, address, tmp_path, region="not a region", endpoint="::no url::")
    with pytest.raises(Usage, match="KMS_CREDENTIALS"):
        open_signer(read_spec(bad), Environment.DEVNET)
