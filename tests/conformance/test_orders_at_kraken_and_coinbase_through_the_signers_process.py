"""The whole road at Kraken and Coinbase: the session as it is wired, a signer in its own process, an exchange; and what that signer refuses."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from coinbase_rig import KEY as COINBASE_KEY
from coinbase_rig import PEM, PRODUCT, coinbase_paper
from kraken_rig import API_SECRET, PAIR, kraken_paper
from paper import KEY
from venue_rigs import name_of

from agent.app.settings_tree import Venue
from agent.app.wiring import connect_venue
from agent.domain.order_state import OrdStatus
from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder
from agent.transport.clock import SystemClock
from chains.errors import Denied
from chains.types import Environment
from keys.client import SignerClient, start_signer

D = Decimal
LIMIT = {"per_order": "10000", "per_day": "25000", "px_from": "100", "px_to": "4000"}


def kept(folder: Path, name: str, text: str) -> str:
    (folder / name).write_text(text)
    (folder / name).chmod(0o600)
    return f"file:{folder / name}"


async def test_an_order_lives_and_ends_and_funds_stay(tmp_path: Path) -> None:
    async with kraken_paper() as at_kraken, coinbase_paper() as at_coinbase:
        keys = {
            "kr": ("kraken", kept(tmp_path, "k1", KEY), kept(tmp_path, "s1", API_SECRET), PAIR, at_kraken.url),
            "cb": ("coinbase", kept(tmp_path, "k2", COINBASE_KEY), kept(tmp_path, "s2", PEM), PRODUCT, at_coinbase.url),
        }  # fmt: skip
        exchanges = {
            name: {"dialect": dialect, "api_key": key, "secret": secret, "symbols": [symbol], "limits": {symbol: LIMIT}}
            for name, (dialect, key, secret, symbol, _) in keys.items()
        }  # fmt: skip
        exchanges["cb"]["sends_to"] = at_coinbase.url
        config = tmp_path / "signer.json"
        base = {"environment": "devnet", "ledger": str(tmp_path / "l.jsonl"), "keystore": str(tmp_path), "chains": []}  # fmt: skip
        config.write_text(json.dumps({**base, "exchanges": exchanges}))
        config.chmod(0o600)
        process = start_signer(tmp_path / "s.sock", config, tmp_path / "signer.log")
        try:
            async with SignerClient(tmp_path / "s.sock", Environment.DEVNET) as signer:
                for name, (module, key, _, symbol, url) in keys.items():
                    configured = Venue(name=name, module=module, api_key=key, symbols=(symbol,), base_url=url)
                    await lives(configured, symbol, signer)
                limits = (await signer.status())["exchange_limits"]
                assert {limits[name]["repeats"] for name in keys} == {1}
                for name, path in (("kr", "/0/private/Withdraw"), ("cb", "/api/v3/brokerage/portfolios/move_funds")):  # fmt: skip
                    with pytest.raises(Denied) as refused:
                        await signer.sign_exchange(f"out-{name}", name, "POST", path, "")
                    assert refused.value.code == "EXCHANGE_WITHDRAWAL"
        finally:
            process.terminate()
            process.wait(20)


async def lives(configured: Venue, symbol: str, signer: SignerClient) -> None:
    venue = connect_venue(configured, SystemClock(), signer)
    await venue.start()
    try:
        order = VenueOrder(name_of(0), symbol, Side.BUY, OrdType.LIMIT, TimeInForce.GTC, D(1), D(2990))
        placed = await venue.submit(await venue.authorize(order))
        assert (placed.cl_ord_id, placed.status) == (name_of(0), OrdStatus.NEW)
        assert (await venue.cancel(name_of(0), symbol)).status is OrdStatus.CANCELED
        dear = VenueOrder(name_of(1), symbol, Side.SELL, OrdType.LIMIT, TimeInForce.GTC, D(3), D(3900))
        with pytest.raises(Denied) as much:
            await venue.authorize(dear)
        assert much.value.code == "EXCHANGE_PER_ORDER"
    finally:
        await venue.close()
