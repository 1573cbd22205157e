"""Our own Solidity, compiled into the cache with the pinned solc: nothing compiled is committed.

    python -m chains.devnet.solidity        compiles, and prints the hashes that contracts/gate.json and its siblings record

The settings are those of contracts/foundry.toml, read here, so that this compile and `forge build` give the same bytes.
Metadata is left out of the code, so a path or a comment changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import tempfile
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from eth_utils.crypto import keccak

from chains.devnet import packages
from chains.devnet.packages import Say
from chains.devnet.paths import cache_dir, locked
from chains.errors import Halt

FOLDER = packages.PINS.parent
OWN = ("Gate", "Offers", "Payments", "FurtherPayments", "RouteExecutor", "FlashRepay")


@cache
def sources() -> dict[str, str]:
    """Path under contracts/ to source text."""
    return {f"src/{path.name}": path.read_text() for path in sorted((FOLDER / "src").glob("*.sol"))}


@cache
def request() -> str:
    """The standard-json input of the build."""
    profile = tomllib.loads((FOLDER / "foundry.toml").read_text())["profile"]["default"]
    settings = {
        "optimizer": {"enabled": profile["optimizer"], "runs": profile["optimizer_runs"]},
        "evmVersion": profile["evm_version"],
        "viaIR": profile["via_ir"],
        "metadata": {"bytecodeHash": profile["bytecode_hash"], "appendCBOR": profile["cbor_metadata"]},
        "outputSelection": {
            f"src/{name}.sol": {name: ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"]}
            for name in OWN
        },
    }
    given = {path: {"content": text} for path, text in sources().items()}
    return json.dumps({"language": "Solidity", "sources": given, "settings": settings})


@cache
def own_hash() -> str:
    """What our compiled contracts depend on: sources, settings, compiler."""
    return hashlib.sha256((request() + packages.tools_hash()).encode()).hexdigest()[:16]


def own_dir() -> Path:
    return cache_dir() / f"own-{own_hash()}"


def ready() -> bool:
    return all((own_dir() / f"{name}.json").exists() for name in OWN)


def ensure(progress: Say = packages.say) -> None:
    """Compile what the cache lacks. Needs the tools to be there; raises Halt when solc refuses the sources."""
    if ready():
        return
    with locked(cache_dir() / "own.lock"):
        if ready():
            return
        progress("compiling our own contracts")
        for name, artifact in compiled().items():
            own_dir().mkdir(exist_ok=True)
            part = own_dir() / f"{name}.part"
            part.write_text(json.dumps(artifact))
            part.rename(own_dir() / f"{name}.json")


def compiled() -> dict[str, dict[str, Any]]:
    """Each of our contracts as an artifact, by solc itself. Raises Halt."""
    answer = packages.run_solc(request())
    found = {}
    for name in OWN:
        contract = answer["contracts"][f"src/{name}.sol"][name]
        code, runtime = (contract["evm"][part]["object"] for part in ("bytecode", "deployedBytecode"))
        found[name] = {"abi": contract["abi"], "bytecode": code, "linkReferences": {}, "runtime": runtime}
    return found


@cache
def rehearsal(file: str, name: str) -> dict[str, Any]:
    """A contract of contracts/test as an artifact, compiled once and kept in the cache. Never part of a release. Raises Halt."""
    asked = json.loads(request())
    path = f"test/{file}"
    asked["sources"] = {path: {"content": (FOLDER / path).read_text()}}
    asked["settings"]["outputSelection"] = {path: {name: ["abi", "evm.deployedBytecode.object"]}}
    text = json.dumps(asked)
    kept = (
        cache_dir()
        / f"rehearsal-{hashlib.sha256((text + packages.tools_hash()).encode()).hexdigest()[:16]}.json"
    )
    if not kept.exists():
        contract = packages.run_solc(text)["contracts"][path][name]
        found = {"abi": contract["abi"], "runtime": contract["evm"]["deployedBytecode"]["object"]}
        part = kept.with_name(f"{kept.name}.{os.getpid()}")
        part.write_text(json.dumps(found))
        part.rename(kept)
    told: dict[str, Any] = json.loads(kept.read_text())
    return told


def hashes(artifact: dict[str, Any]) -> dict[str, str]:
    """The record of one artifact, as contracts/gate.json and its siblings hold it."""
    code, runtime = bytes.fromhex(artifact["bytecode"]), bytes.fromhex(artifact["runtime"])
    return {
        "solc": solc_version(),
        "creation_keccak": "0x" + keccak(code).hex(),
        "runtime_keccak": "0x" + keccak(runtime).hex(),
        "runtime_bytes": str(len(runtime)),
    }


def solc_version() -> str:
    """The compiler's own word, without its platform."""
    lock = json.loads((packages.TOOLS / "package-lock.json").read_text())
    version: str = lock["packages"]["node_modules/solc"]["version"]
    return version


def forge(
    *arguments: str, timeout: float = 600, kept: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run forge over contracts/, offline, writing nothing into the checkout. `kept`: a folder for what it compiles, so that the next run
    compiles nothing. Raises Usage when the set-up has not run."""
    with tempfile.TemporaryDirectory(prefix="forge-") as own:
        work = kept or own
        environment = dict(
            os.environ,
            SOLC_JS=str(packages.tools_dir() / "node_modules" / "solc"),
            FOUNDRY_OUT=f"{work}/out",
            FOUNDRY_CACHE_PATH=f"{work}/cache",
            FOUNDRY_FUZZ_FAILURE_PERSIST_DIR=f"{work}/fuzz",
            FOUNDRY_INVARIANT_FAILURE_PERSIST_DIR=f"{work}/invariant",
            NO_COLOR="1",
        )
        return subprocess.run(
            [
                str(packages.tool("forge")),
                *arguments,
                "--root",
                str(FOLDER),
                "--use",
                str(packages.TOOLS / "solc"),
            ],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )


def main() -> int:
    packages.ensure()
    for name in OWN:
        artifact = json.loads((own_dir() / f"{name}.json").read_text())
        if not artifact["bytecode"]:
            raise Halt("SOLC_FAILED", f"{name} has no code")
        print(name, json.dumps(hashes(artifact), indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
