"""The ccxt family with the real signer process: an order lives its life at the paper exchange, and nothing in this process knows the secret."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from paper import KEY, SECRET, paper
from settings_values import values
from venue_rigs import name_of

from agent.app import template
from agent.app.settings import parse
from agent.app.signer_file import content
from agent.app.wiring import connect_venue
from agent.domain.errors import Denied, Reconcile
from agent.domain.order_state import OrdStatus
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder
from agent.transport.clock import SystemClock
from agent.venues.ccxt import Ccxt
from chains.types import Environment
from keys.client import SignerClient, start_signer

D = Decimal
LIMITS = {"ETHUSDC": {"per_order": "7000", "per_day": "9000", "px_from": "100", "px_to": "5000"}}


def bid(number: int, qty: str) -> VenueOrder:
    return VenueOrder(name_of(number), "ETHUSDC", Side.BUY, OrdType.LIMIT, TimeInForce.GTC, D(qty), D(2990))


async def test_an_order_is_judged_booked_and_signed_there_and_sent_from_here(tmp_path: Path) -> None:
    for name, text in (("key", KEY), ("secret", SECRET)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    async with paper() as door:
        here = Path("/nowhere/fairlead.toml")
        venue = {
            "name": "paper", "module": "ccxt", "exchange": "binance", "base_url": door.url, "symbols": ["ETHUSDC"],
            "api_key": f"file:{tmp_path / 'key'}", "api_secret": f"file:{tmp_path / 'secret'}",
        }  # fmt: skip
        settings = parse(template.render(values(venues=[venue]), here), here).settings
        written = content(settings, {})["exchanges"]["paper"]
        assert written["dialect"] == "ccxt:binance" and "sends_to" not in written
        config = {
            "environment": "devnet",
            "ledger": str(tmp_path / "ledger.jsonl"),
            "keystore": str(tmp_path),
            "chains": [],
        }
        config["exchanges"] = {"paper": written | {"limits": LIMITS}}
        (tmp_path / "signer.json").write_text(json.dumps(config))
        (tmp_path / "signer.json").chmod(0o600)
        process = start_signer(tmp_path / "s", tmp_path / "signer.json", tmp_path / "log")
        try:
            async with SignerClient(tmp_path / "s", Environment.DEVNET) as signer:
                session = connect_venue(settings.venues[0], SystemClock(), signer)
                assert isinstance(session, Ccxt)
                await session.start()
                request = await session.authorize(bid(0, "2"))
                await door.fault("order.place", "reset_after")
                with pytest.raises(Reconcile):
                    await session.submit(request)
                found = await session.query(name_of(0), "ETHUSDC")
                assert found is not None and found.status is OrdStatus.NEW
                with pytest.raises(Denied, match="24 hours"):
                    await session.authorize(bid(1, "1.5"))
                with pytest.raises(Denied, match="can move funds"):
                    await session.library.call("withdraw", "USDC", "1", "0x" + "1" * 40)
                assert (await session.cancel(name_of(0), "ETHUSDC")).status is OrdStatus.CANCELED
                raw = session.library.raw
                assert SECRET not in json.dumps(
                    [raw.secret, raw.apiKey, raw.last_request_headers, request.payload]
                )
                await session.close()
        finally:
            process.terminate()
            process.wait(10)
    booked = [json.loads(line) for line in (tmp_path / "ledger.jsonl").read_text().splitlines()]
    assert [row["cost"] for row in booked if "cost" in row] == ["5980"]
    assert SECRET not in (tmp_path / "ledger.jsonl").read_text() + (tmp_path / "log").read_text()
