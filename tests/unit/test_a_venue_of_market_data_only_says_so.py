"""Configured for orders, a module that there is not, or that gives market data only, is refused in one sentence that names those which take orders."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import agent.venues
from agent.app.settings_tree import Venue
from agent.app.wiring import connect_venue
from agent.domain.errors import Usage
from agent.transport.clock import SystemClock
from chains.types import Environment
from keys.client import SignerClient

TAKE = "known: binance_spot, binance_usdm, ccxt, coinbase, deribit, dydx, hyperliquid, kraken"


@pytest.fixture
def prices_only(tmp_path: Path) -> Iterator[None]:
    """A module of market data beside ours, as somebody who adds one has it before its orders."""
    (tmp_path / "pricesonly.py").write_text('"""FEED alone would stand here."""\n')
    agent.venues.__path__.append(str(tmp_path))
    yield
    agent.venues.__path__.remove(str(tmp_path))
    sys.modules.pop("agent.venues.pricesonly", None)


@pytest.mark.parametrize(("module", "said"), [("pricesonly", "takes no orders yet"), ("nowhere", "does not exist")])  # fmt: skip
def test_it_is_told_what_the_module_is_and_which_take_orders(
    module: str, said: str, prices_only: None
) -> None:
    signer = SignerClient(Path("nowhere.sock"), Environment.DEVNET)
    with pytest.raises(Usage, match=said) as refused:
        connect_venue(Venue(name="mine", module=module), SystemClock(), signer)
    assert refused.value.hint == TAKE
