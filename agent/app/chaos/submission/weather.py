"""What goes on at the chain meanwhile: blocks, base fees that swing, reorganisations, another trader who moves the price."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

from agent.app.chaos.submission.pace import Pace
from chains.devnet.addresses import Chain
from chains.errors import FairleadError
from chains.rpc import Rpc
from contracts.codec import encode
from contracts.hashing import to_checksum

MOVER = to_checksum("0xfa171ead000000000000000000000000000000c4")
ETH, GWEI = 10**18, 10**9
LEAST_FEE, MOST_FEE = 1 * GWEI, 40 * GWEI
FEE_PIPS = 500
DEEPEST = 3
"""Reorganisations are no deeper: `--finality-depth 4` is what counts as final here."""


@dataclass
class Weather:
    """`at` is where the tokens and routers are, `admin` the relay's admin port. `reorgs` are (head after it, depth) of each."""

    at: Chain
    admin: Rpc
    pace: Pace
    rng: Random
    middle_x96: int = 0
    pool: str = ""
    base_fee_wei: int = 2 * GWEI
    reorgs: list[list[int]] = field(default_factory=list)
    blocks: int = 0
    stopped: bool = False

    async def prepare(self) -> None:
        """The other trader's money, and what the price returns to."""
        at = self.at
        await self.admin.call("anvil_impersonateAccount", [MOVER])
        await self.admin.call("anvil_setBalance", [MOVER, hex(10**6 * ETH)])
        for token in (at.weth, at.usdc):
            await self._send(token, encode("erc20", "approve", (at.uniswap.router02, 2**256 - 1)))
        self.middle_x96 = await self._price()

    async def _send(self, to: str, data: bytes) -> None:
        tx = {"from": MOVER, "to": to, "data": "0x" + data.hex(), "gas": hex(400_000)}
        await self.admin.call(
            "eth_sendTransaction", [tx | {"maxFeePerGas": hex(500 * GWEI), "maxPriorityFeePerGas": "0x1"}]
        )

    async def _price(self) -> int:
        data = "0x" + encode("uniswap_v3_pool", "slot0").hex()
        answer = await self.admin.call("eth_call", [{"to": self.pool, "data": data}, "latest"])
        return int(answer[2:66], 16)

    async def blow(self) -> None:
        """Blocks until `stopped`. What the relay could not do it does in the next block."""
        while not self.stopped:
            await self.pace.all_rest()
            try:
                await self._step()
            except FairleadError:
                await asyncio.sleep(0.05)
            self.pace.tell()

    async def _step(self) -> None:
        """One of: a block for another program, a reorganisation, a block of the other trader's, a block of a builder's. Desks see each
        before the next."""
        if self.pace.guests:
            with suppress(FairleadError):  # a block was faster
                await self.admin.call("eth_sendRawTransaction", [self.pace.guests[0]])
            del self.pace.guests[0]
            return
        chance = self.rng.random()
        if chance < 0.04 and self.blocks > 2 * DEEPEST:
            return await self._reorg()
        if chance < 0.20:
            return await self._trade()
        swing = self.rng.choice((875, 940, 1000, 1060, 1125, 1125))
        self.base_fee_wei = min(max(self.base_fee_wei * swing // 1000, LEAST_FEE), MOST_FEE)
        await self.admin.call("anvil_setNextBlockBaseFeePerGas", [hex(self.base_fee_wei)])
        await self.admin.call("relay_mine", [1])
        self.blocks += 1

    async def _reorg(self) -> None:
        depth = self.rng.randint(1, DEEPEST)
        await self.admin.call("relay_reorg", [depth, self.rng.choice(("return", "drop"))])
        self.reorgs.append([int(await self.admin.call("eth_blockNumber"), 16), depth])

    async def _trade(self) -> None:
        """Towards the middle where the price has left it, else either way: two to ten ETH, in a block of its own."""
        at, price = self.at, await self._price()
        weth_first = int(at.weth, 16) < int(at.usdc, 16)
        weth_dear = (price > self.middle_x96) == weth_first
        away = abs(price - self.middle_x96) * 20_000 // self.middle_x96
        sell = weth_dear if away > 6 else self.rng.random() < 0.5
        size = self.rng.randint(2, 10) * ETH
        given, got, amount = (
            (at.weth, at.usdc, size) if sell else (at.usdc, at.weth, size * 3000 * 10**6 // ETH)
        )
        fields: dict[str, Any] = {"tokenIn": given, "tokenOut": got, "fee": FEE_PIPS, "recipient": MOVER}
        fields |= {"amountIn": amount, "amountOutMinimum": 0, "sqrtPriceLimitX96": 0}
        await self._send(at.uniswap.router02, encode("swap_router_02", "exactInputSingle", (fields,)))
        self.blocks += 1
