"""Deribit's segregated portfolio margin: the worst of a matrix of price and volatility moves, options by Black-76 (`deribit_matrix`).

Maintenance is `maintenance_factor` of that loss and of what is asked beside it. **Every parameter is the account's own key**, since the venue
changes them without notice: private/pme/simulate tells them.

Options need floats: the matrix is an estimate, rounded up by a part in 1e9 before it becomes a margin. What the exchange itself states
(`stated_maintenance`) wins where it is higher. Keys: `index`, `index_px`, `equity`, `futures` ([size in units, mark_px] and, of one that expires,
its days), `options` ([size, "C" or "P", strike, days, vol, forward_px]), `parameters`; `settle` is "coin" where the account is settled in the index's
own coin, and `equity` and what is stated are coins then, dollars else. `stated_roll`: the exchange's own charge for rolls, at the present price.
`told` is what the exchange says of equity and maintenance, in dollars (see `unified_told`): one that is not what is computed here makes the account
UNKNOWN, and so does a roll that is another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from agent.margin import fields
from agent.margin.deribit_matrix import Account, Book, Future, Option, Parameters
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
from agent.margin.unified_told import read_told

ROLLS_ALIKE = 0.1
"""So near, as a part of itself, the exchange's charge for rolls is to the one computed: which delta of an option it takes is not published."""

__all__ = ["MODEL", "Account", "Book", "DeribitPortfolio", "Future", "Option", "Parameters"]


class DeribitPortfolio:
    name = "deribit_pm"
    price_decimals = PX_DECIMALS

    def read(self, account: Mapping[str, Any], decimals: Mapping[str, int]) -> Account:
        return _read(account, decimals)

    def maintenance(self, account: Account) -> Fraction:
        """Rounded up beyond the floats' own error; the exchange's own figure where that is higher."""
        return max(_up(Book(account).required()), account.stated_maintenance)

    def disagreement(self, account: Account, timestamp: int) -> str:
        """Where the exchange's own figures are others, "" where they are these."""
        book, usd = Book(account), account.unit_usd
        if account.stated_roll is not None:
            own, stated = book.own_roll(), float(account.stated_roll)
            if abs(own - stated) > ROLLS_ALIKE * max(own, stated):
                return f"the exchange asks {stated:.8g} for rolls, and {own:.8g} is computed"
        if account.told is None:
            return ""
        maintenance = _up(book.required()) * usd
        return account.told.disagreement(account.equity * usd, maintenance, maintenance)

    def deposited(self, account: Account, raw_1e8: int) -> Account:
        return replace(account, equity=account.equity + Fraction(raw_1e8, 10**8) / account.unit_usd)

    def at_prices(self, account: Account, prices_1e8: Mapping[str, int], timestamp: int) -> int | None:
        px = prices_1e8.get(account.index)
        return _ratio(Book(account), 0.0 if px is None else move_to(px, account.index_px))

    def at_moves(self, account: Account, moves: Mapping[str, Fraction], timestamp: int) -> int | None:
        return _ratio(Book(account), max(float(moves.get(account.index, Fraction(1))) - 1.0, -0.999999))

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
            to_raw_down(account.equity * account.unit_usd),
            0,
            VALUE_UNIT,
            (px,),
            0 if state is State.LIQUIDATABLE else None,
            maintenance_raw=to_raw_up(required * account.unit_usd),
        )


def _up(value: float) -> Fraction:
    """Beyond the floats' own error."""
    return Fraction(value) * (1 + Fraction(1, 10**9))


def _ratio(book: Book, at: float) -> int | None:
    """What the exchange states is of now: it says nothing of another price."""
    required = _up(book.required(at))
    if not at:
        required = max(required, book.account.stated_maintenance)
    return ratio_1e18_down(Fraction(book.equity(at)), required)


def _liquidation_px(account: Account) -> LiquidationPx:
    """The nearest price of the index, either way, at which equity no longer covers the matrix there."""
    book = Book(account)

    def bad(at: float) -> bool:
        ratio = _ratio(book, at)
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
        "stated_roll",
        "settle",
        "told",
    }
    fields.only(raw, where, known)
    futures = []
    for n, row in enumerate(fields.rows(raw, "futures", where)):
        if not isinstance(row, list) or len(row) not in (2, 3):
            raise fields.wrong(f"{where}, future {n}: [size, mark_px] and, where it expires, its days")
        named = dict(zip(("size", "mark_px", "days"), row, strict=False))
        days = positive(named, "days", where) if "days" in named else Fraction(0)
        futures.append(Future(number(named, "size", where), positive(named, "mark_px", where), days))
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
        _in_coin(raw, where),
        number(raw, "stated_roll", where) if "stated_roll" in raw else None,
        read_told(raw, where),
    )


def _in_coin(raw: Mapping[str, Any], where: str) -> bool:
    if raw.get("settle", "dollars") not in ("coin", "dollars"):
        raise fields.wrong(f'{where}: settle is "coin" or "dollars"')
    return bool(raw.get("settle") == "coin")


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
