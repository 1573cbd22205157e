"""Derive's portfolio margin (PMRM_2 and 2.1): a matrix of spot and volatility moves over one index, as the chain itself computes it.

Liquidatable once cash and marks are below maintenance: 0.8 of the worst case, and contingencies (`derive_matrix`). In 18-decimal integers;
where options are held, maintenance is rounded up by what their prices could be off the chain's (some 1e-15 of it). A liquidation price moves
the index with its perpetual, its forwards and collateral of the same asset, volatilities as they are; both ways are looked at in steps of a
few percent, so that a book of options liquidated only between two of them may be told a farther price.

Keys: `index`, `index_px`, `cash`; `perp` (`size`, `mark_px`, `unsettled` profit and funding, `confidence`); `collateral` (`asset`, `balance`,
`index_px`, `cancels_risk`, `mm_haircut`, `im_haircut`, `confidence`); `expiries` (`expires`, `forward_px`, `forward_fixed_px`, `rate`,
`confidence`, `options` of [size, "C" or "P", strike, vol]); `stable_px`, `confidence` (1 where not said); `parameters` (`derive_parameters`;
`{}` for the published ones, and without the key nothing is judged); `told` is what the exchange says of equity and maintenance (`unified_told`):
one that is not what is computed here makes the account UNKNOWN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from typing import Any

from agent.margin import fields
from agent.margin.derive_black import UNIT
from agent.margin.derive_matrix import Collateral, Expiry, Margin, Option, Parameters, Portfolio, margin
from agent.margin.derive_parameters import read_parameters, unit
from agent.margin.exchange import PX_DECIMALS
from agent.margin.model import HEALTHY_1E18, Health, LiquidationPx, Side, State, state_of
from agent.margin.option_rows import option_rows
from agent.margin.unified_told import Told, read_told

VALUE_UNIT = "USD_1e18"
_TO_PX = UNIT // 10**PX_DECIMALS
_MOVES_PCT = (1, 2, 3, 5, 8, 12, 16, 20, 25, 30, 36, 43, 50, 60, 70, 80, 90, 95, 99, 100)
_FAR_PCT = (125, 150, 200, 300, 450, 600, 900, 1_900, 4_900, 9_900, 99_900)
_PLACES_PCT = (
    *(100 + sign * move for move in _MOVES_PCT for sign in (-1, 1)),
    *(100 + move for move in _FAR_PCT),
)
"""Where the price is looked at, in percent of now, the nearest first."""


@dataclass(frozen=True, slots=True)
class Account:
    book: Portfolio
    parameters: Parameters
    told: Told | None = None


def moved(book: Portfolio, moves: Mapping[str, Fraction]) -> Portfolio:
    """The book with assets' prices times `moves`, each cut to the chain's decimals; a perpetual's profit goes with its mark."""

    def times(px: int, asset: str) -> int:
        move = moves.get(asset, Fraction(1))
        return px * move.numerator // move.denominator

    mark = times(book.perp_px, book.index)
    return replace(
        book,
        spot=times(book.spot, book.index),
        perp_px=mark,
        perp_worth=book.perp_worth + book.perp * (mark - book.perp_px) // UNIT,
        expiries=tuple(replace(e, forward=times(e.forward, book.index)) for e in book.expiries),
        collateral=tuple(replace(c, px=times(c.px, c.asset)) for c in book.collateral),
    )


@lru_cache(maxsize=256)
def _without_cash(book: Portfolio, p: Parameters, timestamp: int) -> Margin:
    """Cash moves nothing but the worth: whoever asks how much of it is needed asks the matrix once."""
    return margin(book, p, timestamp)


def margin_of(account: Account, moves: Mapping[str, Fraction], timestamp: int) -> Margin:
    """Raises ArithmeticError where the chain would revert."""
    book = moved(account.book, moves)
    found = _without_cash(replace(book, cash=0), account.parameters, timestamp)
    return replace(found, worth=found.worth + book.cash)


class DerivePortfolio:
    name = "derive_pm"
    price_decimals = PX_DECIMALS

    def read(self, account: Mapping[str, Any], decimals: Mapping[str, int]) -> Account:
        return _read(account, decimals)

    def disagreement(self, account: Account, timestamp: int) -> str:
        """Where the exchange's own figures are others, "" where they are these. What the chain would not compute itself `health` tells."""
        if account.told is None:
            return ""
        try:
            found = margin_of(account, {}, timestamp)
        except ArithmeticError:
            return ""
        worth, kept = Fraction(found.worth, UNIT), Fraction(found.maintenance, UNIT)
        return account.told.disagreement(worth, kept, kept)

    def at_moves(self, account: Account, moves: Mapping[str, Fraction], timestamp: int) -> int | None:
        """Zero where the chain itself could not compute it (a forward of nothing): that is not safe."""
        try:
            return _ratio(margin_of(account, moves, timestamp))
        except ArithmeticError:
            return 0

    def at_vol(self, account: Account, factor: Fraction) -> Account:
        """The account with every volatility times `factor`."""

        def shaken(e: Expiry) -> Expiry:
            vols = (replace(o, vol=o.vol * factor.numerator // factor.denominator) for o in e.options)
            return replace(e, options=tuple(vols))

        book = replace(account.book, expiries=tuple(shaken(e) for e in account.book.expiries))
        return replace(account, book=book)

    def deposited(self, account: Account, raw_1e8: int) -> Account:
        """The account with so many 1e-8 of a dollar more cash."""
        return replace(account, book=replace(account.book, cash=account.book.cash + raw_1e8 * _TO_PX))

    def health(self, account: Account, timestamp: int) -> Health:
        """Raises ArithmeticError where the chain would revert: nothing can be said of the account then."""
        found = margin_of(account, {}, timestamp)
        ratio = _ratio(found)
        state = state_of(ratio)
        others = [c.asset for c in account.book.collateral if c.asset != account.book.index]
        prices = [
            self._px(account, asset, timestamp) for asset in dict.fromkeys([account.book.index, *others])
        ]
        return Health(
            state,
            ratio,
            found.worth,
            0,
            VALUE_UNIT,
            tuple(prices),
            0 if state is State.LIQUIDATABLE else None,
            maintenance_raw=found.maintenance,
            initial_raw=found.initial,
        )

    def _px(self, account: Account, asset: str, timestamp: int) -> LiquidationPx:
        """The nearest price, either way, from which on worth is below maintenance."""
        book = account.book
        px = book.spot if asset == book.index else next(c.px for c in book.collateral if c.asset == asset)
        now = px // _TO_PX

        def left(raw: int) -> int:
            """What is left over maintenance with the asset at that price; where the chain reverts, less than nothing."""
            try:
                there = margin_of(account, {asset: Fraction(raw * _TO_PX, px)}, timestamp)
            except ArithmeticError:
                return -1
            return there.worth - there.maintenance

        nothing = LiquidationPx(asset, Side.NONE, None, now)
        if left(now) < 0:
            return nothing
        # More of what is lent can never liquidate: of a collateral's own price only the way down is looked at.
        places = _PLACES_PCT if asset == book.index else tuple(p for p in _PLACES_PCT if p < 100)
        good = {False: now, True: now}
        for place in places:
            there = max(now * place // 100, 1)
            up = there > now
            if left(there) < 0:
                px = _narrowed(left, good[up], there)
                return LiquidationPx(asset, Side.ABOVE if up else Side.BELOW, px, now)
            good[up] = there
        return nothing


def _ratio(found: Margin) -> int | None:
    if found.maintenance <= 0:
        return None if found.worth >= found.maintenance else 0
    return max(found.worth * HEALTHY_1E18 // found.maintenance, 0)


def _narrowed(left: Callable[[int], int], good: int, bad: int) -> int:
    """The price next to a good one at which `left` is below zero, on the way from `good`, where it is not, to `bad`, where it is."""
    above, below, halve = left(good), left(bad), False
    towards = 1 if bad > good else -1
    while abs(good - bad) > 1:
        # Where the line between the two would cross, and the middle in turns: the one is fast, the other sure.
        step = abs(bad - good) // 2 if halve else abs(bad - good) * above // (above - below)
        guess = good + towards * min(max(step, 1), abs(bad - good) - 1)
        at, halve = left(guess), not halve
        if at < 0:
            bad, below = guess, at
        else:
            good, above = guess, at
    return bad


def _read(raw: Mapping[str, Any], decimals: Mapping[str, int]) -> Account:
    where = f"account {raw.get('id', '?')}"
    known = {
        "id",
        "model",
        "chain",
        "index",
        "index_px",
        "cash",
        "perp",
        "collateral",
        "expiries",
        "stable_px",
    }
    fields.only(raw, where, known | {"confidence", "parameters", "told"})
    spot_confidence, perp = _part(raw, "confidence", where), raw.get("perp")
    confidence = spot_confidence
    size = mark = unsettled = 0
    if perp is not None:
        at = f"{where}, perp"
        if not isinstance(perp, Mapping):
            raise fields.wrong(f"{at} is not an object")
        fields.only(perp, at, {"size", "mark_px", "unsettled", "confidence"})
        size, mark = unit(perp, "size", at), _positive(perp, "mark_px", at)
        unsettled = unit(perp, "unsettled", at, default="0")
        confidence = min(confidence, _part(perp, "confidence", at))
    rows = fields.rows(raw, "expiries", where) if "expiries" in raw else []
    expiries = tuple(_expiry(row, f"{where}, expiry {n}") for n, row in enumerate(rows))
    if len({e.expires for e in expiries}) < len(expiries):
        raise fields.wrong(f"{where}: an expiry stands there twice")
    held = fields.rows(raw, "collateral", where) if "collateral" in raw else []
    book = Portfolio(
        fields.listed(raw, "index", where, decimals),
        _positive(raw, "index_px", where),
        _positive(raw, "stable_px", where, default="1"),
        confidence,
        unit(raw, "cash", where, default="0"),
        size,
        mark,
        unsettled,
        expiries,
        tuple(
            _collateral(row, f"{where}, collateral {n}", decimals, spot_confidence)
            for n, row in enumerate(held)
        ),
    )
    names = [c.asset for c in book.collateral]
    if len(set(names)) < len(names):
        raise fields.wrong(f"{where}: a collateral stands there twice")
    parameters = read_parameters(raw.get("parameters", {}), f"{where}, parameters")
    return Account(book, parameters, read_told(raw, where))


def _expiry(raw: Any, where: str) -> Expiry:
    if not isinstance(raw, Mapping):
        raise fields.wrong(f"{where} is not an object")
    fields.only(raw, where, {"expires", "forward_px", "forward_fixed_px", "rate", "confidence", "options"})
    options = []
    for at, named, is_call in option_rows(raw, where, ("size", "strike", "vol")):
        strike, vol = _positive(named, "strike", at), unit(named, "vol", at)
        if vol < 0:
            raise fields.wrong(f"{at}: vol is {named['vol']!r}, below zero")
        options.append(Option(unit(named, "size", at), is_call, strike, vol))
    forward, fixed = unit(raw, "forward_px", where), unit(raw, "forward_fixed_px", where, default="0")
    if forward < 0 or fixed < 0 or not forward + fixed:
        raise fields.wrong(f"{where}: forward_px and forward_fixed_px are not above zero together")
    return Expiry(
        fields.whole(raw, "expires", where),
        forward,
        fixed,
        unit(raw, "rate", where, default="0"),
        _part(raw, "confidence", where),
        tuple(options),
    )


def _collateral(raw: Any, where: str, decimals: Mapping[str, int], least: int) -> Collateral:
    if not isinstance(raw, Mapping):
        raise fields.wrong(f"{where} is not an object")
    known = {"asset", "balance", "index_px", "cancels_risk", "mm_haircut", "im_haircut", "confidence"}
    fields.only(raw, where, known)
    balance = unit(raw, "balance", where)
    if balance < 0:
        raise fields.wrong(f"{where}: balance is {raw['balance']!r}, below zero")
    return Collateral(
        fields.listed(raw, "asset", where, decimals),
        balance,
        _positive(raw, "index_px", where),
        fields.flag(raw, "cancels_risk", where),
        _part(raw, "mm_haircut", where, default=None),
        _part(raw, "im_haircut", where, default=None),
        min(_part(raw, "confidence", where), least),
    )


def _part(raw: Mapping[str, Any], key: str, where: str, default: str | None = "1") -> int:
    found = unit(raw, key, where, default=default)
    if not 0 <= found <= UNIT:
        raise fields.wrong(f"{where}: {key} is {raw[key]!r}, not from 0 to 1")
    return found


def _positive(raw: Mapping[str, Any], key: str, where: str, *, default: str | None = None) -> int:
    found = unit(raw, key, where, default=default)
    if found <= 0:
        raise fields.wrong(f"{where}: {key} is {raw[key]!r}, not above zero")
    return found


MODEL = DerivePortfolio()
