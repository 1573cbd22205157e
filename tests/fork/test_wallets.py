"""Wallets read from the devnet's genuine contracts, through the gateway's multicall."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from anvil_support import User
from eth_account import Account

from chains.devnet.funding import create_safe, give_eth, give_token
from chains.devnet.jsonrpc import Rpc as Sync
from chains.devnet.service import Status
from chains.evm import checksum
from chains.gateway import Gateway
from chains.profiles import load
from chains.rpc import Rpc
from chains.types import ZERO_ADDRESS, Address, Call
from chains.wallets import WalletKind, holdings, identify
from contracts.codec import encode

pytestmark = pytest.mark.devnet
OWNERS = [checksum("0x" + c * 40) for c in "abc"]


@asynccontextmanager
async def gateway(status: Status, chain: int = 1) -> AsyncIterator[Gateway]:
    async with aiohttp.ClientSession() as session:
        yield Gateway(chain, [Rpc(status.urls[chain], session)])


@pytest.mark.parametrize("chain", [1, 8453, 42161])
async def test_a_safe_is_read_with_owners_modules_guard_and_handler(devnet: Status, chain: int) -> None:
    safe = create_safe(devnet.cheat_urls[chain], OWNERS, 2)
    module = checksum("0x" + "d" * 40)
    with Sync(devnet.cheat_urls[chain]) as rpc:
        rpc("anvil_impersonateAccount", safe)
        rpc("anvil_setBalance", safe, hex(10**18))
        rpc(
            "eth_sendTransaction",
            {"from": safe, "to": safe, "data": "0x" + encode("safe", "enableModule", (module,)).hex()},
        )
        rpc("evm_mine")
    async with gateway(devnet, chain) as gate:
        found = await identify(gate, safe)
    assert found.kind is WalletKind.SAFE and found.safe is not None
    assert (found.safe.owners, found.safe.threshold, found.safe.nonce) == (tuple(OWNERS), 2, 0)
    assert (found.safe.version, found.safe.modules, found.safe.guard) == ("1.4.1", (module,), ZERO_ADDRESS)
    assert found.safe.fallback_handler == load(chain).contracts["safe_fallback_handler"]


async def test_accounts_delegations_and_other_contracts_are_told_apart(devnet: Status) -> None:
    delegated = checksum("0x" + "e" * 40)
    with Sync(devnet.cheat_urls[1]) as rpc:
        rpc("anvil_setCode", delegated, "0xef0100" + OWNERS[0][2:])
    async with gateway(devnet) as gate:
        assert (await identify(gate, OWNERS[0])).kind is WalletKind.EOA
        assert (await identify(gate, load(1).wrapped_native)).kind is WalletKind.OTHER
        seen = await identify(gate, delegated)
        assert (seen.kind, seen.delegate) == (WalletKind.DELEGATED_EOA, OWNERS[0])


async def test_balances_and_allowances_come_from_one_block(devnet: Status) -> None:
    chain, me = load(1), User(Account.from_key(bytes([9] * 32)))
    owner, spender = Address(me.address), chain.contracts["permit2"]
    url = devnet.cheat_urls[1]
    give_eth(url, owner, 5 * 10**18)
    give_token(url, chain.wrapped_native, owner, 7)
    give_token(url, chain.usdc, owner, 1_000_000)
    with Sync(url) as rpc:
        tx = me.sign(chain.usdc, data="0x" + encode("erc20", "approve", (spender, 42)).hex())
        rpc("eth_sendRawTransaction", "0x" + tx.raw.hex())
        rpc("evm_mine")
        native = int(rpc("eth_getBalance", owner, "latest"), 16)
    silent = chain.contracts["multicall3"]
    async with gateway(devnet) as gate:
        seen = await holdings(gate, owner, [chain.wrapped_native, chain.usdc, silent], [spender])
        assert (await gate.multicall([Call(chain.usdc, b"")], seen.block.number))[0] == seen.block
    assert seen.native == native
    assert seen.balances == {chain.wrapped_native: 7, chain.usdc: 1_000_000}
    assert seen.allowances == {(chain.wrapped_native, spender): 0, (chain.usdc, spender): 42}
    assert seen.silent == (silent,)
