"""Our Safe transaction hash against the genuine contract's getTransactionHash, over random transactions of every shape."""

from __future__ import annotations

import random

import custody as c
import pytest
from safe_hashes import contract_hashes, random_tx

from chains.devnet.funding import create_safe
from chains.devnet.jsonrpc import Rpc
from chains.devnet.service import Status
from keys.safe import safe_tx_hash

pytestmark = pytest.mark.devnet
AT_ONCE = 250


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
