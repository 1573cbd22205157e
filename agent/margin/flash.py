"""A debt repaid out of the account's own collateral in one transaction: what the purchase of the debt's asset takes, and how much may be asked. Pure.

The pools pay out first (contracts/src/FlashRepay.sol), so that health never has to hold in between, and there is no premium beside the
pools' own fees. In one step x = (H·D − C)/(H − LT·(1 + f)) with a loss of f; here x is found on the pools' and the version's own integers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from agent.amm import ConcentratedPool, Reverted, swap_exact_out
from agent.domain.units import WIDE
from agent.margin.worths import DOLLAR, worth_usd

FLASH = "repay_by_flash"


@dataclass(frozen=True, slots=True)
class Purchase:
    """`tokens` is the way backwards: what is owed, what stands in between, what is lent; `pools` lie between each and the next."""

    tokens: tuple[str, ...]
    pools: tuple[ConcentratedPool, ...]

    @property
    def lent(self) -> str:
        return self.tokens[-1]

    def takes(self, raw: int) -> int | None:
        """Base units of what is lent that buying exactly `raw` of what is owed takes. None where the pools do not hold as much."""
        for bought, sold, pool in zip(self.tokens, self.tokens[1:], self.pools, strict=False):
            swapped = swap_exact_out(pool, sold, bought, raw) if raw > 0 else None
            if swapped is None or isinstance(swapped, Reverted) or swapped.amount_out < raw:
                return None
            raw = swapped.amount_in
        return raw


def purchases(
    pools: Mapping[str, ConcentratedPool], owed: str, lent: str, most: int, probe_raw: int
) -> list[Purchase]:
    """Ways over one pool or two, at most so many, first those that take least for `probe_raw`."""
    found = [p for p in _ways(list(pools.values()), owed, lent) if p.takes(probe_raw) is not None]
    return sorted(found, key=lambda p: (p.takes(probe_raw) or 0, len(p.pools)))[:most]


def _ways(pools: Sequence[ConcentratedPool], owed: str, lent: str) -> Iterator[Purchase]:
    for pool in pools:
        if owed not in pool.assets:
            continue
        other = next(a for a in pool.assets if a != owed)
        if other == lent:
            yield Purchase((owed, lent), (pool,))
            continue
        for second in pools:
            if set(second.assets) == {other, lent}:
                yield Purchase((owed, other, lent), (pool, second))


def loss_usd(account: Any, way: Purchase, raw: int, unit_usd: Decimal = DOLLAR) -> Decimal | None:
    """What the collateral taken is worth above the debt repaid, by the protocol's prices, never below nothing. None: not to be had."""
    taken = way.takes(raw)
    if taken is None:
        return None
    given, paid = (worth_usd(account, a, r, unit_usd) for a, r in ((way.lent, taken), (way.tokens[0], raw)))
    return max(WIDE.subtract(given, paid), Decimal(0))


def most_raw(account: Any, way: Purchase, due: int, lent_raw: int, most_usd: Decimal) -> int:
    """The most of `due` that the way repays for no more than what is lent, and no more lost than `most_usd`. Both grow with the amount."""

    def fine(raw: int) -> bool:
        lost = loss_usd(account, way, raw)
        return lost is not None and lost <= most_usd and (way.takes(raw) or 0) <= lent_raw

    return largest(fine, due)


def largest(fine: Callable[[int], bool], most: int) -> int:
    """The largest whole number up to `most` for which it is true; 0 where it never is. True below what is true."""
    if most <= 0 or fine(most):
        return max(most, 0)
    low, high = 0, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fine(middle) else (low, middle)
    return low
