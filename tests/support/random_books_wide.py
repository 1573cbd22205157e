"""Random accounts at Deribit's standard margin and loans in unified accounts for `random_books`, near their edge as often as not, and what each
is worth beside what it must keep, by floats of its own figures."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

from agent.margin import binance_pm as binance_pm_model
from agent.margin import bybit_uta, deribit_sm, okx_multi, unified
from agent.margin.exchange import with_cums

Near = Callable[[random.Random], float]
TIERS = with_cums([(Fraction(0), Fraction(1, 200)), (Fraction(50_000), Fraction(1, 100))])
INVERSE_TIERS = with_cums([(Fraction(0), Fraction(1, 250)), (Fraction(5), Fraction(1, 100))])
PM_LIQUIDATED = Fraction(105, 100)
LOAN_TIERS = ((Fraction(0), Fraction(5, 100)), (Fraction(40_000), Fraction(8, 100)))
WHOLE = ((Fraction(0), Fraction(1)),)
LEAST_PX = Fraction(1, 10**8)


def exact(value: float) -> Fraction:
    return Fraction(int(value * 10**9), 10**9)


def deribit(draw: random.Random, near: Near, at: int) -> tuple[Any, deribit_sm.Account]:
    """One settlement currency: its inverse perpetual and future in coins, or linear ones of two coins in dollars."""
    inverse, rows = draw.random() < 0.6, []
    settle, settle_px = ("btc", exact(draw.uniform(30_000, 90_000))) if inverse else ("usdc", Fraction(1))
    names = ("btc-perp", "btc-future") if inverse else ("btc-usdc", "eth-usdc")
    for name, usual in zip(names, (60_000, 60_000 if inverse else 3_000), strict=True):
        if rows and draw.random() < 0.5:
            break
        mark, way = exact(usual * draw.uniform(0.6, 1.5)), draw.choice((-1, 1))
        size = (
            draw.randrange(1, 10**6) * Fraction(10) if inverse else Fraction(draw.randrange(1, 10**6), 1000)
        )
        worth = size / mark if inverse else size * mark
        kept = worth * exact(draw.choice((0.005, 0.01, 0.02)) + draw.uniform(0, 0.01))
        rows.append(deribit_sm.Contract(name, size * way, mark, kept, inverse))
    equity = sum((p.maintenance for p in rows), Fraction(0)) * exact(near(draw))
    return deribit_sm.MODEL, deribit_sm.Account(settle, settle_px, equity, tuple(rows))


def unified_loan(draw: random.Random, near: Near, at: int) -> tuple[Any, unified.Account]:
    """Dollars lent by the exchange against coins, some of them kept; half of them with a future that settles in them."""
    rows, cover = [], Fraction(0)
    for asset, usual in (("btc", 60_000), ("sol", 150))[: draw.randrange(1, 3)]:
        px, units = exact(usual * draw.uniform(0.6, 1.5)), exact(10 ** draw.uniform(2, 5.5) / usual)
        haircut = ((Fraction(0), Fraction(95, 100)), (units * exact(draw.uniform(0.3, 2)), Fraction(8, 10)))
        rows.append(unified.Held(asset, units, Fraction(0), px, haircut, Fraction(1, 10)))
        cover += rows[-1].counted(units) * px
    futures: tuple[unified.Future, ...] = ()
    wanted, kept = exact(near(draw)), exact(draw.uniform(0, 0.6))
    if draw.random() < 0.5:
        mark = exact(3_000 * draw.uniform(0.6, 1.5))
        size = cover / mark * exact(draw.uniform(0.01, 2)) * draw.choice((-1, 1))
        entry = mark * exact(draw.uniform(0.97, 1.03))
        one = unified.Future("eth", "usdt", size, entry, mark, TIERS, None, Fraction(6, 10_000))
        left = cover + one.profit(mark) - wanted * one.required(mark)
        if left > cover / 10:
            futures, cover = (one,), left
    first = cover / (1 - kept + wanted * LOAN_TIERS[0][1])
    rate = [r for above, r in LOAN_TIERS if first > above][-1]
    loan = cover / (1 - kept + wanted * rate)
    rows.append(
        unified.Held("usdt", loan * (kept - 1), loan, Fraction(1), WHOLE, LOAN_TIERS[0][1], LOAN_TIERS)
    )
    return draw.choice((bybit_uta, okx_multi)).MODEL, unified.Account(tuple(rows), futures, lends=True)


def binance_pm(draw: random.Random, near: Near, at: int) -> tuple[Any, unified.Account]:
    """Coins of which a part is lent, dollars that may be owed, and a future: linear in dollars, or inverse in the coin."""
    px, units = exact(60_000 * draw.uniform(0.6, 1.5)), exact(10 ** draw.uniform(-2, 1))
    owed = units * exact(draw.choice((0.0, draw.uniform(0, 0.5))))
    coin = unified.Held("btc", units, owed, px, ((Fraction(0), Fraction(95, 100)),), Fraction(1, 20))
    way = draw.choice((-1, 1))
    entry = px * exact(draw.uniform(0.97, 1.03))
    if draw.random() < 0.5:
        size = units * exact(draw.uniform(0.01, 5)) * way
        one = unified.Future("btc", "usdt", size, entry, px, TIERS, None)
    else:
        contracts = Fraction(max(int(units * px * exact(draw.uniform(0.01, 3)) / 100), 1)) * way
        one = unified.Future("btc", "btc", contracts, entry, px, INVERSE_TIERS, Fraction(100))
    dollars = unified.Held("usdt", Fraction(0), Fraction(0), Fraction(1), WHOLE, Fraction(1, 20))
    equity, required = unified.totals(unified.Account((coin, dollars), (one,)), {})
    wanted = exact(near(draw)) * PM_LIQUIDATED
    missing = required * wanted - equity
    if missing < 0:  # dollars that are owed ask for a twentieth of themselves
        missing /= 1 + wanted / 20
    dollars = replace(dollars, equity=missing, loan=max(-missing, Fraction(0)))
    return binance_pm_model.MODEL, unified.Account((coin, dollars), (one,))


def with_px(account: Any, asset: str, px: int) -> Any:
    """As the exchange would tell the account at that price (1e-8 dollars): what a position gained is in its equity, what it lost is lent. None
    for an account that is none of these."""
    at = max(Fraction(px, 10**8), LEAST_PX)
    match account:
        case deribit_sm.Account():
            equity, rows = account.equity, []
            for p in account.positions:
                if p.asset == asset and p.inverse:
                    equity += p.size / p.mark_px - p.size / at
                    p = replace(p, mark_px=at, maintenance=p.maintenance * p.mark_px / at)
                elif p.asset == asset:
                    equity += p.size * at - p.size * p.mark_px
                    p = replace(p, mark_px=at, maintenance=p.maintenance * at / p.mark_px)
                rows.append(p)
            return replace(account, equity=equity, positions=tuple(rows))
        case unified.Account() if account.lends:
            at = Fraction(px, 10**8)
            futures = tuple(replace(f, mark_px=at) if f.asset == asset else f for f in account.futures)
            held = []
            for h in account.assets:
                before, after = (
                    h.equity
                    + sum(
                        (f.size * (f.mark_px - f.entry_px) for f in some if f.settles == h.asset), Fraction(0)
                    )
                    for some in (account.futures, futures)
                )
                spare = max(h.loan - max(-before, Fraction(0)), Fraction(0))
                # What `loan` says is what the exchange had lent: all of it where the asset is below zero now.
                loan = spare + max(-after, Fraction(0))
                held.append(replace(h, loan=loan, index_px=at if h.asset == asset else h.index_px))
            return replace(account, assets=tuple(held), futures=futures)
    return None


def worth(account: Any, name: str) -> tuple[float, float] | None:
    """(what covers, what must stay) in dollars; None for an account that is none of these. `name`: the model's."""
    match account:
        case unified.Account() if name == "binance_pm":
            (coin, dollars), (f,) = account.assets, account.futures
            px, mark, size = float(coin.index_px), float(f.mark_px), float(f.size)
            coins, usd = float(coin.equity), float(dollars.equity)
            if f.contract_usd is None:
                usd += size * (mark - float(f.entry_px))
                value = abs(size) * mark
                kept = value * 0.005 if value < 50_000 else value * 0.01 - 250
            else:
                coins += size * 100 * (1 / float(f.entry_px) - 1 / mark)
                value = abs(size) * 100 / mark
                kept = (value * 0.004 if value < 5 else value * 0.01 - 0.03) * px
            cover = coins * px * (0.95 if coins > 0 else 1.0) + usd
            return cover, (kept + float(coin.loan) * 0.05 * px + float(dollars.loan) * 0.05) * 1.05
        case deribit_sm.Account():
            px = float(account.settle_px)
            return float(account.equity) * px, sum(float(p.maintenance) for p in account.positions) * px
        case unified.Account() if account.lends:
            cover = owed = 0.0
            gained = {"usdt": 0.0}
            for f in account.futures:
                value = abs(float(f.size)) * float(f.mark_px)
                gained["usdt"] += float(f.size) * (float(f.mark_px) - float(f.entry_px))
                owed += (value * 0.005 if value < 50_000 else value * 0.01 - 250) + value * 0.0006
            for h in account.assets:
                units, px = float(h.equity) + gained.get(h.asset, 0.0), float(h.index_px)
                step = float(h.haircut[1][0]) if len(h.haircut) > 1 else units
                counts = (
                    0.95 * min(units, step) + 0.8 * max(units - step, 0.0) if len(h.haircut) > 1 else units
                )
                cover += counts * px
                lent = max(float(h.loan), -units, 0.0)
                owed += lent * (0.08 if lent > 40_000 else 0.05) * px
            return cover, owed
    return None
