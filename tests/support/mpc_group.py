"""A key in three shares, each in a process of its own: the real `keys.mpc_share`, with an engine and a holder that have their bad days."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chains.types import Environment
from keys import mpc_vault
from keys.mpc import Coordinator, coordinator_of
from keys.noise import public_of
from keys.secrets import Secret

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PASSWORD = "the password of a share"
ANYTHING: dict[str, Any] = {"messages": True, "typed_hashes": True, "ceremonies": True}


@dataclass
class Shares:
    """`mood` is the engine's, `holder` that of who approves; `configs` may be changed before a share is started again."""

    folder: Path
    configs: list[dict[str, Any]]
    processes: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)
    timeout_s: float = 10.0

    @property
    def mood(self) -> Path:
        return self.folder / "mood"

    @property
    def holder(self) -> Path:
        return self.folder / "holder"

    @property
    def options(self) -> dict[str, str]:
        return {"group": str(self.folder / "group.json"), "identity": f"file:{self.folder / 'coordinator'}"}

    def shown(self) -> list[dict[str, Any]]:
        """What holders were shown, in order."""
        log = self.folder / "approvals"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []

    def coordinator(self, environment: Environment = Environment.DEVNET) -> Coordinator:
        return coordinator_of(self.options, environment, self.timeout_s)

    def vault(self, party: int) -> mpc_vault.Vault:
        return mpc_vault.unlock(self.folder / f"share-{party}", Secret(PASSWORD.encode()))

    def start(self, party: int, wait: bool = True) -> None:
        config, log = self.folder / f"share-{party}.json", self.folder / f"share-{party}.log"
        config.write_text(json.dumps(self.configs[party]))
        with log.open("ab") as out:
            self.processes[party] = subprocess.Popen(
                [sys.executable, "-m", "keys.mpc_share", "--config", str(config)],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stderr=out,
            )
        if wait:
            self.wait(party)

    def wait(self, party: int) -> None:
        log = self.folder / f"share-{party}.log"
        until = time.monotonic() + 20
        while not Path(self.configs[party]["listen"][5:]).exists():
            assert self.processes[party].poll() is None and time.monotonic() < until, log.read_text()
            time.sleep(0.02)

    def stop(self, party: int, hard: bool = False) -> None:
        process = self.processes.pop(party)
        (process.kill if hard else process.terminate)()
        process.wait(10)
        Path(self.configs[party]["listen"][5:]).unlink(missing_ok=True)


@contextmanager
def sharing(
    rules: dict[str, Any] | None = None,
    engine: Sequence[str] | None = None,
    keygen: bool = True,
    total: int = 3,
) -> Iterator[Shares]:
    """Three shares that run; with a key unless `keygen` is false. A folder of its own: a Unix socket's path is short."""
    with tempfile.TemporaryDirectory(prefix="fl-mpc-") as made:
        folder = Path(made)
        shares = Shares(folder, [])
        for path in (shares.mood, shares.holder):
            path.write_text("")
        identity = secrets.token_bytes(32)
        for name, text in (("coordinator", identity.hex()), ("password", PASSWORD)):
            (folder / name).write_text(text)
            (folder / name).chmod(0o600)
        publics = [
            mpc_vault.create(
                folder / f"share-{n}", Secret(PASSWORD.encode()), n=1 << 10
            ).public_identity.hex()
            for n in range(total)
        ]
        command = engine or [sys.executable, str(HERE / "toy_threshold_engine.py"), str(shares.mood)]
        approve = [
            sys.executable,
            str(HERE / "mpc_approve.py"),
            str(shares.holder),
            str(folder / "approvals"),
        ]
        for n in range(total):
            shares.configs.append({
                "fairlead": "mpc-share/1", "environment": "devnet", "party": n, "threshold": 2, "listen": f"unix:{folder}/{n}.s",
                "file": str(folder / f"share-{n}"), "password": f"file:{folder / 'password'}", "coordinator": public_of(identity).hex(),
                "shares": publics, "engine": list(command), "rules": (rules or ANYTHING) | {"approve": approve}, "patience_s": 30,
            })  # fmt: skip
        group = {
            "threshold": 2,
            "shares": [{"at": c["listen"], "key": k} for c, k in zip(shares.configs, publics, strict=True)],
        }
        (folder / "group.json").write_text(json.dumps(group))
        try:
            for n in range(total):
                shares.start(n, wait=False)
            for n in range(total):
                shares.wait(n)
            if keygen:
                shares.coordinator().keygen()
            yield shares
        finally:
            for n in list(shares.processes):
                shares.stop(n)
