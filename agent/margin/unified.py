"""Unified accounts: loans, collateral with haircuts and futures under one ratio, equity over what must stay. Pure.

An asset counts at its collateral rate where there is some, and whole where it is owed; what must stay for a loan is loan·rate, for a linear
future |size|·mark·rate − cum, for an inverse one |contracts|/mark·rate − cum in the coin. Keys: `assets` of `asset`, `equity` (assets
less loans, with futures wallets), `loan`, `index_px`, `collateral_rate` (one rate, or rows [from units, rate] where it falls with the
amount), `loan_rate`; `positions` of `asset`, `size`, `entry_px`, `mark_px`, `brackets` ([floor, rate, cum]), `settles` (asset that takes
the profit) and, for inverse ones, `contract_usd` (dollars of one contract; `size` is then in contracts). Where the exchange counts them:
`close_fee_rate` of a position (of its value, on top of what must stay; no less than `close_fee`, in what it settles in), `loan_rate` as rows
[above units, rate of the whole loan], and the account's `order_loss` (dollars that open orders take). Where an exchange lends by itself
(`Rules.lends`), what an asset falls below zero is a loan as well. `told` is what the exchange says of the account (see `unified_told`); one
that differs is not judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
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
from agent.margin.unified_told import Told, read_told

LEAST_PX = Fraction(1, 10**8)
"""An inverse contract at a price of zero has lost all there is: it is taken at this one."""

Haircut = tuple[tuple[Fraction, Fraction], ...]
"""(from units, rate): what of each further unit counts. One row, from 0, is one rate for all."""


@dataclass(frozen=True, slots=True)
class Held:
    asset: str
    equity: Fraction
    loan: Fraction
    index_px: Fraction
    haircut: Haircut
    loan_rate: Fraction
    loan_tiers: Haircut = ()
    """(above units, rate): the last that a loan is above is that of all of it; empty where `loan_rate` is that of any."""

    def loan_margin(self, loan: Fraction) -> Fraction:
        """What must stay for so many units lent."""
        rates = [rate for above, rate in self.loan_tiers if loan > above]
        return loan * (rates[-1] if rates else self.loan_rate)

    def counted(self, units: Fraction) -> Fraction:
        """Units that count of so many: tier by tier at their rates, all of what is owed."""
        if units <= 0:
            return units
        found = Fraction(0)
        for n, (start, rate) in enumerate(self.haircut):
            end = self.haircut[n + 1][0] if n + 1 < len(self.haircut) else units
            found += max(min(end, units) - start, Fraction(0)) * rate
        return found


@dataclass(frozen=True, slots=True)
class Future:
    """`contract_usd` None for a linear one (size in units of the asset), else inverse (size in contracts)."""

    asset: str
    settles: str
    size: Fraction
    entry_px: Fraction
    mark_px: Fraction
    brackets: tuple[Tier, ...]
    contract_usd: Fraction | None
    close_fee_rate: Fraction = Fraction(0)
    close_fee: Fraction = Fraction(0)

    def profit(self, px: Fraction) -> Fraction:
        """In the settling asset."""
        if self.contract_usd is None:
            return self.size * (px - self.entry_px)
        return self.size * self.contract_usd * (1 / self.entry_px - 1 / max(px, LEAST_PX))

    def required(self, px: Fraction) -> Fraction:
        """What must stay for it, with the fee to close it, in the settling asset."""
        value = abs(self.size) * px
        if self.contract_usd is not None:
            value = abs(self.size) * self.contract_usd / max(px, LEAST_PX)
        return maintenance(self.brackets, value) + max(value * self.close_fee_rate, self.close_fee)


@dataclass(frozen=True, slots=True)
class Account:
    assets: tuple[Held, ...]
    futures: tuple[Future, ...]
    order_loss: Fraction = Fraction(0)
    lends: bool = False
    told: Told | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """Liquidated at or below `liquidated_at` times what must stay, warned of at or below `warned_at` times. `lends`: whatever an asset is
    below zero is lent by the exchange."""

    liquidated_at: Fraction
    warned_at: Fraction
    fees: bool = False
    tiers: bool = False
    order_loss: bool = False
    lends: bool = False

    def bad(self, equity: Fraction, required: Fraction) -> bool:
        return equity <= self.liquidated_at * required if required > 0 else equity < 0


def totals(account: Account, moved: Mapping[str, Fraction]) -> tuple[Fraction, Fraction]:
    """(adjusted equity, what must stay) in dollars; `moved` are factors on an asset's index and all marks of it."""
    held = {h.asset: h.equity for h in account.assets}
    now = dict(held)
    needed = dict.fromkeys(held, Fraction(0))
    for f in account.futures:
        px = f.mark_px * moved.get(f.asset, Fraction(1))
        held[f.settles] += f.profit(px)
        now[f.settles] += f.profit(f.mark_px) if account.lends else 0
        needed[f.settles] += f.required(px)
    equity, required = -account.order_loss, Fraction(0)
    for h in account.assets:
        px = h.index_px * moved.get(h.asset, Fraction(1))
        loan = h.loan
        if account.lends:
            # What is lent now beyond what the asset is below zero stays as it is; the rest follows the asset.
            below = min(now[h.asset], Fraction(0))
            loan = max(h.loan + below, Fraction(0)) - min(held[h.asset], Fraction(0))
        equity += h.counted(held[h.asset]) * px
        required += (needed[h.asset] + h.loan_margin(loan)) * px
    return equity, required


@dataclass(frozen=True, slots=True)
class UnifiedModel:
    """An exchange's unified account by its rules."""

    name: str
    rules: Rules
    price_decimals: int = PX_DECIMALS

    def read(self, account: Mapping[str, Any], decimals: Mapping[str, int]) -> Account:
        where = f"account {account.get('id', '?')}"
        known = {"id", "model", "chain", "assets", "positions", "told"}
        fields.only(account, where, known | ({"order_loss"} if self.rules.order_loss else set()))
        held = tuple(
            _held(r, f"{where}, asset {n}", decimals, self.rules)
            for n, r in enumerate(fields.rows(account, "assets", where))
        )
        names = [h.asset for h in held]
        if len(set(names)) < len(names):
            raise fields.wrong(f"{where}: an asset stands there twice")
        rows = fields.rows(account, "positions", where)
        futures = tuple(
            _future(r, f"{where}, position {n}", decimals, self.rules) for n, r in enumerate(rows)
        )
        for f in futures:
            if f.settles not in names:
                raise fields.wrong(f"{where}: {f.settles}, which takes a profit, is not among its assets")
        loss = number(account, "order_loss", where, default="0")
        if loss < 0:
            raise fields.wrong(
                f"{where}: order_loss is {account['order_loss']!r}, and a loss is not below zero"
            )
        return Account(held, futures, loss, self.rules.lends, read_told(account, where))

    def disagreement(self, account: Account, timestamp: int) -> str:
        """Where the exchange's own figures are others, "" where they are these. The fees of closing may be in its maintenance or not."""
        if account.told is None:
            return ""
        equity, most = totals(account, {})
        free = tuple(replace(f, close_fee_rate=Fraction(0), close_fee=Fraction(0)) for f in account.futures)
        return account.told.disagreement(equity, totals(replace(account, futures=free), {})[1], most)

    def at_prices(self, account: Account, prices_1e8: Mapping[str, int], timestamp: int) -> int | None:
        """The ratio over what liquidates, so that one is where liquidation begins."""
        now = {f.asset: f.mark_px for f in account.futures} | {h.asset: h.index_px for h in account.assets}
        moved = {a: Fraction(p, 10**8) / now[a] for a, p in prices_1e8.items() if a in now}
        return self._scaled(*totals(account, moved))

    def at_moves(self, account: Account, moves: Mapping[str, Fraction], timestamp: int) -> int | None:
        return self._scaled(*totals(account, moves))

    def health(self, account: Account, timestamp: int) -> Health:
        """`health_1e18` is the exchange's own ratio, liquidated at or below the rules' `liquidated_at`."""
        equity, required = totals(account, {})
        state = State.SAFE
        if self.rules.bad(equity, required):
            state = State.LIQUIDATABLE
        elif required > 0 and equity <= self.rules.warned_at * required:
            state = State.AT_RISK
        names = dict.fromkeys([h.asset for h in account.assets] + [f.asset for f in account.futures])
        return Health(
            state,
            ratio_1e18_down(equity, required),
            to_raw_down(equity),
            to_raw_up(sum((h.loan * h.index_px for h in account.assets), Fraction(0))),
            VALUE_UNIT,
            tuple(self._liquidation_px(account, asset) for asset in names),
            0 if state is State.LIQUIDATABLE else None,
            maintenance_raw=to_raw_up(required),
        )

    def _scaled(self, equity: Fraction, required: Fraction) -> int | None:
        ratio = ratio_1e18_down(equity, required * self.rules.liquidated_at)
        if ratio is None:
            return None
        return min(ratio, 10**18 - 1) if self.rules.bad(equity, required) else max(ratio, 10**18)

    def _liquidation_px(self, account: Account, asset: str) -> LiquidationPx:
        """The nearer of the two ways the asset's own price (index and marks together) can liquidate."""
        held = next((h for h in account.assets if h.asset == asset), None)
        index = held.index_px if held else next(f.mark_px for f in account.futures if f.asset == asset)
        now = to_raw_down(index)

        def at(px: int) -> bool:
            return self.rules.bad(*totals(account, {asset: Fraction(px, 10**8) / index}))

        if at(now):
            return LiquidationPx(asset, Side.NONE, None, now, PX_DECIMALS)
        # Haircuts bend the line, so that both ways can liquidate: each is looked for alone.
        down = highest_bad(at, now)
        up = lowest_bad(at, now)
        if down is not None and (up is None or now - down <= up - now):
            return LiquidationPx(asset, Side.BELOW, down, now, PX_DECIMALS)
        return LiquidationPx(asset, Side.NONE if up is None else Side.ABOVE, up, now, PX_DECIMALS)


def _rows(raw: Mapping[str, Any], key: str, where: str) -> Haircut:
    rows = raw[key]
    if any(not isinstance(row, list) or len(row) != 2 for row in rows) or not rows:
        raise fields.wrong(f"{where}: {key} is one rate, or rows [from units, rate]")
    named = [{"from": row[0], "rate": row[1]} for row in rows]
    return tuple((number(r, "from", where), number(r, "rate", where)) for r in named)


def _rates(raw: Mapping[str, Any], where: str, rules: Rules) -> Haircut:
    """Raises Usage where they rise, leave 0 to 1, or do not begin at 0 units."""
    rows = raw.get("collateral_rate")
    if not isinstance(rows, list) or not rules.tiers:
        rate = number(raw, "collateral_rate", where, default="1")
        found: Haircut = ((Fraction(0), rate),)
    else:
        found = _rows(raw, "collateral_rate", where)
    if found[0][0] != 0 or any(b[0] <= a[0] or b[1] > a[1] for a, b in pairwise(found)):
        raise fields.wrong(f"{where}: the rows of collateral_rate begin at 0 units, and their rates fall")
    for _, rate in found:
        if not 0 <= rate <= 1:
            raise fields.wrong(f"{where}: collateral_rate {float(rate):g} is not between 0 and 1")
    return found


def _held(raw: Any, where: str, decimals: Mapping[str, int], rules: Rules) -> Held:
    if not isinstance(raw, Mapping):
        raise fields.wrong(f"{where} is not an object")
    fields.only(raw, where, {"asset", "equity", "loan", "index_px", "collateral_rate", "loan_rate"})
    tiers: Haircut = ()
    if rules.tiers and isinstance(raw.get("loan_rate"), list):
        tiers = _rows(raw, "loan_rate", where)
        if tiers[0][0] != 0 or any(b[0] <= a[0] or b[1] < a[1] for a, b in pairwise(tiers)):
            raise fields.wrong(f"{where}: the rows of loan_rate begin at 0 units, and their rates rise")
    loan_rate = tiers[0][1] if tiers else number(raw, "loan_rate", where, default="0.1")
    if any(not 0 <= rate <= 1 for rate in (loan_rate, *(rate for _, rate in tiers))):
        raise fields.wrong(f"{where}: loan_rate is not between 0 and 1")
    return Held(
        fields.listed(raw, "asset", where, decimals),
        number(raw, "equity", where),
        number(raw, "loan", where, default="0"),
        positive(raw, "index_px", where),
        _rates(raw, where, rules),
        loan_rate,
        tiers,
    )


def _future(raw: Any, where: str, decimals: Mapping[str, int], rules: Rules) -> Future:
    if not isinstance(raw, Mapping):
        raise fields.wrong(f"{where} is not an object")
    known = {"asset", "settles", "size", "entry_px", "mark_px", "brackets", "contract_usd"}
    fields.only(raw, where, known | ({"close_fee_rate", "close_fee"} if rules.fees else set()))
    fee, least = (number(raw, key, where, default="0") for key in ("close_fee_rate", "close_fee"))
    if not 0 <= fee < 1 or least < 0:
        raise fields.wrong(f"{where}: close_fee_rate is not between 0 and 1, or close_fee below zero")
    return Future(
        fields.listed(raw, "asset", where, decimals),
        fields.listed(raw, "settles", where, decimals),
        number(raw, "size", where),
        positive(raw, "entry_px", where),
        positive(raw, "mark_px", where),
        read_brackets(raw, where),
        positive(raw, "contract_usd", where) if "contract_usd" in raw else None,
        fee,
        least,
    )
