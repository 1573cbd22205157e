"""Binance's portfolio margin (not Pro), read whole by its REST API for agent/margin/binance_pm.

Sources: the developers' pages on portfolio margin: papi/v1/account (`uniMMR`, `accountEquity`, `accountMaintMargin`), papi/v1/balance,
um/positionRisk, um/leverageBracket, cm/positionRisk; sapi/v1/portfolio/collateralRate and asset-index-price; the exchange's page on uniMMR:
equity is margin asset less loan with the futures' wallets, profits on top. The rate of a margin loan goes by a leverage that is nowhere
told: it is taken as a tenth, and where the exchange's maintenance is another, the account is UNKNOWN. So it is with COIN-M positions.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal
from typing import Any

from agent.domain.errors import Retry
from agent.domain.units import WIDE, sum_exact
from agent.venues import number
from agent.venues.ccxt.margin_document import (
    Account,
    Coin,
    Held,
    Row,
    document,
    documented,
    exact,
    maybe,
    positive,
    span,
    unread,
)

MODEL, NAME = "binance_pm", "portfolio margin"
Call = Callable[[str, Mapping[str, str]], Awaitable[Any]]
_LINEAR = re.compile(r"([A-Z0-9]+?)(USDT|USDC)(?:_[0-9]{6})?")
_WALLETS = ("crossMarginAsset", "umWalletBalance", "cmWalletBalance")


async def read(call: Call, venue: str, at_s: int) -> Row:
    """`call` makes one of the library's own methods. Raises Retry, Reject as it; Usage MARGIN_UNREAD."""
    brackets = await _brackets(call)
    rates = await _by_asset(call, "sapiGetPortfolioCollateralRate", "collateralRate")
    before = await _account(call)
    prices = await _by_asset(call, "sapiGetPortfolioAssetIndexPrice", "assetIndexPrice")
    balances = await _list(call, "papiGetBalance")
    linear = await _open(call, "papiGetUmPositionRisk")
    inverse = await _open(call, "papiGetCmPositionRisk")
    after = await _account(call)
    with documented("Binance's balance"):
        owing = any(maybe(row["crossMarginBorrowed"]) for row in balances)
    if not (linear or inverse or owing):
        return document(venue, MODEL, (), at_s)
    if inverse:
        why = f"positions of COIN-M are not computed: {', '.join(sorted(str(row['symbol']) for row in inverse))}"
        return document(venue, MODEL, [Account(NAME, doubt=why)], at_s)
    with documented("Binance's positions"):
        held = [_held(row, brackets) for row in linear]
    coins = _coins(balances, held, prices, rates)
    with documented("Binance's account"):
        told = {
            ours: span([exact(one[theirs]) for one in (before, after)])
            for ours, theirs in (
                ("equity", "accountEquity"),
                ("maintenance", "accountMaintMargin"),
                ("ratio", "uniMMR"),
            )
        }
    return document(venue, MODEL, [Account(NAME, coins, held, told)], at_s)


async def _account(call: Call) -> Row:
    told = await call("papiGetAccount", {})
    if not isinstance(told, Mapping):
        raise unread("Binance's account is no object")
    return told


async def _list(call: Call, method: str) -> list[Row]:
    told = await call(method, {})
    if not isinstance(told, list) or not all(isinstance(row, Mapping) for row in told):
        raise unread(f"Binance's answer to {method} is no list")
    return told


async def _open(call: Call, method: str) -> list[Row]:
    rows = await _list(call, method)
    with documented("Binance's positions"):
        return [row for row in rows if exact(row["positionAmt"])]


async def _by_asset(call: Call, method: str, name: str) -> dict[str, Decimal]:
    rows = await _list(call, method)
    with documented(f"Binance's answer to {method}"):
        return {str(row["asset"]): exact(row[name]) for row in rows}


async def _brackets(call: Call) -> dict[str, list[list[str]]]:
    """[floor, rate, deduction] by symbol; none for one whose brackets are the account's own."""
    rows = await _list(call, "papiGetUmLeverageBracket")
    with documented("Binance's brackets"):
        return {
            str(row["symbol"]): sorted(
                (
                    [number(exact(one[key])) for key in ("notionalFloor", "maintMarginRatio", "cum")]
                    for one in row["brackets"]
                ),
                key=lambda one: Decimal(one[0]),
            )
            for row in rows
            if exact(row.get("notionalCoef", "1")) == 1
        }


def _held(row: Row, brackets: Mapping[str, list[list[str]]]) -> Held:
    symbol = str(row["symbol"])
    parts = _LINEAR.fullmatch(symbol)
    if parts is None or symbol not in brackets:
        raise unread(f"Binance tells no brackets of {symbol} that are known here")
    return Held(
        symbol,
        parts[1],
        parts[2],
        exact(row["positionAmt"]),
        positive(row["entryPrice"]),
        positive(row["markPrice"]),
        brackets[symbol],
    )


def _coins(
    balances: list[Row], held: list[Held], prices: Mapping[str, Decimal], rates: Mapping[str, Decimal]
) -> list[Coin]:
    with documented("Binance's balance"):
        rows = {str(row["asset"]): row for row in balances}
        if len(rows) < len(balances):
            raise Retry("MARGIN_MOVED", "Binance tells an asset twice", "ask again")
    found = []
    for coin in sorted(rows.keys() | {one.settles for one in held}):
        row = rows.get(coin, {})
        with documented(f"Binance's balance of {coin}"):
            loan = maybe(row.get("crossMarginBorrowed"))
            gross = sum_exact([maybe(row.get(name)) for name in _WALLETS])
            equity = WIDE.subtract(WIDE.subtract(gross, loan), maybe(row.get("crossMarginInterest")))
        settles = any(one.settles == coin for one in held)
        if not (equity or loan or settles):
            continue
        if coin not in prices or prices[coin] <= 0:
            raise unread(f"Binance tells no price of {coin}")
        if coin not in rates:
            raise unread(f"Binance tells no collateral rate of {coin}")
        found.append(Coin(coin, equity, loan, prices[coin], number(rates[coin])))
    return found
