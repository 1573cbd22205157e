"""A Safe's batch simulated on a private fork: the truth to the wei, fast, and untold to any endpoint."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from chains.devnet.funding import create_safe, give_eth, give_token
from chains.devnet.service import Status
from chains.errors import Reject, Retry
from chains.evm import call_data, checksum, word
from chains.fork_difference import Override
from chains.gateway import Gateway
from chains.multicall import MULTICALL3
from chains.profiles import load
from chains.rpc import Rpc
from chains.simulate import FOLLOWED, NATIVE, SafeCall, Simulator, Step, inner_calls
from chains.types import ZERO_ADDRESS, Address, Call
from contracts import multisend
from contracts.codec import encode

pytestmark = pytest.mark.devnet
CHAIN = load("ethereum")
OWNER = checksum("0xa11ce00000000000000000000000000000000002")
WETH, USDC = CHAIN.wrapped_native, CHAIN.usdc
ROUTER = CHAIN.contracts["uniswap_v3_router_02"]
SELL = 3 * 10**18
LATE = 2**32


@dataclass
class Bench:
    relayed: Status
    simulator: Simulator
    gateway: Gateway
    admin: Rpc
    safe: Address

    def batch(self, least_out: int = 1) -> SafeCall:
        params = {
            "tokenIn": WETH, "tokenOut": USDC, "fee": 500, "recipient": self.safe, "amountIn": SELL,
            "amountOutMinimum": least_out, "sqrtPriceLimitX96": 0,
        }  # fmt: skip
        parts = [
            multisend.Part(WETH, 0, encode("erc20", "approve", (ROUTER, SELL))),
            multisend.Part(ROUTER, 0, encode("swap_router_02", "exactInputSingle", (params,))),
            multisend.Part(WETH, 0, encode("erc20", "approve", (ROUTER, 0))),
        ]
        return SafeCall(CHAIN.contracts["safe_multi_send_call_only"], 0, multisend.calldata(parts), 1)


@asynccontextmanager
async def bench(status: Status) -> AsyncIterator[Bench]:
    safe = create_safe(status.cheat_urls[1], [OWNER], 1)
    give_eth(status.cheat_urls[1], OWNER, 10**18)
    give_token(status.cheat_urls[1], WETH, safe, 10 * SELL)
    async with aiohttp.ClientSession() as session:
        rpcs = [Rpc(status.urls[1], session)]
        gateway = Gateway(1, rpcs)
        async with Simulator(1, gateway, rpcs) as simulator:
            yield Bench(status, simulator, gateway, Rpc(status.cheat_urls[1], session), safe)


async def test_the_simulation_is_what_the_chain_then_does(relayed_devnet: Status) -> None:
    async with bench(relayed_devnet) as b:
        inner, watch = b.batch(), [(WETH, b.safe), (USDC, b.safe), (NATIVE, b.safe)]
        seen = await b.simulator.run_safe(b.safe, inner, OWNER, watch=watch)
        assert seen.ok, seen.reason
        assert (
            seen.changes[(WETH, b.safe)] == -SELL
            and seen.changes[(USDC, b.safe)] > 0 == seen.changes[(NATIVE, b.safe)]
        )
        before = await usdc_of(b)
        approved = word(OWNER) + word(0) + b"\1"
        arguments = (inner.to, 0, inner.data, 1, 0, 0, 0, ZERO_ADDRESS, ZERO_ADDRESS, approved)
        await b.admin.call("anvil_impersonateAccount", [OWNER])
        data = encode("safe", "execTransaction", arguments)
        sent = await b.admin.call(
            "eth_sendTransaction",
            [{"from": OWNER, "to": b.safe, "data": "0x" + data.hex(), "gas": hex(900_000)}],
        )
        receipt = await b.gateway.receipt(sent)
        assert receipt is not None and receipt.status == 1
        assert await usdc_of(b) - before == seen.changes[(USDC, b.safe)]
        assert receipt.gas_used == seen.steps[0].gas_used
        assert [(log.address, log.topics, log.data) for log in receipt.logs] == [
            (log.address, log.topics, log.data) for log in seen.steps[0].logs
        ]


async def usdc_of(b: Bench) -> int:
    _, results = await b.gateway.multicall([Call(USDC, encode("erc20", "balanceOf", (b.safe,)))])
    return int.from_bytes(results[0].data, "big")


async def test_a_revert_names_the_call_and_its_reason(relayed_devnet: Status) -> None:
    async with bench(relayed_devnet) as b:
        seen = await b.simulator.run_safe(b.safe, b.batch(least_out=10**15), OWNER)
        assert not seen.ok
        assert seen.reason == f"call 2 of 3 to {ROUTER}: Too little received"
        with pytest.raises(Reject, match="REVERTED"):
            await b.simulator.call(Call(USDC, encode("erc20", "transfer", (OWNER, 1))))


async def test_nothing_of_a_simulation_reaches_the_endpoint(relayed_devnet: Status) -> None:
    async with bench(relayed_devnet) as b:
        before = len((await b.admin.call("relay_truth"))["reads"])
        inner = b.batch()
        await b.simulator.run_safe(b.safe, inner, OWNER, watch=[(USDC, b.safe)])
        reads = (await b.admin.call("relay_truth"))["reads"][before:]
        assert inner.data.hex() not in str(reads) and [r for r in reads if r["method"] != "eth_call"] == []
        assert b.simulator.proxy.passed > 10
        # The door refuses calldata even where somebody asks it outright.
        async with aiohttp.ClientSession() as session:
            for method in (
                "eth_call",
                "eth_estimateGas",
                "eth_sendRawTransaction",
                "debug_traceCall",
                "eth_simulateV1",
            ):
                with pytest.raises(Reject, match="does not pass"):
                    await Rpc(b.simulator.proxy.url, session).call(method, [{}])


async def test_what_blocks_changed_is_laid_over_and_equals_a_fork_set_on_the_block(
    relayed_devnet: Status,
) -> None:
    """Slots, balances, nonces and code that were read before, and an account that nobody had read; then further than it follows."""
    async with bench(relayed_devnet) as b, aiohttp.ClientSession() as session:
        rpcs, cheat = [Rpc(relayed_devnet.urls[1], session)], relayed_devnet.cheat_urls[1]
        inner, watch = b.batch(), [(WETH, b.safe), (USDC, b.safe), (NATIVE, OWNER)]
        await b.simulator.run_safe(b.safe, inner, OWNER, watch=watch)
        stranger, coder = checksum("0x" + "5e" * 20), checksum("0x" + "c0" * 20)
        return_slot_0 = "0x60005460005260206000f3"
        blocks: list[Callable[[], Awaitable[object]]] = [
            lambda: swapped(b),
            lambda: b.admin.call("anvil_setBalance", [OWNER, hex(7 * 10**18)]),
            lambda: b.admin.call("anvil_setNonce", [OWNER, "0x15"]),
            lambda: asyncio.to_thread(give_token, cheat, WETH, stranger, 77),
            lambda: created(b, coder, return_slot_0),
        ]
        stood = b.simulator.stands_at
        for change in blocks:
            await change()
            await b.admin.call("relay_mine", [1])
            steps = [
                Step(OWNER, Call(coder, b"")),
                Step(stranger, Call(WETH, encode("erc20", "transfer", (b.safe, 5)))),
                Step(MULTICALL3, Call(MULTICALL3, call_data("getLastBlockHash()"))),
            ]
            async with Simulator(1, b.gateway, rpcs) as anew:
                for chosen in ([], steps):
                    followed, fresh = [await told(b, s, chosen) for s in (b.simulator, anew)]
                    assert followed == fresh
        assert b.simulator.stands_at == stood, "it was not set on any of them"
        assert followed[2][0][1] == word(1) and followed[2][1][0], (
            "the code and the stranger's money were seen"
        )
        assert await b.simulator.call_here(Call(coder, b"")) == word(1), "it is younger than the fork's block"
        await b.admin.call("relay_reorg", [2, "drop"])
        await b.admin.call("relay_mine", [1])
        async with Simulator(1, b.gateway, rpcs) as anew:
            assert await told(b, b.simulator, steps) == await told(b, anew, steps), (
                "another branch is another state"
            )
        await b.admin.call("relay_mine", [FOLLOWED])
        await b.simulator.run_safe(b.safe, inner, OWNER, watch=watch)
        assert b.simulator.stands_at == (await b.gateway.block()).number


async def told(b: Bench, simulator: Simulator, steps: list[Step]) -> tuple[Any, ...]:
    """All that a simulation says of the steps, or of the batch where there are none."""
    watch = [(WETH, b.safe), (USDC, b.safe), (NATIVE, OWNER)]
    if steps:
        seen = await simulator.run(steps, watch=watch, time_s=LATE)
    else:
        seen = await simulator.run_safe(b.safe, b.batch(), OWNER, watch=watch, time_s=LATE)
    return seen.block, seen.changes, [(r.ok, r.data, r.reason, r.gas_used) for r in seen.steps]


async def created(b: Bench, where: Address, code: str) -> None:
    """An account that was not there, with 1 in its first slot."""
    await b.admin.call("anvil_setStorageAt", [where, "0x" + word(0).hex(), "0x" + word(1).hex()])
    await b.admin.call("anvil_setCode", [where, code])


async def swapped(b: Bench) -> None:
    """Somebody moves the pool that the batch trades in."""
    await b.admin.call("anvil_impersonateAccount", [b.safe])
    await b.admin.call("anvil_setBalance", [b.safe, hex(10**18)])
    for call in inner_calls(b.batch()):
        sent = {"from": b.safe, "to": call.to, "data": "0x" + call.data.hex(), "gas": hex(600_000)}
        await b.admin.call("eth_sendTransaction", [sent])


async def test_a_simulation_follows_the_chain_and_changes_nothing(relayed_devnet: Status) -> None:
    async with bench(relayed_devnet) as b:
        watch = [(WETH, b.safe)]
        first = await b.simulator.run(
            [Step(b.safe, Call(WETH, encode("erc20", "transfer", (OWNER, 1))))], watch=watch
        )
        give_token(relayed_devnet.cheat_urls[1], WETH, OWNER, 5)
        await b.admin.call("relay_mine", [1])
        second = await b.simulator.run(
            [Step(OWNER, Call(WETH, encode("erc20", "transfer", (b.safe, 5))))], watch=watch
        )
        assert (first.changes[(WETH, b.safe)], second.changes[(WETH, b.safe)]) == (-1, 5)
        assert second.block.number > first.block.number
        rich = Override(balance=7)
        sent = await b.simulator.run(
            [Step(OWNER, Call(b.safe, b"", 7))], watch=[(NATIVE, b.safe)], overrides={OWNER: rich}
        )
        assert sent.ok and sent.changes[(NATIVE, b.safe)] == 7


async def test_a_fork_that_was_not_set_on_a_block_is_not_taken_for_what_it_held(
    relayed_devnet: Status,
) -> None:
    """Its endpoint fails, then hangs while the fork is to be set anew, and whoever asked gives up: nothing older is believed later."""
    async with bench(relayed_devnet) as b, aiohttp.ClientSession() as session:
        rpc = Stuck(relayed_devnet.urls[1], session)
        held = await b.gateway.call(Call(WETH, encode("erc20", "balanceOf", (b.safe,))))
        pay = [
            Step(b.safe, Call(WETH, encode("erc20", "transfer", (OWNER, int.from_bytes(held.data, "big")))))
        ]
        async with Simulator(1, b.gateway, [rpc]) as simulator:
            assert (await simulator.run(pay)).ok
            await swapped(b)
            await b.admin.call("relay_mine", [1])
            rpc.fails = 1
            asking = asyncio.create_task(simulator.run(pay))
            await rpc.hangs.wait()
            asking.cancel()
            await asyncio.wait([asking])
            rpc.fails = -1
            await b.admin.call("relay_mine", [1])
            assert not (await simulator.run(pay)).ok, "what the Safe no longer has cannot be paid"


class Stuck(Rpc):
    """Of its next requests the first `fails` are refused and those after it never answered; below zero it works."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        super().__init__(url, session)
        self.fails, self.hangs = -1, asyncio.Event()

    async def _exchange(self, request: object, write: bool, timeout_s: float | None) -> Any:
        if self.fails == 0:
            self.hangs.set()
            await asyncio.Event().wait()
        if self.fails > 0:
            self.fails -= 1
            raise Retry("RPC_DOWN", "silent")
        return await super()._exchange(request, write, timeout_s)


async def test_a_warm_safe_batch_takes_less_than_sixty_milliseconds(relayed_devnet: Status) -> None:
    async with bench(relayed_devnet) as b:
        inner, watch = b.batch(), [(WETH, b.safe), (USDC, b.safe)]
        head = await b.gateway.block()
        await b.simulator.run_safe(b.safe, inner, OWNER, watch=watch, at=head)
        warm = [
            (await b.simulator.run_safe(b.safe, inner, OWNER, watch=watch, at=head)).took_ms
            for _ in range(15)
        ]
        moved = []
        for _ in range(3):
            await b.admin.call("relay_mine", [1])
            moved.append((await b.simulator.run_safe(b.safe, inner, OWNER, watch=watch)).took_ms)
        print(
            f"warm p50 {statistics.median(warm):.1f} ms, after a new block {statistics.median(moved):.1f} ms"
        )
        assert statistics.median(warm) < 60
