"""Safe 1.3.0 (both sets), 1.4.1 and 1.5.0, with and without events: created where foretold, read, hashed alike, executed by two of three."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import aiohttp
import custody as c
import pytest
from safe_hashes import contract_hashes, random_tx

from agent.app.multisig import creating
from chains.devnet.funding import create_safe, give_eth, safe_address
from chains.devnet.jsonrpc import Rpc, RpcError
from chains.devnet.service import Status
from chains.errors import FairleadError
from chains.gateway import Gateway
from chains.profiles import load
from chains.rpc import Rpc as Async
from chains.safe_versions import RELEASES, SINGLETONS, VERSIONS, SafeRelease, release
from chains.types import Address, Call
from chains.wallets import WalletKind, identify
from contracts import multisend
from contracts.codec import encode
from contracts.hashing import keccak
from keys import safe
from keys import safe_signatures as ss
from keys.curve import SigningKey
from keys.policy_settings import OFFICIAL_MULTISEND_CALL_ONLY
from keys.safe import DELEGATECALL, SafeTx, safe_tx_hash

pytestmark = pytest.mark.devnet
KEYS = sorted((SigningKey(keccak(b"release %d" % n)) for n in range(3)), key=lambda k: int(k.address, 16))
OWNERS = [Address(k.address) for k in KEYS]
PAYEE = Address(c.THIEF)
KINDS = [(v, layer2) for v in VERSIONS for layer2 in (False, True)]


@dataclass
class Chain:
    status: Status
    rpc: Rpc

    @property
    def url(self) -> str:
        return self.status.cheat_urls[1]

    def ask(self, call: Call) -> str:
        return str(
            self.rpc(
                "eth_call", {"from": c.AGENT.address, "to": call.to, "data": "0x" + call.data.hex()}, "latest"
            )
        )

    def holds(self, call: Call) -> bool:
        try:
            self.ask(call)
        except RpcError:
            return False
        return True

    def send(self, call: Call) -> bool:
        give_eth(self.url, c.AGENT.address, 10**18)
        self.rpc("anvil_impersonateAccount", c.AGENT.address)
        fields = {
            "from": c.AGENT.address,
            "to": call.to,
            "data": "0x" + call.data.hex(),
            "gas": hex(2_000_000),
        }
        sent = self.rpc("eth_sendTransaction", fields)
        self.rpc("evm_mine")
        return int(self.rpc("eth_getTransactionReceipt", sent)["status"], 16) == 1

    def balance(self, of: str) -> int:
        return int(self.rpc("eth_getBalance", of, "latest"), 16)


@pytest.fixture
def chain(devnet: Status) -> Iterator[Chain]:
    with Rpc(devnet.cheat_urls[1]) as rpc:
        yield Chain(devnet, rpc)


@pytest.mark.parametrize(("version", "layer2"), KINDS)
def test_hashes_of_random_transactions_are_the_contracts_own(
    chain: Chain, version: str, layer2: bool
) -> None:
    wallet = create_safe(chain.url, OWNERS, 2, 31, layer2=layer2, version=version)
    rng = random.Random(f"{version}{layer2}")
    txs = [random_tx(rng) for _ in range(250)]
    assert contract_hashes(chain.rpc, wallet, txs) == [safe_tx_hash(1, wallet, tx) for tx in txs]


@pytest.mark.parametrize(("version", "layer2"), KINDS)
def test_two_of_three_execute_a_batch_by_the_releases_own_multisend(
    chain: Chain, version: str, layer2: bool
) -> None:
    wallet = create_safe(chain.url, OWNERS, 2, 32, layer2=layer2, version=version)
    give_eth(chain.url, wallet, 10**18)
    parts = [multisend.Part(PAYEE, amount, b"") for amount in (5, 70)]
    batch = SafeTx(release(version).multi_send_call_only, 0, multisend.calldata(parts), DELEGATECALL, 0)
    digest, before = safe_tx_hash(1, wallet, batch), chain.balance(PAYEE)
    for signers, expected in ((KEYS[:1], None), (KEYS[1:], 75)):
        given = [ss.by_key(digest, k.sign(digest)) for k in signers]
        if expected is None:
            with pytest.raises(FairleadError, match="1 of the 2"):
                ss.pack(given, OWNERS, 2)
            assert not chain.send(safe.exec_call(wallet, batch, given[0].part))
            continue
        packed = ss.pack(given, OWNERS, 2)
        assert chain.send(safe.exec_call(wallet, batch, packed))
        assert chain.balance(PAYEE) - before == expected
        assert not chain.send(safe.exec_call(wallet, batch, packed))  # its nonce is used


NESTED = [
    ("1.3.0", "1.3.0"),
    ("1.3.0", "1.4.1"),
    ("1.4.1", "1.3.0"),
    ("1.5.0", "1.3.0"),
    ("1.5.0", "1.4.1"),
    ("1.5.0", "1.5.0"),
]


@pytest.mark.parametrize(("outer", "inner"), NESTED)
def test_a_safe_owns_a_safe_of_another_release(chain: Chain, outer: str, inner: str) -> None:
    """Before 1.5.0 a contract that owns is handed the hashed bytes, from then on their hash."""
    owner = create_safe(chain.url, OWNERS, 2, 33, version=inner)
    wallet = create_safe(chain.url, [owner, OWNERS[0]], 2, 34, version=outer)
    give_eth(chain.url, wallet, 10**18)
    tx = SafeTx(PAYEE, 7, b"", 0, 0)
    typed = safe.typed(1, wallet, tx)
    message = ss.safe_message(1, owner, ss.nested_message(typed, outer))
    data = ss.pack([ss.by_key(message.digest, k.sign(message.digest)) for k in KEYS[:2]], OWNERS, 2)
    nested = ss.by_contract(owner, data)
    assert chain.holds(ss.check_one(wallet, typed, nested))
    assert not chain.holds(ss.check_one(wallet, typed, ss.by_contract(owner, data[:65])))
    packed = ss.pack([nested, ss.by_key(typed.digest, KEYS[0].sign(typed.digest))], [owner, OWNERS[0]], 2)
    assert chain.holds(ss.check_call(wallet, typed, packed))
    assert chain.send(safe.exec_call(wallet, tx, packed))


def test_an_owner_of_release_1_5_cannot_sign_for_an_older_safe_and_may_approve_instead(chain: Chain) -> None:
    """Its handler answers for a hash alone, and an older Safe hands it the bytes: approveHash is its way."""
    owner = create_safe(chain.url, OWNERS, 2, 35, version="1.5.0")
    wallet = create_safe(chain.url, [owner], 1, 36, version="1.4.1")
    typed = safe.typed(1, wallet, SafeTx(PAYEE, 0, b"", 0, 0))
    for about in ("1.4.1", "1.5.0"):
        message = ss.safe_message(1, owner, ss.nested_message(typed, about))
        data = ss.pack([ss.by_key(message.digest, k.sign(message.digest)) for k in KEYS[:2]], OWNERS, 2)
        assert not chain.holds(ss.check_one(wallet, typed, ss.by_contract(owner, data)))
    assert not chain.holds(ss.check_one(wallet, typed, ss.by_approval(owner)))
    approve = SafeTx(wallet, 0, encode("safe", "approveHash", (typed.digest,)), 0, 0)
    digest = safe_tx_hash(1, owner, approve)
    packed = ss.pack([ss.by_key(digest, k.sign(digest)) for k in KEYS[:2]], OWNERS, 2)
    assert chain.send(safe.exec_call(owner, approve, packed))
    assert chain.holds(ss.check_one(wallet, typed, ss.by_approval(owner)))


@pytest.mark.parametrize(("version", "layer2"), KINDS)
async def test_it_is_planned_created_and_identified(chain: Chain, version: str, layer2: bool) -> None:
    async with aiohttp.ClientSession() as session:
        gate = Gateway(1, [Async(chain.status.urls[1], session)])
        who = tuple(OWNERS)
        planned = await creating.plan(load(1), gate, who, 2, 37, layer2, version)
        assert (
            planned.address == safe_address(OWNERS, 2, 37, layer2=layer2, version=version)
            and not planned.exists
        )
        assert chain.send(planned.call)
        found = await identify(gate, planned.address)
        assert found.kind is WalletKind.SAFE and found.safe is not None
        assert found.safe.version == version + ("+L2" if layer2 else "")
        assert found.safe.fallback_handler == release(version).fallback_handler
        assert (found.safe.owners, found.safe.threshold) == (who, 2)
        with pytest.raises(FairleadError, match="1.1.1 is none of the releases"):
            await creating.plan(load(1), gate, who, 2, 37, layer2, "1.1.1")


async def test_what_is_not_one_of_them_is_refused_by_its_own_name(chain: Chain) -> None:
    """The very code of 1.4.1 at another address, and a proxy whose singleton tells another version than its own."""
    wallet = create_safe(chain.url, OWNERS, 2, 38)
    twin = Address("0x" + "5afe" * 10)
    chain.rpc("anvil_setCode", twin, chain.rpc("eth_getCode", release("1.4.1").safe, "latest"))
    chain.rpc("anvil_setStorageAt", wallet, hex(0), "0x" + "00" * 12 + twin[2:])
    async with aiohttp.ClientSession() as session:
        gate = Gateway(1, [Async(chain.status.urls[1], session)])
        found = await identify(gate, wallet)
        assert (
            found.kind is WalletKind.OTHER
            and found.claims == "1.4.1"
            and "none of the official" in found.what
        )
        old = create_safe(chain.url, OWNERS, 2, 39, version="1.3.0")
        older = bytes.fromhex(chain.rpc("eth_getCode", release("1.3.0").safe, "latest")[2:]).replace(
            b"1.3.0", b"1.1.1"
        )
        chain.rpc("anvil_setCode", release("1.3.0").safe, "0x" + older.hex())
        found = await identify(gate, old)
        assert found.kind is WalletKind.OTHER and found.safe is None
        assert found.what == "a contract that calls itself Safe 1.1.1; 1.3.0, 1.4.1, 1.5.0 are known here"


def test_all_that_is_known_stands_on_the_devnet_by_its_makers_factory(devnet: Status) -> None:
    for chain_id, url in devnet.urls.items():
        listed = {x.address: x for x in devnet.contracts if x.chain == chain_id}
        with Rpc(url) as rpc:
            for known in RELEASES:
                for address in _addresses(known):
                    assert rpc("eth_getCode", address, "latest") != "0x"
                    assert listed[address].label == "exact" and known.version in listed[address].name
    assert {r.multi_send_call_only for r in RELEASES} == OFFICIAL_MULTISEND_CALL_ONLY and len(SINGLETONS) == 8


def _addresses(known: SafeRelease) -> tuple[Address, ...]:
    return (
        known.safe, known.safe_l2, known.proxy_factory, known.fallback_handler, known.multi_send, known.multi_send_call_only,
    )  # fmt: skip
