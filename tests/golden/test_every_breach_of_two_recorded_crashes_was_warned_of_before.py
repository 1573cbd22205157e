"""The crashes of 17 August 2023, minute by minute, and of March 2020, hour by hour, with loans in place under every lending model.

The integer models tell each loan's health at each step; a referee of 28 digits says when it fell. Who watches is the policy of
`fairlead health --alert` itself, or the threshold of a rescue's `warn`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from crash_loans import KINDS, Loan, Moment
from hourly_candles import candles
from recordings import recording, unpacked

from agent.app.health_alerts import News, sift
from agent.app.settings_rescue import RescueTable
from agent.margin.model import Side, State, state_of

CRASH = "2023-08-17"
TOKENS = {
    "WETH": "0x7ceb23fd6bc0add59e62ac25578270cff1b9f619",
    "USDC": "0x2791bca1f2de4661ed88a30c99a7a9449aa84174",
}
DUST = Decimal("1e-7")
"""What flooring and three terms of a series may move a health by, here."""
WAD = 10**18


# ---- the recordings


def table(name: str) -> Iterable[dict[str, str]]:
    return csv.DictReader(io.StringIO(unpacked(recording("minute-series", name)).decode()))


def ray(text: str) -> int:
    return int(Fraction(text) * 10**27)


def minutes(since: str, until: str) -> list[Moment]:
    """The coin's price and Aave's own indexes and rates on Polygon, by the minute of that day."""
    told: dict[str, dict[str, tuple[int, int, int, int]]] = {}
    for symbol, token in TOKENS.items():
        for row in table(f"polygon-aave_v3-{token}-{CRASH}.minute.csv.zst"):
            if since <= row["block_timestamp"][11:16] <= until:
                keys = ("liquidity_index", "variable_borrow_index", "liquidity_rate", "variable_borrow_rate")
                a, b, c, d = (ray(row[key]) for key in keys)
                told.setdefault(row["block_timestamp"], {})[symbol] = (a, b, c, d)
    found = []
    for row in table("price_weth_usdc_0813_0817.csv.zst"):
        at = row[""]
        if at in told and len(told[at]) == len(TOKENS):
            time_s = int(datetime.fromisoformat(at).replace(tzinfo=UTC).timestamp())
            found.append(Moment(time_s, int(Fraction(row["WETH"]) * 10**8), told[at]))
    return sorted(found, key=lambda m: m.time_s)


def hours(since: str, until: str) -> list[tuple[int, tuple[int, int, int, int]]]:
    """(time, (open, high, low, close) in 1e-8 dollars) of ether."""
    first, last = (
        datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 10**6 for day in (since, until)
    )
    rows = candles("binance-ETHUSDT-1h.parquet", ("Date", "open", "high", "low", "close"))
    return [
        (row[0] // 10**6, tuple(round(px * 100) * 10**6 for px in row[1:]))
        for row in rows
        if first <= row[0] < last
    ]  # type: ignore[misc]


# ---- what is held against them


class Watched:
    """A book through a replay: each loan's first step of a breach, of an alert before it, and that of the breach."""

    def __init__(self, loans: Sequence[Loan], moments: Sequence[Moment]) -> None:
        self.loans, self.moments = loans, moments
        self.factors: dict[str, list[int]] = {loan.name: [] for loan in loans}
        self.exact: dict[str, list[Decimal]] = {loan.name: [] for loan in loans}
        self.alerts: dict[str, list[tuple[int, State]]] = {loan.name: [] for loan in loans}
        told: dict[str, dict[str, Any]] = {}
        for step, now in enumerate(moments):
            news = []
            for loan in loans:
                factor, exact = loan.factor(now), loan.exact(now)
                assert abs(Decimal(factor).scaleb(-18) / exact - 1) < DUST, (loan.name, now)
                self.factors[loan.name].append(factor)
                self.exact[loan.name].append(exact)
                news.append(News(loan.name, state_of(factor), ""))
            due, told = sift(news, told, now.time_s)
            for one in due:
                self.alerts[one.account].append((step, one.state))

    def breaches(self) -> dict[str, int]:
        """Loan to the first step at which the referee says that it has fallen; the integers say the same, to a dust."""
        found = {}
        for loan in self.loans:
            exact = self.exact[loan.name]
            steps = [n for n, health in enumerate(exact) if health < 1]
            integers = [n for n, factor in enumerate(self.factors[loan.name]) if factor < WAD]
            unsure = [n for n, health in enumerate(exact) if abs(health - 1) < DUST]
            assert set(steps) ^ set(integers) <= set(unsure), loan.name
            if integers:
                found[loan.name] = integers[0]
        return found

    def warned_at(self, name: str, threshold_1e18: int) -> int | None:
        """The first step at which that threshold was passed."""
        return next((n for n, f in enumerate(self.factors[name]) if f < threshold_1e18), None)


def held(watched: Watched, breaches: dict[str, int]) -> None:
    """Every breach has an alert before it and one of its own; who never fell was never told to have; the price told was that of the fall."""
    for loan in watched.loans:
        alerts, fell = watched.alerts[loan.name], breaches.get(loan.name)
        if fell is None:
            assert State.LIQUIDATABLE not in {state for _, state in alerts}, loan.name
            continue
        assert any(step < fell and state is State.AT_RISK for step, state in alerts), (
            loan.name,
            alerts,
            fell,
        )
        assert (fell, State.LIQUIDATABLE) in alerts, loan.name
        before = watched.moments[fell - 1]
        health = loan.model.health(loan.account(before), before.time_s)
        (told,) = [px for px in health.liquidation_px if px.asset == "weth"]
        assert told.px_raw is not None and health.state is not State.LIQUIDATABLE
        scale = {"maker_vault": 10**10, "morpho_blue": 10**16}.get(loan.kind, 1)
        px, last = (watched.moments[n].px_1e8 * scale for n in (fell, fell - 1))
        # A minute's interest may bring the fall a little nearer than the price that was told the minute before.
        if told.side is Side.BELOW:
            assert last > told.px_raw and px <= told.px_raw * (1 + 1e-6), loan.name
        else:
            assert last < told.px_raw and px >= told.px_raw * (1 - 1e-6), loan.name


def book(kinds: Iterable[str], begun: Moment, healths: Iterable[Fraction]) -> list[Loan]:
    return [Loan(f"{kind} {float(h)}", kind, begun, h) for kind in kinds for h in healths]


def through_the_minutes(until: str, healths: Sequence[Fraction], calm: int) -> dict[str, int]:
    """Every minute of the evening, and every `calm`-th before it."""
    moments = minutes("00:00", until)
    moments = moments[: 21 * 60 : calm] + moments[21 * 60 :]
    low = min(range(len(moments)), key=lambda n: moments[n].px_1e8)
    assert moments[low].px_1e8 == 159_516_000_000  # the recorded low of that evening, 21:45
    down = Watched(book([k for k in KINDS if k != "short"], moments[0], healths), moments)
    # Who went short at the low is liquidated by the way back.
    rest = moments[low:]
    up = Watched(book(["short"], rest[0], [Fraction(n, 1000) for n in (1006, 1012, 1050, 1200)]), rest)
    fell = {}
    for watched in (down, up):
        found = watched.breaches()
        held(watched, found)
        fell |= found
    return fell


def test_the_minutes_of_august_2023() -> None:
    fell = through_the_minutes("22:30", [Fraction(n, 100) for n in (104, 108, 112, 115)], 30)
    assert len(fell) >= 15 and not any(name.endswith("1.15") for name in fell), fell
    assert {name.split()[0] for name in fell} == set(KINDS)


@pytest.mark.full
def test_all_minutes_of_that_day() -> None:
    through_the_minutes("23:59", [Fraction(n, 1000) for n in range(1005, 1160, 5)], 1)


def test_the_hours_of_march_2020() -> None:
    recorded = hours("2020-03-12", "2020-03-14")
    assert len(recorded) == 48
    healths = [Fraction(n, 100) for n in (118, 126, 134, 160, 200, 235)]
    # Between an hour's recorded points prices are taken to have gone evenly, in steps of three minutes: high first, as it hurts more.
    even = list[Moment]()
    for time_s, (first, high, low, last) in recorded:
        for k, (a, b) in enumerate(((first, high), (high, low), (low, last))):
            even += [Moment(time_s + 1200 * k + 180 * n, a + (b - a) * n // 6) for n in range(6)]
    kinds = ("aave_v3_0", "compound_v3", "morpho_blue", "maker_vault")
    watched = Watched(book(kinds, even[0], healths), even)
    fell = watched.breaches()
    held(watched, fell)
    assert len(fell) == 5 * len(kinds), fell

    # Looked at once an hour, a quarter of the price is gone between two looks: what is told below 1.25 comes too late for some,
    # and below 1.35 for none.
    coarse = [Moment(time_s + 3600, low) for time_s, (_, _, low, _) in recorded]
    coarse.insert(0, Moment(recorded[0][0], recorded[0][1][0]))
    levels = [Fraction(n, 100) for n in range(112, 240, 4)]
    hourly = Watched(book(("aave_v3_6",), coarse[0], levels), coarse)
    late: dict[str, list[str]] = {}
    for level in ("1.25", "1.35"):
        for name, step in hourly.breaches().items():
            warned = hourly.warned_at(name, int(Fraction(level) * WAD))
            assert warned is not None and warned <= step
            if warned == step:
                late.setdefault(level, []).append(name)
    assert set(late) == {"1.25"} and len(late["1.25"]) < len(hourly.breaches()) / 4, late
    assert RescueTable.model_fields["warn"].default <= Fraction(5, 4)
