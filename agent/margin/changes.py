"""An account after a payment: debt repaid, collateral added, money deposited. Pure; rounded as the protocol would, against the account."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

from agent.margin import (
    aave_account,
    compound_v3,
    crvusd,
    deribit_pm,
    deribit_sm,
    derive_pm,
    dydx_v4,
    gmx_v2,
    liquity_v2,
    maker_vault,
    morpho_blue,
    paradex_pm,
    perps,
    unified,
)
from agent.margin.aave_core import AaveModel
from agent.margin.model import MarginModel
from agent.margin.ray import RAY, div_up

DOLLARS = "USD"
"""What is deposited at an exchange: base units are 1e-8 of a dollar."""


def owed(model: MarginModel, account: Any, timestamp: int) -> dict[str, int]:
    """Base units owed by asset."""
    match account:
        case aave_account.Account() if isinstance(model, AaveModel):
            found = {r.asset: model.debt_raw(r, timestamp) - r.stable_debt_raw for r in account.reserves}
        case compound_v3.Account():
            found = {account.base: max(-compound_v3.present_raw(account, timestamp), 0)}
        case morpho_blue.Account():
            found = {account.loan: morpho_blue.debt_raw(account, timestamp)}
        case maker_vault.Account():
            found = {account.debt: maker_vault.owed_raw(account, timestamp)}
        case liquity_v2.Account():
            found = {account.debt: liquity_v2.entire_debt(account, timestamp)}
        case crvusd.Account():
            found = {account.debt: account.debt_raw * crvusd.grown(account, timestamp) // crvusd.WAD}
        case _:
            found = {}
    return {asset: raw for asset, raw in found.items() if raw > 0}


def repaid(model: MarginModel, account: Any, asset: str, raw: int, timestamp: int) -> Any:
    """The account with `raw` of that debt paid."""
    match account:
        case aave_account.Account() if isinstance(model, AaveModel):
            rows = []
            for r in account.reserves:
                if r.asset == asset:
                    burnt = raw * RAY // model.debt_index(r, timestamp)
                    whole = raw >= model.debt_raw(r, timestamp) - r.stable_debt_raw
                    left = 0 if whole else max(r.scaled_debt_raw - burnt, 0)
                    r = replace(r, scaled_debt_raw=left)
                rows.append(r)
            return replace(account, reserves=tuple(rows))
        case compound_v3.Account():
            seconds = timestamp - account.last_update
            index = account.borrow_index_1e15
            index += index * (account.borrow_rate_1e18 * seconds) // compound_v3.FACTOR
            left = max(-compound_v3.present_raw(account, timestamp) - raw, 0)
            # Principal is rounded up; the accrued index takes the place of the stored one.
            return replace(
                account,
                principal_raw=-div_up(left * compound_v3.INDEX, index),
                borrow_index_1e15=index,
                last_update=timestamp,
            )
        case morpho_blue.Account():
            total = morpho_blue.total_borrow(account, timestamp)
            shares = raw * (account.total_borrow_shares_raw + 10**6) // (total + 1)
            shares = min(shares, account.borrow_shares_raw)
            if raw >= morpho_blue.debt_raw(account, timestamp):
                shares = account.borrow_shares_raw
            return replace(
                account,
                borrow_shares_raw=account.borrow_shares_raw - shares,
                total_borrow_shares_raw=account.total_borrow_shares_raw - shares,
                total_borrow_assets_raw=max(total - raw, 0),
                last_update=timestamp,
            )
        case maker_vault.Account():
            art = raw * RAY // maker_vault.rate_at(account, timestamp)
            return replace(account, art_1e18=max(account.art_1e18 - art, 0))
        case liquity_v2.Account():
            return liquity_v2.repaid(account, raw, timestamp)
        case crvusd.Account():
            return crvusd.repaid(account, raw, timestamp)
    return account


def deposits(model: MarginModel, account: Any) -> list[str]:
    """The assets of which more would count."""
    match account:
        case aave_account.Account() if isinstance(model, AaveModel):
            return [r.asset for r in account.reserves if model.counts(r) and account.threshold_bps(r)]
        case compound_v3.Account():
            return [c.asset for c in account.collateral if c.liquidate_cf_1e18]
        case morpho_blue.Account() | maker_vault.Account() | liquity_v2.Account():
            return [account.collateral]
        case gmx_v2.Account():
            return list(
                dict.fromkeys(p.collateral for p in account.positions if p.size_usd and p.collateral_px)
            )
        case (
            perps.PerpAccount()
            | deribit_pm.Account()
            | deribit_sm.Account()
            | derive_pm.Account()
            | dydx_v4.Account()
            | paradex_pm.Account()
        ):
            return [DOLLARS]
        case unified.Account():
            return [h.asset for h in account.assets if h.haircut[0][1] == 1][:1]
    return []


def deposited(model: MarginModel, account: Any, asset: str, raw: int, timestamp: int) -> Any:
    """The account with `raw` more of that collateral; unchanged where it would not count."""
    if asset not in deposits(model, account):
        return account
    match account:
        case aave_account.Account() if isinstance(model, AaveModel):
            rows = [
                replace(
                    r, scaled_supply_raw=r.scaled_supply_raw + raw * RAY // model.supply_index(r, timestamp)
                )
                if r.asset == asset
                else r
                for r in account.reserves
            ]
            return replace(account, reserves=tuple(rows))
        case compound_v3.Account():
            held = [
                replace(c, balance_raw=c.balance_raw + raw) if c.asset == asset else c
                for c in account.collateral
            ]
            return replace(account, collateral=tuple(held))
        case morpho_blue.Account():
            return replace(account, collateral_raw=account.collateral_raw + raw)
        case maker_vault.Account():
            return replace(
                account, ink_1e18=account.ink_1e18 + raw * 10 ** (18 - account.collateral_decimals)
            )
        case liquity_v2.Account():
            return replace(account, coll_1e18=account.coll_1e18 + raw)
        case gmx_v2.Account():
            return gmx_v2.deposited(account, asset, raw, timestamp)
        case perps.PerpAccount():
            return replace(account, balance=account.balance + Fraction(raw, 10**8))
        case deribit_pm.Account():
            return deribit_pm.MODEL.deposited(account, raw)
        case deribit_sm.Account():
            return deribit_sm.MODEL.deposited(account, raw)
        case derive_pm.Account():
            return derive_pm.MODEL.deposited(account, raw)
        case dydx_v4.Account():
            return dydx_v4.MODEL.deposited(account, raw)
        case paradex_pm.Account():
            return paradex_pm.MODEL.deposited(account, raw)
        case unified.Account():
            assets = [
                replace(h, equity=h.equity + Fraction(raw, 10**8)) if h.asset == asset else h
                for h in account.assets
            ]
            return replace(account, assets=tuple(assets))
    return account
