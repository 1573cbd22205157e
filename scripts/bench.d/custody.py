"""What custody costs: a Safe transaction hashed and signed per owner, and the signer's judgement of a 12-leg batch.

    python scripts/bench.d/custody.py [--count 2000] [--seed 1]

safe-eth-py hashes and signs the same transactions in the same process. Exit 1 where a median is over its target
(0.3 ms for hash and signature, 1 ms for the judgement).
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests/support"))
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import custody as c

from chains.types import Address, Environment
from contracts.multisend import Part, calldata
from keys import safe
from keys.policy import Allowed, SafeTxRequest, judge_safe_tx
from keys.safe import DELEGATECALL, SafeTx

SIGN_MS, JUDGE_MS = 0.3, 1.0


def timed(work: Callable[[int], object], count: int) -> list[float]:
    found = []
    for n in range(count):
        began = time.perf_counter()
        work(n)
        found.append((time.perf_counter() - began) * 1e3)
    return sorted(found)


def line(name: str, found: list[float]) -> float:
    p50 = statistics.median(found)
    print(f"{name:<46} p50 {p50:7.3f} ms   p99 {found[int(len(found) * 0.99)]:7.3f} ms   n {len(found)}")
    return p50


def batch_of_twelve() -> SafeTx:
    """Two approvals and twelve swaps in one execution of the router."""
    legs = [c.v3_command(c.ETH // 12, 245 * 10**6) for _ in range(12)]
    return c.batch(
        c.approve(c.WETH, c.PERMIT2, c.ETH // 12 * 12),
        c.permit(c.WETH, c.ROUTER, c.ETH // 12 * 12),
        c.route(legs),
    )


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--count", type=int, default=2000)
    words.add_argument("--seed", type=int, default=1)
    given = words.parse_args()
    print(
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}; seed {given.seed}"
    )
    draw = Random(given.seed)
    txs = [
        SafeTx(Address(c.MULTISEND), 0, calldata([Part(c.WETH, 0, draw.randbytes(68)) for _ in range(4)]), DELEGATECALL, n)
        for n in range(given.count)
    ]  # fmt: skip
    owner = c.OWNERS[0]

    def ours(n: int) -> bytes:
        return owner.sign(safe.safe_tx_hash(1, Address(c.SAFE), txs[n]))

    signing = line("Safe transaction hashed and signed, one owner", timed(ours, given.count))

    from safe_eth.safe import SafeTx as TheirTx

    def theirs(n: int) -> bytes:
        tx = txs[n]
        made = TheirTx(
            None, c.SAFE, tx.to, 0, tx.data, tx.operation, 0, 0, 0, None, None, safe_nonce=tx.nonce, safe_version="1.4.1", chain_id=1
        )  # fmt: skip
        return made.sign(owner_secret)

    owner_secret = c.keccak(b"owner 0").hex()
    peer = line(f"peer: safe-eth-py {version('safe-eth-py')}", timed(theirs, min(given.count, 400)))
    if ours(0) != theirs(0):
        raise SystemExit("the two made different signatures")

    policy, ledger = c.settings(), c.EmptyLedger()
    request = SafeTxRequest(Environment.DEVNET, 1, Address(c.SAFE), batch_of_twelve(), c.NOW, c.NOW)
    verdict = judge_safe_tx(request, policy, ledger)
    if not isinstance(verdict, Allowed) or len(verdict.leaves) < 14:
        raise SystemExit(f"the honest batch is not allowed: {verdict}")
    judging = line("policy: a batch of 12 legs, decoded to the leaf", timed(lambda n: judge_safe_tx(request, policy, ledger), given.count))  # fmt: skip
    print(f"ratio to the peer {signing / peer:.2f}; targets {SIGN_MS} ms and {JUDGE_MS} ms")
    return 1 if signing > SIGN_MS or judging > JUDGE_MS else 0


if __name__ == "__main__":
    sys.exit(main())
