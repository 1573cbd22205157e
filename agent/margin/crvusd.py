"""crvUSD and Llamalend loans: liquidated where their health is below zero, as their controller computes it from the bands of its AMM.

Health is what the collateral would become if it were sold on the way down, less the liquidation discount, over the debt; above all of
its bands also what the price is higher than they begin. It is told plus one, so that one is where liquidation begins. Formulas:
Controller._health and AMM.get_xy_up, _get_y0 of curvefi/curve-stablecoin. Prices have 18 decimals; of the AMM the price at which the loan's
first band begins (`p_oracle_up`) is asked, and each next band begins (A−1)/A lower. Keys: `collateral`, `debt`, `debt_raw` at
`last_update`, `rate_1e18` (a second's), `liquidation_discount_1e18`, `a`, `price_1e18` (price_oracle), `p_oracle_up_1e18` and
`first_band` of the loan, `active_band`, `bands` of `x_raw`, `y_raw` (18 decimals, as the AMM keeps them), `shares`, `total_shares`. Prices
that move do so with nothing traded in the AMM, as the contract itself would answer then: arbitrage in between leaves more, not less.
Where collateral is being converted already (soft liquidation) the account is told at risk, whatever its health.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from math import isqrt
from typing import Any

from agent.margin import fields
from agent.margin.liquidation import first_second, highest_bad, lowest_bad
from agent.margin.model import Health, LiquidationPx, Side, State, moved_px, state_of

WAD = 10**18
DEAD_SHARES = 1_000
MOST_BANDS = 50
VALUE_UNIT = "1e18 of what is borrowed"


@dataclass(frozen=True, slots=True)
class Band:
    """What the AMM holds there, borrowed (x) and collateral (y), and the loan's shares of it."""

    x: int
    y: int
    shares: int
    total_shares: int


@dataclass(frozen=True, slots=True)
class Account:
    collateral: str
    debt: str
    debt_raw: int
    debt_decimals: int
    rate_1e18: int
    last_update: int
    discount_1e18: int
    a: int
    price_1e18: int
    p_up_1e18: int
    first_band: int
    active_band: int
    bands: tuple[Band, ...]

    @property
    def converting(self) -> bool:
        return any(band.x for band in self.bands)


def grown(account: Account, timestamp: int) -> int:
    """1e18 and the interest since: debts and the prices of bands grow by it alike."""
    return WAD + account.rate_1e18 * (timestamp - account.last_update)


def debt_18(account: Account, timestamp: int) -> int:
    raw = account.debt_raw * grown(account, timestamp) // WAD
    return int(raw * 10 ** (18 - account.debt_decimals))


def y0_of(band: Band, p_o: int, p_up: int, a: int) -> int:
    """The collateral a band of this liquidity would hold at its upper end, the price there (AMM._get_y0)."""
    b = p_up * (a - 1) * band.x // p_o + a * p_o**2 // p_up * band.y // WAD
    if band.x and band.y:
        d = b**2 + 4 * a * p_o * band.y // WAD * band.x
        return (b + isqrt(d)) * WAD // (2 * a * p_o)
    return b * WAD // (a * p_o)


def becomes(band: Band, p_o: int, p_up: int, a: int) -> int:
    """What a whole band becomes in borrowed coins, first traded to the oracle's price, then slowly on the way down (AMM.get_xy_up)."""
    p_down = p_up * (a - 1) // a
    if not p_down:
        return 0
    root = isqrt(10**36 * a // (a - 1))
    middle = p_o**2 // p_down * p_o // p_up
    if not band.x or not band.y:
        if p_o > p_up:
            y = band.y or (band.x * WAD // middle if middle else 0)
            return y * p_up // root
        if p_o < p_down:
            return band.x or band.y * middle // WAD
    y0 = y0_of(band, p_o, p_up, a)
    f = a * y0 * p_o // p_up * p_o // WAD
    g = (a - 1) * y0 * p_up // p_o
    if not f or not g:
        return 0
    product = (f + band.x) * (g + band.y)
    if p_o > p_up:
        return max(product // f - g, 0) * p_up // root
    if p_o < p_down:
        return max(product // g - f, 0)
    y = a * y0 * (p_o - p_down) // p_o
    x = max(product // (g + y) - f, 0)
    return x + y * isqrt(p_down * p_o) // WAD


def factor_at(account: Account, timestamp: int) -> int | None:
    """Health and one, in 1e18; None without debt."""
    debt = debt_18(account, timestamp)
    if not debt:
        return None
    if not account.price_1e18:
        return 0
    p_up = first = account.p_up_1e18 * grown(account, timestamp) // WAD
    total = 0
    for band in account.bands:
        if band.shares and band.total_shares and (band.x or band.y):
            whole = becomes(band, account.price_1e18, p_up, account.a)
            total += whole * band.shares // (band.total_shares + DEAD_SHARES)
        p_up = p_up * (account.a - 1) // account.a
    unit = int(10 ** (18 - account.debt_decimals))
    health = total // unit * unit * (WAD - account.discount_1e18) // debt
    if account.first_band > account.active_band and account.price_1e18 > first:
        held = sum(b.y * b.shares // (b.total_shares + DEAD_SHARES) for b in account.bands)
        health += (account.price_1e18 - first) * held // debt
    return health


def repaid(account: Account, raw: int, timestamp: int) -> Account:
    """The loan with so much of its debt paid, its interest recorded; the bands stay where they are."""
    factor = grown(account, timestamp)
    left = max(account.debt_raw * factor // WAD - raw, 0)
    return replace(account, debt_raw=left, last_update=timestamp, p_up_1e18=account.p_up_1e18 * factor // WAD)


class CrvUsd:
    name = "crvusd"
    price_decimals = 18

    def read(self, account: Mapping[str, Any], decimals: Mapping[str, int]) -> Account:
        where = f"account {account.get('id', '?')}"
        names = (
            "debt_raw",
            "rate_1e18",
            "last_update",
            "liquidation_discount_1e18",
            "a",
            "price_1e18",
            "p_oracle_up_1e18",
        )
        fields.only(
            account,
            where,
            {"id", "model", "chain", "collateral", "debt", "bands", "first_band", "active_band", *names},
        )
        values = {name: fields.whole(account, name, where) for name in names}
        debt = fields.listed(account, "debt", where, decimals)
        if not 2 <= values["a"] <= 10_000:
            raise fields.wrong(f"{where}: a is {values['a']}, and bands of that width there are none")
        if values["liquidation_discount_1e18"] >= WAD or not values["p_oracle_up_1e18"]:
            raise fields.wrong(
                f"{where}: liquidation_discount_1e18 is below one, p_oracle_up_1e18 above zero"
            )
        if decimals[debt] > 18:
            raise fields.wrong(f"{where}: {debt} has more decimals than its AMM counts in")
        rows = fields.rows(account, "bands", where)
        if len(rows) > MOST_BANDS:
            raise fields.wrong(f"{where}: {len(rows)} bands are more than a loan has ({MOST_BANDS})")
        return Account(
            fields.listed(account, "collateral", where, decimals),
            debt,
            values["debt_raw"],
            decimals[debt],
            values["rate_1e18"],
            values["last_update"],
            values["liquidation_discount_1e18"],
            values["a"],
            values["price_1e18"],
            values["p_oracle_up_1e18"],
            fields.signed(account, "first_band", where),
            fields.signed(account, "active_band", where),
            tuple(_band(row, f"{where}, band {n}") for n, row in enumerate(rows)),
        )

    def at_moves(self, account: Account, moves: Mapping[str, Fraction], timestamp: int) -> int | None:
        """What is borrowed counts one for each, whatever its market price: so does the controller."""
        px = moved_px(account.price_1e18, moves.get(account.collateral, Fraction(1)))
        return factor_at(replace(account, price_1e18=px), timestamp)

    def health(self, account: Account, timestamp: int) -> Health:
        """Raises Usage where interest was recorded after `timestamp`."""
        if account.last_update > timestamp:
            raise fields.wrong(f"last_update {account.last_update} is after the time asked for ({timestamp})")
        factor, debt = factor_at(account, timestamp), debt_18(account, timestamp)
        state = state_of(factor)
        if state is State.SAFE and debt and account.converting:
            state = State.AT_RISK
        gone = state is State.LIQUIDATABLE

        def bad_px(px: int) -> bool:
            found = factor_at(replace(account, price_1e18=px), timestamp)
            return found is not None and found < WAD

        def bad_later(seconds: int) -> bool:
            found = factor_at(account, timestamp + seconds)
            return found is not None and found < WAD

        px, side = (
            (highest_bad(bad_px, account.price_1e18, 10**60), Side.BELOW) if debt else (None, Side.NONE)
        )
        # With nothing traded, borrowed coins would buy back at a price far above: such a loan can fall upwards, too.
        if debt and account.converting and not gone:
            up = lowest_bad(bad_px, account.price_1e18, 10**60)
            if up is not None and (px is None or up - account.price_1e18 < account.price_1e18 - px):
                px, side = up, Side.ABOVE
        held = sum(b.y * b.shares // (b.total_shares + DEAD_SHARES) for b in account.bands)
        sold = sum(b.x * b.shares // (b.total_shares + DEAD_SHARES) for b in account.bands)
        return Health(
            state,
            factor,
            held * account.price_1e18 // WAD + sold,
            debt,
            VALUE_UNIT,
            (
                LiquidationPx(
                    account.collateral, side if px is not None else Side.NONE, px, account.price_1e18
                ),
            ),
            (0 if gone else first_second(bad_later)) if debt else None,
        )


def _band(raw: Any, where: str) -> Band:
    if not isinstance(raw, Mapping):
        raise fields.wrong(f"{where} is not an object")
    names = ("x_raw", "y_raw", "shares", "total_shares")
    fields.only(raw, where, set(names))
    found = Band(*(fields.whole(raw, name, where) for name in names))
    if found.shares > found.total_shares:
        raise fields.wrong(f"{where}: shares are more than total_shares")
    return found


MODEL = CrvUsd()
