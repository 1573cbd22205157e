"""Exchanges that the devnet does not stand on, put onto its chain 1 for a test: their published code, with our tokens.

Curve's 3pool       its own bytecode and state as recorded at mainnet block 17666333, over the devnet's DAI, USDC and USDT
Aerodrome           its published Solidity, compiled here: a factory, a stable and a volatile pool
PancakeSwap (V1)    its published artifacts: a fork of Uniswap V2 whose pairs take 0.2 %
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import lending_oracle
import orjson
import pytest
from eth_abi.abi import encode
from mainnet_world import call_data, recorded

from chains.devnet import packages
from chains.devnet.addresses import CHAINS
from chains.devnet.builder import DEPLOYER, Builder
from chains.devnet.deploy.base import mint
from chains.devnet.paths import cache_dir, locked
from chains.evm import checksum
from chains.pool_factories import PoolFactory
from chains.types import Address

AT = CHAINS[1]
CURVE = checksum("0xbebc44782c7db0a1a60cb6fe97d0b483032ff1c7")
PANCAKE_PIPS = 2_000
_PINS = Path(__file__).parent / "dex_sources" / "packages.json"
_CURVE_COINS_SLOT = 0x290DECD9548B62A8D60345A988386FC84BA6BC95484008F6362F93160EF3E563
"""keccak256 of slot 0, where Vyper keeps the first of the pool's list of coins."""
_CURVE_OWNER_SLOT = 4
_IMPORT = re.compile(r'import\s[^;]*?"([^"]+)"')


@dataclass(frozen=True)
class Others:
    """What was put there. Tokens are the devnet's own."""

    curve: Address
    solidly: Address
    stable: Address
    volatile: Address
    pancake: Address
    pairs: tuple[Address, ...]
    dai: Address
    usdt: Address

    @property
    def factories(self) -> tuple[PoolFactory, ...]:
        return PoolFactory("uniswap_v2", self.pancake, PANCAKE_PIPS), PoolFactory("solidly", self.solidly)

    @property
    def tokens(self) -> tuple[Address, ...]:
        return Address(AT.weth), Address(AT.usdc), self.dai, self.usdt


def build_others(b: Builder, dai: str, usdt: str) -> Others:
    """Puts them onto the chain, with liquidity at 3,015 USDC to the ether, a little above the other pools."""
    dai, usdt = checksum(dai), checksum(usdt)
    codes = _codes()
    curve = _curve(b, (dai, checksum(AT.usdc), usdt))
    implementation = b.deploy(bytes.fromhex(codes["Pool"]))
    solidly = b.deploy(bytes.fromhex(codes["PoolFactory"]) + encode(["address"], [implementation]))
    stable = _solidly_pool(b, solidly, ((AT.usdc, 4_000_000 * 10**6), (dai, 4_000_000 * 10**18)), True)
    volatile = _solidly_pool(b, solidly, ((AT.weth, 700 * 10**18), (AT.usdc, 2_110_500 * 10**6)), False)
    pancake = b.deploy(bytes.fromhex(codes["PancakeFactory"]) + encode(["address"], [DEPLOYER]))
    pairs = (
        _pair(b, pancake, (AT.weth, 300 * 10**18), (AT.usdc, 904_500 * 10**6)),
        _pair(b, pancake, (AT.weth, 250 * 10**18), (dai, 751_000 * 10**18)),
    )
    made = (Address(checksum(at)) for at in (solidly, stable, volatile, pancake))
    return Others(curve, *made, pairs, dai, usdt)


def _curve(b: Builder, coins: tuple[Address, Address, Address]) -> Address:
    zstandard = pytest.importorskip("zstandard")
    packed = recorded("mainnet-blocks/17666333.genesis.json.zst").read_bytes()
    account = orjson.loads(zstandard.ZstdDecompressor().stream_reader(packed).read())["alloc"][CURVE.lower()]
    b.set_code(CURVE, account["code"])
    for slot, value in account["storage"].items():
        b.rpc("anvil_setStorageAt", CURVE, slot, value)
    # The block traded no DAI out or in, so its address is not among what was recorded; nor is the owner.
    for slot, holder in ((_CURVE_COINS_SLOT, coins[0]), (_CURVE_OWNER_SLOT, DEPLOYER)):
        b.rpc("anvil_setStorageAt", CURVE, f"0x{slot:064x}", f"0x{int(holder, 16):064x}")
    for k, coin in enumerate(coins):
        held = int(b.call(CURVE, bytes.fromhex(call_data("balances(uint256)", k)[2:])).hex(), 16)
        assert held, "the recording holds every balance of the pool"
        mint(b, coin, CURVE, held)
    return CURVE


def _solidly_pool(b: Builder, factory: str, sides: tuple[tuple[str, int], ...], stable: bool) -> str:
    (first, _), (second, _) = sides
    _do(b, factory, "createPool(address,address,bool)", first, second, stable)
    pool = _address(b, factory, "getPool(address,address,bool)", first, second, stable)
    for token, amount in sides:
        mint(b, token, pool, amount)
    _do(b, pool, "mint(address)", DEPLOYER)
    return pool


def _pair(b: Builder, factory: str, *sides: tuple[str, int]) -> Address:
    (first, _), (second, _) = sides
    _do(b, factory, "createPair(address,address)", first, second)
    pair = _address(b, factory, "getPair(address,address)", first, second)
    for token, amount in sides:
        mint(b, token, pair, amount)
    _do(b, pair, "mint(address)", DEPLOYER)
    return checksum(pair)


def _do(b: Builder, to: str, signature: str, *values: Any) -> None:
    b.send(to, bytes.fromhex(call_data(signature, *values)[2:]))


def _address(b: Builder, to: str, signature: str, *values: Any) -> str:
    return checksum("0x" + b.call(to, bytes.fromhex(call_data(signature, *values)[2:]))[-20:].hex())


# ------------------------------------------------------------------ published code


@cache
def _codes() -> dict[str, str]:
    """Creation code in hex of Pool, PoolFactory and PancakeFactory, kept in the cache. Compiling takes some seconds, once."""
    libraries = lending_oracle.installed() / "node_modules"
    made_of = _PINS.read_bytes() + (lending_oracle.PINS / "package-lock.json").read_bytes()
    kept = cache_dir() / f"dex-{hashlib.sha256(made_of).hexdigest()[:16]}.json"
    with locked(cache_dir() / "dex.lock"):
        if not kept.exists():
            found = _compiled(_fetched(), libraries)
            part = kept.with_suffix(".part")
            part.write_text(json.dumps(found))
            part.rename(kept)
    codes: dict[str, str] = json.loads(kept.read_text())
    return codes


def _fetched() -> dict[str, str]:
    """The pinned packages' files by path (sources) or by name (artifacts)."""
    found = {}
    for entry in json.loads(_PINS.read_text())["packages"]:
        package = packages.Package(**entry)
        work = Path(tempfile.mkdtemp(prefix="dex-", dir=cache_dir()))
        try:
            packages._fetch_lane([package], work / "fetched", work)
            for key, path in package.files.items():
                source = key.endswith(".sol")
                found[path if source else key] = (work / (key if source else f"{key}.json")).read_text()
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return found


def _compiled(files: dict[str, str], libraries: Path) -> dict[str, str]:
    given = {path: text for path, text in files.items() if path.endswith(".sol")}
    left = list(given)
    while left:
        path = left.pop()
        for name in _IMPORT.findall(given[path]):
            wanted = os.path.normpath(os.path.join(os.path.dirname(path), name)) if name[0] == "." else name
            if wanted not in given:
                given[wanted] = (libraries / wanted).read_text()
                left.append(wanted)
    entries = {
        path: path.rpartition("/")[2][:-4]
        for path in files
        if path.endswith(("/Pool.sol", "/PoolFactory.sol"))
    }
    request = {
        "language": "Solidity",
        "sources": {path: {"content": text} for path, text in given.items()},
        "settings": {
            "optimizer": {"enabled": True, "runs": 200},
            "evmVersion": "paris",
            "outputSelection": {path: {name: ["evm.bytecode.object"]} for path, name in entries.items()},
        },
    }
    environment = dict(os.environ, SOLC_JS=str(libraries / "solc"))
    done = subprocess.run(
        ["node", str(packages.TOOLS / "solc"), "--standard-json"],
        input=json.dumps(request), env=environment, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    answer = json.loads(done.stdout[done.stdout.find("{") :])
    wrong = [e["formattedMessage"] for e in answer.get("errors", ()) if e["severity"] == "error"]
    assert not wrong, "\n".join(wrong)
    codes = {
        name: answer["contracts"][path][name]["evm"]["bytecode"]["object"] for path, name in entries.items()
    }
    return codes | {"PancakeFactory": json.loads(files["PancakeFactory"])["bytecode"]}
