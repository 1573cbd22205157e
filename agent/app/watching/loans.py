"""A wallet's accounts at Compound III and Morpho Blue: those markets that the settings name, read at one block, computed by their models."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from agent.app.settings_tree import Chain
from agent.app.watching.aave import label
from agent.domain.errors import FairleadError
from agent.domain.instruments import erc20_id
from agent.margin import compound_v3, morpho_blue
from agent.margin.accounts import Judged
from agent.margin.doubts import price_doubt
from agent.margin.fixes import cheapest
from agent.margin.model import Health, MarginModel, State
from agent.margin.surface import Member
from chains.gateway import Gateway
from chains.lending import compound_v3 as comet_reader
from chains.lending import morpho_blue as morpho_reader
from chains.types import Address, BlockRef, Call
from contracts.codec import encode


@dataclass(frozen=True, slots=True)
class Loan:
    """One account, with the block it was read at (None where it was not), and as its reader found it."""

    judged: Judged
    block: BlockRef | None
    found: morpho_reader.MorphoPosition | comet_reader.CometAccount | None = None


async def loans_of(chain: Chain, gateway: Gateway, wallet: Address) -> list[Loan]:
    """The accounts in which something is held or owed; a market that does not answer is UNKNOWN, never left out."""
    asked = [comet_loan(chain, gateway, Address(c), wallet) for c in chain.comets]
    asked += [morpho_loan(chain, gateway, market, wallet) for market in chain.morpho_markets]
    return [loan for loan in await asyncio.gather(*asked) if loan is not None]


async def comet_loan(chain: Chain, gateway: Gateway, comet: Address, wallet: Address) -> Loan | None:
    """The wallet's account in one market; None where it has none."""
    name = f"compound_v3:eip155:{chain.chain_id}:{comet}"
    try:
        found = await comet_reader.read_account(gateway, comet, wallet)
        if found.principal_raw == 0 and not found.collateral:
            return None
        tokens = [found.base, *(c.asset for c in found.collateral)]
        symbols = await _symbols(gateway, chain.chain_id, tokens, found.block)
    except FairleadError as error:
        return _unknown(name, "compound_v3", chain, error)
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
    loan = _judged(name, compound_v3.MODEL, account, chain, found.block, symbols, decimals, why)
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


async def morpho_loan(chain: Chain, gateway: Gateway, market: str, wallet: Address) -> Loan | None:
    """The wallet's position in one market; None where it has none."""
    name = f"morpho_blue:eip155:{chain.chain_id}:{market}"
    try:
        found = await morpho_reader.read_position(gateway, Address(chain.morpho), market, wallet)
        if found.borrow_shares_raw == 0 and found.collateral_raw == 0:
            return None
        symbols = await _symbols(gateway, chain.chain_id, [found.loan, found.collateral], found.block)
    except FairleadError as error:
        return _unknown(name, "morpho_blue", chain, error)
    account = morpho_account(found, chain.chain_id)
    decimals = {account.loan: account.loan_decimals, account.collateral: account.collateral_decimals}
    why = price_doubt(account.oracle_price_1e36, 54)
    loan = _judged(name, morpho_blue.MODEL, account, chain, found.block, symbols, decimals, why)
    return replace(loan, found=found)


def morpho_account(found: morpho_reader.MorphoPosition, chain_id: int) -> morpho_blue.Account:
    return morpho_blue.Account(
        erc20_id(chain_id, found.loan), found.loan_decimals, erc20_id(chain_id, found.collateral), found.collateral_decimals,
        found.lltv_1e18, found.oracle_price_1e36, found.collateral_raw, found.borrow_shares_raw, found.total_borrow_assets_raw,
        found.total_borrow_shares_raw, found.borrow_rate_1e18, found.last_update,
    )  # fmt: skip


def _judged(
    name: str,
    model: MarginModel,
    account: object,
    chain: Chain,
    block: BlockRef,
    symbols: dict[str, str],
    decimals: dict[str, int],
    why: str,
) -> Loan:
    place = f"eip155:{chain.chain_id}"
    if why:
        return Loan(Judged(name, model.name, place, None, symbols, model.price_decimals, why), block)
    health: Health = model.health(account, block.timestamp)
    thin = health.state in (State.AT_RISK, State.LIQUIDATABLE)
    fix = cheapest(model, account, block.timestamp) if thin else None
    member = Member(name, model, account, block.timestamp)
    return Loan(
        Judged(name, model.name, place, health, symbols, model.price_decimals, "", member, fix, decimals),
        block,
    )


def _unknown(name: str, model: str, chain: Chain, error: FairleadError) -> Loan:
    if error.verb == "HALT":
        raise error
    return Loan(Judged(name, model, f"eip155:{chain.chain_id}", None, {}, 0, str(error)), None)


async def _symbols(gateway: Gateway, chain_id: int, tokens: list[Address], block: BlockRef) -> dict[str, str]:
    _, results = await gateway.multicall([Call(t, encode("erc20", "symbol")) for t in tokens], block.number)
    return {
        erc20_id(chain_id, t): label(r.data if r.ok else b"", t) for t, r in zip(tokens, results, strict=True)
    }
