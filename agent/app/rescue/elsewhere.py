"""What the wallet holds on other chains that a bridge would bring: told to its owners beside exchanges, and waited for by no rescue."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TYPE_CHECKING, TypeVar

from agent.domain.errors import FairleadError
from agent.domain.instruments import AssetId
from agent.execution.settlement import token_of
from chains.bridges.across import sendable

T = TypeVar("T")
OTHERS_S = 1.0
"""As long as another chain, or an exchange, is waited for: a slot of a chain is not to be lost to one that is down."""

if TYPE_CHECKING:
    from agent.app.chain_desk import ChainDesk
    from agent.app.wiring import App


async def at_once(asked: Awaitable[T], nothing: T) -> T:
    """The answer, or `nothing` where it does not come soon or is none. Raises Halt alone."""
    try:
        async with asyncio.timeout(OTHERS_S):
            return await asked
    except TimeoutError:
        return nothing
    except FairleadError as error:
        if error.verb == "HALT":
            raise
        return nothing


async def on_other_chains(app: App, rescued: ChainDesk) -> dict[AssetId, int]:
    """Base units by asset of what could be sent to that chain now. A chain that does not answer at once holds nothing for a rescue."""

    async def of(desk: ChainDesk) -> dict[AssetId, int]:
        assets = {token_of(a): a for a in app.directory.at(desk.place) if "/erc20:" in a}
        found = await at_once(sendable(desk.gateway, rescued.profile.chain_id, list(assets), desk.wallet), {})
        return {asset: found[token] for token, asset in assets.items() if token in found}

    total: dict[AssetId, int] = {}
    for one in await asyncio.gather(*(of(desk) for desk in app.chains.values() if desk is not rescued)):
        total |= one
    return total
