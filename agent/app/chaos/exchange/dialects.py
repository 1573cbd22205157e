"""What the exchanges of the chaos trade and in whose words: coins or contracts, their assets, and how their own books call things."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from random import Random

from Crypto.PublicKey import ECC

from agent.app.places import Directory
from agent.app.testvenue.coinbase import CoinbaseServer
from agent.app.testvenue.deribit import DeribitServer
from agent.app.testvenue.dydx import DydxServer
from agent.app.testvenue.engine import Engine
from agent.app.testvenue.futures import FuturesEngine
from agent.app.testvenue.hyperliquid import HyperliquidServer, on_its_grid
from agent.app.testvenue.kraken import KrakenServer
from agent.app.testvenue.quote_fees import QuoteFees
from agent.app.testvenue.server import Server
from agent.app.testvenue.spec import SymbolSpec
from agent.app.testvenue.usdm import UsdmServer
from agent.domain.instruments import Asset, AssetId, cex_id

ENGINES_SYMBOL = "ETHUSDC"
KEY, SECRET = "chaos-key", "chaos-secret"
ADDRESS, AGENT = "0x" + "c4" * 20, "0x" + "5e" * 32
"""An account at Hyperliquid, and its agent wallet's key."""
DYDX_ADDRESS, DYDX_KEY = "dydx1n56z5fhmemtffzkt2eqyf9kuc7ycjfs86mvqy7", "0d" * 32
"""An account at dYdX, and its own key."""
KRAKEN_SECRET = base64.b64encode(SECRET.encode()).decode()
COINBASE_KEY = "organizations/chaos/apiKeys/chaos"
COINBASE_PRIVATE = ECC.construct(curve="P-256", d=0xC0B)
"""The same in every process."""
USDC = cex_id("paper", "USDC")
MONEY = ("USDC", Decimal(3_000_000))
RATE = Decimal("0.001")
EVERY = "every"


@dataclass(frozen=True, slots=True)
class Dialect:
    """`symbol`: what the market is called there; `base`: whose name its asset has; `contract`: a position is held, and no coin.
    `on`: what a fault of the switchboard befalls there, where the operation has another name or does not exist. `lists`: its session takes
    an entry with its exits as one request."""

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
    lists: bool = False

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
    "binance_spot": replace(SPOT, lists=True),
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
        {"depth.rest": "positions", "list.oto": "order.place", "list.otoco": "order.place"},
        lists=True,
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
    "kraken": Dialect(
        "kraken",
        "ETH/USDC",
        "ETH",
        QuoteFees,
        KrakenServer,
        on={"depth.rest": "allOrders"},
        secret=KRAKEN_SECRET,
    ),
    "coinbase": Dialect(
        "coinbase",
        "ETH-USDC",
        "ETH",
        QuoteFees,
        CoinbaseServer,
        on={"depth.rest": "openOrders"},
        key=COINBASE_KEY,
        secret=COINBASE_PRIVATE.public_key().export_key(format="PEM"),
    ),
    "dydx": Dialect(
        "dydx",
        "ETH-USD",
        "ETH-USD",
        FuturesEngine,
        DydxServer,
        True,
        {"order.cancel": "order.place", "depth.rest": "height"},
        key=DYDX_ADDRESS,
        secret=DYDX_KEY,
        spec=SymbolSpec("ETH", "USDC", min_notional=Decimal(0)),
    ),
}
"""By the session that the desks work by."""


def chosen(by: str, seed: int, case: int) -> str:
    """The session of that case: the one that was asked for, or for `every` one that the seed draws."""
    return Random(f"venue {seed} {case}").choice(tuple(DIALECTS)) if by == EVERY else by
