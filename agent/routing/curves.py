"""Pools and books as float curves: what the search walks. They rank; every amount that is promised is an exact swap's.

A curve never changes; where it stands is a state, a small tuple that the caller keeps. Differences of large numbers are
written so that nothing cancels: a sale of a billionth of a reserve is still right to about ten digits.

Formula sources: those of the exact curves in `agent.amm`; StableSwap's balance is the root of a quadratic, solved as one.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from math import exp, expm1, log, log1p, sqrt
from operator import sub
from typing import Any, Protocol, TypeAlias

from agent.amm import (
    BalancerStablePool,
    ConcentratedPool,
    ConcentratedV4Pool,
    ConstantProductPool,
    CurvePool,
    Pool,
    SolidlyPool,
    WeightedPool,
)

State: TypeAlias = tuple[Any, ...]
Sold: TypeAlias = tuple[float, State, int]
"""What came out in raw units, where the curve stands then, and how many initialised ticks were crossed."""

PRODUCT, RANGES, WEIGHTED, STABLE, SOLIDLY, DEPTH = range(6)
Row: TypeAlias = tuple[int, list[float], list[float]]
"""A curve as numbers: which arithmetic, its constants, its state at the start."""

_HALF_LOG = log(1.0001) / 2
_MAX_WEIGHTED = 1.3
_POWER_MARGIN = 1e-14
_CLOSE = 4e-16


class Curve(Protocol):
    """`start` is the untouched state; `gas` and `gas_per_tick` are the pool's (none for a book)."""

    start: State
    gas: int
    gas_per_tick: int

    def sell(self, state: State, i: int, j: int, amount: float) -> Sold | None:
        """Sells `amount` > 0 raw of asset `i` for asset `j`; None past the end of the liquidity."""
        ...

    def row(self) -> Row:
        """The curve for `agent.routing.kernels.sales`, which walks many of them laid side by side."""
        ...


class Product:
    """x * y = k. `keeps_fee`: whether the fee stays in the reserves."""

    gas_per_tick = 0

    def __init__(self, pool: ConstantProductPool | SolidlyPool, fee: float, keeps_fee: bool) -> None:
        self.gas, self._keep, self._keeps_fee = pool.gas, 1 - fee, keeps_fee
        self.start: State = (float(pool.reserves[0]), float(pool.reserves[1]))

    def sell(self, state: State, i: int, j: int, amount: float) -> Sold | None:
        x, y = state[i], state[j]
        net = amount * self._keep
        if not x or not y or not net:
            return None
        out = net * y / (x + net)
        x += amount if self._keeps_fee else net
        return out, (x, y - out) if i == 0 else (y - out, x), 0

    def row(self) -> Row:
        """Constants: what of the input counts, whether the fee stays."""
        return PRODUCT, [self._keep, float(self._keeps_fee)], list(self.start)


class Concentrated:
    """Liquidity in ranges between initialised ticks. The state is (sqrt price, liquidity, index of the tick above)."""

    def __init__(self, pool: ConcentratedPool | ConcentratedV4Pool) -> None:
        self.gas, self.gas_per_tick = pool.gas, pool.gas_per_tick
        self._ticks, self._nets = pool.table.ticks, pool.table.nets
        fees = (
            (pool.fee_pips, pool.fee_pips)
            if isinstance(pool, ConcentratedPool)
            else (pool.swap_fee_pips(0), pool.swap_fee_pips(1))
        )
        self._keep = (1 - fees[0] / 1e6, 1 - fees[1] / 1e6)
        self.start: State = (pool.sqrt_price_x96 / 2**96, pool.liquidity, pool.table.above(pool.tick))

    def sell(self, state: State, i: int, j: int, amount: float) -> Sold | None:
        s, liquidity, k = state
        ticks, nets = self._ticks, self._nets
        net = amount * self._keep[i]
        out, crossed = 0.0, 0
        if not s or not net:
            return None
        if i == 0:
            while k > 0:
                low = exp(ticks[k - 1] * _HALF_LOG)
                if liquidity > 0:
                    moved = net * s
                    whole = liquidity + moved
                    after = liquidity * s / whole
                    if after >= low:
                        return out + liquidity * s * (moved / whole), (after, liquidity, k), crossed
                    net -= liquidity * (s - low) / (s * low)
                    out += liquidity * (s - low)
                k -= 1
                s, liquidity, crossed = low, liquidity - nets[k], crossed + 1
            return None
        count = len(ticks)
        while k < count:
            high = exp(ticks[k] * _HALF_LOG)
            if liquidity > 0:
                after = s + net / liquidity
                if after <= high:
                    return out + net / (s * after), (after, liquidity, k), crossed
                net -= liquidity * (high - s)
                out += liquidity * (high - s) / (s * high)
            s, liquidity, crossed = high, liquidity + nets[k], crossed + 1
            k += 1
        return None

    def row(self) -> Row:
        """Constants: what of either input counts, how many ticks, their square-root prices, the liquidity below each and above the last.
        State: square-root price, index of the tick above."""
        s, liquidity, at = self.start
        nets = self._nets
        below = list(accumulate(reversed(nets[:at]), sub, initial=liquidity))[::-1]
        above = list(accumulate(nets[at:], initial=liquidity))[1:]
        edges = [exp(tick * _HALF_LOG) for tick in self._ticks]
        return RANGES, [*self._keep, float(len(edges)), *edges, *map(float, below), *map(float, above)], [s, float(at)]  # fmt: skip


class Weighted:
    """The product of balances to the power of their weights; at most three tenths of a balance may be sold at once.

    A plan sells to a pool once in each direction, so the limit is on all that the search has sold since the start.
    """

    gas_per_tick = 0

    def __init__(self, pool: WeightedPool) -> None:
        self.gas, self._keep, self._weights = pool.gas, 1 - pool.fee_1e18 / 1e18, pool.weights
        self.start: State = tuple(map(float, pool.balances))

    def sell(self, state: State, i: int, j: int, amount: float) -> Sold | None:
        net = amount * self._keep
        if not state[i] or not state[j] or not net or state[i] + net > _MAX_WEIGHTED * self.start[i]:
            return None
        share = -expm1(-self._weights[i] / self._weights[j] * log1p(net / state[i]))
        # The contract rounds its power up by this much, which is all of a very small sale; powers it multiplies are exact.
        if self._weights[i] not in (self._weights[j], 2 * self._weights[j], 4 * self._weights[j]):
            share -= (1 - share) * _POWER_MARGIN + 1e-18
        if share <= 0:
            return None
        out = state[j] * share
        balances = list(state)
        balances[i] += amount
        balances[j] -= out
        return out, tuple(balances), 0

    def row(self) -> Row:
        """Constants: how many assets, what of the input counts, and by pair the power and whether the contract rounds it; the start once more."""
        weights = self._weights
        powers = [-given / got for given in weights for got in weights]
        rounded = [float(given not in (got, 2 * got, 4 * got)) for given in weights for got in weights]
        return WEIGHTED, [float(len(weights)), self._keep, *powers, *rounded, *self.start], list(self.start)


class Stable:
    """A n**n S + D = A D n**n + D**(n+1) / (n**n P) over scaled balances; the state's last entry is a guess of D."""

    gas_per_tick = 0

    def __init__(self, pool: BalancerStablePool | CurvePool) -> None:
        self.gas = pool.gas
        self._scale = [scaling / 1e18 for scaling in pool.scaling]
        count = len(pool.balances)
        self._ann = pool.amp * count / pool.amp_precision
        if isinstance(pool, CurvePool):
            self._keep_in, self._keep_out = 1.0, 1 - pool.fee_1e10 / 1e10
            self._leaves = self._keep_out + pool.fee_1e10 / 1e10 * (pool.admin_fee_1e10 / 1e10)
        else:
            self._keep_in, self._keep_out, self._leaves = 1 - pool.fee_1e18 / 1e18, 1.0, 1.0
        balances = [b * s for b, s in zip(pool.balances, self._scale, strict=True)]
        total = sum(balances)
        guess = self._invariant(tuple(balances), total) if all(balances) else total
        self.start: State = (*balances, guess)

    def _invariant(self, balances: State, guess: float) -> float:
        n, ann, total, d = len(balances), self._ann, 0.0, guess
        for x in balances:
            # Not `sum`: from Python 3.12 on that rounds otherwise.
            total += x
        for _ in range(64):
            part = d
            for x in balances:
                part *= d / (x * n)
            before = d
            d = (ann * total + n * part) * d / ((ann - 1) * d + (n + 1) * part)
            if abs(d - before) <= _CLOSE * d:
                break
        return d

    def sell(self, state: State, i: int, j: int, amount: float) -> Sold | None:
        balances = state[:-1]
        if not all(balances):
            return None
        d = self._invariant(balances, state[-1])
        n = len(balances)
        c, others = d, 0.0
        for k, x in enumerate(balances):
            if k != j:
                c *= d / (x * n)
                others += x
        c *= d / (self._ann * n)
        into = amount * self._scale[i]
        moved = into * self._keep_in
        y = balances[j]
        # The paid balance is the root of y**2 + (b - d) y = c; only how far it moves is solved for.
        gap = moved * (y + c / (balances[i] + moved))
        slope = 2 * y + others + d / self._ann - d + moved
        under = slope * slope - 4 * gap
        if under < 0:
            return None
        fell = 2 * gap / (slope + sqrt(under))
        if fell >= y:
            return None
        after = list(balances)
        after[i] += into
        after[j] -= fell * self._leaves
        return fell * self._keep_out / self._scale[j], (*after, d), 0

    def row(self) -> Row:
        """Constants: how many assets, amplification, what counts of input and output, what leaves the pool, the scales."""
        shares = [self._ann, self._keep_in, self._keep_out, self._leaves]
        return STABLE, [float(len(self._scale)), *shares, *self._scale], list(self.start)


class SolidlyStable:
    """x**3 y + y**3 x = k over whole units; the fee leaves the pool."""

    gas_per_tick = 0

    def __init__(self, pool: SolidlyPool) -> None:
        self.gas, self._keep, self._units = pool.gas, 1 - pool.fee_1e4 / 1e4, pool.units
        self.start: State = (pool.reserves[0] / pool.units[0], pool.reserves[1] / pool.units[1])

    def sell(self, state: State, i: int, j: int, amount: float) -> Sold | None:
        x, y = state[i], state[j]
        if not x or not y:
            return None
        into = amount * self._keep / self._units[i]
        k = x * y * (x * x + y * y)
        x += into
        at = y
        for _ in range(64):
            step = (x * at * (x * x + at * at) - k) / (x * (x * x + 3 * at * at))
            at -= step
            if abs(step) <= _CLOSE * at:
                break
        out = y - at
        if out <= 0:
            return None
        return out * self._units[j], (x, at) if i == 0 else (at, x), 0

    def row(self) -> Row:
        """Constants: what of the input counts, the raw units of a whole one of either asset."""
        return SOLIDLY, [self._keep, *map(float, self._units)], list(self.start)


class Depth:
    """A book side as (in raw, out raw) of whole levels, best first; the state is how much went in already.

    No lots and no minimum, so it may promise a little too much.
    """

    gas = gas_per_tick = 0

    def __init__(self, steps: tuple[tuple[int, int], ...]) -> None:
        self._ins = list(accumulate((float(size) for size, _ in steps), initial=0.0))
        self._outs = list(accumulate((float(pays) for _, pays in steps), initial=0.0))
        self.start: State = (0.0,)

    def _paid(self, used: float) -> float:
        k = min(bisect_right(self._ins, used), len(self._ins) - 1)
        share = (used - self._ins[k - 1]) / (self._ins[k] - self._ins[k - 1])
        return self._outs[k - 1] + share * (self._outs[k] - self._outs[k - 1])

    def sell(self, state: State, i: int, j: int, amount: float) -> Sold | None:
        used = state[0] + amount
        if used > self._ins[-1]:
            return None
        return self._paid(used) - self._paid(state[0]), (used,), 0

    def row(self) -> Row:
        """Constants: how many levels' ends, what went in and what came out by each."""
        return DEPTH, [float(len(self._ins)), *self._ins, *self._outs], list(self.start)


def curve_of(pool: Pool) -> Curve:
    """The float curve of a pool, at its state now."""
    if isinstance(pool, ConstantProductPool):
        return Product(pool, pool.fee_pips / 1e6, True)
    if isinstance(pool, ConcentratedPool | ConcentratedV4Pool):
        return Concentrated(pool)
    if isinstance(pool, WeightedPool):
        return Weighted(pool)
    if isinstance(pool, SolidlyPool):
        return SolidlyStable(pool) if pool.stable else Product(pool, pool.fee_1e4 / 1e4, False)
    return Stable(pool)
