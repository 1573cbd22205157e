"""Binance portfolio margin: one ratio, uniMMR, over cross-margin loans, USD-M and COIN-M futures.

uniMMR = Σ adjusted equity / Σ maintenance. An asset's equity counts at its collateral rate where it is positive and whole
where it is owed; maintenance of a loan is loan·rate, of USD-M |size|·mark·rate − cum, of COIN-M |contracts|/mark·rate − cum in the
coin. Liquidation begins at 105 %. Formulas: the exchange's FAQ on uniMMR. Keys: `assets` of `asset`, `equity` (assets less loans, with
futures wallets), `loan`, `index_px`, `collateral_rate`, `loan_rate`; `positions` as in binance_usdm, with `settles` (asset that takes
the profit) and, for COIN-M, `contract_usd` (dollars of one contract; `size` is then in contracts).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from agent.margin import fields
from agent.margin.binance_brackets import read_brackets
from agent.margin.exchange import (
    PX_DECIMALS,
    VALUE_UNIT,
    Tier,
    maintenance,
    number,
    positive,
    ratio_1e18_down,
    to_raw_down,
    to_raw_up,
)
from agent.margin.liquidation import highest_bad, lowest_bad
from agent.margin.model import Health, LiquidationPx, Side, State

LIQUIDATED_AT = Fraction(105, 100)
WARNED_AT = Fraction(150, 100)


@dataclass(frozen=True, slots=True)
class Held:
    asset: str
    equity: Fraction
    loan: Fraction
    index_px: Fraction
    collateral_rate: Fraction
    loan_rate: Fraction


@dataclass(frozen=True, slots=True)
class Future:
    """`contract_usd` None for USD-M (size in units of the asset), else COIN-M (size in contracts)."""

    asset: str
    settles: str
    size: Fraction
    entry_px: Fraction
    mark_px: Fraction
    brackets: tuple[Tier, ...]
    contract_usd: Fraction | None

    def profit(self, px: Fraction) -> Fraction:
        """In the settling asset; a COIN-M contract at a price of zero has lost all there is."""
        if self.contract_usd is None:
            return self.size * (px - self.entry_px)
        return self.size * self.contract_usd * (1 / self.entry_px - 1 / max(px, Fraction(1, 10**8)))

    def required(self, px: Fraction) -> Fraction:
        if self.contract_usd is None:
            return maintenance(self.brackets, abs(self.size) * px)
        return maintenance(self.brackets, abs(self.size) * self.contract_usd / max(px, Fraction(1, 10**8)))


@dataclass(frozen=True, slots=True)
class Account:
    assets: tuple[Held, ...]
    futures: tuple[Future, ...]


def totals(account: Account, moved: Mapping[str, Fraction]) -> tuple[Fraction, Fraction]:
    """(adjusted equity, maintenance) in dollars; `moved` are factors on an asset's index and all marks of it."""
    held = {h.asset: h.equity for h in account.assets}
    needed = {h.asset: h.loan * h.loan_rate for h in account.assets}
    for f in account.futures:
        px = f.mark_px * moved.get(f.asset, Fraction(1))
        held[f.settles] += f.profit(px)
        needed[f.settles] += f.required(px)
    equity = required = Fraction(0)
    for h in account.assets:
        px = h.index_px * moved.get(h.asset, Fraction(1))
        worth = held[h.asset] * px
        equity += min(worth * h.collateral_rate, worth)
        required += needed[h.asset] * px
    return equity, required


def bad(equity: Fraction, required: Fraction) -> bool:
    return equity <= LIQUIDATED_AT * required if required > 0 else equity < 0


class BinancePortfolio:
    name = "binance_pm"
    price_decimals = PX_DECIMALS

    def read(self, account: Mapping[str, Any], decimals: Mapping[str, int]) -> Account:
        where = f"account {account.get('id', '?')}"
        fields.only(account, where, {"id", "model", "chain", "assets", "positions"})
        held = tuple(
            _held(r, f"{where}, asset {n}", decimals)
            for n, r in enumerate(fields.rows(account, "assets", where))
        )
        names = [h.asset for h in held]
        if len(set(names)) < len(names):
            raise fields.wrong(f"{where}: an asset stands there twice")
        rows = fields.rows(account, "positions", where)
        futures = tuple(_future(r, f"{where}, position {n}", decimals) for n, r in enumerate(rows))
        for f in futures:
            if f.settles not in names:
                raise fields.wrong(f"{where}: {f.settles}, which takes a profit, is not among its assets")
        return Account(held, futures)

    def at_prices(self, account: Account, prices_1e8: Mapping[str, int], timestamp: int) -> int | None:
        """The ratio over what liquidates, so that one is where liquidation begins."""
        now = {f.asset: f.mark_px for f in account.futures} | {h.asset: h.index_px for h in account.assets}
        moved = {a: Fraction(p, 10**8) / now[a] for a, p in prices_1e8.items() if a in now}
        equity, required = totals(account, moved)
        return _scaled(equity, required)

    def at_moves(self, account: Account, moves: Mapping[str, Fraction], timestamp: int) -> int | None:
        return _scaled(*totals(account, moves))

    def health(self, account: Account, timestamp: int) -> Health:
        equity, required = totals(account, {})
        ratio = ratio_1e18_down(equity, required)
        state = State.SAFE
        if bad(equity, required):
            state = State.LIQUIDATABLE
        elif required > 0 and equity <= WARNED_AT * required:
            state = State.AT_RISK
        names = dict.fromkeys([h.asset for h in account.assets] + [f.asset for f in account.futures])
        return Health(
            state,
            ratio,
            to_raw_down(equity),
            to_raw_up(sum((h.loan * h.index_px for h in account.assets), Fraction(0))),
            VALUE_UNIT,
            tuple(_liquidation_px(account, asset) for asset in names),
            0 if state is State.LIQUIDATABLE else None,
            maintenance_raw=to_raw_up(required),
        )


def _scaled(equity: Fraction, required: Fraction) -> int | None:
    ratio = ratio_1e18_down(equity, required * LIQUIDATED_AT)
    if ratio is None:
        return None
    return min(ratio, 10**18 - 1) if bad(equity, required) else max(ratio, 10**18)


def _liquidation_px(account: Account, asset: str) -> LiquidationPx:
    """The nearer of the two ways the asset's own price (index and marks together) can liquidate."""
    held = next((h for h in account.assets if h.asset == asset), None)
    index = held.index_px if held else next(f.mark_px for f in account.futures if f.asset == asset)
    now = to_raw_down(index)

    def at(px: int) -> bool:
        return bad(*totals(account, {asset: Fraction(px, 10**8) / index}))

    if at(now):
        return LiquidationPx(asset, Side.NONE, None, now, PX_DECIMALS)
    # Haircuts bend the line, so that both ways can liquidate: each is looked for alone.
    down = highest_bad(at, now)
    up = lowest_bad(at, now)
    if down is not None and (up is None or now - down <= up - now):
        return LiquidationPx(asset, Side.BELOW, down, now, PX_DECIMALS)
    return LiquidationPx(asset, Side.NONE if up is None else Side.ABOVE, up, now, PX_DECIMALS)


def _held(raw: Any, where: str, decimals: Mapping[str, int]) -> Held:
    if not isinstance(raw, Mapping):
        raise fields.wrong(f"{where} is not an object")
    fields.only(raw, where, {"asset", "equity", "loan", "index_px", "collateral_rate", "loan_rate"})
    rates = [
        number(raw, key, where, default=value)
        for key, value in (("collateral_rate", "1"), ("loan_rate", "0.1"))
    ]
    if not all(0 <= rate <= 1 for rate in rates):
        raise fields.wrong(f"{where}: collateral_rate and loan_rate are between 0 and 1")
    return Held(
        fields.listed(raw, "asset", where, decimals),
        number(raw, "equity", where),
        number(raw, "loan", where, default="0"),
        positive(raw, "index_px", where),
        *rates,
    )


def _future(raw: Any, where: str, decimals: Mapping[str, int]) -> Future:
    if not isinstance(raw, Mapping):
        raise fields.wrong(f"{where} is not an object")
    known = {"asset", "settles", "size", "entry_px", "mark_px", "brackets", "contract_usd"}
    fields.only(raw, where, known)
    return Future(
        fields.listed(raw, "asset", where, decimals),
        fields.listed(raw, "settles", where, decimals),
        number(raw, "size", where),
        positive(raw, "entry_px", where),
        positive(raw, "mark_px", where),
        read_brackets(raw, where),
        positive(raw, "contract_usd", where) if "contract_usd" in raw else None,
    )


MODEL = BinancePortfolio()
