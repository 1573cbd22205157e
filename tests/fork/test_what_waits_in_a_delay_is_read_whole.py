"""The genuine Zodiac Delay as a Safe's module: what its queue holds is read, told to the leaf, executed by anybody, and skipped by its owner."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from agent.app.chaos.custody.world import ETH, OWNERS, THIEF, USDC, USDC_ONE
from agent.app.cli import run
from agent.app.multisig.delays import Waiting, delays_of, sentence, waiting
from chains.delays import Delay, delay_at, queue_hash
from chains.devnet.addresses import ZODIAC
from chains.devnet.funding import create_safe, give_token
from chains.devnet.jsonrpc import Rpc, RpcError
from chains.devnet.service import Status
from chains.gateway import Gateway
from chains.rpc import Rpc as AsyncRpc
from chains.types import Address
from chains.wallets import identify
from contracts.codec import encode
from contracts.decode_powers import DELAY_MASTERCOPY, MODULE_FACTORY, proxy_address
from contracts.hashing import checksum

pytestmark = pytest.mark.devnet
DAY = 86_400
QUEUER = Address("0x5555555555555555555555555555555555555555")
NAMES = {str(USDC): ("USDC", 6)}


class World:
    def __init__(self, rpc: Rpc) -> None:
        self.rpc = rpc
        self.safe = create_safe(rpc.url, [o.address for o in OWNERS], 2, 77)
        give_token(rpc.url, USDC, self.safe, 100 * USDC_ONE)
        words = b"".join(bytes(12) + bytes.fromhex(self.safe[2:]) for _ in range(3))
        setup = encode(
            "zodiac_delay", "setUp", (words + DAY.to_bytes(32, "big") + (7 * DAY).to_bytes(32, "big"),)
        )
        self.delay = Address(proxy_address(DELAY_MASTERCOPY, setup, 5))
        self.sends(
            QUEUER,
            MODULE_FACTORY,
            encode("zodiac_module_factory", "deployModule", (DELAY_MASTERCOPY, setup, 5)),
        )
        self.sends(self.safe, self.delay, encode("zodiac_delay", "enableModule", (QUEUER,)))
        self.sends(self.safe, self.safe, encode("safe", "enableModule", (self.delay,)))

    def sends(self, who: str, to: str, data: bytes) -> None:
        self.rpc("anvil_setBalance", who, hex(10 * ETH))
        self.rpc("anvil_impersonateAccount", who)
        call = {"from": who, "to": to, "data": "0x" + data.hex(), "gas": hex(3_000_000)}
        assert self.rpc.transact(call)["status"] == "0x1"

    def call(self, function: str, amount: int) -> bytes:
        pay = encode("erc20", "transfer", (THIEF, amount * USDC_ONE))
        return encode("zodiac_delay", function, (USDC, 0, pay, 0))

    def queue(self, amount: int) -> None:
        self.sends(QUEUER, self.delay, self.call("execTransactionFromModule", amount))

    def later(self, seconds: int) -> None:
        self.rpc("evm_increaseTime", seconds)
        self.rpc("evm_mine")

    def run(self, amount: int) -> None:
        self.sends(THIEF, self.delay, self.call("executeNextTx", amount))


@pytest.fixture
def world(devnet: Status) -> Iterator[World]:
    with Rpc(devnet.cheat_urls[1]) as rpc:
        yield World(rpc)


@pytest.fixture
async def gateway(devnet: Status) -> AsyncIterator[Gateway]:
    async with aiohttp.ClientSession() as session:
        yield Gateway(1, [AsyncRpc(devnet.cheat_urls[1], session)])


async def read(world: World, gateway: Gateway) -> tuple[Delay, list[Waiting]]:
    found = await identify(gateway, world.safe)
    assert found.safe is not None
    (delay,) = await delays_of(gateway, found.safe.modules)
    return delay, waiting("ethereum", world.safe, [delay])


async def test_the_queue_is_told_executed_and_skipped(world: World, gateway: Gateway, devnet: Status) -> None:
    labels = {k.name: (k.address, k.label) for k in devnet.contracts if k.chain == 1}
    assert labels["Zodiac Delay"] == (ZODIAC["Delay"], "exact") and ZODIAC["Delay"] == DELAY_MASTERCOPY
    assert await delay_at(gateway, world.safe) is None and await delay_at(gateway, QUEUER) is None

    for amount in (1, 2, 3):
        world.queue(amount)
    delay, told = await read(world, gateway)
    assert (delay.owner, delay.avatar, delay.target) == (world.safe,) * 3 and delay.modules == (QUEUER,)
    assert (delay.cooldown_s, delay.expiration_s, delay.next_number, delay.end_number) == (DAY, 7 * DAY, 0, 3)
    said = sentence(delay, world.safe)
    assert "waits 1 day" in said and "for 7 days" in said and "3 waiting" in said and "of this wallet" in said
    assert [one.queued.number for one in told] == [0, 1, 2]
    for amount, one in enumerate(told, 1):
        call = one.queued.call
        assert call is not None and queue_hash(call.to, call.value, call.data, 0) == one.queued.hash
        assert one.sentences(1, NAMES) == [f"1. Sends {amount} USDC to SOMEBODY ELSE ({THIEF})."]
        assert "in its cooldown" in one.state and one.json(1, NAMES)["sentences"]
    with pytest.raises((RpcError, AssertionError)):
        world.run(1)

    world.later(DAY)
    delay, told = await read(world, gateway)
    assert told[0].state.startswith("EXECUTABLE BY ANYBODY NOW until") and told[1].state.endswith(
        "after 1 other"
    )
    world.run(1)
    delay, told = await read(world, gateway)
    assert delay.next_number == 1 and [one.queued.number for one in told] == [1, 2]

    data = bytes.fromhex(told[0].revoke.rpartition("0x")[2])
    world.sends(world.safe, delay.address, data)
    delay, told = await read(world, gateway)
    assert [one.queued.number for one in told] == [2], "it alone was skipped"
    world.later(8 * DAY)
    _, told = await read(world, gateway)
    assert "can never be executed" in told[0].state


async def test_what_is_put_behind_many_is_read_all_the_same(world: World, gateway: Gateway) -> None:
    """Sixty of nothing, and the theft behind them; and more modules that may queue than one page of them holds."""
    nothing = encode("zodiac_delay", "execTransactionFromModule", (THIEF, 0, b"", 0))
    for _ in range(60):
        data = {"from": QUEUER, "to": world.delay, "data": "0x" + nothing.hex(), "gas": hex(300_000)}
        world.rpc("eth_sendTransaction", data)
    world.queue(9)
    more = [Address(checksum(n.to_bytes(20, "big"))) for n in range(0x1000, 0x1000 + 55)]
    for module in more:
        call = encode("zodiac_delay", "enableModule", (module,))
        world.rpc("eth_sendTransaction", {"from": world.safe, "to": world.delay, "data": "0x" + call.hex()})
    world.later(0)
    delay, told = await read(world, gateway)
    assert len(told) == 61 and delay.unread == 0
    assert told[-1].sentences(1, NAMES) == [f"1. Sends 9 USDC to SOMEBODY ELSE ({THIEF})."]
    assert set(delay.modules) == {QUEUER, *more} and len(delay.modules) == 56


def test_init_and_outstanding_tell_what_waits(
    world: World, devnet: Status, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world.queue(5)
    world.later(2 * DAY)
    settings = ["--settings", str(tmp_path / "f.toml")]

    def told(*words: str) -> str:
        assert run([*settings, *words]) == 0
        return capsys.readouterr().out

    shown = told("init", "--watch", world.safe, "--rpc", devnet.cheat_urls[1])
    assert f"delay      {world.delay} is a Zodiac Delay of this wallet" in shown
    assert "number 0: EXECUTABLE BY ANYBODY NOW" in shown and f"SOMEBODY ELSE ({THIEF})" in shown
    (entry,) = json.loads(told("wallet", "outstanding", "--json"))["delayed"]
    assert (entry["delay"], entry["number"], entry["to"]) == (world.delay, 0, USDC)
    assert entry["state"].startswith("EXECUTABLE")
    listed = told("wallet", "outstanding")
    assert entry["revoke"] in listed and "Sends 5 USDC" in listed
