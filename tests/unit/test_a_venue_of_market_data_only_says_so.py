"""Configured for orders, a module that there is not, or that gives market data only, is refused in one sentence that names those which take orders."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import agent.venues
from agent.app.settings_tree import Venue
from agent.app.wiring import connect_venue
from agent.domain.errors import Usage
from agent.transport.clock import SystemClock
from chains.types import Environment
from keys.client import SignerClient

TAKE = "known: binance_spot, binance_usdm, ccxt, coinbase, deribit, hyperliquid, kraken"


@pytest.mark.parametrize(("module", "said"), [("pricesonly", "takes no orders yet"), ("nowhere", "does not exist")])  # fmt: skip
def test_it_is_told_what_the_module_is_and_which_take_orders(
    module: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pricesonly.py").write_text('"""A venue without VENUE."""\n')
    monkeypatch.setattr(agent.venues, "__path__", [*agent.venues.__path__, str(tmp_path)])
    signer = SignerClient(Path("nowhere.sock"), Environment.DEVNET)
    with pytest.raises(Usage, match=said) as refused:
        connect_venue(Venue(name="mine", module=module), SystemClock(), signer)
    assert refused.value.hint == TAKE
    sys.modules.pop("agent.venues.pricesonly")
    monkeypatch.delattr(agent.venues, "pricesonly")
