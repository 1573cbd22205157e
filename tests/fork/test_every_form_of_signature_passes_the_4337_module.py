"""User operations and messages of a Safe whose owners are a key, a contract and an account that approves hashes on chain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import custody as c
import pytest
from userop_support import SafeWorld

from chains.devnet.funding import create_safe, give_eth
from chains.errors import Denied, Reject
from chains.types import Address, Call
from chains.userops import UserOperation, handle_ops
from contracts.codec import encode
from contracts.hashing import keccak
from contracts.multisend import Part, calldata
from keys import erc4337, safe, safe_messages
from keys import safe_signatures as ss
from keys.curve import SigningKey, personal_digest
from keys.safe import DELEGATECALL, SafeTx
from keys.typed import TypedHash

pytestmark = pytest.mark.devnet
INNER = [SigningKey(keccak(b"an owner of the owner %d" % n)) for n in range(2)]
KEY, APPROVER = c.OWNERS[0], c.OWNERS[1]
PAYEE = Address("0x000000000000000000000000000000000000bEEF")


class Mixed:
    """A 2-of-3 Safe with the module: a key, an account that approves on chain, and a 2-of-2 Safe."""

    def __init__(self, world: SafeWorld) -> None:
        self.world = world
        self.inner = create_safe(world.rpc.url, [Address(k.address) for k in INNER], 2, 4711)
        self.owners = [Address(KEY.address), Address(APPROVER.address), self.inner]
        self.safe = create_safe(world.rpc.url, self.owners, 2, 4712)
        tx = SafeTx(Address(c.MULTISEND), 0, calldata(erc4337.enabling(self.safe)), DELEGATECALL, 0)
        typed = safe.typed(1, self.safe, tx)
        given = [ss.by_key(typed.digest, KEY.sign(typed.digest)), self.by_contract(typed)]
        world.transact(self.safe, safe.exec_transaction(tx, ss.pack(given, self.owners, 2)))
        give_eth(world.rpc.url, self.safe, 10 * c.ETH)

    def by_contract(self, typed: TypedHash, signers: list[SigningKey] = INNER) -> ss.OwnerSignature:
        """The inner Safe's word on what the outer Safe is to sign."""
        message = ss.safe_message(1, self.inner, ss.nested_message(typed, "1.4.1"))
        parts = [ss.by_key(message.digest, k.sign(message.digest)) for k in signers]
        return ss.by_contract(self.inner, ss.pack(parts, [k.address for k in signers], len(signers)))

    def approve(self, digest: bytes) -> ss.OwnerSignature:
        rpc, who = self.world.rpc, APPROVER.address
        give_eth(rpc.url, who, c.ETH)
        rpc("anvil_impersonateAccount", who)
        data = "0x" + encode("safe", "approveHash", (digest,)).hex()
        rpc.transact({"from": who, "to": self.safe, "data": data, "gas": hex(200_000)})
        return ss.by_approval(who)

    async def holds(self, typed: TypedHash, packed: bytes) -> bool:
        return (await self.world.chain.call(ss.check_call(self.safe, typed, packed))).ok


@pytest.fixture
def mixed(safe_world: SafeWorld) -> Mixed:
    return Mixed(safe_world)


def _key(of: Mixed, typed: TypedHash) -> ss.OwnerSignature:
    return ss.by_key(typed.digest, KEY.sign(typed.digest))


def _message(of: Mixed, typed: TypedHash) -> ss.OwnerSignature:
    return ss.by_message(typed.digest, KEY.sign(personal_digest(typed.digest)))


def _contract(of: Mixed, typed: TypedHash) -> ss.OwnerSignature:
    return of.by_contract(typed)


def _approved(of: Mixed, typed: TypedHash) -> ss.OwnerSignature:
    return of.approve(typed.digest)


Form = Callable[[Mixed, TypedHash], ss.OwnerSignature]
PAIRS: list[tuple[Form, Form]] = [(_key, _contract), (_contract, _approved), (_message, _approved)]


async def test_operations_execute_and_messages_hold_in_every_form(mixed: Mixed) -> None:
    """What the module, the EntryPoint and the handler take is what is packed here; the bundler takes what reads no other account's storage."""
    world = mixed.world
    for nonce, pair in enumerate(PAIRS):
        window = world.window()
        op = world.operation(mixed.safe, Part(PAYEE, 1, b""), nonce=nonce)
        op = replace(op, call_gas=200_000, verification_gas=600_000, pre_verification_gas=120_000)
        typed = erc4337.safe_op_typed(1, op, window)
        given = [form(mixed, typed) for form in pair]
        done = erc4337.signed(1, op, window, [g.alone for g in given], mixed.owners, 2)
        signers = erc4337.check_signed(1, done, mixed.owners, 2, world.now)
        assert set(signers) == {g.owner for g in given}
        assert await mixed.holds(typed, done.signature[12:]), "the Safe itself confirms the claims"
        before = int(world.rpc("eth_getBalance", PAYEE, "latest"), 16)
        if _contract in pair:
            # ERC-7562: an owner that is a contract reads its own storage; no public bundler takes that. The EntryPoint does.
            with pytest.raises(Reject, match="STO-033"):
                await world.bundler.send(done)
            call = handle_ops([done], Address(KEY.address))
            world.transact(call.to, call.data)
        else:
            await world.settled(await world.bundler.send(done))
        assert int(world.rpc("eth_getBalance", PAYEE, "latest"), 16) == before + 1

        asked = keccak(b"what a contract asks about %d" % nonce)
        typed = safe_messages.hash_typed(1, mixed.safe, asked)
        given = [form(mixed, typed) for form in pair]
        packed = safe_messages.signature(1, mixed.safe, asked, [g.alone for g in given], mixed.owners, 2)
        answer = await world.chain.call(Call(mixed.safe, encode("safe", "isValidSignature", (asked, packed))))
        assert answer.ok and answer.data[:4] == safe_messages.MAGIC
        other = await world.chain.call(
            Call(mixed.safe, encode("safe", "isValidSignature", (keccak(asked), packed)))
        )
        assert not other.ok or other.data[:4] != safe_messages.MAGIC


async def test_what_is_only_said_does_not_hold(mixed: Mixed) -> None:
    world, window = mixed.world, mixed.world.window()
    op = world.operation(mixed.safe, Part(PAYEE, 1, b""))
    op = replace(op, call_gas=200_000, verification_gas=600_000, pre_verification_gas=120_000)
    typed = erc4337.safe_op_typed(1, op, window)
    mine = _key(mixed, typed)
    never = ss.by_approval(APPROVER.address)
    half = mixed.by_contract(typed, INNER[:1])
    for claim in (never, half):
        done = erc4337.signed(1, op, window, [mine.alone, claim.alone], mixed.owners, 2)
        assert not await mixed.holds(typed, done.signature[12:])
        with pytest.raises(Reject):
            await world.bundler.send(done)
    good = erc4337.signed(1, op, window, [mine.alone, mixed.by_contract(typed).alone], mixed.owners, 2)

    def refused(changed: UserOperation, code: str) -> None:
        with pytest.raises(Denied) as told:
            erc4337.check_signed(1, changed, mixed.owners, 2, world.now)
        assert told.value.code == code

    refused(replace(good, signature=good.signature + b"\0"), "SAFE_SIGNATURE_INVALID")
    refused(replace(good, signature=good.signature[:-1]), "SAFE_SIGNATURE_INVALID")
    refused(replace(good, call_gas=1), "SAFE_SIGNATURE_FOREIGN")
    with pytest.raises(Denied) as twice:
        erc4337.signed(1, op, window, [mine.alone, _message(mixed, typed).alone], mixed.owners, 2)
    assert twice.value.code == "SAFE_SIGNATURE_DUPLICATE"
