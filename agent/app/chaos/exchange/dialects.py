"""What the exchanges of the chaos trade and in whose words: coins or contracts, their assets, and how their own books call things."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from random import Random

from agent.app.places import Directory
from agent.app.testvenue.deribit import DeribitServer
from agent.app.testvenue.engine import Engine
from agent.app.testvenue.futures import FuturesEngine
from agent.app.testvenue.hyperliquid import HyperliquidServer, on_its_grid
from agent.app.testvenue.server import Server
from agent.app.testvenue.spec import SymbolSpec
from agent.app.testvenue.usdm import UsdmServer
from agent.domain.instruments import Asset, AssetId, cex_id

ENGINES_SYMBOL = "ETHUSDC"
KEY, SECRET = "chaos-key", "chaos-secret"
ADDRESS, AGENT = "0x" + "c4" * 20, "0x" + "5e" * 32
"""An account at Hyperliquid, and its agent wallet's key."""
USDC = cex_id("paper", "USDC")
MONEY = ("USDC", Decimal(3_000_000))
RATE = Decimal("0.001")
EVERY = "every"


@dataclass(frozen=True, slots=True)
class Dialect:
    """`symbol`: what the market is called there; `base`: whose name its asset has; `contract`: a position is held, and no coin.
    `on`: what a fault of the switchboard befalls there, where the operation has another name or does not exist."""

    name: str
    symbol: str
    base: str
    engine: type[Engine] = Engine
    server: type[Server] = Server
    contract: bool = False
    on: Mapping[str, str] | None = None
    key: str = KEY
    secret: str = SECRET
    spec: SymbolSpec = SymbolSpec("ETH", "USDC")

    @property
    def asset(self) -> AssetId:
        return cex_id("paper", self.base)

    @property
    def directory(self) -> Directory:
        """The two assets of this market, as the settings would name them."""
        assets = {self.asset: Asset(self.asset, "ETH", 8), USDC: Asset(USDC, "USDC", 8)}
        return Directory({"ETH": (self.asset,), "USDC": (USDC,)}, assets)

    @property
    def deposits(self) -> tuple[tuple[str, Decimal], ...]:
        return (MONEY,) if self.contract else (("ETH", Decimal(1_000)), MONEY)


SPOT = Dialect("binance_spot", ENGINES_SYMBOL, "ETH")
PERPETUAL = "ETH_USDC-PERPETUAL"
DIALECTS: Mapping[str, Dialect] = {
    "binance_spot": SPOT,
    "fix": SPOT,
    "ccxt": SPOT,
    "binance_usdm": Dialect(
        "binance_usdm",
        ENGINES_SYMBOL,
        ENGINES_SYMBOL,
        FuturesEngine,
        UsdmServer,
        True,
        {"account": "balance"},
    ),
    "deribit": Dialect(
        "deribit",
        PERPETUAL,
        PERPETUAL,
        FuturesEngine,
        DeribitServer,
        True,
        {"depth.rest": "positions"},
    ),
    "hyperliquid": Dialect(
        "hyperliquid",
        "ETH/USDC",
        "ETH",
        Engine,
        HyperliquidServer,
        on={"depth.rest": "account"},
        key=ADDRESS,
        secret=AGENT,
        spec=on_its_grid(SymbolSpec("ETH", "USDC")),
    ),
}
"""By the session that the desks work by."""


def chosen(by: str, seed: int, case: int) -> str:
    """The session of that case: the one that was asked for, or for `every` one that the seed draws."""
    return Random(f"venue {seed} {case}").choice(tuple(DIALECTS)) if by == EVERY else by
