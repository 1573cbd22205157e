"""The wallet's positions at GMX v2, each an account of its own since each stands alone: read at one block, computed by their model.

Judged by the price feeds GMX lists on its chain; it liquidates by prices signed elsewhere, which those only bound.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from agent.app.settings_lending import Gmx
from agent.app.settings_tree import Chain
from agent.app.watching.loans_judged import Loan, judged, symbols_of, unknown
from agent.domain.errors import FairleadError
from agent.domain.instruments import erc20_id
from agent.margin import gmx_v2
from agent.margin.doubts import price_doubt
from chains.lending.gmx_v2 import GmxCore, GmxPosition, HeldPosition, read_position, read_positions
from chains.types import Address, BlockRef, ViewReader

OTHER_VERSION = "the contract's figures are not the model's: it is of another version"


def core_of(gmx: Gmx) -> GmxCore:
    return GmxCore(Address(gmx.reader), Address(gmx.data_store), Address(gmx.referral_storage))


async def gmx_loans(chain: Chain, gateway: ViewReader, gmx: Gmx, wallet: Address) -> list[Loan]:
    """One for each open position; one UNKNOWN where GMX does not tell which there are."""
    try:
        ref, held = await read_positions(gateway, core_of(gmx), wallet)
    except FairleadError as error:
        return [unknown(f"gmx_v2:eip155:{chain.chain_id}:{gmx.reader}", "gmx_v2", chain, error)]
    return list(await asyncio.gather(*(_one(chain, gateway, gmx, ref, one) for one in held)))


async def _one(chain: Chain, gateway: ViewReader, gmx: Gmx, ref: BlockRef, held: HeldPosition) -> Loan:
    side = "long" if held.long else "short"
    name = f"gmx_v2:eip155:{chain.chain_id}:{held.market}:{side}:{held.key.hex()[:8]}"
    try:
        found = await read_position(gateway, core_of(gmx), ref, held)
        symbols = await symbols_of(gateway, chain.chain_id, [found.index, held.collateral], ref)
    except FairleadError as error:
        return unknown(name, "gmx_v2", chain, error)
    position = gmx_position(found, chain.chain_id)
    symbols |= {
        erc20_id(chain.chain_id, Address(at)): symbol
        for at, symbol in gmx.symbols.items()
        if at == found.index
    }
    decimals = {
        position.asset: found.index_price.decimals,
        position.collateral: found.collateral_price.decimals,
    }
    why = next(
        (w for p in (found.index_price, found.collateral_price) if (w := price_doubt(p.price_raw, 30 - p.decimals))), ""
    ) or differs(found, position)  # fmt: skip
    account = gmx_v2.Account((position,))
    return replace(judged(name, gmx_v2.MODEL, account, chain, ref, symbols, decimals, why), found=found)


def differs(found: GmxPosition, position: gmx_v2.Position) -> str:
    """Why the contract's own figures cannot be the model's, "" where they can.

    It tells a liquidation by fees as they were last settled, and settles them before it liquidates: what it tells to remain is more than what
    does by no more than all such fees.
    """
    ours, told = position.remaining(found.block.timestamp), found.told_remaining_usd_1e30
    due = (position.borrowing_usd // position.collateral_px + position.funding_raw) * position.collateral_px
    slack = abs(found.uncapped_profit_usd_1e30) // gmx_v2.E30 + 2
    profit = position.size_tokens * position.index_px - position.size_usd
    same = (
        found.uncapped_profit_usd_1e30 == (profit if position.long else -profit)
        and found.position_fee_raw >= 0
        and ours - slack <= told <= ours + due + slack
        and found.told_min_for_leverage_usd_1e30 == position.size_usd * position.min_factor // gmx_v2.E30
        and found.told_liquidatable == (told < position.required() or told <= 0)
    )
    return "" if same else OTHER_VERSION


def gmx_position(found: GmxPosition, chain_id: int) -> gmx_v2.Position:
    held, px = found.held, found.collateral_price.price_raw
    # The fee less its discounts, as the factor that comes to just that many tokens.
    fee = max(found.position_fee_raw, 0) * px * gmx_v2.E30
    capped = 0 <= found.profit_usd_1e30 < found.uncapped_profit_usd_1e30
    return gmx_v2.Position(
        erc20_id(chain_id, found.index), erc20_id(chain_id, held.collateral), held.long, held.size_usd_1e30, held.size_tokens_raw,
        held.collateral_raw, found.index_price.price_raw, px, found.min_factor_1e30, max(found.told_min_usd_1e30, 0),
        gmx_v2.USD_DECIMALS - found.index_price.decimals,
        position_fee_factor=-(-fee // held.size_usd_1e30) if held.size_usd_1e30 else 0,
        borrowing_usd=found.borrowing_usd_1e30,
        borrowing_usd_per_second=found.borrowing_usd_per_second_1e30,
        last_update=found.block.timestamp,
        funding_raw=found.funding_raw,
        impact_usd=found.impact_usd_1e30,
        max_impact_factor=found.max_impact_factor_1e30,
        counted_profit=found.profit_usd_1e30 * gmx_v2.E30 // found.uncapped_profit_usd_1e30 if capped else gmx_v2.E30,
    )  # fmt: skip


__all__ = ["differs", "gmx_loans", "gmx_position"]
