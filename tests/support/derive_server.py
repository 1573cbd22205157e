"""Derive's v3 API, as far as a portfolio margin account is read by it: JSON over HTTP POST, payloads as its API reference and its own clients
show them, figures that this exchange computes by itself in floats. A private request whose headers are no signature of a registered session
key is refused; so is a request without a User-Agent. `spoil` maps a method to what is told instead."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import erf, exp, log, sqrt
from typing import Any

from aiohttp import web

from contracts.hashing import keccak
from keys.curve import SigningKey, recover

WALLET = "0x00000000000000000000000000000000000000aB"
SESSION = "5a" * 32
ADDRESS = str(SigningKey(bytes.fromhex(SESSION)).address)
DAY_S, YEAR_S = 86_400, 365 * 86_400
SPOT, MARK = 3_000.0, 3_003.0
PARAMETERS: dict[str, Any] = {
    "scenarios": [["1.16", "up", "1"], ["1.08", "down", "1"], ["1", "up", "1"], ["1", "none", "1"], ["1", "down", "1"], ["0.92", "down", "1"], ["0.84", "up", "1"], ["0.34", "up", "0.18"], ["2", "up", "0.1"]],
    "mm_perp": "0.0075", "im_perp": "0.0075",
}  # fmt: skip
"""Of one market, as its owner wrote them down; the rest is as published."""


def normal(x: float) -> float:
    return (1 + erf(x / sqrt(2))) / 2


def black(forward: float, strike: float, vol: float, years: float, discount: float, call: bool) -> float:
    width = vol * sqrt(years)
    d1 = log(forward / strike) / width + width / 2
    worth = forward * normal(d1) - strike * normal(d1 - width)
    return discount * (worth if call else worth - forward + strike)


@dataclass
class Option:
    size: float
    call: bool
    strike: float
    day: str
    vol: float
    forward: float

    @property
    def name(self) -> str:
        return f"ETH-{self.day}-{self.strike:.0f}-{'C' if self.call else 'P'}"

    @property
    def ends(self) -> int:
        return int(datetime.strptime(self.day, "%Y%m%d").replace(hour=8, tzinfo=UTC).timestamp())


@dataclass
class Derive:
    """`collateral`: (name, amount, price, part of it that counts, and initially)."""

    cash: float = 9_000.0
    perp: float = -4.0
    unsettled: float = 12.5
    options: list[Option] = field(default_factory=list)
    collateral: list[tuple[str, float, float, float, float]] = field(default_factory=list)
    kind: str = "PM2"
    rate: float = 0.05
    scopes: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=lambda: ["203.0.113.7"])
    more: dict[str, Any] = field(default_factory=dict)
    spoil: dict[str, Callable[[Any], Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    async def handle(self, request: web.Request) -> web.Response:
        path = request.path.removeprefix("/v3/")
        self.asked.append(f"{request.method} {path}")
        if request.method != "POST" or not request.headers.get("User-Agent"):
            return web.Response(status=403)
        params = await request.json()
        if path.startswith("private/") and (why := self.refused(request, params)):
            return web.json_response({"id": "1", "error": why})
        found = self.answer(path, params)
        if found is None:
            return web.json_response({"id": "1", "error": {"code": -32601, "message": "Method not found"}})
        return web.json_response({"id": "1", "result": self.spoil.get(path, lambda told: told)(found)})

    @staticmethod
    def refused(request: web.Request, params: dict[str, Any]) -> dict[str, Any] | None:
        said, at = request.headers.get("X-DeriveWallet", ""), request.headers.get("X-DeriveTimestamp", "")
        if said != WALLET or params.get("wallet", WALLET) != WALLET:
            return {"code": 14020, "message": "The header does not match the requested wallet"}
        text = f"\x19Ethereum Signed Message:\n{len(at)}{at}".encode()
        signature = bytes.fromhex(request.headers.get("X-DeriveSignature", "").removeprefix("0x"))
        if abs(int(at) / 1000 - time.time()) > 60 or str(recover(keccak(text), signature)) != ADDRESS:
            return {"code": 14014, "message": "Signature invalid for message or transaction"}
        return None

    def answer(self, path: str, asked: dict[str, Any]) -> Any:
        now = time.time_ns() // 10**6
        match path:
            case "public/get_time":
                return now
            case "private/get_subaccounts":
                return {"wallet": WALLET, "subaccount_ids": [42]}
            case "private/session_keys":
                rows = [("0x" + "11" * 20, ["admin"]), (ADDRESS, self.scopes)]
                return {"public_session_keys": [{"public_session_key": key, "protocol_scopes": scopes, "offchain_scopes": ["account_info"], "ip_whitelist": self.addresses, "expiry_sec": now // 1000 + DAY_S, "registered_sec": 1, "label": "", "subaccount_ids": [42]} for key, scopes in rows]}  # fmt: skip
            case "private/get_subaccount":
                return self.subaccount() if asked["subaccount_id"] == 42 else None
            case "public/get_ticker":
                (one,) = (o for o in self.options if o.name == asked["instrument_name"])
                pricing = {"i": f"{one.vol}", "f": f"{one.forward}", "df": f"{self.discount(one):.3f}", "m": f"{self.mark(one):.4f}", "d": "0.5"}  # fmt: skip
                return {"t": now, "I": f"{SPOT}", "M": pricing["m"], "option_pricing": pricing}
            case "public/get_latest_signed_feeds":
                assert asked["currency"] == "ETH"
                feed = {"confidence": "1", "currency": "ETH", "deadline": now, "timestamp": now}
                ends = {str(one.ends): feed for one in self.options}
                rates = {} if self.rate == 0.05 else {key: {**one, "rate": f"{self.rate}"} for key, one in ends.items()}  # fmt: skip
                return {"spot_data": {"ETH": feed}, "perp_data": {"ETH": {"P": feed}}, "fwd_data": {"ETH": ends}, "vol_data": {"ETH": ends}, "rate_data": {"ETH": rates}, "funding_data": {}}  # fmt: skip
        return None

    def years(self, one: Option) -> float:
        return (one.ends - time.time()) / YEAR_S

    def discount(self, one: Option) -> float:
        return exp(-self.rate * self.years(one))

    def mark(self, one: Option) -> float:
        return black(one.forward, one.strike, one.vol, self.years(one), self.discount(one), one.call)

    def subaccount(self) -> dict[str, Any]:
        base = {"index_price": f"{SPOT}", "pending_funding": "0"}
        positions = [{"instrument_name": "ETH-PERP", "instrument_type": "perp", "amount": f"{self.perp}", "mark_price": f"{MARK}", "mark_value": f"{self.unsettled}", **base}] if self.perp else []  # fmt: skip
        positions += [{"instrument_name": o.name, "instrument_type": "option", "amount": f"{o.size}", "mark_price": f"{self.mark(o):.4f}", "mark_value": f"{o.size * self.mark(o):.6f}", **base} for o in self.options]  # fmt: skip
        coins = [("USDC", self.cash, 1.0, 1.0, 1.0), *self.collateral]
        held = [{"asset_name": name, "asset_type": "erc20", "currency": name.removeprefix("W"), "amount": f"{amount}", "mark_price": f"{px}", "mark_value": f"{amount * px}", "maintenance_margin": f"{amount * px * kept:.6f}", "initial_margin": f"{amount * px * first:.6f}"} for name, amount, px, kept, first in coins]  # fmt: skip
        value = sum(amount * px for _, amount, px, *_ in coins) + sum(float(p["mark_value"]) for p in positions)  # fmt: skip
        return {
            "subaccount_id": 42, "manager_id": 5, "risk_universe_id": 1, "margin_type": self.kind, "currency": ["BTC", "ETH"], "label": "",
            "is_under_liquidation": False, "failed_to_fetch": False, "mm_credits": "0", "open_orders": [], "open_orders_margin": "0",
            "positions": positions, "collaterals": held, "subaccount_value": f"{value:.8f}",
            "maintenance_margin": f"{value - self.required():.8f}", "initial_margin": "0", **self.more,
        }  # fmt: skip

    def required(self) -> float:
        """0.8 of the worst of the table, and contingencies (the contract's lib, in floats): no option is naked but by its own strike."""
        worst = 0.0
        for spot, vol, part in PARAMETERS["scenarios"]:
            move, gain = float(spot) - 1, self.perp * MARK * (float(spot) - 1)
            gain += sum(amount * px * move for name, amount, px, *_ in self.collateral if name in ("ETH", "WETH"))  # fmt: skip
            worst = min(worst, (gain + self.gain(float(spot), vol)) * float(part))
        worst = min(worst, self.basis())
        kept = abs(self.perp) * SPOT * float(PARAMETERS["mm_perp"])
        kept += sum(max(-o.size, 0.0) for o in self.options) * SPOT * 0.003
        kept += sum(amount * px * (1 - part) for _, amount, px, part, _ in self.collateral)
        return kept - 0.8 * worst

    def gain(self, spot: float, vol: str) -> float:
        """Of all options, expiry by expiry."""
        total = 0.0
        for ends in {o.ends for o in self.options}:
            rows = [o for o in self.options if o.ends == ends]
            there, now = 0.0, sum(o.size * self.mark(o) for o in rows)
            years, rate = self.years(rows[0]), self.rate
            for o in rows:
                power = (30 / max(years * 365, 1)) ** (0.3 if years * 365 <= 30 else 0.13)
                shaken = {"up": max(o.vol * (1 + 0.5 * power), 0.45), "down": o.vol * max(1 - 0.275 * power, 0), "none": o.vol}[vol]  # fmt: skip
                there += o.size * black(o.forward * spot, o.strike, max(shaken, 1e-9), years, self.discount(o), o.call)  # fmt: skip
            longs = 0.95 * exp(-years * (rate * 1 + 0.08))
            shorts = min(1 / self.discount(rows[0]), 1.04 / exp(-years * (rate * 0.5 + 0.08)))
            total += there * (longs if there >= 0 else shorts) - now
        return total

    def basis(self) -> float:
        total = 0.0
        for ends in {o.ends for o in self.options}:
            rows = [o for o in self.options if o.ends == ends]
            now, years = sum(o.size * self.mark(o) for o in rows), self.years(rows[0])
            moved = [sum(o.size * black(o.forward * up, o.strike, o.vol, years, self.discount(o), o.call) for o in rows) - now for up in (1.045, 0.955)]  # fmt: skip
            total += min(*moved, 0.0) * (0.5 + 2 * years)
        return total
