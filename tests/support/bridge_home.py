"""The session's trading home with a bridge: genuine SpokePools on chains 1 and 8453, a signer whose settings name the ways between them,
a journal of its own, and a relayer that looks only when a test tells it to, or while `relaying`.

bridge_home    one for each file of tests
"""

from __future__ import annotations

import json
import signal
import threading
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from forked import Ran, fairlead
from home_fixture import AGENT, Running
from trading_home import TradingHome

from agent.app import template
from agent.app.devnet_signer import bridge_ways
from agent.app.readonly import read_book
from agent.app.settings import load
from agent.journal.book import Book
from chains.bridges.across import SPOKE_POOLS
from chains.devnet.across_relayer import Relayer
from chains.devnet.addresses import CHAINS
from chains.devnet.builder import Builder
from chains.devnet.deploy import across
from chains.devnet.funding import give_token, set_feed_price
from chains.devnet.jsonrpc import Rpc
from chains.profiles.ethereum import CHAIN
from contracts.codec import decode_result, encode
from keys.client import start_signer


@dataclass
class BridgeHome:
    home: TradingHome
    settings_path: Path
    folder: Path
    relayer: Relayer
    started: list[Running] = field(default_factory=list)

    @property
    def env(self) -> dict[str, str]:
        return {**self.home.env, "FAIRLEAD_SETTINGS": str(self.settings_path)}

    def run(self, words: str, settings: Path | None = None) -> Ran:
        named = ["--settings", str(settings)] if settings else []
        done = fairlead([*named, *words.split()], self.env, 120)
        assert "Traceback" not in done.err, done.err
        return done

    def start(self, words: str, settings: Path | None = None) -> Running:
        named = ["--settings", str(settings)] if settings else []
        running = Running([*AGENT, *named, *words.split()], self.env, self.folder)
        self.started.append(running)
        return running

    def variant(self, name: str, **changes: Any) -> Path:
        values = tomllib.loads(self.settings_path.read_text()) | changes
        path = self.settings_path.with_name(f"{name}.toml")
        template.write(values, path, note="A variant.", replace=True)
        return path

    def book(self) -> Book:
        return read_book(load(self.settings_path)) or Book()

    def balance(self, chain: int, symbol: str) -> int:
        return self.home.balance_raw(chain, symbol)

    def deposits(self, chain: int) -> int:
        """How many the chain's SpokePool has taken."""
        with Rpc(self.home.urls[chain]) as rpc:
            call = {"to": SPOKE_POOLS[chain], "data": "0xa1244c67"}  # numberOfDeposits()
            return int(rpc("eth_call", call, "latest"), 16)

    def later(self, chain: int, seconds: int) -> None:
        """That chain's clock goes on, and enough blocks are built that it is final."""
        with Rpc(self.home.cheat_urls[chain]) as rpc:
            rpc("evm_increaseTime", seconds)
            for _ in range(4):
                rpc("evm_mine")

    def level(self) -> None:
        """Both chains' clocks say the same again: a deadline is made by one and kept by the other, and other tests of the session move one."""
        now = {}
        for chain in across.NAMES:
            with Rpc(self.home.cheat_urls[chain]) as rpc:
                rpc("evm_mine")
                now[chain] = int(rpc("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
        for chain, told in now.items():
            if told < max(now.values()):
                self.later(chain, max(now.values()) - told)

    def give(self, symbol: str, chain: int, raw: int) -> None:
        give_token(self.home.cheat_urls[chain], self.home.token(chain, symbol), self.home.safe, raw)

    def as_safe(self, *calls: tuple[str, bytes]) -> None:
        """The Safe calls on chain 1 without anybody's signature: a devnet's cheat."""
        with Rpc(self.home.cheat_urls[1]) as rpc:
            wei = rpc("eth_getBalance", self.home.safe, "latest")
            base = int(rpc("eth_getBlockByNumber", "latest", False)["baseFeePerGas"], 16)
            builder = Builder(rpc, CHAINS[1], base * 3 // 2 + 1)
            builder.fund(self.home.safe)
            for to, data in calls:
                builder.send(to, data, sender=self.home.safe)
            rpc("anvil_setBalance", self.home.safe, wei)

    def eth_at(self, usd: int) -> None:
        set_feed_price(self.home.cheat_urls[1], "ETH", usd * 10**8)

    def factor(self) -> int:
        """The pool's own health factor of the wallet on chain 1, in 1e18."""
        assert CHAIN.aave is not None
        data = encode("aave_v3_pool", "getUserAccountData", (self.home.safe,))
        with Rpc(self.home.urls[1]) as rpc:
            told = rpc("eth_call", {"to": CHAIN.aave.pool, "data": "0x" + data.hex()}, "latest")
        return int(decode_result("aave_v3_pool", "getUserAccountData", bytes.fromhex(told[2:]))[5])

    @contextmanager
    def relaying(self) -> Iterator[None]:
        """The relayer at work beside what is run within."""
        stop = threading.Event()

        def work() -> None:
            while not stop.wait(0.2):
                self.relayer.step()

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


@pytest.fixture(scope="module")
def bridge_home_of_file(
    trading_home: TradingHome, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[BridgeHome]:
    urls = {chain: trading_home.cheat_urls[chain] for chain in across.NAMES}
    for chain, url in urls.items():
        with Rpc(url) as rpc:
            across.ensure(rpc, chain, tuple(urls))
    folder = trading_home.settings_path.parent / f"bridge-{time.time_ns()}"
    folder.mkdir()
    told = json.loads((trading_home.settings_path.parent / "signer.json").read_text())
    for chain in told["chains"]:
        chain |= bridge_ways(chain["chain_id"], list(urls), chain["safe"])
        if chain["chain_id"] in urls:
            pool = SPOKE_POOLS[chain["chain_id"]]
            chain["contracts"][pool] = "across_spoke_pool"
            chain["spenders"].append(pool)
    config, socket = folder / "signer.json", folder / "s.sock"
    config.write_text(json.dumps(told | {"ledger": str(folder / "ledger.jsonl")}))
    if len(str(socket)) > 90:
        socket = Path(f"/tmp/fairlead-{time.time_ns()}.sock")
    values = tomllib.loads(trading_home.settings_path.read_text()) | {
        "journal": {"path": str(folder / "journal.db"), "emergency_path": str(folder / "emergency.bin")},
        "signer": {"socket": str(socket), "config": str(config), "unattended": True},
        "alerts": {"file": str(folder / "alerts.jsonl")},
    }
    settings_path = folder / "fairlead.toml"
    template.write(values, settings_path, note="Made for a test.", replace=True)
    signer = start_signer(socket, config, folder / "signer.log")
    relayer = Relayer(urls)
    relayer.step()
    made = BridgeHome(trading_home, settings_path, folder, relayer)
    made.level()
    try:
        taken = made.run("reconcile --adopt --at-once")  # the account is used by other journals, too
        assert taken.status == 0, taken.out + taken.err
        yield made
    finally:
        signer.send_signal(signal.SIGTERM)
        signer.wait(20)
        socket.unlink(missing_ok=True)


@pytest.fixture
def bridge_home(bridge_home_of_file: BridgeHome) -> Iterator[BridgeHome]:
    """Nothing that a test started is left running."""
    bridge_home_of_file.level()
    yield bridge_home_of_file
    for running in bridge_home_of_file.started:
        if running.process.poll() is None:
            running.end(signal.SIGKILL)
    bridge_home_of_file.started.clear()
