"""The settings' chains opened for reading, and nothing else: no signer, no venue, no journal."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import aiohttp

from agent.app.endpoints import open_gateways
from agent.app.settings_tree import Settings
from agent.app.watching.words import age
from agent.domain.errors import FairleadError
from chains.gateway import Gateway
from chains.types import BlockRef

T = TypeVar("T")


@dataclass(frozen=True)
class Reading:
    settings: Settings
    gateways: Mapping[int, Gateway]
    session: aiohttp.ClientSession

    @property
    def now_s(self) -> int:
        return time.time_ns() // 10**9

    async def heads(self) -> dict[str, BlockRef | str]:
        """Each chain's newest block by the chain's name, or why it was not told."""

        async def one(chain_id: int) -> BlockRef | str:
            try:
                return await self.gateways[chain_id].block()
            except FairleadError as error:
                return error.message

        chains = self.settings.chains
        found = await asyncio.gather(*(one(chain.chain_id) for chain in chains))
        return {chain.name: head for chain, head in zip(chains, found, strict=True)}


def read(settings: Settings, work: Callable[[Reading], Awaitable[T]]) -> T:
    async def inside() -> T:
        async with aiohttp.ClientSession() as session:
            return await work(Reading(settings, await open_gateways(settings, session), session))

    return asyncio.run(inside())


def head_words(heads: Mapping[str, BlockRef | str], now_s: int) -> str:
    """The block part of the first line: `ethereum 123 (4 s) · base unreachable`."""
    return " · ".join(
        f"{name} unreachable"
        if isinstance(head, str)
        else f"{name} {head.number} ({age(now_s - head.timestamp)})"
        for name, head in heads.items()
    )
