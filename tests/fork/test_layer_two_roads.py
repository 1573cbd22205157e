"""Base and Arbitrum on the devnet: plain submission to a sequencer, simulation, multicall, and finality that can be seen."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from anvil_support import User
from eth_account import Account

from chains.devnet.funding import give_eth
from chains.devnet.jsonrpc import Rpc as Cheat
from chains.devnet.service import Status
from chains.errors import Retry
from chains.finality import Heads, Verdict, judge
from chains.fork_difference import Override
from chains.gas import OpStackL1
from chains.gateway import Gateway
from chains.l1_data import OpStackPrices, data_prices
from chains.profiles import load
from chains.relay import sendable
from chains.relays.sequencer import SequencerRelay
from chains.rpc import Rpc
from chains.simulate import NATIVE, Simulator, Step
from chains.types import Address, Call, Hash32, Protection
from contracts.codec import encode

pytestmark = pytest.mark.devnet
DEAD = Address("0x000000000000000000000000000000000000dEaD")


@pytest.mark.parametrize("name", ["base", "arbitrum"])
async def test_a_transaction_is_simulated_sent_mined_and_settled(relayed_devnet: Status, name: str) -> None:
    chain, me = load(name), User(Account.from_key(bytes([21] * 32)))
    give_eth(relayed_devnet.cheat_urls[chain.chain_id], me.address, 10**18)
    async with aiohttp.ClientSession() as session:
        rpc = Rpc(relayed_devnet.urls[chain.chain_id], session)
        gate = Gateway.of(chain, [rpc])
        async with Simulator(chain.chain_id, gate, [rpc]) as simulator:
            wrap = Call(chain.wrapped_native, encode("weth9", "deposit", ()), 7)
            seen = await simulator.run(
                [Step(Address(me.address), wrap)],
                watch=[(chain.wrapped_native, Address(me.address)), (NATIVE, Address(me.address))],
                overrides={Address(me.address): Override(balance=10)},
            )
        assert seen.ok and list(seen.changes.values()) == [7, -7]
        me.nonce = await gate.nonce(Address(me.address))
        before = await gate.balance(DEAD)
        tx = me.sign(DEAD, value=5, chain_id=chain.chain_id)
        relay = SequencerRelay(rpc)
        item = sendable(tx, Protection.PRIVATE, relay.profile)
        assert (await relay.send(item)).tx_hash == tx.hash
        verdict, deadline = Verdict.PROVISIONAL, asyncio.get_running_loop().time() + 25
        while verdict is not Verdict.FINAL:
            assert asyncio.get_running_loop().time() < deadline
            receipt = await gate.receipt(Hash32(tx.hash))
            if receipt is not None:
                heads = Heads(await gate.block(), await gate.block("safe"), await gate.block("finalized"))
                canonical = await gate.head_hash_at(receipt.block_number)
                verdict = judge(chain.finality, heads, receipt.block_number, receipt.block_hash, canonical)
                assert verdict is not Verdict.REORGED
            await asyncio.sleep(0.1)
        assert await gate.balance(DEAD) - before == 5
        ref, (balance,) = await gate.multicall(
            [Call(chain.wrapped_native, encode("erc20", "balanceOf", (me.address,)))]
        )
        assert balance.ok and ref.number >= heads.latest.number


async def test_prices_of_data_on_ethereum_are_read_where_a_rollup_tells_them(devnet: Status) -> None:
    """Anvil stands for a rollup and has no such contract: that is nothing to pay here, and an error where it is a live chain. With code at
    the published address (it answers 1,000 to everything) the prices come through the very reads that a live chain gets."""
    base = load("base")
    url = devnet.cheat_urls[base.chain_id]
    async with aiohttp.ClientSession() as session:
        gate = Gateway.of(base, [Rpc(url, session)])
        assert await data_prices(gate, base, expected=False) is None
        with pytest.raises(Retry, match="DATA_PRICE_UNKNOWN"):
            await data_prices(gate, base, expected=True)
        with Cheat(url) as rpc:
            rpc("anvil_setCode", base.contracts["gas_price_oracle"], "0x6103e85f5260205ff3")
        found = await data_prices(gate, base, expected=True)
        assert isinstance(found, OpStackPrices) and found.l1 == OpStackL1(1_000, 1_000, 1_000, 1_000)
        assert found.base_fee_wei == (await gate.block()).base_fee_wei
        arbitrum = load("arbitrum")
        there = Gateway.of(arbitrum, [Rpc(devnet.urls[arbitrum.chain_id], session)])
        assert await data_prices(there, arbitrum, expected=False) is None
