"""Paradex' portfolio margin account, read whole by its REST API for agent/margin/paradex_pm.

Sources: the API reference's account (`account_value`, `maintenance_margin_requirement`), account/margin (`margin_methodology`), account/info
(`fees`), positions (`side`, `size`, `market`), markets (`asset_kind`, `option_type`, `strike_price`, `expiry_at`), markets/summary (`mark_price`,
`mark_iv`, `underlying_price`, `funding_rate`, of eight hours) and system/portfolio-margin-config. One underlying is computed; what lies in
another mode, of several underlyings or in perpetual options is said to be UNKNOWN.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from agent.domain.errors import Retry
from agent.domain.instruments import cex_id
from agent.domain.reports import Balance
from agent.domain.units import WIDE
from agent.venues import number
from agent.venues.ccxt.margin_document import (
    DIGITS,
    Row,
    documented,
    exact,
    maybe,
    positive,
    quotient,
    span,
    unread,
)

MODEL = "paradex_pm"
Call = Callable[[str, Mapping[str, str]], Awaitable[Any]]
DAY_MS = 86_400_000
SIGNS = {"LONG": 1, "SHORT": -1}
PARAMETERS = {
    "unhedged": "unhedged_margin_factor", "hedged": "hedged_margin_factor", "maintenance_factor": "mmf_factor",
}  # fmt: skip
VOLATILITY = {
    "short_power": "vega_power_short_dte", "long_power": "vega_power_long_dte", "days_floor": "dte_floor_days",
    "least_vol_up": "min_vol_shock_up",
}  # fmt: skip


async def read(call: Call, venue: str, at_s: int) -> Row:
    """`call` makes one of the library's own methods. Raises Retry, Reject as it; Usage MARGIN_UNREAD."""
    first = await _positions(call)
    if not first:
        return _document(venue, [], "", at_s)
    before = await call("privateGetAccount", {})
    markets = {name: await _market(call, name) for name in sorted({row["market"] for row in first})}
    mode = await call("privateGetAccountMargin", {"market": min(markets)})
    with documented("Paradex' markets"):
        bases = sorted({str(row["base_currency"]) for row, _ in markets.values()})
        strange = sorted({str(row["asset_kind"]) for row, _ in markets.values()} - {"PERP", "OPTION"})
        methodology = str(mode["margin_methodology"])
    account: dict[str, Any] = {"id": f"{venue} {' '.join(bases)}", "model": MODEL, "chain": f"cex:{venue}"}
    why = _why(methodology, bases, strange)
    if why:
        return _document(venue, [account | {"doubt": why}], bases[0], at_s)
    config = await _parameters(call, bases[0])
    fees = await call("privateGetAccountInfo", {})
    rows = await _positions(call)
    after = await call("privateGetAccount", {})
    if {_kind(row) for row in rows} != {_kind(row) for row in first}:
        raise Retry("MARGIN_MOVED", f"positions at {venue} changed while they were read", "ask again")
    with documented("Paradex' account"):
        account |= _figures(venue, bases[0], rows, markets, at_s * 1_000)
        account |= {
            "equity": number(exact(after["account_value"])),
            "perp_fee": number(max(exact(fees["fees"]["taker_rate"]), Decimal(0))),
            "option_fee": number(max(exact(fees["fees"]["dated_option_taker_rate"]), Decimal(0))),
            "parameters": config,
            "told": {
                "equity": span(exact(one["account_value"]) for one in (before, after)),
                "maintenance": span(exact(one["maintenance_margin_requirement"]) for one in (before, after)),
            },
        }
    return _document(venue, [account], bases[0], at_s)


async def balances(call: Call, venue: str) -> list[Balance]:
    """What was deposited, by token; what margin takes of it is not told apart."""
    told = await call("privateGetBalance", {})
    with documented("Paradex' balances"):
        return [Balance(cex_id(venue, str(row["token"])), exact(row["size"])) for row in told["results"] if exact(row["size"])]  # fmt: skip


def _why(methodology: str, bases: Sequence[str], strange: Sequence[str]) -> str:
    if methodology != "portfolio_margin":
        return f"the account is margined by {methodology[:40]}; portfolio margin alone is computed"
    if strange:
        return f"positions of {', '.join(strange)[:60]} are not computed"
    if len(bases) != 1:
        return f"positions of {', '.join(bases)[:60]} answer for one another, and one underlying is computed"
    return ""


async def _positions(call: Call) -> list[Row]:
    told = await call("privateGetPositions", {})
    with documented("Paradex' positions"):
        rows = [row for row in told["results"] if row.get("status", "OPEN") == "OPEN" and exact(row["size"])]
        for row in rows:
            SIGNS[row["side"]], str(row["market"])
        return rows


def _kind(row: Row) -> tuple[str, str, str]:
    return str(row["market"]), str(row["side"]), str(row["size"])


async def _market(call: Call, name: str) -> tuple[Row, Row]:
    """(what it is, how it stands)."""
    found = []
    for method in ("publicGetMarkets", "publicGetMarketsSummary"):
        told = await call(method, {"market": name})
        with documented(f"Paradex' market {name}"):
            rows = [row for row in told["results"] if row["symbol"] == name]
        if len(rows) != 1:
            raise unread(f"Paradex tells no market {name[:60]}")
        found.append(rows[0])
    return found[0], found[1]


async def _parameters(call: Call, base: str) -> dict[str, Any]:
    told = await call("publicGetSystemPortfolioMarginConfig", {})
    with documented("Paradex' portfolio margin parameters"):
        rows = [row for row in told["results"] if row["base_asset"] == base]
        if len(rows) != 1:
            raise unread(f"Paradex tells no portfolio margin parameters of {base[:20]}")
        (row,) = rows
        found: dict[str, Any] = {ours: number(exact(row[theirs])) for ours, theirs in PARAMETERS.items()}
        found |= {ours: number(exact(row["vol_shock_params"][theirs])) for ours, theirs in VOLATILITY.items()}
        names = ("spot_shock", "vol_shock", "weight")
        found["scenarios"] = [[number(exact(one[name])) for name in names] for one in row["scenarios"]]
        return found


def _figures(
    venue: str, base: str, rows: Sequence[Row], markets: Mapping[str, tuple[Row, Row]], now_ms: int
) -> dict[str, Any]:
    perps, options, rates, spots = list[list[str]](), list[list[str]](), set[Decimal](), list[Decimal]()
    for row in rows:
        what, how = markets[str(row["market"])]
        size, mark = SIGNS[row["side"]] * exact(row["size"]), positive(how["mark_price"])
        spots.append(positive(how["underlying_price"]))
        if what["asset_kind"] == "PERP":
            perps.append([number(size), number(mark), number(maybe(how.get("funding_rate")))])
            continue
        rates.add(maybe(how.get("interest_rate") or what.get("interest_rate")))
        letter = {"CALL": "C", "PUT": "P"}[what["option_type"]]
        days = quotient(Decimal(max(int(what["expiry_at"]) - now_ms, 0)), Decimal(DAY_MS))
        strike, vol = positive(what["strike_price"]), positive(how["mark_iv"])
        options.append([number(size), letter, number(strike), number(days), number(vol), number(mark)])
    if len(rates) > 1:
        raise ValueError("options with several interest rates")
    low, high = min(spots), max(spots)
    if WIDE.multiply(high - low, Decimal(2_000)) > high:
        raise ValueError(f"one underlying at {low} and {high}")
    return {
        "index": cex_id(venue, base),
        "index_px": number(high),
        "rate": number(next(iter(rates), Decimal(0))),
        "perps": perps,
        "options": options,
    }


def _document(venue: str, accounts: list[dict[str, Any]], base: str, at_s: int) -> Row:
    return {
        "fairlead": "accounts/1",
        "at": {f"cex:{venue}": {"timestamp": at_s}},
        "assets": [{"id": cex_id(venue, base), "symbol": base, "decimals": DIGITS}] if base else [],
        "accounts": accounts,
    }
