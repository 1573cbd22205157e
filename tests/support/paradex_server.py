"""Paradex' REST, as far as a portfolio margin account is read by it: payloads as its API reference and its own client show them, and figures
that this exchange computes by itself. A private request without the account's token is refused; `spoil` maps a path to what is
told instead; `echoes`: the refusal repeats what was said."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import erf, exp, log, sqrt
from typing import Any

from aiohttp import web

TOKEN = "read-only-token"
DAY_S = 86_400
TABLE = [
    (spot, vol, 1.0) for spot in (0.12, 0.08, 0.04, 0.0, -0.04, -0.08, -0.12) for vol in (0.4, -0.22)
] + [(0.16, 0.4, 1.0), (-0.16, 0.4, 1.0), (-0.66, 0.4, 0.18), (0.5, 0.4, 0.24), (5.0, 0.4, 0.024)]
PERP_FEE, OPTION_FEE, SPOT = 0.0003, 0.0002, 60_000.0


def normal(x: float) -> float:
    return (1 + erf(x / sqrt(2))) / 2


def option_px(spot: float, strike: float, vol: float, years: float, call: bool) -> float:
    """Black and Scholes without interest."""
    width = vol * sqrt(years)
    d1 = (log(spot / strike) + width * width / 2) / width
    worth = spot * normal(d1) - strike * normal(d1 - width)
    return worth if call else worth - spot + strike


@dataclass
class Paradex:
    """`perps`: size by market; `options`: (market, size, call, strike, days, vol)."""

    perps: dict[str, float] = field(default_factory=lambda: {"BTC-USD-PERP": -2.0})
    options: list[tuple[str, float, bool, float, float, float]] = field(default_factory=list)
    value: float = 50_000.0
    mode: str = "portfolio_margin"
    funding: float = -0.0001
    spoil: dict[str, Callable[[Any], Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    url: str = ""
    echoes: bool = False
    began: float = field(default_factory=time.time)

    async def handle(self, request: web.Request) -> web.Response:
        path, asked = request.path.removeprefix("/v1"), dict(request.query)
        self.asked.append(f"{request.method} {path}")
        private = path.startswith(("/account", "/balance", "/positions"))
        said = request.headers.get("Authorization")
        if private and said != f"Bearer {TOKEN}":
            why = f"malformed: '{said}'" if self.echoes else "token is malformed"
            return web.json_response({"error": "INVALID_TOKEN", "message": why}, status=401)
        found = self.answer(path, asked) if request.method == "GET" else None
        if found is None:
            return web.json_response({"error": "NOT_FOUND", "message": "no such path"}, status=404)
        return web.json_response(self.spoil.get(path, lambda told: told)(found))

    def answer(self, path: str, asked: dict[str, str]) -> Any:
        match path:
            case "/system/time":
                return {"server_time": str(time.time_ns() // 10**6)}
            case "/system/portfolio-margin-config":
                return {"results": [self.config("ETH"), self.config("BTC")]}
            case "/account":
                figures = {"account_value": self.value, "maintenance_margin_requirement": self.maintenance()}
                return {"account": "0x1", "status": "ACTIVE", **{k: f"{v:.8f}" for k, v in figures.items()}}
            case "/account/info":
                return {"fees": {"taker_rate": str(PERP_FEE), "dated_option_taker_rate": str(OPTION_FEE)}}
            case "/account/margin":
                assert asked["market"] in {row["market"] for row in self.rows()}
                return {"account": "0x1", "margin_methodology": self.mode, "configs": []}
            case "/balance":
                return {"results": [{"token": "USDC", "size": f"{self.value:.2f}", "last_updated_at": 1}]}
            case "/positions":
                return {"results": self.rows()}
            case "/markets":
                return {"results": [self.market(asked["market"])]}
            case "/markets/summary":
                return {"results": [self.summary(asked["market"])]}
        return None

    @staticmethod
    def config(base: str) -> dict[str, Any]:
        return {
            "base_asset": base, "hedged_margin_factor": "0.01", "unhedged_margin_factor": "0.02", "mmf_factor": "0.5",
            "vol_shock_params": {"dte_floor_days": "1", "vega_power_short_dte": "0.3", "vega_power_long_dte": "0.13", "min_vol_shock_up": "0.4"},
            "scenarios": [{"spot_shock": str(s), "vol_shock": str(v), "weight": str(w)} for s, v, w in TABLE],
        }  # fmt: skip

    def rows(self) -> list[dict[str, Any]]:
        held = [*self.perps.items(), *((name, size) for name, size, *_ in self.options)]
        return [
            {"market": name, "status": "OPEN", "side": "LONG" if size > 0 else "SHORT", "size": f"{abs(size)}", "average_entry_price": "1"}
            for name, size in held
        ]  # fmt: skip

    def market(self, name: str) -> dict[str, Any]:
        row = {"symbol": name, "base_currency": name.partition("-")[0], "asset_kind": "PERP", "expiry_at": 0}
        for market, _, call, strike, days, _ in self.options:
            if market == name:
                ends = int((self.began + days * DAY_S) * 1000)
                row |= {"asset_kind": "OPTION", "option_type": "CALL" if call else "PUT", "strike_price": str(strike), "expiry_at": ends}  # fmt: skip
        return row

    def summary(self, name: str) -> dict[str, Any]:
        row = {"symbol": name, "underlying_price": str(SPOT), "mark_price": str(SPOT), "mark_iv": "", "funding_rate": str(self.funding)}  # fmt: skip
        for market, _, call, strike, days, vol in self.options:
            if market == name:
                row |= {"mark_price": f"{option_px(SPOT, strike, vol, days / 365, call):.8f}", "mark_iv": str(vol), "funding_rate": ""}  # fmt: skip
        return row

    def maintenance(self) -> float:
        net = max(self.scanned(), self.delta_charge())
        fees = sum(abs(size) * SPOT * PERP_FEE for size in self.perps.values())
        for _, size, call, strike, days, vol in self.options:
            mark = option_px(SPOT, strike, vol, days / 365, call)
            fees += abs(size) * min(OPTION_FEE * SPOT, 0.125 * mark)
        funding = sum(size * self.funding * SPOT for size in self.perps.values())
        return net * 0.5 + max(funding, 0.0) + fees

    def scanned(self) -> float:
        worst = 0.0
        for move, shock, weight in TABLE:
            gain = sum(size * SPOT * move for size in self.perps.values())
            for _, size, call, strike, days, vol in self.options:
                power = 0.3 if days < 30 else 0.13
                shaken = vol * (1 + shock * (30 / max(days, 1)) ** power)
                shaken = max(shaken, 0.4) if shock > 0 else max(shaken, 1e-9)
                there = option_px(SPOT * (1 + move), strike, shaken, days / 365, call)
                gain += size * (there - option_px(SPOT, strike, vol, days / 365, call))
            worst = max(worst, -gain * weight)
        return worst

    def delta_charge(self) -> float:
        deltas = list(self.perps.values())
        for _, size, call, strike, days, vol in self.options:
            width = vol * sqrt(days / 365)
            delta = normal((log(SPOT / strike) + width * width / 2) / width)
            deltas.append(size * (delta if call else delta - 1))
        net = abs(sum(deltas))
        return (0.02 * net + 0.01 * (sum(map(abs, deltas)) - net) / 2) * SPOT * exp(0.0)
