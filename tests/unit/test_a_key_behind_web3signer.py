"""Web3Signer: its two APIs, TLS and tokens, and a server that answers what nobody asked for."""

from __future__ import annotations

import datetime
import ipaddress
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import custody as c
import pytest
from eth_account import Account
from fault_proxy import Proxy, forwarding
from web3signer_server import World, serving, sign

from chains.errors import Denied, FairleadError, Reject, Retry, Usage
from chains.types import Address, Environment
from contracts.hashing import keccak
from keys import curve, safe
from keys.curve import SigningKey
from keys.signers import Signer, open_signer, read_spec
from keys.web3signer import read_url

KEY = keccak(b"a remote key")
ADDRESS = SigningKey(KEY).address
TYPED = safe.typed(1, Address(c.SAFE), c.sell())


def spec(url: str, **more: Any) -> dict[str, Any]:
    return {
        "kind": "web3signer",
        "environment": "devnet",
        "address": ADDRESS,
        "url": url,
        "timeout_s": 1,
    } | more


def opened(url: str, **more: Any) -> Signer:
    return open_signer(read_spec(spec(url, **more)), Environment.DEVNET)


@pytest.fixture
def world() -> World:
    return World([keccak(b"another"), KEY])


@pytest.fixture
def proxy(world: World) -> Iterator[Proxy]:
    with serving(world) as url, forwarding(url) as made:
        yield made


def test_both_of_its_roads_give_the_same_transaction(world: World, proxy: Proxy) -> None:
    for size in (0, 4, 300):
        tx = c.outer(b"\x05" * size, 11)
        by_rest, by_rpc = (
            opened(proxy.url).sign_transaction(tx),
            opened(proxy.url, transactions="rpc").sign_transaction(tx),
        )
        assert by_rest == by_rpc and Account.recover_transaction(by_rest.raw) == ADDRESS
    assert "POST /" in world.requests and any(
        r.startswith("POST /api/v1/eth1/sign/0x") for r in world.requests
    )


def test_it_is_sent_the_bytes_that_are_hashed_so_it_may_judge_them(proxy: Proxy) -> None:
    signer = opened(proxy.url)
    signer.sign_typed(TYPED)
    assert json.loads(proxy.asked[-1]) == {"data": "0x1901" + TYPED.domain.hex() + TYPED.message.hex()}
    signer.sign_message(b"gm")
    assert bytes.fromhex(json.loads(proxy.asked[-1])["data"][2:]) == b"\x19Ethereum Signed Message:\n2gm"


def test_a_server_of_another_chain_is_found_out(world: World, proxy: Proxy) -> None:
    """eth_signTransaction signs for the server's own chain id: the answer recovers to nobody we know."""
    world.chain_id = 8453
    with pytest.raises(Denied) as denied:
        opened(proxy.url, transactions="rpc").sign_transaction(c.outer(b""))
    assert denied.value.code == "SIGNATURE_NOT_OURS"
    assert opened(proxy.url).sign_transaction(c.outer(b""))


def test_a_transaction_with_another_recipient_is_found_out(proxy: Proxy) -> None:
    signer = opened(proxy.url, transactions="rpc")

    def other(text: bytes) -> bytes:
        fields = {"to": bytes(20), "value": 1, "nonce": 0, "gas": 21_000, "chainId": 1, "type": 2}
        signed = Account.from_key(KEY).sign_transaction(
            fields | {"maxFeePerGas": 1, "maxPriorityFeePerGas": 1, "data": b""}
        )
        return json.dumps(
            json.loads(text) | {"result": "0x" + signed.raw_transaction.hex().removeprefix("0x")}
        ).encode()

    proxy.change = other
    with pytest.raises(Denied, match="SIGNATURE_NOT_OURS"):
        signer.sign_transaction(c.outer(b""))


@pytest.mark.parametrize("mode", ["rest", "rpc"])
@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (400, b"", Reject, "SIGNER_REFUSED"),
        (401, b"", Reject, "SIGNER_REFUSED"),
        (302, b"", Reject, "SIGNER_REFUSED"),
        (404, b"", Usage, "SIGNER_KEY_UNKNOWN"),
        (429, b"", Retry, "SIGNER_BUSY"),
        (500, b"", Retry, "SIGNER_BUSY"),
        (503, b"", Retry, "SIGNER_BUSY"),
        (200, b"", Reject, "SIGNER_ANSWER"),
        (200, b"<html>", Reject, "SIGNER_ANSWER"),
        (200, b"\xff\xfe", Reject, "SIGNER_ANSWER"),
        (200, b"0x1234", Reject, "SIGNER_ANSWER"),
        (200, b"[]", Reject, "SIGNER_ANSWER"),
        (200, b'{"id": 2, "result": "0x"}', Reject, "SIGNER_ANSWER"),
        (200, b'{"id": 1, "result": "0x02c0"}', Reject, "SIGNER_ANSWER"),
        (200, b'{"id": 1, "result": 5}', Reject, "SIGNER_ANSWER"),
        (200, b"[" * 200_000, Reject, "SIGNER_ANSWER"),
        (200, b"0" * (1 << 20) + b"0", Reject, "SIGNER_ANSWER"),
        (200, b"0x" + b"11" * 65, Denied, "SIGNATURE_NOT_OURS"),
        (200, b"0x" + b"00" * 65, Denied, "SIGNATURE_NOT_OURS"),
        (200, b"0x" + b"ff" * 65, Denied, "SIGNATURE_NOT_OURS"),
    ],
    ids=lambda x: str(x)[:24] if isinstance(x, (int, bytes, str)) else "",
)
def test_every_answer_is_one_of_the_verbs(
    proxy: Proxy, mode: str, status: int, body: bytes, kind: type[FairleadError], code: str
) -> None:
    signer = opened(proxy.url, transactions=mode)
    proxy.fault, proxy.status, proxy.body = "answer", status, body
    before = proxy.seen
    with pytest.raises(FairleadError) as found:
        signer.sign_transaction(c.outer(b""))
    expected = (Reject, "SIGNER_ANSWER") if mode == "rpc" and code == "SIGNATURE_NOT_OURS" else (kind, code)
    assert (type(found.value), found.value.code) == expected
    assert proxy.seen == before + 1, "nothing is asked twice, and no redirect is followed"


def test_a_refusal_over_json_rpc_is_a_reject(proxy: Proxy) -> None:
    signer = opened(proxy.url, transactions="rpc")
    proxy.fault, proxy.status = "answer", 200
    proxy.body = b'{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"hunter2"}}'
    with pytest.raises(Reject) as refused:
        signer.sign_transaction(c.outer(b""))
    assert refused.value.code == "SIGNER_REFUSED" and "-32000" in refused.value.message
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("fault", ["hang", "trickle"])
def test_the_whole_request_has_one_time_limit(proxy: Proxy, fault: str) -> None:
    signer = opened(proxy.url, timeout_s=0.4)
    proxy.fault = fault
    started = time.monotonic()
    with pytest.raises(Retry) as late:
        signer.sign_typed(TYPED)
    assert late.value.code == "SIGNER_SILENT" and time.monotonic() - started < 1.5


def test_a_high_s_or_wrong_v_is_put_right(world: World, proxy: Proxy) -> None:
    signer = opened(proxy.url)

    def high(text: bytes) -> bytes:
        s = curve.ORDER - int(text[66:130], 16)
        return text[:66] + b"%064x" % s + b"00"

    proxy.change = high
    assert signer.sign_typed(TYPED).hex() == sign(KEY, TYPED.preimage)[2:]


def test_the_token_goes_in_the_header_and_nowhere_else(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("a-bearer-token")
    path.chmod(0o600)
    with serving(World([KEY], token="a-bearer-token")) as url:
        assert opened(url, token=f"file:{path}").sign_typed(TYPED)
        path.write_text("another-token")
        with pytest.raises(Reject) as refused:
            opened(url, token=f"file:{path}")
        assert "another-token" not in str(refused.value)


def test_a_key_that_is_not_loaded_there() -> None:
    with serving(World([keccak(b"another")])) as url:
        with pytest.raises(Usage) as unknown:
            opened(url)
        assert unknown.value.code == "SIGNER_KEY_UNKNOWN" and ADDRESS in unknown.value.message
    with pytest.raises(Retry, match="SIGNER_UNREACHABLE"):
        opened("http://127.0.0.1:1")


@pytest.mark.parametrize(
    "url",
    [
        "http://signer.example:9000", "http://10.0.0.1", "ftp://127.0.0.1", "127.0.0.1:9000", "https://", "https://user:pw@h",
        "https://h/?q=1", "https://h:99999", "https://h:0",
    ],
)  # fmt: skip
def test_urls_that_would_show_what_is_signed_or_hide_a_secret(url: str) -> None:
    with pytest.raises(Usage) as refused:
        read_url(url)
    assert refused.value.code == "SIGNER_URL" and "pw" not in str(refused.value)


def certificate(folder: Path, name: str) -> Path:
    """A self-signed certificate for 127.0.0.1 with its key, in one PEM file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, who = (
        ec.generate_private_key(ec.SECP256R1()),
        x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]),
    )
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder().subject_name(who).issuer_name(who).public_key(key.public_key()).serial_number(7)
        .not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(names, False).add_extension(x509.BasicConstraints(True, None), True).sign(key, hashes.SHA256())
    )  # fmt: skip
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / f"{name}.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(*plain))
    return path


def test_tls_is_checked_against_the_authority_that_is_named(tmp_path: Path) -> None:
    mine, strange = certificate(tmp_path, "mine"), certificate(tmp_path, "strange")
    world = World([KEY])
    with serving(world, mine) as url:
        assert url.startswith("https://")
        signer = opened(url, ca=str(mine))
        assert curve.recover(TYPED.digest, signer.sign_typed(TYPED)) == ADDRESS
        before = len(world.requests)
        for other in ({}, {"ca": str(strange)}):
            with pytest.raises(Usage) as untrusted:
                opened(url, **other)
            assert untrusted.value.code == "SIGNER_TLS"
        assert len(world.requests) == before, "nothing was said to a server that is not trusted"
    with pytest.raises(Usage, match="SIGNER_TLS"):
        opened(url, ca=str(tmp_path / "none.pem"))
