"""A chain of one block whose contracts answer what a test says, word by word: for what pools of ill will could tell their readers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from chains.evm import word
from chains.types import Address, BlockRef, Call, CallResult, Hash32

Answer = bytes | None
"""None: the view reverts."""


class ToldChain:
    """`answers(to, calldata)` is what every view gives. Only what pool readers ask of a ChainReader is there."""

    chain_id = 1

    def __init__(self, answers: Callable[[Address, bytes], Answer]) -> None:
        self.answers = answers
        self.number = 100

    async def block(self, tag: int | str = "latest") -> BlockRef:
        del tag
        here, before = (Hash32("0x" + word(n).hex()) for n in (self.number, self.number - 1))
        return BlockRef(self.number, here, before, 1_700_000_000 + 12 * self.number, 10**9)

    async def multicall(
        self, calls: Sequence[Call], block: int | str = "latest"
    ) -> tuple[BlockRef, list[CallResult]]:
        del block
        told = [self.answers(call.to, call.data) for call in calls]
        return await self.block(), [CallResult(a is not None, a or b"") for a in told]

    async def logs(self, *asked: Any, **how: Any) -> list[Any]:
        del asked
        return []


def listed(*values: int) -> bytes:
    """A list of words as the only value of an answer."""
    return word(32) + word(len(values)) + b"".join(map(word, values))
