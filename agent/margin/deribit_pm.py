"""Deribit's segregated portfolio margin: the worst of a matrix of price and volatility moves, options by Black-76.

Prices move in even steps to ± `price_range`, each with volatility up, same and down; beyond it an extended table moves further,
volatility up only, of which a fraction counts. A volatility of τ days moves by its range times (30/τ)^power, the power by the side of 30
days. Short options and futures add contingencies. Maintenance is that loss; initial is `initial_factor` of it. Formulas: the venue's
support page on portfolio margin; **every parameter is the account's own key**, since the venue changes them without notice.

Options need floats: the matrix is an estimate, rounded up by a part in 1e9 before it becomes a margin. What the exchange itself states
(`stated_maintenance`) wins where it is higher. Keys: `index`, `index_px`, `equity` (dollars), `futures` ([size in units, mark_px]),
`options` ([size, "C" or "P", strike, days, vol, forward_px]), `parameters`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from agent.analytics import black76
from agent.margin import fields
from agent.margin.exchange import (
    PX_DECIMALS,
    VALUE_UNIT,
    number,
    positive,
    ratio_1e18_down,
    to_raw_down,
    to_raw_up,
)
from agent.margin.model import Health, LiquidationPx, State, state_of
from agent.margin.nearest import move_to, nearest_px
from agent.margin.option_rows import option_rows

DAYS = 365.0


@dataclass(frozen=True, slots=True)
class Parameters:
    """`extended` are (price move, part that counts); vols and ranges are fractions. BTC's published values are the defaults."""

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
    """`index_px` is what futures' and options' forwards move with, all in proportion."""

    index: str
    index_px: Fraction
    equity: Fraction
    futures: tuple[tuple[Fraction, Fraction], ...]
    options: tuple[Option, ...]
    parameters: Parameters
    stated_maintenance: Fraction = Fraction(0)


class Book:
    """The account's options as arrays, valued at any move of price and volatility."""

    def __init__(self, account: Account) -> None:
        self.account, o = account, account.options
        self.size = np.array([float(x.size) for x in o])
        self.strike = np.array([float(x.strike) for x in o])
        self.years = np.array([float(x.days) / DAYS for x in o])
        self.vol = np.array([float(x.vol) for x in o])
        self.forward = np.array([float(x.forward_px) for x in o])
        self.is_call = np.array([x.is_call for x in o], dtype=np.bool_)
        self.delta_one = sum(float(size * px) for size, px in account.futures)

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
        """Dollars of futures' profit and options' value after each move (a row of moves, shape (n,)); shape (n,)."""
        found: black76.Floats = moves * self.delta_one
        if len(self.size):
            forward = self.forward * (1.0 + moves[:, None])
            prices = black76.price(
                forward, self.strike, vol[None, :], self.years[None, :], self.is_call[None, :]
            )
            found = found + prices @ self.size
        return found

    def loss(self, at: float = 0.0) -> float:
        """The worst case's loss plus contingencies in dollars, all prices having moved by `at` first."""
        p = self.account.parameters
        steps = np.arange(-p.steps, p.steps + 1) / p.steps * p.price_range
        moves = (1.0 + at) * (1.0 + steps) - 1.0
        base = self.worth(np.array([at]), self.vol)[0]
        cases = [self.worth(moves, self.shifted(way)) - base for way in (1, 0, -1)]
        for move, part in p.extended:
            far = np.array([(1.0 + at) * (1.0 + move) - 1.0])
            cases.append((self.worth(far, self.shifted(1)) - base) * part)
        worst = max(0.0, -float(np.min(np.concatenate(cases))))
        index = float(self.account.index_px) * (1.0 + at)
        return (
            worst
            + p.option_contingency * index * self.net_short()
            + p.future_contingency * index * self.offset()
        )

    def net_short(self) -> float:
        """Short options not covered by long ones of the same kind and strike, in units."""
        by_kind: dict[tuple[bool, float], float] = {}
        for kind, strike, size in zip(self.is_call, self.strike, self.size, strict=True):
            key = (bool(kind), float(strike))
            by_kind[key] = by_kind.get(key, 0.0) + float(size)
        return -sum(min(size, 0.0) for size in by_kind.values())

    def offset(self) -> float:
        """Futures long and short against each other, in units."""
        sizes = [float(size) for size, _ in self.account.futures]
        return min(sum(s for s in sizes if s > 0), -sum(s for s in sizes if s < 0))

    def equity(self, at: float) -> float:
        return float(self.account.equity) + float(
            self.worth(np.array([at]), self.vol)[0] - self.worth(np.array([0.0]), self.vol)[0]
        )


class DeribitPortfolio:
    name = "deribit_pm"
    price_decimals = PX_DECIMALS

    def read(self, account: Mapping[str, Any], decimals: Mapping[str, int]) -> Account:
        return _read(account, decimals)

    def maintenance(self, account: Account) -> Fraction:
        """Rounded up beyond the floats' own error; the exchange's own figure where that is higher."""
        estimate = Fraction(Book(account).loss()) * (1 + Fraction(1, 10**9))
        return max(estimate, account.stated_maintenance)

    def at_prices(self, account: Account, prices_1e8: Mapping[str, int], timestamp: int) -> int | None:
        px = prices_1e8.get(account.index)
        at = 0.0 if px is None else move_to(px, account.index_px)
        book = Book(account)
        return _ratio(book.equity(at), book.loss(at))

    def at_moves(self, account: Account, moves: Mapping[str, Fraction], timestamp: int) -> int | None:
        at, book = float(moves.get(account.index, Fraction(1))) - 1.0, Book(account)
        if at <= -1.0:
            at = -0.999999
        return _ratio(book.equity(at), book.loss(at))

    def at_vol(self, account: Account, factor: Fraction) -> Account:
        """The account with every volatility times `factor`, its equity by what the options then are worth."""
        vols = tuple(replace(o, vol=o.vol * factor) for o in account.options)
        moved = replace(account, options=vols)
        here = np.array([0.0])
        before, after = Book(account), Book(moved)
        gain = float(after.worth(here, after.vol)[0] - before.worth(here, before.vol)[0])
        return replace(moved, equity=account.equity + Fraction(gain))

    def health(self, account: Account, timestamp: int) -> Health:
        required = self.maintenance(account)
        ratio = ratio_1e18_down(account.equity, required)
        state = state_of(ratio)
        px = _liquidation_px(account)
        return Health(
            state,
            ratio,
            to_raw_down(account.equity),
            0,
            VALUE_UNIT,
            (px,),
            0 if state is State.LIQUIDATABLE else None,
            maintenance_raw=to_raw_up(required),
        )


def _ratio(equity: float, required: float) -> int | None:
    return ratio_1e18_down(Fraction(equity), Fraction(required) * (1 + Fraction(1, 10**9)))


def _liquidation_px(account: Account) -> LiquidationPx:
    """The nearest price of the index, either way, at which equity no longer covers the matrix there."""
    book = Book(account)

    def bad(at: float) -> bool:
        ratio = _ratio(book.equity(at), book.loss(at))
        return ratio is not None and ratio < 10**18

    return nearest_px(account.index, account.index_px, bad)


def _read(raw: Mapping[str, Any], decimals: Mapping[str, int]) -> Account:
    where = f"account {raw.get('id', '?')}"
    known = {
        "id",
        "model",
        "chain",
        "index",
        "index_px",
        "equity",
        "futures",
        "options",
        "parameters",
        "stated_maintenance",
    }
    fields.only(raw, where, known)
    futures = []
    for n, row in enumerate(fields.rows(raw, "futures", where)):
        if not isinstance(row, list) or len(row) != 2:
            raise fields.wrong(f"{where}, future {n}: [size, mark_px]")
        named = {"size": row[0], "mark_px": row[1]}
        futures.append((number(named, "size", where), positive(named, "mark_px", where)))
    options = []
    for at, named, is_call in option_rows(raw, where, ("size", "strike", "days", "vol", "forward_px")):
        strike, days, vol, forward = (positive(named, k, at) for k in ("strike", "days", "vol", "forward_px"))
        options.append(Option(number(named, "size", at), is_call, strike, days, vol, forward))
    return Account(
        fields.listed(raw, "index", where, decimals),
        positive(raw, "index_px", where),
        number(raw, "equity", where),
        tuple(futures),
        tuple(options),
        _parameters(raw.get("parameters", {}), f"{where}, parameters"),
        number(raw, "stated_maintenance", where, default="0"),
    )


def _parameters(raw: Any, where: str) -> Parameters:
    if not isinstance(raw, Mapping):
        raise fields.wrong(f"{where} is not an object")
    plain = Parameters()
    names = [name for name in Parameters.__slots__ if name not in ("steps", "extended")]
    fields.only(raw, where, {*names, "steps", "extended"})
    given: dict[str, Any] = {name: float(number(raw, name, where)) for name in names if name in raw}
    if any(value < 0 for value in given.values()) or given.get("price_range", 0.1) >= 1:
        raise fields.wrong(f"{where}: none is below zero, and price_range is below one")
    given["steps"] = fields.whole(raw, "steps", where, default=plain.steps)
    if not 1 <= given["steps"] <= 100:
        raise fields.wrong(f"{where}: steps is from 1 to 100")
    extended = []
    for row in fields.rows(raw, "extended", where) if "extended" in raw else []:
        if not isinstance(row, list) or len(row) != 2:
            raise fields.wrong(f"{where}: extended is a list of [move, part]")
        named = {"move": row[0], "part": row[1]}
        move, part = number(named, "move", where), number(named, "part", where)
        if move <= -1 or not 0 <= part <= 1:
            raise fields.wrong(f"{where}: a move is above -1, its part from 0 to 1")
        extended.append((float(move), float(part)))
    return replace(plain, **given, extended=tuple(extended))


MODEL = DeribitPortfolio()
