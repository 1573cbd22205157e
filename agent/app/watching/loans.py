"""A wallet's accounts at the lending protocols that the settings name markets, vaults and troves of: each read at one block, computed by its model."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from agent.app.settings_tree import Chain
from agent.app.watching.crvusd import crvusd_loan
from agent.app.watching.gmx import gmx_loans
from agent.app.watching.liquity import trove_loan
from agent.app.watching.loans_judged import Loan, judged, symbols_of, unknown
from agent.app.watching.maker import maker_loan
from agent.domain.errors import FairleadError
from agent.domain.instruments import erc20_id
from agent.margin import compound_v3, morpho_blue
from agent.margin.doubts import price_doubt
from chains.lending import compound_v3 as comet_reader
from chains.lending import morpho_blue as morpho_reader
from chains.types import Address, ViewReader


async def loans_of(chain: Chain, gateway: ViewReader, wallet: Address) -> list[Loan]:
    """The accounts in which something is held or owed; a market that does not answer is UNKNOWN, never left out."""
    asked = [comet_loan(chain, gateway, Address(c), wallet) for c in chain.comets]
    asked += [morpho_loan(chain, gateway, market, wallet) for market in chain.morpho_markets]
    if chain.maker is not None:
        asked += [maker_loan(chain, gateway, chain.maker, vault) for vault in chain.maker.vaults]
    asked += [crvusd_loan(chain, gateway, Address(c), wallet) for c in chain.crvusd_controllers]
    asked += [trove_loan(chain, gateway, trove) for trove in chain.troves]
    perps = _positions(chain, gateway, wallet)
    found, positions = await asyncio.gather(asyncio.gather(*asked), perps)
    return [loan for loan in found if loan is not None] + positions


async def _positions(chain: Chain, gateway: ViewReader, wallet: Address) -> list[Loan]:
    return await gmx_loans(chain, gateway, chain.gmx, wallet) if chain.gmx is not None else []


async def comet_loan(chain: Chain, gateway: ViewReader, comet: Address, wallet: Address) -> Loan | None:
    """The wallet's account in one market; None where it has none."""
    name = f"compound_v3:eip155:{chain.chain_id}:{comet}"
    try:
        found = await comet_reader.read_account(gateway, comet, wallet)
        if found.principal_raw == 0 and not found.collateral:
            return None
        tokens = [found.base, *(c.asset for c in found.collateral)]
        symbols = await symbols_of(gateway, chain.chain_id, tokens, found.block)
    except FairleadError as error:
        return unknown(name, "compound_v3", chain, error)
    account = comet_account(found, chain.chain_id)
    # The contract answers for its stored index: at that moment both must say the same.
    stored = [
        compound_v3.liquidity(account, found.last_update, account.prices(), liquidate=way)
        for way in (True, False)
    ]
    why = next((w for px in account.prices().values() if (w := price_doubt(px, 8))), "")
    if found.absorb_paused:
        why = why or "the market is paused"
    if (stored[0] < 0, stored[1] >= 0) != (found.is_liquidatable, found.is_borrow_collateralized):
        why = why or "the contract's answers are not the model's: it is of another version"
    decimals = {account.base: account.base_decimals} | {c.asset: c.decimals for c in account.collateral}
    loan = judged(name, compound_v3.MODEL, account, chain, found.block, symbols, decimals, why)
    return replace(loan, found=found)


def comet_account(found: comet_reader.CometAccount, chain_id: int) -> compound_v3.Account:
    return compound_v3.Account(
        erc20_id(chain_id, found.base), found.base_decimals, found.base_price_1e8, found.principal_raw, found.borrow_index_1e15,
        found.supply_index_1e15, found.borrow_rate_1e18, found.last_update,
        tuple(
            compound_v3.Collateral(
                erc20_id(chain_id, c.asset), c.decimals, c.balance_raw, c.price_1e8, c.borrow_cf_1e18, c.liquidate_cf_1e18,
                c.liquidation_factor_1e18,
            )
            for c in found.collateral
        ),
        found.supply_rate_1e18,
    )  # fmt: skip


async def morpho_loan(chain: Chain, gateway: ViewReader, market: str, wallet: Address) -> Loan | None:
    """The wallet's position in one market; None where it has none."""
    name = f"morpho_blue:eip155:{chain.chain_id}:{market}"
    try:
        found = await morpho_reader.read_position(gateway, Address(chain.morpho), market, wallet)
        if found.borrow_shares_raw == 0 and found.collateral_raw == 0:
            return None
        symbols = await symbols_of(gateway, chain.chain_id, [found.loan, found.collateral], found.block)
    except FairleadError as error:
        return unknown(name, "morpho_blue", chain, error)
    account = morpho_account(found, chain.chain_id)
    decimals = {account.loan: account.loan_decimals, account.collateral: account.collateral_decimals}
    why = price_doubt(account.oracle_price_1e36, 54)
    loan = judged(name, morpho_blue.MODEL, account, chain, found.block, symbols, decimals, why)
    return replace(loan, found=found)


def morpho_account(found: morpho_reader.MorphoPosition, chain_id: int) -> morpho_blue.Account:
    return morpho_blue.Account(
        erc20_id(chain_id, found.loan), found.loan_decimals, erc20_id(chain_id, found.collateral), found.collateral_decimals,
        found.lltv_1e18, found.oracle_price_1e36, found.collateral_raw, found.borrow_shares_raw, found.total_borrow_assets_raw,
        found.total_borrow_shares_raw, found.borrow_rate_1e18, found.last_update,
    )  # fmt: skip


__all__ = ["Loan", "comet_account", "comet_loan", "loans_of", "morpho_account", "morpho_loan"]
