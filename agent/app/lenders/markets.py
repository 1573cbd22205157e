"""Which market a rescue's `market` means: the chain's own Aave V3, or one that [[chains]] lists by its address or id."""

from __future__ import annotations

from agent.app.lenders import aave_v3, compound_v3, maker_vault, morpho_blue
from agent.app.lenders.lender import Lender
from agent.app.settings_tree import Chain
from chains.gateway import Gateway
from chains.types import Address


async def lender_of(chain: Chain, gateway: Gateway, market: str | None, wallet: Address) -> Lender | None:
    """None where there is no such market. Raises Retry where the chain does not answer."""
    if market is not None and market in chain.morpho_markets:
        return await morpho_blue.lender(chain, gateway, market, wallet)
    if market is not None and market in chain.comets:
        return await compound_v3.lender(chain, gateway, Address(market))
    if chain.maker is not None and (vault := chain.maker.vault(market)) is not None:
        return maker_vault.lender(chain, chain.maker, vault)
    return await aave_v3.lender(chain, gateway, None if market is None else Address(market))
