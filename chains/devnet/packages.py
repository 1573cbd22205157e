"""The tools and protocol packages of the devnet: fetched by the user's own npm, checked, unpacked into the cache.

    python -m chains.devnet.packages        idempotent; needs no network once the cache is warm

`contracts/packages.json` pins every tarball by sha512 and names the few files read from it; `contracts/tools` pins Anvil,
cast, forge and solc by npm's lock file. Tarballs are dropped once read: npm's own cache still has them.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from chains.devnet.paths import cache_dir, locked
from chains.errors import Halt, Reject, Retry, Usage

PINS = Path(__file__).resolve().parents[2] / "contracts" / "packages.json"
TOOLS = Path(__file__).resolve().parents[2] / "contracts" / "tools"
_LAYOUT = 1  # grows when the form of what is unpacked changes
_TEXT = (".sol", ".js")  # kept as they are
_NPM_AT_ONCE = 4
# npm's own patience without a network is minutes, spent anew for every package; a whole run again costs seconds,
# since npm's cache keeps what arrived.
_NPM_PATIENCE, _NPM_TRIES = ("--fetch-retries=0", "--fetch-timeout=60000"), 3
_NPM_FLAGS = (
    "--prefer-offline",
    "--no-audit",
    "--no-fund",
    "--ignore-scripts",
    "--loglevel=error",
    *_NPM_PATIENCE,
)

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Package:
    """One pinned tarball: `files` maps our name of a file to its path inside the package."""

    name: str
    version: str
    bytes: int
    sha512: str
    licence: str
    files: dict[str, str]


def say(line: str) -> None:
    """Progress goes to stderr: stdout belongs to the answer."""
    print(f"· {line}", file=sys.stderr, flush=True)


def quiet(line: str) -> None:
    """For callers that show no progress."""


@cache
def pins() -> tuple[Package, ...]:
    return tuple(Package(**entry) for entry in json.loads(PINS.read_text())["packages"])


@cache
def pins_hash() -> str:
    """What the unpacked artifacts depend on: the pins and our own layout of them."""
    return hashlib.sha256(PINS.read_bytes() + bytes([_LAYOUT])).hexdigest()[:16]


@cache
def tools_hash() -> str:
    return hashlib.sha256((TOOLS / "package-lock.json").read_bytes()).hexdigest()[:16]


def artifacts_dir() -> Path:
    return cache_dir() / f"artifacts-{pins_hash()}"


def tools_dir() -> Path:
    return cache_dir() / f"tools-{tools_hash()}-{platform.system().lower()}-{_cpu()}"


def _cpu() -> str:
    machine = platform.machine().lower()
    return {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}.get(machine, machine)


def tool(name: str) -> Path:
    """The platform's own binary of `anvil`, `cast` or `forge`; the node shim npm links would cost 40 ms a start.

    Raises Usage when the set-up has not run.
    """
    system = {"windows": "win32"}.get(platform.system().lower(), platform.system().lower())
    binary = tools_dir() / "node_modules" / "@foundry-rs" / f"{name}-{system}-{_cpu()}" / "bin" / name
    if system == "win32":
        binary = binary.with_suffix(".exe")
    if not binary.exists():
        raise Usage(
            "DEVNET_NOT_SET_UP",
            f"{name} is not in the cache",
            "run scripts/setup, or python -m chains.devnet.packages",
        )
    return binary


def ready() -> bool:
    """Whether the cache holds everything the devnet needs."""
    from chains.devnet import solidity

    fetched = (tools_dir() / ".complete").exists() and (artifacts_dir() / ".complete").exists()
    return fetched and solidity.ready()


def ensure(progress: Say = say) -> None:
    """Fetch, check and unpack whatever the cache lacks; return at once when it lacks nothing.

    Raises Usage when node or npm is missing, Retry when npm cannot reach its registry, Reject when a tarball is not the pinned one.
    """
    from chains.devnet import solidity

    if ready():
        return
    with locked(cache_dir() / "packages.lock"):
        if ready():
            return
        _require_node()
        begun = time.monotonic()
        with ThreadPoolExecutor(2) as pool:
            tools = pool.submit(_install_tools, progress)
            artifacts = pool.submit(_fetch_artifacts, progress)
            tools.result(), artifacts.result()
        _compile_feed(progress)
        solidity.ensure(progress)
        (artifacts_dir() / ".complete").touch()
        progress(f"tools and protocol packages ready in {time.monotonic() - begun:.0f} s ({cache_dir()})")


def _require_node() -> None:
    for name in ("node", "npm"):
        if shutil.which(name) is None:
            raise Usage(
                "TOOL_MISSING",
                f"{name} is needed by the devnet and is not on PATH",
                "install Node.js 20 or newer",
            )
    version = subprocess.run(
        ["node", "--version"], capture_output=True, text=True, check=False
    ).stdout.strip()
    if not version.startswith("v") or int(version[1:].split(".")[0]) < 20:
        raise Usage(
            "TOOL_TOO_OLD",
            f"node >= 20 is needed; this is {version or 'unknown'}",
            "install Node.js 20 or newer",
        )


def _npm(arguments: Sequence[str], folder: Path) -> None:
    environment = dict(os.environ, npm_config_update_notifier="false", NO_COLOR="1")
    for attempt in range(_NPM_TRIES):
        time.sleep(attempt)
        done = subprocess.run(
            ["npm", *arguments, *_NPM_FLAGS],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode == 0:
            return
        if "EINTEGRITY" in done.stderr:
            break
    lines = [line for line in done.stderr.splitlines() if "npm error" in line or "ERR!" in line] or [
        "no reason given"
    ]
    reason = lines[0].replace("npm error", "").strip()
    if "EINTEGRITY" in done.stderr:
        raise Reject(
            "PACKAGE_HASH",
            f"npm {arguments[0]}: {reason}",
            "the registry serves another file than the pinned one",
        )
    raise Retry(
        "NPM_FAILED",
        f"npm {arguments[0]} failed: {' / '.join(line.replace('npm error', '').strip() for line in lines[:3])}",
        "the first set-up needs the network (npm's registry); run it again once it is reachable",
    )


def _install_tools(progress: Say) -> None:
    target = tools_dir()
    if (target / ".complete").exists():
        return
    progress("fetching Anvil, cast, forge and solc (about 70 MB)")
    work = Path(tempfile.mkdtemp(prefix="tools-", dir=cache_dir()))
    try:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(TOOLS / name, work / name)
        # `npm ci` refuses a lock without every platform's optional binary, and not every registry carries them all;
        # `install` checks the lock's hashes just the same and skips the binaries of other platforms.
        _npm(["install", "--no-save"], work)
        (work / ".complete").touch()
        shutil.rmtree(target, ignore_errors=True)
        work.rename(target)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    tool("anvil")


def _fetch_artifacts(progress: Say) -> None:
    target = artifacts_dir()
    target.mkdir(parents=True, exist_ok=True)
    missing = [
        package for package in pins() if not all((target / _file(key)).exists() for key in package.files)
    ]
    if not missing:
        return
    total = sum(package.bytes for package in missing) / 1e6
    progress(
        f"fetching {len(missing)} protocol packages ({total:.0f} MB), keeping only the files the devnet reads"
    )
    work = Path(tempfile.mkdtemp(prefix="packages-", dir=cache_dir()))
    try:
        # One npm process per lane, each with packages of about the same total size.
        lanes: list[list[Package]] = [[] for _ in range(min(_NPM_AT_ONCE, len(missing)))]
        for package in sorted(missing, key=lambda p: -p.bytes):
            min(lanes, key=lambda lane: sum(p.bytes for p in lane)).append(package)
        with ThreadPoolExecutor(len(lanes)) as pool:
            for done in [
                pool.submit(_fetch_lane, lane, work / str(n), target) for n, lane in enumerate(lanes)
            ]:
                done.result()
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _fetch_lane(lane: Sequence[Package], folder: Path, target: Path) -> None:
    folder.mkdir()
    _npm(["pack", *(f"{package.name}@{package.version}" for package in lane)], folder)
    for package in lane:
        tarball = folder / f"{package.name.lstrip('@').replace('/', '-')}-{package.version}.tgz"
        unpack(package, tarball, target)
        tarball.unlink()


def unpack(package: Package, tarball: Path, target: Path) -> None:
    """Check a tarball against its pin and keep the files named, artifacts in one form. Raises Reject, Halt."""
    content = tarball.read_bytes()
    digest = "sha512-" + b64encode(hashlib.sha512(content).digest()).decode()
    if digest != package.sha512:
        raise Reject(
            "PACKAGE_HASH",
            f"{package.name}@{package.version} is not the pinned tarball ({digest[:24]}… instead of {package.sha512[:24]}…)",
            "check the npm registry in use; nothing of it was read",
        )
    wanted = {f"package/{path}": key for key, path in package.files.items()}
    with tarfile.open(tarball, "r:gz") as archive:
        for member in archive:
            key = wanted.pop(member.name, None)
            if key is not None:
                handle = archive.extractfile(member)
                if handle is None:
                    raise Halt("PACKAGE_CONTENT", f"{member.name} of {package.name} is not a file")
                _write(target / _file(key), _slim(key, handle.read()))
            if not wanted:
                break
    if wanted:
        raise Halt("PACKAGE_CONTENT", f"{package.name}@{package.version} lacks {', '.join(sorted(wanted))}")


def _file(key: str) -> str:
    return key if key.endswith(_TEXT) else f"{key}.json"


def _write(path: Path, content: bytes) -> None:
    part = path.with_suffix(".part")
    part.write_bytes(content)
    part.rename(path)


def _slim(key: str, content: bytes) -> bytes:
    """Hardhat, Foundry, Truffle and Waffle artifacts in one form: abi, bytecode, linkReferences (source text stays itself)."""
    if key.endswith(_TEXT):
        return content
    artifact = json.loads(content)
    if isinstance(artifact, list):
        return json.dumps({"abi": artifact, "bytecode": "", "linkReferences": {}}).encode()
    if "abi" not in artifact:
        return content
    code = artifact["bytecode"]
    links = artifact.get("linkReferences") or {}
    if isinstance(code, dict):
        code, links = code["object"], code.get("linkReferences") or {}
    return json.dumps(
        {"abi": artifact["abi"], "bytecode": code.removeprefix("0x"), "linkReferences": links}
    ).encode()


def _compile_feed(progress: Say) -> None:
    """Chainlink's package holds the mock feed's source and ABI but no bytecode: half a second of solc."""
    target = artifacts_dir()
    if (target / "MockV3Aggregator.json").exists():
        return
    progress("compiling MockV3Aggregator")
    entry = "src/v0.8/shared/mocks/MockV3Aggregator.sol"
    chainlink = next(package for package in pins() if package.name == "@chainlink/contracts")
    request = {
        "language": "Solidity",
        "sources": {path: {"content": (target / key).read_text()} for key, path in chainlink.files.items()},
        "settings": {
            "optimizer": {"enabled": True, "runs": 1000000},
            "outputSelection": {entry: {"MockV3Aggregator": ["abi", "evm.bytecode"]}},
        },
    }
    compiled = run_solc(json.dumps(request))
    contract = compiled["contracts"][entry]["MockV3Aggregator"]
    artifact = {
        "abi": contract["abi"],
        "bytecode": contract["evm"]["bytecode"]["object"],
        "linkReferences": {},
    }
    _write(target / "MockV3Aggregator.json", json.dumps(artifact).encode())


def run_solc(request: str) -> dict[str, Any]:
    """The pinned solc's answer to a standard-json input. Raises Halt when it gives none or finds an error."""
    # The package's own command ends before a pipe has taken its answer; ours, which forge uses too, does not.
    done = subprocess.run(
        ["node", str(TOOLS / "solc"), "--standard-json"],
        input=request,
        env=dict(os.environ, SOLC_JS=str(tools_dir() / "node_modules" / "solc")),
        capture_output=True,
        text=True,
        check=False,
    )
    text = done.stdout[done.stdout.find("{") :]
    if done.returncode != 0 or not text:
        raise Halt("SOLC_FAILED", f"solc gave no answer: {done.stderr.strip()[:300]}")
    answer: dict[str, Any] = json.loads(text)
    wrong = [found["message"] for found in answer.get("errors", ()) if found["severity"] == "error"]
    if wrong or "contracts" not in answer:
        raise Halt("SOLC_FAILED", f"solc refused the sources: {'; '.join(wrong)[:300]}")
    return answer


def main() -> int:
    from chains.errors import FairleadError

    try:
        if ready():
            say(f"tools and protocol packages are in {cache_dir()}")
            return 0
        ensure()
    except FairleadError as error:
        print(f"fairlead: {error}", file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
