"""Random Safe transactions of every shape, and the genuine contract's own hashes of them."""

from __future__ import annotations

import random

from chains.devnet.jsonrpc import Rpc
from chains.multicall import MULTICALL3
from chains.types import ZERO_ADDRESS, Address
from contracts.codec import decode_result, encode
from contracts.hashing import checksum
from keys.safe import SafeTx

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
