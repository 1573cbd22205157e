"""No key, password or secret URL is anywhere but where it is kept: a whole run is searched for all of them.

Traded, quoted, lent, rehearsed, refused and failed; then every file of every home, every output, every error, and what each
process of the run showed of its command line and environment. The search itself is shown to find what is planted.
"""

from __future__ import annotations

import copy
import json
import os
import pickle
import re
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import tomllib
import traceback
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from home_fixture import ROOT, Home, Running
from leak_search import Leak, Search, Watch

from agent.app import template
from agent.app.endpoints import resolve_endpoint
from chains.devnet import service
from chains.errors import FairleadError
from chains.rpc import Rpc
from keys import keystore_v3
from keys.secrets import resolve

linux = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux shows processes under /proc as they run"
)
RPC_VARIABLE, PREFIXED = "RPC_URL_WITH_KEY", "FAIRLEAD_RPC_URL_WITH_KEY"


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def private(path: Path, text: str) -> str:
    path.write_text(text)
    path.chmod(0o600)
    return f"file:{path}"


def secrets_of(home: Path, name: str) -> tuple[dict[str, bytes], set[tuple[str, str]]]:
    """Everything that a home keeps secret, and the files that keep it."""
    password, exchange = home / "password", home / "exchange-secret"
    found = {f"{name} password": password.read_bytes(), f"{name} exchange secret": exchange.read_bytes()}
    for path in sorted((home / "keystore").iterdir()):
        key = keystore_v3.decrypt(keystore_v3.read(path), resolve(f"file:{password}"))
        found[f"{name} key {path.name.split('--')[1]}"] = key
    kept = {(f"{name} password", str(password)), (f"{name} exchange secret", str(exchange))}
    return found, kept


@dataclass
class Story:
    """One run over everything, its outputs, and what it must not have told."""

    home: Home
    folder: Path
    secrets: dict[str, bytes]
    kept: set[tuple[str, str]]
    outputs: list[tuple[str, bytes]] = field(default_factory=list)

    @property
    def env(self) -> dict[str, str]:
        url = f"{self.home.urls[42161]}/?key={self.secrets['rpc key in a variable'].decode()}"
        return {**self.home.env(), RPC_VARIABLE: url, PREFIXED: url}

    def run(self, words: str, settings: Path, *expected: int) -> str:
        done = subprocess.run(
            self.home.command(words, settings), env=self.env, cwd=ROOT, capture_output=True, timeout=300,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        self.outputs += [(f"stdout of {words}", done.stdout), (f"stderr of {words}", done.stderr)]
        assert done.returncode in expected, (
            f"{words}: {done.returncode}\n{done.stdout!r}\n{done.stderr[-1500:]!r}"
        )
        return done.stdout.decode()

    def settings(self, name: str, change: Callable[[dict[str, Any]], None]) -> Path:
        values = tomllib.loads(self.home.settings_path.read_text())
        change(values)
        path = self.folder / f"{name}.toml"
        template.write(values, path, note="Changed.", replace=True)
        return path


@pytest.fixture
def story(home: Home, tmp_path: Path) -> Iterator[Story]:
    found, kept = secrets_of(home.runtime / "home", "devnet")
    for name in (
        "rpc key in a file",
        "rpc key in a variable",
        "dead rpc key",
        "webhook key",
        "wrong password",
    ):
        found[name] = secrets.token_urlsafe(24).encode()
    folder = tmp_path / "settings"
    folder.mkdir()
    for name, file in (
        ("rpc key in a file", "rpc"), ("dead rpc key", "dead"), ("webhook key", "webhook"), ("wrong password", "wrong"),
    ):  # fmt: skip
        kept.add((name, str(folder / file)))
    yield Story(home, folder, found, kept)
    service.down(runtime=tmp_path / "fork")


def secret_endpoints(story: Story) -> Callable[[dict[str, Any]], None]:
    """Two chains behind URLs with keys, one of a file and one of a variable; a webhook that nobody answers at."""

    def change(values: dict[str, Any]) -> None:
        key = story.secrets["rpc key in a file"].decode()
        url = story.home.urls[8453]
        for chain in values["chains"]:
            if chain["chain_id"] == 8453:
                chain["rpc"] = [private(story.folder / "rpc", f"{url}/?key={key}")]
            elif chain["chain_id"] == 42161:
                chain["rpc"] = [f"env:{RPC_VARIABLE}"]
        hook = f"http://127.0.0.1:{closed_port()}/hooks/{story.secrets['webhook key'].decode()}"
        values["alerts"]["webhook"] = private(story.folder / "webhook", hook)

    return change


def dead_endpoint(story: Story) -> Callable[[dict[str, Any]], None]:
    def change(values: dict[str, Any]) -> None:
        secret_endpoints(story)(values)
        dead = f"http://127.0.0.1:{closed_port()}/v2/{story.secrets['dead rpc key'].decode()}"
        for chain in values["chains"]:
            if chain["chain_id"] == 8453:
                chain["rpc"] = [private(story.folder / "dead", dead)]

    return change


def attended(story: Story, password: str | None = None) -> Callable[[dict[str, Any]], None]:
    def change(values: dict[str, Any]) -> None:
        secret_endpoints(story)(values)
        values["signer"]["unattended"] = False
        for owner in values["wallet"]["owners"]:
            if password is not None:
                owner["password"] = password
        for venue in values["venues"]:
            venue["symbols"] = []
        for chain in values["chains"]:
            if chain["chain_id"] != 1:
                chain["pools"] = []

    return change


def tell_all(story: Story, fork: Path) -> None:
    """The whole run."""
    plain = story.settings("secret", secret_endpoints(story))
    dead = story.settings("dead-rpc", dead_endpoint(story))
    by_owners = story.settings("owners", attended(story))
    wrong = private(story.folder / "wrong", story.secrets["wrong password"].decode())
    refused = story.settings("refused", attended(story, wrong))

    daemon = Running(
        story.home.command("run --live --yes --max-loss 900", plain), story.env, story.home.folder, anew=True
    )
    story.home.started.append(daemon)
    daemon.says("inbox open")
    sell = "trade sell 16 ETH --for USDC --live --yes --max-loss 900"
    story.run(f"{sell} --json", plain, 0)
    story.run("halt because", plain, 0)
    story.run("resume", plain, 0)
    assert (story.home.runtime / "home" / "journal.db-wal").stat().st_size > 0, "there is no log to search"
    assert_clean(story, "while it runs")
    ended = daemon.end(signal.SIGTERM)
    story.outputs += [("stdout of run", ended.out.encode()), ("stderr of run", ended.err.encode())]

    story.run("quote sell 25 ETH --for USDC", plain, 0)
    story.run("trade sell 0.5 ETH --for USDC --live --yes --max-loss 900", by_owners, 0)
    for shape in ("", " --json"):
        story.run(f"trade sell 0.5 ETH --for USDC --live --yes --max-loss 900{shape}", refused, 3)
        story.run(f"doctor{shape}", plain, 0)
        story.run(f"doctor{shape}", dead, 3, 4)
        story.run(f"quote sell 1 ETH --for USDC{shape}", dead, 0)
    story.run("lend supply 0.1 ETH --live --yes --max-loss 100", plain, 0)
    story.run("lend withdraw 0.05 ETH --live --yes --max-loss 100", plain, 0)
    for words in (
        "positions", "health", "wallet show", "orders --all --json", "journal show", "journal export", "journal verify",
        "journal replay", "signer status", "config check", "config explain", "halt because", "resume", "reconcile", "run --once",
    ):  # fmt: skip
        story.run(words, plain, 0, 4)

    told_wrongly(story)

    story.run(f"fork --rpc env:{PREFIXED} --runtime {fork} --json", plain, 0)
    rehearsal = fork / "home" / "fairlead.toml"
    story.run("quote sell 1 ETH --for USDC", rehearsal, 0)
    story.run("trade sell 1 ETH --for USDC --live --yes --max-loss 900", rehearsal, 0)
    story.run("panic --yes", rehearsal, 0, 5)
    found, kept = secrets_of(fork / "home", "fork")
    story.secrets |= found
    story.kept |= kept


def told_wrongly(story: Story) -> None:
    """The secret itself where its reference belongs: the error must not repeat it."""
    text = story.home.settings_path.read_text()
    reference = re.search(r'"(file:[^"]*/home/password)"', text)
    assert reference is not None
    value = story.secrets["devnet password"].decode()
    pasted = story.folder / "pasted.toml"
    pasted.write_text(text.replace(reference[1], value))
    story.kept.add(("devnet password", str(pasted)))
    for words in ("config check", "config check --json", "quote sell 1 ETH --for USDC", "doctor"):
        story.run(words, pasted, 2)


def assert_clean(story: Story, when: str) -> Search:
    search = Search(story.secrets, story.kept)
    found = search.look_at_files(story.home.runtime, story.folder.parent)
    for name, output in story.outputs:
        found += search.look(name, output)
    assert found == [], when
    return search


@pytest.mark.full
@linux
@pytest.mark.devnet
@pytest.mark.timeout(290)
def test_a_whole_run_tells_no_secret(story: Story, tmp_path: Path) -> None:
    fork = tmp_path / "fork"
    with Watch() as watch:
        watch.look()
        tell_all(story, fork)
        limits = {
            s.name: Path(f"/proc/{s.pid}/limits").read_text() for s in running(story.home.runtime, fork)
        }
    service.down(runtime=fork)
    for name, text in limits.items():
        if name.startswith("signer"):
            assert re.search(r"Max core file size +0 +0 ", text), f"{name} could leave a core file"
    assert {"signer 0", "signer 1"} <= set(limits)

    search = assert_clean(story, "afterwards")
    names = {Path(name).name for name in search.looked_at}
    assert {
        "journal.db",
        "emergency.bin",
        "spend-ledger.jsonl",
        "alerts.jsonl",
        "fairlead.toml",
        "signer.json",
    } <= names
    assert {"signer.log", "relay.log", "upstream.log", "paper.log"} <= names

    leaks = what_processes_showed(story, search, watch)
    assert sorted({leak.where[:150] for leak in leaks}) == []
    for program in (
        "keys.signer",
        "keys.owner_sign",
        "chains.devnet.upstream",
        "agent.app.testvenue",
        "--fork-url",
    ):
        assert watch.ran(program), f"{program} was never seen running"


def running(*runtimes: Path) -> Iterator[Any]:
    """The services of each runtime folder, their names with the folder's place in the list."""
    for place, runtime in enumerate(runtimes):
        for found in service.status(runtime=runtime).services:
            yield type(found)(**{**as_fields(found), "name": f"{found.name} {place}"})


def as_fields(found: Any) -> dict[str, Any]:
    return {name: getattr(found, name) for name in found.__slots__}


def what_processes_showed(story: Story, search: Search, watch: Watch) -> list[Leak]:
    """A command that was started with a secret in a variable has it there; nothing it starts may."""
    found = []
    for process in watch.seen.values():
        line = process.cmdline.replace(b"\0", b" ").decode(errors="replace")
        found += search.look(f"command line of {line}", process.cmdline)
        environ = process.environ
        if " -m agent " in line:
            names = (RPC_VARIABLE.encode(), PREFIXED.encode())
            environ = b"\0".join(v for v in environ.split(b"\0") if v.partition(b"=")[0] not in names)
        found += search.look(f"environment of {line}", environ)
        if process.hidden:
            assert "keys." in line, f"{line} could not be looked at"
    return found


# ---------------------------------------------------------------------- errors as objects


async def failures(tmp_path: Path, value: bytes) -> list[BaseException]:
    """Everything that is given a secret and fails."""
    text = value.decode()
    key = secrets.token_bytes(32)
    path = tmp_path / "key.json"
    path.write_text(json.dumps(keystore_v3.encrypt(key, resolve(private(tmp_path / "right", "right")), 4096)))
    wrong = private(tmp_path / "given", text)
    found: list[BaseException] = []

    async def ask_dead() -> None:
        async with aiohttp.ClientSession() as session:
            url = private(tmp_path / "url", f"http://u:{text}@127.0.0.1:{closed_port()}/{text}?k={text}")
            await Rpc(resolve_endpoint(url), session).call("eth_chainId", [])

    def at_once(work: Callable[[], object]) -> None:
        try:
            work()
        except (FairleadError, TypeError) as error:
            found.append(error)

    at_once(lambda: keystore_v3.decrypt(keystore_v3.read(path), resolve(wrong)))
    at_once(lambda: resolve(text))
    at_once(lambda: resolve(f"nothing:{text}"))
    at_once(lambda: resolve(f"cmd:/bin/false {text}"))
    at_once(lambda: resolve(f"keystore:{path}?{wrong}"))
    at_once(lambda: resolve_endpoint(private(tmp_path / "odd", f"ftp://{text}")))
    at_once(lambda: resolve_endpoint(f"http://host:{text}/"))
    at_once(lambda: pickle.dumps(resolve(wrong)))
    try:
        await ask_dead()
    except FairleadError as error:
        found.append(error)
    return found


async def test_no_error_carries_what_it_was_about(tmp_path: Path) -> None:
    value = secrets.token_urlsafe(24).encode()
    found = await failures(tmp_path, value)
    assert len(found) == 9, [str(error) for error in found]
    search = Search({"value": value})
    for error in found:
        chain: BaseException | None = error
        while chain is not None:
            for shown in (str(chain), repr(chain), repr(chain.args), repr(getattr(chain, "__dict__", ""))):
                assert search.look(type(error).__name__, shown.encode()) == [], shown
            chain = chain.__cause__ or (None if chain.__suppress_context__ else chain.__context__)
        lines = [line for line in traceback.format_exception(error) if not line.startswith("  File")]
        assert search.look("traceback", "".join(lines).encode()) == []


def test_a_secret_shows_itself_in_no_way_but_the_one_that_is_named(tmp_path: Path) -> None:
    value = secrets.token_urlsafe(24).encode()
    secret = resolve(private(tmp_path / "given", value.decode()))
    search = Search({"value": value})
    shown = [str(secret), repr(secret), f"{secret}", f"{secret!r:>90}", repr([secret]), repr({"a": secret})]
    assert search.look("shown", "\n".join(shown).encode()) == []
    assert search.look("revealed", secret.reveal()) != []
    for copied in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError):
            copied(secret)


def test_hashing_and_opening_a_keystore_start_no_program(tmp_path: Path) -> None:
    """A library asks the system's `file` about this machine, with this process's environment: here that would leave a mark."""
    programs, mark = tmp_path / "bin", tmp_path / "started"
    programs.mkdir()
    (programs / "file").write_text(f"#!/bin/sh\necho started >> {mark}\n")
    (programs / "file").chmod(0o755)
    path = f"{programs}:{os.environ['PATH']}"
    work = (
        "from keys import keystore_v3; from keys.secrets import Secret; from contracts.hashing import keccak;"
        "keystore_v3.encrypt(bytes(31) + bytes([1]), Secret(b'x'), 4096); keccak(b'')"
    )
    subprocess.run([sys.executable, "-c", work], cwd=ROOT, env={**os.environ, "PATH": path}, check=True)
    assert not mark.exists()
    asked = "import platform; platform.architecture()"
    subprocess.run([sys.executable, "-c", asked], env={**os.environ, "PATH": path}, check=True)
    assert mark.exists(), "it would not have been noticed"


# ---------------------------------------------------------------------- the search finds what is planted


KEY = secrets.token_bytes(32)
PLANTS: dict[str, bytes] = {
    "raw": b"\0" + KEY,
    "hex": b"0x" + KEY.hex().encode(),
    "upper hex": KEY.hex().upper().encode(),
    "half of it": KEY.hex().encode()[:34],
    "base64": b64encode(KEY),
    "base64 of a pair": b64encode(b"user:" + KEY),
    "base64 of another pair": b64encode(b"owner:" + KEY + b"!"),
    "a number": json.dumps({"d": int.from_bytes(KEY, "big")}).encode(),
    "a list": json.dumps(list(KEY)).encode(),
    "a repr": repr({"key": KEY}).encode(),
    "utf-16": KEY.decode("latin-1").encode("utf-16-le"),
}


@pytest.mark.parametrize("form", PLANTS)
def test_the_search_finds_every_form(form: str, tmp_path: Path) -> None:
    search = Search({"key": KEY}, {("key", str(tmp_path / "kept"))})
    for name in ("leaked", "kept"):
        (tmp_path / name).write_bytes(b"some words before " + PLANTS[form] + b" and after")
    found = search.look_at_files(tmp_path)
    assert found and {leak.where for leak in found} == {str(tmp_path / "leaked")}
    assert Search({"other": secrets.token_bytes(32)}).look_at_files(tmp_path) == []


def test_the_search_finds_it_in_the_pieces_and_the_log_of_a_database(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "a.db")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("CREATE TABLE entries (payload BLOB)")
    long = bytearray(secrets.token_bytes(20_000))
    for at in range(0, len(long) - 64, 4091):  # a page holds 4096 bytes: some of these lie across two
        long[at : at + 64] = KEY.hex().encode()
    db.execute("INSERT INTO entries VALUES (?)", (bytes(long),))
    db.commit()
    found = Search({"key": KEY}).look_at_files(tmp_path)
    assert {Path(leak.where).name for leak in found} >= {"a.db-wal"}
    db.execute("DELETE FROM entries")
    db.execute("INSERT INTO entries VALUES (?)", (b"x" * 4_040 + KEY.hex().encode() + b"y" * 90,))
    db.commit()
    db.close()
    assert {Path(leak.where).name for leak in Search({"key": KEY}).look_at_files(tmp_path)} == {"a.db"}


@linux
def test_the_watch_finds_it_in_a_command_line_and_in_an_environment(tmp_path: Path) -> None:
    text = secrets.token_urlsafe(24)
    quick = "import time; time.sleep(0.4)"
    outer = (
        "import os, subprocess, sys; env = dict(os.environ, PLANTED=sys.stdin.read());"
        f"subprocess.run([sys.executable, '-c', '{quick}', 'grandchild'], env=env)"
    )
    with Watch() as watch:
        subprocess.run([sys.executable, "-c", quick, f"--password={text}"], check=True)
        subprocess.run([sys.executable, "-c", outer], input=text, text=True, check=True)
        time.sleep(0.1)
    search = Search({"text": text.encode()})
    lines = [p for p in watch.seen.values() if search.look("line", p.cmdline)]
    variables = [p for p in watch.seen.values() if search.look("environment", p.environ)]
    assert [b"--password" in p.cmdline for p in lines] == [True]
    assert [p.cmdline.endswith(b"grandchild\0") for p in variables] == [True]
    assert os.getpid() not in {p.pid for p in watch.seen.values()}
