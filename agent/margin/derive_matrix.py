"""Derive's portfolio margin PMRM_2: the worst of a matrix of moves, and what is added to it, in the contract's own integers. Pure.

Every figure is an int of 18 decimals, cut where the contract cuts; options by `derive_black`. A scenario moves the spot (perpetual, forwards,
collateral that cancels risk) and volatility together; one beyond the usual range counts with its dampening factor; the two skew scenarios
tilt the smile and count each expiry's change as a loss. Formulas: derivexyz/v2-core, PMRM_2 and PMRMLib_2, at 1d0d7d9 (2.1, at
2e9b75c, computes alike).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from agent.margin.derive_black import (
    ERROR_1E18,
    UNIT,
    YEAR_S,
    cut,
    exp_down,
    ln_down,
    over,
    power,
    price,
    sqrt_down,
    years,
)

MONTH_S = 30 * 86_400


class Vol(Enum):
    """What a scenario does to volatility. LINEAR and ABS tilt the smile instead, at the spot as it is."""

    UP = "up"
    NONE = "none"
    DOWN = "down"
    LINEAR = "linear"
    ABS = "abs"


@dataclass(frozen=True, slots=True)
class Scenario:
    """The spot times `spot`, of whose loss `dampening` counts."""

    spot: int
    vol: Vol
    dampening: int


@dataclass(frozen=True, slots=True)
class Parameters:
    """The contract's own, in 18 decimals but for `dte_floor_s`; named as its getters name them."""

    scenarios: tuple[Scenario, ...]
    im_factor: int
    mm_factor: int
    short_rate_mult: int
    long_rate_mult: int
    short_rate_add: int
    long_rate_add: int
    short_discount: int
    long_discount: int
    vol_range_up: int
    vol_range_down: int
    short_term_power: int
    long_term_power: int
    dte_floor_s: int
    min_vol_up: int
    linear_cap: int
    abs_cap: int
    linear_c: int
    abs_c: int
    min_k_star: int
    width_scale: int
    vol_static: int
    vol_scale: int
    basis_up: int
    basis_down: int
    basis_add: int
    basis_mult: int
    peg_loss_threshold: int
    peg_loss_factor: int
    confidence_threshold: int
    confidence_margin: int
    mm_perp: int
    im_perp: int
    mm_option: int
    im_option: int


@dataclass(frozen=True, slots=True)
class Option:
    size: int
    is_call: bool
    strike: int
    vol: int


@dataclass(frozen=True, slots=True)
class Expiry:
    """`forward` moves with the spot, `forward_fixed` (of the settlement's average, within half an hour of it) does not. `expires`: when, in
    seconds of the epoch."""

    expires: int
    forward: int
    forward_fixed: int
    rate: int
    confidence: int
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class Collateral:
    """`balance` of an asset at `px` dollars; one that cancels risk moves with the spot in every scenario."""

    asset: str
    balance: int
    px: int
    cancels_risk: bool
    mm_haircut: int
    im_haircut: int
    confidence: int


@dataclass(frozen=True, slots=True)
class Portfolio:
    """What one account holds on one index; `perp_worth` is the perpetual's profit and funding not settled yet. `confidence` is the lesser of
    the spot's and, where a perpetual is held, its price's (collateral's has its own, and the spot's)."""

    index: str
    spot: int
    stable: int
    confidence: int
    cash: int
    perp: int
    perp_px: int
    perp_worth: int
    expiries: tuple[Expiry, ...]
    collateral: tuple[Collateral, ...]


@dataclass(frozen=True, slots=True)
class Margin:
    """`worth` is cash and marks; `maintenance` and `initial` are what of it must be there. Liquidatable: worth below maintenance."""

    worth: int
    maintenance: int
    initial: int


class _Slice:
    """One expiry's figures that do not depend on the scenario."""

    def __init__(self, expiry: Expiry, p: Parameters, timestamp: int) -> None:
        self.expiry, self.p = expiry, p
        self.seconds = max(expiry.expires - timestamp, 0)
        self.years = years(self.seconds)
        self.root = sqrt_down(self.years)
        rate = max(expiry.rate, 0)
        self.discount = exp_down(over(-rate * self.seconds, YEAR_S))
        self.mark = self.worth(UNIT, Vol.NONE)
        # Where a book is worth something it is taken for less, where it owes for more: the longer, the further.
        falls = exp_down(-cut(self.years, cut(rate, p.long_rate_mult) + p.long_rate_add))
        grows = exp_down(-cut(self.years, cut(rate, p.short_rate_mult) + p.short_rate_add))
        self.discount_long = cut(p.long_discount, falls)
        self.discount_short = min(UNIT * UNIT // self.discount, p.short_discount * UNIT // grows)
        nearness = MONTH_S * UNIT // max(self.seconds, p.dte_floor_s)
        swing = power(nearness, p.short_term_power if self.seconds <= MONTH_S else p.long_term_power)
        # What volatility is times when it goes up and down: more, the nearer the expiry.
        self.vol_up = UNIT + cut(p.vol_range_up, swing)
        self.vol_down = max(UNIT - cut(p.vol_range_down, swing), 0)

    def worth(self, spot: int, vol: Vol) -> int:
        """What the options are worth with the spot times `spot` and volatility shocked."""
        e, times, least = self.expiry, UNIT, 0
        if vol in (Vol.UP, Vol.DOWN):
            times, least = (self.vol_up, self.p.min_vol_up) if vol is Vol.UP else (self.vol_down, 0)
        forward = cut(e.forward, spot) + e.forward_fixed
        tilt = self.tilt(forward, vol) if vol in (Vol.LINEAR, Vol.ABS) else None
        total = 0
        for o in e.options:
            shocked = max(cut(o.vol, times if tilt is None else tilt[o.strike]), least)
            total += cut(price(forward, o.strike, shocked, self.root, self.discount, o.is_call), o.size)
        return total

    def tilt(self, forward: int, vol: Vol) -> dict[int, int]:
        """What volatility is times at each strike: further from the forward more, up to a cap where the smile is taken to flatten."""
        p = self.p
        linear = vol is Vol.LINEAR
        cap = cut(p.linear_c, self.root) + p.linear_cap if linear else cut(p.abs_c, self.root) + p.abs_cap
        width = cut(cut(self.root, p.width_scale), p.vol_static + cut(self.root, p.vol_scale))
        k_star = max(p.min_k_star, width)
        found = {}
        for o in self.expiry.options:
            k = ln_down(o.strike * UNIT // forward)
            k = k if linear else abs(k)
            bent = over(k * cap, k_star)
            found[o.strike] = max(UNIT + (min(cap, bent) if k >= 0 else max(-cap, bent)), 0)
        return found

    def change(self, scenario: Scenario) -> int:
        """The expiry's gain (a loss is below zero) in a scenario, against its mark."""
        shocked = self.worth(scenario.spot, scenario.vol)
        shocked = cut(shocked, self.discount_long if shocked >= 0 else self.discount_short)
        gain = cut(shocked - self.mark, scenario.dampening)
        return -abs(gain) if scenario.vol in (Vol.LINEAR, Vol.ABS) else gain

    def basis(self) -> int:
        """The loss, zero or below, should this forward alone move, times a factor of its years."""
        p = self.p
        moved = min(self.worth(p.basis_up, Vol.NONE), self.worth(p.basis_down, Vol.NONE)) - self.mark
        return cut(min(moved, 0), p.basis_add + cut(p.basis_mult, self.years))

    def naked(self) -> int:
        """Short options no other of their strike covers. The contract looks at a strike's first option against each later one."""
        options, seen, found = self.expiry.options, set[int](), 0
        for n, first in enumerate(options):
            if n in seen:
                continue
            paired = False
            for m in range(n + 1, len(options)):
                other = options[m]
                if other.strike != first.strike:
                    continue
                seen.add(m)
                paired = True
                if first.size * other.size < 0:
                    short, long = sorted((first.size, other.size))
                    found += max(-short - long, 0)
                elif first.size < 0:
                    found += -first.size - other.size
            if not paired and first.size < 0:
                found -= first.size
        return found


def margin(book: Portfolio, p: Parameters, timestamp: int) -> Margin:
    """Raises ArithmeticError where the contract would revert, and so tell nothing."""
    slices = [_Slice(e, p, timestamp) for e in book.expiries]
    # The contract divides the whole by the stable coin's price: cash is that coin.
    values = [c.balance * c.px // book.stable for c in book.collateral]
    worth = book.cash + book.perp_worth + sum(s.mark for s in slices) + sum(values)
    worst = min(sum(s.basis() for s in slices), *(_loss(book, slices, values, one) for one in p.scenarios))
    kept, added = _contingencies(book, slices, values, p)
    initial_factor = p.im_factor
    if book.stable < p.peg_loss_threshold:
        initial_factor += cut(p.peg_loss_threshold - book.stable, p.peg_loss_factor)
    doubt = _doubt(book)
    maintenance = -cut(worst, p.mm_factor) + kept + doubt
    return Margin(worth, maintenance, -cut(worst, initial_factor) + kept + added + doubt)


def _loss(book: Portfolio, slices: Sequence[_Slice], values: Sequence[int], one: Scenario) -> int:
    found = cut(cut(book.perp, cut(one.spot - UNIT, book.perp_px)), one.dampening) if book.perp else 0
    found += sum(s.change(one) for s in slices)
    for c, value in zip(book.collateral, values, strict=True):
        if c.cancels_risk:
            found += cut(cut(value, one.spot - UNIT), one.dampening)
    return found


def _contingencies(
    book: Portfolio, slices: Sequence[_Slice], values: Sequence[int], p: Parameters
) -> tuple[int, int]:
    """What comes on top of the matrix: (always, for initial margin besides)."""
    notional = cut(abs(book.perp), book.spot)
    kept = cut(notional, p.mm_perp)
    added = cut(notional, p.im_perp) + _unsure(book.confidence, notional, p)
    for s in slices:
        shorts = cut(s.naked(), book.spot)
        kept += cut(shorts, p.mm_option)
        added += cut(shorts, p.im_option)
        held = cut(sum(abs(o.size) for o in s.expiry.options), book.spot)
        added += _unsure(min(book.confidence, s.expiry.confidence), held, p)
    for c, value in zip(book.collateral, values, strict=True):
        kept += cut(value, c.mm_haircut)
        added += cut(value, c.im_haircut) + _unsure(c.confidence, value, p)
    return kept, added


def _unsure(confidence: int, notional: int, p: Parameters) -> int:
    if confidence >= p.confidence_threshold:
        return 0
    return cut(cut(UNIT - confidence, p.confidence_margin), notional)


def _doubt(book: Portfolio) -> int:
    """What option prices may be off the chain's, twice (mark and worst case), at the farthest move there is: no account is safe by less."""
    sizes = sum(
        abs(o.size) * (4 * e.forward + e.forward_fixed + o.strike) for e in book.expiries for o in e.options
    )
    return -(-2 * sizes * ERROR_1E18 // UNIT**2)
