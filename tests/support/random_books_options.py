"""Random options and futures at Deribit's and Paradex' portfolio margin for `random_books`, near their edge as often as not, and what each is worth
beside what it must keep: by plain loops over the scenarios, written apart from the models' arrays."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

from agent.margin import deribit_pm, paradex_pm

Near = Callable[[random.Random], float]
EXTENDED = ((-0.66, 0.18), (-0.33, 0.36), (0.33, 0.36), (1.0, 0.12))
FRESH = 1e-6
"""So near, as a part of itself, is the health of an account built anew at a price to the one foretold for it: both by floats."""


def exact(value: float) -> Fraction:
    return Fraction(int(value * 10**9), 10**9)


def _rows(draw: random.Random, index: float) -> list[tuple[Fraction, bool, Fraction, Fraction, Fraction]]:
    """(size, whether a call, strike, days, volatility) of one to four options: naked ones, spreads, straddles."""
    rows = []
    for _ in range(draw.randrange(1, 5)):
        size = exact(draw.uniform(0.1, 20)) * draw.choice((-1, -1, 1))
        days = exact(draw.choice((draw.uniform(0.05, 3), draw.uniform(3, 200))))
        rows.append(
            (
                size,
                draw.random() < 0.5,
                exact(index * draw.uniform(0.7, 1.4)),
                days,
                exact(draw.uniform(0.3, 1.2)),
            )
        )
    return rows


def deribit(draw: random.Random, near: Near, at: int) -> tuple[Any, deribit_pm.Account]:
    index = draw.uniform(2_000, 5_000)
    futures = [
        deribit_pm.Future(
            exact(draw.uniform(0.5, 40)) * draw.choice((-1, 1)), exact(index * draw.uniform(0.98, 1.03))
        )
        for _ in range(draw.randrange(3))
    ]
    options = [deribit_pm.Option(*row, exact(index * draw.uniform(0.99, 1.04))) for row in _rows(draw, index)]
    parameters, in_coin = deribit_pm.Parameters(extended=draw.choice(((), EXTENDED))), draw.random() < 0.5
    if draw.random() < 0.5:
        parameters = deribit_pm.Parameters(
            price_range=draw.choice((0.16, 0.18)), table_factor=1.0, dampener=draw.choice((1_000.0, 25_000.0)), roll_least=0.01,
            roll_risk=0.075, option_contingency=0.0, future_contingency=0.0, maintenance_factor=0.8,
        )  # fmt: skip
        futures = [replace(f, days=exact(draw.choice((0.0, draw.uniform(1, 300))))) for f in futures]
    one = deribit_pm.Account(
        "eth",
        exact(index),
        Fraction(0),
        tuple(futures),
        tuple(options),
        parameters,
        in_coin=in_coin,
    )
    return deribit_pm.MODEL, replace(
        one, equity=exact(_deribit_loss(one) * near(draw) + draw.uniform(0, 0.01))
    )


def paradex(draw: random.Random, near: Near, at: int) -> tuple[Any, paradex_pm.Account]:
    index = draw.uniform(2_000, 5_000)
    perps = [
        paradex_pm.Perp(
            exact(draw.uniform(0.5, 40)) * draw.choice((-1, 1)),
            exact(index * draw.uniform(0.99, 1.02)),
            exact(draw.uniform(-0.001, 0.001)),
        )
    ][: draw.randrange(2)]
    rate, options = draw.choice((0.0, 0.04)), []
    for size, call, strike, days, vol in _rows(draw, index):
        fair = _spot_price(index, rate, float(strike), float(vol), float(days) / 365, call)
        mark = exact(fair * draw.uniform(0.97, 1.03))
        options.append(paradex_pm.Option(size, call, strike, days, vol, mark))
    one = paradex_pm.Account(
        "eth", exact(index), Fraction(0), exact(rate), tuple(perps), tuple(options), Fraction(3, 10_000), Fraction(3, 10_000),
        paradex_pm.Parameters(),
    )  # fmt: skip
    return paradex_pm.MODEL, replace(
        one, equity=exact(_paradex_required(one) * near(draw) + draw.uniform(0, 0.01))
    )


# ---- by plain loops


def black(forward: float, strike: float, vol: float, years: float, call: bool) -> float:
    """Black (1976) without discount."""
    spread = vol * math.sqrt(years)
    if spread <= 1e-12 or forward <= 0:
        return max(forward - strike, 0.0) if call else max(strike - forward, 0.0)
    d1 = math.log(forward / strike) / spread + spread / 2

    def below(x: float) -> float:
        return math.erfc(-x / math.sqrt(2)) / 2

    if call:
        return forward * below(d1) - strike * below(d1 - spread)
    return strike * below(spread - d1) - forward * below(-d1)


def _spot_price(spot: float, rate: float, strike: float, vol: float, years: float, call: bool) -> float:
    grown = math.exp(rate * years)
    return black(spot * grown, strike, vol, years, call) / grown


def deribit_asked(a: deribit_pm.Account) -> tuple[float, float, float]:
    """(worst loss, what rolls are charged, the whole maintenance margin), in what the account is settled in."""
    p, index = a.parameters, float(a.index_px)

    def worth(move: float, way: int) -> float:
        total = 0.0
        for f in a.futures:
            total += float(f.size) * (move / (1 + move) if a.in_coin else float(f.mark_px) * move)
        for o in a.options:
            days, vol = float(o.days), float(o.vol)
            scale = (30 / days) ** (p.short_power if days < 30 else p.long_power)
            if way > 0:
                vol = max(vol * (1 + p.vol_up * scale), vol, p.least_vol_up)
            elif way < 0:
                vol = max(vol * (1 - p.vol_down * scale), 0.0)
            there = float(o.forward_px) * (1 + move)
            price = black(there, float(o.strike), vol, days / 365, o.is_call)
            total += float(o.size) * (price / there if a.in_coin else price)
        return total

    now = worth(0.0, 0)
    worst = 0.0
    for n in range(-p.steps, p.steps + 1):
        for way in (1, 0, -1):
            worst = max(worst, now - worth(n / p.steps * p.price_range, way))
    for move, part in p.extended:
        worst = max(worst, (now - worth(move, 1)) * part)
    for move in (-0.66, -0.33, 0.5, 1, 2, 3, 4, 5) if p.table_factor else ():
        lost = (now - worth(move, 1)) * p.table_factor * p.price_range / abs(move)
        less = max(abs(move) / p.price_range - 1, 0) * p.dampener
        if a.in_coin:
            end = 1 + math.copysign(p.price_range, move)
            lost, less = lost * (1 + move) / end, less / (end * index)
        worst = max(worst, lost - less)
    bare: dict[tuple[bool, Fraction], Fraction] = {}
    for o in a.options:
        bare[o.is_call, o.strike] = bare.get((o.is_call, o.strike), Fraction(0)) + o.size
    short = float(sum(-size for size in bare.values() if size < 0))
    sides = [sum(max(way * float(f.size), 0.0) for f in a.futures) for way in (1, -1)]
    unit = 1.0 if a.in_coin else index
    rolls = _rolls(a) * unit
    more = (p.option_contingency * short + p.future_contingency * min(sides)) * unit
    return worst, rolls, (worst + more + rolls) * p.maintenance_factor


def _rolls(a: deribit_pm.Account) -> float:
    """Coins, over the expiries."""
    p, net = a.parameters, dict[Fraction, float]()
    for f in a.futures:
        net[f.days] = net.get(f.days, 0.0) + float(f.size)
    for o in a.options:
        spread = float(o.vol) * math.sqrt(float(o.days) / 365)
        d1 = math.log(float(o.forward_px) / float(o.strike)) / spread + spread / 2
        delta = math.erfc(-d1 / math.sqrt(2)) / 2 - (0 if o.is_call else 1)
        net[o.days] = net.get(o.days, 0.0) + float(o.size) * delta
    return sum(
        abs(d) * max(p.roll_least, math.exp(p.roll_risk * float(days) / 365) - 1) for days, d in net.items()
    )


def _deribit_loss(a: deribit_pm.Account) -> float:
    return deribit_asked(a)[2]


def _paradex_required(a: paradex_pm.Account) -> float:
    p, spot, rate = a.parameters, float(a.index_px), float(a.rate)

    def price(o: paradex_pm.Option, at: float, vol: float) -> float:
        return _spot_price(at, rate, float(o.strike), vol, float(o.days) / 365, o.is_call)

    worst = 0.0
    for move, shock, part in p.scenarios:
        gain = sum(float(x.size * x.mark_px) * move for x in a.perps)
        for o in a.options:
            days, vol = float(o.days), float(o.vol)
            power = p.short_power if days < 30 else p.long_power
            vol = max(vol * (1 + shock * (30 / max(days, p.days_floor)) ** power), 0.0)
            vol = max(vol, p.least_vol_up if shock > 0 else 0.0)
            live = min(days * 48, 1.0)
            gain += (price(o, spot * (1 + move), vol) - float(o.mark_px)) * float(o.size) * live
        worst = max(worst, -gain * part)
    deltas = [float(x.size * x.mark_px) / spot for x in a.perps]
    for o in a.options:
        up, down = (price(o, spot * (1 + h), float(o.vol)) for h in (1e-4, -1e-4))
        deltas.append((up - down) / (2e-4 * spot) * float(o.size))
    net = abs(sum(deltas))
    least = (p.unhedged * net + p.hedged * (sum(map(abs, deltas)) - net) / 2) * spot
    funding = sum(float(x.funding_8h * x.size) for x in a.perps) * spot
    fees = sum(float(a.perp_fee * abs(x.size) * x.mark_px) for x in a.perps)
    for o in a.options:
        fees += min(float(a.option_fee) * spot, 0.125 * max(float(o.mark_px), 0.0)) * abs(float(o.size))
    return max(worst, least) * p.maintenance_factor + max(0.0, funding) + fees


# ---- what random_books asks


def worth(account: Any) -> tuple[float, float] | None:
    """(equity, what must stay) in dollars; None for an account that is none of these."""
    match account:
        case deribit_pm.Account():
            usd = float(account.index_px) if account.in_coin else 1.0
            return float(account.equity) * usd, _deribit_loss(account) * usd
        case paradex_pm.Account():
            return float(account.equity), _paradex_required(account)
    return None


def anew(account: Any, px: int) -> Any:
    """The account as it would be told once the index stands at that price (1e-8 dollars), its volatilities the same."""
    new = Fraction(px, 10**8)
    move = new / account.index_px
    if isinstance(account, deribit_pm.Account):
        coin, futures, options = account.in_coin, [], []
        gain = Fraction(0)
        for f in account.futures:
            gain += f.size * ((1 - 1 / move) if coin else f.mark_px * (move - 1))
            futures.append(replace(f, size=f.size / move if coin else f.size, mark_px=f.mark_px * move))
        for o in account.options:
            forward, years = o.forward_px * move, float(o.days) / 365
            then, now = (
                black(float(at), float(o.strike), float(o.vol), years, o.is_call)
                / (float(at) if coin else 1.0)
                for at in (forward, o.forward_px)
            )
            gain += o.size * Fraction(then - now)
            options.append(replace(o, forward_px=forward))
        return replace(
            account,
            index_px=new,
            equity=account.equity + gain,
            futures=tuple(futures),
            options=tuple(options),
        )
    gain = sum((x.size * x.mark_px * (move - 1) for x in account.perps), Fraction(0))
    rows = []
    for o in account.options:
        then, now = (
            _spot_price(
                float(at), float(account.rate), float(o.strike), float(o.vol), float(o.days) / 365, o.is_call
            )
            for at in (new, account.index_px)
        )
        change = Fraction(then - now)
        gain += o.size * change * min(o.days * 48, Fraction(1))
        rows.append(replace(o, mark_px=o.mark_px + change))
    perps = tuple(replace(x, mark_px=x.mark_px * move) for x in account.perps)
    return replace(account, index_px=new, equity=account.equity + gain, perps=perps, options=tuple(rows))


def flips(model: Any, account: Any, px: int, nearer: int, at: int) -> bool:
    """Whether the model, asked of the printed price, says that it is liquidated, and asked of the next one towards now that it is not; and whether an account
    built anew at either has the health that was foretold, to `FRESH` of itself."""
    factors = [model.at_prices(account, {account.index: there}, at) for there in (px, nearer)]
    fresh = [model.at_moves(anew(account, there), {}, at) for there in (px, nearer)]
    near = all(
        f is not None and g is not None and abs(f - g) <= FRESH * 10**18
        for f, g in zip(factors, fresh, strict=True)
    )
    return near and factors[0] < 10**18 <= factors[1]
