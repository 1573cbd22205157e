"""What is asked at every block, asked again at the next one in a single request, as soon as that block is told.

Whoever reads a chain at each new block asks the same views each time: pool states, balances, oracles, a Safe's owners, the next
nonce. `Warm` reads like the gateway it stands before, remembers what it was asked, and when a new head is told asks all of it at
once: one round trip instead of a dozen. What such an answer says is of that one block, or it is not used:
    every view is pinned to the block's own hash, and Multicall's views of number, time and parent must agree with the head told
    logs are asked by the block's hash, which an endpoint that does not have the block refuses (by number it would say "none")
    the endpoint's own head must not be past that block, nor may any other answer to this process have been
    a nonce is what the gateway's quorum says at that block
`ahead` asks as soon as a head is told, so that whoever looks finds the state there; not where nobody looked for a while.
In all other cases (no subscription, a feed that stands still, a block that nobody has yet) every read goes through to the gateway.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from chains import decode_rpc
from chains.decode_rpc import is_revert, revert_data, topic
from chains.errors import FairleadError, Reject, Retry
from chains.evm import call_data, from_hex, hex_bytes, number
from chains.gas import PERCENTILES, FeeHistory
from chains.gateway import Gateway
from chains.heads import Heads
from chains.multicall import MULTICALL3, PROOF_CALLS, decode_aggregate3, encode_aggregate3, proves
from chains.rpc import RpcReject
from chains.types import Address, BlockRef, Call, CallResult, Hash32, Log, LogFilter

HISTORY_BLOCKS = 10
FORGOTTEN_AFTER = 32
"""What was not wanted for so many blocks is asked no more."""
FOLLOWED = 8
"""A head further than this from the last one read is met by reading anew, not by following every block between."""
MOST_CALLS = 400
AHEAD_S = 1.0
"""A chain whose blocks come faster is not read ahead for each of them."""
FAILURES, REST_BLOCKS = 3, 64
"""After so many blocks running that could not be read like this (an endpoint that takes no batches, say) it is let be for a while."""


class Warm:
    """Implements `chains.types.ChainReader`. `fresh_s`: a head told longer ago than this says nothing of now."""

    def __init__(
        self, gateway: Gateway, heads: Heads | None, *, fresh_s: float, ahead_s: float = AHEAD_S
    ) -> None:
        self._gateway, self._heads, self._fresh_s, self._ahead_s = gateway, heads, fresh_s, ahead_s
        self._lock = asyncio.Lock()
        self._at: BlockRef | None = None
        self._unreadable = Hash32("")
        self._round = 0
        self._wanted: dict[Call, int] = {}
        self._answers: dict[Call, CallResult] = {}
        self._counted: dict[Address, int] = {}
        self._nonces: dict[Address, int] = {}
        self._history: FeeHistory | None = None
        self._filters: tuple[LogFilter, ...] = ()
        self._passed: list[tuple[BlockRef, tuple[Log, ...]]] = []
        self._failures, self._again_at = 0, 0
        self.requests = 0

    @property
    def chain_id(self) -> int:
        return self._gateway.chain_id

    def want(self) -> None:
        """Have heads told from now on."""
        if self._heads is not None:
            self._heads.want()

    async def ahead(self) -> None:
        """For ever, once heads are wanted: reads what was asked for lately when a head is told. Raises only what cannot be asked again."""
        if self._heads is None:
            return
        await self._heads.wanted()
        async for _ in self._heads:
            if self._wanted or self._counted:
                await self._current()
                await asyncio.sleep(self._ahead_s)

    # ------------------------------------------------------------------ reads

    async def block(self, tag: int | str = "latest") -> BlockRef:
        at = await self._current() if tag == "latest" else self._at_hand(tag)
        return at or await self._gateway.block(tag)

    async def multicall(
        self, calls: Sequence[Call], block: int | str = "latest"
    ) -> tuple[BlockRef, list[CallResult]]:
        at = await self._current() if block == "latest" else self._at_hand(block)
        if at is None:
            return await self._gateway.multicall(calls, block)
        self.expect(calls)
        missing = [call for call in dict.fromkeys(calls) if call not in self._answers]
        if missing:
            ref, found = await self._gateway.multicall(missing, at.number)
            if ref.hash != at.hash or self._at is not at:
                return await self._gateway.multicall(calls, block)
            self._answers.update(zip(missing, found, strict=True))
        return at, [self._answers[call] for call in calls]

    async def call(
        self, call: Call, block: int | str = "latest", *, sender: Address | None = None
    ) -> CallResult:
        if sender is not None or call.value:
            return await self._gateway.call(call, block, sender=sender)
        at = await self._current() if block == "latest" else self._at_hand(block)
        if at is not None:
            self.expect([call])
            if call in self._answers:
                return self._answers[call]
        return await self._gateway.call(call, block)

    async def balance(self, address: Address, block: int | str = "latest") -> int:
        at = await self._current() if block == "latest" else self._at_hand(block)
        asked = Call(MULTICALL3, call_data("getEthBalance(address)", address))
        if at is not None:
            self.expect([asked])
            found = self._answers.get(asked)
            if found is not None and found.ok and len(found.data) == 32:
                return int.from_bytes(found.data, "big")
        return await self._gateway.balance(address, block)

    async def nonce(self, address: Address, block: int | str = "latest") -> int:
        at = await self._current() if block == "latest" else None
        if at is None:
            return await self._gateway.nonce(address, block)
        self._counted[address] = self._round
        if address not in self._nonces:
            return await self._gateway.nonce(address, block)
        return self._nonces[address]

    async def fee_history(self) -> FeeHistory:
        at = await self._current()
        if at is None or self._history is None:
            return await self._gateway.fee_history()
        return self._history

    async def code(self, address: Address, block: int | str = "latest") -> bytes:
        return await self._gateway.code(address, block)

    async def storage_at(self, address: Address, slot: int, block: int | str = "latest") -> bytes:
        return await self._gateway.storage_at(address, slot, block)

    async def logs(
        self,
        address: Address | Sequence[Address] | None,
        topics: Sequence[bytes | Sequence[bytes] | None],
        first: int,
        last: int,
        *,
        halve: bool = True,
    ) -> list[Log]:
        return await self._gateway.logs(address, topics, first, last, halve=halve)

    # ------------------------------------------------------------------ what is to be asked

    def expect(self, calls: Iterable[Call]) -> None:
        """Have these asked at every next block until they are no longer wanted."""
        for call in calls:
            self._wanted[call] = self._round

    def follow(self, filters: Sequence[LogFilter]) -> None:
        """Have the logs of every next block told by `news`. Blocks before that are not known of."""
        if tuple(filters) != self._filters:
            self._filters, self._passed, self._at = tuple(filters), [], None

    async def news(self, after: Hash32) -> list[tuple[BlockRef, tuple[Log, ...]]] | None:
        """Each block since `after` up to the newest, with the followed logs; None where that is not known, or another branch."""
        at = await self._current()
        if at is None:
            return None
        if at.hash == after:
            return []
        for i, (ref, _) in enumerate(self._passed):
            if ref.parent_hash == after:
                return self._passed[i:]
        return None

    # ------------------------------------------------------------------ one request for a block

    def _at_hand(self, block: int | str) -> BlockRef | None:
        at = self._at
        return at if at is not None and block in (at.number, at.hash) else None

    def _told(self) -> BlockRef | None:
        """The newest head, where it can be believed to be the newest still."""
        heads = self._heads
        if heads is None or not heads.live or heads.newest is None:
            return None
        if time.monotonic() - heads.told_at_s > self._fresh_s or heads.newest.number < self._gateway.highest:
            return None
        if self._failures >= FAILURES and heads.newest.number < self._again_at:
            return None
        return heads.newest

    async def _current(self) -> BlockRef | None:
        """The block that is answered for: that of the newest head, read now where it was not yet."""
        head = self._told()
        if head is None or head.hash == self._unreadable:
            return None
        if self._at is not None and self._at.hash == head.hash:
            return self._at
        async with self._lock:
            head = self._told()
            if head is None or head.hash == self._unreadable:
                return None
            if self._at is None or self._at.hash != head.hash:
                try:
                    await self._read(head)
                except (Retry, Reject):
                    self._at, self._passed, self._unreadable = None, [], head.hash
                    self._failures, self._again_at = self._failures + 1, head.number + REST_BLOCKS
                    return None
                self._failures = 0
            return self._at

    def _between(self, head: BlockRef) -> list[BlockRef] | None:
        """The blocks after the one last read up to `head`, oldest first; None where one of them was not told."""
        assert self._heads is not None
        path = [head]
        while self._at is not None and path[-1].parent_hash != self._at.hash:
            before = self._heads.recent.get(path[-1].parent_hash)
            if before is None or len(path) == FOLLOWED:
                return None
            path.append(before)
        return path[::-1] if self._at is not None else None

    async def _read(self, head: BlockRef) -> None:
        self._round += 1
        self._wanted = _recent(self._wanted, self._round)
        self._counted = _recent(self._counted, self._round)
        calls = list(self._wanted)[-MOST_CALLS:]
        path, filters = self._between(head), self._filters
        blocks = path or [head]
        pinned = {"blockHash": head.hash}
        aggregate = encode_aggregate3([*PROOF_CALLS, *calls])
        requests: list[tuple[str, Sequence[Any]]] = [
            ("eth_call", [{"to": MULTICALL3, "data": hex_bytes(aggregate)}, pinned]),
            ("eth_feeHistory", [hex(HISTORY_BLOCKS), hex(head.number), list(PERCENTILES)]),
        ]
        alone = self._gateway.quorum == 1
        counted = list(self._counted)
        if alone:
            requests += [("eth_getTransactionCount", [who, pinned]) for who in counted]
        asked_logs = [(block, _filter(block, wanted)) for block in blocks for wanted in filters]
        requests += [("eth_getLogs", [wanted]) for _, wanted in asked_logs]
        requests.append(("eth_blockNumber", []))  # last: whatever came before is not newer than it
        self.requests += 1
        answers, *nonces = await asyncio.gather(
            self._gateway.batch(requests),
            *(self._gateway.nonce(who, head.hash) for who in ([] if alone else counted)),
        )
        told = iter(answers)
        results = _views(next(told), len(calls), head, own_numbers=self._gateway.own_numbers)
        history = decode_rpc.fee_history(_good(next(told)))
        if history.base_fee_wei[-2:-1] != (head.base_fee_wei,):
            raise Retry("BLOCK_MOVED", "the fee history is another block's", "read again")
        if alone:
            nonces = [number(_good(next(told))) for _ in counted]
        logs: dict[Hash32, list[Log]] = {block.hash: [] for block in blocks}
        for block, _ in asked_logs:
            found = [decode_rpc.log(entry) for entry in _good(next(told))]
            if any(log.block_hash != block.hash for log in found):
                raise Retry("BLOCK_MOVED", "logs of another block were told", "read again")
            logs[block.hash] += found
        if number(_good(next(told))) > head.number:
            raise Retry("BLOCK_MOVED", "there is a newer block than the one told", "read again")
        if path is None or filters != self._filters:
            self._passed = []
        if (
            filters == self._filters
        ):  # else others are followed since it was asked, and nothing is known of theirs
            self._passed = [*self._passed, *((block, tuple(logs[block.hash])) for block in blocks)][
                -FORGOTTEN_AFTER:
            ]
        self._answers = dict(zip(calls, results, strict=True))
        self._nonces = dict(zip(counted, nonces, strict=True))
        self._history, self._at = history, head


def _recent(asked: Mapping[Any, int], now: int) -> dict[Any, int]:
    return {what: when for what, when in asked.items() if now - when <= FORGOTTEN_AFTER}


def _good(answer: Any) -> Any:
    if isinstance(answer, FairleadError):
        raise answer
    return answer


def _views(answer: Any, count: int, head: BlockRef, *, own_numbers: bool) -> list[CallResult]:
    if isinstance(answer, RpcReject) and is_revert(answer):
        raise Retry("MULTICALL_REVERTED", f"a multicall reverted: {revert_data(answer).hex()[:8]}")
    results = decode_aggregate3(from_hex(_good(answer)), len(PROOF_CALLS) + count)
    if not proves(head, results[: len(PROOF_CALLS)], own_numbers=own_numbers):
        raise Retry("BLOCK_MOVED", "the head told is not the block that was read", "read again")
    return results[len(PROOF_CALLS) :]


def _filter(block: BlockRef, wanted: LogFilter) -> dict[str, Any]:
    addresses, topics = wanted
    return {"blockHash": block.hash, "address": list(addresses), "topics": [topic(t) for t in topics]}


__all__ = ["Warm"]
