"""What a Uniswap V3 position holds and how that moves with the price, from its liquidity and ticks.

    amount0 = L (1/√p − 1/√b)      amount1 = L (√p − √a)      within [a, b]; outside, p is held at the nearer end
    V = L (2√p − √a − p/√b)        Δ = ∂V/∂p = amount0         Γ = ∂²V/∂p² = −L / (2 p^{3/2})

p is token1 per token0. Source: the V3 whitepaper, section 6; the derivatives are elementary. Amounts are integers, rounded down as the
contract pays them out; gamma is an exact rational of integers until its last division, which rounds to 18 digits.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, localcontext

from agent.amm.steps import amount0_down, amount1_down
from agent.amm.ticks import sqrt_price_at_tick
from agent.domain.units import WIDE, qty_exact

Q96 = 1 << 96


@dataclass(frozen=True, slots=True)
class Range:
    """One position: `owed_raw` are fees already credited. `symbols` and `decimals` of (token0, token1)."""

    name: str
    liquidity: int
    tick_lower: int
    tick_upper: int
    sqrt_price_x96: int
    symbols: tuple[str, str]
    decimals: tuple[int, int]
    owed_raw: tuple[int, int] = (0, 0)

    def amounts_raw(self) -> tuple[int, int]:
        """What burning all of it would pay now, base units of both tokens, without fees."""
        low, high = sqrt_price_at_tick(self.tick_lower), sqrt_price_at_tick(self.tick_upper)
        here = min(max(self.sqrt_price_x96, low), high)
        return amount0_down(here, high, self.liquidity), amount1_down(low, here, self.liquidity)

    @property
    def within(self) -> bool:
        """Whether the price is inside: only there the composition moves."""
        low, high = sqrt_price_at_tick(self.tick_lower), sqrt_price_at_tick(self.tick_upper)
        return low <= self.sqrt_price_x96 < high

    def exposure(self, symbol: str) -> Decimal:
        """How much of `symbol` it holds, fees included, whole units: its delta in that asset, the other one being money."""
        found = Decimal(0)
        for index, (name, raw) in enumerate(zip(self.symbols, self.amounts_raw(), strict=True)):
            if name == symbol:
                found = WIDE.add(found, qty_exact(raw + self.owed_raw[index], self.decimals[index]))
        return found

    def gamma(self, symbol: str) -> Decimal:
        """d(exposure)/d(price), whole units of `symbol` for each unit its price in the other token moves: never positive.

        Seen from token1 the price is 1/p, and what is held of it is L (√p − √a): the same formula with both tokens' decimals swapped.
        """
        if not self.within or symbol not in self.symbols:
            return Decimal(0)
        with localcontext(WIDE):
            d0, d1 = self.decimals
            root = Decimal(self.sqrt_price_x96) / Q96  # √(raw1 / raw0)
            if symbol == self.symbols[1]:
                d0, d1, root = d1, d0, 1 / root
            slope = -Decimal(self.liquidity) / (2 * root**3)  # raw units held, for each unit of the raw price
            return slope.scaleb(d1 - 2 * d0).quantize(Decimal(1).scaleb(-18))
