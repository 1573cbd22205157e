"""What a devnet's home may have besides the usual: a CoW order book, a sandwich bot, a bridge, builders as roads of their own, a key for canaries."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from chains.devnet import funding
from chains.devnet.builders import parse
from chains.devnet.deploy import across
from chains.devnet.jsonrpc import Rpc
from chains.devnet.service import Status
from chains.devnet.supervisor import Service
from chains.errors import Usage
from chains.types import Environment
from keys.keystore_v3 import LIGHT_N
from keys.local_keystore import LocalKeystore, StoredKey
from keys.secrets import resolve

COW, SANDWICH, ACROSS, EXECUTOR = "cow", "sandwich", "across", "executor"
SEARCHERS_S = "0.5"
"""How long a fast block waits for more where a searcher is at work: real ones have twelve seconds."""
BUILDERS = ("titan", "buildernet", "flashbots")
CANARY, CANARY_WEI = "canary", 10**18


def cow_service(cheat_url: str) -> Service:
    """The order book of chain 1; its solver settles by Anvil's cheat methods, as the devnet's operator."""
    url = "http://127.0.0.1:{port}"
    argv = [sys.executable, "-m", "chains.devnet.cow_orderbook", "--port", "{port}", "--rpc", cheat_url]
    return Service(COW, argv, url, f"{url}/api/v1/version")


def sandwich_service(
    status: Status, pools: Sequence[Mapping[str, str]], builders: Sequence[str] = ()
) -> Service:
    """The sandwich bot of chain 1, around the Uniswap pools that quotes may use; it buys from those of `builders` that sell."""
    url = "http://127.0.0.1:{port}"
    argv = [sys.executable, "-m", "agent.app.adversary", "--port", "{port}", "--rpc", status.urls[1]]
    argv += ["--cheat", status.cheat_urls[1]]
    for pool in pools:
        if pool["kind"].startswith("uniswap"):
            argv += ["--pool", f"{pool['kind']}:{pool['address']}"]
    for builder in map(parse, builders):
        if builder.leaks == "sell":
            argv += ["--builder", f"{builder.name}={status.urls[1]}/builder/{builder.name}"]
    return Service(SANDWICH, argv, url, f"{url}/")


def across_service(status: Status) -> Service:
    """Across' SpokePools between the devnet's chains that have one, and the relayer that pays deposits out there."""
    urls = {chain: url for chain, url in status.cheat_urls.items() if chain in across.NAMES}
    for chain, url in urls.items():
        with Rpc(url) as rpc:
            across.ensure(rpc, chain, tuple(urls))
    url = "http://127.0.0.1:{port}"
    argv = [sys.executable, "-m", "chains.devnet.across_relayer", "--port", "{port}"]
    for chain, cheat in urls.items():
        argv += ["--rpc", f"{chain}={cheat}"]
    return Service(ACROSS, argv, url, f"{url}/")


def roads(builders: Sequence[str]) -> tuple[str, ...]:
    """Their names, which are those of the relay modules that speak to them. Raises Usage BAD_BUILDER."""
    names = tuple(parse(text).name for text in builders)
    strangers = [name for name in names if name not in BUILDERS]
    if strangers or len(set(names)) < len(names):
        told = f"no road here is called {strangers[0]}" if strangers else "a builder is there twice"
        raise Usage("BAD_BUILDER", told, f"builders of a devnet's home: {', '.join(BUILDERS)}")
    return names


def give_canaries(status: Status, folder: Path, environment: Environment) -> StoredKey:
    """A key that holds gas for canaries and nothing else."""
    store, password = LocalKeystore(folder / "keystore"), resolve(f"file:{folder / 'password'}")
    made = store.create(CANARY, environment, password, LIGHT_N)
    funding.give_eth(status.cheat_urls[1], made.address, CANARY_WEI)
    return made


def canary_key(folder: Path) -> StoredKey | None:
    """The home's key for canaries; None where it was made without builders."""
    found = LocalKeystore(folder / "keystore").list()
    return next((key for key in found if key.name == CANARY), None)
