"""A devnet that can be traded on, for tests: chains, relay, paper exchange, Safe, signer; one a session, in fast mode."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from forked import Ran, fairlead

from agent.app.settings_tree import Settings
from chains.devnet.jsonrpc import Rpc
from contracts.codec import decode_result, encode

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class TradingHome:
    runtime: Path
    settings_path: Path
    settings: Settings
    urls: dict[int, str]
    cheat_urls: dict[int, str]
    paper_url: str
    relay_admin: Rpc
    _rpcs: dict[int, Rpc] = field(default_factory=dict)

    @property
    def safe(self) -> str:
        return str(self.settings.wallet.address)

    @property
    def sender(self) -> str:
        assert self.settings.wallet.sender is not None
        return str(self.settings.wallet.sender.address)

    def rpc(self, chain_id: int) -> Rpc:
        if chain_id not in self._rpcs:
            self._rpcs[chain_id] = Rpc(self.urls[chain_id])
        return self._rpcs[chain_id]

    def token(self, chain_id: int, symbol: str) -> str:
        ids = self.settings.assets[symbol]
        return next(a.rpartition(":")[2] for a in ids if a.startswith(f"eip155:{chain_id}/"))

    def balance_raw(self, chain_id: int, symbol: str) -> int:
        data = encode("erc20", "balanceOf", (self.safe,))
        call = {"to": self.token(chain_id, symbol), "data": "0x" + data.hex()}
        answer = self.rpc(chain_id)("eth_call", call, "latest")
        return int(decode_result("erc20", "balanceOf", bytes.fromhex(answer[2:]))[0])

    def safe_nonce(self, chain_id: int) -> int:
        data = "0x" + encode("safe", "nonce").hex()
        return int(self.rpc(chain_id)("eth_call", {"to": self.safe, "data": data}, "latest"), 16)

    def sender_nonce(self, chain_id: int) -> int:
        return int(self.rpc(chain_id)("eth_getTransactionCount", self.sender, "latest"), 16)

    def sender_wei(self, chain_id: int) -> int:
        return int(self.rpc(chain_id)("eth_getBalance", self.sender, "latest"), 16)

    def paper_truth(self) -> dict[str, Any]:
        with urlopen(f"{self.paper_url}/admin/truth", timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def paper_balance(self, asset: str) -> Decimal:
        for rows in self.paper_truth()["balances"].values():
            for row in rows:
                if row["asset"] == asset:
                    return Decimal(row["free"]) + Decimal(row["locked"])
        return Decimal(0)

    def paper_deposit(self, asset: str, qty: Decimal) -> None:
        """The account's owner deposits at the paper exchange."""
        (account,) = (name for name, rows in self.paper_truth()["balances"].items() if rows)
        body = json.dumps({"account": account, "asset": asset, "quantity": str(qty)}).encode()
        asked = Request(
            f"{self.paper_url}/admin/balance", body, {"content-type": "application/json"}, method="POST"
        )
        with urlopen(asked, timeout=10) as answer:
            json.load(answer)

    def fairlead(self, *argv: str, timeout: float = 300, env: dict[str, str] | None = None) -> Ran:
        """The command line, in a process of its own."""
        return fairlead([*argv], {**self.env, **(env or {})}, timeout)

    def take_over(self) -> None:
        """Have the home's own journal take the account as it is: other tests of the session work it, by journals of theirs."""
        adopted = self.fairlead("reconcile", "--adopt", "--at-once")
        assert adopted.status == 0, adopted.out + adopted.err

    @property
    def env(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("FAIRLEAD_") or k == "FAIRLEAD_DATA"}
        return {
            **kept,
            "FAIRLEAD_SETTINGS": str(self.settings_path),
            "FAIRLEAD_HOME": str(self.runtime / "user"),
        }


@pytest.fixture(scope="session")
def trading_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TradingHome]:
    from devnet_fixture import _built

    from agent.app.devnet_home import bring_up
    from agent.app.settings import load
    from chains.devnet import service

    _built()
    runtime: Path = tmp_path_factory.mktemp("trading-home")
    home = bring_up(runtime=runtime, fast=True, progress=lambda text: None)
    try:
        assert home.settings is not None
        urls = {s.name: s.url for s in home.status.services}
        made = TradingHome(
            runtime,
            home.settings,
            load(home.settings),
            dict(home.status.urls),
            dict(home.status.cheat_urls),
            urls["paper"],
            Rpc(next(s.aliases["relay-admin"] for s in home.status.services if s.name == "relay")),
        )
        yield made
        for rpc in (made.relay_admin, *made._rpcs.values()):
            rpc.close()
    finally:
        service.down(runtime=runtime)


class Lives:
    """Process lives with chosen deaths: see kill_runner."""

    def __init__(self, home: TradingHome) -> None:
        self._home = home
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("kill_runner.py"))],
            cwd=ROOT,
            env={**home.env, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def live(self, journal: Path, place: str, kill: str = "", **more: Any) -> dict[str, Any]:
        job = {
            "settings": str(self._home.settings_path), "journal": str(journal), "place": place, "kill": kill,
            "qty": "0.5", "side": "SELL", **more,
        }  # fmt: skip
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        told: dict[str, Any] = json.loads(self._process.stdout.readline())
        return told

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(timeout=30)
        self._process.stdout.close()


@pytest.fixture(scope="session")
def lives(trading_home: TradingHome) -> Iterator[Lives]:
    found = Lives(trading_home)
    yield found
    found.close()
