"""A wallet with a Uniswap V3 position on the devnet, in time that a test holds: genuine contracts, prices that others move, the real
scheduler over a real journal. What stands in: the wallet's own swaps are sent by the node's impersonation, not signed.
"""

from __future__ import annotations

import math
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
from manual_clock import ManualClock

from agent.app import template
from agent.app.chain_desks import chain_desk
from agent.app.endpoints import open_gateways
from agent.app.jobs.facts import chain_named, ranges
from agent.app.live_market import LiveMarket
from agent.app.oracles import Oracles
from agent.app.places import directory
from agent.app.settings import Settings, load
from agent.app.wallet_check import WalletCheck
from agent.app.wiring import App, token_decimals
from agent.domain.events import ParentClosed
from agent.domain.orders import ParentOrder, Side
from agent.execution.halt import Switch
from agent.execution.recorder import Recorder
from agent.hedging.liquidity import Range
from agent.journal.book import Book
from agent.journal.registry import event_codec, is_derisking
from agent.journal.store import Journal
from chains.devnet.addresses import AAVE, CHAINS
from chains.devnet.artifacts import artifact
from chains.devnet.builder import Builder
from chains.devnet.demo import FOREVER, sqrt_price_x96
from chains.devnet.funding import give_token, set_feed_price, token_balance
from chains.devnet.jsonrpc import Rpc
from chains.devnet.service import Status
from chains.evm import checksum
from chains.types import Address
from keys.client import SignerClient

WALLET = checksum("0x4d5a2b1cce07fca0fe0d8d6da3f1e8bb0c8e1a00")
MOVER = checksum("0x6d6f766572" + "0" * 29 + "1")
CHAIN = CHAINS[1]
FEE = 500
HOURLY = 0.6 / math.sqrt(365 * 24)


class LpWorld:
    """Chain 1's pool of 5 bps with our position in it, and the feeds of two chains."""

    def __init__(self, status: Status, clock: ManualClock, seed: int) -> None:
        self.clock, self._chance, self.px = clock, random.Random(seed), Decimal(3000)
        self.urls = status.cheat_urls
        self._builder = Builder(Rpc(self.urls[1]), CHAIN)
        at = CHAIN.uniswap
        self.weth_first = int(CHAIN.weth, 16) < int(CHAIN.usdc, 16)
        self.tokens = (CHAIN.weth, CHAIN.usdc) if self.weth_first else (CHAIN.usdc, CHAIN.weth)
        factory = artifact("UniswapV3Factory")
        self.pool: str = self._builder.read(factory, at.v3_factory, "getPool", *self.tokens, FEE)
        for who in (WALLET, MOVER):
            for token, raw in ((CHAIN.weth, 20_000 * 10**18), (CHAIN.usdc, 60_000_000 * 10**6)):
                give_token(self.urls[1], token, Address(who), raw if who == MOVER else raw // 40)
                for spender in (at.router02, at.v3_npm):
                    self._do("MockERC20", token, "approve", spender, 2**255, who=who)
        self.set_time()
        self.move_to(self.px)

    def close(self) -> None:
        self._builder.rpc.close()

    def mint(self, weth: int, usdc: int, width: int) -> int:
        """A position from `width` ticks below the price to as many above; its token id."""
        at = CHAIN.uniswap
        tick = self._builder.read(artifact("UniswapV3Pool"), self.pool, "slot0")[1]
        low, high = ((tick + side * width) // 10 * 10 for side in (-1, 1))
        amounts = (weth * 10**18, usdc * 10**6) if self.weth_first else (usdc * 10**6, weth * 10**18)
        wish = (*self.tokens, FEE, low, high, *amounts, 0, 0, WALLET, FOREVER)
        npm = artifact("NonfungiblePositionManager")
        token_id = int(self._builder.read(npm, at.v3_npm, "mint", wish, sender=WALLET)[0])
        self._do("NonfungiblePositionManager", at.v3_npm, "mint", wish, who=WALLET)
        return token_id

    def swap(self, side: Side, weth_raw: int) -> None:
        """The wallet's own: so much WETH is sold, or bought."""
        if side is Side.SELL:
            self._swap("exactInputSingle", CHAIN.weth, CHAIN.usdc, weth_raw, 0)
        else:
            self._swap("exactOutputSingle", CHAIN.usdc, CHAIN.weth, weth_raw, 2**127)

    def buy_dollars(self, usdc_raw: int) -> None:
        self._swap("exactOutputSingle", CHAIN.weth, CHAIN.usdc, usdc_raw, 2**127)

    def _swap(self, function: str, given: str, got: str, raw: int, bound: int) -> None:
        wish = (given, got, FEE, WALLET, raw, bound, 0)
        self._do("SwapRouter02", CHAIN.uniswap.router02, function, wish, who=WALLET)

    def borrow(self, weth: int, usdc: int) -> None:
        """A loan at Aave: so much WETH is supplied, so much USDC borrowed and, with all other USDC of the wallet, gone."""
        pool = AAVE["Pool"]
        self._do("MockERC20", CHAIN.weth, "approve", pool, 2**255, who=WALLET)
        self._do("AavePool", pool, "supply", CHAIN.weth, weth * 10**18, WALLET, 0, who=WALLET)
        self._do("AavePool", pool, "borrow", CHAIN.usdc, usdc * 10**6, 2, 0, WALLET, who=WALLET)
        held = token_balance(self._builder.rpc, CHAIN.usdc, WALLET)
        self._do("MockERC20", CHAIN.usdc, "transfer", MOVER, held, who=WALLET)

    def move_to(self, px: Decimal) -> None:
        """Somebody trades the pool to a price, and both chains' feeds follow."""
        goal = sqrt_price_x96(str(px), self.weth_first)
        here = self._builder.read(artifact("UniswapV3Pool"), self.pool, "slot0")[0]
        if goal != here:
            ends = self.tokens if goal < here else self.tokens[::-1]
            most = 10_000 * 10**18 if ends[0] == CHAIN.weth else 30_000_000 * 10**6
            self._do(
                "SwapRouter02",
                CHAIN.uniswap.router02,
                "exactInputSingle",
                (*ends, FEE, MOVER, most, 0, goal),
                who=MOVER,
            )
        for chain_id in (1, 8453):
            set_feed_price(self.urls[chain_id], "ETH", int(px * 10**8))
            set_feed_price(self.urls[chain_id], "USDC", 10**8)
        self.px = px

    def next_hour(self) -> None:
        self.set_time()
        move = math.exp(self._chance.gauss(0, HOURLY) - HOURLY**2 / 2)
        self.move_to((self.px * Decimal(move)).quantize(Decimal("0.01")))

    def set_time(self) -> None:
        """The chains' next blocks come at the test's time."""
        for chain_id in (1, 8453):
            with Rpc(self.urls[chain_id]) as rpc:
                rpc("evm_setNextBlockTimestamp", self.clock.now_s)

    def _do(self, name: str, to: str, function: str, *args: Any, who: str) -> None:
        self._builder.do(artifact(name), to, function, *args, sender=who)


class SwapCarrier:
    """Works a parent at once: a swap through the genuine router, then closed."""

    def __init__(self, world: LpWorld, recorder: Recorder) -> None:
        self._world, self._recorder = world, recorder
        self.done: list[ParentOrder] = []

    def start(self, parent: ParentOrder) -> None:
        if parent.intent.base == "USDC":
            self._world.buy_dollars(int(parent.qty.scaleb(6)))
        else:
            self._world.swap(parent.side, int(parent.qty.scaleb(18)))
        self._recorder.take(ParentClosed(parent.cl_ord_id, "FILLED", "swapped", self._world.clock.now_ns()))
        self.done.append(parent)


def settings_of(world: LpWorld, folder: Path) -> Settings:
    """The wallet watched on both chains, the one pool on chain 1."""
    chains = []
    for chain_id, name in ((1, "ethereum"), (8453, "base")):
        pools = [{"kind": "uniswap_v3", "address": world.pool}] if chain_id == 1 else []
        chains.append(
            {
                "name": name,
                "chain_id": chain_id,
                "rpc": [world.urls[chain_id]],
                "protection": "PUBLIC",
                "pools": pools,
            }
        )
    feeds = {
        symbol: [
            {"kind": "chainlink", "chain": name, "address": CHAINS[chain_id].feeds[symbol]}
            for chain_id, name in ((1, "ethereum"), (8453, "base"))
        ]
        for symbol in ("ETH", "USDC")
    }
    values: dict[str, Any] = {
        "environment": "devnet",
        "wallet": {"address": WALLET, "kind": "eoa"},
        "chains": chains,
        "assets": {"WETH": [f"eip155:1/erc20:{CHAIN.weth}"], "USDC": [f"eip155:1/erc20:{CHAIN.usdc}"]},
        "equivalents": {"ETH": ["WETH"]},
        "oracles": feeds,
        "journal": {"path": str(folder / "journal.db"), "emergency_path": str(folder / "emergency.bin")},
    }
    path = folder / "fairlead.toml"
    template.write(values, path)
    return load(path)


@asynccontextmanager
async def reading_app(settings: Settings, clock: ManualClock) -> AsyncIterator[App]:
    """An App whose time is the test's; it reads the chains, and trades nowhere."""
    async with aiohttp.ClientSession() as session:
        gateways = await open_gateways(settings, session)
        known = directory(settings, await token_decimals(settings, gateways))
        signer = SignerClient(settings.signer.socket, settings.environment)
        chains = {
            c.chain_id: chain_desk(settings, c, gateways[c.chain_id], session, signer, clock)
            for c in settings.chains
        }
        oracles = Oracles(settings, gateways, {})
        yield App(
            settings=settings, clock=clock, session=session, gateways=gateways, chains=chains, venues={}, directory=known,
            market=LiveMarket(clock, settings, known, chains, {}, oracles.prices), oracles=oracles,
            switch=Switch.beside(settings.journal.path), signer=signer, wallets=WalletCheck(settings, gateways),
        )  # fmt: skip


@asynccontextmanager
async def desk_of(app: App) -> AsyncIterator[tuple[Any, Recorder]]:
    """What the scheduler needs of a desk: journal, book and time."""
    async with AsyncExitStack() as stack:
        journal = Journal.open(
            app.settings.journal.path, clock=app.clock, environment="devnet", codec=event_codec(),
            emergency=app.settings.journal.emergency_path, derisking=is_derisking,
        )  # fmt: skip
        stack.callback(journal.close)
        recorder = Recorder(journal, Book())
        yield SimpleNamespace(journal=recorder, book=recorder.book, clock=app.clock), recorder


async def positions(app: App, token_id: int) -> tuple[Range, ...]:
    return await ranges(app, chain_named(app, {}), (token_id,), ("ETH", "USDC"))


__all__ = ["LpWorld", "SwapCarrier", "desk_of", "positions", "reading_app", "settings_of"]
