"""A Safe transaction hashed, signed and packed here executes when cast sends it; one that cast hashed and signed executes when we send it."""

from __future__ import annotations

import shutil
import subprocess

import custody as c
import pytest

from chains.devnet import packages
from chains.devnet.funding import create_safe, give_eth
from chains.devnet.jsonrpc import Rpc
from chains.devnet.service import Status
from chains.errors import FairleadError
from chains.types import ZERO_ADDRESS, Address
from contracts.hashing import keccak
from keys import safe
from keys.curve import SigningKey
from keys.safe import SafeTx
from keys.transactions import assemble
from keys.transactions import digest as tx_digest

pytestmark = pytest.mark.devnet
SECRETS = [keccak(b"cast and we, owner %d" % n) for n in range(3)]
OWNERS = sorted((SigningKey(s) for s in SECRETS), key=lambda k: int(k.address, 16))
BY_ADDRESS = {SigningKey(s).address: s for s in SECRETS}
SENDER_SECRET = keccak(b"cast and we, sender")
SENDER = SigningKey(SENDER_SECRET)
FIELDS = "(address,uint256,bytes,uint8,uint256,uint256,uint256,address,address"


@pytest.fixture(scope="module")
def cast() -> str:
    found = shutil.which("cast")
    if found is None:
        try:
            found = str(packages.tool("cast"))
        except FairleadError:
            pytest.skip("cast is not on PATH and the devnet's tools are not there")
    return found


def run(cast: str, *words: str) -> str:
    done = subprocess.run([cast, *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_both_ways(devnet: Status, cast: str) -> None:
    url = devnet.cheat_urls[1]
    owners = [Address(k.address) for k in OWNERS]
    wallet = create_safe(url, owners, 2, 4242)
    for who in (wallet, SENDER.address):
        give_eth(url, Address(who), 10**18)
    with Rpc(url) as rpc:

        def held() -> int:
            return int(rpc("eth_getBalance", c.THIEF, "latest"), 16)

        # Ours, sent by cast.
        tx = SafeTx(Address(c.THIEF), 1_111, b"", 0, 0)
        digest = safe.safe_tx_hash(1, wallet, tx)
        words = [tx.to, str(tx.value), "0x", "0", "0", "0", "0", ZERO_ADDRESS, ZERO_ADDRESS]
        theirs = run(
            cast,
            "call",
            wallet,
            f"getTransactionHash{FIELDS},uint256)(bytes32)",
            *words,
            "0",
            "--rpc-url",
            url,
        )
        assert theirs == "0x" + digest.hex()
        packed = safe.pack_signatures(digest, [k.sign(digest) for k in OWNERS[:2]], owners, 2)
        before = held()
        run(
            cast, "send", wallet, f"execTransaction{FIELDS},bytes)", *words, "0x" + packed.hex(),
            "--rpc-url", url, "--private-key", "0x" + SENDER_SECRET.hex(),
        )  # fmt: skip
        assert held() - before == 1_111

        # Cast's, sent by us.
        tx = SafeTx(Address(c.THIEF), 2_222, b"", 0, 1)
        words[1] = "2222"
        asked = run(
            cast,
            "call",
            wallet,
            f"getTransactionHash{FIELDS},uint256)(bytes32)",
            *words,
            "1",
            "--rpc-url",
            url,
        )
        given = []
        for owner in owners[1:]:
            secret = "0x" + BY_ADDRESS[owner].hex()
            given.append(
                bytes.fromhex(run(cast, "wallet", "sign", "--no-hash", asked, "--private-key", secret)[2:])
            )
        digest = safe.safe_tx_hash(1, wallet, tx)
        assert given == [k.sign(digest) for k in OWNERS[1:]], "the same signatures (RFC 6979)"
        packed = safe.pack_signatures(digest, given, owners, 2)
        nonce = int(rpc("eth_getTransactionCount", SENDER.address, "latest"), 16)
        outer = c.outer(safe.exec_transaction(tx, packed), nonce, wallet)
        signed = assemble(outer, SENDER.sign(tx_digest(outer)), SENDER.address)
        sent = rpc("eth_sendRawTransaction", "0x" + signed.raw.hex())
        rpc("evm_mine")
        assert int(rpc("eth_getTransactionReceipt", sent)["status"], 16) == 1
        assert held() - before == 3_333
