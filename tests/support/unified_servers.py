"""OKX's and Bybit's REST, as far as a unified margin account is read by it: payloads shaped as their API guides show them, figures of a small
exchange that computes adjusted equity, maintenance and its ratio by itself, in decimals. Every private request's signature and date are checked.

`spoil` maps a path to what is answered instead (a function of the right answer), `skew_ms` is how far the server's clock is ahead.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from aiohttp import web
from paper import KEY, SECRET

D = Decimal
WINDOW_MS = 30_000
STEPS = {"ETH": D("0.0001"), "BTC": D("0.0001")}


def text(value: Decimal) -> str:
    return f"{value:f}"


@dataclass
class Exchange(ABC):
    """Coins with balance and price in dollars; contracts with their marks."""

    cash: dict[str, Decimal] = field(
        default_factory=lambda: {"BTC": D("1.5"), "USDT": D("-20000"), "ETH": D(4)}
    )
    px: dict[str, Decimal] = field(
        default_factory=lambda: {"BTC": D(40_000), "USDT": D("0.9995"), "ETH": D(3_000), "USDC": D(1)}
    )
    positions: list[dict[str, Any]] = field(default_factory=list)
    spoil: dict[str, Callable[[Any], Any]] = field(default_factory=dict)
    skew_ms: int = 0
    drift: Decimal = D(0)
    asked: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""

    def now_ms(self) -> int:
        return time.time_ns() // 10**6 + self.skew_ms

    async def handle(self, request: web.Request) -> web.Response:
        path = request.path
        self.asked.append((request.method, path))
        if request.method != "GET":
            return web.json_response({"code": "405", "retCode": 405}, status=405)
        refused = self.refused(request)
        if refused is not None:
            return web.json_response(refused)
        found = self.answer(path, dict(request.query))
        if found is None:
            return web.json_response({"code": "404", "retCode": 404}, status=404)
        if path in self.spoil:
            found = self.spoil[path](found)
        if isinstance(found, web.Response):
            return found
        return web.json_response(found)

    @abstractmethod
    def refused(self, request: web.Request) -> Any:
        """The answer to a request that is signed wrongly; None where it is right."""

    @abstractmethod
    def answer(self, path: str, asked: dict[str, str]) -> Any:
        """What the exchange says there; None where it has nothing of the kind."""


HAIRCUTS = {
    "BTC": [("0", "1", "0.95"), ("1", "", "0.9")],
    "ETH": [("0", "", "0.85")],
    "USDT": [("0", "", "1")],
    "USDC": [("0", "", "1")],
}
LOANS = {"USDT": [("0", "50000", "0.04"), ("50000", "100000", "0.06")], "BTC": [("0", "50", "0.03")], "ETH": [("0", "500", "0.03")]}  # fmt: skip


def counted(coin: str, units: Decimal) -> Decimal:
    if units <= 0:
        return units
    found = D(0)
    for start, end, rate in HAIRCUTS[coin]:
        top = min(units, D(end)) if end else units
        found += max(top - D(start), D(0)) * D(rate)
    return found


def loan_margin(coin: str, units: Decimal) -> Decimal:
    """The last rate goes on beyond its tier."""
    tiers = LOANS.get(coin, [("0", "0", "0")])
    return units * next((D(rate) for _, end, rate in tiers if units <= D(end)), D(tiers[-1][2]))


class Okx(Exchange):
    """Contracts: ETH-USDT-SWAP (0.1 ETH, linear) and BTC-USD-SWAP (100 dollars, inverse). Closing costs 0.05 %."""

    level = "3"
    FEE = D("0.0005")
    CONTRACTS: dict[str, dict[str, Any]] = {
        "ETH-USDT-SWAP": {"ctVal": "0.1", "ctMult": "1", "ctType": "linear", "settleCcy": "USDT", "instFamily": "ETH-USDT"},
        "BTC-USD-SWAP": {"ctVal": "100", "ctMult": "1", "ctType": "inverse", "settleCcy": "BTC", "instFamily": "BTC-USD"},
    }  # fmt: skip
    TIERS = [("0", "1000", "0.01"), ("1001", "5000", "0.02")]

    def refused(self, request: web.Request) -> Any:
        if "/public/" in request.path or "/market/" in request.path:
            return None
        stamp = request.headers.get("OK-ACCESS-TIMESTAMP", "")
        at = datetime.fromisoformat(stamp.replace("Z", "+00:00")) if stamp else datetime.fromtimestamp(0, UTC)
        if abs(int(at.timestamp() * 1000) - self.now_ms()) > WINDOW_MS:
            return {"code": "50102", "data": [], "msg": "Timestamp request expired"}
        what = f"{stamp}GET{request.raw_path}"
        wanted = base64.b64encode(hmac.new(SECRET.encode(), what.encode(), hashlib.sha256).digest()).decode()
        if request.headers.get("OK-ACCESS-SIGN") != wanted or request.headers.get("OK-ACCESS-KEY") != KEY:
            return {"code": "50113", "data": [], "msg": "Invalid Sign"}
        return None

    def tier(self, contracts: Decimal) -> Decimal:
        return next(D(rate) for _, end, rate in self.TIERS if contracts <= D(end))

    def figures(self, row: dict[str, Any]) -> tuple[str, Decimal, Decimal, Decimal]:
        """Settling coin, profit, maintenance and fee in it."""
        at, size = self.CONTRACTS[row["instId"]], D(row["pos"]) * (-1 if row["posSide"] == "short" else 1)
        mark, entry, many = D(row["markPx"]), D(row["avgPx"]), abs(D(row["pos"])) * D(at["ctVal"])
        linear = at["ctType"] == "linear"
        value = many * mark if linear else many / mark
        way = size * D(at["ctVal"])
        profit = way * (mark - entry) if linear else way * (1 / entry - 1 / mark)
        return at["settleCcy"], profit, value * self.tier(abs(D(row["pos"]))), value * self.FEE

    def balance(self) -> dict[str, Any]:
        upl, mmr, fees = dict.fromkeys(self.cash, D(0)), D(0), D(0)
        isolated = dict.fromkeys(self.cash, D(0))
        for row in self.positions:
            coin, profit, needed, fee = self.figures(row)
            if row["mgnMode"] == "cross":
                upl[coin] = upl.get(coin, D(0)) + profit
                mmr, fees = mmr + needed * self.px[coin], fees + fee * self.px[coin]
            else:
                isolated[coin] = isolated.get(coin, D(0)) + D(row["margin"]) + profit
        details, adjusted = [], D(0)
        for coin in sorted(self.cash.keys() | upl.keys()):
            cash = self.cash.get(coin, D(0))
            crossed = cash + upl.get(coin, D(0))
            loan = max(-crossed, D(0))
            adjusted += counted(coin, crossed) * self.px[coin]
            mmr += loan_margin(coin, loan) * self.px[coin]
            whole = crossed + isolated.get(coin, D(0))
            details.append(
                {"ccy": coin, "cashBal": text(cash), "eq": text(whole), "eqUsd": text(whole * self.px[coin]), "isoEq": text(isolated.get(coin, D(0))),
                 "upl": text(upl.get(coin, D(0))), "interest": "0", "liab": text(loan), "crossLiab": text(loan), "isoLiab": "0",
                 "disEq": text(counted(coin, crossed) * self.px[coin]), "coinUsdPrice": text(self.px[coin]), "collateralEnabled": True,
                 "availBal": text(max(cash, D(0))), "availEq": "", "frozenBal": "0", "ordFrozen": "0", "stgyEq": "0", "uTime": "1744498994783"}
            )  # fmt: skip
        adjusted += self.drift
        whole = {"adjEq": text(adjusted), "mmr": text(mmr), "imr": "", "isoEq": "0", "totalEq": "0", "ordFroz": "0", "uTime": "1744499648556",
                 "mgnRatio": text(adjusted / (mmr + fees)) if mmr else "", "notionalUsd": "", "upl": "", "details": details}  # fmt: skip
        return {"code": "0", "msg": "", "data": [whole]}

    def answer(self, path: str, asked: dict[str, str]) -> Any:
        def data(*rows: Any) -> dict[str, Any]:
            return {"code": "0", "msg": "", "data": list(rows)}

        match path.removeprefix("/api/v5/"):
            case "public/time":
                return data({"ts": str(self.now_ms())})
            case "public/instruments" if asked.get("instType") == "SPOT":
                return data(
                    {"instType": "SPOT", "instId": "ETH-USDC", "uly": "", "instFamily": "", "baseCcy": "ETH", "quoteCcy": "USDC", "settleCcy": "",
                     "ctVal": "", "ctMult": "", "ctValCcy": "", "optType": "", "stk": "", "listTime": "1548133413000", "expTime": "", "lever": "10",
                     "tickSz": "0.01", "lotSz": "0.0001", "minSz": "0.001", "ctType": "", "alias": "", "state": "live", "maxLmtSz": "999999"}
                )  # fmt: skip
            case "public/instruments":
                name = asked.get("instId", "")
                row = self.CONTRACTS.get(name)
                return data(*([{"instType": asked["instType"], "instId": name, "state": "live", **row}] if row else []))  # fmt: skip
            case "public/position-tiers" if asked["instType"] == "MARGIN":
                rows = LOANS.get(asked["ccy"], [])
                return data(*({"ccy": asked["ccy"], "tier": str(n + 1), "minSz": low, "maxSz": high, "mmr": rate, "imr": "0.1", "maxLever": "10",
                               "instFamily": "", "instId": "", "uly": "", "baseMaxLoan": "", "quoteMaxLoan": ""} for n, (low, high, rate) in enumerate(rows)))  # fmt: skip
            case "public/position-tiers":
                return data(*({"instFamily": asked["instFamily"], "uly": asked["instFamily"], "tier": str(n + 1), "minSz": low, "maxSz": high, "mmr": rate,
                               "imr": "0.02", "maxLever": "50", "instId": "", "baseMaxLoan": "", "quoteMaxLoan": "", "optMgnFactor": "0"}
                              for n, (low, high, rate) in enumerate(self.TIERS)))  # fmt: skip
            case "public/discount-rate-interest-free-quota":
                rows = HAIRCUTS.get(asked["ccy"], [])
                tiers = [{"tier": str(n + 1), "minAmt": low, "maxAmt": high, "discountRate": rate, "liqPenaltyRate": "0.02", "disCcyEq": ""}
                         for n, (low, high, rate) in enumerate(rows)]  # fmt: skip
                return data(*([{"ccy": asked["ccy"], "amt": "0", "discountLv": "1", "minDiscountRate": "0", "collateralRestrict": False, "details": tiers}] if tiers else []))  # fmt: skip
            case "market/index-tickers":
                return data({"instId": asked["instId"], "idxPx": text(self.px[asked["instId"].partition("-")[0]])})  # fmt: skip
            case "trade/orders-pending":
                return data()
            case "market/books":
                return data({"asks": [["3001", "5", "0", "1"]], "bids": [["2999", "5", "0", "1"]], "ts": str(self.now_ms())})  # fmt: skip
            case "account/config":
                return data({"uid": "44", "acctLv": self.level, "posMode": "long_short_mode", "autoLoan": True, "perm": "read_only,trade"})  # fmt: skip
            case "account/balance":
                return self.balance()
            case "account/positions":
                return data(*({**row, "instType": "SWAP", "ccy": "", "upl": text(self.figures(row)[1]), "mmr": text(self.figures(row)[2]),
                               "lever": "10", "liqPx": "", "imr": "", "interest": "0"} for row in self.positions))  # fmt: skip
            case "account/trade-fee":
                return data({"category": "1", "instType": asked["instType"], "level": "Lv1", "maker": "-0.0002", "taker": "-0.0005", "makerU": "-0.0002",
                             "takerU": "-0.0005", "makerUSDC": "-0.0002", "takerUSDC": "-0.0005", "ts": "1763979985847"})  # fmt: skip
        return None

    def hold(
        self, inst: str, contracts: str, entry: str, mark: str, side: str = "net", mode: str = "cross", **more: str
    ) -> None:  # fmt: skip
        self.positions.append({"instId": inst, "pos": contracts, "avgPx": entry, "markPx": mark, "posSide": side, "mgnMode": mode, "mgnRatio": "", **more})  # fmt: skip


class Bybit(Exchange):
    """Contracts: ETHUSDT (linear) and BTCUSD (inverse, a dollar a contract). Closing costs 0.055 %."""

    mode, status = "REGULAR_MARGIN", 5
    FEE = D("0.00055")
    CONTRACTS = {
        "ETHUSDT": ("linear", "ETH", "USDT", [("10000", "0.005", "0"), ("50000", "0.01", "50")]),
        "BTCUSD": ("inverse", "BTC", "BTC", [("150", "0.5", ""), ("300", "1", "")]),
    }

    def refused(self, request: web.Request) -> Any:
        path = request.path
        if path.startswith("/v5/market/") or path == "/v5/spot-margin-trade/collateral":
            return None
        stamp, window = (request.headers.get(f"X-BAPI-{name}", "0") for name in ("TIMESTAMP", "RECV-WINDOW"))
        if not -int(window) <= int(stamp) - self.now_ms() < 1_000:
            return {"retCode": 10002, "retMsg": "invalid request, please check your server timestamp", "result": {}, "time": self.now_ms()}  # fmt: skip
        what = f"{stamp}{KEY}{window}{request.raw_path.partition('?')[2]}"
        wanted = hmac.new(SECRET.encode(), what.encode(), hashlib.sha256).hexdigest()
        if request.headers.get("X-BAPI-SIGN") != wanted:
            return {"retCode": 10004, "retMsg": "error sign!", "result": {}, "time": self.now_ms()}
        return None

    def figures(self, row: dict[str, Any]) -> tuple[str, Decimal, Decimal]:
        """Settling coin, profit and maintenance with the fee at the bankruptcy price, in it."""
        kind, _, coin, tiers = self.CONTRACTS[row["symbol"]]
        mark, entry, size = D(row["markPrice"]), D(row["avgPrice"]), D(row["size"])
        way, margin = (1 if row["side"] == "Buy" else -1), 1 / D(row["leverage"])
        if kind == "linear":
            value, profit, broke = size * mark, way * size * (mark - entry), size * entry * (1 - way * margin)
        else:
            value, profit, broke = size / mark, way * size * (1 / entry - 1 / mark), size / mark
        scale = 1 if kind == "linear" else D("0.01")
        needed, low, rate_before, cum = D(0), D(0), D(0), D(0)
        for high, rate, _ in tiers:
            cum += low * (D(rate) * scale - rate_before)
            rate_before = D(rate) * scale
            if value >= low:
                needed = value * rate_before - cum
            low = D(high)
        return coin, profit, needed + broke * self.FEE

    def wallet(self) -> dict[str, Any]:
        upl: dict[str, Decimal] = {}
        needed: dict[str, Decimal] = {}
        for row in self.positions:
            coin, profit, more = self.figures(row)
            upl[coin], needed[coin] = upl.get(coin, D(0)) + profit, needed.get(coin, D(0)) + more
        coins, balance, total = [], D(0), D(0)
        for coin in sorted(self.cash.keys() | upl.keys()):
            cash = self.cash.get(coin, D(0))
            equity = cash + upl.get(coin, D(0))
            loan = max(-equity, D(0))
            balance += counted(coin, equity) * self.px[coin]
            total += (needed.get(coin, D(0)) + loan_margin(coin, loan)) * self.px[coin]
            coins.append(
                {"coin": coin, "equity": text(equity), "usdValue": text(equity * self.px[coin]), "walletBalance": text(max(cash, D(0))), "locked": "0",
                 "borrowAmount": text(loan), "spotBorrow": text(max(-cash, D(0))), "accruedInterest": "0", "unrealisedPnl": text(upl.get(coin, D(0))),
                 "totalOrderIM": "0", "totalPositionIM": "0", "totalPositionMM": text(needed.get(coin, D(0))), "cumRealisedPnl": "0", "bonus": "0",
                 "marginCollateral": True, "collateralSwitch": True, "availableToWithdraw": "", "availableToBorrow": ""}
            )  # fmt: skip
        balance += self.drift
        rate = (total / balance).quantize(D("0.0001")) if balance else D(0)
        whole = {"accountType": "UNIFIED", "accountIMRate": "0.1", "accountMMRate": text(rate), "accountLTV": "0", "totalEquity": text(balance),
                 "totalWalletBalance": text(balance), "totalMarginBalance": text(balance), "totalAvailableBalance": "0", "totalPerpUPL": "0",
                 "totalInitialMargin": "0", "totalMaintenanceMargin": text(total), "coin": coins}  # fmt: skip
        return {"list": [whole]}

    def answer(self, path: str, asked: dict[str, str]) -> Any:
        found = self.result(path.removeprefix("/v5/"), asked)
        return None if found is None else {"retCode": 0, "retMsg": "OK", "result": found, "retExtInfo": {}, "time": self.now_ms()}  # fmt: skip

    def result(self, path: str, asked: dict[str, str]) -> Any:
        kind, symbol = asked.get("category", ""), asked.get("symbol", "")
        match path:
            case "market/time":
                now = self.now_ms()
                return {"timeSecond": str(now // 1000), "timeNano": str(now * 10**6)}
            case "market/instruments-info" if kind == "spot":
                row = {"symbol": "ETHUSDC", "baseCoin": "ETH", "quoteCoin": "USDC", "innovation": "0", "status": "Trading", "marginTrading": "both",
                       "lotSizeFilter": {"basePrecision": "0.0001", "quotePrecision": "0.0000001", "minOrderQty": "0.001", "maxOrderQty": "1000",
                                         "minOrderAmt": "5", "maxOrderAmt": "2000000"}, "priceFilter": {"tickSize": "0.01"}}  # fmt: skip
                return {"category": "spot", "list": [row]}
            case "market/instruments-info":
                one = self.CONTRACTS.get(symbol)
                rows = [] if one is None or one[0] != kind else [{"symbol": symbol, "baseCoin": one[1], "settleCoin": one[2], "status": "Trading"}]  # fmt: skip
                return {"category": kind, "list": rows, "nextPageCursor": ""}
            case "market/risk-limit":
                tiers = self.CONTRACTS[symbol][3]
                unit = 1 if kind == "linear" else 100
                return {"category": kind, "list": [
                    {"id": n + 1, "symbol": symbol, "riskLimitValue": high, "maintenanceMargin": rate, "initialMargin": text(D(unit) / (100 - 50 * n)),
                     "isLowestRisk": int(n == 0), "maxLeverage": f"{100 - 50 * n}.00", "mmDeduction": cum} for n, (high, rate, cum) in enumerate(tiers)]}  # fmt: skip
            case "market/tickers":
                coin = symbol.removesuffix("USDT").removesuffix("USDC")
                return {
                    "category": "spot",
                    "list": [{"symbol": symbol, "usdIndexPrice": text(self.px[coin])}],
                }
            case "spot-margin-trade/collateral":
                rates = [{"minQty": low, "maxQty": high, "collateralRatio": rate} for low, high, rate in HAIRCUTS.get(asked["currency"], [])]  # fmt: skip
                return {
                    "list": [{"currency": asked["currency"], "collateralRatioList": rates}] if rates else []
                }
            case "spot-margin-trade/position-tiers":
                tiers = [{"tier": str(n + 1), "borrowLimit": high, "positionMMR": rate, "positionIMR": "0.2", "maxLeverage": "5"}
                         for n, (_, high, rate) in enumerate(LOANS.get(asked["currency"], []))]  # fmt: skip
                return {"list": [{"currency": asked["currency"], "positionTiersRatioList": tiers}] if tiers else []}  # fmt: skip
            case "order/realtime":
                return {"category": kind, "list": [], "nextPageCursor": ""}
            case "market/orderbook":
                return {"s": symbol, "b": [["2999", "5"]], "a": [["3001", "5"]], "ts": self.now_ms(), "u": 1, "seq": 1}  # fmt: skip
            case "account/info":
                return {"unifiedMarginStatus": self.status, "marginMode": self.mode, "isMasterTrader": False, "spotHedgingStatus": "OFF", "updatedTime": "1697078946000"}  # fmt: skip
            case "account/wallet-balance":
                return self.wallet()
            case "account/fee-rate":
                return {"category": "", "list": [{"symbol": name, "takerFeeRate": text(self.FEE), "makerFeeRate": "0.0002"} for name, one in self.CONTRACTS.items() if one[0] == kind]}  # fmt: skip
            case "position/list":
                rows = [
                    {**row, "unrealisedPnl": text(self.figures(row)[1]), "positionMM": text(self.figures(row)[2]), "riskId": 1, "liqPrice": "", "positionStatus": "Normal"}
                    for row in self.positions
                    if self.CONTRACTS[row["symbol"]][0] == kind and asked.get("settleCoin", "") in ("", self.CONTRACTS[row["symbol"]][2])
                ]  # fmt: skip
                return {"category": kind, "list": rows, "nextPageCursor": ""}
        return None

    def hold(self, symbol: str, side: str, size: str, entry: str, mark: str, leverage: str = "10") -> None:
        self.positions.append({"symbol": symbol, "side": side, "size": size, "avgPrice": entry, "markPrice": mark, "leverage": leverage, "positionIdx": 0, "tradeMode": 0})  # fmt: skip


class Binance(Exchange):
    """Portfolio margin: a margin loan of dollars, ETHUSDT in two brackets, flat collateral rates; a loan's margin is a tenth."""

    RATES = {"BTC": D("0.95"), "ETH": D("0.9"), "USDT": D(1)}
    BRACKETS = [("0", "10000", "0.005", "0"), ("10000", "1000000", "0.01", "50")]
    LOAN_RATE = D("0.1")

    def refused(self, request: web.Request) -> Any:
        if request.path.startswith("/api/v3/"):
            return None
        query, _, signature = request.raw_path.partition("?")[2].rpartition("&signature=")
        wanted = hmac.new(SECRET.encode(), query.encode(), hashlib.sha256).hexdigest()
        if signature != wanted or request.headers.get("X-MBX-APIKEY") != KEY:
            return {"code": -1022, "msg": "Signature for this request is not valid."}
        late = self.now_ms() - int(request.query["timestamp"])
        if not -1_000 < late <= int(request.query["recvWindow"]):
            return {"code": -1021, "msg": "Timestamp for this request is outside of the recvWindow."}
        return None

    def account(self) -> dict[str, Any]:
        upl, needed = dict.fromkeys(self.cash, D(0)), D(0)
        for row in self.positions:
            size, mark = D(row["positionAmt"]), D(row["markPrice"])
            upl["USDT"] = upl.get("USDT", D(0)) + size * (mark - D(row["entryPrice"]))
            value = abs(size) * mark
            rate, cum = next((D(r), D(c)) for low, high, r, c in self.BRACKETS if value < D(high))
            needed += (value * rate - cum) * self.px["USDT"]
        equity = self.drift
        for coin, profit in upl.items():
            units = self.cash.get(coin, D(0)) + profit
            equity += units * self.px[coin] * (self.RATES[coin] if units > 0 else 1)
            needed += max(-self.cash.get(coin, D(0)), D(0)) * self.LOAN_RATE * self.px[coin]
        ratio = text(equity / needed) if needed else "99999999"
        return {"uniMMR": ratio, "accountEquity": text(equity), "actualEquity": text(equity), "accountInitialMargin": "0", "accountMaintMargin": text(needed),
                "accountStatus": "NORMAL", "virtualMaxWithdrawAmount": "0", "totalAvailableBalance": "", "totalMarginOpenLoss": "", "updateTime": 1657707212154}  # fmt: skip

    def answer(self, path: str, asked: dict[str, str]) -> Any:
        match path:
            case "/api/v3/time":
                return {"serverTime": self.now_ms()}
            case "/api/v3/exchangeInfo":
                filters = [{"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "100000", "tickSize": "0.01"},
                           {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "9000", "stepSize": "0.0001"}]  # fmt: skip
                return {"timezone": "UTC", "serverTime": self.now_ms(), "rateLimits": [], "symbols": [
                    {"symbol": "ETHUSDC", "status": "TRADING", "baseAsset": "ETH", "quoteAsset": "USDC", "baseAssetPrecision": 8, "quotePrecision": 8,
                     "orderTypes": ["LIMIT"], "isSpotTradingAllowed": True, "isMarginTradingAllowed": False, "filters": filters, "permissions": ["SPOT"]}]}  # fmt: skip
            case "/papi/v1/account":
                return self.account()
            case "/papi/v1/balance":
                return [
                    {"asset": coin, "totalWalletBalance": text(cash), "crossMarginAsset": text(max(cash, D(0))), "crossMarginBorrowed": text(max(-cash, D(0))),
                     "crossMarginFree": text(max(cash, D(0))), "crossMarginInterest": "0", "crossMarginLocked": "0", "umWalletBalance": "0", "umUnrealizedPNL": "0",
                     "cmWalletBalance": "0", "cmUnrealizedPNL": "", "updateTime": 1617939110373, "negativeBalance": "0"}
                    for coin, cash in self.cash.items()
                ]  # fmt: skip
            case "/papi/v1/um/positionRisk":
                return self.positions
            case "/papi/v1/cm/positionRisk":
                return []
            case "/papi/v1/um/leverageBracket":
                brackets = [{"bracket": n + 1, "initialLeverage": 75, "notionalFloor": int(low), "notionalCap": int(high), "maintMarginRatio": float(rate), "cum": float(cum)}
                            for n, (low, high, rate, cum) in enumerate(self.BRACKETS)]  # fmt: skip
                return [{"symbol": "ETHUSDT", "brackets": brackets}]
            case "/sapi/v1/portfolio/collateralRate":
                return [{"asset": coin, "collateralRate": text(rate)} for coin, rate in self.RATES.items()]
            case "/sapi/v1/portfolio/asset-index-price":
                return [{"asset": coin, "assetIndexPrice": text(px)} for coin, px in self.px.items()]
        return None

    def hold(self, size: str, entry: str, mark: str, symbol: str = "ETHUSDT") -> None:
        self.positions.append({"symbol": symbol, "positionAmt": size, "entryPrice": entry, "markPrice": mark, "unRealizedProfit": "0", "liquidationPrice": "0",
                               "leverage": "10", "maxNotionalValue": "20000000", "positionSide": "BOTH", "notional": "0", "updateTime": 1625474304765})  # fmt: skip


@asynccontextmanager
async def serving(exchange: Any) -> AsyncIterator[Any]:
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", exchange.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    exchange.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield exchange
    finally:
        await runner.cleanup()
