"""What Fairlead's local simulation promises of a batch is what the batch gives, executed by the Safe under ape."""

from __future__ import annotations

import asyncio

import aiohttp

from chains.devnet.addresses import CHAINS, PERMIT2
from chains.gateway import Gateway
from chains.rpc import Rpc
from chains.simulate import SafeCall, Simulation, Simulator
from chains.types import Address, Call
from contracts import universal_router as ur
from contracts.codec import encode
from keys.safe import DELEGATECALL

E18 = 10**18
CHAIN = CHAINS[1]
WETH, USDC = Address(CHAIN.weth), Address(CHAIN.usdc)
ROUTER = Address(CHAIN.uniswap.universal_router)


def sale(amount: int, minimum: int, deadline: int) -> list[Call]:
    """WETH sold over V3 and V2: exact approvals, both swaps bounded, everything dated."""
    half, path = amount // 2, ur.v3_path([WETH, USDC], [500])
    common = {"recipient": ur.MSG_SENDER, "payerIsUser": True}
    commands = [
        ur.Command(
            "V3_SWAP_EXACT_IN", {"amountIn": half, "amountOutMin": minimum // 2, "path": path, **common}
        ),
        ur.Command(
            "V2_SWAP_EXACT_IN",
            {"amountIn": amount - half, "amountOutMin": minimum // 2, "path": (WETH, USDC), **common},
        ),
    ]
    return [
        Call(WETH, encode("erc20", "approve", (PERMIT2, amount))),
        Call(Address(PERMIT2), encode("permit2", "approve", (WETH, ROUTER, amount, deadline))),
        Call(ROUTER, ur.execute(commands, deadline)),
    ]


async def simulated(url: str, safe: Address, inner: SafeCall, executor: Address) -> Simulation:
    async with aiohttp.ClientSession() as session:
        rpc = Rpc(url, session)
        async with Simulator(1, Gateway(1, [rpc]), [rpc]) as simulator:
            return await simulator.run_safe(safe, inner, executor, watch=[(WETH, safe), (USDC, safe)])


def test_a_sale_over_two_pools_gives_what_was_simulated(safe, weth, usdc, chain, networks, accounts):
    address = Address(safe.address)
    tx = safe.safe_tx(sale(6 * E18, 16_000 * 10**6, chain.pending_timestamp + 300))
    inner = SafeCall(tx.to, 0, tx.data, DELEGATECALL)
    url = networks.provider.uri
    seen = asyncio.run(simulated(url, address, inner, Address(accounts[0].address)))
    assert seen.ok, seen.reason
    before = weth.balanceOf(safe), usdc.balanceOf(safe)
    receipt = safe.execute(tx, list(safe.signatures(tx).values()))
    assert not receipt.failed
    assert weth.balanceOf(safe) - before[0] == seen.changes[WETH, address] == -6 * E18
    assert usdc.balanceOf(safe) - before[1] == seen.changes[USDC, address] >= 16_000 * 10**6
    assert weth.allowance(safe, PERMIT2) == 0
