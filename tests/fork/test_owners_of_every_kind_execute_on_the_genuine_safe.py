"""Seven of ten owners, one of each kind of signer among them, sign one transaction that the devnet's genuine Safe 1.4.1 executes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import custody as c
import pytest
from signer_holders import HOLDERS

from chains.devnet.funding import create_safe, give_eth
from chains.devnet.jsonrpc import Rpc
from chains.devnet.service import Status
from chains.types import Address, Environment
from contracts.hashing import keccak
from keys import safe
from keys import safe_signatures as ss
from keys.curve import SigningKey, personal_digest
from keys.safe import SafeTx
from keys.signers import Signer, load, names, open_signer, read_spec

pytestmark = pytest.mark.devnet
# A share of `mpc` signs only for Safes its holder listed beforehand, and this one's address follows from its owners.
KINDS = [n for n in names() if load(n).signs and n != "mpc"]


@pytest.fixture(scope="module")
def signers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Signer]]:
    with ExitStack() as stack:
        found = []
        for kind in KINDS:
            holder = stack.enter_context(HOLDERS[kind](tmp_path_factory.mktemp(kind)))
            found.append(
                open_signer(
                    read_spec(holder.spec | {"timeout_s": 10} if load(kind).slow else holder.spec),
                    Environment.DEVNET,
                )
            )
            stack.callback(found[-1].close)
        yield found


def test_seven_of_ten_gathered_at_once(devnet: Status, signers: list[Signer]) -> None:
    others = [SigningKey(keccak(b"plain owner %d" % n)) for n in range(10 - len(signers))]
    owners = [Address(a) for a in [*(s.address for s in signers), *(o.address for o in others)]]
    url = devnet.cheat_urls[1]
    wallet = create_safe(url, owners, 7, 99)
    give_eth(url, wallet, 10**18)
    sender = next(s for s in signers if s.facts.name == "aws_kms")
    give_eth(url, sender.address, 10**18)
    rng = random.Random(5)
    with Rpc(url) as rpc:
        for nonce in range(4):
            tx = SafeTx(Address(c.THIEF), 1000 + nonce, b"", 0, nonce)
            typed = safe.typed(1, wallet, tx)
            with ThreadPoolExecutor() as pool:
                asked = [pool.submit(s.sign_typed, typed) for s in signers]
                given = [ss.by_key(typed.digest, a.result()) for a in asked]
                # One of them has a wallet that knows messages only.
                as_message = pool.submit(signers[nonce].sign_message, typed.digest).result()
            given[nonce] = ss.by_message(typed.digest, as_message)
            given += [ss.by_key(typed.digest, o.sign(typed.digest)) for o in others[: 7 - len(signers)]]
            rng.shuffle(given)
            packed = ss.pack(given, owners, 7)
            assert {s.address for s in signers} <= {
                s.owner for s in ss.unpack(typed.digest, packed, owners, 7)
            }
            check = ss.check_call(wallet, typed, packed)
            rpc(
                "eth_call",
                {"from": c.AGENT.address, "to": check.to, "data": "0x" + check.data.hex()},
                "latest",
            )
            before = int(rpc("eth_getBalance", c.THIEF, "latest"), 16)
            outer = c.outer(safe.exec_transaction(tx, packed), nonce, wallet)
            sent = rpc("eth_sendRawTransaction", "0x" + sender.sign_transaction(outer).raw.hex())
            rpc("evm_mine")
            assert int(rpc("eth_getTransactionReceipt", sent)["status"], 16) == 1
            assert int(rpc("eth_getBalance", c.THIEF, "latest"), 16) - before == 1000 + nonce


def test_a_message_over_the_hash_is_an_eth_sign_signature(signers: list[Signer]) -> None:
    digest = keccak(b"a Safe transaction's hash")
    for signer in signers:
        found = ss.by_message(digest, signer.sign_message(digest))
        assert found.owner == signer.address and found.part[64] in (31, 32)
    assert personal_digest(digest) != digest
