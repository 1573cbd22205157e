"""Whatever is wrong with what was typed, configured or running: one message, its exit status, no traceback, nothing lost.

Every case runs twice: for a person (one error line and a remedy on stderr), and with --json (one document on stdout).
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import sqlite3
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from trading_home import TradingHome

from agent.app import template

pytestmark = pytest.mark.devnet

Values = dict[str, Any]
SELL = ("trade", "sell", "1", "ETH", "--for", "USDC")
LIVE = ("--live", "--yes", "--max-loss", "100000")


@dataclass(frozen=True)
class Case:
    """`code`: the error's, or the rule of a denied plan; `says`: words the message or its remedy must hold."""

    argv: tuple[str, ...]
    code: str
    status: int
    says: str = ""
    change: Callable[[Values, TradingHome, Path], None] | None = None


def new_places(settings: Values, home: TradingHome, folder: Path) -> None:
    settings["ramp"] = {"start_usd": "250"}


def limit(**values: Any) -> Callable[[Values, TradingHome, Path], None]:
    def change(settings: Values, home: TradingHome, folder: Path) -> None:
        settings["limits"].update(values)

    return change


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cap(settings: Values, home: TradingHome, folder: Path) -> None:
    settings["venues"][0]["counterparty_cap_usd"] = "1"
    for chain in settings["chains"]:
        chain["pools"] = []


def fewer_owners(settings: Values, home: TradingHome, folder: Path) -> None:
    settings["wallet"]["threshold"] = 1


def one_owner_here(settings: Values, home: TradingHome, folder: Path) -> None:
    settings["signer"]["unattended"] = False
    for owner in settings["wallet"]["owners"][1:]:
        owner.pop("keystore")
        owner.pop("password")
    only_chain_one(settings)


def wrong_password(settings: Values, home: TradingHome, folder: Path) -> None:
    wrong = folder / "wrong"
    wrong.write_text("not the password")
    wrong.chmod(0o600)
    settings["signer"]["unattended"] = False
    for owner in settings["wallet"]["owners"]:
        owner["password"] = f"file:{wrong}"
    only_chain_one(settings)


def only_chain_one(settings: Values) -> None:
    for chain in settings["chains"]:
        if chain["chain_id"] != 1:
            chain["pools"] = []
    for venue in settings["venues"]:
        venue["symbols"] = []


def wrong_chain(settings: Values, home: TradingHome, folder: Path) -> None:
    settings["chains"][0]["rpc"] = [home.urls[8453]]


def no_signer(settings: Values, home: TradingHome, folder: Path) -> None:
    settings["signer"]["socket"] = str(folder / "nobody.sock")
    only_chain_one(settings)


def nobody_answers(settings: Values, home: TradingHome, folder: Path) -> None:
    for chain in settings["chains"]:
        chain["rpc"] = [f"http://127.0.0.1:{closed_port()}"]
    settings["venues"][0]["base_url"] = f"http://127.0.0.1:{closed_port()}"


def corrupted(settings: Values, home: TradingHome, folder: Path) -> None:
    made = home.fairlead("quote", "sell", "1", "ETH", "--for", "USDC")
    assert made.status == 0, made.err
    source = home.settings.journal.path
    for path in source.parent.glob(source.name + "*"):
        if not path.name.endswith(".lock"):
            shutil.copy(path, folder / path.name)
    db = sqlite3.connect(folder / source.name)
    (kept,) = db.execute("SELECT count(*) FROM sqlite_master WHERE name='entries'").fetchone()
    assert kept == 1
    for (trigger,) in db.execute("SELECT name FROM sqlite_master WHERE type='trigger'").fetchall():
        db.execute(f"DROP TRIGGER {trigger}")
    db.execute("UPDATE entries SET at_ns = at_ns + 1 WHERE seq = 1")
    db.commit()
    db.close()
    settings["journal"] = {"path": str(folder / source.name), "emergency_path": str(folder / "emergency.bin")}


def stale(settings: Values, home: TradingHome, folder: Path) -> None:
    """Chain 1 stands still."""
    home.relay_admin("relay_pause")
    time.sleep(3.5)
    settings["limits"]["max_market_age_s"] = 1
    only_chain_one(settings)


BY_HAND: dict[str, Callable[[str], str]] = {
    "no relay": lambda text: re.sub(r"\[\[chains\.relays\]\].*?(?=\n\[)", "", text, count=1, flags=re.DOTALL),
    "misspelt settings": lambda text: text.replace("max_slippage_bps", "max_slipage_bps"),
    "no TOML": lambda text: text.replace("[limits]", "[limits"),
}
"""Settings that no program would write."""

CASES = {
    "unknown asset": Case(("trade", "sell", "1", "ETJ", "--for", "USDC"), "UNKNOWN_ASSET", 2, "ETH"),
    "unknown asset to receive": Case(("quote", "sell", "1", "ETH", "--for", "USDX"), "UNKNOWN_ASSET", 2, "USDC"),
    "too many decimals": Case(("trade", "sell", "1.0000000000000000001", "ETH", "--for", "USDC"), "TOO_MANY_DECIMALS", 2),
    "zero": Case(("trade", "sell", "0", "ETH", "--for", "USDC"), "BAD_AMOUNT", 2),
    "less than zero": Case(("trade", "sell", "--for", "USDC", "--", "-1", "ETH"), "BAD_AMOUNT", 2),
    "no number": Case(("trade", "sell", "much", "ETH", "--for", "USDC"), "BAD_AMOUNT", 2, "much"),
    "not a number": Case(("trade", "sell", "NaN", "ETH", "--for", "USDC"), "BAD_AMOUNT", 2),
    "absurdly large": Case(("trade", "sell", "1e40", "ETH", "--for", "USDC"), "NO_INVENTORY", 4),
    "the same asset": Case(("trade", "sell", "1", "ETH", "--for", "WETH"), "SAME_ASSET", 2),
    "no inventory": Case(("trade", "sell", "5000", "ETH", "--for", "USDC"), "NO_INVENTORY", 4, "5000 "),
    "unknown quote": Case(("trade", "q-nothing"), "UNKNOWN_QUOTE", 2),
    "unknown algo": Case((*SELL, "--algo", "twapp"), "UNKNOWN_ALGO", 2),
    "exits that cross": Case((*SELL, "--stop-loss", "3100", "--take-profit", "2900"), "EXITS_CROSS", 2, "--take-profit"),
    "an exit without a price": Case((*SELL, "--algo", "exit"), "NO_EXIT", 2, "--stop-loss"),
    "a stop for another algo": Case((*SELL, "--algo", "market", "--stop-loss", "2900"), "ALGO_PARAMETER", 2, "exit"),
    "bad duration": Case((*SELL, "--algo", "twap", "--over", "soon", "--slices", "3"), "BAD_DURATION", 2),
    "a duration without end": Case((*SELL, "--stop-loss", "2900", "--over", "99999999999d"), "BAD_DURATION", 2),
    "a duration in odd digits": Case((*SELL, "--stop-loss", "2900", "--over", "²d"), "BAD_DURATION", 2),
    "live and dry": Case((*SELL, "--live", "--dry-run"), "LIVE_AND_DRY", 2),
    "unattended without a bound": Case((*SELL, "--live", "--yes"), "MAX_LOSS_MISSING", 2),
    "too dear": Case((*SELL, "--live", "--yes", "--max-loss", "0.01"), "MAX_LOSS", 3),
    "unknown command": Case(("traid", "sell"), "BAD_USAGE", 2, "trade"),
    "unknown option": Case((*SELL, "--limmit", "3"), "BAD_USAGE", 2, "--limit"),
    "per order": Case((*SELL, *LIVE), "ORDER_TOO_LARGE", 3, "100", limit(per_order_usd="100")),
    "per day": Case((*SELL, *LIVE), "DAY_LIMIT", 3, "", limit(per_day_usd="100", per_order_usd="100")),
    "collar": Case(("trade", "sell", "20", "ETH", "--for", "USDC", *LIVE), "PRICE_COLLAR", 3, "", limit(price_collar_bps=1)),
    "slippage": Case((*SELL, "--max-slippage-bps", "500", *LIVE), "SLIPPAGE_TOO_WIDE", 3, "500"),
    "a place that is new": Case(SELL, "RAMP_CAP", 3, "3 more settled orders", new_places),
    "a pair at no exchange": Case((*SELL, "--stop-loss", "2900", "--at", "nyse"), "UNKNOWN_VENUE", 2, "--at"),
    "half a pair": Case((*SELL, "--stop-loss", "2900", "--at", "paper"), "NO_PAIR", 2, "--take-profit"),
    "exits now and then": Case((*SELL, "--stop-loss", "2900", "--then-stop-loss", "2900"), "THEN_AND_NOW", 2, "--then-"),
    "asset not allowed": Case((*SELL, *LIVE), "ASSET_NOT_ALLOWED", 3, "USDC", limit(allow_assets=["ETH", "WETH"])),
    "counterparty cap": Case(("trade", "buy", "1", "ETH", "--for", "USDC", *LIVE), "COUNTERPARTY_CAP", 3, "paper", cap),
    "stale market": Case((*SELL, *LIVE), "STALE_MARKET", 3, "eip155:1", stale),
    "stale prices": Case((*SELL, *LIVE), "PRICE_UNKNOWN", 3, "", limit(max_price_age_s=1)),
    "below the Safe's threshold": Case((*SELL, *LIVE), "WALLET_NOT_READY", 3, "the Safe wants 2", fewer_owners),
    "too few owners here": Case((*SELL, *LIVE), "WALLET_NOT_READY", 3, "1 owners can sign here", one_owner_here),
    "wrong password": Case((*SELL, *LIVE), "OWNER_DID_NOT_SIGN", 3, "password", wrong_password),
    "another chain behind the RPC": Case(SELL, "WRONG_CHAIN_ID", 6, "8453", wrong_chain),
    "no signer": Case((*SELL, *LIVE), "SIGNER_UNREACHABLE", 4, "fairlead signer run", no_signer),
    "no relay": Case((*SELL, *LIVE), "SETTINGS_INVALID", 2, "no relay to be private through"),
    "nobody answers": Case(SELL, "NO_MARKET", 4, "", nobody_answers),
    "corrupted journal": Case((*SELL, *LIVE), "JOURNAL_CORRUPT", 6, "", corrupted),
    "misspelt settings": Case(SELL, "SETTINGS_INVALID", 2, "max_slippage_bps"),
    "no TOML": Case(SELL, "SETTINGS_SYNTAX", 2, "limits"),
}  # fmt: skip


def outside(home: TradingHome) -> tuple[Any, ...]:
    """What must not move: balances, nonces and orders, as chains and exchange have them."""
    chains = [(home.balance_raw(c, "WETH"), home.safe_nonce(c), home.sender_nonce(c)) for c in home.urls]
    return (chains, home.paper_truth()["orders"])


@pytest.mark.parametrize("name", CASES)
def test_bad_input(trading_home: TradingHome, tmp_path: Path, name: str) -> None:
    case = CASES[name]
    argv: tuple[str, ...] = case.argv
    path = tmp_path / "fairlead.toml"
    if name in BY_HAND:
        text = trading_home.settings_path.read_text()
        assert BY_HAND[name](text) != text
        path.write_text(BY_HAND[name](text))
        argv = ("--settings", str(path), *argv)
    elif case.change is not None:
        values = tomllib.loads(trading_home.settings_path.read_text())
        case.change(values, trading_home, tmp_path)
        template.write(values, path, note="Changed.", replace=True)
        argv = ("--settings", str(path), *argv)
    try:
        judge(case, argv, trading_home)
    finally:
        trading_home.relay_admin("relay_resume")


def judge(case: Case, argv: tuple[str, ...], trading_home: TradingHome) -> None:
    before = outside(trading_home)
    plain = trading_home.fairlead(*argv)
    cut = argv.index("--") if "--" in argv else len(argv)
    told = trading_home.fairlead(*argv[:cut], "--json", *argv[cut:])
    for run in (plain, told):
        assert "Traceback" not in run.err and "Traceback" not in run.out, run.err
        assert run.status == case.status, f"{run.status}\n{run.out[-1500:]}\n{run.err[-1500:]}"
    assert case.code in plain.err + plain.out, plain.err + plain.out
    assert case.says in plain.err + plain.out
    document = json.loads(told.out)
    if "error" in document:
        error = document["error"]
        assert set(error) == {"code", "verb", "message", "hint"}
        assert error["code"] == case.code and case.says in error["message"] + error["hint"]
    else:  # the order was accepted and our own rules denied it: they stand beside the plan
        rules = json.dumps([document.get("breaches"), document.get("children"), document.get("parent")])
        assert case.code in rules and case.status == 3, rules
    assert plain.err.count("error ") <= 1
    assert outside(trading_home) == before
