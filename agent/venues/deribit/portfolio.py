"""One currency's portfolio-margined account at Deribit as accounts/1, for agent/margin/deribit_pm.

Sources: the API reference's private/pme/simulate (`model_params`, `portfolio`, `margins`, `ticker`, `index_price`; with nothing simulated it
tells of the account as it is) and public/get_book_summary_by_currency (`mark_iv` in per cent, `underlying_price`). Accounts that are settled
in their own coin are computed; what is settled in dollars answers for several underlyings at once, how is not published.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from decimal import ROUND_FLOOR, Decimal
from typing import Any

from agent.domain.errors import Retry
from agent.domain.instruments import cex_id
from agent.domain.units import WIDE
from agent.market.reading import above_zero, understood
from agent.market.reading import name as text_of
from agent.market.reading import number as exact
from agent.venues import number

Read = Callable[[str, Mapping[str, str]], Awaitable[Any]]
MODEL = "deribit_pm"
PORTFOLIO = "segregated_pm"
COINS = frozenset({"BTC", "ETH"})
"""Whose matrix private/pme/simulate tells of one underlying."""
DAY_MS = Decimal(86_400_000)
PLACES = Decimal("1e-12")
_CONTRACT = re.compile(
    r"(?P<coin>[A-Z]+)-(?:PERPETUAL|(?P<day>\d{1,2}[A-Z]{3}\d{2})(?:-(?P<strike>\d+)-(?P<kind>[CP]))?)"
)
_PAIR = {
    "price_range": "price_range", "vol_up": "volatility_range_up", "vol_down": "volatility_range_down",
    "short_power": "short_term_vega_power", "long_power": "long_term_vega_power",
    "least_vol_up": "min_volatility_for_shock_up", "table_factor": "extended_table_factor",
}  # fmt: skip
_CURRENCY = {
    "dampener": "extended_dampener",
    "roll_least": "min_annualised_move",
    "roll_risk": "annualised_move_risk",
}


def settled_in(instrument: str) -> str:
    """The coin in which a contract of it is settled; "" for what is settled in dollars, or is none."""
    found = _CONTRACT.fullmatch(instrument)
    return found["coin"] if found is not None else ""


async def read(
    private: Read, public: Read, venue: str, held: Mapping[str, tuple[Any, list[Any]]], now_ms: int
) -> dict[str, dict[str, Any]]:
    """The accounts of those currencies, each (summary, positions), whose matrix is told. Raises Retry, Reject as its reads, and as `account`."""
    found = {}
    for coin in sorted(COINS & set(held)):
        summary, rows = held[coin]
        simulated = await private("pme/simulate", {"currency": coin})
        asked = {"currency": coin, "kind": "option"}
        books = await public("get_book_summary_by_currency", asked) if _has_options(rows) else ()
        found[coin] = account(venue, summary, rows, simulated, books, now_ms)
    return found


def _has_options(rows: Any) -> bool:
    with understood("get_positions"):
        return any(_parts(text_of(row["instrument_name"]))["kind"] for row in rows)


def account(
    venue: str, summary: Mapping[str, Any], rows: Any, simulated: Any, summaries: Any, now_ms: int
) -> dict[str, Any]:
    """`rows` of get_positions that are settled in its currency, `summaries` of its options' books. Raises Retry MARGIN_MOVED where positions
    changed meanwhile; Halt VENUE_DIALECT."""
    with understood("pme/simulate"):
        currency = text_of(summary["currency"])
        told = {"id": f"{venue} {currency}", "model": MODEL, "chain": f"cex:{venue}"}
        held = {text_of(k): exact(v) for k, v in simulated["portfolio"]["position"].items() if exact(v)}
        open_now = {text_of(row["instrument_name"]) for row in rows if exact(row["size"])}
        if set(held) != open_now:
            raise Retry("MARGIN_MOVED", f"positions at {venue} changed while they were read", "ask again")
        margins = simulated["margins"][currency.lower()]
        asked = margins["initial_margin_details"]["risk_matrix_margin_details"]
        if why := _why(simulated, asked):
            return told | {"doubt": why}
        pair = f"{currency.lower()}_usd"
        px = above_zero(simulated["index_price"][pair])
        kept = exact(margins["maintenance_margin"])
        futures, options = _contracts(held, simulated["ticker"], summaries, now_ms)
        usd = number(WIDE.multiply(kept, px))
        return told | {
            "index": cex_id(venue, currency),
            "index_px": number(px),
            "settle": "coin",
            "equity": number(min(exact(summary["equity"]), exact(summary["margin_balance"]))),
            "futures": futures,
            "options": options,
            "parameters": _parameters(simulated["model_params"], currency.lower(), pair),
            "stated_maintenance": number(kept),
            "stated_roll": number(exact(asked["roll_shock"])),
            "told": {"maintenance": [usd, usd]},
        }


def _why(simulated: Mapping[str, Any], asked: Mapping[str, Any]) -> str:
    """Which part of the margin is not computed here, "" where all of it is."""
    if len(simulated["aggregated_risk_vectors"]) != 1:
        return "several underlyings answer for one another, and one is computed"
    if simulated["portfolio"].get("currency"):
        return "spot is counted into its matrix, which is not computed"
    for part, words in (
        ("delta_shock", "a large delta"),
        ("correlation_contingency", "underlyings that differ"),
    ):
        if exact(asked[part]):
            return f"the exchange asks for {words}, which is not computed"
    return ""


def _contracts(
    held: Mapping[str, Decimal], ticker: Mapping[str, Any], summaries: Any, now_ms: int
) -> tuple[list[list[str]], list[list[str]]]:
    books = {text_of(row["instrument_name"]): row for row in summaries}
    futures, options = [], []
    for name, size in sorted(held.items()):
        parts = _parts(name)
        days = _days(parts["day"], now_ms)
        if parts["kind"]:
            book = books[name]
            vol = number(WIDE.divide(above_zero(book["mark_iv"]), Decimal(100)))
            forward = number(above_zero(book["underlying_price"]))
            options.append([number(size), parts["kind"], parts["strike"], days, vol, forward])
        else:
            mark = number(above_zero(ticker[name]["mark_price"]))
            futures.append([number(size), mark, days] if days else [number(size), mark])
    return futures, options


def _parts(name: str) -> Mapping[str, str]:
    found = _CONTRACT.fullmatch(name)
    if found is None:
        raise ValueError(f"{name[:40]} is no contract that is settled in its coin")
    return {key: value or "" for key, value in found.groupdict().items()}


def _days(day: str, now_ms: int) -> str:
    """To eight in the morning of that day, UTC; "" for a perpetual. A contract that is being settled has a breath left."""
    if not day:
        return ""
    ends = datetime.strptime(f"{day.title()} 08", "%d%b%y %H").replace(tzinfo=UTC)
    left = WIDE.divide(Decimal(int(ends.timestamp()) * 1000 - now_ms), DAY_MS)
    return number(max(left.quantize(PLACES, ROUND_FLOOR, WIDE), PLACES))


def _parameters(params: Mapping[str, Any], currency: str, pair: str) -> dict[str, Any]:
    general, of_pair, of_coin = (
        params["general"],
        params["currency_pair"][pair],
        params["currency"][currency],
    )
    if exact(general["vol_scenarios_count"]) != 3:
        raise ValueError("it is no matrix of three volatilities")
    found = {ours: number(exact(of_pair[theirs])) for ours, theirs in _PAIR.items()}
    found |= {ours: number(exact(of_coin[theirs])) for ours, theirs in _CURRENCY.items()}
    found |= {
        "maintenance_factor": number(exact(general["mm_factor"])),
        "option_contingency": "0",
        "future_contingency": "0",
    }
    return found | {"steps": int(exact(general["buckets_count"]))}
