"""The troves of Liquity v2 that the settings name, read at one block, computed by their model."""

from __future__ import annotations

from dataclasses import replace

from agent.app.settings_lending import TroveRef
from agent.app.settings_tree import Chain
from agent.app.watching.loans_judged import Loan, judged, symbols_of, unknown
from agent.domain.errors import FairleadError
from agent.domain.instruments import erc20_id
from agent.margin import liquity_v2
from agent.margin.doubts import price_doubt
from chains.lending.liquity_v2 import DECIMALS, Trove, read_trove
from chains.types import Address, ViewReader


async def trove_loan(chain: Chain, gateway: ViewReader, ref: TroveRef) -> Loan | None:
    """The trove; None where it is closed."""
    name = f"liquity_v2:eip155:{chain.chain_id}:{ref.registry}:{ref.id}"
    try:
        found = await read_trove(gateway, Address(ref.registry), ref.number)
        if found is None:
            return None
        symbols = await symbols_of(gateway, chain.chain_id, [found.debt, found.collateral], found.block)
    except FairleadError as error:
        return unknown(name, "liquity_v2", chain, error)
    account = trove_account(found, chain.chain_id)
    decimals = {account.debt: DECIMALS, account.collateral: DECIMALS}
    why = price_doubt(found.price_1e18, 18) or trouble_of(found, account)
    return replace(
        judged(name, liquity_v2.MODEL, account, chain, found.block, symbols, decimals, why), found=found
    )


def trouble_of(found: Trove, account: liquity_v2.Account) -> str:
    """Why nothing can be said of a trove, "" where it can."""
    if found.price_failed:
        return "its price source has failed: the branch is shut down by the next who asks for the price"
    if found.shut_down:
        return "the branch is shut down: any of its troves may be redeemed at once"
    at = found.block.timestamp
    last = account.batch.last_update if account.batch else account.last_update
    debt = liquity_v2.entire_debt(account, at) if last <= at else None
    coll = account.entire_coll_1e18
    ratio = coll * found.price_1e18 // debt if debt else found.icr_1e18
    ours, theirs = (debt, coll, ratio), (found.entire_debt_1e18, found.entire_coll_1e18, found.icr_1e18)
    if ours != theirs or found.mcr_1e18 < liquity_v2.WAD:
        return "the contract's debt, collateral or ratio is not the model's: it is of another version"
    return ""


def trove_account(found: Trove, chain_id: int) -> liquity_v2.Account:
    batch = found.batch
    return liquity_v2.Account(
        erc20_id(chain_id, found.collateral), erc20_id(chain_id, found.debt), found.coll_1e18, found.debt_1e18, found.annual_rate_1e18,
        found.last_update, found.price_1e18, found.mcr_1e18, found.redistributed_coll_1e18, found.redistributed_debt_1e18,
        found.penalty_sp_1e18, found.penalty_redistribution_1e18, found.stability_pool_1e18,
        None if batch is None else liquity_v2.Batch(
            batch.debt_1e18, batch.annual_rate_1e18, batch.management_fee_1e18, batch.last_update, batch.total_shares,
        ),
        found.batch_shares,
    )  # fmt: skip


__all__ = ["trouble_of", "trove_account", "trove_loan"]
