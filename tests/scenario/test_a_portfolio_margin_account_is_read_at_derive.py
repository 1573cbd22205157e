"""Derive's portfolio margin, read by a session key that only reads, from a server that computes the documented figures by itself."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ccxt_rig import Signer
from derive_server import ADDRESS, PARAMETERS, SESSION, SPOT, WALLET, Derive, Option
from settings_values import values
from unified_servers import serving

from agent.app import template
from agent.app.settings import parse
from agent.app.watching.check import Level
from agent.app.watching.margins import judged_now, margins_of, tells_margin
from agent.app.watching.venue_check import venue_checks
from agent.domain.errors import FairleadError
from agent.margin.accounts import Judged, judge
from agent.margin.model import Side, State
from agent.transport.clock import SystemClock
from agent.transport.http import TimeOuts
from agent.venues.ccxt import connect
from agent.venues.ccxt.margin_only import DeriveMargin
from chains.errors import Denied, Usage
from keys.signer import ccxt_desk, ccxt_policy

FAR = f"{datetime.now(UTC) + timedelta(days=100):%Y%m%d}"
NEAR = f"{datetime.now(UTC) + timedelta(days=12):%Y%m%d}"
OPTIONS = [
    Option(-6.0, True, 3300.0, NEAR, 0.55, 3005.0),
    Option(5.0, False, 2500.0, FAR, 0.62, 3041.5),
    Option(-2.0, True, 4000.0, FAR, 0.6, 3041.5),
]


class Judge(Signer):
    def __init__(self, secret: str = SESSION) -> None:
        super().__init__("derive", "ETH-PERP", secret=secret)

    async def sign(self, method: str, path: str, payload: str) -> str:
        now_ms = SystemClock().now_ns() // 10**6
        self.asked.append((method, path))
        call = ccxt_policy.check("ccxt:derive", self.reference.allow, method, path, payload, now_ms=now_ms)
        made = self.library.of("x", "ccxt:derive", (WALLET, self.secret, ""))
        return ccxt_desk.made_and_signed(made, call)

    async def sign_exchange(self, request_id: str, venue: str, method: str, path: str, payload: str) -> tuple[str, str]:  # fmt: skip
        return await self.sign(method, path, payload), "account"

    async def status(self) -> dict[str, Any]:
        return {"exchange_limits": {}}


def at(server: Derive, signer: Judge, parameters: dict[str, Any] | None) -> DeriveMargin:
    given = {"ETH": PARAMETERS} if parameters is None else parameters
    venue = connect("d", SystemClock(), WALLET, signer.sign, base_url=server.url, exchange="derive", timeouts=TimeOuts(2.0, 1.0), margin_parameters=given)  # fmt: skip
    assert isinstance(venue, DeriveMargin)
    return venue


async def read(
    server: Derive, signer: Judge | None = None, parameters: dict[str, Any] | None = None
) -> list[Judged]:
    async with serving(server):
        venue = at(server, signer or Judge(), parameters)
        await venue.start()
        try:
            return await judged_now(venue)
        finally:
            await venue.close()


@pytest.mark.parametrize(
    ("options", "collateral", "rate"),
    [
        ([], [], 0.05),
        (OPTIONS, [], 0.05),
        (OPTIONS, [("WETH", 2.0, SPOT, 0.98, 0.95), ("BTC", 0.1, 60_000.0, 0.9, 0.85)], 0.031),
    ],
)
async def test_it_is_what_the_exchange_computes(options: Any, collateral: Any, rate: float) -> None:
    server = Derive(options=options, collateral=collateral, rate=rate)
    (found,) = await read(server)
    assert found.state is State.SAFE and found.health is not None, found.why
    assert (found.id, found.model, found.chain) == ("d 42", "derive_pm", "cex:d")
    told = server.required()
    assert found.health.maintenance_raw is not None
    assert abs(found.health.maintenance_raw / 1e18 - told) < told / 10_000
    px = found.health.liquidation_px[0]
    assert px.asset == "cex:d/ETH" and px.now_raw == SPOT * 10**8
    assert px.side is Side.ABOVE  # short, and short of calls
    private = [one for one in server.asked if "private/" in one]
    assert set(private) == {"POST private/get_subaccounts", "POST private/get_subaccount"}


def test_a_published_answer_of_a_live_account_is_computed_to_a_millionth() -> None:
    """A perpetual of 0.1 ETH alone: what was told of it leaves a table of 16 % and 0.75 % of contingency (each way)."""
    required = 45.894332381059 + 0.000318767368 - 11.088866092881
    account: dict[str, Any] = {"id": "x", "model": "derive_pm", "chain": "cex:d", "index": "cex:d/ETH", "index_px": "2568.45224855817", "cash": "45.894332381059", "parameters": PARAMETERS}  # fmt: skip
    account["perp"] = {"size": "0.1", "mark_px": "2568.706708413625", "unsettled": "0.000318767368"}
    document = {"fairlead": "accounts/1", "at": {"cex:d": {"timestamp": 1_760_000_000}}, "assets": [{"id": "cex:d/ETH", "symbol": "ETH", "decimals": 8}], "accounts": [account]}  # fmt: skip
    (found,) = judge(document)
    assert found.health is not None and found.health.maintenance_raw is not None
    assert found.health.maintenance_raw / 1e18 == pytest.approx(required, rel=1e-6)
    assert found.health.initial_raw is not None
    assert found.health.initial_raw / 1e18 == pytest.approx(44.951666892242 + 0.000318767368, rel=1e-6)


@pytest.mark.parametrize(
    ("by", "known"), [(1.0, True), (1.0005, True), (1.002, False), (0.998, False), (0.5, False)]
)
async def test_a_figure_that_is_off_by_more_than_a_thousandth_is_unknown_with_both(
    by: float, known: bool
) -> None:
    def off(told: Any) -> Any:
        value = float(told["subaccount_value"])
        return told | {"maintenance_margin": str(value - (value - float(told["maintenance_margin"])) * by)}

    server = Derive(spoil={"private/get_subaccount": off})
    (found,) = await read(server)
    assert (found.state is not State.UNKNOWN) is known
    assert known or ("a maintenance margin" in found.why and f"{server.required():.8g}" in found.why)


async def test_other_parameters_than_the_exchanges_are_found_out() -> None:
    (found,) = await read(Derive(), parameters={"ETH": {}})  # those once published
    assert found.state is State.UNKNOWN and "is computed" in found.why


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"kind": "SM"}, "margined by SM"),
        ({"kind": "PM"}, "margined by PM"),
        ({"more": {"is_under_liquidation": True}}, "being liquidated"),
        ({"more": {"failed_to_fetch": True}}, "could not read it"),
        ({"more": {"mm_credits": "3"}}, "credits"),
        ({"collateral": [("BTC", -0.1, 60_000.0, 1.0, 1.0)]}, "it owes BTC"),
    ],
)
async def test_what_is_not_computed_is_unknown_with_the_exchanges_own_figures(
    given: dict[str, Any], word: str
) -> None:
    (found,) = await read(Derive(**given))
    assert found.state is State.UNKNOWN and word in found.why and "to be kept" in found.why, found.why


async def test_without_parameters_it_is_unknown_and_nothing_open_is_no_account() -> None:
    (found,) = await read(Derive(), parameters={})
    assert "parameters of ETH are not told" in found.why
    assert "the exchange itself tells 9012.5 there" in found.why
    assert await read(Derive(perp=0.0)) == []
    (owes,) = await read(Derive(perp=0.0, cash=-5.0))
    assert owes.state is State.UNKNOWN and "owes without a position" in owes.why
    both = {
        "positions": [{"instrument_name": f"{base}-PERP", "instrument_type": "perp", "amount": "1", "mark_price": "1", "mark_value": "0", "index_price": "1"} for base in ("BTC", "ETH")]
    }  # fmt: skip
    (two,) = await read(Derive(more=both))
    assert two.state is State.UNKNOWN and "BTC, ETH" in two.why


def without(key: str) -> Any:
    return lambda told: {name: one for name, one in told.items() if name != key}


def of_position(**given: Any) -> Any:
    return lambda told: told | {"positions": [told["positions"][0] | given]}


HOSTILE = [
    *(("private/get_subaccount", without(key)) for key in ("margin_type", "positions", "collaterals", "subaccount_value", "maintenance_margin", "mm_credits", "is_under_liquidation", "subaccount_id")),
    *(("private/get_subaccount", of_position(mark_price=wrong)) for wrong in ("0", "-3", "NaN", "Infinity", None, True, [])),
    *(("private/get_subaccount", of_position(index_price=wrong)) for wrong in ("0", "nan")),
    ("private/get_subaccount", of_position(amount="NaN")),
    ("private/get_subaccount", lambda told: told | {"subaccount_value": "NaN"}),
    ("private/get_subaccount", lambda told: []),
    ("private/get_subaccounts", lambda told: {"subaccount_ids": ["x"]}),
    ("private/get_subaccounts", lambda told: {"subaccount_ids": list(range(1, 30))}),
    ("public/get_latest_signed_feeds", lambda told: told | {"spot_data": {"ETH": told["spot_data"]["ETH"] | {"timestamp": 1_700_000_000_000}}}),
    ("public/get_latest_signed_feeds", lambda told: None),
]  # fmt: skip


@pytest.mark.parametrize(("path", "spoilt"), HOSTILE)
async def test_what_is_not_as_documented_is_unread_and_never_safe(path: str, spoilt: Any) -> None:
    with pytest.raises(FairleadError) as unread:
        await read(Derive(spoil={path: spoilt}))
    assert unread.value.code == "MARGIN_UNREAD"


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda told: told | {"t": told["t"] - 2 * 3_600_000},
        lambda told: told | {"option_pricing": None},
        lambda told: told | {"option_pricing": told["option_pricing"] | {"i": "0"}},
        lambda told: told | {"option_pricing": told["option_pricing"] | {"f": "-1"}},
        lambda told: told | {"I": "2900"},
    ],
)
async def test_an_options_price_that_is_stale_or_none_is_unread(spoilt: Any) -> None:
    with pytest.raises(FairleadError) as unread:
        await read(Derive(options=OPTIONS, spoil={"public/get_ticker": spoilt}))
    assert unread.value.code == "MARGIN_UNREAD"


async def test_a_position_that_changes_meanwhile_is_asked_for_again() -> None:
    class Moving(Derive):
        def subaccount(self) -> dict[str, Any]:
            self.perp -= 1
            return super().subaccount()

    with pytest.raises(FairleadError) as moved:
        await read(Moving())
    assert moved.value.code == "MARGIN_MOVED"


async def test_another_key_is_refused_and_nothing_but_reading_is_signed() -> None:
    with pytest.raises(FairleadError) as refused:
        await read(Derive(), Judge("77" * 32))
    assert "Signature invalid" in refused.value.message
    generous = replace(Judge().reference, allow=("POST private/order", "POST private/withdraw"))
    now = SystemClock().now_ns() // 10**6
    for path in ("order", "withdraw", "transfer_spot", "cancel_all", "set_session_key", "edit_session_key", "liquidate"):  # fmt: skip
        for reference in (Judge().reference, generous):
            judge_ = Judge()
            judge_.reference = reference
            with pytest.raises(Denied):
                await judge_.sign("POST", f"private/{path}", json.dumps({"at_ms": now, "params": {}}))
    more = {"at_ms": now, "params": {"subaccount_id": 42, "recipient": WALLET}}
    with pytest.raises(Denied):
        await Judge().sign("POST", "private/get_subaccount", json.dumps(more))


def test_the_wallets_own_key_and_what_is_no_key_are_refused_by_the_signer() -> None:
    for wallet, secret, code in ((ADDRESS, SESSION, "EXCHANGE_KEY_OWNER"), (WALLET, "no key", "EXCHANGE_KEY_INVALID"), (WALLET, "00" * 32, "EXCHANGE_KEY_INVALID")):  # fmt: skip
        with pytest.raises((Denied, Usage)) as refused:
            ccxt_desk.Library().of("x", "ccxt:derive", (wallet, secret, ""))
        assert refused.value.code == code and secret not in str(refused.value)


async def test_health_and_doctor_find_it_by_the_settings(tmp_path: Path) -> None:
    for name, told in (("wallet", WALLET), ("key", SESSION), ("pm.json", json.dumps({"ETH": PARAMETERS}))):
        (tmp_path / name).write_text(told)
        (tmp_path / name).chmod(0o600)
    changed = values()
    changed["venues"].append({"name": "derive", "module": "ccxt", "exchange": "derive", "api_key": f"file:{tmp_path / 'wallet'}", "api_secret": f"file:{tmp_path / 'key'}", "margin_parameters": str(tmp_path / "pm.json"), "counterparty_cap_usd": "1"})  # fmt: skip
    server = Derive(addresses=[])
    async with serving(server):
        changed["venues"][1]["base_url"] = server.url
        path = Path("/nowhere/fairlead.toml")
        settings = parse(template.render(changed, path), path).settings
        assert tells_margin(settings.venues[1])
        only = settings.model_copy(update={"venues": settings.venues[1:]})
        signer: Any = Judge()
        (loan,) = await margins_of(only, signer)
        assert (loan.judged.id, loan.judged.state) == ("derive 42", State.SAFE), loan.judged.why
        checks = await venue_checks(settings, "derive", signer, watch_s=0.0)
        rights = [check for check in checks if check.name == "rights derive"]
        assert [check.level for check in rights] == [Level.OK, Level.WARN], checks
        assert not [one for one in checks if one.level is Level.FAIL and not one.name.startswith("signer")]
        server.scopes = ["trade:orderbook:all", "withdraw"]
        (bad,) = (
            c
            for c in await venue_checks(settings, "derive", signer, watch_s=0.0)
            if c.name == "rights derive"
        )
        assert bad.level is Level.FAIL and "withdraw" in bad.message
        (tmp_path / "pm.json").write_text('{"ETH": {"mm_perp": "9"}}')
        (loan,) = await margins_of(only, signer)
        assert loan.judged.state is State.UNKNOWN and "mm_perp" in loan.judged.why
        assert not [one for one in server.asked if "order" in one.lower()]
