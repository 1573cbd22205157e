"""`--hedge carry` with the short at a perpetual of Hyperliquid's: hourly funding told by pages, its margin account watched, tranches, and an end."""

from __future__ import annotations

from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from hyper_rig import PERPETUAL, hyper_paper, hyper_session
from planned_contracts import Desk

from agent.app.jobs.carry import carry_of, is_inverse
from agent.app.jobs.facts import held
from agent.app.places import Directory
from agent.app.testvenue.futures import FuturesEngine, futures_of
from agent.app.watching.margins import judged_now
from agent.domain.instruments import Asset, AssetId
from agent.domain.orders import Side
from agent.hedging import carry
from agent.hedging.policy import State
from agent.margin.model import State as Is
from agent.transport.clock import SystemClock

D = Decimal
PERP, DOLLARS = AssetId(f"cex:paper/{PERPETUAL}"), AssetId("cex:paper/USDC-PERPS")
GIVEN = {
    "base": "ETH", "instrument": "ETH-PERP", "quote": "USDC", "size": "6", "tranche": "3", "keep": "0", "enter": "5", "cost_bps": "20",
    "hours": "900", "step": "0.01",
}  # fmt: skip
PX, HOUR_MS = {"ETH": D(3_000), "USDC": D(1)}, 3_600_000
KNOWN = Directory(
    {"ETH-PERP": (PERP,), "USDC": (DOLLARS,)},
    {PERP: Asset(PERP, "ETH-PERP", 8), DOLLARS: Asset(DOLLARS, "USDC", 8)},
)


class PerpDesk(Desk):
    """Dollars lie on the perpetuals' side."""

    def __init__(self, venue: Any) -> None:
        super().__init__(venue, PERP)
        self.market.directory = self.known = KNOWN
        self.booked = {PERP: D(0), DOLLARS: D(100_000)}


def paid(engine: Any, rate: str, hours: int = 900) -> None:
    now_ms = SystemClock().now_ns() // 10**6
    engine.funding["ETHUSDC"] = [
        (now_ms - n * HOUR_MS + 60_000, D(rate), D(3_000)) for n in range(hours, 0, -1)
    ]


async def test_it_is_begun_watched_and_ended_over_a_restart() -> None:
    async with hyper_paper(FuturesEngine) as door:
        assert door.here is not None
        engine = futures_of(door.here.venue.engine)
        long, ended = D(0), False
        for turn in range(9):  # every look is another session's: what stands is the exchange's own word
            venue = hyper_session(door.url)
            await venue.start()
            try:
                app: Any = SimpleNamespace(
                    venues={"paper": venue}, directory=KNOWN, clock=SystemClock(), chains={}, unreachable={}, pretended={},
                    settings=SimpleNamespace(chains=(), venue=lambda name: SimpleNamespace(symbols=(PERPETUAL,))),
                )  # fmt: skip
                paid(engine, "-0.00001" if ended else "0.00005")
                assert not await is_inverse(app, GIVEN)
                told = await carry_of(app, GIVEN)
                assert told is not None
                assert told.yearly == (D("-0.00001") if ended else D("0.00005")) * 8_760, (
                    "all 900 hours, by pages"
                )
                short = await held(app, ["ETH-PERP"], "USDC")
                assert (told.room is None) == (not short["ETH-PERP"])
                wishes = carry.decide(
                    GIVEN, State(0, PX, {"ETH": long, **short, "USDC": D(90_000)}, carry=told)
                ).wishes
                if not wishes:
                    if ended:
                        break
                    assert long == 6 and short["ETH-PERP"] == -6
                    (account,) = await judged_now(venue)
                    assert (account.model, account.state) == ("hyperliquid", Is.SAFE)
                    ended = True
                    continue
                (wish,) = wishes
                if wish.base == "ETH":
                    long += wish.qty if wish.side is Side.BUY else -wish.qty
                else:
                    one = PerpDesk(venue)
                    one.sent = turn
                    await one.trade(wish.side, f"{wish.qty:f}")
                assert abs(long + (await held(app, ["ETH-PERP"], "USDC"))["ETH-PERP"]) <= 3
            finally:
                await venue.close()
        assert (
            ended and long == 0 and engine.position(next(iter(door.here.venue.accounts)), "ETHUSDC").qty == 0
        )
