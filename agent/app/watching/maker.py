"""The Maker (Sky) vaults that the settings name, read at one block, computed by their model."""

from __future__ import annotations

from dataclasses import replace

from agent.app.settings_maker import Maker, MakerUrn
from agent.app.settings_tree import Chain
from agent.app.watching.loans_judged import Loan, judged, symbols_of, unknown
from agent.domain.errors import FairleadError
from agent.domain.instruments import erc20_id
from agent.margin import maker_vault
from agent.margin.doubts import price_doubt
from chains.lending.maker_vault import MakerCore, MakerPosition, read_vault
from chains.types import Address, ViewReader


def maker_name(chain: Chain, vault: MakerUrn) -> str:
    return f"maker_vault:eip155:{chain.chain_id}:{vault.urn}"


def core_of(maker: Maker) -> MakerCore:
    return MakerCore(*(Address(a) for a in (maker.vat, maker.spotter, maker.jug, maker.dog, maker.dai_join)))


async def maker_loan(chain: Chain, gateway: ViewReader, maker: Maker, vault: MakerUrn) -> Loan | None:
    """The vault; None where it is empty."""
    name = maker_name(chain, vault)
    try:
        found = await read_vault(
            gateway,
            core_of(maker),
            vault.key,
            Address(vault.urn),
            Address(vault.join),
            Address(vault.collateral),
        )
        if found.ink_1e18 == 0 and found.art_1e18 == 0:
            return None
        symbols = await symbols_of(gateway, chain.chain_id, [found.debt, found.collateral], found.block)
    except FairleadError as error:
        return unknown(name, "maker_vault", chain, error)
    account = maker_account(found, chain.chain_id)
    decimals = {account.debt: 18, account.collateral: account.collateral_decimals}
    why = price_doubt(account.price_1e18, 18)
    return replace(
        judged(name, maker_vault.MODEL, account, chain, found.block, symbols, decimals, why), found=found
    )


def maker_account(found: MakerPosition, chain_id: int) -> maker_vault.Account:
    return maker_vault.Account(
        erc20_id(chain_id, found.collateral), erc20_id(chain_id, found.debt), found.ink_1e18, found.art_1e18, found.rate_1e27,
        found.duty_1e27, found.last_update, found.price_1e18, found.par_1e27, found.mat_1e27, found.chop_1e18, found.dust_1e45,
        found.room_1e45, found.collateral_decimals,
    )  # fmt: skip
