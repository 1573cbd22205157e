"""One chain, read through one or more endpoints of which some may be behind, wrong or down.

Plain reads go to the best endpoint and fail over. What decides an effect is asked of all:
    receipt  found by any is found; absent only where `quorum` endpoints near the head say so
    nonce    the highest of at least `quorum` answers
    block    for "safe" and "finalized", the lowest of at least `quorum` answers
The quorum is 2, or 1 where only one endpoint is configured. An endpoint is asked for its chain id before its first
answer counts. Raises Retry where too few answered, Halt WRONG_CHAIN_ID where one is of another chain.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from chains import decode_rpc
from chains.decode_rpc import block_tag, is_revert, revert_data
from chains.errors import FairleadError, Halt, Reject, Retry
from chains.evm import checksum, from_hex, hex_bytes, number
from chains.gas import PERCENTILES, FeeHistory
from chains.multicall import MULTICALL3, PROOF_CALLS, decode_aggregate3, encode_aggregate3, proves
from chains.profile import ChainProfile
from chains.rpc import Rpc, RpcReject
from chains.types import Address, BlockRef, Call, CallResult, Hash32, Log, Receipt

T = TypeVar("T")
MAX_LAG_BLOCKS = 3
CHUNK_CALLS = 200
STRAGGLER_S = 0.75
MOVED_S = (0.0, 0.05, 0.4, 1.2)
"""Before each try of a read whose block was another's: by the last of them a quick chain has made its next."""


@dataclass(slots=True)
class Endpoint:
    """What is known of one endpoint. `failures` in a row; `head` the highest block it has shown."""

    rpc: Rpc
    verified: bool = False
    head: int = 0
    failures: int = 0


class Gateway:
    """`block_numbers_are_l1=True` where the EVM's own block.number is another chain's (Arbitrum)."""

    def __init__(
        self,
        chain_id: int,
        rpcs: Sequence[Rpc],
        *,
        max_lag: int = MAX_LAG_BLOCKS,
        quorum: int | None = None,
        block_numbers_are_l1: bool | None = None,
    ) -> None:
        if not rpcs:
            raise Halt(
                "NO_ENDPOINT", f"chain {chain_id} has no endpoint", "configure at least one rpc for it"
            )
        self._chain_id = chain_id
        self._endpoints = [Endpoint(rpc) for rpc in rpcs]
        self._max_lag = max_lag
        self._quorum = min(quorum or 2, len(rpcs))
        self._own_numbers = not (chain_id == 42161 if block_numbers_are_l1 is None else block_numbers_are_l1)

    @classmethod
    def of(cls, profile: ChainProfile, rpcs: Sequence[Rpc]) -> Gateway:
        """With the profile's own idea of how far behind an endpoint may be: three blocks, or four seconds of them."""
        lag = max(MAX_LAG_BLOCKS, 4000 // profile.block_time_ms)
        return cls(profile.chain_id, rpcs, max_lag=lag, block_numbers_are_l1=profile.block_numbers_are_l1)

    @property
    def chain_id(self) -> int:
        return self._chain_id

    @property
    def endpoints(self) -> list[Endpoint]:
        return self._endpoints

    @property
    def quorum(self) -> int:
        return self._quorum

    @property
    def own_numbers(self) -> bool:
        """Whether the EVM's block.number is this chain's own."""
        return self._own_numbers

    @property
    def highest(self) -> int:
        """The highest block that any answer to this process was of or spoke of; 0 before the first."""
        return self._best()

    async def heads(self) -> list[tuple[Gateway, BlockRef]]:
        """The newest block of each endpoint that answers soon, beside a gateway of that endpoint alone. Raises as `verify`."""
        told = await self._ask_all(lambda e: self._block_at(e, "latest"))
        return [(self._alone(endpoint), ref) for endpoint, ref in told]

    def _alone(self, endpoint: Endpoint) -> Gateway:
        one = Gateway(self._chain_id, [endpoint.rpc], max_lag=self._max_lag)
        one._endpoints, one._own_numbers = [endpoint], self._own_numbers
        return one

    # ---- plain reads

    async def batch(self, requests: Sequence[tuple[str, Sequence[Any]]]) -> list[Any | FairleadError]:
        """Reads in one request to one endpoint, the best that answers; a refused one is its error in the list."""
        return await self._first(lambda e: e.rpc.batch(requests))

    async def block(self, tag: int | str = "latest") -> BlockRef:
        """A block by number, hash or tag. Raises Retry where no endpoint has it (yet)."""
        if tag in ("safe", "finalized"):
            found = await self._ask_all(lambda e: self._block_at(e, tag))
            refs = self._enough(found, f"the {tag} block")
            return min(refs, key=lambda ref: ref.number)
        if tag == "latest":
            return await self._first(
                lambda e: self._block_at(e, tag), fresh=lambda ref: ref.number >= self._best() - self._max_lag
            )
        return await self._first(lambda e: self._block_at(e, tag))

    async def call(
        self, call: Call, block: int | str = "latest", *, sender: Address | None = None
    ) -> CallResult:
        """eth_call. A revert is an answer (ok false, its data), not an error."""
        return await self._first(lambda e: self._call_at(e, call, block, sender))

    async def code(self, address: Address, block: int | str = "latest") -> bytes:
        return from_hex(await self._read("eth_getCode", [address, block_tag(block)]))

    async def storage_at(self, address: Address, slot: int, block: int | str = "latest") -> bytes:
        """The 32 bytes of a slot."""
        return from_hex(await self._read("eth_getStorageAt", [address, hex(slot), block_tag(block)])).rjust(
            32, b"\0"
        )

    async def balance(self, address: Address, block: int | str = "latest") -> int:
        return number(await self._read("eth_getBalance", [address, block_tag(block)]))

    async def logs(
        self,
        address: Address | Sequence[Address] | None,
        topics: Sequence[bytes | Sequence[bytes] | None],
        first: int,
        last: int,
        *,
        halve: bool = True,
    ) -> list[Log]:
        """Logs of blocks first..last, both included. A refused range is halved, or where not, the refusal raised; an endpoint behind
        `last` is not asked."""
        wanted = decode_rpc.log_filter(address, topics, first, last)

        async def one(endpoint: Endpoint) -> list[Log]:
            if endpoint.head < last and await self._head_of(endpoint) < last:
                raise Retry("ENDPOINT_BEHIND", f"{endpoint.rpc.origin} is behind block {last}")
            return [decode_rpc.log(entry) for entry in await endpoint.rpc.call("eth_getLogs", [wanted])]

        try:
            return await self._first(one)
        except RpcReject:
            if last <= first or not halve:
                raise
        middle = (first + last) // 2
        return await self.logs(address, topics, first, middle) + await self.logs(
            address, topics, middle + 1, last
        )

    async def transactions_of(self, block: int) -> list[dict[str, Any]]:
        """The JSON objects of a block's transactions, in their order. Raises Retry where no endpoint has the block."""
        found = await self._read("eth_getBlockByNumber", [hex(block), True])
        rows = found.get("transactions") if isinstance(found, dict) else None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise Retry("NO_BLOCK", f"no endpoint gives the transactions of block {block}")
        return rows

    async def logs_agreed(
        self,
        address: Address | Sequence[Address],
        topics: Sequence[bytes | Sequence[bytes] | None],
        first: int,
        last: int,
    ) -> list[Log]:
        """As `logs`, where `quorum` endpoints tell the very same ones: neither a log invented nor one left out by a single endpoint
        decides. Raises Retry ENDPOINTS_DIFFER."""
        wanted = decode_rpc.log_filter(address, topics, first, last)

        async def one(endpoint: Endpoint) -> tuple[Log, ...]:
            if endpoint.head < last and await self._head_of(endpoint) < last:
                raise Retry("ENDPOINT_BEHIND", f"{endpoint.rpc.origin} is behind block {last}")
            return tuple(decode_rpc.log(entry) for entry in await endpoint.rpc.call("eth_getLogs", [wanted]))

        return list(self._alike(await self._ask_all(one), f"logs of blocks {first} to {last}"))

    async def call_agreed(self, call: Call, block: int) -> CallResult:
        """As `call`, where `quorum` endpoints answer the very same of that block. Raises Retry ENDPOINTS_DIFFER."""
        told = await self._ask_all(lambda e: self._call_at(e, call, block, None))
        return self._alike(told, f"states of block {block}")

    async def fee_history(self, blocks: int = 10) -> FeeHistory:
        """Asked at `chains.gas.PERCENTILES`."""
        return decode_rpc.fee_history(
            await self._read("eth_feeHistory", [hex(blocks), "latest", list(PERCENTILES)])
        )

    async def estimate(self, call: Call, sender: Address) -> int:
        """eth_estimateGas. It tells the endpoint the calldata: never for a private plan (see `chains.simulate`).

        Raises Reject with the revert's data where the call would revert.
        """
        wanted = {"from": sender, "to": call.to, "data": hex_bytes(call.data), "value": hex(call.value)}
        return number(await self._read("eth_estimateGas", [wanted]))

    async def transaction(self, tx_hash: Hash32) -> dict[str, Any] | None:
        """The JSON object of a transaction an endpoint knows, pending or mined. None proves nothing."""
        answers = await self._ask_all(lambda e: e.rpc.call("eth_getTransactionByHash", [tx_hash]))
        found = [a for _, a in answers if isinstance(a, dict)]
        if not found and len(answers) < self._quorum:
            raise self._too_few("a transaction", answers)
        return next((a for a in found if a.get("blockNumber")), found[0] if found else None)

    async def maker(self, block: int) -> Address:
        """The fee recipient a block names: its builder, by the builder's own word."""
        found = await self._read("eth_getBlockByNumber", [hex(block), False])
        if not isinstance(found, dict) or "miner" not in found:
            raise Retry("NO_BLOCK", f"no endpoint of chain {self._chain_id} shows block {block}")
        return checksum(found["miner"])

    # ---- what decides an effect

    async def nonce(self, address: Address, block: int | str = "latest") -> int:
        """The highest of at least `quorum` answers: an endpoint that lags shows an old, lower one."""
        wanted = [address, block_tag(block)]
        found = await self._ask_all(lambda e: e.rpc.call("eth_getTransactionCount", wanted))
        return max(number(a) for a in self._enough(found, "a nonce"))

    async def receipt(self, tx_hash: Hash32) -> Receipt | None:
        """None only where `quorum` endpoints near the head say there is none; one that lags cannot say so. What an endpoint tells of a block
        that is not there yet (OP-stack flashblocks, told every 200 ms of a block that takes two seconds) is provisional, and none yet.
        """

        async def one(endpoint: Endpoint) -> tuple[int, Receipt | None]:
            # The head first: "none" then means none in any block up to it.
            head = await self._head_of(endpoint)
            raw = await endpoint.rpc.call("eth_getTransactionReceipt", [tx_hash])
            if not raw or (isinstance(raw, dict) and await self._is_provisional(endpoint, raw, head)):
                return head, None
            found = decode_rpc.receipt(raw)
            endpoint.head = max(endpoint.head, found.block_number)
            return head, found

        answers = await self._ask_all(one)
        found = [(head, receipt) for _, (head, receipt) in answers if receipt is not None]
        if found:
            # Two endpoints may hold two sides of a reorganisation: the one further ahead knows more.
            return max(found, key=lambda pair: pair[0])[1]
        best = self._best()
        absent = [a for _, a in answers if a[0] >= best - self._max_lag]
        if len(absent) < self._quorum:
            raise self._too_few("that a transaction is not mined", answers)
        return None

    async def _is_provisional(self, endpoint: Endpoint, raw: Mapping[str, Any], head: int) -> bool:
        """Whether its block, past the head that was read just before, is no block of the chain: without a hash, or not found by number."""
        told, hashed = raw.get("blockNumber"), str(raw.get("blockHash") or "")
        if told is None or not hashed.removeprefix("0x").strip("0"):
            return True
        height = number(told)
        if height <= head:
            return False
        there = await endpoint.rpc.call("eth_getBlockByNumber", [hex(height), False])
        return not isinstance(there, dict) or there.get("hash") != hashed

    async def head_hash_at(self, height: int) -> Hash32 | None:
        """The canonical hash at a height, or None where the chain is not that high: how a reorganisation is seen."""
        answers = await self._ask_all(lambda e: e.rpc.call("eth_getBlockByNumber", [hex(height), False]))
        refs = [decode_rpc.block_ref(a).hash for _, a in answers if isinstance(a, dict)]
        if not refs:
            self._enough(answers, "a block")
            return None
        return max(set(refs), key=refs.count)

    # ---- many calls, one block

    async def multicall(
        self, calls: Sequence[Call], block: int | str = "latest"
    ) -> tuple[BlockRef, list[CallResult]]:
        """All calls against one block, proved by the answers themselves, with that block."""
        for pause_s in MOVED_S:
            await asyncio.sleep(pause_s)
            ref = await self.block(block)
            results = await self._multicall_at(calls, ref)
            if results is not None:
                return ref, results
        raise Retry("BLOCK_MOVED", f"chain {self._chain_id} kept reorganising under a read", "ask again")

    async def _multicall_at(self, calls: Sequence[Call], ref: BlockRef) -> list[CallResult] | None:
        chunks = [calls[i : i + CHUNK_CALLS] for i in range(0, len(calls), CHUNK_CALLS)] or [[]]
        answers = await asyncio.gather(*(self._chunk(chunk, ref) for chunk in chunks))
        if any(a is None for a in answers):
            return None
        return [result for answer in answers for result in answer or []]

    async def _chunk(self, calls: Sequence[Call], ref: BlockRef) -> list[CallResult] | None:
        wanted = [*PROOF_CALLS, *calls]
        answer = await self.call(Call(MULTICALL3, encode_aggregate3(wanted)), ref.number)
        if answer.ok and not answer.data:
            # No Multicall3 there (yet): the same calls one by one, pinned to the block's own hash.
            return list(await asyncio.gather(*(self.call(c, ref.hash) for c in calls)))
        if not answer.ok:
            raise Retry(
                "MULTICALL_REVERTED",
                "a multicall ran out of the endpoint's gas",
                "ask for fewer calls at once",
            )
        results = decode_aggregate3(answer.data, len(wanted))
        return results[3:] if proves(ref, results[:3], own_numbers=self._own_numbers) else None

    # ---- the machinery

    async def verify(self) -> None:
        """Ask every endpoint for its chain id now. Raises Halt for a wrong one, Retry where none answers."""
        await self._ask_all(self._head_of)

    async def _verified(self, endpoint: Endpoint) -> None:
        if endpoint.verified:
            return
        answered = number(await endpoint.rpc.call("eth_chainId"))
        if answered != self._chain_id:
            raise Halt(
                "WRONG_CHAIN_ID",
                f"{endpoint.rpc.origin} is chain {answered}, the settings say {self._chain_id}",
                f"correct the rpc of chain {self._chain_id} in the settings; nothing was sent",
            )
        endpoint.verified = True

    def _best(self) -> int:
        """The highest head any endpoint has shown. One that invents heads makes the others look behind: reads stop, none lies."""
        return max(e.head for e in self._endpoints)

    async def _head_of(self, endpoint: Endpoint) -> int:
        seen = number(await endpoint.rpc.call("eth_blockNumber"))
        endpoint.head = max(endpoint.head, seen)
        return seen

    def _ranked(self) -> list[Endpoint]:
        """Fewest failures first, then least behind; the order of the settings decides among equals."""
        best = self._best()
        return sorted(self._endpoints, key=lambda e: (e.failures, max(0, best - e.head) > self._max_lag))

    async def _read(self, method: str, params: list[Any]) -> Any:
        return await self._first(lambda e: e.rpc.call(method, params))

    async def _first(
        self, ask: Callable[[Endpoint], Awaitable[T]], *, fresh: Callable[[T], bool] | None = None
    ) -> T:
        """The first good answer. A refusal counts only where nobody else answers: the endpoint may just be behind."""
        refused: FairleadError | None = None
        missing: FairleadError | None = None
        stale: T | None = None
        for endpoint in self._ranked():
            try:
                await self._verified(endpoint)
                result = await ask(endpoint)
            except Reject as error:
                if isinstance(error, RpcReject) and is_revert(error):
                    raise
                refused = refused or error
                continue
            except Retry as error:
                if error.code != "ENDPOINT_BEHIND":
                    endpoint.failures += 1
                missing = missing or error
                continue
            endpoint.failures = 0
            if fresh is not None and not fresh(result):
                stale = result if stale is None else stale
                continue
            return result
        if stale is not None:
            raise Retry(
                "ENDPOINTS_BEHIND",
                f"every endpoint of chain {self._chain_id} is behind a head already seen",
                "wait, or add an endpoint",
            )
        raise refused or missing or Retry("NO_ANSWER", f"no endpoint of chain {self._chain_id} answered")

    async def _ask_all(self, ask: Callable[[Endpoint], Awaitable[T]]) -> list[tuple[Endpoint, T]]:
        """Every endpoint's answer, those that gave one. Raises Halt for a wrong chain, Retry where none answered."""

        async def one(endpoint: Endpoint) -> T | FairleadError:
            try:
                await self._verified(endpoint)
                result = await ask(endpoint)
            except (Retry, Reject) as error:
                endpoint.failures += isinstance(error, Retry)
                return error
            endpoint.failures = 0
            return result

        tasks = [asyncio.create_task(one(e)) for e in self._endpoints]
        try:
            await self._gather(tasks)
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for answer in ended:
            # What is no verdict about the endpoint is an error of the whole read, like another chain's id.
            if isinstance(answer, BaseException) and not isinstance(
                answer, (Retry, Reject, asyncio.CancelledError)
            ):
                raise answer
        answers = [
            (e, a)
            for e, a in zip(self._endpoints, ended, strict=True)
            if not isinstance(a, asyncio.CancelledError)
        ]
        good = [(e, a) for e, a in answers if not isinstance(a, BaseException)]
        if not good:
            raise next(a for _, a in answers if isinstance(a, FairleadError))
        return good

    async def _gather(self, tasks: Sequence[asyncio.Task[Any]]) -> None:
        """Wait for all; once a quorum has answered, a straggler has `STRAGGLER_S` more: a dead endpoint must not slow the rest."""
        waiting = set(tasks)
        grace: float | None = None
        while waiting:
            done, waiting = await asyncio.wait(waiting, timeout=grace, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                return
            answered = [
                t
                for t in tasks
                if t.done() and t.exception() is None and not isinstance(t.result(), FairleadError)
            ]
            grace = STRAGGLER_S if len(answered) >= self._quorum else None

    def _enough(self, answers: list[tuple[Endpoint, T]], what: str) -> list[T]:
        if len(answers) < self._quorum:
            raise self._too_few(what, answers)
        return [a for _, a in answers]

    def _alike(self, answers: list[tuple[Endpoint, T]], what: str) -> T:
        told = self._enough(answers, what)
        best = max(told, key=told.count)
        if told.count(best) < self._quorum:
            text = f"the endpoints of chain {self._chain_id} tell different {what}"
            raise Retry("ENDPOINTS_DIFFER", text, "wait, or add an endpoint")
        return best

    def _too_few(self, what: str, answers: Sequence[object]) -> Retry:
        return Retry(
            "NO_QUORUM",
            f"too few endpoints of chain {self._chain_id} near its head answered to decide {what} ({self._quorum} needed)",
            "one answer does not decide; wait, or add endpoints",
        )

    async def _block_at(self, endpoint: Endpoint, tag: int | str) -> BlockRef:
        by_hash = isinstance(tag, str) and len(tag) == 66
        raw = await endpoint.rpc.call(
            "eth_getBlockByHash" if by_hash else "eth_getBlockByNumber",
            [tag if by_hash else block_tag(tag), False],
        )
        if not isinstance(raw, dict):
            raise Retry(
                "NO_SUCH_BLOCK",
                f"{endpoint.rpc.origin} does not have block {tag} yet",
                "ask again, or check the number",
            )
        ref = decode_rpc.block_ref(raw)
        endpoint.head = max(endpoint.head, ref.number)
        return ref

    async def _call_at(
        self, endpoint: Endpoint, call: Call, block: int | str, sender: Address | None
    ) -> CallResult:
        wanted = {"to": call.to, "data": hex_bytes(call.data)}
        if call.value:
            wanted["value"] = hex(call.value)
        if sender is not None:
            wanted["from"] = sender
        where: Any = {"blockHash": block} if isinstance(block, str) and len(block) == 66 else block_tag(block)
        try:
            return CallResult(True, from_hex(await endpoint.rpc.call("eth_call", [wanted, where])))
        except RpcReject as error:
            if is_revert(error):
                return CallResult(False, revert_data(error))
            raise
