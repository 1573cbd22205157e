"""The signer's ledger and an exchange of the family: an order is booked before it is signed, once, and a day's limit holds."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chains.errors import Denied, Usage
from keys.settings import environment_names, signer_settings
from keys.signer.exchange_desk import ExchangeDesk
from keys.signer.ledger import SpendLedger
from keys.signer.vault import Vault

LIMITS = {"ETH-USDC": {"per_order": "4000", "per_day": "7000", "px_from": "100", "px_to": "10000"}}


def config(folder: Path, **more: Any) -> dict[str, Any]:
    for name in ("key", "secret", "word"):
        (folder / name).write_text(f"the-{name}\n")
        (folder / name).chmod(0o600)
    of = {name: f"file:{folder / name}" for name in ("key", "secret", "word")}
    exchange = {"dialect": "ccxt:okx", "api_key": of["key"], "secret": of["secret"], "password": of["word"]}
    exchange |= {"symbols": ["ETH-USDC"], "limits": LIMITS} | more
    base = {"environment": "devnet", "ledger": str(folder / "l.jsonl"), "keystore": str(folder), "chains": []}
    return {**base, "exchanges": {"okx": exchange}}


def desk(folder: Path, granted: dict[str, str]) -> tuple[ExchangeDesk, Callable[..., dict[str, Any]]]:
    settings = signer_settings(config(folder))
    vault = Vault(settings)
    vault.open_exchanges()
    made = ExchangeDesk(
        settings.exchanges, vault, SpendLedger(settings.ledger), lambda i, d: granted.get(i) == d, live=False
    )

    def sign(number: str, path: str, params: dict[str, Any], method: str = "POST") -> dict[str, Any]:
        payload = json.dumps({"at_ms": time.time_ns() // 10**6, "params": params})
        told = made.sign(number, "okx", method, path, payload, number)
        granted[number] = number
        return told

    return made, sign


ORDER = {"instId": "ETH-USDC", "side": "buy", "ordType": "limit", "sz": "1", "px": "3000", "tdMode": "cash"}


def test_a_days_orders_cost_no_more_than_the_limits_say(tmp_path: Path) -> None:
    made, sign = desk(tmp_path, {})
    assert made.facts()["okx"] == {
        "per_day_usd": "7000.00",
        "repeats": 900,
        "sends": False,
        "symbols": ["ETH-USDC"],
    }
    first = json.loads(sign("a", "private/trade/order", ORDER)["signature"])
    assert first["headers"]["OK-ACCESS-PASSPHRASE"] == "the-word" and "the-secret" not in json.dumps(first)
    sign("a", "private/trade/order", ORDER)  # the same request, booked already
    sign("b", "private/trade/order", ORDER | {"side": "sell", "px": "3000", "sz": "0.1"})
    with pytest.raises(Denied, match="24 hours"):
        sign("c", "private/trade/order", ORDER | {"px": "3100"})
    sign("d", "private/trade/cancel-order", {"instId": "ETH-USDC", "ordId": "1"})
    sign("e", "private/account/balance", {}, "GET")
    booked = [json.loads(line) for line in (tmp_path / "l.jsonl").read_text().splitlines()]
    assert len(booked) == 3, "two orders and the cancel; a read is not booked, nor a request again"
    made.close()


def test_the_file_says_what_a_family_needs(tmp_path: Path) -> None:
    read = signer_settings(config(tmp_path, password="env:WORD", repeats=5))
    assert read.exchanges["okx"].repeats == 5 and environment_names(read) == ("WORD",)
    assert signer_settings(config(tmp_path, dialect="ccxt:kraken")).exchanges["okx"].repeats == 1
    with pytest.raises(Usage, match="sends_to"):
        signer_settings(config(tmp_path, sends_to="https://www.okx.com"))
    with pytest.raises(Usage, match="password"):
        signer_settings(config(tmp_path, password="hunter2"))
