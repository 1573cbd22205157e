"""Paradex' portfolio margin account, read over REST with a token that reads alone, from a server that computes the documented figures by itself."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ccxt_rig import Signer
from paradex_server import TOKEN, Paradex
from settings_values import values
from unified_servers import serving

from agent.app import template
from agent.app.settings import parse
from agent.app.watching.check import Level
from agent.app.watching.margins import judged_now, margins_of, tells_margin
from agent.app.watching.venue_check import venue_checks
from agent.domain.errors import FairleadError
from agent.margin.accounts import Judged
from agent.margin.model import Side, State
from agent.ports import TellsMargin
from agent.transport.clock import SystemClock
from agent.transport.http import TimeOuts
from agent.venues.ccxt import connect
from chains.errors import Denied

OPTIONS = [
    ("BTC-USD-65000-C", -3.0, True, 65_000.0, 20.0, 0.55),
    ("BTC-USD-50000-P", 4.0, False, 50_000.0, 60.0, 0.6),
]


class Judge(Signer):
    def __init__(self) -> None:
        super().__init__("paradex", "BTC-USD-PERP", secret=TOKEN)

    async def sign_exchange(self, request_id: str, venue: str, method: str, path: str, payload: str) -> tuple[str, str]:  # fmt: skip
        return await self.sign(method, path, payload), "account"

    async def status(self) -> dict[str, Any]:
        return {"exchange_limits": {}}  # it has no file of its own


async def read(server: Paradex, signer: Judge | None = None) -> list[Judged]:
    async with serving(server):
        sign = (signer or Judge()).sign
        venue = connect("p", SystemClock(), "", sign, base_url=server.url, exchange="paradex", timeouts=TimeOuts(2.0, 1.0))  # fmt: skip
        assert isinstance(venue, TellsMargin)
        await venue.start()
        try:
            (usdc,) = await venue.balances()
            assert (usdc.asset, usdc.free) == ("cex:p/USDC", 50_000) and await venue.instruments() == ()
            return await judged_now(venue)
        finally:
            await venue.close()


@pytest.mark.parametrize("options", [[], OPTIONS])
async def test_it_is_what_the_exchange_computes_and_its_price_of_liquidation_is_told(
    options: list[Any],
) -> None:
    server = Paradex(options=options)
    (found,) = await read(server)
    assert found.state is State.SAFE and found.health is not None, found.why
    assert (found.id, found.model) == ("p BTC", "paradex_pm")
    told = server.maintenance()
    assert found.health.maintenance_raw is not None
    assert abs(found.health.maintenance_raw / 1e8 - told) < told / 1_000
    (px,) = found.health.liquidation_px
    assert px.asset == "cex:p/BTC" and px.side is Side.ABOVE and px.now_raw == 60_000 * 10**8
    assert all(one.startswith("GET ") for one in server.asked)


def off(path: str, key: str, by: float) -> dict[str, Any]:
    return {path: lambda told: told | {key: str(float(told[key]) * by)}}


async def test_a_figure_that_is_off_by_more_than_a_thousandth_is_unknown_with_both() -> None:
    for by, known in ((1.0005, True), (1.002, False), (0.998, False)):
        (found,) = await read(Paradex(spoil=off("/account", "maintenance_margin_requirement", by)))
        assert (found.state is not State.UNKNOWN) is known
        assert known or "maintenance margin" in found.why


async def test_what_is_not_computed_is_unknown_and_nothing_open_is_no_account() -> None:
    (crossed,) = await read(Paradex(mode="cross_margin"))
    assert crossed.state is State.UNKNOWN and "cross_margin" in crossed.why
    (two,) = await read(Paradex(perps={"BTC-USD-PERP": 1.0, "ETH-USD-PERP": 1.0}))
    assert two.state is State.UNKNOWN and "BTC, ETH" in two.why
    strange = {"/markets": lambda told: {"results": [told["results"][0] | {"asset_kind": "PERP_OPTION"}]}}
    (kind,) = await read(Paradex(spoil=strange))
    assert kind.state is State.UNKNOWN and "PERP_OPTION" in kind.why
    assert await read(Paradex(perps={})) == []
    for path in ("/account", "/markets/summary", "/system/portfolio-margin-config", "/account/info"):
        with pytest.raises(FairleadError) as unread:
            await read(Paradex(spoil={path: lambda told: {"results": []}}))
        assert unread.value.code == "MARGIN_UNREAD", path


async def test_a_wrong_token_is_refused_and_nothing_but_reading_is_signed() -> None:
    wrong = Judge()
    wrong.secret = "another"
    with pytest.raises(FairleadError) as refused:
        await read(Paradex(echoes=True), wrong)
    assert "Bearer …" in refused.value.message and "another" not in str(refused.value)
    generous = replace(Judge().reference, allow=("POST private/orders", "GET private/orders"))
    for method, path in (("POST", "private/orders"), ("DELETE", "private/orders"), ("POST", "private/account/tokens"), ("POST", "private/auth"), ("GET", "private/account/tokens")):  # fmt: skip
        for reference in (Judge().reference, generous):
            judge = Judge()
            judge.reference = reference
            with pytest.raises(Denied):
                await judge.sign(
                    method, path, json.dumps({"at_ms": SystemClock().now_ns() // 10**6, "params": {}})
                )


async def test_health_finds_it_by_the_settings(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("0x1")
    (tmp_path / "key").chmod(0o600)
    changed = values()
    changed["venues"].append({"name": "paradex", "module": "ccxt", "exchange": "paradex", "api_key": f"file:{tmp_path / 'key'}", "api_secret": f"file:{tmp_path / 'key'}", "counterparty_cap_usd": "1"})  # fmt: skip
    server = Paradex()
    async with serving(server):
        changed["venues"][1]["base_url"] = server.url
        path = Path("/nowhere/fairlead.toml")
        settings = parse(template.render(changed, path), path).settings
        assert tells_margin(settings.venues[1])
        only = settings.model_copy(update={"venues": settings.venues[1:]})
        signer: Any = Judge()
        (loan,) = await margins_of(only, signer)
        assert (loan.judged.id, loan.judged.state) == ("paradex BTC", State.SAFE), loan.judged.why
        checks = await venue_checks(settings, "paradex", signer, watch_s=0.0)
        assert not [
            check for check in checks if check.level is Level.FAIL and not check.name.startswith("signer")
        ], checks
        (margin,) = (check for check in checks if check.name == "margin paradex")
        assert margin.level is Level.OK and "liquidated with" in margin.message
        assert not [one for one in server.asked if not one.startswith("GET ")]
