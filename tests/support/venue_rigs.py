"""One account at each exchange that orders go to, over a local server in its dialect: what a conformance suite needs of any of them.

A venue is added with an entry in RIGS, and no test.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal

from ccxt_rig import BAND, at_paper
from coinbase_rig import PRODUCT, coinbase_paper, coinbase_session
from coinbase_rig import Signer as CoinbaseSigner
from deribit_rig import COMBO, DATED, PERPETUAL, deribit_paper, deribit_session
from deribit_rig import Signer as DeribitSigner
from dydx_rig import MARKET, dydx_paper, dydx_session
from fake_venue import FakeVenue
from fix_exchange import FixWire, fix_exchange, fix_session
from hyper_rig import PAIR as HYPER_PAIR
from hyper_rig import PERPETUAL as HYPER_PERPETUAL
from hyper_rig import hyper_paper, hyper_session
from hyper_server import ACCOUNT, AGENT, HyperServer, hyper_server
from kraken_rig import PAIR, kraken_paper, kraken_session
from kraken_rig import Signer as KrakenSigner
from paper import KEY, Door, paper, session
from usdm_rig import Signer as UsdmSigner
from usdm_rig import usdm_paper, usdm_session
from wire import OrdersWire

from agent.app.testvenue.futures import FuturesEngine
from agent.domain.ids import ClOrdId, child_id, parent_id, part_id
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder
from agent.ports import ExecutionVenue
from agent.transport.clock import SystemClock
from agent.transport.http import TimeOuts
from agent.venues.hyperliquid import FEED, VENUE, Hyperliquid
from keys.hyperliquid import action_hash, agent_digest
from keys.signer import hyperliquid as policy

D = Decimal
AT_ANY_PRICE = replace(BAND, market=True)
"""An owner who lets his signer sign sales without a price."""


def name_of(number: int) -> ClOrdId:
    """An id as orders get them; every venue must take it."""
    return part_id(child_id(parent_id("i-x"), number), "cex:x", 1)  # type: ignore[arg-type]


@dataclass
class Rig:
    """`near` and `far`: a price that takes, and one that rests below the book. `fill(name, qty)`: somebody trades with a resting bid there,
    and with all that stands before it. `lose_answer`: of the next order, after it took effect.

    `leverage`: where contracts are traded on margin; None where coins change hands. `sends_once`: its session gives an order that it once
    said to nobody again, whatever became of it. `acknowledges`: an order that may rest is answered before what it takes at once.
    `bounded`: its signer signs no purchase without a price. `orders_wire`: what orders go by where it is not HTTP. `door`: the admin side of the exchange, where it has one."""

    venue: ExecutionVenue
    idle: ExecutionVenue
    symbol: str
    near: Decimal
    far: Decimal
    off_grid: Decimal
    deep: Decimal
    fill: Callable[[ClOrdId, Decimal], Awaitable[None]]
    lose_answer: Callable[[], Awaitable[None]]
    orders_there: Callable[[], Awaitable[int]]
    leverage: int | None = None
    sends_once: bool = False
    acknowledges: bool = False
    bounded: bool = False
    orders_wire: OrdersWire | None = None
    door: Door | None = None
    times: TimeOuts = field(default_factory=TimeOuts)

    def hurried(self) -> None:
        """From here on it waits half a second for the answer to a write, and no longer as long as a busy machine may take."""
        object.__setattr__(self.times, "write_s", 0.5)

    def bid(
        self, number: int = 0, qty: str = "2", px: Decimal | None = None, ioc: bool = False
    ) -> VenueOrder:
        tif = TimeInForce.IOC if ioc else TimeInForce.GTC
        price = px or (self.near if ioc else self.far)
        return VenueOrder(name_of(number), self.symbol, Side.BUY, OrdType.LIMIT, tif, D(qty), price)


async def fill_at_paper(
    door: Door, venue: ExecutionVenue, name: ClOrdId, qty: Decimal, symbol: str = "ETHUSDC"
) -> None:
    bids = [(D(px), D(size)) for px, size in await door.bids()]
    before = sum((size for px, size in bids if px > D(2990)), D(0))
    there = sum((size for px, size in bids if px == D(2990)), D(0))
    mine = await venue.query(name, symbol)
    assert mine is not None
    first = there - (mine.order_qty - mine.cum_qty)
    await door.house("SELL", "2990", str(before + first + qty))


@asynccontextmanager
async def at_the_door(
    door: Door,
    real: ExecutionVenue,
    idle: ExecutionVenue,
    symbol: str = "ETHUSDC",
    request: str = "order.place",
) -> AsyncIterator[Rig]:
    """A session at the paper exchange, started and closed; `idle` reaches nobody."""

    async def fill(name: ClOrdId, qty: Decimal) -> None:
        await fill_at_paper(door, real, name, qty, symbol)

    async def lose() -> None:
        await door.fault(request, "reset_after")

    async def there() -> int:
        return len((await door.truth())["orders"])

    await real.start()
    yield Rig(real, idle, symbol, D(3100), D(2990), D("2990.001"), D(8000), fill, lose, there, door=door)
    await real.close()


@asynccontextmanager
async def spot() -> AsyncIterator[Rig]:
    async with paper() as door:
        idle, times = session("http://127.0.0.1:9"), TimeOuts()
        async with at_the_door(door, session(door.url, times), idle) as rig:
            yield replace(rig, times=times)
        await idle.close()


@asynccontextmanager
async def spot_by_fix() -> AsyncIterator[Rig]:
    """Orders, cancels and reports by FIX, with a drop copy beside; what is read goes by REST."""
    async with fix_exchange() as there:
        times = TimeOuts()
        real, idle = there.session(timeouts=times), fix_session("http://127.0.0.1:9", "tcp://127.0.0.1:9")
        async with at_the_door(there.door, real, idle, request="fix.order") as rig:
            yield replace(
                rig, sends_once=True, acknowledges=True, orders_wire=FixWire(there.fix), times=times
            )
        await idle.close()


@asynccontextmanager
async def family() -> AsyncIterator[Rig]:
    """The library's own Binance class at the paper exchange, its requests judged and signed as the signer does it."""
    async with paper() as door:
        times = TimeOuts()
        real = at_paper(door.url, timeouts=times)
        async with at_the_door(door, real, at_paper("http://127.0.0.1:9")) as rig:
            yield replace(rig, times=times)


def leveraged(door: Door, key: str = KEY) -> int:
    """Five times, so that all the money of the account is below what its signer allows of one order."""
    assert door.here is not None
    engine = door.here.venue.engine
    assert isinstance(engine, FuturesEngine)
    engine.leverage[key, "ETHUSDC"] = 5
    return 5


@asynccontextmanager
async def usdm() -> AsyncIterator[Rig]:
    async with usdm_paper() as door:
        idle, times = usdm_session("http://127.0.0.1:9"), TimeOuts()
        real = usdm_session(door.url, UsdmSigner(limit=AT_ANY_PRICE), timeouts=times)
        async with at_the_door(door, real, idle) as rig:
            yield replace(rig, leverage=leveraged(door), bounded=True, times=times)
        await idle.close()


@asynccontextmanager
async def deribit() -> AsyncIterator[Rig]:
    async with deribit_paper() as door:
        idle, times = deribit_session("http://127.0.0.1:9"), TimeOuts()
        real = deribit_session(door.url, DeribitSigner(limit=AT_ANY_PRICE), timeouts=times)
        async with at_the_door(door, real, idle, PERPETUAL) as rig:
            yield replace(rig, leverage=leveraged(door), sends_once=True, bounded=True, times=times)
        await idle.close()


@asynccontextmanager
async def coinbase() -> AsyncIterator[Rig]:
    async with coinbase_paper() as door:
        idle, times = coinbase_session("http://127.0.0.1:9"), TimeOuts()
        real = coinbase_session(door.url, CoinbaseSigner(limit=AT_ANY_PRICE), timeouts=times)
        async with at_the_door(door, real, idle, PRODUCT) as rig:
            yield replace(rig, sends_once=True, bounded=True, times=times)
        await idle.close()


@asynccontextmanager
async def kraken() -> AsyncIterator[Rig]:
    async with kraken_paper() as door:
        idle, times = kraken_session("http://127.0.0.1:9"), TimeOuts()
        real = kraken_session(door.url, KrakenSigner(limit=AT_ANY_PRICE), timeouts=times)
        async with at_the_door(door, real, idle, PAIR) as rig:
            yield replace(rig, sends_once=True, bounded=True, times=times)
        await idle.close()


@asynccontextmanager
async def dydx() -> AsyncIterator[Rig]:
    async with dydx_paper() as door:
        idle, times = dydx_session("http://127.0.0.1:9"), TimeOuts()
        real = dydx_session(door.url, timeouts=times)
        async with at_the_door(door, real, idle, MARKET) as rig:
            yield replace(rig, leverage=5, times=times)
        await idle.close()


@asynccontextmanager
async def memory() -> AsyncIterator[Rig]:
    fake = FakeVenue(SystemClock())

    async def fill(name: ClOrdId, qty: Decimal) -> None:
        book = await fake.book("ETHUSDC")
        before = sum((size for px, size in book.bids if px > D(2990)), D(0))
        there = sum((size for px, size in book.bids if px == D(2990)), D(0))
        mine = await fake.query(name, "ETHUSDC")
        assert mine is not None
        fake.house("SELL", "2990", str(before + there - (mine.order_qty - mine.cum_qty) + qty))

    async def lose() -> None:
        fake.next_submit.append("lost_after")

    async def there() -> int:
        return sum(1 for o in fake.venue.engine.orders.values() if o.account == "owner")

    await fake.start()
    idle = FakeVenue(SystemClock())
    yield Rig(fake, idle, "ETHUSDC", D(3100), D(2990), D("2990.001"), D(8000), fill, lose, there)


class HyperClock:
    def __init__(self, server: HyperServer) -> None:
        self._server = server

    def now_ns(self) -> int:
        return self._server.now_ms * 1_000_000

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.05))


@asynccontextmanager
async def hyper_account(times: TimeOuts | None = None) -> AsyncIterator[tuple[HyperServer, Hyperliquid]]:
    """A session whose signatures come from the signer's own policy and arithmetic."""
    async with hyper_server() as server:

        async def sign(method: str, path: str, payload: str) -> str:
            asked = policy.check(method, path, payload, now_ms=server.now_ms)
            nonce = server.now_ms + len(signed)
            signed.append(nonce)
            hashed = action_hash(asked.action, nonce, None, asked.expires_ms)
            raw = AGENT.sign(agent_digest(hashed, mainnet=False))
            return json.dumps({"nonce": nonce, "r": "0x" + raw[:32].hex(), "s": "0x" + raw[32:64].hex(), "v": raw[64]})  # fmt: skip

        signed: list[int] = []
        facts = replace(VENUE, audit_s=0.05)
        venue = Hyperliquid(
            facts,
            FEED,
            "hl",
            HyperClock(server),
            ACCOUNT,
            sign,
            server.url,
            None,
            times or TimeOuts(1.0, 0.5),
        )
        await venue.start()
        try:
            yield server, venue
        finally:
            await venue.close()


@asynccontextmanager
async def hyperliquid() -> AsyncIterator[Rig]:
    async with hyper_paper() as door:
        idle, times = hyper_session("http://127.0.0.1:9"), TimeOuts()
        async with at_the_door(door, hyper_session(door.url, timeouts=times), idle, HYPER_PAIR) as rig:
            yield replace(rig, off_grid=D("2990.12"), times=times)
        await idle.close()


@asynccontextmanager
async def hyperliquid_perpetuals() -> AsyncIterator[Rig]:
    async with hyper_paper(FuturesEngine) as door:
        idle, times = hyper_session("http://127.0.0.1:9"), TimeOuts()
        real = hyper_session(door.url, timeouts=times)
        async with at_the_door(door, real, idle, HYPER_PERPETUAL) as rig:
            yield replace(rig, off_grid=D("2990.12"), leverage=leveraged(door, ACCOUNT), times=times)
        await idle.close()


RIGS: dict[str, Callable[[], AbstractAsyncContextManager[Rig]]] = {
    "binance_spot": spot,
    "binance_usdm": usdm,
    "binance_spot by FIX": spot_by_fix,
    "ccxt": family,
    "coinbase": coinbase,
    "deribit": deribit,
    "kraken": kraken,
    "dydx": dydx,
    "memory": memory,
    "hyperliquid": hyperliquid,
    "hyperliquid perpetuals": hyperliquid_perpetuals,
}
COMBOS = {"deribit": (COMBO, {DATED: 1, PERPETUAL: -1}, D("12.30"), D("-5"))}
"""Of those that trade combos: one, its legs, a price that takes its whole book for a few, and one that rests."""
AT_PAPER = (
    "binance_spot",
    "binance_usdm",
    "binance_spot by FIX",
    "ccxt",
    "coinbase",
    "deribit",
    "dydx",
    "hyperliquid",
    "hyperliquid perpetuals",
    "kraken",
)
"""Those whose exchange is the paper exchange, with its switchboard of faults behind `door`."""
