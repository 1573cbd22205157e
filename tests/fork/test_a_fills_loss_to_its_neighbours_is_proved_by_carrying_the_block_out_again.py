"""A block with a sandwich in it, carried out again without its neighbours: the loss is what the chain itself would have given, to the wei."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import pytest
from anvil_support import User
from eth_account import Account

from agent.app.mev import MevReceipt, examine
from chains.devnet.funding import give_eth, give_token
from chains.devnet.jsonrpc import Rpc as Admin
from chains.devnet.service import Status
from chains.errors import Reject
from chains.evm import call_data, checksum
from chains.gateway import Gateway
from chains.profiles import load
from chains.rpc import Rpc
from chains.simulate import Simulator
from chains.types import Address, Hash32
from contracts.codec import encode

pytestmark = pytest.mark.devnet
CHAIN = load("ethereum")
WETH, USDC, ROUTER = CHAIN.wrapped_native, CHAIN.usdc, CHAIN.contracts["uniswap_v3_router_02"]
QUOTER = checksum("0x61fFE014bA17989E743c5F6cB21bF9697530B21e")
VICTIM, BOT, OTHER = (User(Account.from_key(bytes([n] * 32))) for n in (0xA1, 0xB2, 0xC3))
SELL = 5 * 10**18


@dataclass
class Pit:
    admin: Admin
    public: Admin
    gateway: Gateway
    simulator: Simulator

    def swap(self, who: User, sold: Address, bought: Address, amount: int, tip: int) -> Hash32:
        """Sent publicly, not yet mined. Amounts in base units, the tip in gwei decides the order."""
        params = {
            "tokenIn": sold, "tokenOut": bought, "fee": 500, "recipient": who.address, "amountIn": amount,
            "amountOutMinimum": 1, "sqrtPriceLimitX96": 0,
        }  # fmt: skip
        return self.send(who, ROUTER, encode("swap_router_02", "exactInputSingle", (params,)), tip)

    def send(self, who: User, to: str, data: bytes = b"", tip: int = 1, value: int = 0) -> Hash32:
        tx = who.sign(to, data="0x" + data.hex(), tip_gwei=tip, value=value, gas=500_000)
        return Hash32(self.public("eth_sendRawTransaction", "0x" + tx.raw.hex()))

    def quoted(self, amount: int) -> int:
        """What the genuine Quoter says of the state now, USDC base units for WETH."""
        types = "(address,address,uint256,uint24,uint160)"
        data = call_data(f"quoteExactInputSingle({types})", *(WETH, USDC, amount, 500, 0))
        told = self.public("eth_call", {"to": QUOTER, "data": "0x" + data.hex()}, "latest")
        return int(told[2:66], 16)

    async def look(self, tx: Hash32) -> MevReceipt:
        return await examine(self.gateway, self.simulator, tx, Address(VICTIM.address), USDC)


@asynccontextmanager
async def pit(devnet: Status) -> AsyncIterator[Pit]:
    admin, public = Admin(devnet.cheat_urls[1]), Admin(devnet.urls[1])
    for who in (VICTIM, BOT, OTHER):
        give_eth(devnet.cheat_urls[1], Address(who.address), 10 * 10**18)
        for token, amount in ((WETH, 500 * 10**18), (USDC, 900_000 * 10**6)):
            give_token(devnet.cheat_urls[1], token, Address(who.address), amount)
        who.nonce = int(public("eth_getTransactionCount", who.address, "latest"), 16)
    admin("relay_pause")
    try:
        async with aiohttp.ClientSession() as session:
            rpcs = [Rpc(devnet.urls[1], session)]
            gateway = Gateway(1, rpcs)
            async with Simulator(1, gateway, rpcs) as simulator:
                made = Pit(admin, public, gateway, simulator)
                for who in (VICTIM, BOT, OTHER):
                    for token in (WETH, USDC):
                        made.send(who, token, encode("erc20", "approve", (ROUTER, 2**255)))
                admin("relay_mine", 1)
                yield made
    finally:
        admin("relay_mine", 1)
        admin("relay_resume")
        admin.close()
        public.close()


async def test_a_sandwich_is_named_and_its_loss_is_what_the_pool_would_have_given(
    relayed_devnet: Status,
) -> None:
    async with pit(relayed_devnet) as p:
        alone = p.quoted(SELL)
        front = p.swap(BOT, WETH, USDC, 300 * 10**18, 9)
        ours = p.swap(VICTIM, WETH, USDC, SELL, 5)
        back = p.swap(BOT, USDC, WETH, 800_000 * 10**6, 2)
        refund = p.send(OTHER, VICTIM.address, tip=1, value=12345)
        p.admin("relay_mine", 1)
        seen = await p.look(ours)
        assert seen.received_raw == seen.replayed_raw and seen.alone_raw == alone
        assert seen.loss_raw == alone - seen.received_raw > 0
        assert seen.loss_bps is not None and seen.loss_bps > 1
        assert [n.tx_hash for n in seen.ahead] == [front] and [n.tx_hash for n in seen.behind] == [back]
        assert seen.sandwich == (front, back) and refund not in seen.sandwich
        assert seen.refund_wei == 12345 and seen.tip_wei > 0 and seen.index == 1


async def test_a_quiet_block_took_nothing(relayed_devnet: Status) -> None:
    async with pit(relayed_devnet) as p:
        p.send(OTHER, BOT.address, tip=9, value=1)
        ours = p.swap(VICTIM, WETH, USDC, SELL, 5)
        p.swap(BOT, WETH, USDC, 10**18, 2)
        p.admin("relay_mine", 1)
        seen = await p.look(ours)
        assert seen.loss_raw == 0 and seen.loss_bps == 0 and seen.sandwich is None
        assert (len(seen.ahead), len(seen.behind), seen.index) == (0, 1, 1)


async def test_one_who_trades_the_same_way_before_it_costs_and_is_no_sandwich(relayed_devnet: Status) -> None:
    async with pit(relayed_devnet) as p:
        p.swap(OTHER, WETH, USDC, 10**18, 9)
        ours = p.swap(VICTIM, WETH, USDC, SELL, 5)
        p.admin("relay_mine", 1)
        seen = await p.look(ours)
        assert len(seen.ahead) == 1 and seen.behind == () and seen.sandwich is None
        assert seen.loss_raw is not None and seen.loss_raw > 0


async def test_what_is_not_mined_is_refused_by_name(relayed_devnet: Status) -> None:
    async with pit(relayed_devnet) as p:
        with pytest.raises(Reject) as refused:
            await p.look(Hash32("0x" + "77" * 32))
        assert refused.value.code == "NOT_MINED"
