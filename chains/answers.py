"""What every lending reader does: more calls at the very block of the first, and words out of an answer."""

from __future__ import annotations

from collections.abc import Sequence

from chains.errors import Retry
from chains.evm import words
from chains.types import BlockRef, Call, CallResult, ViewReader


async def at_same_block(chain: ViewReader, ref: BlockRef, calls: Sequence[Call]) -> list[CallResult]:
    """More calls at the very same block, named by its hash. Raises Retry BLOCK_MOVED."""
    if not calls:
        return []
    again, results = await chain.multicall(calls, ref.hash)
    if again.hash != ref.hash:
        raise Retry("BLOCK_MOVED", f"block {ref.number} was reorganised under the read", "ask again")
    return results


def words_of(who: str, hint: str, what: str, result: CallResult, count: int) -> list[int]:
    """The answer's 32-byte words, `count` of them at least. Raises Retry MALFORMED_ANSWER: `who` did not answer `what`, with `hint`."""
    found = words(result.data)
    if not result.ok or len(found) < count:
        raise Retry("MALFORMED_ANSWER", f"{who} did not answer {what}", hint)
    return found
