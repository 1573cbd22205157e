"""OKX's multi-currency margin, read whole by its REST API (v5) for agent/margin/okx_multi.

Sources: the API guide's account/config (`acctLv`), account/balance (`cashBal`, `interest`, `crossLiab`, `coinUsdPrice`; of the whole `adjEq`,
`mmr`, `mgnRatio`), account/positions, account/trade-fee, public/instruments (`ctVal`, `ctMult`, `ctType`), public/position-tiers (contracts
by instFamily; borrowing by ccy) and public/discount-rate-interest-free-quota. Balance in cross margin: cashBal, less accrued interest; profits
come on top, isolated positions have margin of their own (help page on multi-currency margin, currency formulas).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from agent.domain.errors import Retry
from agent.domain.units import WIDE
from agent.venues import number
from agent.venues.ccxt.margin_document import (
    Account,
    Coin,
    Held,
    Row,
    bounds,
    document,
    documented,
    exact,
    maybe,
    positive,
    span,
    unread,
)

MODEL = "okx_multi"
Call = Callable[[str, Mapping[str, str]], Awaitable[Any]]
MULTI_CURRENCY = "3"
LEVELS = {"1": "spot", "2": "futures", "4": "portfolio margin"}
CONTRACTS = ("SWAP", "FUTURES")


async def read(call: Call, venue: str, at_s: int) -> Row:
    """`call` makes one of the library's own methods. Raises Retry, Reject as it; Usage MARGIN_UNREAD."""
    config = await _one(call, "privateGetAccountConfig")
    with documented("OKX's account"):
        level = str(config["acctLv"])
    rows = await _positions(call)
    tables = await _tables(call, rows)
    before = await _one(call, "privateGetAccountBalance")
    positions = await _positions(call)
    after = await _one(call, "privateGetAccountBalance")
    with documented("OKX's balance"):
        owing = [row for row in before["details"] if _loan(row)]
        if not positions and not owing:
            return document(venue, MODEL, (), at_s)
        if level != MULTI_CURRENCY:
            why = f"the account is in {LEVELS.get(level, f'mode {level}')} mode; multi-currency margin alone is computed"
            return document(venue, MODEL, [Account("account", doubt=why)], at_s)
    if {_kind(row) for row in positions} != {_kind(row) for row in rows}:
        raise Retry("MARGIN_MOVED", f"positions at {venue} changed while they were read", "ask again")
    prices = await _prices(call, before, tables)
    with documented("OKX's positions"):
        crossed = [row for row in positions if row["mgnMode"] == "cross"]
        alone = [row for row in positions if row["mgnMode"] != "cross"]
    found = [_isolated(row, tables, prices) for row in alone]
    if crossed or owing:
        found.insert(0, await _cross(call, crossed, tables, prices, before, after))
    return document(venue, MODEL, found, at_s)


async def _rows(call: Call, method: str, params: Mapping[str, str] | None = None) -> list[Row]:
    told = await call(method, params or {})
    with documented(f"OKX's answer to {method}"):
        rows = told["data"]
        if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
            raise ValueError("data is no list")
        return rows


async def _positions(call: Call) -> list[Row]:
    rows = await _rows(call, "privateGetAccountPositions")
    with documented("OKX's positions"):
        return [row for row in rows if exact(row["pos"])]


async def _one(call: Call, method: str) -> Row:
    rows = await _rows(call, method)
    if len(rows) != 1:
        raise unread(f"OKX answers {method} with {len(rows)} accounts")
    return rows[0]


def _kind(row: Row) -> tuple[str, str, str, str]:
    with documented("OKX's positions"):
        return str(row["instType"]), str(row["instId"]), str(row["mgnMode"]), str(row["posSide"])


class _Tables:
    """What positions are of: instruments by name, tiers and fees by (type, family)."""

    def __init__(self) -> None:
        self.instruments: dict[str, Row] = {}
        self.tiers: dict[tuple[str, str], list[Row]] = {}
        self.fees: dict[tuple[str, str], Row] = {}


async def _tables(call: Call, positions: Sequence[Row]) -> _Tables:
    found = _Tables()
    for kind, name, _, _ in sorted({_kind(row) for row in positions}):
        if kind not in CONTRACTS or name in found.instruments:
            continue
        rows = await _rows(call, "publicGetPublicInstruments", {"instType": kind, "instId": name})
        if len(rows) != 1:
            raise unread(f"OKX tells no instrument {name}")
        with documented(f"OKX's instrument {name}"):
            found.instruments[name] = rows[0]
            family = str(rows[0]["instFamily"])
        if (kind, family) in found.tiers:
            continue
        which = {"instType": kind, "instFamily": family}
        tiers = {**which, "tdMode": "cross"}
        found.tiers[kind, family] = await _rows(call, "publicGetPublicPositionTiers", tiers)
        fees = await _rows(call, "privateGetAccountTradeFee", which)
        if len(fees) != 1:
            raise unread(f"OKX tells no fee of {family}")
        found.fees[kind, family] = fees[0]
    return found


async def _prices(call: Call, balance: Row, tables: _Tables) -> dict[str, Decimal]:
    """Dollars of each coin that is held or settled in."""
    with documented("OKX's balance"):
        told = {str(row["ccy"]): row.get("coinUsdPrice") for row in balance["details"]}
        asked = {str(one["settleCcy"]) for one in tables.instruments.values()} | {
            str(row["ccy"]) for row in balance["details"] if _equity(row) or _loan(row)
        }
    found = {}
    for coin in sorted(asked):
        px = told.get(coin)
        if not px:
            rows = await _rows(call, "publicGetMarketIndexTickers", {"instId": f"{coin}-USD"})
            px = rows[0].get("idxPx") if rows else None
        if not px:
            raise unread(f"OKX tells no price of {coin}")
        with documented(f"OKX's price of {coin}"):
            found[coin] = positive(px)
    return found


def _equity(row: Row) -> Decimal:
    return WIDE.subtract(exact(row["cashBal"]), maybe(row.get("interest")))


def _loan(row: Row) -> Decimal:
    """Positive; that of isolated margin positions stands in those."""
    return abs(maybe(row.get("crossLiab") or row.get("liab")))


def _signed(row: Row) -> Decimal:
    size = exact(row["pos"])
    return -abs(size) if row["posSide"] == "short" else abs(size) if row["posSide"] == "long" else size


def _held(row: Row, tables: _Tables, total: Decimal) -> Held:
    """`total`: contracts of its family that its tier goes by."""
    name = str(row["instId"])
    at = tables.instruments[name]
    which = str(row["instType"]), str(at["instFamily"])
    contract = WIDE.multiply(positive(at["ctVal"]), positive(at["ctMult"] or "1"))
    inverse = {"linear": False, "inverse": True}[at["ctType"]]
    tiers = sorted((exact(tier["maxSz"]), positive(tier["mmr"])) for tier in tables.tiers[which])
    rate = next((rate for most, rate in tiers if total <= most), None)
    if rate is None:
        raise unread(f"OKX tells no tier for {number(total)} contracts of {which[1]}")
    size = _signed(row)
    return Held(
        name,
        str(at["instFamily"]).partition("-")[0],
        str(at["settleCcy"]),
        size if inverse else WIDE.multiply(size, contract),
        positive(row["avgPx"]),
        positive(row["markPx"]),
        [["0", number(rate), "0"]],
        _fee(tables.fees[which], str(at["settleCcy"]), inverse),
        contract if inverse else None,
    )


def _fee(row: Row, settles: str, inverse: bool) -> Decimal:
    """The taker's, told below zero where it costs: `taker` is that of contracts margined in the coin, `takerU` in USDT, `takerUSDC` in USDC; the
    dearest group's where fees are told by groups alone."""
    told = row.get("taker" if inverse else {"USDC": "takerUSDC"}.get(settles, "takerU"))
    groups = row.get("feeGroup") or ()
    rates = [told] if told or not groups else [group["taker"] for group in groups]
    return max(*(-exact(rate) for rate in rates), Decimal(0))


def _isolated(row: Row, tables: _Tables, prices: Mapping[str, Decimal]) -> Account:
    with documented("OKX's isolated position"):
        name = f"isolated {row['instId']} {row['posSide']}"
        if row["instType"] not in CONTRACTS:
            return Account(name, doubt=f"isolated positions of {row['instType']} are not computed")
        held = _held(row, tables, abs(exact(row["pos"])))
        margin = Coin(held.settles, exact(row["margin"]), Decimal(0), prices[held.settles], [["0", "1"]])
        told = {"ratio": span([exact(row["mgnRatio"])])} if row.get("mgnRatio") else {}
        return Account(name, [margin], [held], told)


async def _cross(
    call: Call,
    positions: Sequence[Row],
    tables: _Tables,
    prices: Mapping[str, Decimal],
    before: Row,
    after: Row,
) -> Account:
    name = "multi-currency"
    with documented("OKX's positions"):
        strange = sorted({str(row["instType"]) for row in positions} - set(CONTRACTS))
        if strange:
            return Account(name, doubt=f"cross positions of {', '.join(strange)} are not computed")
        totals: dict[tuple[str, str], Decimal] = {}
        for row in positions:
            which = str(row["instType"]), str(tables.instruments[row["instId"]]["instFamily"])
            totals[which] = totals.get(which, Decimal(0)) + abs(exact(row["pos"]))
        held = [
            _held(row, tables, totals[row["instType"], tables.instruments[row["instId"]]["instFamily"]])
            for row in positions
        ]
        details = {str(row["ccy"]): row for row in before["details"]}
    coins = []
    for coin in sorted(prices):
        told_of, settles = details.get(coin, {"cashBal": "0"}), any(one.settles == coin for one in held)
        with documented(f"OKX's balance of {coin}"):
            equity, loan = _equity(told_of), _loan(told_of)
            on = told_of.get("collateralEnabled") is not False
        if not (equity or loan or settles):
            continue
        rates = await _discounts(call, coin) if on else [["0", "0"]]
        lent = await _borrowing(call, coin) if loan or settles or equity < 0 else None
        coins.append(Coin(coin, equity, loan, prices[coin], rates, lent))
    with documented("OKX's balance"):
        told = {
            ours: span([exact(one[theirs]) for one in (before, after)])
            for ours, theirs in (("equity", "adjEq"), ("maintenance", "mmr"), ("ratio", "mgnRatio"))
        }
    return Account(name, coins, held, told)


async def _discounts(call: Call, coin: str) -> list[list[str]]:
    rows = await _rows(call, "publicGetPublicDiscountRateInterestFreeQuota", {"ccy": coin})
    with documented(f"OKX's discount rates of {coin}"):
        tiers = [tier for row in rows if row["ccy"] == coin for tier in row["details"]]
        if not tiers:
            raise unread(f"OKX tells no discount rate of {coin}")
        return bounds([(maybe(tier["minAmt"]), exact(tier["discountRate"])) for tier in tiers])


async def _borrowing(call: Call, coin: str) -> list[list[str]]:
    asked = {"instType": "MARGIN", "tdMode": "cross", "ccy": coin}
    rows = await _rows(call, "publicGetPublicPositionTiers", asked)
    if not rows:
        raise unread(f"OKX tells no tier for borrowing {coin}")
    with documented(f"OKX's tiers for borrowing {coin}"):
        return bounds([(maybe(tier["minSz"]), positive(tier["mmr"])) for tier in rows])
