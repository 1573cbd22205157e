"""The built state of each devnet chain: deployed once per version of pins and code, dumped into the cache, loaded ever after."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from chains.devnet import packages, solidity
from chains.devnet.addresses import CHAINS
from chains.devnet.jsonrpc import Rpc
from chains.devnet.manifest import Contract
from chains.devnet.packages import Say
from chains.devnet.paths import cache_dir, locked
from chains.devnet.supervisor import free_port
from chains.errors import Halt, Retry
from chains.types import Environment

_KEPT = 6
_HERE = Path(__file__).parent
_SOURCES = (
    "addresses.py",
    "artifacts.py",
    "builder.py",
    "demo.py",
    "demo_market.json",
    "manifest.py",
    "nodes.py",
    "state.py",
    "../safe_versions.py",
)


@cache
def state_hash() -> str:
    """What a built state depends on: pins, tools, our own contracts, and the code and data that build it."""
    digest = hashlib.sha256(f"{packages.pins_hash()}{packages.tools_hash()}{solidity.own_hash()}".encode())
    for path in [*(_HERE / name for name in _SOURCES), *sorted((_HERE / "deploy").glob("*.py"))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def state_file(chain_id: int, demo: bool = True) -> Path:
    """The dump of a chain, with or without the demo market."""
    return cache_dir() / f"state-{state_hash()}" / f"{chain_id}{'' if demo else '-bare'}.json"


def manifest(chain_id: int, demo: bool = True) -> tuple[Contract, ...]:
    """What the built state of a chain holds. Empty where it has not been built."""
    path = state_file(chain_id, demo).with_suffix(".manifest.json")
    if not path.exists():
        return ()
    return tuple(Contract(**entry) for entry in json.loads(path.read_text()))


def ensure(
    chain_ids: Sequence[int] = tuple(CHAINS), progress: Say = packages.say, bare: Sequence[int] = ()
) -> None:
    """Build the states the cache lacks, side by side; those of `bare` without the demo market.

    Raises what `packages.ensure` raises, Halt when a build fails.
    """
    wanted = [(chain_id, chain_id not in bare) for chain_id in chain_ids]
    if all(state_file(*one).exists() for one in wanted):
        return
    packages.ensure(progress)
    with locked(cache_dir() / "state.lock"):
        missing = [one for one in wanted if not state_file(*one).exists()]
        if not missing:
            return
        progress(f"deploying the protocols on chain {', '.join(str(chain_id) for chain_id, _ in missing)}")
        begun = time.monotonic()
        with ThreadPoolExecutor(len(missing)) as pool:
            for done in [pool.submit(_build, *one) for one in missing]:
                done.result()
        _prune()
        progress(f"devnet state built in {time.monotonic() - begun:.1f} s")


def _prune() -> None:
    """Every change of the deploying code leaves ten megabytes behind: only the last few are kept."""
    built = sorted(cache_dir().glob("state-*"), key=lambda folder: folder.stat().st_mtime)
    for old in built[:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)


def _build(chain_id: int, with_demo: bool) -> None:
    from chains.devnet import demo
    from chains.devnet.builder import Builder
    from chains.devnet.deploy import deploy_all
    from chains.devnet.nodes import set_marker

    target = state_file(chain_id, with_demo)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="build-", dir=cache_dir()) as work:
        dump = Path(work) / "state.json"
        with anvil(chain_id, dump) as rpc:
            builder = Builder(rpc, CHAINS[chain_id])
            set_marker(rpc, Environment.DEVNET)
            deploy_all(builder)
            if with_demo:
                demo.build(builder)
        if not dump.exists():
            raise Halt("DEVNET_BUILD", f"Anvil left no state of chain {chain_id}")
        contracts = json.dumps([contract.to_json() for contract in builder.contracts], indent=1)
        target.with_suffix(".manifest.json").write_text(contracts)
        dump.rename(target)


@contextlib.contextmanager
def anvil(chain_id: int, dump: Path | None = None) -> Iterator[Rpc]:
    """A throw-away Anvil that mines at once, ended with the block; it writes `dump` as it ends."""
    from chains.devnet.nodes import anvil_argv

    port = free_port()
    process = subprocess.Popen(
        anvil_argv(port, chain_id, dump=dump), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        with Rpc(f"http://127.0.0.1:{port}") as rpc:
            wait_for(rpc, process)
            yield rpc
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stderr is not None:
            process.stderr.close()


def wait_for(rpc: Rpc, process: subprocess.Popen[bytes], seconds: float = 20.0) -> None:
    """Until the node answers. Raises Halt when the process ends first or says nothing in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            rpc("eth_chainId")
            return
        except Retry:
            if process.poll() is not None:
                why = process.stderr.read().decode(errors="replace").strip() if process.stderr else ""
                raise Halt(
                    "ANVIL_ENDED", f"Anvil ended with status {process.returncode}: {why[:300]}"
                ) from None
            time.sleep(0.02)
    raise Halt("ANVIL_SILENT", f"Anvil at {rpc.url} does not answer after {seconds:.0f} s")
