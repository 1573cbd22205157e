"""The published contracts of lending protocols as judges of our arithmetic: compiled once into the cache, run in an Anvil of their own.

The harnesses of `lending_sources` set accounts in a contract's own storage and ask its own library; nothing of a chain is needed.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eth_abi import decode as abi_decode
from eth_abi import encode as abi_encode
from eth_hash.auto import keccak

from chains.devnet.jsonrpc import Rpc
from chains.devnet.packages import _npm, tool
from chains.devnet.paths import cache_dir, locked
from chains.devnet.supervisor import free_port
from chains.errors import Reject, Retry

PINS = Path(__file__).parent / "lending_sources"
COMPILERS = {
    "Aave30": "solc-0-8-19",
    "Aave30Liquidation": "solc-0-8-19",
    "Answers": "solc-0-8-19",
    "Comet": "solc-0-8-19",
    "Aave36": "solc",
    "Aave36Liquidation": "solc",
    "Maker": "solc-0-8-19",
    "Morpho": "solc-0-8-19",
    "Swaps": "solc-0-8-19",
    "MorphoMarket": "solc-0-8-19",
}
AT = 2_000_000_000
"""The time of every answer."""
SENDER = "0x" + "0f" * 20
_GAS = hex(2**52)


def installed() -> Path:
    """The folder of the packages; made on the first call (some 20 MB by npm, checked against the lock's hashes)."""
    lock = (PINS / "package-lock.json").read_bytes()
    target = cache_dir() / f"lending-{hashlib.sha256(lock).hexdigest()[:16]}"
    with locked(cache_dir() / "lending.lock"):
        if not target.exists():
            work = Path(tempfile.mkdtemp(prefix="lending-", dir=cache_dir()))
            try:
                for name in ("package.json", "package-lock.json"):
                    shutil.copy(PINS / name, work / name)
                _npm(["ci", "--legacy-peer-deps", "--omit=optional"], work)
                work.rename(target)
            finally:
                shutil.rmtree(work, ignore_errors=True)
    return target


def compiled(name: str, sources: Path = PINS) -> dict[str, Any]:
    """The abi and creation code of the contract `Harness` in a source file, kept by what is in it."""
    source = sources / f"{name}.sol"
    folder = installed()
    mark = hashlib.sha256(source.read_bytes() + (PINS / "compile.cjs").read_bytes()).hexdigest()[:16]
    kept = folder / f"{name}-{mark}.json"
    if not kept.exists():
        command = [
            "node",
            str(PINS / "compile.cjs"),
            str(source),
            str(folder / "node_modules"),
            COMPILERS[name],
        ]
        told = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert told.returncode == 0, told.stderr[-3000:]
        part = kept.with_suffix(".part")
        part.write_text(told.stdout)
        part.rename(kept)
    found: dict[str, Any] = json.loads(kept.read_text())
    return found


@dataclass
class Judge:
    """One harness, deployed. Calls are eth_calls: what they set is forgotten after each."""

    rpc: Rpc
    address: str
    abi: dict[str, dict[str, Any]]

    def ask(self, function: str, argument: Sequence[Any], most: int = 100) -> list[Any]:
        """The function's answers to a list of given things, a few of them in a call."""
        entry = self.abi[function]
        (kind,), (gives,) = ([_kind(p) for p in entry[k]] for k in ("inputs", "outputs"))
        head = keccak(f"{function}({kind})".encode())[:4]
        found: list[Any] = []
        for start in range(0, len(argument), most):
            data = head + abi_encode([kind], [list(argument[start : start + most])])
            call = {"from": SENDER, "to": self.address, "data": "0x" + data.hex(), "gas": _GAS}
            answer = self.rpc("eth_call", call, "latest")
            found += abi_decode([gives], bytes.fromhex(answer[2:]))[0]
        return found


def _kind(parameter: dict[str, Any]) -> str:
    name: str = parameter["type"]
    if not name.startswith("tuple"):
        return name
    return "(" + ",".join(_kind(p) for p in parameter["components"]) + ")" + name[5:]


@contextmanager
def judge(name: str) -> Iterator[Judge]:
    contract = compiled(name)
    port = free_port()
    command = [
        str(tool("anvil")), "--host", "127.0.0.1", "--port", str(port), "--silent", "--gas-limit", str(2**53), "--memory-limit", str(2**32),
        "--timestamp", str(AT), "--code-size-limit", "200000", "--no-mining", "--disable-min-priority-fee",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        with Rpc(f"http://127.0.0.1:{port}", timeout_s=120) as rpc:
            until = time.monotonic() + 30
            while True:
                try:
                    rpc("eth_chainId")
                    break
                except (Retry, Reject):
                    assert time.monotonic() < until and process.poll() is None
                    time.sleep(0.02)
            rpc("anvil_impersonateAccount", SENDER)
            rpc("anvil_setBalance", SENDER, hex(10**24))
            for library, code in contract["libraries"].items():
                rpc("anvil_setCode", library, "0x" + code)
            sent = {"from": SENDER, "data": "0x" + contract["bytecode"], "gas": hex(2**31)}
            made = rpc("eth_sendTransaction", sent)
            rpc("evm_setNextBlockTimestamp", AT)
            rpc("evm_mine")
            receipt = rpc("eth_getTransactionReceipt", made)
            assert receipt["status"] == "0x1"
            abi = {entry["name"]: entry for entry in contract["abi"] if entry["type"] == "function"}
            yield Judge(rpc, receipt["contractAddress"], abi)
    finally:
        process.terminate()
        process.wait(10)
