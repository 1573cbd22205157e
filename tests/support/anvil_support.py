"""A relay process in front of an Anvil, and transactions signed by throw-away keys, for tests that need a real chain."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from eth_account import Account

from chains.anvil import Anvil, find_anvil
from chains.errors import Usage
from chains.evm import checksum
from chains.rawtx import signed_tx
from chains.rpc import Rpc
from chains.types import SignedTx

ROOT = Path(__file__).resolve().parents[2]
ONE_ETH = 10**18
# Runtime code: revert on every call; store calldata's first word in slot 0.
REVERTER = "0x60006000fd"
STORER = "0x60003560005500"
REVERTER_AT = "0x" + "be" * 20
STORER_AT = "0x" + "57" * 20


def anvil_or_skip() -> str:
    try:
        return find_anvil()
    except Usage as error:
        if os.environ.get("FAIRLEAD_REQUIRE_ANVIL"):
            raise
        pytest.skip(str(error))


@dataclass
class User:
    """A throw-away key and its next nonce."""

    account: Any
    nonce: int = 0

    @property
    def address(self) -> str:
        return str(self.account.address)

    def sign(
        self,
        to: str,
        *,
        value: int = 0,
        data: str = "0x",
        tip_gwei: int = 2,
        nonce: int | None = None,
        gas: int = 100_000,
        chain_id: int = 1,
    ) -> SignedTx:
        used = self.nonce if nonce is None else nonce
        if nonce is None:
            self.nonce += 1
        fields = {
            "chainId": chain_id, "nonce": used, "to": checksum(to), "value": value, "data": data, "gas": gas, "type": 2,
            "maxFeePerGas": 200 * 10**9, "maxPriorityFeePerGas": tip_gwei * 10**9,
        }  # fmt: skip
        return signed_tx(bytes(self.account.sign_transaction(fields).raw_transaction))


@dataclass
class RelayWorld:
    url: str
    rpc: Rpc
    admin: Rpc
    session: aiohttp.ClientSession
    users: list[User]

    async def truth(self) -> Any:
        return await self.admin.call("relay_truth")

    async def mine(self, count: int = 1) -> int:
        return int(await self.admin.call("relay_mine", [count]), 16)

    async def balance(self, address: str) -> int:
        return int(await self.rpc.call("eth_getBalance", [address, "latest"]), 16)

    async def send_public(self, tx: SignedTx) -> str:
        return str(await self.rpc.call("eth_sendRawTransaction", ["0x" + tx.raw.hex()], write=True))

    async def status(self, tx_hash: str) -> Any:
        async with self.session.get(f"{self.url}/tx/{tx_hash}") as response:
            return await response.json()


@asynccontextmanager
async def relay_world(*options: str, users: int = 3, paused: bool = True) -> AsyncIterator[RelayWorld]:
    """Anvil and relay as separate processes; blocks only by `mine` unless `paused` is false."""
    binary = anvil_or_skip()
    async with Anvil.running(["--chain-id", "1", "--no-mining", "--order", "fifo"], binary=binary) as anvil:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "chains.devnet.relay", "--port", "0", "--admin-port", "0", "--upstream", anvil.url, *options,
            cwd=ROOT, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            line = (await asyncio.wait_for(process.stdout.readline(), 20)).decode().split()
            assert line[:2] == ["relay", "ready"], line
            async with aiohttp.ClientSession() as session:
                people = [User(Account.from_key(bytes([7] * 31 + [i + 1]))) for i in range(users)]
                world = RelayWorld(line[2], Rpc(line[2], session), Rpc(line[4], session), session, people)
                if paused:
                    await world.admin.call("relay_pause")
                for person in people:
                    await world.admin.call("anvil_setBalance", [person.address, hex(100 * ONE_ETH)])
                await world.admin.call("anvil_setCode", [REVERTER_AT, REVERTER])
                await world.admin.call("anvil_setCode", [STORER_AT, STORER])
                yield world
        finally:
            if process.returncode is None:
                process.terminate()
                await asyncio.wait_for(process.wait(), 20)
