"""The least that perpetual positions of a cross margin account have to shrink for a target ratio of equity over maintenance. Pure.

In one position with a flat rate r it would be q = (H·M − E)/(P·(H·r − c)), with c what closing one dollar of it loses; brackets and lots
make it a search, whose answer is proved by the exchange's own rule. What is closed is taken to go at the mark, less the loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from agent.margin import deribit_sm, dydx_v4
from agent.margin.perps import PerpAccount, PerpModel, PerpRules, ratio_at


@dataclass(frozen=True, slots=True)
class Cut:
    """`qty` of `asset`, above zero, is bought back where the position is short (`buys`), sold where it is long."""

    asset: str
    qty: Fraction
    buys: bool
    notional: Fraction


@dataclass(frozen=True, slots=True)
class Reduction:
    """`cuts` in their order: all but the last close a position whole. `cost` in dollars; `ratio_1e18` is what they leave, None where nothing
    is open."""

    cuts: tuple[Cut, ...]
    cost: Fraction
    ratio_1e18: int | None


def shrinkable(model: Any, account: Any) -> tuple[PerpAccount, PerpRules] | None:
    """An account whose positions can be made smaller here, with its exchange's rule; None for any other kind."""
    match account:
        case PerpAccount() if isinstance(model, PerpModel):
            return account, model.rules
        case dydx_v4.Account():
            return dydx_v4.as_perps(account), PerpRules(at_equality=False)
        case deribit_sm.Account():
            return deribit_sm.as_perps(account), deribit_sm.RULES
    return None


def shrunk(account: PerpAccount, asset: str, qty: Fraction, loss_bps: int) -> PerpAccount:
    """The account once `qty` of a cross position is closed at its mark, `loss_bps` of that lost."""
    balance, rows = account.balance, []
    for p in account.positions:
        if p.asset == asset and p.isolated is None:
            closed = min(qty, abs(p.size)) * (1 if p.size > 0 else -1)
            balance += closed * (p.mark_px - p.entry_px) - abs(closed) * p.mark_px * loss_bps / 10_000
            p = replace(p, size=p.size - closed)
        rows.append(p)
    return PerpAccount(balance, tuple(p for p in rows if p.size))


def reduction(
    account: PerpAccount,
    rules: PerpRules,
    target_1e18: int,
    lots: Mapping[str, Fraction],
    loss_bps: int,
    smallest: Mapping[str, Fraction] | None = None,
) -> Reduction | None:
    """The cheapest: one position alone where one suffices, else the dearest to keep closed whole first. `lots` are of the positions that may
    be traded, `smallest` what an order there is for at the least, or for all that is open. None where nothing that may be reaches the target, an isolated position's own margin for one."""
    cuts, cost = list[Cut](), Fraction(0)
    while not _enough(account, rules, target_1e18):
        open_now = [p for p in account.positions if p.isolated is None and p.size and p.asset in lots]
        if not open_now:
            return None
        order = {p.asset: (smallest or {}).get(p.asset, Fraction(0)) for p in open_now}
        alone = [
            _least(account, rules, target_1e18, p.asset, lots[p.asset], loss_bps, order[p.asset])
            for p in open_now
        ]
        found = [cut for cut in alone if cut is not None]
        if found:
            cut = min(found, key=lambda c: c.notional)
        else:
            p = max(open_now, key=lambda p: p.maintenance(p.mark_px))
            cut = _cut(account, p.asset, abs(p.size))
        cuts.append(cut)
        cost += cut.notional * loss_bps / 10_000
        account = shrunk(account, cut.asset, cut.qty, loss_bps)
    return Reduction(tuple(cuts), cost, ratio_at(account, rules, {})) if cuts else None


def _enough(account: PerpAccount, rules: PerpRules, target_1e18: int) -> bool:
    ratio = ratio_at(account, rules, {})
    return ratio is None or ratio >= target_1e18


def _least(
    account: PerpAccount,
    rules: PerpRules,
    target_1e18: int,
    asset: str,
    lot: Fraction,
    loss_bps: int,
    smallest: Fraction,
) -> Cut | None:
    """The smallest number of lots that does it, and that is an order; the last may be what is left below one."""
    size = next(abs(p.size) for p in account.positions if p.asset == asset and p.isolated is None)

    def enough(count: int) -> bool:
        return _enough(shrunk(account, asset, count * lot, loss_bps), rules, target_1e18)

    low, high = 0, -(-size // lot)
    if not enough(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return _cut(account, asset, min(max(high, -(-smallest // lot)) * lot, size))


def _cut(account: PerpAccount, asset: str, qty: Fraction) -> Cut:
    p = next(p for p in account.positions if p.asset == asset and p.isolated is None)
    return Cut(asset, qty, p.size < 0, qty * p.mark_px)
