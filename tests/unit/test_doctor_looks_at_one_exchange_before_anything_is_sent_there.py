"""`doctor --venue`: clock, key, rights, balances, books and limits of one exchange, each well and each ill, over the local server."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from ccxt_rig import Signer as FamilySigner
from coinbase_rig import PRODUCT, coinbase_paper
from coinbase_rig import Signer as CoinbaseSigner
from deribit_rig import COMBO, DATED, PERPETUAL, deribit_paper
from deribit_rig import Signer as DeribitSigner
from dydx_rig import ACCOUNT, ADDRESS, dydx_paper, dydx_session
from fix_exchange import fix_exchange, log_on
from kraken_rig import PAIR, kraken_paper
from kraken_rig import Signer as KrakenSigner
from paper import KEY, Door, paper, sign
from settings_values import values
from usdm_rig import usdm_paper, usdm_session
from venue_rigs import name_of

from agent.app import template
from agent.app.settings import Settings, parse
from agent.app.testvenue.coinbase import CoinbaseServer
from agent.app.testvenue.kraken import KrakenServer
from agent.app.testvenue.usdm import UsdmServer
from agent.app.watching.check import Check, Level
from agent.app.watching.margins import margins_of
from agent.app.watching.venue_check import _line, venue_checks
from agent.domain.errors import Retry, Usage
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder
from agent.margin.model import State
from agent.venues import Sign


class Signer:
    """Signs as the signer's process does for this account, and tells of it what `status` tells."""

    limits: dict[str, Any] = {"paper": {"per_day_usd": "5000", "repeats": 1}}

    async def sign_exchange(
        self, request_id: str, venue: str, method: str, path: str, payload: str
    ) -> tuple[str, str]:
        return await sign(method, path, payload), KEY

    async def status(self) -> dict[str, Any]:
        return {"exchange_limits": self.limits}


class By(Signer):
    """As another dialect's policy judges and signs."""

    def __init__(self, sign: Sign) -> None:
        self._sign = sign

    async def sign_exchange(
        self, request_id: str, venue: str, method: str, path: str, payload: str
    ) -> tuple[str, str]:
        return await self._sign(method, path, payload), KEY


class Absent(Signer):
    async def status(self) -> dict[str, Any]:
        raise Retry("SIGNER_ABSENT", "no signer answers", "start `fairlead signer run`")


def settings(door: Door, folder: Path, **more: Any) -> Settings:
    (folder / "key").write_text(KEY)
    (folder / "key").chmod(0o600)
    venue = {
        "name": "paper",
        "module": "binance_spot",
        "base_url": door.url,
        "api_key": f"file:{folder / 'key'}",
        "symbols": ["ETHUSDC"],
        "counterparty_cap_usd": "100000",
    }
    path = Path("/nowhere/fairlead.toml")
    return parse(template.render(values(venues=[venue | more]), path), path).settings


async def checked(found: Settings, signer: Any = None, name: str = "paper") -> dict[str, Check]:
    asked = await venue_checks(found, name, signer or Signer(), watch_s=0.15)
    worst = sorted(asked, key=lambda check: check.level is not Level.OK)
    return {check.name: check for check in worst}


async def test_all_is_well(tmp_path: Path) -> None:
    async with paper() as door:
        told = await checked(settings(door, tmp_path))
    assert {check.level for check in told.values()} == {Level.OK}, told
    assert "not withdraw" in told["rights paper"].message
    assert "50" in told["balances paper"].message and "0 open" in told["orders paper"].message
    assert "1 followed" in told["books paper"].message and "0 dropped" in told["books paper"].message
    assert "5,000.00 USD" in told["signer paper"].message and "of 6000" in told["limits paper"].message


async def test_at_dydx_it_tells_what_the_key_may_do_and_what_a_thief_of_it_could(tmp_path: Path) -> None:
    async with dydx_paper() as door:
        venue = dydx_session(door.url)
        await venue.start()
        sale = VenueOrder(
            name_of(0), "ETH-USD", Side.SELL, OrdType.LIMIT, TimeInForce.IOC, Decimal(2), Decimal(2990)
        )
        await venue.submit(await venue.authorize(sale))
        await venue.close()
        told: dict[str, list[Check]] = {}
        for written in (ACCOUNT, ADDRESS):
            found = settings(door, tmp_path, module="dydx", symbols=["ETH-USD"])
            (tmp_path / "key").write_text(written)
            told[written] = await venue_checks(found, "paper", Signer(), watch_s=0.0)  # type: ignore[arg-type]
        (margin,) = await margins_of(found, Signer())  # type: ignore[arg-type]
    assert margin.judged.state is State.SAFE and margin.judged.model == "dydx_v4"
    rights = {written: [c for c in checks if c.name == "rights paper"] for written, checks in told.items()}
    may, thief = rights[ACCOUNT]
    assert may.level is Level.OK and "neither withdraw nor send" in may.message
    assert thief.level is Level.WARN and "all that this subaccount holds" in thief.message
    (own,) = rights[ADDRESS]
    assert own.level is Level.WARN and "withdraw and send everything" in own.message
    by_name = {check.name: check for check in told[ACCOUNT]}
    assert "paper USDC is SAFE; liquidated with ETH-USD above " in by_name["margin paper"].message
    assert "9999" in by_name["balances paper"].message and by_name["key paper"].level is Level.SKIP
    assert "1 followed" in by_name["books paper"].message and by_name["clock paper"].level is Level.OK


async def test_of_contracts_it_tells_what_is_held_and_how_the_account_is_kept(tmp_path: Path) -> None:
    async with usdm_paper() as door:
        venue = usdm_session(door.url)
        await venue.start()
        short = VenueOrder(
            name_of(0), "ETHUSDC", Side.SELL, OrdType.LIMIT, TimeInForce.IOC, Decimal(2), Decimal(2990)
        )
        await venue.submit(await venue.authorize(short))
        await venue.close()
        found = settings(door, tmp_path, module="binance_usdm")
        told = await checked(found)
        (margin,) = await margins_of(found, Signer())  # type: ignore[arg-type]
        assert margin.judged.state is State.SAFE and margin.judged.health is not None
        (px,) = margin.judged.health.liquidation_px
        assert (
            margin.judged.health.maintenance_raw is not None
        )  # two, at four tenths of a per cent of the mark
        assert margin.judged.health.maintenance_raw * 1_000 == px.now_raw * 2 * 4
        assert await margins_of(settings(door, tmp_path), Signer()) == []  # type: ignore[arg-type]
    (gone,) = await margins_of(found, Signer())  # type: ignore[arg-type]
    assert gone.judged.state is State.UNKNOWN and "cannot be reached" in gone.judged.why
    assert "paper USDC is SAFE; liquidated with ETHUSDC above " in told["margin paper"].message
    assert {check.level for check in told.values()} == {Level.OK}, told
    assert "-2 ETHUSDC from 29" in told["positions paper"].message
    assert "cross at 20x" in told["positions paper"].message
    assert "one-way, single-asset margin" in told["rights paper"].message


async def test_an_account_whose_margin_cannot_be_judged_is_looked_at_all_the_same(tmp_path: Path) -> None:
    class Mixed(UsdmServer):
        def account_config(self, params, account):  # type: ignore[no-untyped-def]
            return super().account_config(params, account) | {"multiAssetsMargin": True, "canWithdraw": True}

    async with usdm_paper(kind=Mixed) as door:
        told = await checked(settings(door, tmp_path, module="binance_usdm"))
    assert told["margin paper"].level is Level.WARN and "single-asset" in told["margin paper"].remedy
    assert "multi-asset margin" in told["rights paper"].message and told["rights paper"].level is not Level.OK


async def test_at_deribit_it_reads_with_requests_that_are_signed_one_by_one(tmp_path: Path) -> None:
    async with deribit_paper() as door:
        found = settings(door, tmp_path, module="deribit", symbols=[PERPETUAL])
        told = await checked(found, By(DeribitSigner().sign))
    assert {check.level for check in told.values()} == {Level.OK}, told
    assert told["positions paper"].message == "none is open" and "1 followed" in told["books paper"].message


async def test_at_deribit_the_legs_in_the_signers_file_are_the_exchanges_own_or_it_says_so(
    tmp_path: Path,
) -> None:
    signer = By(DeribitSigner().sign)
    async with deribit_paper() as door:
        found = settings(door, tmp_path, module="deribit", symbols=[PERPETUAL])
        for legs, level, said in (
            ({DATED: 1, PERPETUAL: -1}, Level.OK, f"+1 {DATED}, -1 {PERPETUAL}, as the signer's file says"),
            ({DATED: -1, PERPETUAL: 1}, Level.FAIL, "not what the signer's file says"),
        ):
            signer.limits = {"paper": {"per_day_usd": "1", "repeats": 1, "combos": {COMBO: legs}}}
            told = (await checked(found, signer))["combos paper"]
            assert told.level is level and said in told.message
        signer.limits = {"paper": {"per_day_usd": "1", "repeats": 1, "combos": {"ETH_USDC-FS-X": {}}}}
        told = (await checked(found, signer))["combos paper"]
        assert told.level is Level.WARN and "no combo ETH_USDC-FS-X" in told.message


async def test_at_kraken_it_tells_what_the_key_itself_may_do(tmp_path: Path) -> None:
    async with kraken_paper() as door:
        assert isinstance(door.here, KrakenServer)
        found = settings(door, tmp_path, module="kraken", symbols=[PAIR])
        told = await checked(found, By(KrakenSigner().sign))
        ill = {name: check for name, check in told.items() if check.level is not Level.OK}
        assert set(ill) == {"rights paper"} and ill["rights paper"].level is Level.WARN, told
        assert "any address" in ill["rights paper"].message and "1 followed" in told["books paper"].message
        door.here.addresses, door.here.nonce_window = ["10.0.0.1"], 1_000
        window = (await checked(found, By(KrakenSigner().sign)))["rights paper"]
        assert window.level is Level.WARN and "nonce window of 1000" in window.message
        door.here.may.append("withdraw-funds")
        out = (await checked(found, By(KrakenSigner().sign)))["rights paper"]
        assert out.level is Level.FAIL and "may move funds out" in out.message and out.remedy
        door.here.may[:] = ["query-funds", "query-open-trades", "query-closed-trades"]
        reads = (await checked(found, By(KrakenSigner().sign)))["rights paper"]
        assert reads.level is Level.FAIL and "the key may not trade" in reads.message


async def test_at_coinbase_a_key_that_may_transfer_fails(tmp_path: Path) -> None:
    async with coinbase_paper() as door:
        assert isinstance(door.here, CoinbaseServer)
        found = settings(door, tmp_path, module="coinbase", symbols=[PRODUCT])
        told = await checked(found, By(CoinbaseSigner(sends_to=lambda: door.url).sign))
        assert {check.level for check in told.values()} == {Level.OK}, told
        assert "the key may trade (can_view, can_trade) and not withdraw" in told["rights paper"].message
        assert "1 followed" in told["books paper"].message and "0 gaps" in told["books paper"].message
        door.here.may["can_transfer"] = True
        out = (await checked(found, By(CoinbaseSigner(sends_to=lambda: door.url).sign)))["rights paper"]
        assert out.level is Level.FAIL and "can_transfer" in out.message


class OfSessions(Signer):
    """Its own code judges the log-ons of the listed senders."""

    limits = Signer.limits | {"paper-fix": {"per_day_usd": "0", "repeats": 1, "logs_on": True}}

    async def sign_exchange(
        self, request_id: str, venue: str, method: str, path: str, payload: str
    ) -> tuple[str, str]:
        if venue == "paper-fix":
            return await log_on(method, path, payload), KEY
        return await super().sign_exchange(request_id, venue, method, path, payload)


async def test_fix_sessions_log_on_or_say_why_they_do_not(tmp_path: Path) -> None:
    async with fix_exchange() as there:
        fix = {"url": there.fix_url, "api_key": f"file:{tmp_path / 'key'}", "senders": ["FLT1"]}
        fix |= {"drop_copy_url": there.fix_url, "drop_copy_senders": ["FLC1"]}
        told = await checked(settings(there.door, tmp_path, fix=fix), OfSessions())
        assert {check.level for check in told.values()} == {Level.OK}, told
        assert "FLT1" in told["FIX paper"].message and "FLC1" in told["FIX paper's drop copy"].message
        assert "all that lies there" in told["signer paper"].message
        told = await checked(settings(there.door, tmp_path, fix=fix | {"senders": ["OTHER"]}), OfSessions())
        assert told["FIX paper"].level is Level.FAIL and "OTHER" in told["FIX paper"].message


async def test_of_a_familys_exchange_it_tells_what_is_there_and_what_is_missing(tmp_path: Path) -> None:
    async with paper() as door:
        found = settings(door, tmp_path, module="ccxt", exchange="binance")
        asked = await venue_checks(found, "paper", By(FamilySigner("binance", "ETHUSDC").sign), watch_s=0.0)
        told = {check.name: check for check in asked if check.level is Level.OK}
        missing = [check for check in asked if check.level is not Level.OK]
        assert [(check.level, check.name) for check in missing] == [(Level.SKIP, "can paper")], asked
        assert "switch" in missing[0].message
        assert (
            "client order ids, replacements" in told["can paper"].message
            and "0 open" in told["orders paper"].message
        )
        other = settings(door, tmp_path, module="ccxt", exchange="gemini", api_key=None)
        failed = {
            c.name: c
            for c in await venue_checks(
                other, "paper", By(FamilySigner("binance", "ETHUSDC").sign), watch_s=0.0
            )
        }
        assert failed["venue paper"].level is Level.FAIL
    for more, said in (
        ({"module": "ccxt"}, "speaks to many exchanges"),
        ({"exchange": "okx"}, "is one exchange"),
        ({"sandbox": True}, "is one exchange"),
    ):
        with pytest.raises(Usage, match=said):
            settings(door, tmp_path, **more)


async def test_what_is_ill_is_named_with_its_remedy(tmp_path: Path) -> None:
    async with paper() as door:
        told = await checked(
            settings(door, tmp_path, symbols=["ETHUSDC", "DOGEUSDC"], counterparty_cap_usd="0"), Absent()
        )
        assert told["cap paper"].level is Level.WARN
        assert told["books paper"].level is Level.FAIL and "DOGEUSDC" in told["books paper"].message
        assert told["signer paper"].level is Level.FAIL and told["signer paper"].remedy
        with pytest.raises(Usage, match="known: paper"):
            await checked(settings(door, tmp_path), name="papr")
    gone = await checked(settings(door, tmp_path))
    assert gone["venue paper"].level is Level.FAIL and "cannot be reached" in gone["venue paper"].message


def test_a_line_that_falls_behind_says_what_it_dropped() -> None:
    told: dict[str, Any] = {
        "books": 3, "in_doubt": {}, "resyncs": 4, "gaps": 1, "bad_frames": 0, "most_waiting": 512,
        "superseded": {"WORKING": 0, "HELD": 0, "WATCHED": 7}, "dropped": {"WORKING": 0, "HELD": 0, "WATCHED": 513},
    }  # fmt: skip
    warned = _line("books x", told, 3)
    assert warned.level is Level.WARN and "513 dropped" in warned.message and "name fewer" in warned.remedy
    failed = _line("books x", told | {"in_doubt": {"A": "an update is missing"}}, 3)
    assert failed.level is Level.FAIL and "A (an update is missing)" in failed.message


@pytest.mark.parametrize("sends", [True, False])
async def test_at_coinbase_no_order_goes_that_the_signer_does_not_send_and_that_is_told(
    tmp_path: Path, sends: bool
) -> None:
    async with coinbase_paper() as door:

        class Here(By):
            limits = {"paper": {"per_day_usd": "5000", "repeats": 1, "sends": sends}}

        found = settings(door, tmp_path, module="coinbase", symbols=[PRODUCT])
        told = (await checked(found, Here(CoinbaseSigner(sends_to=lambda: door.url).sign)))["signer paper"]
        assert (
            told.level is (Level.OK if sends else Level.FAIL) and ("`sends_to`" in told.remedy) is not sends
        )
