"""Base and Arbitrum on the devnet: plain submission to a sequencer, simulation, multicall, and finality that can be seen."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from anvil_support import User
from eth_account import Account

from chains.devnet.funding import give_eth
from chains.devnet.service import Status
from chains.finality import Heads, Verdict, judge
from chains.gateway import Gateway
from chains.profiles import load
from chains.relay import sendable
from chains.relays.sequencer import SequencerRelay
from chains.rpc import Rpc
from chains.simulate import NATIVE, Override, Simulator, Step
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
