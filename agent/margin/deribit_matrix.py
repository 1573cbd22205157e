"""Deribit's risk matrix: what an account gains or loses at each move of price and volatility, and what is asked for beside the worst of them.

Prices move in even steps to ± `price_range`, each with volatility up, same and down; an extended table moves further, volatility up only.
A volatility of τ days moves by its range times (30/τ)^power, the power by the side of 30 days. Of a far move `table_factor` times range over
move counts, in dollars, and as coins at the price at which the range ends; then it is dampened: brought towards zero by so many dollars for
each range that the move is further than one. The net delta of each expiry is charged for a roll of `roll_least`, or of what `roll_risk` a year
grows to until then if that is more. Sources: the venue's support page on portfolio margin, and what its own private/pme/simulate answers of
futures (its API reference's example, and one of the live exchange; both are tests). Short options and offsetting futures may be asked for contingencies, as the page had it
before. An account settled in coins has an option's value in dollars over its forward, and the dollars of a future over its price.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from agent.analytics import black76
from agent.margin.unified_told import Told

DAYS = 365.0
FAR = (-0.66, -0.33, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0)
"""The moves of the extended table."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """`extended` are (price move, part that counts), beside or instead of the exchange's own table; vols and ranges are fractions, `dampener`
    dollars. BTC's published values are the defaults."""

    price_range: float = 0.16
    steps: int = 4
    vol_up: float = 0.5
    vol_down: float = 0.25
    short_power: float = 0.3
    long_power: float = 0.13
    least_vol_up: float = 0.5
    extended: tuple[tuple[float, float], ...] = ()
    option_contingency: float = 0.01
    future_contingency: float = 0.006
    initial_factor: float = 1.3
    table_factor: float = 0.0
    dampener: float = 0.0
    roll_least: float = 0.0
    roll_risk: float = 0.0
    maintenance_factor: float = 1.0


@dataclass(frozen=True, slots=True)
class Future:
    """`size` in units of the coin; of a contract in dollars' worth of it, its dollars over its mark. A perpetual has no `days`."""

    size: Fraction
    mark_px: Fraction
    days: Fraction = Fraction(0)


@dataclass(frozen=True, slots=True)
class Option:
    size: Fraction
    is_call: bool
    strike: Fraction
    days: Fraction
    vol: Fraction
    forward_px: Fraction


@dataclass(frozen=True, slots=True)
class Account:
    """`index_px` is what futures' and options' forwards move with, all in proportion. `equity` and what is stated are coins where it is settled
    `in_coin`, dollars else. `stated_roll`: the exchange's own charge for rolls, at the present price."""

    index: str
    index_px: Fraction
    equity: Fraction
    futures: tuple[Future, ...]
    options: tuple[Option, ...]
    parameters: Parameters
    stated_maintenance: Fraction = Fraction(0)
    in_coin: bool = False
    stated_roll: Fraction | None = None
    told: Told | None = None

    @property
    def unit_usd(self) -> Fraction:
        """What one of what it is settled in is worth."""
        return self.index_px if self.in_coin else Fraction(1)


class Book:
    """The account as arrays, valued at any move of price and volatility, in what it is settled in."""

    def __init__(self, account: Account) -> None:
        self.account, o, f = account, account.options, account.futures
        self.size = np.array([float(x.size) for x in o])
        self.strike = np.array([float(x.strike) for x in o])
        self.years = np.array([float(x.days) / DAYS for x in o])
        self.vol = np.array([float(x.vol) for x in o])
        self.forward = np.array([float(x.forward_px) for x in o])
        self.is_call = np.array([x.is_call for x in o], dtype=np.bool_)
        self.held = np.array([float(x.size) for x in f])
        self.held_years = np.array([float(x.days) / DAYS for x in f])
        self.delta_one = sum(float(x.size * x.mark_px) for x in f)

    def shifted(self, way: int) -> black76.Floats:
        """Volatilities up (1), same (0) or down (−1)."""
        p = self.account.parameters
        days = np.maximum(self.years * DAYS, 1e-9)
        scale = np.power(30.0 / days, np.where(days < 30.0, p.short_power, p.long_power))
        if way > 0:
            up: black76.Floats = np.maximum(
                self.vol * (1.0 + p.vol_up * scale), np.maximum(self.vol, p.least_vol_up)
            )
            return up
        down: black76.Floats = np.maximum(self.vol * (1.0 - p.vol_down * scale), 0.0)
        return down if way < 0 else self.vol

    def worth(self, moves: black76.Floats, vol: black76.Floats) -> black76.Floats:
        """Futures' profit and options' value after each move (a row of moves, shape (n,)); shape (n,)."""
        if self.account.in_coin:
            found: black76.Floats = float(np.sum(self.held)) * (1.0 - 1.0 / (1.0 + moves))
        else:
            found = moves * self.delta_one
        if len(self.size):
            forward = self.forward * (1.0 + moves[:, None])
            prices = black76.price(
                forward, self.strike, vol[None, :], self.years[None, :], self.is_call[None, :]
            )
            found = found + (prices / forward if self.account.in_coin else prices) @ self.size
        return found

    def worst(self, at: float = 0.0) -> float:
        """The worst case's loss, all prices having moved by `at` first."""
        p = self.account.parameters
        steps = np.arange(-p.steps, p.steps + 1) / p.steps * p.price_range
        moves = (1.0 + at) * (1.0 + steps) - 1.0
        base = self.worth(np.array([at]), self.vol)[0]
        cases = [self.worth(moves, self.shifted(way)) - base for way in (1, 0, -1)]
        for move, part in p.extended:
            far = np.array([(1.0 + at) * (1.0 + move) - 1.0])
            cases.append((self.worth(far, self.shifted(1)) - base) * part)
        if p.table_factor:
            cases.append(self._far(at, base))
        return max(0.0, -float(np.min(np.concatenate(cases))))

    def _far(self, at: float, base: float) -> black76.Floats:
        """What of each of the far moves counts, dampened."""
        p, moves = self.account.parameters, np.array(FAR)
        ends = 1.0 + np.copysign(p.price_range, moves)
        gains = self.worth((1.0 + at) * (1.0 + moves) - 1.0, self.shifted(1)) - base
        gains = gains * p.table_factor * p.price_range / np.abs(moves)
        damped = np.maximum(np.abs(moves) / p.price_range - 1.0, 0.0) * p.dampener
        if self.account.in_coin:
            gains = gains * (1.0 + moves) / ends
            damped = damped / (ends * float(self.account.index_px) * (1.0 + at))
        found: black76.Floats = np.sign(gains) * np.maximum(np.abs(gains) - damped, 0.0)
        return found

    def required(self, at: float = 0.0) -> float:
        """The maintenance margin, all prices having moved by `at` first."""
        p, coin = self.account.parameters, self.account.in_coin
        px = 1.0 if coin else float(self.account.index_px) * (1.0 + at)
        # A future in dollars' worth of the coin is fewer coins as the price rises.
        apart = self.offset() / (1.0 + at) if coin else self.offset()
        more = (p.option_contingency * self.net_short() + p.future_contingency * apart) * px
        return (self.worst(at) + more + self.roll(at)) * p.maintenance_factor

    def roll(self, at: float = 0.0) -> float:
        """What is asked for the net delta of each expiry; where the exchange states its own, that, moved as this one moves."""
        own, stated = self.own_roll(at), self.account.stated_roll
        if stated is None:
            return own
        here = own if at == 0.0 else self._roll_here
        return float(stated) * (own / here if here > 0.0 else 1.0)

    @cached_property
    def _roll_here(self) -> float:
        return self.own_roll()

    def own_roll(self, at: float = 0.0) -> float:
        p, coin = self.account.parameters, self.account.in_coin
        years = np.concatenate([self.held_years, self.years])
        # As above; in dollars every delta is worth more.
        deltas = np.concatenate(
            [self.held / (1.0 + at) if coin else self.held, self._deltas(at) if len(self.size) else self.size]
        )
        times, place = np.unique(years, return_inverse=True)
        net = np.abs(np.bincount(place, weights=deltas, minlength=len(times)))
        rates = np.maximum(p.roll_least, np.expm1(p.roll_risk * times))
        return float(net @ rates) * (1.0 if coin else float(self.account.index_px) * (1.0 + at))

    def _deltas(self, at: float) -> black76.Floats:
        """Of the options, in coins, by a small step either way."""
        step, forward = 1e-4, self.forward * (1.0 + at)
        up, down = (
            black76.price(forward * (1.0 + h), self.strike, self.vol, self.years, self.is_call)
            for h in (step, -step)
        )
        found: black76.Floats = (up - down) / (2.0 * step * forward) * self.size
        return found

    def net_short(self) -> float:
        """Short options not covered by long ones of the same kind and strike, in units."""
        by_kind: dict[tuple[bool, float], float] = {}
        for kind, strike, size in zip(self.is_call, self.strike, self.size, strict=True):
            key = (bool(kind), float(strike))
            by_kind[key] = by_kind.get(key, 0.0) + float(size)
        return -sum(min(size, 0.0) for size in by_kind.values())

    def offset(self) -> float:
        """Futures long and short against each other, in units."""
        return float(min(np.sum(np.maximum(self.held, 0.0)), np.sum(np.maximum(-self.held, 0.0))))

    def equity(self, at: float) -> float:
        return float(self.account.equity) + float(
            self.worth(np.array([at]), self.vol)[0] - self.worth(np.array([0.0]), self.vol)[0]
        )
