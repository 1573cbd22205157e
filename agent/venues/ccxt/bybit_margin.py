"""Bybit's unified trading account in cross margin, read whole by its REST API (v5) for agent/margin/bybit_uta.

Sources: the API guide's account/info (`marginMode`, `unifiedMarginStatus`), account/wallet-balance, position/list, account/fee-rate,
market/risk-limit (`mmDeduction`), market/instruments-info, market/tickers (`usdIndexPrice`), spot-margin-trade/collateral (tiered ratios) and
spot-margin-trade/position-tiers (rates of loans); the glossary of the unified account: equity is the wallet balance with unrealised profit
less what spot margin borrows. The fee to close is that at the bankruptcy price, which lies one part in the leverage from the entry, or by newer
words from the mark; it is taken at its most, the dearer of the two and one such part more.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from agent.domain.errors import Retry
from agent.domain.units import WIDE
from agent.margin.exchange import with_cums
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
    quotient,
    span,
    unread,
)

MODEL, NAME = "bybit_uta", "unified"
Call = Callable[[str, Mapping[str, str]], Awaitable[Any]]
CROSS = "REGULAR_MARGIN"
CLASSIC, INVERSE_APART = 1, (3, 4)
"""`unifiedMarginStatus`: no unified account; unified account 1.0, whose inverse contracts lie in another wallet."""
PAGE = "200"
LEAST_ULP = Decimal("0.0001")
LISTS = ({"category": "linear", "settleCoin": "USDT"}, {"category": "linear", "settleCoin": "USDC"}, {"category": "inverse"}, {"category": "option"})  # fmt: skip


async def read(call: Call, venue: str, at_s: int) -> Row:
    """`call` makes one of the library's own methods. Raises Retry, Reject as it; Usage MARGIN_UNREAD."""
    info = await _result(call, "privateGetV5AccountInfo")
    with documented("Bybit's account"):
        status, mode = int(info["unifiedMarginStatus"]), str(info["marginMode"])
    if status == CLASSIC:
        return document(venue, MODEL, [Account("account", doubt="it is no unified account")], at_s)
    rows = await _positions(call)
    tables = await _tables(call, rows)
    before = await _wallet(call)
    positions = await _positions(call)
    after = await _wallet(call)
    with documented("Bybit's wallet"):
        owing = any(maybe(row["borrowAmount"]) for row in before["coin"])
    if not positions and not owing:
        return document(venue, MODEL, (), at_s)
    if mode != CROSS:
        why = f"the account is in {mode} mode; cross margin (REGULAR_MARGIN) alone is computed"
        return document(venue, MODEL, [Account(NAME, doubt=why)], at_s)
    if {_named(row) for row in positions} != {_named(row) for row in rows}:
        raise Retry("MARGIN_MOVED", f"positions at {venue} changed while they were read", "ask again")
    if any(row["category"] == "option" for row in positions):
        return document(venue, MODEL, [Account(NAME, doubt="options are not computed")], at_s)
    apart = [row["symbol"] for row in positions if status in INVERSE_APART and row["category"] == "inverse"]
    with documented("Bybit's positions"):
        held = [_held(row, tables) for row in positions if row["symbol"] not in apart]
    accounts = [Account(NAME, await _coins(call, before, held), held, _told(before, after))]
    if apart:
        why = "inverse contracts of a unified account 1.0 have a wallet of their own, which is not computed"
        accounts.append(Account("inverse", doubt=why))
    return document(venue, MODEL, accounts, at_s)


async def _result(call: Call, method: str, params: Mapping[str, str] | None = None) -> Row:
    told = await call(method, params or {})
    with documented(f"Bybit's answer to {method}"):
        found = told["result"]
        if not isinstance(found, Mapping):
            raise ValueError("result is no object")
        return found


async def _rows(call: Call, method: str, params: Mapping[str, str]) -> list[Row]:
    found = await _result(call, method, params)
    with documented(f"Bybit's answer to {method}"):
        rows = found["list"]
        if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
            raise ValueError("list is no list")
        return rows


async def _positions(call: Call) -> list[Row]:
    """Those that are open, with their category and, of linear ones, the coin they settle in."""
    found: list[Row] = []
    for which in LISTS:
        rows = await _rows(call, "privateGetV5PositionList", {**which, "limit": PAGE})
        if len(rows) >= int(PAGE):
            raise unread(f"Bybit tells more than {PAGE} positions of {which['category']}")
        with documented("Bybit's positions"):
            found += [{**row, **which} for row in rows if exact(row["size"])]
    return found


async def _wallet(call: Call) -> Row:
    rows = await _rows(call, "privateGetV5AccountWalletBalance", {"accountType": "UNIFIED"})
    if len(rows) != 1:
        raise unread(f"Bybit tells {len(rows)} unified wallets")
    return rows[0]


def _named(row: Row) -> tuple[str, str, str]:
    with documented("Bybit's positions"):
        return str(row["category"]), str(row["symbol"]), str(row["positionIdx"])


class _Tables:
    def __init__(self) -> None:
        self.instruments: dict[str, Row] = {}
        self.tiers: dict[str, list[list[str]]] = {}
        self.fees: dict[tuple[str, str], Decimal] = {}


async def _tables(call: Call, positions: list[Row]) -> _Tables:
    found = _Tables()
    kinds = {(str(row["category"]), str(row["symbol"])) for row in positions if row["category"] != "option"}
    for kind in sorted({kind for kind, _ in kinds}):
        rows = await _rows(call, "privateGetV5AccountFeeRate", {"category": kind})
        with documented("Bybit's fees"):
            found.fees |= {(kind, str(row["symbol"])): exact(row["takerFeeRate"]) for row in rows}
    for kind, symbol in sorted(kinds):
        which = {"category": kind, "symbol": symbol}
        rows = await _rows(call, "publicGetV5MarketInstrumentsInfo", which)
        if len(rows) != 1:
            raise unread(f"Bybit tells no instrument {symbol}")
        found.instruments[symbol] = rows[0]
        tiers = await _rows(call, "publicGetV5MarketRiskLimit", which)
        if not tiers:
            raise unread(f"Bybit tells no risk limits of {symbol}")
        with documented(f"Bybit's risk limits of {symbol}"):
            found.tiers[symbol] = brackets(tiers)
    return found


def brackets(rows: list[Row]) -> list[list[str]]:
    """[floor, rate, deduction]. Rates are told as shares or in percent: the initial margin, one part in the leverage, says which."""
    tiers = sorted(rows, key=lambda row: exact(row["riskLimitValue"]))
    starts = [Decimal(0), *(exact(row["riskLimitValue"]) for row in tiers[:-1])]
    rates = []
    for row in tiers:
        parts = WIDE.multiply(exact(row["initialMargin"]), exact(row["maxLeverage"]))
        if not (Decimal("0.9") <= parts <= Decimal("1.1") or 90 <= parts <= 110):
            raise ValueError(f"initialMargin {row['initialMargin']} at {row['maxLeverage']} times")
        rates.append(WIDE.multiply(positive(row["maintenanceMargin"]), Decimal(1) if parts < 2 else Decimal("0.01")))  # fmt: skip
    if any(row.get("mmDeduction") for row in tiers):
        cums = [maybe(row.get("mmDeduction")) for row in tiers]
    else:
        told = with_cums([(Fraction(start), Fraction(rate)) for start, rate in zip(starts, rates, strict=True)])  # fmt: skip
        cums = [WIDE.divide(Decimal(one.cum.numerator), Decimal(one.cum.denominator)) for one in told]
    return [[number(value) for value in row] for row in zip(starts, rates, cums, strict=True)]


def _held(row: Row, tables: _Tables) -> Held:
    symbol, kind = str(row["symbol"]), str(row["category"])
    at, inverse = tables.instruments[symbol], kind == "inverse"
    size = exact(row["size"]) * {"Buy": 1, "Sell": -1}[row["side"]]
    if int(row.get("tradeMode") or 0):
        raise ValueError(f"{symbol} is isolated in a cross margin account")
    fee = WIDE.multiply(tables.fees[kind, symbol], 1 + quotient(Decimal(1), positive(row["leverage"])))
    entry = positive(row["avgPrice"])
    cost = quotient(abs(size), entry) if inverse else WIDE.multiply(abs(size), entry)
    return Held(
        symbol,
        str(at["baseCoin"]),
        str(at["baseCoin"] if inverse else at["settleCoin"]),
        size,
        entry,
        positive(row["markPrice"]),
        tables.tiers[symbol],
        fee,
        Decimal(1) if inverse else None,
        WIDE.multiply(cost, fee),
    )


async def _coins(call: Call, wallet: Row, held: list[Held]) -> list[Coin]:
    with documented("Bybit's wallet"):
        rows = {str(row["coin"]): row for row in wallet["coin"]}
    found = []
    for coin in sorted(rows.keys() | {one.settles for one in held}):
        row = rows.get(coin, {"walletBalance": "0", "borrowAmount": "0", "equity": "0", "usdValue": "0"})
        with documented(f"Bybit's wallet of {coin}"):
            equity = WIDE.subtract(exact(row["walletBalance"]), maybe(row.get("spotBorrow")))
            loan = maybe(row["borrowAmount"])
            on = coin not in rows or (row["marginCollateral"] is True and row["collateralSwitch"] is True)
        settles = any(one.settles == coin for one in held)
        if not (equity or loan or settles) or (not on and not loan and not settles and equity > 0):
            continue  # what is no collateral counts nothing
        px = await _price(call, coin, row)
        rates = await _collateral(call, coin) if on else [["0", "0"]]
        lent = await _borrowing(call, coin) if loan or settles or equity < 0 else None
        found.append(Coin(coin, equity, loan, px, rates, lent))
    return found


async def _price(call: Call, coin: str, row: Row) -> Decimal:
    """Dollars of a coin: what the wallet's own row was valued with, else the index of its market."""
    with documented(f"Bybit's wallet of {coin}"):
        equity, value = exact(row["equity"]), maybe(row["usdValue"])
        if equity and value and (equity > 0) == (value > 0):
            return quotient(value, equity)
    for quote in ("USDT", "USDC"):
        if quote == coin:
            continue
        rows = await _rows(call, "publicGetV5MarketTickers", {"category": "spot", "symbol": f"{coin}{quote}"})
        with documented(f"Bybit's price of {coin}"):
            if rows and rows[0].get("usdIndexPrice"):
                return positive(rows[0]["usdIndexPrice"])
    raise unread(f"Bybit tells no price of {coin}")


async def _collateral(call: Call, coin: str) -> list[list[str]]:
    rows = await _rows(call, "publicGetV5SpotMarginTradeCollateral", {"currency": coin})
    with documented(f"Bybit's collateral ratios of {coin}"):
        tiers = [tier for row in rows if row["currency"] == coin for tier in row["collateralRatioList"]]
        if not tiers:
            raise unread(f"Bybit tells no collateral ratio of {coin}")
        return bounds([(maybe(tier["minQty"]), exact(tier["collateralRatio"])) for tier in tiers])


async def _borrowing(call: Call, coin: str) -> list[list[str]]:
    rows = await _rows(call, "privateGetV5SpotMarginTradePositionTiers", {"currency": coin})
    with documented(f"Bybit's rates for borrowing {coin}"):
        tiers = [tier for row in rows if row["currency"] == coin for tier in row["positionTiersRatioList"]]
        if not tiers:
            raise unread(f"Bybit tells no rate for borrowing {coin}")
        limits = sorted((exact(tier["borrowLimit"]), positive(tier["positionMMR"])) for tier in tiers)
        starts = [Decimal(0), *(limit for limit, _ in limits[:-1])]
        return bounds([(start, rate) for start, (_, rate) in zip(starts, limits, strict=True)])


def _told(before: Row, after: Row) -> dict[str, Any]:
    """`accountMMRate` is maintenance over margin balance, rounded: the ratio is its inverse, anywhere within half a last digit and more."""
    with documented("Bybit's wallet"):
        told: dict[str, Any] = {
            "equity": span([exact(one["totalMarginBalance"]) for one in (before, after)]),
            "maintenance": span([exact(one["totalMaintenanceMargin"]) for one in (before, after)]),
        }
        rates = [exact(one["accountMMRate"]) for one in (before, after)]
        ulp = max((Decimal(1).scaleb(exponent) for one in rates if (exponent := int(one.as_tuple().exponent)) < 0), default=LEAST_ULP)  # fmt: skip
        low, high = max(min(rates) - ulp, Decimal(0)), max(rates) + ulp
        told["ratio"] = [number(quotient(Decimal(1), high)), number(quotient(Decimal(1), low)) if low else None]  # fmt: skip
        return told
