"""Sessions of contracts with the signer's own desk behind them: orders booked before they are signed, at Binance sent from there alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from coinbase_rig import KEY as COINBASE_KEY
from coinbase_rig import PEM, PRODUCT, coinbase_paper
from deribit_rig import COMBO, COMBO_LIMIT, PERPETUAL, deribit_paper
from dydx_rig import ACCOUNT, MARKET, dydx_paper
from dydx_rig import PAIR as DYDX_PAIR
from kraken_rig import API_SECRET, PAIR, kraken_paper
from paper import KEY, SECRET
from usdm_rig import usdm_paper
from venue_rigs import name_of

from agent.app.exchange_bound import bounds_of, sentence
from agent.app.settings_tree import Venue
from agent.app.signer_file import _exchanges
from agent.domain.order_state import OrdStatus
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder
from agent.transport.clock import SystemClock
from agent.venues import Terms, binance_usdm, coinbase, deribit, dydx, kraken
from chains.errors import Denied, Reconcile
from keys.settings import signer_settings
from keys.signer.exchange_desk import ExchangeDesk
from keys.signer.ledger import SpendLedger
from keys.signer.vault import Vault

D = Decimal


@dataclass
class Desk:
    """The signer's, as its process asks it; `told`: every signature that left it for an order."""

    made: ExchangeDesk
    ledger: Path
    granted: dict[str, str]
    told: list[str] = field(default_factory=list)

    @staticmethod
    def digest(method: str, path: str, payload: str) -> str:
        return hashlib.sha256(f"{method} {path} {payload}".encode()).hexdigest()

    async def sign(self, method: str, path: str, payload: str) -> str:
        digest = self.digest(method, path, payload)
        signature: str = self.made.sign(digest, "x", method, path, payload, digest)["signature"]
        self.granted[digest] = digest
        if "quantity=" in payload:
            self.told.append(signature)
        return signature

    async def send(self, method: str, path: str, payload: str) -> tuple[int, Mapping[str, str], bytes]:
        digest = self.digest(method, path, payload)
        told = await self.made.send(digest, "x", method, path, payload, digest)
        return told["status"], told["headers"], told["body"].encode()

    def booked(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.ledger.read_text().splitlines()]


def desk(folder: Path, symbol: str, keys: tuple[str, str] = (KEY, SECRET), **more: Any) -> Desk:
    for name, text in zip(("key", "secret"), keys, strict=True):
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    limit = {"per_order": "10000", "per_day": "25000", "px_from": "100", "px_to": "4000"}
    venue = {"api_key": f"file:{folder / 'key'}", "secret": f"file:{folder / 'secret'}", "limits": {symbol: limit}} | more  # fmt: skip
    base = {"environment": "devnet", "ledger": str(folder / "l.jsonl"), "keystore": str(folder), "chains": []}
    settings = signer_settings({**base, "exchanges": {"x": venue}})
    vault, granted = Vault(settings), dict[str, str]()
    vault.open_exchanges()
    known = lambda number, digest: granted.get(number) == digest  # noqa: E731
    made = ExchangeDesk(settings.exchanges, vault, SpendLedger(settings.ledger), known, live=False)
    return Desk(made, settings.ledger, granted)


def order(number: int, symbol: str, side: Side, qty: str, px: str) -> VenueOrder:
    return VenueOrder(name_of(number), symbol, side, OrdType.LIMIT, TimeInForce.GTC, D(qty), D(px))


async def test_at_binance_no_signature_of_an_order_leaves_it_and_a_day_is_bounded(tmp_path: Path) -> None:
    async with usdm_paper() as door:
        one = desk(tmp_path, "ETHUSDC", dialect="binance_usdm", sends_to=door.url)
        venue = binance_usdm.connect("x", SystemClock(), KEY, one.sign, base_url=door.url, send=one.send)
        try:
            await venue.start()
            placed = await venue.submit(await venue.authorize(order(0, "ETHUSDC", Side.BUY, "1", "2990")))
            assert placed.status is OrdStatus.NEW
            changed = await venue.modify(order(0, "ETHUSDC", Side.BUY, "2", "2991"))
            assert changed.order_qty == 2
            stop = await venue.stops.place(order(1, "ETHUSDC", Side.BUY, "1", "3100"), D(3050), Terms())
            assert stop.waits and (await venue.cancel(name_of(0), "ETHUSDC")).status is OrdStatus.CANCELED
            assert one.told == ["", "", ""] and one.made.facts()["x"]["repeats"] == 1
            costs = [D(row["cost"]) for row in one.booked() if "cost" in row]
            assert costs == [2990, 2 * 4000, 3100], "an amendment at px_to, whatever side it says"
            with pytest.raises(Denied) as dear:
                await venue.authorize(order(2, "ETHUSDC", Side.SELL, "2.6", "2990"))
            assert dear.value.code == "EXCHANGE_PER_ORDER"
            await venue.authorize(order(3, "ETHUSDC", Side.SELL, "2.5", "3100"))
            with pytest.raises(Denied) as much:
                await venue.authorize(order(4, "ETHUSDC", Side.SELL, "1", "3100"))
            assert much.value.code == "EXCHANGE_PER_DAY"
        finally:
            await venue.close()
            one.made.close()


async def test_at_deribit_each_request_is_booked_once_and_a_log_on_never(tmp_path: Path) -> None:
    async with deribit_paper() as door:
        combo = {"legs": COMBO_LIMIT.legs, "per_order": "800", "per_day": "1000", "px_from": "-100", "px_to": "100", "fees": "10"}  # fmt: skip
        one = desk(tmp_path, PERPETUAL, dialect="deribit", symbols=[PERPETUAL], combos={COMBO: combo})
        venue = deribit.connect("x", SystemClock(), KEY, one.sign, base_url=door.url)
        try:
            await venue.start()
            request = await venue.authorize(order(0, PERPETUAL, Side.BUY, "1", "2990"))
            assert (await venue.submit(request)).status is OrdStatus.NEW
            query = json.loads(request.payload)["query"]
            before = len(one.booked())
            await one.sign(request.method, request.path, query)  # asked again: signed, and not booked again
            assert len(one.booked()) == before == 1 and one.booked()[0]["cost"] == "2990"
            assert (await venue.cancel(name_of(0), PERPETUAL)).status is OrdStatus.CANCELED
            assert len(one.booked()) == 2  # the cancel; reads are not booked
            spread = await venue.submit(await venue.authorize(order(1, COMBO, Side.SELL, "3", "-5")))
            assert (spread.status, len(spread.fills)) == (OrdStatus.FILLED, 2)
            assert (one.booked()[2]["symbol"], one.booked()[2]["cost"]) == (COMBO, "630.00000000")
            for qty, code in (("4", "EXCHANGE_PER_ORDER"), ("2", "EXCHANGE_PER_DAY")):
                with pytest.raises(Denied) as much:
                    await venue.authorize(order(2, COMBO, Side.BUY, qty, "5"))
                assert much.value.code == code
            told = one.made.facts()["x"]
            assert told["per_day_usd"] == "26000.00" and told["combos"] == {COMBO: COMBO_LIMIT.legs}
            assert told["symbols"] == [COMBO, PERPETUAL]
            for path in ("public/auth", "private/withdraw"):
                with pytest.raises(Denied):
                    await one.sign("GET", f"/api/v2/{path}", "currency=USDC")
        finally:
            await venue.close()
            one.made.close()


async def test_at_dydx_the_signer_writes_the_transaction_and_books_what_it_can_cost(tmp_path: Path) -> None:
    async with dydx_paper() as door:
        one = desk(tmp_path, DYDX_PAIR, (ACCOUNT, "05" * 32), dialect="dydx", symbols=[DYDX_PAIR])
        venue = dydx.connect("x", SystemClock(), ACCOUNT, one.sign, base_url=door.url)
        try:
            await venue.start()
            request = await venue.authorize(order(0, MARKET, Side.BUY, "1", "2990"))
            assert (await venue.submit(request)).status is OrdStatus.NEW
            assert (await venue.cancel(name_of(0), MARKET)).status is OrdStatus.CANCELED
            assert [row["costs"] for row in one.booked()] == [[[DYDX_PAIR, "2990"]], []]
            with pytest.raises(Denied) as dear:
                await venue.authorize(order(1, MARKET, Side.SELL, "2.6", "2990"))
            assert dear.value.code == "EXCHANGE_PER_ORDER" and len((await door.truth())["orders"]) == 1
            (bound,) = bounds_of({"exchange_limits": one.made.facts()}, ["x"]) or ()
            assert "25,000.00" in sentence(bound)
        finally:
            await venue.close()
            one.made.close()


async def test_a_log_on_is_signed_where_the_owner_wrote_so_and_then_no_bound_is_told(tmp_path: Path) -> None:
    one = desk(tmp_path, PERPETUAL, dialect="deribit", allow=["WS public/auth"])
    for _ in range(2):  # each with a nonce of its own, and each booked
        await one.sign("WS", "public/auth", "")
    assert [row["endpoint"] for row in one.booked()] == ["WS public/auth"] * 2
    for path, payload in (("public/auth", "data"), ("public/fork_token", "")):
        with pytest.raises(Denied):
            await one.sign("WS", path, payload)
    (bound,) = bounds_of({"exchange_limits": one.made.facts()}, ["x"]) or ()
    assert bound.logs_on and "all that lies there" in sentence(bound)
    (tmp_path / "other").mkdir()
    other = desk(tmp_path / "other", PERPETUAL, dialect="deribit")
    (plain,) = bounds_of({"exchange_limits": other.made.facts()}, ["x"]) or ()
    assert not plain.logs_on and "25,000.00" in sentence(plain)


async def test_at_coinbase_orders_are_sent_from_there_alone_and_at_kraken_signed_once(tmp_path: Path) -> None:
    async with coinbase_paper() as door:
        one = desk(tmp_path, PRODUCT, (COINBASE_KEY, PEM), dialect="coinbase", sends_to=door.url)
        venue = coinbase.connect("x", SystemClock(), "", one.sign, base_url=door.url, send=one.send)
        try:
            await venue.start()
            request = await venue.authorize(order(0, PRODUCT, Side.BUY, "1", "2990"))
            assert (await venue.submit(request)).status is OrdStatus.NEW
            with pytest.raises(Reconcile) as sent:
                await one.send(request.method, request.path, request.payload)
            assert sent.value.code == "EXCHANGE_SENT_BEFORE" and len(await venue.open_orders()) == 1
            changed = await venue.modify(order(0, PRODUCT, Side.BUY, "0.5", "2990"))
            assert changed.order_qty == D("0.5") and one.made.facts()["x"]["repeats"] == 1
            assert (await venue.cancel(name_of(0), PRODUCT)).status is OrdStatus.CANCELED
            assert [D(row["cost"]) for row in one.booked() if "cost" in row] == [2990, 2000]
        finally:
            await venue.close()
            one.made.close()
    (tmp_path / "kraken").mkdir()
    async with kraken_paper() as door:
        two = desk(tmp_path / "kraken", PAIR, (KEY, API_SECRET), dialect="kraken")
        spot = kraken.connect("x", SystemClock(), KEY, two.sign, base_url=door.url)
        try:
            await spot.start()
            request = await spot.authorize(order(0, PAIR, Side.BUY, "1", "2990"))
            assert (await spot.submit(request)).status is OrdStatus.NEW
            with pytest.raises(Reconcile):
                await two.sign(request.method, request.path, request.payload)
            assert [D(row["cost"]) for row in two.booked() if "cost" in row] == [2990]
            assert not two.made.facts()["x"].get("logs_on")
        finally:
            await spot.close()
            two.made.close()


def test_the_signers_file_names_dialects_and_where_orders_are_sent() -> None:
    venues = tuple(
        Venue(name=name, module=module, symbols=("S",), api_key="env:K", api_secret="env:S")
        for name, module in (
            ("usdm", "binance_usdm"),
            ("options", "deribit"),
            ("chain", "dydx"),
            ("spot", "coinbase"),
            ("kr", "kraken"),
        )
    )

    class Settings:
        pass

    settings: Any = Settings()
    settings.venues = venues
    found = _exchanges(settings)
    assert (
        found["usdm"]["dialect"] == "binance_usdm" and found["usdm"]["sends_to"] == "https://fapi.binance.com"
    )
    assert found["chain"] == {"dialect": "dydx", "api_key": "env:K", "secret": "env:S", "repeats": 1}
    assert found["spot"]["sends_to"] == "https://api.coinbase.com" and "sends_to" not in found["kr"]
    assert (found["spot"]["dialect"], found["kr"]["dialect"]) == ("coinbase", "kraken")
    assert found["options"] == {"dialect": "deribit", "api_key": "env:K", "secret": "env:S", "symbols": ["S"]}
