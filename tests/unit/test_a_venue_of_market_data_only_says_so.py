"""Configured for orders, a venue that gives market data only is refused in one sentence that names those which take orders."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.app.settings_tree import Venue
from agent.app.wiring import connect_venue
from agent.domain.errors import Usage
from agent.transport.clock import SystemClock
from chains.types import Environment
from keys.client import SignerClient


@pytest.mark.parametrize(("module", "said"), [("coinbase", "takes no orders yet"), ("nowhere", "does not exist")])  # fmt: skip
def test_it_is_told_what_the_module_is_and_which_take_orders(module: str, said: str) -> None:
    signer = SignerClient(Path("nowhere.sock"), Environment.DEVNET)
    with pytest.raises(Usage, match=said) as refused:
        connect_venue(Venue(name="mine", module=module), SystemClock(), signer)
    assert refused.value.hint == "known: binance_spot, binance_usdm, ccxt, deribit, dydx, hyperliquid, kraken"
