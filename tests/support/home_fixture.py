"""A devnet as a person has it: relay, exchange, signer, a funded Safe and its settings; commands run as processes of their own.

home    one for each file of tests, so that what a file finds does not depend on which ran before it; a test leaves it with nothing
        working, the relay building and nothing halted
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from devnet_fixture import _built
from forked import Forked, Ran, fairlead

from agent.app.devnet_home import bring_up
from agent.app.readonly import read_book
from agent.app.settings import load
from agent.app.settings_tree import Settings
from agent.journal.book import Book
from chains.devnet import service
from chains.devnet.addresses import CHAINS
from chains.devnet.funding import give_eth, give_token
from chains.devnet.jsonrpc import Rpc
from chains.types import Address

PENDING = 16
"""Enough that chain 1's pools are needed, whatever earlier tests did to prices."""
WETH_RAW = 1_000 * 10**18

AGENT = [sys.executable, "-m", "agent"]
ROOT = Path(__file__).resolve().parents[2]


class Running:
    """A command at work, its output in files."""

    process: subprocess.Popen[bytes] | Forked

    def __init__(self, command: list[str], env: dict[str, str], folder: Path, *, anew: bool = False) -> None:
        """`anew`: `python -m agent` is really started, also where a fork of what has read the code would do the same."""
        stamp = time.time_ns()
        self._out, self._err = folder / f"{stamp}.out", folder / f"{stamp}.err"
        with self._out.open("w") as out, self._err.open("w") as err:
            if command[: len(AGENT)] == AGENT and not anew:
                self.process = Forked(command[len(AGENT) :], env, ROOT, out, err)
            else:
                self.process = subprocess.Popen(
                    command, env=env, cwd=ROOT, stdout=out, stderr=err, stdin=subprocess.DEVNULL
                )

    @property
    def err(self) -> str:
        return self._err.read_text()

    @property
    def out(self) -> str:
        return self._out.read_text()

    def says(self, text: str, patience_s: float = 30) -> None:
        try:
            wait_for(lambda: text in self.err or self.process.poll() is not None, patience_s)
        finally:
            assert text in self.err, self.err

    def end(self, number: int | None = None, patience_s: float = 60) -> Ran:
        if number is not None:
            self.process.send_signal(number)
        self.process.wait(patience_s)
        return Ran(self.process.returncode, self._out.read_text(), self.err)


def wait_for(happened: Callable[[], bool], patience_s: float = 30, said: Callable[[], str] = str) -> None:
    until = time.monotonic() + patience_s
    while time.monotonic() < until:
        if happened():
            return
        time.sleep(0.1)
    raise AssertionError(f"it did not happen in {patience_s} s\n{said()}")


HELD_S = 300
"""Longer than a signature lives: a process that died between the owners' signature and its record leaves the Safe's nonce held
until the deadline in its calldata, and the next run waits for that."""


@dataclass
class Home:
    runtime: Path
    settings_path: Path
    urls: dict[int, str]
    cheat_urls: dict[int, str]
    paper_url: str
    relay: Rpc
    folder: Path
    started: list[Running] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        return load(self.settings_path)

    def env(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("FAIRLEAD_") or k == "FAIRLEAD_CACHE"}
        return {**kept, "FAIRLEAD_SETTINGS": str(self.settings_path)}

    def command(self, words: str, settings: Path | None = None) -> list[str]:
        named = ["--settings", str(settings)] if settings else []
        return [*AGENT, *named, *words.split()]

    def run(self, words: str, settings: Path | None = None, patience_s: float = 90) -> Ran:
        argv = self.command(words, settings)[len(AGENT) :]
        done = fairlead(argv, self.env(), patience_s)
        assert "Traceback" not in done.err, done.err
        return done

    def start(self, words: str, settings: Path | None = None) -> Running:
        running = Running(self.command(words, settings), self.env(), self.folder)
        self.started.append(running)
        return running

    def wait_for(self, happened: Callable[[], bool], patience_s: float = 60) -> None:
        """As the function; where it does not happen it tells what every command at work has said."""
        wait_for(
            happened, patience_s, lambda: "\n".join(f"{r.process.args!r}:\n{r.err}" for r in self.started)
        )

    def book(self) -> Book:
        return read_book(self.settings) or Book()

    def orders(self) -> Any:
        return self.run("orders --json").json

    def receipt(self, tx_hash: str) -> Any:
        with Rpc(self.urls[1]) as rpc:
            return rpc("eth_getTransactionReceipt", tx_hash)

    def fund(self, chain_id: int, account: str) -> None:
        """A coin of the chain, out of nothing."""
        give_eth(self.cheat_urls[chain_id], account, 10**18)

    def pause(self) -> None:
        """No block of chain 1 is built until `go_on`: what is sent there waits."""
        self.relay("relay_pause")

    def go_on(self) -> None:
        self.relay("relay_resume")

    def wait_blocks(self, count: int) -> None:
        """Until chain 1 has built so many more."""
        with Rpc(self.urls[1]) as rpc:
            until = int(rpc("eth_blockNumber"), 16) + count
            wait_for(lambda: int(rpc("eth_blockNumber"), 16) >= until)

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """No chain builds a block within: no base fee moves. They go on afterwards, a block a second as before."""
        layer_twos = [url for chain_id, url in self.cheat_urls.items() if chain_id != 1]

        def every(seconds: int) -> None:
            for url in layer_twos:
                with Rpc(url) as rpc:
                    rpc("evm_setIntervalMining", seconds)

        self.pause()
        every(0)
        try:
            yield
        finally:
            every(1)
            self.go_on()

    def pending_trade(self, words: str = "") -> tuple[Running, dict[str, Any]]:
        """A trade whose transaction of chain 1 is signed, sent and waits; with its order as `orders` tells it."""
        self.pause()
        running = self.start(f"trade sell {PENDING} ETH --for USDC --live --yes --max-loss 900 {words}")
        running.says("handed to  flashbots")
        self.wait_for(
            lambda: "BROADCAST" in self._submissions()
        )  # its record follows what was said by a moment
        (order,) = self.orders()["orders"]
        return running, order

    def _submissions(self) -> set[str]:
        orders = self.orders()["orders"]
        return {str(p["submission"]) for o in orders for c in o["children"] for p in c["parts"]}


@contextmanager
def brought_up(tmp_path_factory: pytest.TempPathFactory, cow: bool = False) -> Iterator[Home]:
    """A home of one's own, for tests that would leave the session's with what others stumble over."""
    _built()
    runtime: Path = tmp_path_factory.mktemp("home")
    found = bring_up(runtime=runtime, fast=True, cow=cow, progress=lambda line: None)
    assert found.settings is not None
    admin = next(s.aliases["relay-admin"] for s in found.status.services if s.name == "relay")
    folder = tmp_path_factory.mktemp("output")
    for chain_id, url in found.status.cheat_urls.items():
        give_token(url, CHAINS[chain_id].weth, Address(load(found.settings).wallet.address), WETH_RAW)
    try:
        with Rpc(admin) as relay:
            yield Home(
                runtime,
                found.settings,
                dict(found.status.urls),
                dict(found.status.cheat_urls),
                next(s.url for s in found.status.services if s.name == "paper"),
                relay,
                folder,
            )
    finally:
        service.down(runtime=runtime)


@pytest.fixture(scope="module")
def home_of_file(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with brought_up(tmp_path_factory) as home:
        yield home


@pytest.fixture
def home(home_of_file: Home) -> Iterator[Home]:
    yield home_of_file
    left_alone(home_of_file)
    home_of_file.run("resume")
    home_of_file.run("run --once", patience_s=HELD_S)


def left_alone(home: Home) -> None:
    """Blocks are built, and what a test started has ended."""
    home.go_on()
    for running in home.started:
        if running.process.poll() is None:
            running.end(signal.SIGKILL)
    home.started.clear()


@contextmanager
def another_machine(home: Home, folder: Path, *, own_signer: bool = True) -> Iterator[Path]:
    """Settings of a second machine with the same keys: a journal of its own and, where it is to sign, a signer with a ledger of
    its own."""
    made = folder / f"machine-{time.time_ns()}"
    made.mkdir()
    kept = home.settings
    text = home.settings_path.read_text()
    for old, new in (
        (str(kept.journal.path), str(made / "journal.db")),
        (str(kept.journal.emergency_path), str(made / "emergency.bin")),
        (str(kept.alerts.file), str(made / "alerts.jsonl")),
    ):
        assert old in text
        text = text.replace(old, new)
    settings = made / "fairlead.toml"
    if not own_signer:
        settings.write_text(text)
        yield settings
        return
    config = json.loads((home.settings_path.parent / "signer.json").read_text())
    config["ledger"] = str(made / "spend-ledger.jsonl")
    (made / "signer.json").write_text(json.dumps(config))
    (made / "signer.json").chmod(0o600)
    socket = made / "s.sock" if len(str(made)) < 90 else Path(f"/tmp/fairlead-{time.time_ns()}.sock")
    settings.write_text(text.replace(str(kept.signer.socket), str(socket)))
    command = ["-m", "keys.signer", "--socket", str(socket), "--config", str(made / "signer.json")]
    signer = subprocess.Popen([sys.executable, *command], cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        wait_for(socket.exists)
        yield settings
    finally:
        signer.terminate()
        signer.wait(timeout=30)
        socket.unlink(missing_ok=True)
