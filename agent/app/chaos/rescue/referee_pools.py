"""What Uniswap V3 pools take for an exact amount, by the referee's own arithmetic: fractions over the liquidity that it reads of the chain.

The whitepaper's (6.13 to 6.16): between two prices Δx = L·Δ(1/√P) goes out and Δy = L·Δ√P comes in, the fee on top of what comes in.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

Read = Callable[[str, str, str, tuple[Any, ...], int | str], tuple[Any, ...]]
"""(address, contract, function, arguments, block) to what it answers."""
PIPS = 10**6
WIDE_TICKS = 45_000
"""No position of these crises' pools reaches further from where the price began."""


class Pool:
    """One pool of USDC (first) and WETH (second): its liquidity by ticks does not change, its price does."""

    def __init__(self, read: Read, address: str) -> None:
        self._read, self.address = read, address
        self.fee = Fraction(int(read(address, "uniswap_v3_pool", "fee", (), "latest")[0]), PIPS)
        spacing = int(read(address, "uniswap_v3_pool", "tickSpacing", (), "latest")[0])
        now = int(read(address, "uniswap_v3_pool", "slot0", (), "latest")[1])
        first, last = ((now + side * WIDE_TICKS) // spacing >> 8 for side in (-1, 1))
        found = []
        for word in range(first, last + 1):
            bits = int(read(address, "uniswap_v3_pool", "tickBitmap", (word,), "latest")[0])
            found += [((word << 8) + n) * spacing for n in range(256) if bits >> n & 1]
        net = {t: int(read(address, "uniswap_v3_pool", "ticks", (t,), "latest")[1]) for t in found}
        self.steps = [(sqrt_at(tick), net[tick]) for tick in found]

    def sqrt_px(self, block: int) -> Fraction:
        return Fraction(int(self._read(self.address, "uniswap_v3_pool", "slot0", (), block)[0]), 1 << 96)

    def takes(self, sqrt_px: Fraction, out_raw: int) -> Fraction | None:
        """Wei of WETH that exactly so many units of USDC take, from that price on. None where they are not there."""
        liquidity = sum(net for at, net in self.steps if at <= sqrt_px)
        left, taken = Fraction(out_raw), Fraction(0)
        for at, net in self.steps:
            if at <= sqrt_px:
                continue
            if liquidity:
                there = liquidity * (1 / sqrt_px - 1 / at)
                if there >= left:
                    end = 1 / (1 / sqrt_px - left / liquidity)
                    return (taken + liquidity * (end - sqrt_px)) / (1 - self.fee)
                left, taken = left - there, taken + liquidity * (at - sqrt_px)
            sqrt_px, liquidity = at, liquidity + net
        return None


def sqrt_at(tick: int) -> Fraction:
    """√1.0001^tick, to more digits than the pools' own 96 bits; a fraction over 2^112, so that what is computed with it stays small."""
    with localcontext() as wide:
        wide.prec = 60
        return Fraction(int((Decimal("1.0001") ** tick).sqrt() * (1 << 112)), 1 << 112)


def least_taken(pools: list[Pool], sqrt_px: list[Fraction], out_raw: int) -> Fraction | None:
    """What the cheapest of them takes, each at its price."""
    found = [pool.takes(at, out_raw) for pool, at in zip(pools, sqrt_px, strict=True)]
    return min((one for one in found if one is not None), default=None)
