"""Random troves, GMX positions and unified accounts for `random_books`: near their edge as often as not."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

from agent.margin import bybit_uta, crvusd, gmx_v2, liquity_v2, okx_multi, unified
from agent.margin.exchange import with_cums

WAD, E30 = 10**18, 10**30
Near = Callable[[random.Random], float]
TIERS = with_cums([(Fraction(0), Fraction(1, 200)), (Fraction(50_000), Fraction(1, 100))])


def trove(draw: random.Random, near: Near, at: int) -> tuple[Any, liquity_v2.Account]:
    px, coins, mcr = (
        int(3_000 * draw.uniform(0.5, 1.6) * 1e6) * 10**12,
        10 ** draw.uniform(0, 4),
        draw.choice((110, 120)) * 10**16,
    )
    debt = int(coins * px / 1e18 / (mcr / 1e18) / near(draw)) * WAD
    rate, since = draw.randrange(5 * 10**15, 5 * 10**17), at - draw.randrange(10**6)
    one = liquity_v2.Account("weth", "bold", int(coins * 1e18), debt, rate, since, px, mcr)
    if draw.random() < 0.4:
        shares = debt // draw.randrange(1, 9) + 1
        batch = liquity_v2.Batch(debt * 3, rate, draw.randrange(10**17), since, shares * 3)
        one = replace(one, batch=batch, batch_shares=shares, debt_1e18=0, annual_rate_1e18=0)
    return liquity_v2.MODEL, one


def gmx(draw: random.Random, near: Near, at: int) -> tuple[Any, gmx_v2.Account]:
    own, long = draw.random() < 0.3, draw.random() < 0.5
    px = int(3_000 * draw.uniform(0.6, 1.4) * 1e6) * 10**6
    tokens = int(10 ** draw.uniform(17, 22))
    size = int(tokens * px * draw.uniform(0.9, 1.1))
    base = gmx_v2.Position(
        "weth", "weth" if own else "usdc", long, size, tokens, 0, px, px if own else 10**24, draw.choice((5, 10)) * 10**27, 5 * E30, 12,
        position_fee_factor=draw.choice((5, 7)) * 10**26, borrowing_usd=size // draw.randrange(200, 5_000),
    )  # fmt: skip
    wanted = int(base.required() * near(draw)) - base.remaining(at)
    return gmx_v2.MODEL, gmx_v2.Account((replace(base, collateral_raw=max(wanted, 0) // base.collateral_px),))


def unified_account(draw: random.Random, near: Near, at: int) -> tuple[Any, unified.Account]:
    """Long or short of a linear future against dollars and a coin that counts in two tiers."""
    mark = Fraction(draw.randrange(2_000 * 100, 4_000 * 100), 100)
    size = Fraction(draw.randrange(1, 10**5), 1000) * draw.choice((-1, 1))
    future = unified.Future(
        "eth",
        "usdt",
        size,
        mark * Fraction(draw.randrange(97, 104), 100),
        mark,
        TIERS,
        None,
        Fraction(6, 10_000),
    )
    px, coins = Fraction(draw.randrange(30_000, 70_000)), Fraction(draw.randrange(10**4), 10**4)
    haircut = ((Fraction(0), Fraction(95, 100)), (Fraction(1, 2), Fraction(8, 10)))
    coin = unified.Held("btc", coins, Fraction(0), px, haircut, Fraction(0))
    whole = ((Fraction(0), Fraction(1)),)
    wanted = future.required(mark) * Fraction(int(near(draw) * 10**6), 10**6)
    dollars = wanted - coin.counted(coins) * px - future.profit(mark)
    held = unified.Held("usdt", dollars, Fraction(0), Fraction(1), whole, Fraction(0))
    return draw.choice((bybit_uta, okx_multi)).MODEL, unified.Account((coin, held), (future,))


def loan(draw: random.Random, near: Near, at: int) -> tuple[Any, crvusd.Account]:
    """Bands about a price of 3,000 of which the uppermost may be converted already."""
    a, count, coins = draw.choice((50, 100, 250)), draw.randrange(4, 20), 10 ** draw.uniform(-1, 2)
    up = int(3_000 * draw.uniform(0.9, 1.1) * 1e6) * 10**12
    px = int(up * draw.uniform(0.85, 1.3))
    converted = draw.randrange(0, 3) if px < up else 0
    rows = []
    for n in range(count):
        shares = draw.randrange(10**17, 10**18)
        whole, y = shares * draw.randrange(1, 9), int(coins * 1e18)
        x = int(y * up / 1e18 * (1 - 1 / a) ** n) if n < converted else 0
        rows.append(crvusd.Band(x, y * (n >= converted), shares, whole))
    first = draw.randrange(-5, 40)
    one = crvusd.Account(
        "weth", "crvusd", WAD, 18, draw.randrange(3 * 10**9), at - draw.randrange(10**5), draw.choice((6, 9)) * 10**16, a, px, up, first,
        first + converted - (0 if converted else 1), tuple(rows),
    )  # fmt: skip
    whole = crvusd.factor_at(one, at) or 0
    return crvusd.MODEL, replace(one, debt_raw=int(whole / near(draw)))


def with_px(account: Any, asset: str, px: int) -> Any:
    """The account with that one price in place of its own, in the model's own unit; None for an account that is none of these."""
    match account:
        case crvusd.Account():
            return replace(account, price_1e18=px)
        case liquity_v2.Account():
            return replace(account, price_1e18=px)
        case gmx_v2.Account():
            return replace(
                account, positions=tuple(p.at(px) if p.asset == asset else p for p in account.positions)
            )
        case unified.Account():
            at = Fraction(px, 10**8)
            return replace(
                account,
                assets=tuple(replace(h, index_px=at) if h.asset == asset else h for h in account.assets),
                futures=tuple(replace(f, mark_px=at) if f.asset == asset else f for f in account.futures),
            )
    return None


def worth(account: Any, at: int) -> tuple[float, float] | None:
    """(what covers, what is owed) by floats of the account's own figures; None for an account that is none of these."""
    match account:
        case liquity_v2.Account():
            debt, since, rate, part = (
                account.debt_1e18,
                account.last_update,
                account.annual_rate_1e18 / 1e18,
                1.0,
            )
            if (batch := account.batch) is not None:
                debt, since, part = (
                    batch.debt_1e18,
                    batch.last_update,
                    account.batch_shares / batch.total_shares,
                )
                rate = (batch.annual_rate_1e18 + batch.management_fee_1e18) / 1e18
            owed = debt / 1e18 * part * (1 + rate * (at - since) / liquity_v2.YEAR_S)
            return account.coll_1e18 / 1e18 * (account.price_1e18 / 1e18) / (account.mcr_1e18 / 1e18), owed
        case crvusd.Account():
            found = crvusd.factor_at(account, at)
            return None if found is None else _bands(account, at)
        case gmx_v2.Account():
            (p,) = account.positions
            gained = (p.size_tokens * p.index_px - p.size_usd) / 1e30 * (1 if p.long else -1)
            fees = (p.size_usd * p.position_fee_factor / 1e30 + p.borrowing_usd) / 1e30
            return p.collateral_raw * p.collateral_px / 1e30 + gained - fees, max(
                p.size_usd * p.min_factor / 1e30, p.min_usd
            ) / 1e30
        case unified.Account():
            (coin, held), (f,) = account.assets, account.futures
            units, value = float(coin.equity), abs(float(f.size)) * float(f.mark_px)
            cover = (min(units, 0.5) * 0.95 + max(units - 0.5, 0) * 0.8) * float(coin.index_px)
            cover += float(held.equity) + float(f.size) * float(f.mark_px - f.entry_px)
            margin = value * 0.005 if value < 50_000 else value * 0.01 - 250
            return cover, margin + value * 0.0006
    return None


def _bands(loan: crvusd.Account, at: int) -> tuple[float, float]:
    """By the curve in floats: a band is worth y·√(p_up·p_down) sold all the way down from its upper end."""
    growth = 1 + loan.rate_1e18 / 1e18 * (at - loan.last_update)
    p, up, total = loan.price_1e18 / 1e18, loan.p_up_1e18 / 1e18 * growth, 0.0
    first, held = up, 0.0
    for band in loan.bands:
        down, x, y = up * (1 - 1 / loan.a), band.x / 1e18, band.y / 1e18
        part = band.shares / (band.total_shares + 1_000)
        held += y * part
        total += _sold(x, y, p, up, down, loan.a) * part
        up = down
    cover = total * (1 - loan.discount_1e18 / 1e18)
    if loan.first_band > loan.active_band and p > first:
        cover += (p - first) * held
    return cover, loan.debt_raw / 1e18 * growth


def _sold(x: float, y: float, p: float, up: float, down: float, a: int) -> float:
    b = up * (a - 1) * x / p + a * p * p / up * y
    y0 = (b + (b * b + 4 * a * p * x * y) ** 0.5) / (2 * a * p)
    f, g = a * y0 * p * p / up, (a - 1) * y0 * up / p
    product = (f + x) * (g + y)
    if p >= up:
        return (product / f - g) * (up * down) ** 0.5
    if p <= down:
        return product / g - f
    left = a * y0 * (p - down) / p
    return product / (g + left) - f + left * (down * p) ** 0.5
