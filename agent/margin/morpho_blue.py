"""Morpho Blue: healthy where floor(floor(collateral·price/1e36)·lltv) covers the debt rounded up, interest accrued to the time.

Values and debt are base units of the loan token. The oracle's price has 36 + loan − collateral decimals and is the only
price there is, so the liquidation price is the collateral's, in whole loan tokens. Formulas: Morpho.sol, SharesMathLib,
MathLib of @morpho-org/morpho-blue 1.0.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from agent.margin import fields
from agent.margin.liquidation import first_second, highest_bad
from agent.margin.model import Health, LiquidationPx, Seized, Side, State, moved_px, state_of
from agent.margin.ray import div_up

WAD = 10**18
ORACLE = 10**36
VIRTUAL_SHARES, VIRTUAL_ASSETS = 10**6, 1
CURSOR, MOST_INCENTIVE = 3 * 10**17, 115 * 10**16


@dataclass(frozen=True, slots=True)
class Account:
    """`borrow_rate_1e18` is for a second."""

    loan: str
    loan_decimals: int
    collateral: str
    collateral_decimals: int
    lltv_1e18: int
    oracle_price_1e36: int
    collateral_raw: int
    borrow_shares_raw: int
    total_borrow_assets_raw: int
    total_borrow_shares_raw: int
    borrow_rate_1e18: int
    last_update: int

    @property
    def px_decimals(self) -> int:
        return 36 + self.loan_decimals - self.collateral_decimals


def interest(rate: int, seconds: int) -> int:
    """Three terms of e^(rate·seconds) − 1 in 1e18, each floored."""
    first = rate * seconds
    second = first * first // (2 * WAD)
    return first + second + second * first // (3 * WAD)


def total_borrow(account: Account, timestamp: int) -> int:
    seconds = timestamp - account.last_update
    owed = account.total_borrow_assets_raw
    return owed + owed * interest(account.borrow_rate_1e18, seconds) // WAD


def assets_up(shares: int, total_assets: int, total_shares: int) -> int:
    return div_up(shares * (total_assets + VIRTUAL_ASSETS), total_shares + VIRTUAL_SHARES)


def debt_raw(account: Account, timestamp: int) -> int:
    if account.borrow_shares_raw == 0:
        return 0
    return assets_up(
        account.borrow_shares_raw, total_borrow(account, timestamp), account.total_borrow_shares_raw
    )


def most_borrow(account: Account, price: int) -> int:
    return account.collateral_raw * price // ORACLE * account.lltv_1e18 // WAD


def incentive(lltv: int) -> int:
    """The liquidator's factor in 1e18: min(1.15, 1 / (1 − 0.3·(1 − lltv))), floored."""
    return min(MOST_INCENTIVE, WAD * WAD // (WAD - CURSOR * (WAD - lltv) // WAD))


def repaid_shares_for(account: Account, seized_raw: int, timestamp: int) -> int:
    """Shares a liquidator repays for `seized_raw` of collateral, rounded up at each step."""
    quoted = div_up(seized_raw * account.oracle_price_1e36, ORACLE)
    assets = div_up(quoted * WAD, incentive(account.lltv_1e18))
    total = total_borrow(account, timestamp)
    return div_up(assets * (account.total_borrow_shares_raw + VIRTUAL_SHARES), total + VIRTUAL_ASSETS)


def seized_for(account: Account, timestamp: int) -> Seized:
    """The largest liquidation: all shares, or all collateral where that pays for fewer; the rest is bad debt."""
    total, shares = total_borrow(account, timestamp), account.borrow_shares_raw
    assets = shares * (total + VIRTUAL_ASSETS) // (account.total_borrow_shares_raw + VIRTUAL_SHARES)
    seized = assets * incentive(account.lltv_1e18) // WAD * ORACLE // account.oracle_price_1e36
    if seized <= account.collateral_raw:
        repaid = assets_up(shares, total, account.total_borrow_shares_raw)
        return Seized(account.loan, repaid, ((account.collateral, seized),))
    shares = min(repaid_shares_for(account, account.collateral_raw, timestamp), shares)
    repaid = assets_up(shares, total, account.total_borrow_shares_raw)
    left = assets_up(
        account.borrow_shares_raw - shares, max(total - repaid, 0), account.total_borrow_shares_raw - shares
    )
    bad = min(max(total - repaid, 0), left)
    return Seized(account.loan, repaid, ((account.collateral, account.collateral_raw),), bad_debt_raw=bad)


class MorphoBlue:
    name = "morpho_blue"
    price_decimals = 36

    def read(self, account: Mapping[str, Any], decimals: Mapping[str, int]) -> Account:
        where = f"account {account.get('id', '?')}"
        ints = (
            "lltv_1e18", "oracle_price_1e36", "collateral_raw", "borrow_shares_raw", "total_borrow_assets_raw",
            "total_borrow_shares_raw", "borrow_rate_1e18", "last_update",
        )  # fmt: skip
        fields.only(account, where, {"id", "model", "chain", "loan", "collateral", *ints})
        loan = fields.listed(account, "loan", where, decimals)
        lent = fields.listed(account, "collateral", where, decimals)
        values = {name: fields.whole(account, name, where) for name in ints}
        if values["lltv_1e18"] >= WAD:
            raise fields.wrong(f"{where}: lltv_1e18 is one or more")
        if values["borrow_shares_raw"] > values["total_borrow_shares_raw"]:
            raise fields.wrong(f"{where}: borrow_shares_raw is more than total_borrow_shares_raw")
        return Account(loan, decimals[loan], lent, decimals[lent], **values)

    def factor(self, account: Account, price: int, timestamp: int) -> int | None:
        debt = debt_raw(account, timestamp)
        return most_borrow(account, price) * WAD // debt if debt else None

    def at_moves(self, account: Account, moves: Mapping[str, Fraction], timestamp: int) -> int | None:
        """The oracle's price moves with the collateral and against the loan token."""
        owed = moves.get(account.loan, Fraction(1))
        if owed == 0:
            return None
        move = moves.get(account.collateral, Fraction(1)) / owed
        return self.factor(account, moved_px(account.oracle_price_1e36, move), timestamp)

    def health(self, account: Account, timestamp: int) -> Health:
        """Raises Usage where the market was updated after `timestamp`."""
        if account.last_update > timestamp:
            raise fields.wrong(f"last_update {account.last_update} is after the time asked for ({timestamp})")
        price = account.oracle_price_1e36
        factor = self.factor(account, price, timestamp)
        state = state_of(factor)
        gone = state is State.LIQUIDATABLE

        def bad_px(px: int) -> bool:
            found = self.factor(account, px, timestamp)
            return found is not None and found < WAD

        def bad_later(seconds: int) -> bool:
            found = self.factor(account, price, timestamp + seconds)
            return found is not None and found < WAD

        px = highest_bad(bad_px, price, most=10**90) if account.borrow_shares_raw else None
        side = Side.NONE if px is None else Side.BELOW
        seconds = None
        if account.borrow_shares_raw:
            seconds = 0 if gone else first_second(bad_later)
        return Health(
            state,
            factor,
            account.collateral_raw * price // ORACLE,
            debt_raw(account, timestamp),
            f"raw of {account.loan}",
            (LiquidationPx(account.collateral, side, px, price, account.px_decimals),),
            seconds,
            seized=seized_for(account, timestamp) if gone and price else None,
        )


MODEL = MorphoBlue()
