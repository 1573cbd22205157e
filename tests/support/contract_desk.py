"""A paper exchange of contracts beside a devnet home: settings in which its contract is named, and a signer that holds its key."""

from __future__ import annotations

import json
import signal
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from agent_home import AgentHome, written
from deribit_rig import PERPETUAL as DERIBITS
from deribit_rig import Signer as DeribitSigner
from deribit_rig import deribit_session
from dydx_rig import ADDRESS, MARKET, OWNER, OWNERS_SECRET, PAIR, Signer, dydx_session
from hyper_rig import PERPETUAL, hyper_session
from hyper_server import ACCOUNT as HYPER_ACCOUNT
from paper import KEY, SECRET, PaperProcess
from usdm_rig import usdm_session
from venue_rigs import AT_ANY_PRICE

from agent.domain.orders import OrdType, Side, TimeInForce, VenueOrder
from agent.domain.reports import Position
from agent.ports import VenueInstrument
from keys.client import start_signer

NAME, OTHER = "usdm", "other"
HYPER_AGENT = "0x" + "07" * 32


@dataclass(frozen=True)
class At:
    """Where the contract is: the module's name, what it is called there, by what the signer limits it, whose account it is; the paper exchange's
    dialect where that is no module's name, and what it is margined in."""

    module: str
    symbol: str
    limited: str
    account: tuple[str, str]
    session: Callable[[str], Any]
    options: tuple[str, ...] = ()
    dialect: str = ""
    settles: str = "USDC"


BINANCE = At("binance_usdm", "ETHUSDC", "ETHUSDC", (KEY, SECRET), usdm_session)
DYDX = At(
    "dydx", MARKET, PAIR, (ADDRESS, OWNERS_SECRET), lambda url: dydx_session(url, Signer(OWNER, ADDRESS)),
    ("--account", f"key={ADDRESS}:secret={OWNERS_SECRET}:USDC=100000"),
)  # fmt: skip
HYPERLIQUID = At(
    "hyperliquid", PERPETUAL, "0", (HYPER_ACCOUNT, HYPER_AGENT), hyper_session,
    ("--account", f"key={HYPER_ACCOUNT}:secret={HYPER_AGENT}:USDC=100000"), "hyperliquid_perps", "USDC-PERPS",
)  # fmt: skip
DERIBIT = At(
    "deribit", DERIBITS, DERIBITS, (KEY, SECRET), lambda url: deribit_session(url, DeribitSigner(limit=AT_ANY_PRICE)),
)  # fmt: skip
LIMIT = {"per_order": "600000", "per_day": "6000000", "px_from": "300", "px_to": "6000"}


class ContractDesk:
    """`settings_path`: the owners' settings with the exchange in them, and a rule that watches it."""

    def __init__(
        self,
        home: AgentHome,
        settings_path: Path,
        exchange: PaperProcess,
        at: At,
        other: PaperProcess | None = None,
    ) -> None:
        self.home, self.settings_path, self.exchange, self.at = home, settings_path, exchange, at
        self.other, self._by_hand = other, 0

    async def opened(self, side: Side, qty: str, px: str) -> None:
        """The account takes a position behind Fairlead's back, as its owner would by hand."""
        self._by_hand += 1
        venue = self.at.session(self.exchange.url)
        try:
            await venue.start()
            order = VenueOrder(
                f"fl-by-hand-{self._by_hand}",
                self.at.symbol,
                side,
                OrdType.LIMIT,
                TimeInForce.IOC,
                Decimal(qty),
                Decimal(px),
            )  # type: ignore[arg-type]
            placed = await venue.submit(await venue.authorize(order))
            assert placed.cum_qty == Decimal(qty), placed
        finally:
            await venue.close()

    async def there(self) -> tuple[Position, VenueInstrument]:
        venue = self.at.session(self.exchange.url)
        try:
            await venue.start()
            (held,), (market,) = await venue.positions(), await venue.instruments()
            return held, market
        finally:
            await venue.close()


def _exchange(folder: Path, at: At) -> PaperProcess:
    options = ("--dialect", at.dialect or at.module, "--still", "--weight-limit", "6000000", *at.options)
    exchange = PaperProcess(folder, *options)
    exchange._start()
    for name, text in zip(("key", "secret"), at.account, strict=True):
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    return exchange


def _joined(
    values: dict[str, Any], told: dict[str, Any], name: str, at: At, exchange: PaperProcess, cap_usd: str
) -> None:
    """The settings and the signer's know the exchange by that name."""
    folder = exchange.folder
    keys = {"api_key": f"file:{folder / 'key'}", "secret": f"file:{folder / 'secret'}"}
    told["exchanges"][name] = keys | {
        "dialect": at.module, "symbols": [at.limited], "limits": {at.limited: LIMIT},
    }  # fmt: skip
    told["exchanges"][name] |= (
        {"sends_to": exchange.url} if at is BINANCE else {} if at is DERIBIT else {"repeats": 1}
    )
    values["venues"].append(
        {
            "name": name,
            "module": at.module,
            "base_url": exchange.url,
            "api_key": keys["api_key"],
            "symbols": [at.symbol],
            "api_secret": keys["secret"],
            "counterparty_cap_usd": cap_usd,
        }  # fmt: skip
    )
    values["assets"].setdefault("ETH-PERP", []).append(f"cex:{name}/{at.symbol}")
    values["assets"]["USDC"].append(f"cex:{name}/{at.settles}")
    values["limits"]["allow_venues"].append(name)


@contextmanager
def contracts_beside(
    home: AgentHome,
    folder: Path,
    rule: Mapping[str, Any],
    at: At = BINANCE,
    other: At | None = None,
    **more: Any,
) -> Iterator[ContractDesk]:
    """`more`: keys of the settings besides. Without a rule nothing watches the exchange. `other`: another exchange of contracts, OTHER, where new
    ones may be opened."""
    exchanges = [_exchange(folder, at)]
    told = json.loads((home.owners_path.parent / "signer.json").read_text())
    values = tomllib.loads(home.owners_path.read_text())
    _joined(values, told, NAME, at, exchanges[0], "1000" if rule else "900000")
    if other is not None:
        beside = folder / OTHER
        beside.mkdir()
        exchanges.append(_exchange(beside, other))
        _joined(values, told, OTHER, other, exchanges[1], "900000")
    config, socket = folder / "signer.json", folder / "s.sock"
    config.write_text(json.dumps(told | {"ledger": str(folder / "ledger.jsonl")}))
    values["oracles"]["ETH-PERP"] = values["oracles"]["ETH"]
    values["limits"]["allow_assets"].append("ETH-PERP")
    values["margin_rescues"] = [{"name": "short", "venue": NAME, "every_s": 1, **rule}] if rule else []
    if rule and other is None:
        # Both caps far below the account: a rescue only makes it smaller.
        values["ramp"] = {"start_usd": "250"}
    values |= more
    values["signer"] = values.get("signer", {}) | {"socket": str(socket), "config": str(config)}
    values["journal"] = {"path": str(folder / "journal.db"), "emergency_path": str(folder / "emergency.bin")}
    path = written(folder / "contracts.toml", values)
    process = start_signer(socket, config, folder / "signer.log")
    try:
        yield ContractDesk(home, path, exchanges[0], at, exchanges[1] if other is not None else None)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
        for exchange in exchanges:
            exchange.stop()
