"""Our Safe transaction hash against the genuine contract's getTransactionHash, over random transactions of every shape."""

from __future__ import annotations

import random

import custody as c
import pytest

from chains.devnet.funding import create_safe
from chains.devnet.jsonrpc import Rpc
from chains.devnet.service import Status
from chains.multicall import MULTICALL3
from chains.types import ZERO_ADDRESS, Address
from contracts.codec import decode_result, encode
from contracts.hashing import checksum
from keys.safe import SafeTx, safe_tx_hash

pytestmark = pytest.mark.devnet
AT_ONCE = 250
EDGES = (0, 1, 2**64 - 1, 2**128, 2**255, 2**256 - 1)


def random_tx(rng: random.Random) -> SafeTx:
    def address() -> Address:
        return rng.choice([ZERO_ADDRESS, Address(checksum(rng.randbytes(20)))])

    def number() -> int:
        return rng.choice([rng.choice(EDGES), rng.getrandbits(64), rng.getrandbits(256)])

    size = rng.choice([0, 1, 31, 32, 33, rng.randrange(600)])
    return SafeTx(
        address(), number(), rng.randbytes(size), rng.randrange(2), number(), number(), number(), number(), address(), address()
    )  # fmt: skip


def contract_hashes(rpc: Rpc, safe: str, txs: list[SafeTx]) -> list[bytes]:
    """One eth_call for all of them, through Multicall3."""
    asked = [
        encode(
            "safe",
            "getTransactionHash",
            (t.to, t.value, t.data, t.operation, t.safe_tx_gas, t.base_gas, t.gas_price, t.gas_token, t.refund_receiver, t.nonce),
        )
        for t in txs
    ]  # fmt: skip
    data = encode("multicall3", "aggregate3", ([(safe, False, call) for call in asked],))
    answer = rpc("eth_call", {"to": MULTICALL3, "data": "0x" + data.hex()}, "latest")
    results = decode_result("multicall3", "aggregate3", bytes.fromhex(answer[2:]))[0]
    return [decode_result("safe", "getTransactionHash", r["returnData"])[0] for r in results]


def compare(devnet: Status, chain_id: int, count: int, seed: int) -> None:
    rng = random.Random(seed)
    safe = create_safe(devnet.cheat_urls[chain_id], [o.address for o in c.OWNERS], 2, layer2=chain_id != 1)
    compared = 0
    with Rpc(devnet.cheat_urls[chain_id]) as rpc:
        while compared < count:
            txs = [random_tx(rng) for _ in range(min(AT_ONCE, count - compared))]
            theirs = contract_hashes(rpc, safe, txs)
            for tx, theirs_of_it in zip(txs, theirs, strict=True):
                assert safe_tx_hash(chain_id, safe, tx) == theirs_of_it, tx
            compared += len(txs)
    assert compared == count


@pytest.mark.parametrize("chain_id", [1, 8453, 42161])
def test_a_hundred_random_transactions_on_each_chain(devnet: Status, chain_id: int) -> None:
    compare(devnet, chain_id, 100, chain_id)


def test_ten_thousand_random_transactions(devnet: Status) -> None:
    compare(devnet, 1, 10_000, 7)
