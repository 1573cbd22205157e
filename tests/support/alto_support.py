"""Alto, an open-source bundler of others, as a second opinion in the full tests: installed into the cache, confined to 127.0.0.1."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from chains.devnet.jsonrpc import Rpc
from chains.devnet.packages import _npm
from chains.devnet.paths import cache_dir, locked
from chains.devnet.supervisor import free_port
from chains.errors import Reject, Retry
from chains.types import Address
from chains.userops import ENTRY_POINT
from keys.curve import SigningKey

PINS = Path(__file__).parent / "alto"


def installed() -> Path:
    """The folder of the installation; made on the first call (about 340 MB by npm, checked against the lock's hashes)."""
    lock = (PINS / "package-lock.json").read_bytes()
    target = cache_dir() / f"alto-{hashlib.sha256(lock).hexdigest()[:16]}"
    with locked(cache_dir() / "alto.lock"):
        if not target.exists():
            work = Path(tempfile.mkdtemp(prefix="alto-", dir=cache_dir()))
            try:
                for name in ("package.json", "package-lock.json"):
                    shutil.copy(PINS / name, work / name)
                _npm(["install", "--no-save", "--legacy-peer-deps", "--omit=optional"], work)
                work.rename(target)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    return target


@contextmanager
def alto(rpc_url: str, folder: Path, executor: bytes, utility: bytes) -> Iterator[tuple[str, Address]]:
    """Alto over a devnet chain: (its url, the account that sends its bundles)."""
    port = free_port()
    command = ["node", "--require", str(PINS / "loopback.cjs"), "node_modules/@pimlico/alto/esm/cli/alto.js"]
    options = {
        "entrypoints": ENTRY_POINT,
        "executor-private-keys": "0x" + executor.hex(),
        "utility-private-key": "0x" + utility.hex(),
        "rpc-url": rpc_url,
        "port": str(port),
        "safe-mode": "false",
        "deploy-simulations-contract": "true",
        "refilling-wallets": "false",
        "min-balance": "0",
        "max-block-range": "500",
        "log-level": "warn",
    }
    command += [word for name, value in options.items() for word in (f"--{name}", value)]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "OTEL_SDK_DISABLED": "true"}
    url = f"http://127.0.0.1:{port}"
    log = folder / "alto.log"
    with log.open("w") as out:
        process = subprocess.Popen(
            command, cwd=installed(), env=environment, stdout=out, stderr=subprocess.STDOUT
        )
        try:
            until = time.monotonic() + 60
            with Rpc(url, timeout_s=5) as rpc:
                while True:
                    try:
                        rpc("eth_chainId")
                        break
                    except (Retry, Reject):
                        assert process.poll() is None and time.monotonic() < until, log.read_text()
                        time.sleep(0.1)
            # Bound to every address it would answer here too.
            with pytest.raises(OSError):
                socket.create_connection(("127.0.0.2", port), timeout=5).close()
            yield url, SigningKey(executor).address
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
