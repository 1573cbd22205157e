"""Signatures gathered through the Safe Transaction Service's API, with safe-eth-py's own client at the other end of it."""

from __future__ import annotations

import json
import signal
import warnings
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest
from home_fixture import Home, Ran, wait_for
from tx_service import ask, tx_service

from chains.devnet.funding import give_eth, token_balance
from chains.devnet.jsonrpc import Rpc
from chains.profiles.base import CHAIN as BASE
from chains.types import Address
from contracts.codec import encode
from keys.secrets import resolve

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from eth_account import Account
    from safe_eth.eth import EthereumClient, EthereumNetwork
    from safe_eth.safe import SafeTx
    from safe_eth.safe.api import TransactionServiceApi

pytestmark = [
    pytest.mark.devnet,
    pytest.mark.timeout(240),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]  # fmt: skip
PAYEE = "0x00000000000000000000000000000000DeaDBeef"
LIVE = "--live --yes --max-loss 500 --json"


@pytest.fixture(scope="module")
def service(home_of_file: Home) -> Iterator[str]:
    with tx_service(home_of_file.urls[8453]) as url:
        yield url


@pytest.fixture
def client(home: Home) -> EthereumClient:
    return EthereumClient(home.cheat_urls[8453])


@pytest.fixture
def api(client: EthereumClient, service: str) -> TransactionServiceApi:
    return TransactionServiceApi(EthereumNetwork.BASE, client, base_url=service)


def secrets_of(home: Home) -> dict[str, bytes]:
    """The owners' keys, opened by eth-account."""
    password = resolve(str(home.settings.wallet.owners[0].password)).text()
    found = {}
    for owner in home.settings.wallet.owners:
        assert owner.keystore is not None
        found[owner.label] = bytes(Account.decrypt(json.loads(owner.keystore.read_text()), password))
    return found


def nonce_of(home: Home) -> int:
    data = "0x" + encode("safe", "nonce").hex()
    with Rpc(home.urls[8453]) as rpc:
        return int(rpc("eth_call", {"to": home.settings.wallet.address, "data": data}, "latest"), 16)


def usdc_of(home: Home, who: str) -> int:
    with Rpc(home.urls[8453]) as rpc:
        return token_balance(rpc, BASE.usdc, who)


def theirs(home: Home, client: EthereumClient, raw: int) -> SafeTx:
    data = encode("erc20", "transfer", (PAYEE, raw))
    return SafeTx(
        client, home.settings.wallet.address, BASE.usdc, 0, data, 0, 0, 0, 0, None, None,
        safe_nonce=nonce_of(home), safe_version="1.4.1", chain_id=8453,
    )  # fmt: skip


def proposed(home: Home, words: str, raw: int) -> Any:
    data = encode("erc20", "transfer", (PAYEE, raw)).hex()
    ran = home.run(f"wallet propose --chain base --to {BASE.usdc} --data 0x{data} {words} --json")
    assert ran.status == 0, ran.out + ran.err
    return ran.json


def refused(ran: Ran) -> tuple[int, str]:
    return ran.status, ran.json["error"]["code"]


def test_proposed_here_confirmed_by_safe_eth_py_and_executed_here(
    home: Home, service: str, api: TransactionServiceApi
) -> None:
    before = usdc_of(home, PAYEE)
    safe_hash = proposed(home, f"--service {service} --note from-here", 11_000_000)["safe_tx_hash"]
    waits = ask(
        f"{service}/api/v2/safes/{home.settings.wallet.address}/multisig-transactions/?executed=false"
    )[1]["results"]
    assert [t["safeTxHash"] for t in waits] == [safe_hash] and waits[0]["trusted"] is False

    here = home.run(f"wallet sign {safe_hash} --as owner-1 --chain base --service {service} --json")
    assert here.status == 0 and len(here.json["signed_by"]) == 1, here.out + here.err
    found, executed_in = api.get_safe_transaction(safe_hash)  # checks the hash by itself
    assert executed_in is None and "0x" + found.safe_tx_hash.hex() == safe_hash
    found.sign(secrets_of(home)["owner-2"].hex())
    assert api.post_signatures(
        found.safe_tx_hash, found.signatures
    )  # both; the one that is there is taken once

    command = f"wallet execute {safe_hash} --chain base --service {service}"
    done = home.run(f"{command} {LIVE}")
    assert done.status == 0 and len(done.json["signed_by"]) == 2, done.out + done.err
    assert usdc_of(home, PAYEE) == before + 11_000_000
    told = ask(f"{service}/api/v2/multisig-transactions/{safe_hash}/")[1]
    assert told["isExecuted"] and told["isSuccessful"] and told["transactionHash"] == done.json["tx_hash"]
    assert refused(home.run(f"{command} {LIVE}")) == (3, "SAFE_NONCE_USED")


def test_proposed_by_safe_eth_py_and_signed_and_executed_here(
    home: Home, service: str, api: TransactionServiceApi, client: EthereumClient
) -> None:
    before, tx = usdc_of(home, PAYEE), theirs(home, client, 12_000_000)
    tx.sign(secrets_of(home)["owner-3"].hex())
    assert api.post_transaction(tx)
    safe_hash = "0x" + tx.safe_tx_hash.hex()
    open_there = home.run(f"wallet outstanding --chain base --service {service} --json").json["open"]
    assert [(o["safe_tx_hash"], o["known_from"], o["bearer"]) for o in open_there] == [
        (safe_hash, ["service"], False)
    ]
    here = home.run(f"wallet sign {safe_hash} --as owner-1 --chain base --service {service} --json")
    assert here.status == 0 and len(here.json["signed_by"]) == 2, here.out + here.err
    done = home.run(f"wallet execute {safe_hash} --chain base --service {service} {LIVE}")
    assert done.status == 0, done.out + done.err
    assert usdc_of(home, PAYEE) == before + 12_000_000
    assert home.run(f"wallet outstanding --chain base --service {service} --json").json["open"] == []


def test_a_file_signed_here_executes_under_safe_eth_py(
    home: Home, client: EthereumClient, tmp_path: Path
) -> None:
    path, before = tmp_path / "t.json", usdc_of(home, PAYEE)
    proposed(home, f"--out {path}", 13_000_000)
    for name in ("owner-1", "owner-3"):
        assert home.run(f"wallet sign {path} --as {name} --json").status == 0
    f = json.loads(path.read_text())
    packed = b"".join(bytes.fromhex(c["signature"][2:]) for c in f["confirmations"])
    tx = SafeTx(
        client, f["safe"], f["to"], int(f["value"]), bytes.fromhex(f["data"][2:]), f["operation"], int(f["safeTxGas"]),
        int(f["baseGas"]), int(f["gasPrice"]), f["gasToken"], f["refundReceiver"], packed, int(f["nonce"]), "1.4.1", 8453,
    )  # fmt: skip
    assert "0x" + tx.safe_tx_hash.hex() == f["safeTxHash"] == f["contractTransactionHash"]
    assert sorted(tx.signers) == sorted(c["owner"] for c in f["confirmations"])
    sender = Account.create()
    give_eth(home.cheat_urls[8453], Address(sender.address), 10**18)
    tx.call(tx_sender_address=sender.address)
    sent, _ = tx.execute("0x" + sender.key.hex().removeprefix("0x"))
    client.get_transaction_receipt("0x" + sent.hex().removeprefix("0x"), timeout=20)
    assert usdc_of(home, PAYEE) == before + 13_000_000
    assert refused(home.run(f"wallet execute {path} {LIVE}")) == (3, "SAFE_NONCE_USED")


def test_a_transaction_signed_by_safe_eth_py_executes_here(
    home: Home, client: EthereumClient, tmp_path: Path
) -> None:
    """As its own client would post it: one `signature` of two owners, no record of ours, numbers as numbers."""
    path, before, tx = tmp_path / "t.json", usdc_of(home, PAYEE), theirs(home, client, 14_000_000)
    keys = secrets_of(home)
    for name in ("owner-2", "owner-1"):
        tx.sign(keys[name].hex())
    body = {
        "safe": tx.safe_address, "to": tx.to, "value": tx.value, "data": "0x" + tx.data.hex(), "operation": tx.operation,
        "gasToken": tx.gas_token, "safeTxGas": tx.safe_tx_gas, "baseGas": tx.base_gas, "gasPrice": tx.gas_price,
        "refundReceiver": tx.refund_receiver, "nonce": tx.safe_nonce, "contractTransactionHash": "0x" + tx.safe_tx_hash.hex(),
        "sender": tx.sorted_signers[0], "signature": "0x" + tx.signatures.hex(), "origin": "Safe-CLI",
    }  # fmt: skip
    path.write_text(json.dumps(body))
    assert refused(home.run(f"wallet execute {path} --json")) == (2, "SAFE_CHAIN_UNKNOWN")
    assert refused(home.run(f"wallet execute {path} --chain ethereum --json")) == (3, "SAFE_HASH_DIFFERS")
    done = home.run(f"wallet execute {path} --chain base {LIVE}")
    assert done.status == 0, done.out + done.err
    assert usdc_of(home, PAYEE) == before + 14_000_000


def test_the_service_takes_nothing_that_the_real_one_refuses(
    home: Home, service: str, client: EthereumClient
) -> None:
    tx, keys = theirs(home, client, 1), secrets_of(home)
    owner, stranger = Account.from_key(keys["owner-1"]), Account.create()
    at = f"{service}/api/v2/safes/{home.settings.wallet.address}/multisig-transactions/"

    def signed(account: Any, tx: SafeTx = tx) -> str:
        return "0x" + bytes(account.unsafe_sign_hash(tx.safe_tx_hash).signature).hex()

    body = {
        "to": tx.to, "value": "0", "data": "0x" + tx.data.hex(), "operation": 0, "gasToken": tx.gas_token, "safeTxGas": "0",
        "baseGas": "0", "gasPrice": "0", "refundReceiver": tx.refund_receiver, "nonce": str(tx.safe_nonce),
        "contractTransactionHash": "0x" + tx.safe_tx_hash.hex(), "sender": owner.address, "signature": signed(owner), "origin": None,
    }  # fmt: skip
    refusals: list[tuple[dict[str, Any], str]] = [
        ({"value": "1"}, "does not match provided contract-tx-hash"),
        ({"contractTransactionHash": "0x" + "1" * 64}, "does not match provided contract-tx-hash"),
        ({"sender": stranger.address}, "is not an owner or delegate"),
        ({"signature": signed(stranger)}, "is not an owner"),
        ({"signature": signed(Account.from_key(keys["owner-2"]))}, "Signature does not match sender"),
        ({"signature": signed(owner) + signed(owner)[2:]}, "is duplicated"),
        ({"signature": "0x1234"}, "multiple of 65"),
        ({"to": tx.to.lower()}, "Checksum address validation failed"),
        ({"nonce": None}, "This field is required"),
        ({"operation": 2}, "not a valid choice"),
    ]
    for change, why in refusals:
        status, answer = ask(at, {**body, **change})
        assert status == 422 and why in json.dumps(answer), (change, status, answer)
    past = SafeTx(client, tx.safe_address, tx.to, 0, tx.data, 0, 0, 0, 0, None, None, safe_nonce=0, safe_version="1.4.1", chain_id=8453)  # fmt: skip
    assert nonce_of(home) > 0
    old = {
        "nonce": "0",
        "contractTransactionHash": "0x" + past.safe_tx_hash.hex(),
        "signature": signed(owner, past),
    }
    status, answer = ask(at, {**body, **old})
    assert status == 422 and "already executed" in json.dumps(answer)
    assert ask(f"{service}/api/v2/multisig-transactions/{body['contractTransactionHash']}/")[0] == 404
    assert ask(f"{at}?executed=false")[1]["results"] == [], "something refused was kept"
    assert ask(at, body)[0] == 201
    confirm = f"{service}/api/v1/multisig-transactions/{body['contractTransactionHash']}/confirmations/"
    assert ask(confirm, {"signature": signed(stranger)})[0] == 422
    assert ask(confirm, {"signature": signed(Account.from_key(keys["owner-2"]))})[0] == 201
    assert len(ask(confirm)[1]["results"]) == 2
    about = ask(f"{service}/api/v1/safes/{home.settings.wallet.address}/")[1]
    assert about["threshold"] == 2 and about["version"] == "1.4.1" and len(about["owners"]) == 3


class Liar(BaseHTTPRequestHandler):
    """Answers every question with one transaction, with the payee changed, or with another hash than was asked for."""

    told: ClassVar[dict[str, Any]] = {}

    def do_GET(self) -> None:
        content = json.dumps(self.told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


def test_a_service_that_lies_or_is_silent_is_told_as_such(home: Home, service: str, tmp_path: Path) -> None:
    unknown = "0x" + "ab" * 32
    command = f"wallet sign {unknown} --as owner-1 --chain base --json"
    assert refused(home.run(f"{command} --service {service}")) == (4, "SERVICE_UNKNOWN_TRANSACTION")
    assert refused(home.run(f"{command} --service http://127.0.0.1:9")) == (4, "SERVICE_UNREACHABLE")
    assert refused(home.run(f"{command} --service {home.paper_url}"))[0] == 4
    assert refused(home.run(command)) == (2, "SERVICE_MISSING")
    assert refused(home.run(f"{command} --service {service} --service-key abc")) == (2, "BAD_SERVICE")

    true = proposed(home, f"--out {tmp_path / 't.json'}", 15_000_000)
    Liar.told = {**true["transaction"], "safeTxHash": true["safe_tx_hash"], "confirmations": []}
    with HTTPServer(("127.0.0.1", 0), Liar) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        lying = f"--service http://127.0.0.1:{server.server_port}"
        assert refused(home.run(f"{command} {lying}")) == (3, "SERVICE_OTHER_TRANSACTION")
        Liar.told |= {"to": PAYEE}
        asked = command.replace(unknown, true["safe_tx_hash"])
        assert refused(home.run(f"{asked} {lying}")) == (3, "SAFE_HASH_DIFFERS")
        server.shutdown()


def test_named_in_the_settings_it_needs_no_option(home: Home, service: str, tmp_path: Path) -> None:
    """Proposed, signed by hash, listed and executed; and with the service down, what the file alone allows."""
    text = home.settings_path.read_text()
    settings = home.settings_path.with_name("with-service.toml")
    settings.write_text(text.replace('name = "base"\n', f'name = "base"\nsafe_service = "{service}"\n', 1))
    before = usdc_of(home, PAYEE)
    data = encode("erc20", "transfer", (PAYEE, 4_000_000)).hex()
    made = home.run(f"wallet propose --chain base --to {BASE.usdc} --data 0x{data} --json", settings).json
    assert made["service"] == service
    safe_hash, name = made["safe_tx_hash"], made["file"]
    listed = home.run("wallet outstanding --json", settings).json["open"]
    assert "service" in next(o for o in listed if o["safe_tx_hash"] == safe_hash)["known_from"]
    for owner in ("owner-1", "owner-3"):
        ran = home.run(f"wallet sign {safe_hash} --as {owner} --chain base --json", settings)
        assert ran.status == 0, ran.out + ran.err
    assert len(ask(f"{service}/api/v2/multisig-transactions/{safe_hash}/")[1]["confirmations"]) == 2

    # The file beside the journal has no signature yet: they are at the service.
    assert refused(home.run(f"wallet execute {name} --service none --json", settings)) == (
        3,
        "SAFE_BELOW_THRESHOLD",
    )
    assert refused(home.run(f"wallet execute {safe_hash} --chain base --service none --json", settings)) == (
        2,
        "SERVICE_MISSING",
    )
    down = settings.with_name("service-down.toml")
    down.write_text(settings.read_text().replace(service, "http://127.0.0.1:9"))
    alone = home.run(f"wallet execute {name} --json", down)
    assert refused(alone) == (3, "SAFE_BELOW_THRESHOLD") and "service was left out" in alone.err

    done = home.run(f"wallet execute {name} {LIVE}", settings)
    assert done.status == 0 and usdc_of(home, PAYEE) == before + 4_000_000, done.out + done.err


def test_the_signers_own_file_is_made_from_the_settings_and_serves(home: Home, tmp_path: Path) -> None:
    """`signer init`, then a signer that runs by it: the sender's key in a keystore, caps in whole units, nothing else may leave."""
    text, keys = home.settings_path.read_text(), home.settings_path.parent / "keystore"
    sender = next(keys.glob("devnet--sender--*.json"))
    address = home.settings.wallet.sender.address if home.settings.wallet.sender else ""
    table = f'[wallet.sender]\naddress = "{address}"\n'
    assert table in "".join(line for line in text.splitlines(keepends=True) if not line.startswith("#"))
    at = text.index("[wallet.sender]")
    end = text.index(f'address = "{address}"\n', at) + len(f'address = "{address}"\n')
    signer = f'signer = {{ kind = "keystore", environment = "devnet", keystore = "{sender}", password = "file:{keys.parent / "password"}" }}\n'
    settings = home.settings_path.with_name("with-signer.toml")
    settings.write_text(text[:end] + signer + text[end:])
    config = tmp_path / "signer.json"
    ran = home.run(f"signer init --config {config} --cap WETH 5 20 --json", settings)
    assert ran.status == 0, ran.out + ran.err
    weth = next(c for c in ran.json["chains"] if c["chain_id"] == 1)["tokens"]
    assert {"per_tx_raw": str(5 * 10**18), "per_day_raw": str(20 * 10**18)} in weth.values()
    assert {"per_tx_raw": "0", "per_day_raw": "0"} in weth.values()
    assert refused(home.run(f"signer init --config {config} --json", settings)) == (2, "FILE_EXISTS")
    assert refused(home.run(f"signer init --config {config}2 --cap NOPE 1 1 --json", settings)) == (
        2,
        "UNKNOWN_ASSET",
    )
    own = json.loads(config.read_text()) | {
        "ledger": str(tmp_path / "ledger.jsonl")
    }  # the home's signer holds its own
    config.write_text(json.dumps(own))
    socket = tmp_path / "s.sock"
    running = home.start(f"signer run --socket {socket} --config {config}")
    try:
        wait_for(socket.exists)
        told = home.run(f"signer status --socket {socket} --json").json
        assert told["senders"] == {address: True} and told["owners"] == {}
    finally:
        running.end(signal.SIGTERM)
