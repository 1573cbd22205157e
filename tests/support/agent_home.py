"""A devnet whose owners have granted the agent's account a scope, and a signer that holds the agent's key and no owner's.

agent_home    one for each file of tests: chain 1 with its second price source remembered, the scope executed by two owners, settings in which
              no owner can sign, and a signer process of its own behind them
"""

from __future__ import annotations

import json
import signal
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from home_fixture import Home, Ran, brought_up, left_alone

from agent.app import template
from agent.app.readonly import read_book
from agent.app.settings import load
from agent.app.settings_tree import Settings
from agent.journal.book import Book
from chains.devnet.addresses import CHAINS
from chains.devnet.funding import set_feed_price
from chains.devnet.jsonrpc import Rpc
from contracts.codec import decode_result, encode
from keys.client import start_signer

POOL = "0x88e6A0c2dDD26FEEb64F039a2c41296FcB3f5640"
SCOPE: dict[str, Any] = {
    "chain": "ethereum",
    "per_day_usd": "60000",
    "burst_usd": "30000",
    "gas_float": "5",
    "pairs": [{"a": "WETH", "b": "USDC", "source": POOL}],
    "tokens": [
        {"symbol": "WETH", "allowance": "1000"},
        {"symbol": "USDC", "allowance": "1000000", "max_age_s": 86400, "feed_error_bps": 25},
    ],
    "reserves": [
        {"symbol": "WETH", "actions": ["supply", "repay"]},
        {"symbol": "USDC", "actions": ["repay"]},
    ],
}


def later(home: Home, seconds: int) -> None:
    """Chain 1's clock goes on, and its feeds speak again."""
    url = home.cheat_urls[1]
    with Rpc(url) as rpc:
        rpc("evm_increaseTime", seconds)
        rpc("evm_mine")
    for symbol, price in (("ETH", 3_000), ("USDC", 1)):
        set_feed_price(url, symbol, price * 10**8)


@dataclass
class AgentHome:
    """`settings_path` is the agent's: no owner signs there, and only chains are traded on. `owners_path`: the owners' own."""

    home: Home
    owners_path: Path
    settings_path: Path
    config: Path
    socket: Path
    signer: subprocess.Popen[bytes]
    before: Ran | None = None
    """What an unattended run was told before the owners had granted anything."""

    @property
    def settings(self) -> Settings:
        return load(self.settings_path)

    @property
    def ledger(self) -> list[dict[str, Any]]:
        path = Path(json.loads(self.config.read_text())["ledger"])
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def run(self, words: str, settings: Path | None = None, patience_s: float = 120) -> Ran:
        """What the owners' own settings send leaves by the same key as the agent's: each journal takes the other's nonces over."""
        by_owners = settings == self.owners_path and "--live" in words
        if by_owners:
            self.taken_over(self.owners_path)
        ran = self.home.run(words, settings or self.settings_path, patience_s)
        if by_owners:
            self.taken_over(self.settings_path)
        return ran

    def book(self) -> Book:
        return read_book(self.settings) or Book()

    @property
    def safe(self) -> str:
        return str(self.settings.wallet.address)

    @property
    def agent(self) -> str:
        assert self.settings.wallet.sender is not None
        return str(self.settings.wallet.sender.address)

    @property
    def road(self) -> dict[str, str]:
        """account, roles, gate, role: as the signer is told them."""
        told = json.loads(self.config.read_text())
        return next(dict(c["agent"]) for c in told["chains"] if c["chain_id"] == 1)

    def world(self) -> dict[str, int]:
        """What a referee reads off chain 1: balances, nonces, what the Gate may still take, and that it keeps nothing."""
        gate = self.road["gate"]
        found = {f"safe {s}": self.balance(s) for s in ("WETH", "USDC")}
        found |= {f"gate {s}": self.balance(s, gate) for s in ("WETH", "USDC")}
        for symbol, token in (("WETH", CHAINS[1].weth), ("USDC", CHAINS[1].usdc)):
            for name, spender in (("gate", gate), ("router", CHAINS[1].uniswap.universal_router)):
                for holder in (self.safe, gate):
                    who = "safe" if holder == self.safe else "gate"
                    key = f"{name} may take {symbol} of the {who}"
                    found[key] = int(self.read(token, "erc20", "allowance", holder, spender)[0])
        found["safe nonce"] = int(self.read(self.safe, "safe", "nonce")[0])
        with Rpc(self.home.urls[1]) as rpc:
            found["agent nonce"] = int(rpc("eth_getTransactionCount", self.agent, "latest"), 16)
            found["agent wei"] = int(rpc("eth_getBalance", self.agent, "latest"), 16)
        return found

    def variant(self, name: str, **changes: Any) -> Path:
        """The agent's settings with top-level keys changed, beside them."""
        values = tomllib.loads(self.settings_path.read_text()) | changes
        path = self.settings_path.with_name(f"{name}.toml")
        template.write(values, path, note="A variant.", replace=True)
        return path

    def scoped(self, name: str, **changes: Any) -> Path:
        return self.variant(name, scopes=[SCOPE | changes])

    def read(self, to: str, contract: str, function: str, *args: Any) -> tuple[Any, ...]:
        with Rpc(self.home.urls[1]) as rpc:
            call = {"to": to, "data": "0x" + encode(contract, function, args).hex()}
            return decode_result(contract, function, bytes.fromhex(rpc("eth_call", call, "latest")[2:]))

    def balance(self, symbol: str, of: str | None = None) -> int:
        token = CHAINS[1].weth if symbol == "WETH" else CHAINS[1].usdc
        return int(self.read(token, "erc20", "balanceOf", of or self.settings.wallet.address)[0])

    def owners_do(self, words: str) -> None:
        """Proposed, signed by two owners with the owners' settings, executed."""
        told = self.run(f"{words} --json", self.owners_path)
        assert told.status == 0, told.err + told.out
        file = told.json["file"]
        for owner in self.home.settings.wallet.owners[: self.home.settings.wallet.threshold]:
            signed = self.run(f"wallet sign {file} --as {owner.label} --json", self.owners_path)
            assert signed.status == 0, signed.err + signed.out
        done = self.run(
            f"wallet execute {file} --live --yes --max-loss 9000000 --json", self.owners_path, 180
        )
        assert done.status == 0, done.err + done.out

    def taken_over(self, settings: Path | None = None) -> None:
        """Another journal sent with the same key: what one does not know locks its chain until it is taken over. A daemon that runs has
        been let in before, and holds its journal."""
        path = settings or self.settings_path
        if load(path).journal.path.exists():
            self.home.run("reconcile --adopt --at-once", path)


def written(path: Path, values: dict[str, Any]) -> Path:
    template.write(values, path, note="Made for a test.", replace=True)
    return path


@contextmanager
def granted(home: Home, *, tried: bool = True, **scope: Any) -> Iterator[AgentHome]:
    """The scope granted as owners do it; then a world in which only the agent's key is at hand. `tried`: an unattended run before it is."""
    folder = home.settings_path.parent
    later(home, 3_600)
    values = tomllib.loads(home.settings_path.read_text()) | {"scopes": [SCOPE | scope]}
    owners_path = written(folder / "owners.toml", values)
    wallet = values["wallet"]
    bare = [{k: v for k, v in o.items() if k in ("address", "label")} for o in wallet["owners"]]
    journal = {
        "path": str(folder / "agent" / "journal.db"),
        "emergency_path": str(folder / "agent" / "emergency.bin"),
    }
    config, socket = folder / "agent-signer.json", folder / "agent.sock"
    agents = values | {
        "wallet": wallet | {"owners": bare},
        "venues": [venue | {"symbols": []} for venue in values["venues"]],
        "journal": journal,
        "signer": {"socket": str(socket), "config": str(config), "unattended": True},
        "alerts": {"file": str(folder / "agent" / "alerts.jsonl")},
    }
    settings_path = written(folder / "agent.toml", agents)
    told = json.loads((folder / "signer.json").read_text())
    for chain in told["chains"]:
        if chain["chain_id"] == 1 and scope.get("intents"):
            chain["agent"]["offers"] = True
    config.write_text(json.dumps(told | {"owners": [], "ledger": str(folder / "agent-ledger.jsonl")}))
    signer = start_signer(socket, config, folder / "agent-signer.log")
    made = AgentHome(home, owners_path, settings_path, config, socket, signer)
    try:
        made.before = made.run("run --live --yes --max-loss 20000") if tried else None
        made.owners_do("wallet scope --propose")
        yield made
    finally:
        signer.send_signal(signal.SIGTERM)
        signer.wait(20)


@pytest.fixture(scope="module")
def agent_home_of_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AgentHome]:
    with brought_up(tmp_path_factory) as home, granted(home) as made:
        taken = made.run("reconcile --adopt --at-once")  # the account is used by other journals, too
        assert taken.status == 0, taken.out + taken.err
        yield made


@pytest.fixture
def agent_home(agent_home_of_file: AgentHome) -> Iterator[AgentHome]:
    """Blocks are built again afterwards, and nothing that a test started is left running."""
    yield agent_home_of_file
    left_alone(agent_home_of_file.home)
