"""Views of a chain that a second endpoint confirms: what an account's health is told from is no single endpoint's word.

Both are asked at the same block hash, and a difference in one byte is Retry ENDPOINTS_DISAGREE. So is a head that every other is more
than a minute behind, and a block that the other does not have: an endpoint could else name a block of its own making. One that does not
answer at all contradicts nobody: then `unconfirmed` says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from chains.errors import FairleadError, Reject, Retry
from chains.gateway import Gateway
from chains.types import BlockRef, Call, CallResult

LATE_S = (0.0, 0.4, 1.2)
"""Before each try at a block that the endpoint does not have: the nodes behind one address are not always equally far."""
BEHIND_S = 60
"""How much older the second newest head may be: a health of an older block is nobody's warning."""
HINT = "it is not known which is right: compare them with a third, and take the wrong one out of the settings"


class Confirmed:
    """All of one look at a chain: "latest" is one and the same block for all that it is asked."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._pinning = asyncio.Lock()
        self._pinned: tuple[BlockRef, list[Gateway]] | FairleadError | None = None
        self.unconfirmed = ""

    async def multicall(
        self, calls: Sequence[Call], block: int | str = "latest"
    ) -> tuple[BlockRef, list[CallResult]]:
        """As `Gateway.multicall`. Raises Retry ENDPOINTS_DISAGREE, Retry or Reject where none answers, Halt for a wrong chain."""
        if len(self._gateway.endpoints) < 2:
            return await self._gateway.multicall(calls, block)
        ref, ways = await self._at(block)
        good: list[tuple[str, list[CallResult]]] = []
        silent: list[FairleadError] = []
        left = list(ways)
        while left and len(good) < 2:
            asked, left = left[: 2 - len(good)], left[2 - len(good) :]
            told = await asyncio.gather(*(_ask(way, calls, ref) for way in asked), return_exceptions=True)
            for way, answer in zip(asked, told, strict=True):
                if isinstance(answer, Retry | Reject) and answer.code != "ENDPOINTS_DISAGREE":
                    silent.append(answer)
                elif isinstance(answer, BaseException):
                    raise answer
                else:
                    good.append((_origin(way), answer))
        if not good:
            raise silent[0]
        if len(good) == 1:
            self._alone(good[0][0])
        elif _plain(good[0][1]) != _plain(good[1][1]):
            raise _differ(f"{good[0][0]} and {good[1][0]} answer differently of block {ref.number}")
        return ref, good[0][1]

    async def _at(self, block: int | str) -> tuple[BlockRef, list[Gateway]]:
        async with self._pinning:
            if self._pinned is None:
                try:
                    self._pinned = await self._newest()
                except FairleadError as error:
                    # Whoever asks next in this look is told the same at once: a chain that is silent is waited for once.
                    self._pinned = error
        if isinstance(self._pinned, FairleadError):
            raise self._pinned
        ref, ways = self._pinned
        if block in ("latest", ref.number, ref.hash):
            return ref, ways
        return await self._gateway.block(block), ways

    async def _newest(self) -> tuple[BlockRef, list[Gateway]]:
        """The newest block that two endpoints are at or past, and those that are."""
        told = sorted(await self._gateway.heads(), key=lambda way: way[1].number, reverse=True)
        if len(told) == 1:
            self._alone(_origin(told[0][0]))
            return told[0][1], [told[0][0]]
        newest, ref = told[0][1], told[1][1]
        if newest.timestamp - ref.timestamp > BEHIND_S:
            heads = " and ".join(f"{_origin(way)} is at block {head.number}" for way, head in told)
            raise _differ(heads)
        return ref, [way for way, head in told if head.number >= ref.number]

    def _alone(self, origin: str) -> None:
        of = len(self._gateway.endpoints)
        self.unconfirmed = f"of {of} endpoints only {origin} answers: what it tells is not confirmed"


async def _ask(way: Gateway, calls: Sequence[Call], ref: BlockRef) -> list[CallResult]:
    for pause_s in LATE_S:
        await asyncio.sleep(pause_s)
        try:
            at, results = await way.multicall(calls, ref.hash)
        except Retry as error:
            if error.code == "BLOCK_MOVED":
                break
            if error.code != "NO_SUCH_BLOCK":
                raise
            continue
        if at != ref:
            raise _differ(f"{_origin(way)} tells another header of block {ref.number}")
        return results
    raise _differ(f"{_origin(way)} does not have block {ref.number} as another has it")


def _origin(way: Gateway) -> str:
    return way.endpoints[0].rpc.origin


def _plain(results: Sequence[CallResult]) -> list[tuple[bool, bytes]]:
    """A refusal's data is left out: nodes word it differently."""
    return [(r.ok, r.data if r.ok else b"") for r in results]


def _differ(how: str) -> Retry:
    return Retry("ENDPOINTS_DISAGREE", f"endpoints disagree: {how}", HINT)
