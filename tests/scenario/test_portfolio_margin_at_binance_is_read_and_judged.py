"""Binance's portfolio margin, read over REST by the ccxt family from a server that computes uniMMR by itself."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from ccxt_rig import Signer
from paper import KEY
from settings_values import values
from unified_servers import Binance, serving

from agent.app import template
from agent.app.settings import Settings, parse
from agent.app.watching.loans import Loan
from agent.app.watching.margins import margins_of, tells_margin
from agent.margin.model import Side, State
from agent.ports import TellsMargin
from agent.transport.clock import SystemClock
from agent.venues.ccxt import connect
from chains.errors import Denied, Usage

D = Decimal


class Judge(Signer):
    def __init__(self) -> None:
        super().__init__("binance", "ETHUSDC")

    async def sign_exchange(self, request_id: str, venue: str, method: str, path: str, payload: str) -> tuple[str, str]:  # fmt: skip
        return await self.sign(method, path, payload), KEY


def portfolio() -> Binance:
    found = Binance()
    found.hold("-5", "3100", "3000")
    return found


def settings(url: str, folder: Path, **more: Any) -> Settings:
    (folder / "key").write_text(KEY)
    (folder / "key").chmod(0o600)
    venue = {
        "name": "paper", "module": "ccxt", "exchange": "binance", "portfolio_margin": True, "base_url": url,
        "api_key": f"file:{folder / 'key'}", "symbols": ["ETHUSDC"],
    }  # fmt: skip
    path = Path("/nowhere/fairlead.toml")
    return parse(template.render(values(venues=[venue | more]), path), path).settings


async def read(server: Binance, folder: Path, judge: Judge | None = None) -> list[Loan]:
    async with serving(server):
        return await margins_of(settings(server.url, folder), judge or Judge())  # type: ignore[arg-type]


async def test_it_is_what_the_exchange_computes(tmp_path: Path) -> None:
    server, judge = portfolio(), Judge()
    (loan,) = await read(server, tmp_path, judge)
    found = loan.judged
    assert found.state is State.SAFE and found.health is not None, found.why
    told = server.account()
    assert found.health.collateral_value_raw == int(D(told["accountEquity"]) * 10**8)
    assert found.health.maintenance_raw == int(D(told["accountMaintMargin"]) * 10**8)
    assert found.health.health_1e18 is not None and abs(found.health.health_1e18 - int(D(told["uniMMR"]) * 10**18)) <= 1  # fmt: skip
    assert {method for method, _ in server.asked} == {"GET"} and {m for m, _ in judge.asked} == {"GET"}


async def test_at_the_price_that_is_printed_its_own_ratio_is_where_liquidation_begins(tmp_path: Path) -> None:
    (loan,) = await read(portfolio(), tmp_path)
    assert loan.judged.health is not None
    for px in loan.judged.health.liquidation_px:
        coin, step = loan.judged.symbols[px.asset], (1 if px.side is Side.BELOW else -1)
        assert px.px_raw is not None
        for raw, fallen in ((px.px_raw, True), (px.px_raw + step, False)):
            there = portfolio()
            there.px[coin] = D(raw).scaleb(-8)
            if coin == "ETH":
                there.positions[0]["markPrice"] = f"{D(raw).scaleb(-8):f}"
            assert (D(there.account()["uniMMR"]) <= D("1.05")) is fallen, coin
            (again,) = await read(there, tmp_path)
            assert (again.judged.state is State.LIQUIDATABLE) is fallen, again.judged.why


@pytest.mark.parametrize(
    ("path", "change", "why"),
    [
        ("/papi/v1/account", lambda told: told | {"accountEquity": "100"}, "an equity of 100"),
        ("/papi/v1/account", lambda told: told | {"uniMMR": "3"}, "a ratio of 3"),
        ("/papi/v1/account", lambda told: told | {"accountMaintMargin": ""}, "documented"),
        ("/papi/v1/account", lambda told: [], "no object"),
        ("/papi/v1/account", lambda told: {"code": -21001, "msg": "no Portfolio Margin Account"}, "Portfolio Margin"),
        ("/papi/v1/balance", lambda told: told[:1], "the exchange tells"),
        ("/papi/v1/balance", lambda told: {"asset": "BTC"}, "no list"),
        ("/papi/v1/balance", lambda told: [{"asset": "BTC"}], "documented"),
        ("/papi/v1/um/positionRisk", lambda told: [told[0] | {"markPrice": "0.0"}], "documented"),
        ("/papi/v1/um/positionRisk", lambda told: [told[0] | {"symbol": "BTCUSDT"}], "no brackets of BTCUSDT"),
        ("/papi/v1/cm/positionRisk", lambda told: [{"symbol": "BTCUSD_PERP", "positionAmt": "1"}], "COIN-M"),
        ("/papi/v1/um/leverageBracket", lambda told: [], "no brackets of ETHUSDT"),
        ("/papi/v1/um/leverageBracket", lambda told: [told[0] | {"notionalCoef": "1.5"}], "no brackets of ETHUSDT"),
        ("/sapi/v1/portfolio/collateralRate", lambda told: told[1:], "no collateral rate of BTC"),
        ("/sapi/v1/portfolio/asset-index-price", lambda told: told[1:], "no price of BTC"),
    ],
)  # fmt: skip
async def test_wrong_and_partial_answers_are_unknown_and_never_safe(path: str, change: Any, why: str, tmp_path: Path) -> None:  # fmt: skip
    server = portfolio()
    server.spoil[path] = change
    (loan,) = await read(server, tmp_path)
    assert loan.judged.state is State.UNKNOWN and why in loan.judged.why, loan.judged.why


async def test_another_rate_of_loans_than_is_taken_is_unknown(tmp_path: Path) -> None:
    server = portfolio()
    server.LOAN_RATE = D("0.05")
    (loan,) = await read(server, tmp_path)
    assert loan.judged.state is State.UNKNOWN and "a maintenance margin of" in loan.judged.why


async def test_nothing_open_is_no_account_and_a_clock_ahead_is_measured(tmp_path: Path) -> None:
    server = Binance()
    server.cash = {"ETH": D(3)}
    assert await read(server, tmp_path) == []
    server = portfolio()
    server.skew_ms = 20_000
    (loan,) = await read(server, tmp_path)
    assert loan.judged.state is State.SAFE, loan.judged.why


async def test_it_is_asked_only_where_the_settings_say_so(tmp_path: Path) -> None:
    off = settings("http://127.0.0.1:9", tmp_path, portfolio_margin=False)
    assert not tells_margin(off.venues[0]) and await margins_of(off, Judge()) == []  # type: ignore[arg-type]
    assert tells_margin(settings("http://127.0.0.1:9", tmp_path).venues[0])
    plain = connect("x", SystemClock(), "", Judge().sign, base_url="http://127.0.0.1:9", exchange="binance")
    assert not isinstance(plain, TellsMargin)
    await plain.close()
    with pytest.raises(Usage, match="portfolio_margin"):
        settings("http://127.0.0.1:9", tmp_path, exchange="okx")
    for path in ("papi/um/order", "papi/marginLoan", "papi/repayLoan", "papi/bnb-transfer", "sapi/portfolio/repay", "papi/um/leverage"):  # fmt: skip
        for method in ("GET", "POST"):
            with pytest.raises(Denied):
                await Judge().sign(method, path, json.dumps({"at_ms": SystemClock().now_ns() // 10**6, "params": {}}))  # fmt: skip
