"""Simulation on this machine: a private Anvil fork that is kept warm and follows each new block.

Simulating is publishing unless it happens here. The fork reads state through `chains.fork_proxy`, which lets no calldata
out; runs are `eth_simulateV1` on the fork, so nothing is signed, no state is changed, and one request does it all.

    simulator = Simulator(1, gateway, rpcs)
    await simulator.start()
    seen = await simulator.run_safe(safe, SafeCall(…), executor, watch=[(USDC, safe)])
    seen.ok, seen.steps[0].reason, seen.steps[0].gas_used, seen.changes[(USDC, safe)]
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from chains import decode_rpc
from chains.anvil import Anvil
from chains.errors import Halt, Reject, Retry
from chains.evm import call_data, checksum, from_hex, hash32, hex_bytes, keccak, number, word
from chains.fork_difference import Later, Override, merged, overrides_of
from chains.fork_proxy import ForkProxy
from chains.gateway import Gateway
from chains.multicall import MULTICALL3
from chains.rpc import Rpc
from chains.types import ZERO_ADDRESS, Address, BlockRef, Call, ChainReader, Log
from contracts import codec, multisend
from contracts.abi_types import AbiError

NATIVE = ZERO_ADDRESS
WATCHER = Address("0x00000000000000000000000000000000000FA15e")
DELEGATECALL = 1
# Safe's own layout: owners in a mapping at slot 2, the threshold at slot 4.
OWNERS_SLOT, THRESHOLD_SLOT = 2, 4
FOLLOWED = 48
"""So many blocks behind the head the fork may stand, what they changed laid over it: endpoints forget older states."""
MOST_HELD = 1_000
ROUNDS = 4
"""A simulation is made again where it read what the fork did not hold; after so many the fork is set on the block itself."""


@dataclass(frozen=True, slots=True)
class Step:
    """One transaction to simulate; `gas` None takes what the block allows."""

    sender: Address
    call: Call
    gas: int | None = None


@dataclass(frozen=True, slots=True)
class StepResult:
    """`reason` is empty where `ok`; `gas_used` includes the intrinsic gas; logs carry the simulated block's numbers."""

    ok: bool
    data: bytes
    reason: str
    gas_used: int
    logs: tuple[Log, ...]


@dataclass(frozen=True, slots=True)
class Simulation:
    """`changes` is after − before, in base units, for each watched (asset, holder); NATIVE for the gas token, gas unpaid."""

    block: BlockRef
    steps: tuple[StepResult, ...]
    changes: Mapping[tuple[Address, Address], int]
    took_ms: float

    @property
    def ok(self) -> bool:
        return all(step.ok for step in self.steps)

    @property
    def reason(self) -> str:
        return next((step.reason for step in self.steps if not step.ok), "")


@dataclass(frozen=True, slots=True)
class SafeCall:
    """What a Safe would execute: `operation` 0 a call, 1 a delegatecall (to MultiSendCallOnly)."""

    to: Address
    value: int
    data: bytes
    operation: int = 0


class Simulator:
    """`gateway` says which block is the head; `rpcs` are the endpoints the fork may read state from."""

    def __init__(
        self, chain_id: int, gateway: Gateway, rpcs: Sequence[Rpc], *, binary: str | None = None
    ) -> None:
        self._chain_id, self._binary = chain_id, binary
        self._gateway: ChainReader = gateway
        self.proxy = ForkProxy(rpcs)
        self._anvil: Anvil | None = None
        self._session: aiohttp.ClientSession | None = None
        self._fork: Rpc | None = None
        self._at: BlockRef | None = None
        self._later = Later()
        self._lock = asyncio.Lock()

    @property
    def stands_at(self) -> int:
        """The block the fork was set on; 0 before the first simulation."""
        return self._at.number if self._at is not None else 0

    def follow(self, reader: ChainReader) -> None:
        """Have the head told by another reader of the same chain than the gateway."""
        self._gateway = reader

    async def __aenter__(self) -> Simulator:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Raises Usage where there is no Anvil, Halt where it does not start."""
        await self.proxy.start()
        try:
            ref = await self._gateway.block()
            # Anvil's cache files are kept by chain id: a devnet with a mainnet's id would poison them.
            options = [
                "--fork-url",
                self.proxy.url,
                "--fork-block-number",
                str(ref.number),
                "--no-storage-caching",
            ]
            options += ["--no-rate-limit", "--no-mining", "--chain-id", str(self._chain_id), "--quiet"]
            options += [
                "--accounts",
                "0",
            ]  # it would fetch each of its own at once, and a forked upstream may stall on that
            options += ["--disable-block-gas-limit", "--no-request-size-limit"]
            self._anvil = await Anvil.start(options, binary=self._binary)
            self._session = aiohttp.ClientSession()
            self._fork = Rpc(self._anvil.url, self._session, timeout_s=30)
            self._at = None
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        if self._session is not None:
            await self._session.close()
        if self._anvil is not None:
            await self._anvil.stop()
        await self.proxy.stop()
        self._session, self._anvil, self._fork, self._at = None, None, None, None

    async def call(self, call: Call, sender: Address | None = None) -> bytes:
        """One view call on the fork at the head. Raises Reject REVERTED with the reason."""
        result = (await self.run([Step(sender or WATCHER, call)])).steps[0]
        if not result.ok:
            raise Reject("REVERTED", f"the call reverts: {result.reason}")
        return result.data

    async def call_here(self, call: Call) -> bytes:
        """`call` on the state that the last simulation ran on, as far as it read it, and no newer: for what a new block cannot change.

        Raises Reject REVERTED.
        """
        async with self._lock:
            fork = await self._move_to(self._at or await self._gateway.block())
            # A wallet may be younger than the block that the fork was set on.
            since = {address: _override(one) for address, one in self._later.state.items()}
            asked = [_call(Step(WATCHER, call)), "latest", *([since] if since else [])]
            try:
                return from_hex(await fork.call("eth_call", asked))
            except Reject as error:
                raise Reject("REVERTED", f"the call reverts: {error.message}") from None

    async def run(
        self,
        steps: Sequence[Step],
        *,
        watch: Sequence[tuple[Address, Address]] = (),
        overrides: Mapping[Address, Override] | None = None,
        at: BlockRef | None = None,
        time_s: int | None = None,
    ) -> Simulation:
        """The steps one after another in one block on top of `at` (the head where None), at `time_s` (now where None).

        A step that reverts does not stop those behind it. Raises Retry where state could not be read.
        """
        began = time.perf_counter()
        async with self._lock:
            ref = at or await self._gateway.block()
            balances = [balance_call(asset, holder) for asset, holder in watch]
            calls = [_call(Step(WATCHER, c)) for c in balances] + [_call(s) for s in steps]
            calls += [_call(Step(WATCHER, c)) for c in balances]
            block: dict[str, Any] = {
                "blockOverrides": {
                    "number": hex(ref.number + 1),
                    "time": hex(time_s or max(ref.timestamp + 1, int(time.time()))),
                },
                "calls": calls,
            }
            answer = await self._followed(ref, block, overrides or {})
            if answer is None:
                fork = await self._move_to(ref)
                answer = await self._simulate(fork, ref.number, block, merged({}, overrides or {}))
        try:
            results = [_result(entry) for entry in answer[0]["calls"]]
        except (KeyError, IndexError, TypeError) as error:
            raise Retry(
                "MALFORMED_ANSWER", f"the local fork's simulation is malformed: {type(error).__name__}"
            ) from None
        count = len(watch)
        if len(results) != len(calls):
            raise Retry("MALFORMED_ANSWER", "the local fork simulated another number of calls")
        before, after = results[:count], results[count + len(steps) :]
        changes = {key: _uint(b) - _uint(a) for key, a, b in zip(watch, before, after, strict=True)}
        return Simulation(
            ref, tuple(results[count : count + len(steps)]), changes, (time.perf_counter() - began) * 1000
        )

    async def _simulate(
        self, fork: Rpc, number: int, block: dict[str, Any], overrides: Mapping[str, Override]
    ) -> Any:
        asked = (
            block | {"stateOverrides": {a: _override(o) for a, o in overrides.items()}}
            if overrides
            else block
        )
        request = {"blockStateCalls": [asked], "validation": False, "traceTransfers": False}
        return await fork.call("eth_simulateV1", [request, hex(number)])

    async def _followed(
        self, ref: BlockRef, block: dict[str, Any], own: Mapping[Address, Override]
    ) -> Any | None:
        """The simulation on the fork as it stands, with all that `ref` changed of what it holds; None where the fork has to be set on
        `ref` itself: it stands too far back or past it, another block of that height was followed (its hash is remembered), or what it
        read besides could not be had. What a contract calls random (PREVRANDAO) is an older block's; nobody knows the next one's.
        """
        base, fork, later = self._at, self._fork, self._later
        if base is None or fork is None or not 0 < ref.number - base.number <= FOLLOWED:
            return None
        if later.hash not in ("", ref.hash) and ref.number <= later.number:
            return None
        if self._anvil is None or self._anvil.process.returncode is not None:
            return None
        answer: Any = None
        for _ in range(ROUNDS):
            try:
                news = await self._learn(ref)
                if answer is not None and not news:
                    return answer
                answer = await self._simulate(fork, base.number, block, merged(self._later.state, own))
            except (Retry, Reject):
                return None
            if len(self.proxy.held) == len(self._later.known):
                return answer
        return None

    async def _learn(self, ref: BlockRef) -> bool:
        """Asks what is otherwise at `ref` of all that the fork holds and was not asked for yet; whether something more is. Raises Retry."""
        if self._later.hash != ref.hash:
            self._later = Later(ref.hash, ref.number)
        later = self._later
        asked = [key for key in self.proxy.held if key not in later.known]
        if not asked:
            return False
        if len(self.proxy.held) > MOST_HELD or self.proxy.unheld:
            raise Retry("FORK_TOO_FULL", "the local fork holds what cannot be asked again at every block")
        found = overrides_of(await self.proxy.changed(ref, asked))
        later.known.update(asked)
        later.state = merged(later.state, found)
        return bool(found)

    async def run_safe(
        self,
        safe: Address,
        inner: SafeCall,
        executor: Address,
        *,
        watch: Sequence[tuple[Address, Address]] = (),
        at: BlockRef | None = None,
        time_s: int | None = None,
    ) -> Simulation:
        """execTransaction before anybody has signed: the executor counts as the only owner, in this simulation alone.

        Gas is that of one pre-approved signature; each real one costs some 6,000 more. Where the Safe only says that
        the inner call failed (GS013), the inner calls are run one by one to name the one that did and why.
        """
        owner_slot = int.from_bytes(keccak(word(executor) + word(OWNERS_SLOT)), "big")
        overrides = {safe: Override({THRESHOLD_SLOT: word(1), owner_slot: word(1)})}
        approved = word(executor) + word(0) + b"\1"
        arguments = (
            inner.to,
            inner.value,
            inner.data,
            inner.operation,
            0,
            0,
            0,
            ZERO_ADDRESS,
            ZERO_ADDRESS,
            approved,
        )
        step = Step(executor, Call(safe, codec.encode("safe", "execTransaction", arguments)))
        seen = await self.run([step], watch=watch, overrides=overrides, at=at, time_s=time_s)
        if seen.ok or "GS013" not in seen.steps[0].reason:
            return seen
        calls = inner_calls(inner)
        alone = await self.run([Step(safe, c) for c in calls], at=seen.block, time_s=time_s)
        failed = next((i for i, s in enumerate(alone.steps) if not s.ok), None)
        if failed is None:
            return seen
        result = seen.steps[0]
        reason = f"call {failed + 1} of {len(calls)} to {calls[failed].to}: {alone.steps[failed].reason}"
        return Simulation(
            seen.block,
            (StepResult(False, result.data, reason, result.gas_used, ()),),
            seen.changes,
            seen.took_ms,
        )

    async def warm(self, addresses: Sequence[Address]) -> None:
        """Have the fork hold these accounts before they are needed."""
        fork = self._fork
        if fork is not None:
            await fork.batch([("eth_getCode", [a, "latest"]) for a in addresses])

    async def _move_to(self, ref: BlockRef) -> Rpc:
        if self._fork is None or self._anvil is None:
            raise Halt(
                "SIMULATOR_STOPPED", "the local simulator is not running", "start it before simulating"
            )
        if self._anvil.process.returncode is not None:
            await self.stop()
            await self.start()
            return await self._move_to(ref)
        if self._at is not None and self._at.hash == ref.hash:
            return self._fork
        # Until it stands there it stands nowhere: the proxy forgets what the fork holds, and a setting that fails may leave it as it was.
        self._at, self._later = None, Later()
        await self.proxy.prepare(ref.number)
        forking = {"jsonRpcUrl": self.proxy.url, "blockNumber": ref.number}
        await self._fork.call("anvil_reset", [{"forking": forking}], timeout_s=30)
        found = decode_rpc.block_ref(await self._fork.call("eth_getBlockByNumber", [hex(ref.number), False]))
        if found.hash != ref.hash:
            raise Retry(
                "BLOCK_MOVED",
                f"block {ref.number} of chain {self._chain_id} was reorganised under the simulation",
            )
        self._at = ref
        return self._fork


def balance_call(asset: Address, holder: Address) -> Call:
    if asset == NATIVE:
        return Call(MULTICALL3, call_data("getEthBalance(address)", holder))
    return Call(asset, call_data("balanceOf(address)", holder))


def inner_calls(inner: SafeCall) -> list[Call]:
    """The calls a Safe's transaction makes in the Safe's own name: those of a MultiSend batch, or the one."""
    if inner.operation == DELEGATECALL:
        try:
            batch = codec.decode_call("multi_send", inner.data).args["transactions"]
            return [Call(Address(t.to), t.data, t.value) for t in multisend.unpack(bytes(batch))]
        except AbiError:
            return []
    return [Call(inner.to, inner.data, inner.value)]


def _call(step: Step) -> dict[str, str]:
    shown = {
        "from": step.sender,
        "to": step.call.to,
        "data": hex_bytes(step.call.data),
        "value": hex(step.call.value),
    }
    return shown | ({"gas": hex(step.gas)} if step.gas else {})


def _override(override: Override) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if override.slots:
        shown["stateDiff"] = {
            hex_bytes(word(slot)): hex_bytes(word(value)) for slot, value in override.slots.items()
        }
    if override.balance is not None:
        shown["balance"] = hex(override.balance)
    if override.nonce is not None:
        shown["nonce"] = hex(override.nonce)
    if override.code is not None:
        shown["code"] = hex_bytes(override.code)
    return shown


def _result(entry: Mapping[str, Any]) -> StepResult:
    ok = number(entry["status"]) == 1
    data = from_hex(entry.get("returnData") or "0x")
    reason = ""
    if not ok:
        error = entry.get("error") or {}
        if not data and isinstance(error.get("data"), str):
            data = from_hex(error["data"])
        reason = codec.decode_revert(data) if data else "reverted without a reason"
    logs = tuple(_log(entry_log) for entry_log in entry.get("logs") or ()) if ok else ()
    return StepResult(ok, data, reason, number(entry["gasUsed"]), logs)


def _log(raw: Mapping[str, Any]) -> Log:
    return Log(
        checksum(raw["address"]), tuple(from_hex(t) for t in raw["topics"]), from_hex(raw["data"]), number(raw["blockNumber"]),
        hash32(raw["blockHash"]), hash32(raw["transactionHash"]), number(raw["logIndex"]),
    )  # fmt: skip


def _uint(result: StepResult) -> int:
    """A balance; 0 where the asset has no code or refuses: it then cannot have changed either."""
    return int.from_bytes(result.data[:32], "big") if result.ok and len(result.data) >= 32 else 0
