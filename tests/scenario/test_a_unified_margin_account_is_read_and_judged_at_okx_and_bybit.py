"""OKX's multi-currency account and Bybit's unified one, read over REST from servers that compute the documented figures by themselves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from ccxt_rig import Signer
from paper import KEY
from settings_values import values
from unified_servers import Bybit, Exchange, Okx, serving

from agent.app import template
from agent.app.settings import Settings, parse
from agent.app.watching.check import Level
from agent.app.watching.margins import judged_now, margins_of, tells_margin
from agent.app.watching.venue_check import venue_checks
from agent.domain.errors import FairleadError, Retry
from agent.margin.accounts import Judged
from agent.margin.model import Side, State
from agent.ports import TellsMargin
from agent.transport.clock import SystemClock
from agent.transport.http import TimeOuts
from agent.venues.ccxt import Ccxt, connect
from agent.venues.ccxt.with_margin import CcxtWithMargin
from chains.errors import Denied

D = Decimal
SYMBOL = {"okx": "ETH-USDC", "bybit": "ETHUSDC"}


class Judge(Signer):
    """The signer's policy and its library, as `margins_of` and `doctor` speak to the signer's process."""

    def __init__(self, exchange: str) -> None:
        super().__init__(exchange, SYMBOL[exchange], word="word")

    async def sign_exchange(self, request_id: str, venue: str, method: str, path: str, payload: str) -> tuple[str, str]:  # fmt: skip
        return await self.sign(method, path, payload), KEY

    async def status(self) -> dict[str, Any]:
        return {"exchange_limits": {}}


def okx() -> Okx:
    """Short of ethers against dollars that are owed, long of bitcoins by inverse contracts."""
    found = Okx()
    found.hold("ETH-USDT-SWAP", "-500", "3100", "3000")
    found.hold("BTC-USD-SWAP", "100", "39000", "40000")
    return found


def bybit() -> Bybit:
    found = Bybit()
    found.hold("ETHUSDT", "Sell", "5", "3100", "3000")
    found.hold("BTCUSD", "Buy", "5000", "39000", "40000")
    return found


KINDS: dict[str, Callable[[], Any]] = {"okx": okx, "bybit": bybit}


async def session(exchange: str, url: str, signer: Judge | None = None) -> CcxtWithMargin:
    sign = (signer or Judge(exchange)).sign
    found = connect("x", SystemClock(), "", sign, base_url=url, exchange=exchange, timeouts=TimeOuts(1.0, 0.5))  # fmt: skip
    assert isinstance(found, CcxtWithMargin) and isinstance(found, TellsMargin)
    await found.start()
    return found


async def read(exchange: str, server: Exchange, signer: Judge | None = None) -> list[Judged]:
    async with serving(server):
        venue = await session(exchange, server.url, signer)
        try:
            return await judged_now(venue)
        finally:
            await venue.close()


def told(server: Any) -> tuple[Decimal, Decimal]:
    """(equity, maintenance) by the exchange itself."""
    if isinstance(server, Okx):
        row = server.balance()["data"][0]
        return D(row["adjEq"]), D(row["mmr"])
    row = server.wallet()["list"][0]
    return D(row["totalMarginBalance"]), D(row["totalMaintenanceMargin"])


@pytest.mark.parametrize("exchange", KINDS)
async def test_it_is_what_the_exchange_computes(exchange: str) -> None:
    server = KINDS[exchange]()
    signer = Judge(exchange)
    (found,) = await read(exchange, server, signer)
    assert found.state is State.SAFE and found.health is not None, found.why
    equity, maintenance = told(server)
    assert found.health.collateral_value_raw == int(equity * 10**8)
    assert found.health.maintenance_raw is not None
    fees = D(found.health.maintenance_raw) / 10**8 - maintenance
    assert 0 < fees < maintenance / 10, "with the fees of closing, at their most"
    sides = {found.symbols[px.asset]: px.side for px in found.health.liquidation_px}
    assert sides == {"BTC": Side.BELOW, "ETH": Side.ABOVE, "USDT": Side.ABOVE}
    assert {method for method, _ in server.asked} == {"GET"} and {m for m, _ in signer.asked} == {"GET"}


async def test_at_the_price_that_is_printed_okx_itself_liquidates_and_not_a_step_before() -> None:
    server = okx()
    (found,) = await read("okx", server)
    assert found.health is not None
    for px in found.health.liquidation_px:
        coin, step = found.symbols[px.asset], (1 if px.side is Side.BELOW else -1)
        assert px.px_raw is not None
        for raw, fallen in ((px.px_raw, True), (px.px_raw + step, False)):
            there, price = okx(), D(raw).scaleb(-8)
            there.px[coin] = price
            for row in there.positions:
                if row["instId"].startswith(coin):
                    row["markPx"] = f"{price:f}"
            whole = there.balance()["data"][0]
            assert (D(whole["mgnRatio"]) <= 1) is fallen, (coin, raw)
            (again,) = await read("okx", there)
            assert (again.state is State.LIQUIDATABLE) is fallen, again.why


async def test_bybit_liquidates_no_sooner_than_at_the_price_that_is_printed() -> None:
    (found,) = await read("bybit", bybit())
    assert found.health is not None
    for px in found.health.liquidation_px:
        coin, step = found.symbols[px.asset], (1 if px.side is Side.BELOW else -1)
        assert px.px_raw is not None
        for raw, fallen in ((px.px_raw, True), (px.px_raw + step, False)):
            there, price = bybit(), D(raw).scaleb(-8)
            there.px[coin] = price
            for row in there.positions:
                if row["symbol"].startswith(coin):
                    row["markPrice"] = f"{price:f}"
            (again,) = await read("bybit", there)
            assert (again.state is State.LIQUIDATABLE) is fallen, (coin, raw, again.why)
            equity, maintenance = told(there)
            assert D("0.99") < equity / maintenance and (fallen or equity > maintenance)


@pytest.mark.parametrize("exchange", KINDS)
async def test_what_is_lent_by_falling_below_zero_is_margined_before_the_price_that_is_printed(exchange: str) -> None:  # fmt: skip
    """No loan stands yet: the loss of a short is what makes it."""
    server = KINDS[exchange]()
    server.positions = server.positions[:1]
    server.cash = {"BTC": D("1.5"), "USDT": D(500)}
    (found,) = await read(exchange, server)
    assert found.health is not None and found.health.debt_value_raw == 0, found.why
    (px,) = (px for px in found.health.liquidation_px if found.symbols[px.asset] == "ETH")
    assert px.px_raw is not None
    server.positions[0][{"okx": "markPx", "bybit": "markPrice"}[exchange]] = f"{D(px.px_raw).scaleb(-8):f}"
    equity, maintenance = told(server)
    assert D("0.99") < equity / maintenance < D("1.08")


@pytest.mark.parametrize("exchange", KINDS)
async def test_figures_that_differ_from_the_exchanges_own_are_unknown(exchange: str) -> None:
    for drift, differs in ((D(20), False), (D(100), True), (D(-100), True)):
        server = KINDS[exchange]()
        server.drift = drift
        (found,) = await read(exchange, server)
        assert (found.state is State.UNKNOWN) is differs, found.why
        assert not differs or "the exchange tells an equity of" in found.why


@pytest.mark.parametrize("exchange", KINDS)
async def test_where_nothing_is_open_or_owed_there_is_no_account(exchange: str) -> None:
    server = KINDS[exchange]()
    server.positions, server.cash = [], {"ETH": D(3)}
    assert await read(exchange, server) == []
    server = KINDS[exchange]()
    server.positions = []
    (found,) = await read(exchange, server)
    assert found.health is not None and found.health.debt_value_raw > 0, "owed, and no position"


async def test_other_modes_and_what_no_model_computes_are_unknown() -> None:
    for level, word in (("1", "spot"), ("2", "futures"), ("4", "portfolio margin"), ("9", "mode 9")):
        server = okx()
        server.level = level
        (found,) = await read("okx", server)
        assert found.state is State.UNKNOWN and word in found.why
    for mode in ("PORTFOLIO_MARGIN", "ISOLATED_MARGIN"):
        there = bybit()
        there.mode = mode
        (found,) = await read("bybit", there)
        assert found.state is State.UNKNOWN and mode in found.why
    there = bybit()
    there.status = 1
    (found,) = await read("bybit", there)
    assert found.state is State.UNKNOWN and "no unified account" in found.why
    there = bybit()
    there.status = 4
    *_, apart = await read("bybit", there)
    assert apart.state is State.UNKNOWN and "1.0" in apart.why
    server = okx()
    server.spoil["/api/v5/account/positions"] = lambda found: patched(found, ["data", 0, "instType"], "OPTION")  # fmt: skip
    (found,) = await read("okx", server)
    assert found.state is State.UNKNOWN and "OPTION" in found.why


async def test_an_isolated_position_at_okx_is_an_account_of_its_own() -> None:
    server = okx()
    server.hold("ETH-USDT-SWAP", "100", "3200", "3000", "long", "isolated", margin="3000", mgnRatio="3.1746031746")  # fmt: skip
    crossed, alone = await read("okx", server)
    assert crossed.state is State.SAFE and alone.id == "x isolated ETH-USDT-SWAP long"
    assert alone.state is State.SAFE and alone.health is not None
    # (3000 - 10·200) / (30000·(0.01 + 0.0005))
    assert alone.health.health_1e18 == 10**18 * 1000 // 315
    (eth,) = (px for px in alone.health.liquidation_px if alone.symbols[px.asset] == "ETH")
    assert eth.side is Side.BELOW and eth.px_raw is not None
    ten = D(10)
    for raw, fallen in ((eth.px_raw, True), (eth.px_raw + 1, False)):
        px = D(raw).scaleb(-8)
        assert ((3000 + ten * (px - 3200)) / (ten * px * D("0.0105")) <= 1) is fallen
    server.positions[-1]["mgnRatio"] = "5"
    _, alone = await read("okx", server)
    assert alone.state is State.UNKNOWN and "a ratio of 5" in alone.why


def patched(document: Any, at: list[Any], value: Any) -> Any:
    found = json.loads(json.dumps(document))
    here = found
    for key in at[:-1]:
        here = here[key]
    if value is None:
        del here[at[-1]]
    else:
        here[at[-1]] = value
    return found


SPOILT = {
    "okx": [
        ("/api/v5/account/balance", ["data", 0, "adjEq"], "", "documented"),
        ("/api/v5/account/balance", ["data", 0, "adjEq"], "NaN", "documented"),
        ("/api/v5/account/balance", ["data", 0, "details", 0, "cashBal"], None, "documented"),
        ("/api/v5/account/balance", ["data"], [], "0 accounts"),
        ("/api/v5/account/config", ["data", 0, "acctLv"], None, "documented"),
        ("/api/v5/account/positions", ["data", 0, "markPx"], "", "documented"),
        ("/api/v5/account/positions", ["data", 0, "pos"], "a lot", "documented"),
        ("/api/v5/account/positions", ["data", 0, "markPx"], "0", "documented"),
        ("/api/v5/public/position-tiers", ["data"], [], "no tier"),
        ("/api/v5/public/position-tiers", ["data", 0, "mmr"], "", "documented"),
        ("/api/v5/public/discount-rate-interest-free-quota", ["data"], [], "no discount rate"),
        ("/api/v5/public/discount-rate-interest-free-quota", ["data", 0, "details", 0, "discountRate"], "95", "between 0 and 1"),
        ("/api/v5/account/trade-fee", ["data", 0, "takerU"], "", "documented"),
        ("/api/v5/account/trade-fee", ["data"], "none", "documented"),
        ("/api/v5/account/balance", ["data", 0, "mmr"], "1000", "a maintenance margin of 1000"),
        ("/api/v5/account/balance", ["data", 0, "mgnRatio"], "40", "a ratio of 40"),
    ],
    "bybit": [
        ("/v5/account/wallet-balance", ["result", "list"], [], "0 unified wallets"),
        ("/v5/account/wallet-balance", ["result", "list", 0, "totalMarginBalance"], "", "documented"),
        ("/v5/account/wallet-balance", ["result", "list", 0, "coin", 0, "walletBalance"], None, "documented"),
        ("/v5/account/info", ["result", "marginMode"], None, "documented"),
        ("/v5/position/list", ["result", "list", 0, "side"], "Both", "documented"),
        ("/v5/position/list", ["result", "list", 0, "markPrice"], "", "documented"),
        ("/v5/market/risk-limit", ["result", "list"], [], "no risk limits"),
        ("/v5/market/risk-limit", ["result", "list", 0, "maxLeverage"], "7", "documented"),
        ("/v5/market/risk-limit", ["result", "list", 1, "mmDeduction"], "900", "leap"),
        ("/v5/spot-margin-trade/collateral", ["result", "list"], [], "no collateral ratio"),
        ("/v5/spot-margin-trade/position-tiers", ["result", "list"], [], "no rate for borrowing"),
        ("/v5/account/fee-rate", ["result", "list"], [], "documented"),
        ("/v5/account/wallet-balance", ["result", "list", 0, "totalMaintenanceMargin"], "400", "a maintenance margin of 400"),
        ("/v5/account/wallet-balance", ["result", "list", 0, "accountMMRate"], "0.03", "a ratio of"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("exchange", "path", "at", "value", "why"),
    [(exchange, *rest) for exchange, cases in SPOILT.items() for rest in cases],
)
async def test_wrong_and_partial_answers_are_unknown_and_never_safe(
    exchange: str, path: str, at: list[Any], value: Any, why: str, tmp_path: Path
) -> None:
    server = KINDS[exchange]()
    server.spoil[path] = lambda right: patched(right, at, value) if has(right, at) else right
    async with serving(server):
        (found,) = await margins_of(settings(exchange, server, tmp_path), Judge(exchange))  # type: ignore[arg-type]
    assert found.judged.state is State.UNKNOWN and why in found.judged.why, found.judged.why


def has(document: Any, at: list[Any]) -> bool:
    try:
        for key in at:
            document = document[key]
    except (LookupError, TypeError):
        return False
    return True


def settings(exchange: str, server: Exchange, folder: Path) -> Settings:
    (folder / "key").write_text(KEY)
    (folder / "key").chmod(0o600)
    venue = {
        "name": "paper", "module": "ccxt", "exchange": exchange, "base_url": server.url, "api_key": f"file:{folder / 'key'}",
        "symbols": [SYMBOL[exchange]], "counterparty_cap_usd": "100000",
    }  # fmt: skip
    path = Path("/nowhere/fairlead.toml")
    return parse(template.render(values(venues=[venue]), path), path).settings


@pytest.mark.parametrize("exchange", KINDS)
async def test_health_and_doctor_show_it_and_an_exchange_that_is_gone(exchange: str, tmp_path: Path) -> None:
    server = KINDS[exchange]()
    async with serving(server):
        found = settings(exchange, server, tmp_path)
        (loan,) = await margins_of(found, Judge(exchange))  # type: ignore[arg-type]
        assert loan.judged.state is State.SAFE and loan.judged.id.startswith("paper ")
        moved = loan.judged.member
        assert moved is not None and moved.model is not None
        checks = await venue_checks(found, "paper", Judge(exchange), watch_s=0.0)  # type: ignore[arg-type]
        (margin,) = (check for check in checks if check.name == "margin paper")
        assert margin.level is Level.OK and "liquidated with" in margin.message
    (gone,) = await margins_of(found, Judge(exchange))  # type: ignore[arg-type]
    assert gone.judged.state is State.UNKNOWN and "cannot be reached" in gone.judged.why


@pytest.mark.parametrize("exchange", KINDS)
async def test_a_clock_that_is_off_is_measured_and_errors_are_told(exchange: str, tmp_path: Path) -> None:
    server = KINDS[exchange]()
    server.skew_ms = 45_000 if exchange == "okx" else 3_000
    (found,) = await read(exchange, server)
    assert found.state is State.SAFE, "its time is asked for at the start"
    server.skew_ms = 0
    async with serving(server):
        venue = await session(exchange, server.url)
        server.skew_ms = 45_000 if exchange == "okx" else 20_000
        with pytest.raises(Retry, match="imestamp"):
            await judged_now(venue)
        assert await judged_now(venue), "and again once a request was refused for its date"
        await venue.close()
        server.skew_ms = 0
        path = {"okx": "/api/v5/account/positions", "bybit": "/v5/position/list"}[exchange]
        for answer in (web.Response(status=500), web.Response(text="<html>"), web.Response(status=429)):
            server.spoil[path] = lambda _, answer=answer: web.Response(status=answer.status, text=answer.text or "upset")  # fmt: skip
            (unread,) = await margins_of(settings(exchange, server, tmp_path), Judge(exchange))  # type: ignore[arg-type]
            assert unread.judged.state is State.UNKNOWN and unread.judged.why


async def test_fees_told_by_groups_alone_are_the_dearest_and_a_closed_position_is_none() -> None:
    server = okx()
    (plain,) = await read("okx", server)

    def grouped(right: Any) -> Any:
        row = right["data"][0]
        groups = [{"groupId": "1", "taker": "-0.0005", "maker": "-0.0002"}, {"groupId": "2", "taker": "-0.0003", "maker": "0"}]  # fmt: skip
        return right | {"data": [row | dict.fromkeys(("taker", "takerU", "takerUSDC"), "") | {"feeGroup": groups}]}  # fmt: skip

    def closed(right: Any) -> Any:
        return right | {"data": [*right["data"], right["data"][0] | {"pos": "0", "avgPx": "", "markPx": ""}]}

    server.spoil = {"/api/v5/account/trade-fee": grouped, "/api/v5/account/positions": closed}
    (found,) = await read("okx", server)
    assert found.health is not None and found.health == plain.health, found.why


async def test_positions_that_change_while_they_are_read_are_asked_for_again() -> None:
    server, times = okx(), 0

    def opened(right: Any) -> Any:
        nonlocal times
        times += 1
        if times == 1:
            right["data"] = right["data"][:1]
        return right

    server.spoil["/api/v5/account/positions"] = opened
    async with serving(server):
        venue = await session("okx", server.url)
        with pytest.raises(Retry, match="changed while"):
            await judged_now(venue)
        assert (await judged_now(venue))[0].state is State.SAFE
        await venue.close()


async def test_only_exchanges_whose_account_is_read_are_asked_and_no_key_signs_a_loan_or_a_transfer(
    tmp_path: Path,
) -> None:
    server = okx()
    async with serving(server):
        configured = settings("okx", server, tmp_path).venues[0]
        assert tells_margin(configured)
        assert not tells_margin(configured.model_copy(update={"exchange": "gate"}))
    plain = connect("x", SystemClock(), "", Judge("okx").sign, base_url="http://127.0.0.1:9", exchange="gate")
    assert type(plain) is Ccxt and not isinstance(plain, TellsMargin)
    await plain.close()
    for exchange, path in (("okx", "private/account/spot-manual-borrow-repay"), ("okx", "private/account/set-leverage"), ("bybit", "private/v5/position/set-leverage"), ("bybit", "private/v5/account/repay")):  # fmt: skip
        for method in ("GET", "POST"):
            with pytest.raises(Denied):
                await Judge(exchange).sign(method, path, json.dumps({"at_ms": SystemClock().now_ns() // 10**6, "params": {}}))  # fmt: skip
    await asyncio.sleep(0)


def test_every_error_of_a_reader_is_a_verb_of_ours() -> None:
    from agent.venues.ccxt.margin_document import documented

    for error in (KeyError("a"), TypeError("b"), ValueError("c"), ArithmeticError("d"), IndexError("e")):
        with pytest.raises(FairleadError, match="is not as documented"), documented("it"):
            raise error
