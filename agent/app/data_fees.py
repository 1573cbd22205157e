"""What a rollup charges for a transaction's data on Ethereum, as gas of the wallet's transaction and of each of its legs: fixed costs of a plan there.

OP stack and Arbitrum charge by compressed bytes (`chains.l1_data`), and what is sent is known only once a plan is: here it is a Safe's
execTransaction of the Universal Router with one V3 swap a leg, two signatures, and nothing in its addresses and amounts to compress.
"""

from __future__ import annotations

from collections.abc import Callable

from chains.errors import Retry
from chains.evm import keccak
from chains.l1_data import DataPrices, data_prices
from chains.profile import ChainProfile
from chains.types import ChainReader, Fees
from contracts.codec import encode

FRESH_S = 12.0
"""Prices are asked for once in an Ethereum block."""


def sample(legs: int) -> bytes:
    """Calldata of a wallet's transaction with so many swaps, made the same every time."""

    def noise(name: str, size: int) -> bytes:
        return keccak(f"{name} of a sample".encode())[:size]

    def address(name: str) -> str:
        return "0x" + noise(name, 20).hex()

    swaps = []
    for n in range(legs):
        path = noise(f"from {n}", 20) + bytes((0, 1, 244)) + noise(f"to {n}", 20)
        words = [bytes(12) + noise("wallet", 20), bytes(22) + noise(f"in {n}", 10), bytes(22) + noise(f"out {n}", 10), (160).to_bytes(32, "big"), (1).to_bytes(32, "big")]  # fmt: skip
        swaps.append(b"".join(words) + len(path).to_bytes(32, "big") + path.ljust(64, b"\0"))
    routed = encode("universal_router", "execute(bytes,bytes[],uint256)", (bytes(legs), swaps, 1_800_000_000))
    values = (address("router"), 0, routed, 0, 0, 0, 0, "0x" + "00" * 20, "0x" + "00" * 20, noise("a", 32) + noise("b", 32) + b"\x1b" + noise("c", 32) + noise("d", 32) + b"\x1c")  # fmt: skip
    return encode("safe", "execTransaction", values)


def data_gas(prices: DataPrices | None, fees: Fees) -> tuple[int, int]:
    """(gas of a transaction's data without legs, that of each leg); nothing where data costs nothing."""
    if prices is None:
        return 0, 0
    one, three = (prices.gas(sample(legs), fees) for legs in (1, 3))
    each = max(three - one, 0) // 2
    return max(one - each, 0), each


class DataFees:
    """Each chain's prices of data as of the last Ethereum block or so."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._kept: dict[int, tuple[float, DataPrices | None]] = {}

    async def prices(self, profile: ChainProfile, chain: ChainReader) -> DataPrices | None:
        """What data costs there; None where it costs nothing, or is not told."""
        kept = self._kept.get(profile.chain_id)
        if kept is None or not 0 <= self._now_s() - kept[0] < FRESH_S:
            try:
                kept = self._now_s(), await data_prices(chain, profile, expected=False)
            except Retry:
                kept = kept or (self._now_s(), None)
            self._kept[profile.chain_id] = kept
        return kept[1]


__all__ = ["DataFees", "data_gas", "sample"]
