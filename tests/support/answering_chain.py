"""A chain of contracts that answer from figures, for readers: each getter by its address and signature, all at one block."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chains.evm import checksum, selector, word, words
from chains.types import Address, BlockRef, Call, CallResult, Hash32

Answer = Callable[..., Sequence[int | str | bytes] | None]


def place(number: int) -> Address:
    return checksum("0x" + f"{number:040x}")


class AnsweringChain:
    """`table` by (address, signature): what it answers, given its arguments as unsigned words; None is a revert, and so is what is not there.

    With `reorganised` what is asked by a block's hash is answered of another block.
    """

    def __init__(self, chain_id: int = 1, now: int = 1_700_000_100) -> None:
        self.chain_id, self.now, self.reorganised = chain_id, now, False
        self.table: dict[tuple[str, str], Answer] = {}
        self.asked: list[tuple[str, str]] = []

    def answers(self, to: Address, **getters: Answer) -> None:
        """Getters without arguments, by name."""
        for name, answer in getters.items():
            self.table[to, f"{name}()"] = answer

    def token(self, at: Address, decimals: int, symbol: str) -> None:
        self.answers(
            at,
            decimals=lambda: [decimals],
            symbol=lambda: [32, len(symbol), symbol.encode().ljust(32, b"\0")],
        )

    async def block(self, tag: int | str = "latest") -> BlockRef:
        number = 2 if self.reorganised and str(tag).startswith("0x") else 1
        return BlockRef(number, Hash32(f"0x{number:064x}"), Hash32("0x" + "00" * 32), self.now, 10**9)

    async def multicall(
        self, calls: Sequence[Call], block: int | str = "latest"
    ) -> tuple[BlockRef, list[CallResult]]:
        return await self.block(block), [self._answer(call) for call in calls]

    def _answer(self, call: Call) -> CallResult:
        for (to, signature), answer in self.table.items():
            if to == call.to and selector(signature) == call.data[:4]:
                self.asked.append((to, signature))
                told = answer(*words(call.data[4:]))
                return CallResult(told is not None, b"".join(word(v) for v in told or ()))
        return CallResult(False, b"")
