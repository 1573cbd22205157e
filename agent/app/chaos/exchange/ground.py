"""An exchange of a lane's own, on loopback, and the clock that it and its client share: quicker than the wall's, so that an order's
fifteen seconds of doubt take a fraction of one."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from aiohttp import web
from Crypto.PublicKey import ECC

from agent.app.chaos.exchange.dialects import ENGINES_SYMBOL, RATE, SECRET, Dialect
from agent.app.testvenue.book import Order
from agent.app.testvenue.engine import NewOrder
from agent.app.testvenue.fix import FixServer
from agent.app.testvenue.limits import Limits
from agent.app.testvenue.liquidity import Maker, seeded_levels
from agent.app.testvenue.server import Server
from agent.app.testvenue.spec import VenueError
from agent.app.testvenue.venue import Account, Venue

SPEED = 12
SYMBOL = ENGINES_SYMBOL


@dataclass(frozen=True, slots=True)
class QuickClock:
    """`speed` seconds in each of the wall's since `since_ns`: every process that knows both reads the same time."""

    since_ns: int
    speed: int = SPEED

    def now_ns(self) -> int:
        return self.since_ns + (time.time_ns() - self.since_ns) * self.speed

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self.speed)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One server, its address, and the house's hand in it."""

    server: Server
    url: str
    fix_url: str
    clock: QuickClock
    key: str

    def refill(self) -> None:
        """What earlier cases took stands there again."""
        self.server.venue.tick()

    def resting(self) -> list[Order]:
        return self.server.venue.engine.open_orders(self.key, SYMBOL)

    def trade_with(self, order: Order, share: Decimal) -> None:
        """Somebody else's order against it, over whatever stands before it: so much of what is left of it is filled."""
        engine = self.server.venue.engine
        spec, book = engine.specs[SYMBOL], engine.books[SYMBOL]
        wanted = order.remaining * share
        wanted -= wanted % spec.lot
        if wanted <= 0 or not order.resting:
            return
        before = Decimal(0)
        for px in book.own(order.side).prices():
            queue = book.own(order.side).at(px)
            if px == order.px:
                before += sum((o.tip for o in queue[: queue.index(order)]), Decimal(0))
                break
            before += sum((o.tip for o in queue), Decimal(0))
        side = "SELL" if order.side == "BUY" else "BUY"
        name = f"house-{order.order_id}-{len(engine.trades)}"
        request = NewOrder(
            "house", SYMBOL, name, side, "LIMIT", "IOC", order.px, before + wanted, None, "NONE"
        )
        self.server.venue.place(request)

    def end(self, order: Order) -> None:
        """The exchange cancels it of its own accord."""
        try:
            self.server.venue.cancel(order)
        except VenueError:
            return  # it ended meanwhile


def key_of_sessions() -> ECC.EccKey:
    """The account's key for FIX, the same in every process."""
    seed: Any = hashlib.sha256(SECRET.encode()).digest()  # bytes, which its annotations do not know
    return ECC.construct(curve="Ed25519", seed=seed)


@asynccontextmanager
async def exchange(seed: int, clock: QuickClock, dialect: Dialect) -> AsyncIterator[Exchange]:
    """In that dialect, with a door for FIX where Binance has one."""
    spec = dialect.spec
    maker = Maker(spec, seeded_levels(spec, seed), seed, breathing=False)
    engine = dialect.engine([spec], RATE, RATE)
    account = Account(dialect.key, dialect.secret, dialect.deposits)
    server = dialect.server(
        Venue(engine, [account], [maker], lambda: clock.now_ns() // 10**6),
        Limits(weight_limit=10**9, order_limit=10**6),
    )
    server.speed = clock.speed
    fix = None if dialect.server is not Server else FixServer(server, {dialect.key: key_of_sessions().public_key().export_key(format="PEM")})  # fmt: skip
    fix_url = "" if fix is None else f"tcp://127.0.0.1:{await fix.start()}"
    runner = web.AppRunner(server.app(), access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield Exchange(server, f"http://127.0.0.1:{runner.addresses[0][1]}", fix_url, clock, dialect.key)
    finally:
        server.closing.set()
        if fix is not None:
            await fix.close()
        await runner.cleanup()
