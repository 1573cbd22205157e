"""Random books of accounts under every lending model and at an exchange, near their edge as often as not, and what each must satisfy.

`hold` takes one account: no false "safe" by the exact worth of what is lent and owed, and every printed liquidation price, put into a
fresh account, is the last integer at which its own arithmetic still says so.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import random_books_more
import random_books_options
import random_books_wide
import random_margins

from agent.margin import (
    aave_v3_0,
    aave_v3_3,
    aave_v3_4,
    aave_v3_5,
    aave_v3_6,
    aave_v3_7,
    binance_usdm,
    compound_v3,
    deribit_pm,
    derive_pm,
    dydx_v4,
    hyperliquid,
    maker_vault,
    morpho_blue,
    paradex_pm,
)
from agent.margin.aave_account import Account as Aave
from agent.margin.aave_account import EMode, Reserve
from agent.margin.exchange import Position, with_cums
from agent.margin.model import HEALTHY_1E18, LiquidationPx, Side, State
from agent.margin.perps import PerpAccount
from agent.margin.ray import RAY
from agent.margin.surface import Member

AT = 1_700_000_000
YEAR_S = 31_536_000
COINS = (
    ("weth", 18, 3_000 * 10**8),
    ("wbtc", 8, 60_000 * 10**8),
    ("usdc", 6, 10**8),
    ("dai", 18, 99_970_000),
)
TIERS = with_cums(
    [
        (Fraction(0), Fraction(1, 50)),
        (Fraction(100_000), Fraction(1, 25)),
        (Fraction(500_000), Fraction(1, 10)),
    ]
)
AAVES = (aave_v3_0, aave_v3_3, aave_v3_4, aave_v3_5, aave_v3_6, aave_v3_7)
Kind = Callable[[random.Random], tuple[Any, Any]]
BAND = 1e-6
"""Beyond it from one, rounding cannot decide who is liquidated; but where amounts are dust (see `worth`)."""


def near(draw: random.Random) -> float:
    """A health to aim at: about one as often as not."""
    return draw.uniform(0.98, 1.03) if draw.random() < 0.5 else draw.uniform(0.5, 4.0)


def px_of(draw: random.Random, usual: int) -> int:
    return max(1, int(usual * draw.uniform(0.5, 1.6)) if draw.random() < 0.9 else draw.randrange(1, usual))


def aave(draw: random.Random, versions: Sequence[Any] = AAVES) -> tuple[Any, Aave]:
    model = draw.choice(versions).MODEL
    coins = draw.sample(COINS, draw.randrange(2, 5))
    lent = draw.randrange(1, len(coins))
    size, rows, weighted = 10 ** draw.uniform(0, 6), [], 0.0
    emode = EMode(9_000, 9_300, frozenset(c[0] for c in coins[:2])) if draw.random() < 0.15 else None
    wanted = near(draw)
    for n, (asset, decimals, usual) in enumerate(coins):
        px, index = px_of(draw, usual), RAY + draw.randrange(RAY // 3)
        threshold = draw.choice((7_000, 7_800, 8_250, 9_000))
        rate = draw.randrange(RAY // 8)
        row = Reserve(
            asset, decimals, px, threshold - 300, threshold, True, AT - draw.randrange(2 * 10**6), 0, index, rate // 2, 0,
            index + draw.randrange(RAY // 9), rate,
        )  # fmt: skip
        counted = emode.liquidation_threshold_bps if emode is not None and n < 2 else threshold
        if n < lent or draw.random() < 0.1:
            usd = size * draw.uniform(0.01, 1)
            weighted += usd * counted / 10_000
            scaled = int(usd * 1e8 / px * 10**decimals * RAY / model.supply_index(row, AT))
            row = replace(row, scaled_supply_raw=scaled)
        if n >= lent:
            usd = weighted / wanted / (len(coins) - lent)
            scaled = int(usd * 1e8 / px * 10**decimals * RAY / model.debt_index(row, AT))
            row = replace(row, scaled_debt_raw=scaled)
        rows.append(row)
    return model, Aave(tuple(rows), emode)


def comet(draw: random.Random) -> tuple[Any, compound_v3.Account]:
    held, weighted = [], 0.0
    for asset, decimals, usual in draw.sample(COINS[:2] + COINS[3:], draw.randrange(1, 4)):
        px, usd, factor = px_of(draw, usual), 10 ** draw.uniform(0, 6), draw.choice((70, 80, 90))
        held.append(
            compound_v3.Collateral(
                asset,
                decimals,
                int(usd * 1e8 / px * 10**decimals),
                px,
                (factor - 5) * 10**16,
                factor * 10**16,
                95 * 10**16,
            )
        )
        weighted += usd * factor / 100
    index = 10**15 + draw.randrange(10**14)
    owed = int(weighted / near(draw) * 1e6 * 1e15 / index)
    account = compound_v3.Account(
        "usdc", 6, px_of(draw, 10**8) if draw.random() < 0.3 else 10**8, -owed, index, 10**15, draw.randrange(3 * 10**9),
        AT - draw.randrange(10**6), tuple(held),
    )  # fmt: skip
    return compound_v3.MODEL, account


def morpho(draw: random.Random) -> tuple[Any, morpho_blue.Account]:
    px, coins, lltv = (
        px_of(draw, 3_000 * 10**8) * 10**16,
        10 ** draw.uniform(-3, 3),
        draw.choice((770, 860, 945)) * 10**15,
    )
    total = 10 ** draw.randrange(8, 15)
    owed = coins * px / 1e24 * lltv / 1e18 / near(draw)
    shares = int(owed * 1e12 * draw.uniform(0.9, 1.0))
    account = morpho_blue.Account(
        "usdc", 6, "weth", 18, lltv, px, int(coins * 1e18), shares, total + int(owed * 1e6), total * 10**6 + shares,
        draw.randrange(3 * 10**9), AT - draw.randrange(10**6),
    )  # fmt: skip
    return morpho_blue.MODEL, account


def maker(draw: random.Random) -> tuple[Any, maker_vault.Account]:
    """Of collateral whose token has 18, 8 or 6 decimals: the Vat counts no finer than it."""
    asset, decimals, usual = draw.choice((*COINS[:2], ("gusd", 6, 10**8)))
    px, coins = px_of(draw, usual) * 10**10, 10 ** draw.uniform(-2, 4)
    ink = int(coins * 10**decimals) * 10 ** (18 - decimals)
    rate, mat = RAY + draw.randrange(RAY // 5), draw.choice((13, 15, 17)) * 10**26
    art = ink / 1e18 * px / 1e18 / (mat / 1e27) / (rate / 1e27) / near(draw)
    account = maker_vault.Account(
        asset,
        "dai",
        ink,
        int(art * 1e18),
        rate,
        RAY + draw.randrange(3 * 10**18),
        AT - draw.randrange(10**6),
        px,
        RAY,
        mat,
        collateral_decimals=decimals,
    )
    return maker_vault.MODEL, account


def perp(draw: random.Random) -> tuple[Any, PerpAccount]:
    rows, margin = [], Fraction(0)
    for asset, usual in (("weth", 3_000), ("wbtc", 60_000))[: draw.randrange(1, 3)]:
        size = Fraction(draw.randrange(1, 10**5), 1000) * 1000 / usual * draw.choice((-1, 1))
        entry = Fraction(usual * 10**6 + draw.randrange(-(10**8), 10**8), 10**6)
        mark = entry * Fraction(draw.randrange(900, 1100), 1000)
        rows.append(Position(asset, size, entry, mark, TIERS))
        margin += rows[-1].maintenance(mark) - rows[-1].profit(mark)
    wanted = Fraction(int(near(draw) * 10**6), 10**6)
    worth = sum((p.maintenance(p.mark_px) for p in rows), Fraction(0))
    return hyperliquid.MODEL, PerpAccount(margin + worth * (wanted - 1), tuple(rows))


def binance(draw: random.Random) -> tuple[Any, PerpAccount]:
    """Cross positions as at any exchange of perpetuals, and as often as not one with a margin of its own beside them."""
    _, cross = perp(draw)
    if draw.random() < 0.5:
        return binance_usdm.MODEL, cross
    mark = Fraction(draw.randrange(80 * 100, 200 * 100), 100)
    entry = mark * Fraction(draw.randrange(900, 1100), 1000)
    alone = Position(
        "sol", Fraction(draw.randrange(1, 10**6), 100) * draw.choice((-1, 1)), entry, mark, TIERS
    )
    kept = alone.maintenance(mark) * Fraction(int(near(draw) * 10**6), 10**6) - alone.profit(mark)
    return binance_usdm.MODEL, replace(cross, positions=(*cross.positions, replace(alone, isolated=kept)))


def more(draw: random.Random) -> tuple[Any, Any]:
    """A trove, a GMX position, a unified account or a loan of crvUSD."""
    kind = draw.choice((trove, gmx, unified_account, loan))
    return kind(draw)


def dydx(draw: random.Random) -> tuple[Any, dydx_v4.Account]:
    return random_margins.dydx(draw, AT, near(draw))


def derive(draw: random.Random) -> tuple[Any, derive_pm.Account]:
    return random_margins.derive(draw, AT, near(draw))


def trove(draw: random.Random) -> tuple[Any, Any]:
    return random_books_more.trove(draw, near, AT)


def unified_account(draw: random.Random) -> tuple[Any, Any]:
    return random_books_more.unified_account(draw, near, AT)


def gmx(draw: random.Random) -> tuple[Any, Any]:
    return random_books_more.gmx(draw, near, AT)


def loan(draw: random.Random) -> tuple[Any, Any]:
    return random_books_more.loan(draw, near, AT)


def deribit(draw: random.Random) -> tuple[Any, Any]:
    return random_books_wide.deribit(draw, near, AT)


def unified_loan(draw: random.Random) -> tuple[Any, Any]:
    return random_books_wide.unified_loan(draw, near, AT)


def binance_pm(draw: random.Random) -> tuple[Any, Any]:
    return random_books_wide.binance_pm(draw, near, AT)


def deribit_options(draw: random.Random) -> tuple[Any, Any]:
    return random_books_options.deribit(draw, near, AT)


def paradex_options(draw: random.Random) -> tuple[Any, Any]:
    return random_books_options.paradex(draw, near, AT)


FIRST = (aave, aave, comet, morpho, maker, perp)
USUAL = (
    *FIRST,
    deribit,
    unified_loan,
    *FIRST,
    dydx,
    trove,
    *FIRST,
    deribit,
    unified_loan,
    binance,
    binance_pm,
    gmx,
    loan,
)
KINDS = (*USUAL, derive, *USUAL, *USUAL, *USUAL, derive, deribit_options, paradex_options)
"""What revalues options at every price takes a hundred times as long as any other: it is drawn less often."""


def book(draw: random.Random, kinds: Sequence[Kind] = KINDS) -> list[Member]:
    return [Member(str(n), *draw.choice(kinds)(draw), AT) for n in range(draw.randrange(1, 4))]


# ---- what has to be true of each


def with_px(account: Any, printed: LiquidationPx, px: int) -> Any:
    """The account with that one price in place of its own, in the model's own unit."""
    asset = printed.asset
    match account:
        case dydx_v4.Account() | derive_pm.Account():
            return random_margins.with_px(account, printed, px)
        case deribit_pm.Account() | paradex_pm.Account():
            return random_books_options.anew(account, px)
        case Aave():
            return replace(
                account,
                reserves=tuple(replace(r, price_1e8=px) if r.asset == asset else r for r in account.reserves),
            )
        case compound_v3.Account() if asset == account.base:
            return replace(account, base_price_1e8=px)
        case compound_v3.Account():
            return replace(
                account,
                collateral=tuple(
                    replace(c, price_1e8=px) if c.asset == asset else c for c in account.collateral
                ),
            )
        case morpho_blue.Account():
            return replace(account, oracle_price_1e36=px)
        case maker_vault.Account():
            return replace(account, price_1e18=px)
    for drawn in (random_books_wide, random_books_more):
        if (found := drawn.with_px(account, asset, px)) is not None:
            return found
    rows = tuple(
        replace(p, mark_px=Fraction(px, 10**8)) if p.asset == asset else p for p in account.positions
    )
    return replace(account, positions=rows)


def worth(member: Member) -> tuple[float, float] | None:
    """(what covers, what is owed) in one unit, by floats of the account's own figures; None where it is too little to tell."""
    account, model = member.account, member.model
    match account:
        case dydx_v4.Account() | derive_pm.Account():
            sums = random_margins.worth(account)
            if sums is None:
                return None
            cover, owed = sums
        case Aave():
            cover = owed = unsure = 0.0
            for r in account.reserves:
                px = r.price_1e8 / 10**r.decimals / 1e8
                grown = 1 + r.liquidity_rate_1e27 / 1e27 * (AT - r.last_update) / YEAR_S
                x = r.borrow_rate_1e27 / 1e27 * (AT - r.last_update) / YEAR_S
                cover += (
                    r.scaled_supply_raw
                    * (r.liquidity_index_1e27 / 1e27)
                    * grown
                    * px
                    * account.threshold_bps(r)
                    / 10_000
                )
                owed += r.scaled_debt_raw * (r.borrow_index_1e27 / 1e27) * (1 + x + x * x / 2 + x**3 / 6) * px
                # Balances are whole base units, values whole 1e-8 dollars.
                unsure += 2 * px + 4e-8
            step = 0.0002 if model.rules.averaged else 0.0  # type: ignore[union-attr]
            return (cover, owed) if abs(cover - owed) > unsure + step * owed else None
        case compound_v3.Account():
            index = (
                account.borrow_index_1e15
                / 1e15
                * (1 + account.borrow_rate_1e18 * (AT - account.last_update) / 1e18)
            )
            owed = -account.principal_raw * index / 1e6 * account.base_price_1e8 / 1e8
            cover = sum(
                c.balance_raw / 10**c.decimals * c.price_1e8 / 1e8 * c.liquidate_cf_1e18 / 1e18
                for c in account.collateral
            )
        case morpho_blue.Account():
            x = account.borrow_rate_1e18 * (AT - account.last_update) / 1e18
            total = account.total_borrow_assets_raw * (1 + x + x * x / 2 + x**3 / 6)
            owed = account.borrow_shares_raw * (total + 1) / (account.total_borrow_shares_raw + 1e6) / 1e6
            cover = (
                account.collateral_raw * (account.oracle_price_1e36 / 1e36) * (account.lltv_1e18 / 1e18) / 1e6
            )
        case maker_vault.Account():
            grown = (account.duty_1e27 / 1e27) ** (AT - account.last_update)
            owed = account.art_1e18 / 1e18 * account.rate_1e27 / 1e27 * grown
            cover = account.ink_1e18 / 1e18 * account.price_1e18 / 1e18 / (account.mat_1e27 / 1e27)
        case PerpAccount():
            cover, owed = min(
                (
                    _stands(account, p)
                    for p in (None, *(p for p in account.positions if p.isolated is not None))
                ),
                key=lambda told: told[0] - told[1],
            )
        case _:
            found = (
                random_books_options.worth(account)
                or random_books_wide.worth(account, model.name if model is not None else "")
                or random_books_more.worth(account, AT)
            )
            assert found is not None, account
            cover, owed = found
    return (cover, owed) if min(cover, owed) * 1e6 * BAND > 4 else None


def _stands(account: PerpAccount, alone: Position | None) -> tuple[float, float]:
    """What covers and what must stay, of the cross positions or of one with a margin of its own."""
    rows = [p for p in account.positions if p.isolated is None] if alone is None else [alone]
    margin = account.balance if alone is None else alone.isolated or Fraction(0)
    cover = float(margin) + sum(float(p.profit(p.mark_px)) for p in rows)
    return cover, sum(float(p.maintenance(p.mark_px)) for p in rows)


def _own(account: PerpAccount, printed: LiquidationPx) -> PerpAccount:
    """What stands and falls with that position: its price says nothing of the others."""
    (position,) = (p for p in account.positions if p.asset == printed.asset)
    return replace(
        account,
        balance=Fraction(0) if position.isolated is not None else account.balance,
        positions=account.group(position),
    )


def hold(member: Member) -> int:
    """How many prices were printed. Raises AssertionError naming the account."""
    model, account = member.model, member.account
    assert model is not None
    health = model.health(account, AT)
    told = worth(member)
    if told is not None and abs(told[0] - told[1]) > BAND * abs(told[1]):
        assert (health.state is State.LIQUIDATABLE) == (told[0] < told[1]), (member, told)
    assert (health.state is State.LIQUIDATABLE) == member.bad({}), member
    for printed in health.liquidation_px:
        own = _own(account, printed) if isinstance(account, PerpAccount) else account
        flips(model, own, printed, bad_now=Member("", model, own, AT).bad({}))
    return sum(px.side is not Side.NONE for px in health.liquidation_px)


def flips(model: Any, account: Any, printed: LiquidationPx, *, bad_now: bool) -> None:
    """The printed price is bad, and the next integer on the safe side is not; a price that does nothing does nothing anywhere."""

    def bad(px: int) -> bool:
        factor = model.at_moves(with_px(account, printed, px), {}, AT)
        return factor is not None and factor < HEALTHY_1E18

    told = (model.name, account, printed)
    if isinstance(account, deribit_pm.Account | paradex_pm.Account) and printed.px_raw is not None:
        nearer = printed.px_raw + (1 if printed.side is Side.BELOW else -1)
        assert random_books_options.flips(model, account, printed.px_raw, nearer, AT), told
        return
    if printed.side is Side.NONE:
        assert bad_now or not bad(1), told
        assert bad_now or not bad(printed.now_raw * 1000), told
        return
    assert printed.px_raw is not None
    assert bad(printed.px_raw), told
    assert not bad(printed.px_raw + (1 if printed.side is Side.BELOW else -1)), told
