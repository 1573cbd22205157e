"""One file, four owners, four forms: a key, a message, an approval on chain and a contract; and what is only said to be consent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from home_fixture import Home, Ran
from many_owners import OtherWallet, another_wallet
from tx_service import ask, tx_service

from agent.app.multisig import files
from chains.devnet.funding import create_safe, give_eth
from chains.devnet.jsonrpc import Rpc
from chains.types import Address
from contracts.codec import encode
from contracts.hashing import keccak
from keys import safe_signatures as ss
from keys.curve import SigningKey, personal_digest
from keys.local_keystore import LocalKeystore
from keys.safe_document import SafeDocument
from keys.secrets import resolve

pytestmark = [pytest.mark.devnet, pytest.mark.timeout(240)]
INNER = [SigningKey(keccak(b"inner owner %d" % n)) for n in range(3)]
PAYEE = "0x00000000000000000000000000000000DeaDBeef"


@pytest.fixture(scope="module")
def inner(home_of_file: Home) -> Address:
    return create_safe(home_of_file.cheat_urls[1], [Address(k.address) for k in INNER], 2, 77)


@pytest.fixture(scope="module")
def wallet(
    home_of_file: Home, inner: Address, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OtherWallet]:
    with another_wallet(home_of_file, tmp_path_factory.mktemp("four"), 3, 3, [inner], 4) as made:
        yield made


def as_message(wallet: OtherWallet, number: int, document: SafeDocument) -> str:
    """What a wallet's personal_sign over the hash gives: v is 27 or 28."""
    stored = wallet.keys.owners[number]
    key = LocalKeystore(stored.path.parent).open(stored, resolve(wallet.keys.password))
    return "0x" + key.sign(personal_digest(document.digest)).hex()


def proposed(wallet: OtherWallet, path: Path) -> SafeDocument:
    ran = wallet.home.run(f"wallet propose --to {PAYEE} --value 0 --out {path} --json")
    assert ran.status == 0, ran.out + ran.err
    return files.read(path)


def approves(wallet: OtherWallet, number: int, document: SafeDocument) -> None:
    """The owner's own account sends approveHash."""
    url, who = wallet.home.cheat_urls[1], wallet.keys.owners[number].address
    give_eth(url, who, 10**18)
    with Rpc(url) as rpc:
        rpc("anvil_impersonateAccount", who)
        data = encode("safe", "approveHash", (document.digest,))
        sent = rpc(
            "eth_sendTransaction",
            {"from": who, "to": wallet.safe, "data": "0x" + data.hex(), "gas": "0x30d40"},
        )
        rpc("evm_mine")
        assert int(rpc("eth_getTransactionReceipt", sent)["status"], 16) == 1


def nested(document: SafeDocument, inner: Address, signers: list[SigningKey]) -> str:
    message = ss.safe_message(1, inner, ss.nested_message(document.typed, "1.4.1"))
    parts = [ss.by_key(message.digest, k.sign(message.digest)) for k in signers]
    data = ss.pack(parts, [k.address for k in INNER], len(parts))
    return "0x" + ss.by_contract(inner, data).alone.hex()


def merged(wallet: OtherWallet, path: Path, signature: str) -> Ran:
    return wallet.home.run(f"wallet merge {path} --signature {signature} --json")


def refused(ran: Ran) -> tuple[int, str]:
    return ran.status, ran.json["error"]["code"]


def test_all_four_forms_are_counted_and_executed(wallet: OtherWallet, inner: Address, tmp_path: Path) -> None:
    path, home = tmp_path / "all.json", wallet.home
    document = proposed(wallet, path)
    assert home.run(f"wallet sign {path} --as owner-1 --json").status == 0
    assert merged(wallet, path, as_message(wallet, 1, document)).status == 0
    ran = merged(wallet, path, nested(document, inner, INNER[:2]))
    assert ran.status == 0 and len(ran.json["signed_by"]) == 3, ran.out + ran.err
    assert refused(home.run(f"wallet execute {path} --json")) == (3, "SAFE_BELOW_THRESHOLD")
    approves(wallet, 2, document)

    listed = home.run("wallet outstanding --chain ethereum --json").json["open"]
    assert not listed  # kept elsewhere than beside the journal
    dry = home.run(f"wallet execute {path}")
    assert dry.status == 0, dry.out + dry.err
    for told in (
        "approved its hash on chain",
        "is a contract and agrees",
        "signed its hash as a message",
        "4 signatures, 4 needed",
    ):
        assert told in dry.out
    kinds = {e["signatureType"] for e in json.loads(path.read_text())["confirmations"]}
    assert kinds == {"EOA", "ETH_SIGN", "CONTRACT_SIGNATURE"}
    done = home.run(f"wallet execute {path} --live --yes --max-loss 500 --json")
    assert done.status == 0 and done.json["tx_hash"], done.out + done.err
    assert refused(home.run(f"wallet execute {path} --json")) == (3, "SAFE_NONCE_USED")


def test_what_is_only_said_to_be_consent_is_told_and_does_not_count(
    wallet: OtherWallet, inner: Address, tmp_path: Path
) -> None:
    path, home = tmp_path / "said.json", wallet.home
    document = proposed(wallet, path)
    for name in ("owner-1", "owner-2"):
        assert home.run(f"wallet sign {path} --as {name} --json").status == 0
    never = ss.by_approval(wallet.keys.owners[2].address)
    assert merged(wallet, path, "0x" + never.alone.hex()).status == 0
    assert (
        merged(wallet, path, nested(document, inner, INNER[:1])).status == 0
    )  # below the inner Safe's threshold
    ran = home.run(f"wallet execute {path} --json")
    assert refused(ran) == (3, "SAFE_BELOW_THRESHOLD")
    # The false claim in the file does not keep its owner from signing, who reads that it is false.
    signed = home.run(f"wallet sign {path} --as owner-3 --json")
    assert signed.status == 0 and "IS SAID TO AGREE AND DOES NOT" in signed.err, signed.out + signed.err
    assert refused(home.run(f"wallet execute {path} --json")) == (3, "SAFE_BELOW_THRESHOLD")


def test_a_foreign_signature_is_refused_in_every_form(wallet: OtherWallet, tmp_path: Path) -> None:
    path = tmp_path / "foreign.json"
    document = proposed(wallet, path)
    stranger = SigningKey(keccak(b"stranger"))
    for given in (
        ss.by_key(document.digest, stranger.sign(document.digest)),
        ss.by_message(document.digest, stranger.sign(personal_digest(document.digest))),
        ss.by_approval(stranger.address),
        ss.by_contract(stranger.address, b"anything"),
    ):
        assert refused(merged(wallet, path, "0x" + given.alone.hex())) == (3, "SAFE_SIGNATURE_FOREIGN")
    assert refused(merged(wallet, path, "0xzz")) == (2, "BAD_SIGNATURE")
    assert refused(merged(wallet, path, "0x00")) == (3, "SAFE_SIGNATURE_INVALID")


def test_contracts_and_approvals_meet_at_a_transaction_service(
    wallet: OtherWallet, inner: Address, tmp_path: Path
) -> None:
    """Every form is given to the service, which asks the Safe itself about those that only the chain can tell of."""
    path, home = tmp_path / "service.json", wallet.home
    document = proposed(wallet, path)
    approves(wallet, 2, document)
    with tx_service(home.cheat_urls[1]) as service:
        by_hash = f"{service}/api/v2/multisig-transactions/{document.hash}/"
        confirm = f"{service}/api/v1/multisig-transactions/{document.hash}/confirmations/"
        for given in (nested(document, inner, INNER[:2]), "0x" + ss.by_approval(wallet.keys.owners[2].address).alone.hex(), as_message(wallet, 1, document)):  # fmt: skip
            assert merged(wallet, path, given).status == 0
        signed = home.run(f"wallet sign {path} --as owner-1 --service {service} --json")
        assert signed.status == 0 and len(signed.json["signed_by"]) == 4, signed.out + signed.err
        told = ask(by_hash)[1]
        kinds = {c["signatureType"]: c["owner"] for c in told["confirmations"]}
        assert set(kinds) == {"EOA", "ETH_SIGN", "APPROVED_HASH", "CONTRACT_SIGNATURE"}
        assert kinds["CONTRACT_SIGNATURE"] == inner
        # What it packs is what the Safe takes; and what does not hold it refuses.
        packed = bytes.fromhex(told["signatures"][2:])
        with Rpc(home.cheat_urls[1]) as rpc:
            asked = ss.check_call(wallet.safe, document.typed, packed)
            rpc("eth_call", {"to": asked.to, "data": "0x" + asked.data.hex()}, "latest")
        for wrong in (
            nested(document, inner, INNER[:1]),
            "0x" + ss.by_contract(PAYEE, b"\1" * 65).alone.hex(),
            "0x" + ss.by_contract(inner, b"").alone.hex()[:-2],
        ):
            status, why = ask(confirm, {"signature": wrong})
            assert status == 422 and "signature" in why, why
        done = home.run(
            f"wallet execute {document.hash} --chain ethereum --service {service} --live --yes --max-loss 500 --json"
        )
        assert done.status == 0 and len(done.json["signed_by"]) == 4, done.out + done.err
