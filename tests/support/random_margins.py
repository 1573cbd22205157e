"""Random accounts of margin models that have their own integers (Derive's PMRM_2, dYdX v4), near their edge as often as not, and what each is
worth beside what it must keep, by floats of its own figures."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction
from typing import Any

from agent.margin import derive_pm, dydx_v4
from agent.margin.derive_black import UNIT
from agent.margin.derive_matrix import Collateral, Expiry, Option, Portfolio, margin
from agent.margin.derive_parameters import read_parameters
from agent.margin.model import LiquidationPx

PARAMETERS = read_parameters({}, "the published")


def dydx(draw: random.Random, at: int, near: float) -> tuple[Any, dydx_v4.Account]:
    rows = []
    for asset, price, exponent, resolution in (("wbtc", 6 * 10**9, -5, -10), ("weth", 3 * 10**9, -6, -9))[
        : draw.randrange(1, 3)
    ]:
        quantums = draw.randrange(10**6, 10**12) * draw.choice((-1, 1))
        initial = draw.choice((20_000, 50_000, 100_000))
        rows.append(
            dydx_v4.Position(
                asset, quantums, resolution, int(price * draw.uniform(0.5, 1.6)), exponent, initial, 600_000
            )
        )
    empty = dydx_v4.Account(0, tuple(rows))
    return dydx_v4.MODEL, replace(empty, quote=int(empty.maintenance() * near) - empty.net())


def derive(draw: random.Random, at: int, near: float) -> tuple[Any, derive_pm.Account]:
    """A perpetual and collateral; once in eight an option besides."""
    spot = int(3_000 * draw.uniform(0.5, 1.6) * 1e8) * 10**10
    size = int(draw.uniform(0.1, 50) * 1e6) * 10**12 * draw.choice((-1, 1))
    held = (
        Collateral("weth", int(draw.uniform(0, 5) * UNIT), spot, True, 15 * UNIT // 1000, UNIT // 200, UNIT),
        Collateral(
            "wbtc", int(draw.uniform(0, 0.1) * UNIT), 60_000 * UNIT, False, UNIT // 4, UNIT // 20, UNIT
        ),
    )
    expiries: tuple[Expiry, ...] = ()
    if draw.random() < 0.125:
        option = Option(size // 2, draw.random() < 0.5, spot * draw.randrange(7, 14) // 10, UNIT * 7 // 10)
        expiries = (Expiry(at + draw.randrange(86_400, 10**7), spot, 0, UNIT // 20, UNIT, (option,)),)
    book = Portfolio(
        "weth",
        spot,
        UNIT,
        UNIT,
        0,
        size,
        spot * draw.randrange(990, 1010) // 1000,
        0,
        expiries,
        held[: draw.randrange(3)],
    )
    found = margin(book, PARAMETERS, at)
    return derive_pm.MODEL, derive_pm.Account(
        replace(book, cash=int(Fraction(near) * found.maintenance) - found.worth), PARAMETERS
    )


def with_px(account: Any, printed: LiquidationPx, px: int) -> Any:
    """The account with that one price in place of its own."""
    if isinstance(account, dydx_v4.Account):
        return account.at({printed.asset: px})
    book = account.book
    now = (
        book.spot
        if printed.asset == book.index
        else next(c.px for c in book.collateral if c.asset == printed.asset)
    )
    return replace(account, book=derive_pm.moved(book, {printed.asset: Fraction(px * 10**10, now)}))


def worth(account: Any) -> tuple[float, float] | None:
    """(what covers, what is owed) in dollars; None where options make it none that plain sums tell."""
    if isinstance(account, dydx_v4.Account):
        cover, owed = account.quote / 1e6, 0.0
        for p in account.positions:
            notional = p.quantums * 10.0**p.resolution * p.price * 10.0**p.exponent
            cover += notional
            owed += abs(notional) * p.initial_ppm / 1e6 * p.fraction_ppm / 1e6
        return cover, owed
    book = account.book
    if book.expiries:
        return None
    values = [(c.balance / 1e18 * c.px / 1e18, c) for c in book.collateral]
    slope = book.perp / 1e18 * book.perp_px / 1e18 + sum(v for v, c in values if c.cancels_risk)
    shocks = [(s.spot / 1e18 - 1) * s.dampening / 1e18 for s in account.parameters.scenarios]
    owed = (
        -0.8 * min(0.0, *(slope * shock for shock in shocks))
        + 0.015 * abs(book.perp) / 1e18 * book.spot / 1e18
    )
    owed += sum(v * c.mm_haircut / 1e18 for v, c in values)
    return book.cash / 1e18 + book.perp_worth / 1e18 + sum(v for v, _ in values), owed
