"""Paymaster fields on the genuine EntryPoint, with the VerifyingPaymaster of the EntryPoint's own package."""

from __future__ import annotations

from dataclasses import replace

import custody as c
import pytest
from eth_abi.abi import encode as abi_encode
from userop_support import SafeWorld, sale

from chains.devnet.addresses import ENTRY_POINT
from chains.devnet.artifacts import artifact
from chains.devnet.funding import token_balance
from chains.errors import Reject
from chains.types import Address
from chains.userops import Paymaster, UserOperation, packed
from contracts.codec import encode
from contracts.hashing import keccak, to_checksum
from keys.curve import personal_digest

pytestmark = pytest.mark.devnet
SPONSOR = c.AGENT
UNTIL, AFTER = 2**40, 0
STUB = abi_encode(["uint48", "uint48"], [UNTIL, AFTER]) + SPONSOR.sign(keccak(b"stub"))


def deployed(world: SafeWorld, deposit: int) -> Address:
    """A VerifyingPaymaster that trusts SPONSOR's signature, with a deposit in the EntryPoint."""
    creation = artifact("VerifyingPaymaster").creation(ENTRY_POINT, SPONSOR.address)
    made = world.rpc.transact({"from": world.nobody(), "data": "0x" + creation.hex(), "gas": hex(3_000_000)})
    assert made["status"] == "0x1"
    paymaster = Address(to_checksum(made["contractAddress"]))
    world.transact(ENTRY_POINT, encode("entry_point_07", "depositTo", (paymaster,)), value=deposit)
    return paymaster


def sponsored(world: SafeWorld, op: UserOperation, sponsor: object = SPONSOR) -> UserOperation:
    """The sponsor's signature over the operation, as the paymaster's own getHash says."""
    assert op.paymaster is not None and hasattr(sponsor, "sign")
    stub = replace(op, paymaster=replace(op.paymaster, data=STUB))
    ask = artifact("VerifyingPaymaster").call("getHash", tuple(packed(stub).values()), UNTIL, AFTER)
    digest = bytes.fromhex(
        world.rpc("eth_call", {"to": op.paymaster.address, "data": "0x" + ask.hex()}, "latest")[2:]
    )
    return replace(
        op, paymaster=replace(op.paymaster, data=STUB[:64] + sponsor.sign(personal_digest(digest)))
    )


async def test_a_safe_without_ether_trades(safe_world: SafeWorld) -> None:
    paymaster = deployed(safe_world, c.ETH)
    wallet = safe_world.safe_with_module(1)
    safe_world.rpc("anvil_setBalance", wallet, "0x0")
    op = replace(
        safe_world.operation(wallet, *sale(wallet, c.ETH)), paymaster=Paymaster(paymaster, 0, 40_000, STUB)
    )
    op = await safe_world.estimated(op)
    assert op.paymaster is not None
    assert op.paymaster.verification_gas > 5_000 and op.paymaster.post_op_gas == 40_000
    op = safe_world.signed(sponsored(safe_world, op))
    # The contract reads back the very fields that were packed.
    parse = artifact("VerifyingPaymaster").call("parsePaymasterAndData", op.paymaster_and_data)
    read = safe_world.rpc("eth_call", {"to": paymaster, "data": "0x" + parse.hex()}, "latest")
    until, after, signature = artifact("VerifyingPaymaster").read(
        "parsePaymasterAndData", bytes.fromhex(read[2:]), 1
    )
    assert (until, after, STUB[:64] + signature) == (UNTIL, AFTER, op.paymaster.data)
    got = await safe_world.settled(await safe_world.bundler.send(op))
    assert got.success and got.paymaster == paymaster, got.reason
    assert token_balance(safe_world.rpc, c.WETH, wallet) == 49 * c.ETH
    assert c.ETH - await safe_world.deposit(paymaster) == got.gas_cost_wei > 0
    assert (
        await safe_world.deposit(wallet) == int(safe_world.rpc("eth_getBalance", wallet, "latest"), 16) == 0
    )


async def test_a_paymaster_that_does_not_agree_or_cannot_pay_is_the_reason_given(
    safe_world: SafeWorld,
) -> None:
    paymaster = deployed(safe_world, 10**12)
    wallet = safe_world.safe_with_module(2)
    op = replace(
        safe_world.operation(wallet, *sale(wallet, c.ETH)), paymaster=Paymaster(paymaster, 0, 40_000, STUB)
    )
    op = await safe_world.estimated(op)
    with pytest.raises(Reject, match="AA31") as caught:
        await safe_world.bundler.send(safe_world.signed(sponsored(safe_world, op)))
    assert caught.value.code == "USER_OP_PAYMASTER_FUNDS"
    safe_world.transact(ENTRY_POINT, encode("entry_point_07", "depositTo", (paymaster,)), value=c.ETH)
    with pytest.raises(Reject, match="AA34") as caught:
        await safe_world.bundler.send(safe_world.signed(sponsored(safe_world, op, c.RELAY)))
    assert caught.value.code == "USER_OP_PAYMASTER"
    assert op.paymaster is not None
    short = replace(op, paymaster=replace(op.paymaster, data=STUB[:64]))
    with pytest.raises(Reject, match="invalid signature length") as caught:
        await safe_world.bundler.send(safe_world.signed(short))
    assert caught.value.code == "USER_OP_PAYMASTER"
    # The owners signed for this paymaster and its data: another's cannot be put in its place.
    good = safe_world.signed(sponsored(safe_world, op))
    assert good.paymaster is not None
    swapped = replace(good, paymaster=replace(good.paymaster, post_op_gas=40_001))
    with pytest.raises(Reject) as caught:
        await safe_world.bundler.send(swapped)
    assert caught.value.code in ("USER_OP_SIGNATURE", "USER_OP_PAYMASTER")
    assert (await safe_world.settled(await safe_world.bundler.send(good))).success
