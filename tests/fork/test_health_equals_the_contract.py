"""The health factor computed here is the contract's own, to the last digit: over time, prices, e-mode and random accounts."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp
import pytest

from agent.app.watching.aave import model_account
from agent.margin.aave_v3_0 import MODEL, Account, account_data
from agent.margin.model import Health, Side, State
from chains.devnet.addresses import AAVE, CHAINS
from chains.devnet.artifacts import artifact
from chains.devnet.builder import DEPLOYER
from chains.devnet.funding import give_token, set_feed_price
from chains.devnet.jsonrpc import Rpc as Sync
from chains.devnet.service import Status
from chains.gateway import Gateway
from chains.lending.aave_v3 import AaveAccount, read_account
from chains.profiles import load
from chains.rpc import Rpc
from chains.types import Address

pytestmark = pytest.mark.devnet
CHAIN, POOL = CHAINS[1], AAVE["Pool"]
WETH, USDC = CHAIN.weth, CHAIN.usdc
ETH, DOLLAR = 10**18, 10**6
NEVER = 2**256 - 1


class Devnet:
    """Transactions of impersonated accounts on chain 1, and what stands there afterwards."""

    def __init__(self, status: Status) -> None:
        self.url = status.cheat_urls[1]
        self.rpc = Sync(self.url)

    def send(self, sender: str, contract: str, to: str, function: str, *args: object) -> None:
        self.rpc("anvil_impersonateAccount", sender)
        self.rpc("anvil_setBalance", sender, hex(10**22))
        data = "0x" + artifact(contract).call(function, *args).hex()
        tx = self.rpc("eth_sendTransaction", {"from": sender, "to": to, "data": data, "gas": hex(3_000_000)})
        receipt = self.rpc("eth_getTransactionReceipt", tx)
        for _ in range(200):
            if receipt is not None:
                break
            time.sleep(0.01)
            receipt = self.rpc("eth_getTransactionReceipt", tx)
        assert receipt["status"] == "0x1", function

    def supply(self, who: str, token: str, amount: int) -> None:
        give_token(self.url, token, who, amount)
        self.send(who, "MockERC20", token, "approve", POOL, amount)
        self.send(who, "AavePool", POOL, "supply", token, amount, who, 0)

    def borrow(self, who: str, token: str, amount: int) -> None:
        self.send(who, "AavePool", POOL, "borrow", token, amount, 2, 0, who)

    def wait(self, seconds: int) -> None:
        self.rpc("evm_increaseTime", seconds)
        self.rpc("evm_mine")

    def room(self, who: str) -> int:
        """What may still be borrowed, in 1e-8 USD."""
        data = artifact("AavePool").call("getUserAccountData", who)
        answer = self.rpc("eth_call", {"to": POOL, "data": "0x" + data.hex()}, "latest")
        return int(artifact("AavePool").read("getUserAccountData", bytes.fromhex(answer[2:]), 1)[2])


@pytest.fixture
def chain(devnet: Status) -> Iterator[Devnet]:
    made = Devnet(devnet)
    yield made
    made.rpc.close()


@asynccontextmanager
async def gateway(chain: Devnet) -> AsyncIterator[Gateway]:
    async with aiohttp.ClientSession() as session:
        yield Gateway(1, [Rpc(chain.url, session)])


async def read(chain: Devnet, who: str) -> AaveAccount:
    market = load(1).aave
    assert market is not None
    async with gateway(chain) as gate:
        return await read_account(gate, market, Address(who))


async def agrees(chain: Devnet, who: str) -> tuple[AaveAccount, Account]:
    """Five of the contract's six figures recomputed here, at the contract's block: all equal."""
    found = await read(chain, who)
    account = model_account(found, 1)
    ours, theirs = account_data(account, found.block.timestamp), found.data
    assert (ours.collateral_base, ours.debt_base) == (theirs.collateral_base, theirs.debt_base)
    assert (ours.ltv_bps, ours.liquidation_threshold_bps) == (
        theirs.ltv_bps,
        theirs.liquidation_threshold_bps,
    )
    assert (NEVER if ours.health_1e18 is None else ours.health_1e18) == theirs.health_1e18
    return found, account


def address(number: int) -> str:
    return f"0x{0xFA1A000000 + number:040x}"


async def test_an_account_through_time_and_prices(chain: Devnet) -> None:
    who = address(1)
    found, _ = await agrees(chain, who)
    assert found.data.health_1e18 == NEVER
    chain.supply(who, WETH, 10 * ETH + 1)
    await agrees(chain, who)
    chain.borrow(who, USDC, 15_000 * DOLLAR + 7)
    healths = []
    for seconds in (1, 2, 3, 59, 3_600, 86_400, 40 * 86_400, 400 * 86_400):
        chain.wait(seconds)
        healths.append((await agrees(chain, who))[0].data.health_1e18)
    assert len(set(healths)) == len(healths)
    for px in (3_111_11111111, 2_500_00000001, 1_990_12345678, 1_00000000):
        set_feed_price(chain.url, "ETH", px)
        await agrees(chain, who)
    found, account = await agrees(chain, who)
    assert MODEL.health(account, found.block.timestamp).state is State.LIQUIDATABLE


async def test_collateral_switched_off_and_emode_are_followed(chain: Devnet) -> None:
    who = address(2)
    configurator = AAVE["PoolConfigurator"]
    chain.send(
        DEPLOYER,
        "PoolConfigurator",
        configurator,
        "setEModeCategory",
        1,
        9000,
        9300,
        10100,
        "0x" + "0" * 40,
        "near",
    )
    for token in (WETH, USDC):
        chain.send(DEPLOYER, "PoolConfigurator", configurator, "setAssetEModeCategory", token, 1)
    chain.supply(who, WETH, 3 * ETH)
    chain.supply(who, USDC, 5_000 * DOLLAR)
    chain.borrow(who, USDC, 1_000 * DOLLAR)
    _, plain = await agrees(chain, who)
    chain.send(who, "AavePool", POOL, "setUserEMode", 1)
    found, account = await agrees(chain, who)
    assert account.emode is not None and plain.emode is None and found.data.liquidation_threshold_bps == 9300
    chain.send(who, "AavePool", POOL, "setUserUseReserveAsCollateral", USDC, False)
    found, account = await agrees(chain, who)
    assert [r.collateral_enabled for r in account.reserves if r.asset.endswith(USDC)] == [False]
    # A category with a price source of its own prices all of its members.
    source = CHAIN.feeds["ETH"]
    chain.send(DEPLOYER, "AaveOracle", AAVE["AaveOracle"], "setAssetSources", [source], [source])
    set_feed_price(chain.url, "ETH", 2_900_00000000)
    chain.send(
        DEPLOYER, "PoolConfigurator", configurator, "setEModeCategory", 1, 9000, 9300, 10100, source, "near"
    )
    found, account = await agrees(chain, who)
    assert account.emode is not None and account.emode.price_1e8 == 2_900_00000000


async def _random_accounts(chain: Devnet, count: int, seed: int) -> None:
    draw = random.Random(seed)
    checked, states = 0, set()
    people = [address(1000 + seed * 1000 + n) for n in range(-(-count // 5))]
    for who in people:
        set_feed_price(chain.url, "ETH", 3_000_00000000)
        if draw.random() < 0.8:
            chain.supply(who, WETH, draw.randrange(10**9, 200 * ETH))
        else:
            chain.supply(who, USDC, draw.randrange(DOLLAR, 400_000 * DOLLAR))
        if draw.random() < 0.5:
            chain.supply(who, draw.choice((WETH, USDC)), draw.randrange(10**6, 10**10))
        for token, unit, px in ((USDC, DOLLAR, 10**8), (WETH, ETH, 3_000 * 10**8)):
            room = chain.room(who) * unit // px
            if room > 10 and draw.random() < 0.8:
                chain.borrow(who, token, max(1, int(room * draw.uniform(0.01, 0.9))))
        for _ in range(5):
            chain.wait(int(10 ** draw.uniform(0, 7)))
            set_feed_price(chain.url, "ETH", draw.randrange(1_200_00000000, 4_500_00000000))
            set_feed_price(chain.url, "USDC", draw.randrange(96000000, 104000000))
            found, account = await agrees(chain, who)
            health = MODEL.health(account, found.block.timestamp)
            states.add(health.state)
            _flips_there(account, found.block.timestamp, health)
            checked += 1
    assert checked >= count and len(states) == 3


def _flips_there(account: Account, timestamp: int, health: Health) -> None:
    """Every price given is the very one at which the predicate flips, and the second given is not too late."""

    def at(asset: str, px: int) -> State:
        reserves = tuple(replace(r, price_1e8=px) if r.asset == asset else r for r in account.reserves)
        return MODEL.health(replace(account, reserves=reserves), timestamp).state

    for px in health.liquidation_px:
        if px.px_raw is None:
            assert health.state is not State.LIQUIDATABLE or at(px.asset, px.now_raw) is State.LIQUIDATABLE
            continue
        safe_way = 1 if px.side is Side.BELOW else -1
        assert at(px.asset, px.px_raw) is State.LIQUIDATABLE
        assert all(at(px.asset, px.px_raw + n * safe_way) is not State.LIQUIDATABLE for n in (1, 2, 3, 1000))
    seconds = health.seconds_to_liquidation
    if seconds:
        before = account_data(account, timestamp + seconds - 1)
        assert before.health_1e18 is not None and before.health_1e18 >= 10**18


async def test_forty_random_accounts(chain: Devnet) -> None:
    await _random_accounts(chain, 40, seed=1)


@pytest.mark.full
async def test_two_hundred_and_fifty_random_accounts(chain: Devnet) -> None:
    await _random_accounts(chain, 250, seed=2)
