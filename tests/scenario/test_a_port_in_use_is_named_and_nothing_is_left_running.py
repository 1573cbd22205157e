"""Somebody else has the port, or the socket: one message with its number and the way out, exit 2, and nothing stays behind."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from home_fixture import ROOT, Home

from chains.anvil import Anvil
from chains.devnet import service, state

pytestmark = [pytest.mark.devnet, pytest.mark.timeout(120)]


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield int(listener.getsockname()[1])


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("FAIRLEAD_") or k == "FAIRLEAD_CACHE"}
    done = subprocess.run(
        [sys.executable, "-m", *argv], cwd=ROOT, env=kept, capture_output=True, text=True, timeout=60,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert "Traceback" not in done.stderr + done.stdout, done.stderr
    return done


def left(runtime: Path) -> list[str]:
    """Command lines of processes that work for a runtime folder: every one of ours names something in it."""
    shown = subprocess.run(["ps", "-A", "-ww", "-o", "args="], capture_output=True, text=True, check=True)
    return [line for line in shown.stdout.splitlines() if str(runtime) in line]


@pytest.mark.parametrize("name", ["anvil-1", "anvil-42161", "relay", "paper"])
def test_of_a_devnets_service(name: str, taken: int, tmp_path: Path) -> None:
    state.ensure()
    up = ("agent", "devnet", "up", "--fast", "--runtime", str(tmp_path), "--port", f"{name}={taken}")
    plain, told = run(*up), run(*up, "--json")
    assert (plain.returncode, told.returncode) == (2, 2), plain.stderr + told.stderr
    assert plain.stderr.count("error ") == 1
    assert f"error PORT_IN_USE: port {taken} of {name} is in use" in plain.stderr
    assert f"--port {name}=PORT" in plain.stderr
    error = json.loads(told.stdout)["error"]
    assert (error["code"], error["verb"]) == ("PORT_IN_USE", "USAGE") and str(taken) in error["message"]
    assert f"--port {name}=PORT" in error["hint"]
    assert service.status(runtime=tmp_path).services == () and left(tmp_path) == []


def test_a_devnet_that_runs_is_seen_by_the_same_eyes(home: Home) -> None:
    assert len(left(home.runtime)) >= 5, "what is left running would not be found"


def test_a_port_asked_for_nobody_is_no_silent_wish(tmp_path: Path) -> None:
    asked = run("agent", "devnet", "up", "--runtime", str(tmp_path), "--port", "relais=8545", "--json")
    error = json.loads(asked.stdout)["error"]
    assert (asked.returncode, error["code"]) == (2, "BAD_PORT") and "relais" in error["message"]
    assert "relay" in error["hint"] and left(tmp_path) == []


def test_of_the_paper_exchange_alone(taken: int) -> None:
    asked = run("agent.app.testvenue", "--port", str(taken))
    assert asked.returncode == 2 and asked.stdout == ""
    assert re.fullmatch(rf"paper exchange: port {taken} .*in use: .*--port\n", asked.stderr), asked.stderr


@pytest.mark.parametrize("option", ["--port", "--admin-port"])
async def test_of_the_relay_alone(option: str, taken: int) -> None:
    ports = {"--port": "0", "--admin-port": "0", option: str(taken)}
    words = [word for pair in ports.items() for word in pair]
    async with Anvil.running(["--chain-id", "1", "--no-mining", "--order", "fifo", "--quiet"]) as anvil:
        asked = run("chains.devnet.relay", "--upstream", anvil.url, *words)
    assert asked.returncode == 2 and asked.stdout == ""
    assert re.fullmatch(rf"relay: PORT_IN_USE: port {taken} .*in use .*{option}\)\n", asked.stderr), (
        asked.stderr
    )


def test_of_a_signer(home: Home, tmp_path: Path) -> None:
    """The one that answers goes on answering, and nothing of it is removed."""
    used = home.settings.signer.socket
    assert used is not None and home.settings.signer.config is not None
    config = json.loads(home.settings.signer.config.read_text())
    (tmp_path / "signer.json").write_text(json.dumps({**config, "ledger": str(tmp_path / "ledger.jsonl")}))
    (tmp_path / "signer.json").chmod(0o600)
    no_socket = tmp_path / "no-socket"
    no_socket.write_text("mine")
    before = home.run("signer status --json").json["pid"]
    for path, code, says in (
        (used, "SIGNER_RUNNING", f"a signer already answers at {used}"),
        (no_socket, "SOCKET_INVALID", f"{no_socket} exists and is not a socket"),
    ):
        asked = home.run(f"signer run --socket {path} --config {tmp_path / 'signer.json'}")
        assert asked.status == 2 and asked.out == ""
        assert asked.err.startswith(f"signer: {code}: {says} (") and asked.err.count("\n") == 1, asked.err
    own = home.run("signer run")
    assert (own.status, own.err.count("\n")) == (2, 1) and "LEDGER_IN_USE" in own.err, own.err
    assert no_socket.read_text() == "mine"
    assert home.run("signer status --json").json["pid"] == before
