"""Paradex' portfolio margin: the worst weighted loss of a table of spot and volatility moves, or a least charge on delta, whichever is more.

A volatility of τ days moves by its shock times (30/max(τ, floor))^power, the power by the side of 30 days; one that rises counts for no less
than `least_vol_up`. Options by Black–Scholes on the spot at `rate`; perpetuals keep their basis. What each leg loses is against its mark; in
the last half hour of an option the settled part of it no longer moves. Maintenance is `maintenance_factor` of that, and what the next funding
takes, and what closing costs. Liquidated once the account's value is below it. Formulas: the venue's page on portfolio margin, and its own
calculator (tradeparadex/paradex-py, margin); **parameters are told without a key at `/v1/system/margin-config`** and are the account's own
key here: `{}` for BTC's of April 2026, and without the key nothing is judged.

Options need floats: the requirement is an estimate, rounded up by a part in 1e9; what the exchange itself states (`stated_maintenance`) wins
where it is higher. Keys: `index`, `index_px`, `equity` (dollars: collateral with what open positions gain), `rate`, `perps` ([size, mark_px,
8-hour funding rate]), `options` ([size, "C" or "P", strike, days, vol, mark_px]), `perp_fee`, `option_fee`, `parameters`; `told` is what the exchange says of equity and maintenance
(see `unified_told`): one that is not what is computed here makes the account UNKNOWN.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from agent.analytics import black76
from agent.margin import fields
from agent.margin.doubts import MOST_USD
from agent.margin.exchange import (
    PX_DECIMALS,
    VALUE_UNIT,
    number,
    positive,
    ratio_1e18_down,
    to_raw_down,
    to_raw_up,
)
from agent.margin.model import Health, State, state_of
from agent.margin.nearest import move_to, nearest_px
from agent.margin.option_rows import option_rows
from agent.margin.unified_told import Told, read_told

SETTLES_DAYS = 1.0 / 48.0
"""So long before its end an option begins to settle by an average."""
FEE_CAP = 0.125
"""A fee is no more than that part of an option's mark."""
_INSIDE = (
    (0.12, -0.22),
    (0.08, -0.22),
    (0.04, -0.22),
    (0.0, -0.22),
    (-0.04, -0.22),
    (-0.08, -0.22),
    (-0.12, -0.22),
)
SCENARIOS: tuple[tuple[float, float, float], ...] = (
    (0.16, 0.4, 1.0),
    *((spot, vol, 1.0) for spot, down in _INSIDE for vol in (0.4, down)),
    (-0.16, 0.4, 1.0),
    (-0.66, 0.4, 0.18),
    (-0.33, 0.4, 0.36),
    (0.5, 0.4, 0.24),
    (1.0, 0.4, 0.12),
    (2.0, 0.4, 0.06),
    (3.0, 0.4, 0.04),
    (4.0, 0.4, 0.03),
    (5.0, 0.4, 0.024),
)


@dataclass(frozen=True, slots=True)
class Parameters:
    """`scenarios` are (spot's move, volatility's, part that counts)."""

    short_power: float = 0.3
    long_power: float = 0.13
    days_floor: float = 1.0
    least_vol_up: float = 0.4
    unhedged: float = 0.02
    hedged: float = 0.01
    maintenance_factor: float = 0.5
    scenarios: tuple[tuple[float, float, float], ...] = SCENARIOS


@dataclass(frozen=True, slots=True)
class Perp:
    size: Fraction
    mark_px: Fraction
    funding_8h: Fraction


@dataclass(frozen=True, slots=True)
class Option:
    size: Fraction
    is_call: bool
    strike: Fraction
    days: Fraction
    vol: Fraction
    mark_px: Fraction


@dataclass(frozen=True, slots=True)
class Account:
    """`index_px` is the spot that perpetuals and options move with, all in proportion."""

    index: str
    index_px: Fraction
    equity: Fraction
    rate: Fraction
    perps: tuple[Perp, ...]
    options: tuple[Option, ...]
    perp_fee: Fraction
    option_fee: Fraction
    parameters: Parameters
    stated_maintenance: Fraction = Fraction(0)
    told: Told | None = None


class Book:
    """The account as arrays, valued at any move of price and volatility."""

    def __init__(self, account: Account) -> None:
        self.account, o = account, account.options
        self.spot, self.rate = float(account.index_px), float(account.rate)
        days = np.array([float(x.days) for x in o])
        self.years, self.live = days / 365.0, np.minimum(days / SETTLES_DAYS, 1.0)
        self.size = np.array([float(x.size) for x in o])
        self.strike = np.array([float(x.strike) for x in o])
        self.vol = np.array([float(x.vol) for x in o])
        self.mark = np.array([float(x.mark_px) for x in o])
        self.is_call = np.array([x.is_call for x in o], dtype=np.bool_)
        self.perp_worth = sum(float(p.size * p.mark_px) for p in account.perps)
        p = account.parameters
        powers = np.where(days < 30.0, p.short_power, p.long_power)
        self.scale = np.power(30.0 / np.maximum(days, p.days_floor), powers)
        # What the exchange's mark is beside this pricing stays what it is, wherever the price goes.
        self.off = self.mark - self.prices(np.array([0.0]), np.array([0.0]))[0] if len(o) else self.mark

    def shifted(self, shocks: black76.Floats) -> black76.Floats:
        """Volatilities after each shock; shape (shocks, options)."""
        moved = np.maximum(self.vol * (1.0 + shocks[:, None] * self.scale), 0.0)
        least = np.where(shocks[:, None] > 0, self.account.parameters.least_vol_up, 0.0)
        found: black76.Floats = np.maximum(moved, least)
        return found

    def prices(self, moves: black76.Floats, shocks: black76.Floats) -> black76.Floats:
        """Of each option, after each move and its shock; shape (moves, options)."""
        grown = np.exp(self.rate * self.years)
        forward = self.spot * (1.0 + moves[:, None]) * grown
        vol = self.shifted(shocks)
        found: black76.Floats = black76.price(forward, self.strike, vol, self.years, self.is_call) / grown
        return found

    def gain(self, at: float) -> float:
        """What the account has gained once the spot has moved by `at`."""
        found = self.perp_worth * at
        if len(self.size):
            here, there = (self.prices(np.array([move]), np.array([0.0]))[0] for move in (0.0, at))
            found += float((there - here) @ (self.size * self.live))
        return found

    def worst(self, at: float = 0.0) -> float:
        """The worst weighted loss of the table, the spot having moved by `at` first."""
        table = np.array(self.account.parameters.scenarios)
        moves = (1.0 + at) * (1.0 + table[:, 0]) - 1.0
        gains = self.perp_worth * (moves - at)
        if len(self.size):
            now = self.prices(np.array([at]), np.array([0.0]))[0] + self.off
            gains = gains + (self.prices(moves, table[:, 1]) - now) @ (self.size * self.live)
        return max(0.0, -float(np.min(gains * table[:, 2])))

    def deltas(self, at: float) -> black76.Floats:
        """In units of the index, of every leg."""
        spot = self.spot * (1.0 + at)
        perps = np.array([float(p.size * p.mark_px) / self.spot for p in self.account.perps])
        if not len(self.size):
            return perps
        step = 1e-4
        up, down = (
            self.prices(np.array([(1.0 + at) * (1.0 + h) - 1.0]), np.array([0.0]))[0] for h in (step, -step)
        )
        found: black76.Floats = np.concatenate([perps, (up - down) / (2.0 * step * spot) * self.size])
        return found

    def provisions(self, at: float) -> float:
        """What the next funding takes, and what closing every leg would cost."""
        a, spot = self.account, self.spot * (1.0 + at)
        funding = sum(float(p.funding_8h * p.size) for p in a.perps) * spot
        fees = sum(float(a.perp_fee * abs(p.size) * p.mark_px) for p in a.perps) * (1.0 + at)
        if len(self.size):
            marks = np.maximum(self.prices(np.array([at]), np.array([0.0]))[0] + self.off, 0.0)
            each = np.minimum(float(a.option_fee) * spot, FEE_CAP * marks)
            fees += float(each @ np.abs(self.size))
        return max(0.0, funding) + fees

    def required(self, at: float = 0.0) -> tuple[float, float]:
        """(maintenance, initial) margin in dollars."""
        p, more = self.account.parameters, self.provisions(at)
        net = max(self.worst(at), delta_charge(p, self.deltas(at), self.spot * (1.0 + at)))
        return net * p.maintenance_factor + more, net + more


def delta_charge(p: Parameters, deltas: black76.Floats, spot: float) -> float:
    """The least that is asked for in dollars, whatever of the legs' deltas cancels out."""
    net = abs(float(np.sum(deltas)))
    hedged = (float(np.sum(np.abs(deltas))) - net) / 2.0
    return (p.unhedged * net + p.hedged * hedged) * spot


class ParadexPortfolio:
    name = "paradex_pm"
    price_decimals = PX_DECIMALS

    def read(self, account: Mapping[str, Any], decimals: Mapping[str, int]) -> Account:
        return _read(account, decimals)

    def disagreement(self, account: Account, timestamp: int) -> str:
        """Where the exchange's own figures are others, "" where they are these."""
        if account.told is None:
            return ""
        maintenance = _up(Book(account).required()[0])
        return account.told.disagreement(account.equity, maintenance, maintenance)

    def at_moves(self, account: Account, moves: Mapping[str, Fraction], timestamp: int) -> int | None:
        at = max(float(moves.get(account.index, Fraction(1))) - 1.0, -0.999999)
        return _ratio(Book(account), at)

    def at_prices(self, account: Account, prices_1e8: Mapping[str, int], timestamp: int) -> int | None:
        px = prices_1e8.get(account.index)
        return _ratio(Book(account), 0.0 if px is None else move_to(px, account.index_px))

    def at_vol(self, account: Account, factor: Fraction) -> Account:
        """The account with every volatility times `factor`, its equity by what the options then are worth."""
        here = np.array([0.0])
        moved = replace(account, options=tuple(replace(o, vol=o.vol * factor) for o in account.options))
        before, after = Book(account), Book(moved)
        change = after.prices(here, here)[0] - before.prices(here, here)[0]
        marks = (
            Fraction(max(float(o.mark_px) + float(c), 0.0))
            for o, c in zip(account.options, change, strict=True)
        )
        options = tuple(replace(o, mark_px=mark) for o, mark in zip(moved.options, marks, strict=True))
        return replace(moved, options=options, equity=account.equity + Fraction(float(change @ before.size)))

    def deposited(self, account: Account, raw_1e8: int) -> Account:
        return replace(account, equity=account.equity + Fraction(raw_1e8, 10**8))

    def health(self, account: Account, timestamp: int) -> Health:
        book = Book(account)
        maintenance, initial = (_up(x) for x in book.required())
        maintenance = max(maintenance, account.stated_maintenance)
        ratio = _ratio(book, 0.0)
        state = state_of(ratio)

        def bad(at: float) -> bool:
            there = _ratio(book, at)
            return there is not None and there < 10**18

        return Health(
            state,
            ratio,
            to_raw_down(account.equity),
            0,
            VALUE_UNIT,
            (nearest_px(account.index, account.index_px, bad),),
            0 if state is State.LIQUIDATABLE else None,
            maintenance_raw=to_raw_up(maintenance),
            initial_raw=to_raw_up(initial),
        )


def _up(value: float) -> Fraction:
    """Beyond the floats' own error."""
    return Fraction(value) * (1 + Fraction(1, 10**9))


def _ratio(book: Book, at: float) -> int | None:
    """What the exchange states is of now: it says nothing of another price."""
    required = _up(book.required(at)[0])
    if not at:
        required = max(required, book.account.stated_maintenance)
    return ratio_1e18_down(book.account.equity + Fraction(book.gain(at)), required)


def _read(raw: Mapping[str, Any], decimals: Mapping[str, int]) -> Account:
    where = f"account {raw.get('id', '?')}"
    known = {"id", "model", "chain", "index", "index_px", "equity", "rate", "perps", "options"}
    fields.only(raw, where, known | {"perp_fee", "option_fee", "parameters", "stated_maintenance", "told"})
    perps = []
    for n, row in enumerate(fields.rows(raw, "perps", where)):
        at = f"{where}, perp {n}"
        if not isinstance(row, list) or len(row) != 3:
            raise fields.wrong(f"{at}: [size, mark_px, funding_8h]")
        named = dict(zip(("size", "mark_px", "funding_8h"), row, strict=True))
        funding = _within(named, "funding_8h", at, -1, 1)
        perps.append(Perp(number(named, "size", at), _price(named, at), funding))
    options = []
    for at, named, is_call in option_rows(raw, where, ("size", "strike", "days", "vol", "mark_px")):
        strike, vol = positive(named, "strike", at), positive(named, "vol", at)
        days, mark = _within(named, "days", at, 0, 10**5), _within(named, "mark_px", at, 0, MOST_USD)
        options.append(Option(number(named, "size", at), is_call, strike, days, vol, mark))
    return Account(
        fields.listed(raw, "index", where, decimals),
        positive(raw, "index_px", where),
        number(raw, "equity", where),
        _within(raw, "rate", where, -1, 1, "0"),
        tuple(perps),
        tuple(options),
        _within(raw, "perp_fee", where, 0, 1, "0"),
        _within(raw, "option_fee", where, 0, 1, "0"),
        _parameters(raw.get("parameters", {}), f"{where}, parameters"),
        number(raw, "stated_maintenance", where, default="0"),
        read_told(raw, where),
    )


def _price(raw: Mapping[str, Any], where: str) -> Fraction:
    """A mark above zero, and below what any asset is worth."""
    positive(raw, "mark_px", where)
    return _within(raw, "mark_px", where, 0, MOST_USD)


def _parameters(raw: Any, where: str) -> Parameters:
    if not isinstance(raw, Mapping):
        raise fields.wrong(f"{where} is not an object")
    names = [name for name in Parameters.__slots__ if name != "scenarios"]
    fields.only(raw, where, {*names, "scenarios"})
    given: dict[str, Any] = {name: float(_within(raw, name, where, 0, 10)) for name in names if name in raw}
    if not given.get("days_floor", 1.0):
        raise fields.wrong(f"{where}: days_floor is zero")
    if "scenarios" in raw:
        rows = fields.rows(raw, "scenarios", where)
        if not 1 <= len(rows) <= 200:
            raise fields.wrong(f"{where}: there are 1 to 200 scenarios")
        given["scenarios"] = tuple(_scenario(row, f"{where}, scenario {n}") for n, row in enumerate(rows))
    return Parameters(**given)


def _scenario(row: Any, where: str) -> tuple[float, float, float]:
    if not isinstance(row, list) or len(row) != 3:
        raise fields.wrong(f"{where}: [spot's move, volatility's, part that counts]")
    named = dict(zip(("spot", "vol", "part"), row, strict=True))
    spot, vol, part = (
        _within(named, key, where, low, 100) for key, low in (("spot", -1), ("vol", -1), ("part", 0))
    )
    if spot == -1:
        raise fields.wrong(f"{where}: spot is -1: nothing is left to price")
    return float(spot), float(vol), float(part)


def _within(
    raw: Mapping[str, Any], key: str, where: str, low: int, high: int, default: str | None = None
) -> Fraction:
    found = number(raw, key, where, default=default)
    if not low <= found <= high:
        raise fields.wrong(f"{where}: {key} is {raw[key]!r}, not from {low} to {high}")
    return found


MODEL = ParadexPortfolio()
