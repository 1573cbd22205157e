"""What an account's own assets are worth by its protocol's prices, in dollars, and which assets it knows. Pure.

A protocol counts in a unit of its own: Aave and Maker in dollars, a Compound III market in what its feeds say, a Morpho Blue market in
its loan token. `unit_usd` is what one of it is worth; a dollar where nothing is said.
"""

from __future__ import annotations

from decimal import Decimal, localcontext
from typing import Any

from agent.domain.units import WIDE
from agent.margin import aave_account, compound_v3, liquity_v2, maker_vault, morpho_blue

DOLLAR = Decimal(1)


def worth_usd(account: Any, asset: str, raw: int, unit_usd: Decimal = DOLLAR) -> Decimal:
    """`raw` base units of one of the account's assets. KeyError for any other."""
    px, digits = _price(account, asset)
    with localcontext(WIDE):
        return Decimal(raw * px).scaleb(-digits) * unit_usd


def raw_worth(account: Any, asset: str, usd: Decimal, unit_usd: Decimal = DOLLAR) -> int:
    """The most base units of an asset that are worth no more than so many dollars."""
    px, digits = _price(account, asset)
    with localcontext(WIDE):
        return int((max(usd, Decimal(0)) / unit_usd).scaleb(digits)) // max(px, 1)


def assets_of(account: Any) -> dict[str, int]:
    """Each asset the account could be paid with, and its decimals."""
    match account:
        case aave_account.Account():
            return {r.asset: r.decimals for r in account.reserves}
        case compound_v3.Account():
            return {account.base: account.base_decimals} | {c.asset: c.decimals for c in account.collateral}
        case morpho_blue.Account():
            return {
                account.loan: account.loan_decimals,
                account.collateral: account.collateral_decimals,
            }
        case maker_vault.Account():
            return {account.debt: 18, account.collateral: account.collateral_decimals}
        case liquity_v2.Account():
            return {account.debt: 18, account.collateral: 18}
    return {}


def _price(account: Any, asset: str) -> tuple[int, int]:
    """(price, digits): a base unit is worth price·10^-digits of the account's unit."""
    if isinstance(account, morpho_blue.Account):
        if asset == account.collateral:
            return account.oracle_price_1e36, 36 + account.loan_decimals
        return 1, assets_of(account)[asset]
    if isinstance(account, maker_vault.Account | liquity_v2.Account):
        digits = assets_of(account)[asset]
        return (account.price_1e18, 18 + digits) if asset == account.collateral else (1, digits)
    if isinstance(account, compound_v3.Account):
        return account.prices()[asset], 8 + assets_of(account)[asset]
    found = {r.asset: r.price_1e8 for r in account.reserves}
    return found[asset], 8 + assets_of(account)[asset]
