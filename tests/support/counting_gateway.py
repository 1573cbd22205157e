"""The gateway itself, counting what is asked of it, that may leave logs out."""

from __future__ import annotations

from collections.abc import Sequence

from chains.errors import Retry
from chains.gateway import Gateway
from chains.types import Address, BlockRef, Call, CallResult, Log


class Counting:
    """`without` leaves logs of one contract out, `silent` answers no logs."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway, self.requests, self.calls = gateway, 0, 0
        self.without, self.silent = "", False

    async def multicall(
        self, calls: Sequence[Call], block: int | str = "latest"
    ) -> tuple[BlockRef, list[CallResult]]:
        self.requests, self.calls = self.requests + 1, self.calls + len(calls)
        return await self.gateway.multicall(calls, block)

    async def block(self, tag: int | str = "latest") -> BlockRef:
        return await self.gateway.block(tag)

    async def logs_agreed(
        self,
        address: Address | Sequence[Address],
        topics: Sequence[bytes | Sequence[bytes] | None],
        first: int,
        last: int,
    ) -> list[Log]:
        if self.silent:
            raise Retry("NOT_NOW", "no logs")
        found = await self.gateway.logs_agreed(address, topics, first, last)
        return [one for one in found if one.address != self.without]
