"""The wallet's loans at the controllers of crvUSD and Llamalend that the settings name, read at one block, computed by their model."""

from __future__ import annotations

from dataclasses import replace

from agent.app.settings_tree import Chain
from agent.app.watching.loans_judged import Loan, judged, symbols_of, unknown
from agent.domain.errors import FairleadError
from agent.domain.instruments import erc20_id
from agent.margin import crvusd
from agent.margin.doubts import price_doubt
from chains.lending.crvusd import CrvusdLoan, HeldBand, read_loan
from chains.types import Address, ViewReader

SHARE_UNIT = 10**6
"""Shares are told in parts so small that the AMM's dead shares weigh nothing beside them."""


async def crvusd_loan(chain: Chain, gateway: ViewReader, controller: Address, wallet: Address) -> Loan | None:
    """The wallet's loan at one controller; None where it has none."""
    name = f"crvusd:eip155:{chain.chain_id}:{controller}"
    try:
        found = await read_loan(gateway, controller, wallet)
        if found is None:
            return None
        symbols = await symbols_of(gateway, chain.chain_id, [found.debt, found.collateral], found.block)
    except FairleadError as error:
        return unknown(name, "crvusd", chain, error)
    account = crvusd_account(found, chain.chain_id)
    decimals = {account.debt: found.debt_decimals, account.collateral: found.collateral_decimals}
    why = price_doubt(found.price_1e18, 18) or differs(found, chain.chain_id)
    return replace(
        judged(name, crvusd.MODEL, account, chain, found.block, symbols, decimals, why), found=found
    )


def differs(found: CrvusdLoan, chain_id: int) -> str:
    """Why the controller's own figure cannot be the model's, "" where it can.

    What is the loan's of each band is told in whole base units: the controller's health lies between those of so much and of a unit more.
    """
    if not (2 <= found.a <= 10_000 and found.debt_raw and found.p_oracle_up_1e18) or (
        found.liquidation_discount_1e18 >= crvusd.WAD
    ):
        return "its controller tells a debt, a width of bands or a discount that no loan has: it is of another version"
    at = found.block.timestamp
    least, most = (crvusd.factor_at(crvusd_account(found, chain_id, more), at) for more in (0, 1))
    assert least is not None and most is not None  # a debt there is
    debt = crvusd.debt_18(crvusd_account(found, chain_id), at)
    # Above its bands the controller counts what it sums up by itself, each band floored: a few of the smallest units of collateral.
    slack = found.price_1e18 * (2 * len(found.bands) + 2) // debt + 2
    if least - slack <= found.health_1e18 + crvusd.WAD <= most + slack:
        return ""
    return "the controller's health is not the model's: it is of another version"


def crvusd_account(found: CrvusdLoan, chain_id: int, more: int = 0) -> crvusd.Account:
    """The loan as its model reads it, with `more` base units of each band than were told."""
    x_scale, y_scale = 10 ** (18 - found.debt_decimals), 10 ** (18 - found.collateral_decimals)
    return crvusd.Account(
        erc20_id(chain_id, found.collateral), erc20_id(chain_id, found.debt), found.debt_raw, found.debt_decimals, found.rate_1e18,
        found.block.timestamp, found.liquidation_discount_1e18, found.a, found.price_1e18, found.p_oracle_up_1e18, found.first_band,
        found.active_band, tuple(_band(band, x_scale, y_scale, more) for band in found.bands),
    )  # fmt: skip


def _band(band: HeldBand, x_scale: int, y_scale: int, more: int) -> crvusd.Band:
    """Its shares found back from what is told more finely of the two coins: AMM._get_xy gives (band + 1)·shares/(total + dead), floored."""
    by_x = not band.y_1e18 or (band.x_1e18 > 0 and band.own_x_raw > band.own_y_raw)
    own, whole = (
        ((band.own_x_raw + more) * x_scale, band.x_1e18)
        if by_x
        else ((band.own_y_raw + more) * y_scale, band.y_1e18)
    )
    total = (whole + 1) * SHARE_UNIT - crvusd.DEAD_SHARES
    return crvusd.Band(band.x_1e18, band.y_1e18, own * SHARE_UNIT, total)


__all__ = ["crvusd_account", "crvusd_loan", "differs"]
