"""An Aave V3 account after a repayment, a supply or a withdrawal, to the last unit of scaled balance, as each version rounds it. Pure.

Sources: VariableDebtToken.burn, AToken.mint and AToken.burn of core-v3 1.19.3 (scaled amounts half-up) and of aave-v3-origin 3.6.0 (from 3.5
on the first two are floored and the last is rounded up). `changes` rounds against the account instead, whatever the version: that is for suggestions.
"""

from __future__ import annotations

from dataclasses import replace

from agent.margin.aave_account import Account
from agent.margin.aave_core import AaveModel
from agent.margin.ray import RAY, div_up, ray_div_down, ray_div_half_up

REPAY, ADD_COLLATERAL, WITHDRAW = "repay", "add_collateral", "withdraw"
REPAY_WITH = "repay_with_collateral"
"""Out of what the account itself lends of the asset it owes: burnt on both sides, without a token that moves (Pool.repayWithATokens)."""


TOLERATED_RAW = 2
"""DUST of our Gate and of FurtherPayments: base units by which what is booked may be below what is paid."""


def short_by(model: AaveModel, account: Account, do: str, asset: str, timestamp: int) -> int:
    """The most base units by which a repayment or supply of a part may be booked for less than was paid, at the reserve's index then.

    A unit of scaled balance is worth `index` base units: what is burnt or minted is off by half of one, or where it is floored by all but a
    ray's part; the balances before and after are each rounded, and together off by less than a base unit more.
    """
    (r,) = (r for r in account.reserves if r.asset == asset)
    index = (model.debt_index if do == REPAY else model.supply_index)(r, timestamp)
    return div_up(index, RAY if model.rules.directed else 2 * RAY)


def moved(model: AaveModel, account: Account, do: str, asset: str, raw: int, timestamp: int) -> Account:
    """The account once `raw` base units of `asset` are repaid or supplied in a block of that time.

    A repayment of more than the debt takes the debt alone, a withdrawal of more than the deposit all of it. Only reserves that the account has a balance in are known here.
    """
    if do == REPAY_WITH:
        (r,) = (r for r in account.reserves if r.asset == asset)
        raw = min(raw, model.debt_raw(r, timestamp) - r.stable_debt_raw)
        for each in (WITHDRAW, REPAY):
            account = moved(model, account, each, asset, raw, timestamp)
        return account
    divide = ray_div_down if model.rules.directed else ray_div_half_up
    rows = []
    for r in account.reserves:
        if r.asset == asset and do == REPAY:
            whole = raw >= model.debt_raw(r, timestamp) - r.stable_debt_raw
            burnt = divide(raw, model.debt_index(r, timestamp))
            r = replace(r, scaled_debt_raw=0 if whole else max(r.scaled_debt_raw - burnt, 0))
        elif r.asset == asset and do == ADD_COLLATERAL:
            minted = divide(raw, model.supply_index(r, timestamp))
            r = replace(r, scaled_supply_raw=r.scaled_supply_raw + minted)
        elif r.asset == asset and do == WITHDRAW:
            index = model.supply_index(r, timestamp)
            burnt = div_up(raw * RAY, index) if model.rules.directed else ray_div_half_up(raw, index)
            whole = raw >= model.supply_raw(r, timestamp)
            r = replace(r, scaled_supply_raw=0 if whole else max(r.scaled_supply_raw - burnt, 0))
        rows.append(r)
    return replace(account, reserves=tuple(rows))
