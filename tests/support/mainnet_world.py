"""The recorded mainnet world of 2023-09-12 under Anvil: real pools, ticks and tokens with genuine bytecode, for exactness tests."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from anvil_support import anvil_or_skip
from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak

from agent.market.file import parse_text
from agent.market.view import MarketView
from chains.anvil import Anvil
from chains.devnet.jsonrpc import Rpc

QUOTER = "0xb27308f9f90d607463bb33ea1bebb41c27ce5ab6"
SWAP_ROUTER = "0xe592427a0aece92de3edee1f18e0157c05861564"
V2_ROUTER = "0x7a250d5630b4cf539739df2c5dacb4c659f2488d"
TRADER = "0x00000000000000000000000000000000000a11ce"
BALANCE_SLOTS = {
    "0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2": 3,
    "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48": 9,
    "0xdac17f958d2ee523a2206206994597c13d831ec7": 2,
    "0x2260fac5e5542a773aa44fbcfedf7c193bc2c599": 0,
    "0x6b175474e89094c44da98b954eedeac495271d0f": 2,
}
FOREVER = 1 << 40


def data_folder() -> Path:
    return Path(
        os.environ.get("FAIRLEAD_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data")
    )


def recorded(name: str) -> Path:
    """A recorded file, or a skip that says what is missing."""
    path = data_folder() / name
    if not path.exists():
        pytest.skip(f"recorded data {name} is not at {data_folder()} (set FAIRLEAD_DATA)")
    return path


@cache
def market() -> MarketView:
    import gzip

    return parse_text(gzip.decompress(recorded("markets/ethereum-2023-09-12.market.json.gz").read_bytes()))


def selector(signature: str) -> bytes:
    return keccak(text=signature)[:4]


def call_data(signature: str, *values: Any) -> str:
    kinds = signature[signature.index("(") + 1 : -1]
    types = _split(kinds)
    return "0x" + (selector(signature) + encode(types, values)).hex()


def _split(kinds: str) -> list[str]:
    out, depth, word = [], 0, ""
    for letter in kinds:
        depth += (letter == "(") - (letter == ")")
        if letter == "," and not depth:
            out.append(word)
            word = ""
        else:
            word += letter
    return [*out, word] if word else out


def address_of(asset: str) -> str:
    return asset.rpartition(":")[2]


class World:
    """One Anvil holding the recorded state, and a trader with all the tokens it could want."""

    def __init__(self, rpc: Rpc) -> None:
        self.rpc = rpc
        rpc("anvil_impersonateAccount", TRADER)
        rpc("anvil_setBalance", TRADER, hex(10**24))
        for token, slot in BALANCE_SLOTS.items():
            key = keccak(encode(["address", "uint256"], [TRADER, slot]))
            rpc("anvil_setStorageAt", token, "0x" + key.hex(), "0x" + (10**30).to_bytes(32, "big").hex())
            for router in (SWAP_ROUTER, V2_ROUTER):
                receipt = self.send(token, call_data("approve(address,uint256)", router, 2**255))
                assert receipt["status"] == "0x1", f"approve of {token}"

    def send(self, to: str, data: str) -> Any:
        tx = {"from": TRADER, "to": to, "data": data, "gas": hex(29_000_000)}
        return self.rpc.transact(tx)

    def ask(self, calls: Sequence[tuple[str, str]]) -> list[bytes | None]:
        """Many eth_calls at once; None where the contract reverted."""
        body = [
            {
                "jsonrpc": "2.0",
                "id": n,
                "method": "eth_call",
                "params": [{"from": TRADER, "to": to, "data": data, "gas": hex(1 << 34)}, "latest"],
            }
            for n, (to, data) in enumerate(calls)
        ]
        out: list[bytes | None] = []
        for start in range(0, len(body), 200):
            answers = {a["id"]: a for a in self.rpc._post(body[start : start + 200])}
            out += [
                bytes.fromhex(answers[n]["result"][2:]) if "result" in answers[n] else None
                for n in sorted(answers)
            ]
        return out

    def read(self, to: str, signature: str, types: Sequence[str], *values: Any) -> tuple[Any, ...]:
        answer = self.rpc(
            "eth_call", {"from": TRADER, "to": to, "data": call_data(signature, *values)}, "latest"
        )
        return tuple(decode(types, bytes.fromhex(answer[2:])))

    def balance(self, token: str) -> int:
        return int(self.read(token, "balanceOf(address)", ["uint256"], TRADER)[0])

    @contextmanager
    def undone(self) -> Iterator[None]:
        snapshot = self.rpc("evm_snapshot")
        yield
        self.rpc("evm_revert", snapshot)
        self.rpc("anvil_dropAllTransactions")


FREE = ("--gas-limit", "30000000", "--base-fee", "0", "--gas-price", "0")


@contextmanager
def running_chain(options: Sequence[str]) -> Iterator[Rpc]:
    """An Anvil of the caller's own, started with these options and ended with the block."""
    loop = asyncio.new_event_loop()
    running = Anvil.running(options, binary=anvil_or_skip())
    anvil = loop.run_until_complete(running.__aenter__())
    try:
        with Rpc(anvil.url) as rpc:
            yield rpc
    finally:
        loop.run_until_complete(running.__aexit__(None, None, None))
        loop.close()


@contextmanager
def recorded_chain(
    tmp: Path, name: str, options: Sequence[str] = (), chain_id: int = 1, free: Sequence[str] = FREE
) -> Iterator[Rpc]:
    """An Anvil that starts from a recorded genesis, with free gas unless `free` says otherwise."""
    zstandard = pytest.importorskip("zstandard")
    packed = recorded(name)
    genesis = tmp / "genesis.json"
    with packed.open("rb") as source:
        genesis.write_bytes(zstandard.ZstdDecompressor().stream_reader(source).read())
    wanted = [
        "--init",
        str(genesis),
        "--chain-id",
        str(chain_id),
        *free,
        *options,
    ]
    with running_chain(wanted) as rpc:
        yield rpc


@contextmanager
def mainnet_world(tmp: Path) -> Iterator[World]:
    with recorded_chain(tmp, "worlds/ethereum-2023-09-12.genesis.json.zst") as rpc:
        yield World(rpc)
