"""The `keys` and `signer` commands as somebody types them: one clear message for each mistake, never a traceback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import custody as c
import pytest

from chains.types import Environment
from keys import keystore_v3
from keys.local_keystore import LocalKeystore
from keys.secrets import Secret


def fairlead(*argv: str, home: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "FAIRLEAD_HOME": str(home)}
    return subprocess.run(
        [sys.executable, "-m", "agent", *argv],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment,
        start_new_session=True,
    )


def error(done: subprocess.CompletedProcess[str]) -> str:
    assert "Traceback" not in done.stderr
    return str(json.loads(done.stdout)["error"]["code"])


@pytest.fixture
def password(tmp_path: Path) -> str:
    path = tmp_path / "password"
    path.write_text("correct horse\n")
    path.chmod(0o600)
    return f"file:{path}"


def test_a_key_is_made_listed_and_imported(tmp_path: Path, password: str) -> None:
    made = fairlead(
        "keys",
        "new",
        "agent",
        "--environment",
        "devnet",
        "--light",
        "--password",
        password,
        "--json",
        home=tmp_path,
    )
    assert made.returncode == 0, made.stderr
    key = json.loads(made.stdout)
    listed = json.loads(fairlead("keys", "list", "--json", home=tmp_path).stdout)
    assert [k["address"] for k in listed["keys"]] == [key["address"]]
    foreign = tmp_path / "UTC--foreign"
    foreign.write_text(json.dumps(keystore_v3.encrypt(c.keccak(b"agent"), Secret(b"correct horse"), n=4)))
    taken = fairlead(
        "keys",
        "import",
        str(foreign),
        "--name",
        "other",
        "--environment",
        "live",
        "--password",
        password,
        "--json",
        home=tmp_path,
    )
    assert json.loads(taken.stdout)["address"] == c.AGENT.address
    assert "other" in fairlead("keys", "list", home=tmp_path).stdout


def test_mistakes_have_their_message(tmp_path: Path, password: str) -> None:
    new = ("keys", "new", "a", "--environment", "devnet", "--light", "--json")
    assert error(fairlead(*new, home=tmp_path)) == "NO_TERMINAL"
    assert error(fairlead(*new, "--password", "hunter2", home=tmp_path)) == "SECRET_REFERENCE_INVALID"
    assert (
        error(fairlead("keys", "new", "A b", *new[3:], "--password", password, home=tmp_path))
        == "KEY_NAME_INVALID"
    )
    assert error(fairlead("keys", "import", "--name", "x", *new[3:], home=tmp_path)) == "BAD_USAGE"
    light = ("keys", "new", "a", "--environment", "live", "--light", "--password", password, "--json")
    assert error(fairlead(*light, home=tmp_path)) == "LIGHT_LIVE_KEY"
    assert fairlead(*new, "--password", password, home=tmp_path).returncode == 0
    assert error(fairlead(*new, "--password", password, home=tmp_path)) == "KEY_EXISTS"
    raw = tmp_path / "raw"
    raw.write_text("zz")
    raw.chmod(0o600)
    taken = (
        "keys",
        "import",
        "--secret",
        f"file:{raw}",
        "--name",
        "x",
        "--environment",
        "devnet",
        "--password",
        password,
        "--json",
    )
    assert error(fairlead(*taken, home=tmp_path)) == "BAD_PRIVATE_KEY"
    store = LocalKeystore(tmp_path / "config" / "keystore")
    assert [k.environment for k in store.list()] == [Environment.DEVNET]


def test_nobody_answers_when_no_signer_runs(tmp_path: Path) -> None:
    done = fairlead("signer", "status", "--socket", str(tmp_path / "none.sock"), "--json", home=tmp_path)
    assert error(done) == "SIGNER_UNREACHABLE" and done.returncode == 4


def test_the_signer_runs_in_the_foreground(tmp_path: Path) -> None:
    config = c.signer_files(tmp_path)
    socket = tmp_path / "s.sock"
    argv = [sys.executable, "-m", "agent", "signer", "run", "--socket", str(socket), "--config", str(config)]
    environment = {**os.environ, "FAIRLEAD_SURPLUS_SECRET": "surplus-value"}
    with subprocess.Popen(argv, stderr=subprocess.PIPE, env=environment, start_new_session=True) as running:
        assert running.stderr is not None
        assert b"ready" in running.stderr.readline()
        done = fairlead("signer", "status", "--socket", str(socket), "--json", home=tmp_path)
        facts = json.loads(done.stdout)
        assert facts["pid"] == running.pid and facts["owners"] and all(facts["owners"].values())
        if sys.platform == "linux" and os.geteuid() == 0:
            assert b"surplus-value" not in Path(f"/proc/{running.pid}/environ").read_bytes()
        running.send_signal(signal.SIGINT)
        assert running.wait(10) == 0
