"""A watch over several margin accounts of one exchange: what one of them comes to grief by is told after the others had their turn; and an order
that the exchange does not show yet is waited for, so that none is planned on a position of before."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from manual_clock import ManualClock
from margin_book import every_model

from agent.app.rescue import exchange, hedge
from agent.app.rescue.margin_watch import MarginWatch
from agent.app.settings_rescue import MarginRescueTable
from agent.domain.errors import Reject, Retry
from agent.margin.reducing import Cut
from agent.ports import VenueInstrument
from agent.venues.binance_usdm import margin

SYMBOLS = ("BTCUSDT", "ETHUSDC")
RULE = MarginRescueTable(name="short", venue="usdm", most_usd=Decimal(1))


class Exchange:
    """Two margin assets, each with a short that is near its liquidation; `shows`: the size of the one in ETHUSDC at each asking."""

    def __init__(self, shows: tuple[str, ...] = ("-10",)) -> None:
        self.shows, self.asked = list(shows), 0

    async def margin(self) -> Mapping[str, Any]:
        self.asked += 1
        eth = self.shows.pop(0) if len(self.shows) > 1 else self.shows[0]
        rows = [
            {"symbol": s, "positionAmt": size, "entryPrice": "3000", "markPrice": "3000", "isolatedWallet": "0", "isolatedMargin": "0",
             "marginAsset": s[3:]}
            for s, size in (("BTCUSDT", "-10"), ("ETHUSDC", eth))
        ]  # fmt: skip
        tier = [{"notionalFloor": 0, "maintMarginRatio": Decimal("0.01"), "cum": 0}]
        wallets = [{"asset": asset, "crossWalletBalance": "400"} for asset in ("USDT", "USDC")]
        return margin.document("usdm", wallets, rows, [{"symbol": s, "brackets": tier} for s in SYMBOLS], 0)

    async def instruments(self) -> list[VenueInstrument]:
        lot = Decimal("0.001")
        return [
            VenueInstrument(s, s[:3], s[3:], lot, lot, lot, lot, Decimal(5), Decimal(2), "linear")
            for s in SYMBOLS
        ]


class Desk:
    """The record alone: nothing is in flight."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock, self.journal = clock, self
        self.book = SimpleNamespace(parents={}, alarms=[])
        self.alarms: list[tuple[str, str]] = []

    async def record(self, event: Any) -> None:
        self.alarms.append((event.code, event.message))


def app_of(venue: Exchange, clock: ManualClock, *named: str) -> Any:
    directory = SimpleNamespace(symbols={f"cex:usdm/{s}": s for s in named})
    return SimpleNamespace(venues={"usdm": venue}, unreachable={}, directory=directory, clock=clock)


async def test_the_second_account_is_looked_at_where_the_first_may_not_be_helped() -> None:
    clock = ManualClock()
    desk = Desk(clock)
    # One lot of the first is worth more than `most_usd`; the contract of the other is not among the settings' assets.
    for named, over in ((SYMBOLS[1:], "usdm USDT"), (SYMBOLS[:1], "usdm USDC")):
        desk.alarms.clear()
        watch = MarginWatch(app_of(Exchange(), clock, *named), desk, RULE, Decimal(200), lambda line: None)  # type: ignore[arg-type]
        with pytest.raises(Reject) as told:
            await watch.step()
        assert told.value.code == "RESCUE_OVER_LIMIT" and "most_usd" in told.value.message
        assert [text for code, text in desk.alarms if code == "RESCUE_NEAR"].__len__() == 2
        (impossible,) = [text for code, text in desk.alarms if code == "RESCUE_IMPOSSIBLE"]
        assert impossible.startswith(over)


async def test_an_account_that_is_judged_but_not_made_smaller_here_is_told_of_all_the_same() -> None:
    class Chain(Exchange):
        async def margin(self) -> Mapping[str, Any]:
            found = every_model()
            (one,) = [a for a in found["accounts"] if a["id"] == "unified"]
            (held,) = one["assets"]
            return found | {
                "accounts": [one | {"assets": [held | {"equity": "0.25"}]}]
            }  # 712.50 on 600 to keep

    clock = ManualClock()
    desk = Desk(clock)
    watch = MarginWatch(app_of(Chain(), clock), desk, RULE, Decimal(200), lambda line: None)  # type: ignore[arg-type]
    await watch.step()
    assert [code for code, _ in desk.alarms] == ["RESCUE_NEAR", "RESCUE_IMPOSSIBLE"]
    assert "the kind binance_pm are judged here, not made smaller" in desk.alarms[1][1]


async def test_an_order_is_over_when_the_exchange_shows_it() -> None:
    clock = ManualClock()
    venue = Exchange(("-10", "-10", "-10", "-4"))
    app = app_of(venue, clock, *SYMBOLS)
    (one,) = [found for found in await exchange.exposed(app, RULE) if found.name == "usdm USDC"]
    cut = Cut("cex:usdm/ETHUSDC", Fraction(6), True, Fraction(18_000))
    await exchange.shown(app, one, cut)
    assert venue.asked == 4
    never = app_of(Exchange(), clock, *SYMBOLS)
    with pytest.raises(Retry) as told:
        await exchange.shown(never, one, cut)
    assert told.value.code == "MARGIN_NOT_SHOWN" and told.value.hint


@pytest.mark.parametrize(
    ("most", "room", "qty"),
    [("20000", None, "6"), ("18000", None, "6"), ("17999.99", None, "5.999"), ("4", None, "0.001"), ("2", None, None), ("9", None, "0.003"),
     ("20000", "9001", "3"), ("20000", "2.9", None), ("20000", "-3", None)],
)  # fmt: skip
async def test_of_an_order_that_is_too_large_as_many_lots_are_done_as_the_limits_allow(
    most: str, room: str | None, qty: str | None
) -> None:
    rule = RULE.model_copy(update={"most_usd": Decimal(most), "per_day_usd": room and Decimal(30_000)})
    app = app_of(Exchange(), ManualClock(), *SYMBOLS)
    (one,) = [found for found in await exchange.exposed(app, rule) if found.name == "usdm USDC"]
    cut = Cut("cex:usdm/ETHUSDC", Fraction(6), True, Fraction(18_000))
    left = Decimal(room) if room is not None else None
    if qty is None:
        with pytest.raises(Reject) as told:
            exchange.allowed(one, cut, left)
        assert told.value.code == "RESCUE_OVER_LIMIT" and "per_day_usd" in told.value.hint
        return
    found = exchange.allowed(one, cut, left)
    assert found == Cut(cut.asset, Fraction(qty), True, Fraction(qty) * 3_000)


async def test_an_account_whose_contracts_are_not_traded_is_told_once_and_left() -> None:
    """As at an exchange whose contracts are judged, and which trades spot pairs alone."""
    clock = ManualClock()
    desk, venue = Desk(clock), Exchange()
    app = app_of(venue, clock, *SYMBOLS)

    async def spot_alone() -> list[VenueInstrument]:
        lot = Decimal("0.01")
        return [VenueInstrument("PURR/USDC", "PURR", "USDC", lot, lot, lot, lot, Decimal(5), Decimal(2))]

    venue.instruments = spot_alone  # type: ignore[method-assign]
    watch = MarginWatch(app, desk, RULE, Decimal(200), lambda line: None)  # type: ignore[arg-type]
    for _ in range(3):
        await watch.step()
    assert [code for code, _ in desk.alarms] == ["RESCUE_NEAR", "RESCUE_IMPOSSIBLE"] * 2
    assert all(
        "bring margin, or close by hand" in text for code, text in desk.alarms if code == "RESCUE_IMPOSSIBLE"
    )


async def test_what_cannot_be_made_smaller_is_to_be_hedged_elsewhere_by_what_is_open_of_the_coin(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    desk = Desk(clock)
    rule = RULE.model_copy(update={"hedge_at": "other", "hedge_with": "ETH-PERP"})
    app = app_of(Exchange(), clock)
    daemon, journal = SimpleNamespace(jobs_database=None, jobs_store=tmp_path / "jobs.db"), tmp_path / "j.db"
    app.settings = SimpleNamespace(daemon=daemon, journal=SimpleNamespace(path=journal))
    watch = MarginWatch(app, desk, rule, Decimal(200), lambda line: None)  # type: ignore[arg-type]
    await watch.step()
    await clock.sleep(0.01)
    codes = [code for code, _ in desk.alarms]
    assert codes.count("RESCUE_IMPOSSIBLE") == 2 and codes.count("HEDGE_IMPOSSIBLE") == 1, "one hedge a rule"
    assert "other takes no orders here" in desk.alarms[-1][1]
    told = {one.name: hedge.of_margin(app, one).exposed_usd for one in await exchange.exposed(app, rule)}
    assert told == {"usdm USDT": 0, "usdm USDC": Decimal(-30_000)}, "short 10 ETH; the other is of BTC"
