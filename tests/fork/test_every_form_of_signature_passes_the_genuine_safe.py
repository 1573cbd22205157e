"""Key, eth_sign, pre-approved and nested-Safe signatures against the devnet's genuine Safe 1.4.1: its checkSignatures, and execution."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import custody as c
import pytest

from agent.app.bearer import FAILED
from chains.devnet.funding import create_safe, give_eth
from chains.devnet.jsonrpc import Rpc, RpcError
from chains.devnet.service import Status
from chains.types import Address, Call
from contracts.codec import decode_result, encode
from contracts.hashing import keccak
from keys import safe
from keys import safe_signatures as ss
from keys.curve import SigningKey, personal_digest
from keys.safe import SafeTx
from keys.safe_signatures import OwnerSignature
from keys.typed import TypedHash

pytestmark = pytest.mark.devnet
KEYS = [SigningKey(keccak(b"form %d" % i)) for i in range(10)]
INNER = [SigningKey(keccak(b"inner %d" % i)) for i in range(3)]
THIEF = Address(c.THIEF)


@dataclass
class World:
    rpc: Rpc
    wallet: Address
    inner: Address
    threshold: int
    owners: list[str]

    def typed(self, nonce: int = 0, value: int = 1) -> tuple[SafeTx, TypedHash]:
        tx = SafeTx(THIEF, value, b"", 0, nonce)
        return tx, safe.typed(1, self.wallet, tx)

    def ask(self, call: Call, sender: str = c.AGENT.address) -> str:
        return str(
            self.rpc("eth_call", {"from": sender, "to": call.to, "data": "0x" + call.data.hex()}, "latest")
        )

    def send(self, call: Call, sender: str) -> bool:
        return int(self.sent(call, sender)["status"], 16) == 1

    def sent(self, call: Call, sender: str) -> dict[str, Any]:
        """The receipt."""
        give_eth(self.rpc.url, sender, 10**18)
        self.rpc("anvil_impersonateAccount", sender)
        fields = {"from": sender, "to": call.to, "data": "0x" + call.data.hex(), "gas": hex(2_000_000)}
        sent = self.rpc("eth_sendTransaction", fields)
        self.rpc("evm_mine")
        receipt: dict[str, Any] = self.rpc("eth_getTransactionReceipt", sent)
        return receipt

    def approve(self, owner: SigningKey, typed: TypedHash) -> OwnerSignature:
        assert self.send(Call(self.wallet, encode("safe", "approveHash", (typed.digest,))), owner.address)
        return ss.by_approval(owner.address)

    def nested(self, typed: TypedHash) -> OwnerSignature:
        """The inner Safe's two owners approve, one of them by eth_sign."""
        message = ss.safe_message(1, self.inner, ss.nested_message(typed, "1.4.1"))
        parts = [
            ss.by_key(message.digest, INNER[0].sign(message.digest)),
            ss.by_message(message.digest, INNER[2].sign(personal_digest(message.digest))),
        ]
        return ss.by_contract(self.inner, ss.pack(parts, [k.address for k in INNER], 2))

    def holds(self, typed: TypedHash, packed: bytes) -> bool:
        try:
            self.ask(ss.check_call(self.wallet, typed, packed))
        except RpcError:
            return False
        return True


@pytest.fixture
def world(devnet: Status) -> Iterator[World]:
    url = devnet.cheat_urls[1]
    inner = create_safe(url, [Address(k.address) for k in INNER], 2, 4)
    owners = [*(k.address for k in KEYS[:9]), inner]
    wallet = create_safe(url, [Address(o) for o in owners], 7, 5)
    give_eth(url, wallet, 10**18)
    with Rpc(url) as rpc:
        yield World(rpc, wallet, inner, 7, owners)


def mixed(world: World, typed: TypedHash) -> list[OwnerSignature]:
    """Seven of ten, in all four forms, in no order."""
    return [
        ss.by_key(typed.digest, KEYS[8].sign(typed.digest)),
        world.nested(typed),
        world.approve(KEYS[1], typed),
        ss.by_message(typed.digest, KEYS[3].sign(personal_digest(typed.digest))),
        ss.by_key(typed.digest, KEYS[0].sign(typed.digest)),
        ss.by_message(typed.digest, KEYS[5].sign(personal_digest(typed.digest))),
        ss.by_key(typed.digest, KEYS[7].sign(typed.digest)),
    ]


def test_seven_of_ten_in_all_four_forms_are_checked_and_executed(world: World) -> None:
    tx, typed = world.typed(value=12345)
    told = world.ask(Call(world.wallet, encode("safe", "getTransactionHash", (tx.to, tx.value, tx.data, 0, 0, 0, 0, tx.gas_token, tx.refund_receiver, 0))))  # fmt: skip
    assert decode_result("safe", "getTransactionHash", bytes.fromhex(told[2:]))[0] == typed.digest
    packed = ss.pack(mixed(world, typed), world.owners, 7)
    assert len({s.form for s in ss.unpack(typed.digest, packed, world.owners, 7)}) == 4
    assert world.holds(typed, packed)
    before = int(world.rpc("eth_getBalance", THIEF, "latest"), 16)
    assert world.send(safe.exec_call(world.wallet, tx, packed), c.AGENT.address)
    assert int(world.rpc("eth_getBalance", THIEF, "latest"), 16) - before == 12345
    # The nonce is consumed: the very same signatures are worth nothing now.
    assert not world.send(safe.exec_call(world.wallet, tx, packed), c.AGENT.address)


def test_the_contract_and_we_refuse_the_same(world: World) -> None:
    _, typed = world.typed()
    given = mixed(world, typed)
    packed = ss.pack(given, world.owners, 7)
    parts = [packed[i : i + 65] for i in range(0, 7 * 65, 65)]
    tail = packed[7 * 65 :]

    def both_refuse(blob: bytes, about: TypedHash = typed) -> None:
        assert not world.holds(about, blob)
        with pytest.raises(Exception, match="SAFE_"):
            ss.unpack(about.digest, blob, world.owners, 7)

    for i, j in itertools.combinations(range(7), 2):
        swapped = list(parts)
        swapped[i], swapped[j] = swapped[j], swapped[i]
        both_refuse(b"".join(swapped) + tail)
    both_refuse(b"".join([parts[0], *parts[:6]]) + tail)
    both_refuse(packed[: 7 * 65])
    both_refuse(packed[: 6 * 65])
    both_refuse(packed, world.typed(nonce=1)[1])
    stranger = ss.by_key(typed.digest, KEYS[9].sign(typed.digest))
    at = sorted(range(7), key=lambda n: abs(int(given[n].owner, 16) - int(stranger.owner, 16)))[0]
    with pytest.raises(Exception, match="SAFE_SIGNATURE_FOREIGN"):
        ss.pack([*given[:at], stranger, *given[at + 1 :]], world.owners, 7)


def test_what_only_the_chain_knows_is_found_by_asking_the_safe(world: World) -> None:
    """An approval that was never given, and an inner Safe below its threshold, pack well and do not hold."""
    _, typed = world.typed()
    keys = [ss.by_key(typed.digest, k.sign(typed.digest)) for k in KEYS[:6]]
    unapproved = ss.pack([*keys, ss.by_approval(KEYS[6].address)], world.owners, 7)
    assert not world.holds(typed, unapproved)
    # … until the owner approves it.
    world.approve(KEYS[6], typed)
    assert world.holds(typed, unapproved)
    message = ss.safe_message(1, world.inner, typed.preimage)
    one = ss.by_contract(world.inner, INNER[0].sign(message.digest))
    assert not world.holds(typed, ss.pack([*keys, one], world.owners, 7))
    assert world.holds(typed, ss.pack([*keys, world.nested(typed)], world.owners, 7))


def test_gas_refund_and_nonce_do_at_the_safe_what_is_said_of_them(world: World) -> None:
    """Without safeTxGas a call that fails takes everything back, its nonce too. With it the nonce is used and the Safe says so. A refund is
    paid out of the Safe whatever became of the call: so nothing here builds one, and what pays one is refused (SAFE_REFUND)."""
    failing = encode("weth9", "withdraw", (1,))

    def carried(tx: SafeTx) -> dict[str, Any]:
        digest = safe.safe_tx_hash(1, world.wallet, tx)
        keys = [ss.by_key(digest, k.sign(digest)) for k in KEYS[:7]]
        call = safe.exec_call(world.wallet, tx, ss.pack(keys, world.owners, 7))
        return world.sent(call, c.AGENT.address)

    def nonce() -> int:
        return int(world.ask(Call(world.wallet, encode("safe", "nonce"))), 16)

    bare = SafeTx(Address(c.WETH), 0, failing, 0, 0)
    assert carried(bare)["status"] == "0x0" and nonce() == 0, "it can be executed once it would succeed"

    held = int(world.rpc("eth_getBalance", THIEF, "latest"), 16)
    used = carried(replace(bare, safe_tx_gas=100_000))
    digest = safe.safe_tx_hash(1, world.wallet, replace(bare, safe_tx_gas=100_000))
    said = [log for log in used["logs"] if log["topics"][0] == "0x" + FAILED.hex()]
    assert used["status"] == "0x1" and nonce() == 1 and said[0]["topics"][1] == "0x" + digest.hex()

    paying = replace(bare, nonce=1, base_gas=21_000, gas_price=10**9, refund_receiver=THIEF)
    paid = carried(paying)
    got = int(world.rpc("eth_getBalance", THIEF, "latest"), 16) - held
    assert paid["status"] == "0x1" and nonce() == 2, "a gas price alone makes a failure use the nonce, too"
    price = min(10**9, int(paid["effectiveGasPrice"], 16))
    assert 21_000 * price < got < (21_000 + int(paid["gasUsed"], 16)) * price
    assert carried(paying)["status"] == "0x0" and nonce() == 2, "the same once more is worth nothing"


def test_an_owner_who_sends_it_needs_no_signature(world: World) -> None:
    tx, typed = world.typed(value=7)
    keys = [ss.by_key(typed.digest, k.sign(typed.digest)) for k in KEYS[:6]]
    call = safe.exec_call(
        world.wallet, tx, ss.pack([*keys, ss.by_approval(KEYS[6].address)], world.owners, 7)
    )
    assert not world.send(call, c.AGENT.address)
    assert world.send(call, KEYS[6].address)
