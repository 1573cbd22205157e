"""The least payment that makes an account SAFE again, proved in integers by its own model. Pure.

Every debt and every collateral is tried alone; of those that suffice the one worth least is told. What it costs to send is not
counted, nor whether the money is at hand.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from agent.margin import (
    aave_account,
    compound_v3,
    crvusd,
    gmx_v2,
    liquity_v2,
    maker_vault,
    morpho_blue,
    unified,
)
from agent.margin.changes import DOLLARS, deposited, deposits, owed, repaid
from agent.margin.model import AT_RISK_1E18, MarginModel

MOST_RAW = 10**60


@dataclass(frozen=True, slots=True)
class Fix:
    """`do` is repay, add_collateral or deposit; `raw` in base units of the asset (1e-8 dollars where it is USD).

    `eases_only` where health rises to what was asked for and the account stays at risk all the same: its collateral is being sold.
    """

    do: str
    asset: str
    raw: int
    factor_after_1e18: int | None
    eases_only: bool = False


def cheapest(model: MarginModel, account: Any, timestamp: int, target_1e18: int = AT_RISK_1E18) -> Fix | None:
    """None where no single payment does it."""
    selling = isinstance(account, crvusd.Account) and account.converting
    if selling and (crvusd.factor_at(account, timestamp) or 0) >= target_1e18:
        return None  # no payment but the whole debt ends a soft liquidation, only the price does
    ways = [("repay", asset, debt) for asset, debt in owed(model, account, timestamp).items()]
    if isinstance(account, liquity_v2.Account):
        # A trove owes at least so much or nothing: less is paid, or all of it.
        least = liquity_v2.MIN_DEBT_1E18
        ways = [(do, asset, debt - least) for do, asset, debt in ways if debt > least] + ways
    for asset in deposits(model, account):
        do = "deposit" if asset == DOLLARS or isinstance(account, unified.Account) else "add_collateral"
        ways.append((do, asset, MOST_RAW))
    best: tuple[int, Fix] | None = None
    for do, asset, most in ways:
        if best is not None:
            # Only what is worth less than the best so far is of interest.
            many = _worth(account, Fix(do, asset, MOST_RAW, None))
            most = min(most, (best[0] - 1) * MOST_RAW // many) if many else most
        fix = _least(model, account, timestamp, do, asset, most, target_1e18) if most > 0 else None
        if fix is not None and (best is None or _worth(account, fix) < best[0]):
            best = _worth(account, fix), fix
    if best is None:
        return None
    whole = best[1].factor_after_1e18 is None
    return replace(best[1], eases_only=True) if selling and not whole else best[1]


def _least(
    model: MarginModel, account: Any, timestamp: int, do: str, asset: str, most: int, target: int
) -> Fix | None:
    change = repaid if do == "repay" else deposited

    def factor(raw: int) -> int | None:
        return model.at_moves(change(model, account, asset, raw, timestamp), {}, timestamp)

    def enough(raw: int) -> bool:
        now = factor(raw)
        return now is None or now >= target

    if not enough(most):
        return None
    low, high = 0, 1
    while not enough(high):
        if high >= most:
            return None
        low, high = high, min(high << 12, most)
    # The factor is about linear in a deposit, its inverse in a repayment: a guess and a step to each side of it close in on the answer,
    # and every round halves besides, so that nothing is believed unproved.
    while high - low > 8:
        below, above = factor(low), factor(high)
        if below is not None and above is not None and above > below:
            gained = (target - below) * (above if do == "repay" else 1)
            guess = low + gained * (high - low) // ((above - below) * (target if do == "repay" else 1))
            step = max((high - low) >> 16, 1)
            for raw in (guess + step, guess - step):
                if low < raw < high:
                    low, high = (low, raw) if enough(raw) else (raw, high)
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return Fix(do, asset, high, factor(high))


def _worth(account: Any, fix: Fix) -> int:
    """What to compare payments by, in one unit for an account."""
    asset, raw = fix.asset, fix.raw
    match account:
        case aave_account.Account():
            r = next(r for r in account.reserves if r.asset == asset)
            return int(raw * r.price_1e8 * 10**18 // 10**r.decimals)
        case compound_v3.Account():
            decimals = {account.base: account.base_decimals} | {
                c.asset: c.decimals for c in account.collateral
            }
            return int(raw * account.prices()[asset] * 10**18 // 10 ** decimals[asset])
        case morpho_blue.Account() if fix.do != "repay":
            return raw * account.oracle_price_1e36 // 10**36
        case maker_vault.Account() if fix.do != "repay":
            return int(raw * account.price_1e18 // 10**account.collateral_decimals)
        case liquity_v2.Account() if fix.do != "repay":
            return raw * account.price_1e18 // 10**18
        case gmx_v2.Account():
            return raw * next(p.collateral_px for p in account.positions if p.collateral == asset)
    return raw


def fix_json(fix: Fix | None) -> dict[str, str | None] | None:
    if fix is None:
        return None
    after = None if fix.factor_after_1e18 is None else str(fix.factor_after_1e18)
    return {"do": fix.do, "asset": fix.asset, "raw": str(fix.raw), "health_after_1e18": after}
