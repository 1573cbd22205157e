"""Our digest and UID of CoW orders against the genuine GPv2Settlement: it settles a trade only under the UID it computes itself.

An owner presigns our UID on chain; settle() of the same fields then gets past the signature to the limit price, which is set so that
it fails; one altered field, and the contract finds no presignature.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Iterator
from typing import Any

import pytest
from eth_utils.crypto import keccak

from chains.devnet import cow_orders, cow_solver
from chains.devnet.artifacts import artifact
from chains.devnet.jsonrpc import Rpc, RpcError
from chains.devnet.nodes import OPERATOR
from chains.devnet.service import Status
from chains.intents.cow import order_json
from chains.types import Address, CowOrder, Hash32
from contracts.codec import decode_result, encode
from contracts.hashing import checksum
from keys import cow_order

pytestmark = pytest.mark.devnet
SETTLEMENT = Address(cow_orders.SETTLEMENT)
EDGES = (1, 2**64 - 1, 2**96, 2**127)


@pytest.fixture
def rpc(devnet: Status) -> Iterator[Rpc]:
    with Rpc(devnet.cheat_urls[1]) as found:
        cow_solver.admit(found)
        found("anvil_autoImpersonateAccount", True)
        yield found


def random_order(rng: random.Random, owner: Address, now: int) -> CowOrder:
    def address() -> Address:
        return Address(checksum(rng.randbytes(20)))

    def number() -> int:
        return rng.choice([rng.choice(EDGES), 1 + rng.getrandbits(60), 1 + rng.getrandbits(120)])

    return CowOrder(
        1, SETTLEMENT, owner, address(), address(), address(), number(), number(), now + rng.randrange(10_000, 2**31),
        Hash32("0x" + rng.randbytes(32).hex()), 0, rng.random() < 0.5, rng.choice(("sell", "buy")),
    )  # fmt: skip


def trade_of(order: CowOrder) -> tuple[object, ...]:
    flags = int(order.buys) | (2 if order.partially_fillable else 0) | 3 << 5
    return (
        0, 1, order.receiver, order.sell_raw, order.buy_raw, order.valid_to, bytes.fromhex(order.app_data[2:]), order.fee_raw,
        flags, order.whole_raw, bytes.fromhex(order.owner[2:]),
    )  # fmt: skip


def settled(rpc: Rpc, order: CowOrder) -> str:
    """Why settle() refuses it at a price of nothing."""
    data = artifact("GPv2Settlement").call(
        "settle", [order.sell_token, order.buy_token], [0, 1], [trade_of(order)], [[], [], []]
    )
    with pytest.raises(RpcError) as refused:
        rpc("eth_call", {"from": OPERATOR, "to": SETTLEMENT, "data": "0x" + data.hex()}, "latest")
    return refused.value.message


ALTERATIONS: tuple[dict[str, Any], ...] = (
    {"receiver": Address("0x" + "11" * 20)},
    {"sell_raw": 7},
    {"buy_raw": 7},
    {"valid_to": 2**32 - 1},
    {"app_data": Hash32("0x" + "22" * 32)},
    {"buy_token": Address("0x" + "33" * 20)},
    {"kind": None},
)


def test_three_hundred_random_orders_settle_under_our_uid_and_no_altered_one_does(rpc: Rpc) -> None:
    rng = random.Random(11)
    now = int(rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
    owners = [Address(checksum(keccak(bytes([n]))[:20])) for n in range(4)]
    for owner in owners:
        rpc("anvil_setBalance", owner, hex(10**20))
    for number in range(300):
        order = random_order(rng, owners[number % 4], now)
        if number % 3 == 0:
            order = dataclasses.replace(order, receiver=order.owner)
        uid = bytes.fromhex(cow_order.uid(order)[2:])
        assert len(uid) == cow_order.UID_BYTES and uid[32:52].hex() == order.owner[2:].lower()
        presign = encode("gpv2_settlement", "setPreSignature", (uid, True))
        rpc.transact(
            {"from": order.owner, "to": SETTLEMENT, "data": "0x" + presign.hex(), "gas": hex(200_000)}
        )
        told = {**order_json(order, "presign", b"", "{}"), "appData": order.app_data}
        del told["appDataHash"]
        assert cow_orders.read(1, told).uid == cow_order.uid(
            order
        )  # the local book's own hash is a third opinion
        assert "limit price not respected" in settled(rpc, order)
        wrong = ALTERATIONS[number % len(ALTERATIONS)]
        if "kind" in wrong:
            wrong = {"kind": "sell" if order.buys else "buy"}
        altered = dataclasses.replace(order, **wrong)
        assert "order not presigned" in settled(rpc, altered)


def test_the_domain_is_the_contracts_own_and_not_another_chains(rpc: Rpc) -> None:
    asked = {"to": SETTLEMENT, "data": "0x" + encode("gpv2_settlement", "domainSeparator").hex()}
    answer = bytes.fromhex(rpc("eth_call", asked, "latest")[2:])
    (theirs,) = decode_result("gpv2_settlement", "domainSeparator", answer)
    assert cow_order.domain_separator(1, SETTLEMENT) == theirs
    assert cow_order.domain_separator(100, SETTLEMENT) != theirs


def test_the_published_constants_are_ours() -> None:
    """GPv2Order.TYPE_HASH, and the hash the API's documentation gives for the empty document."""
    assert (
        cow_order.ORDER_TYPEHASH.hex() == "d5a25ba2e97094ad7d83dc28a6572da797d6b3e7fc6663bd93efb789fc17e489"
    )
    assert cow_order.APP_DATA_HASH == "0xb48d38f93eaa084033fc5970bf96e559c33c4cdc07d889ab00b4d63f9590739d"
