"""Devnets for tests: built once into the cache, one set of processes a test session, every test inside its own snapshot.

    devnet          Anvil chains 1, 8453 and 42161 without a relay: every chain mines at once and answers cheat methods
    relayed_devnet  the devnet as a user has it: the relay in front of chain 1, in fast mode; no snapshots behind its back

Set FAIRLEAD_TEST_NO_DEVNET=1 to skip these tests where no npm registry and no warm cache is at hand.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from chains.devnet import service, state
from chains.devnet.jsonrpc import Rpc
from chains.devnet.service import Status
from chains.evm import selector
from chains.multicall import MULTICALL3


def _built() -> None:
    if os.environ.get("FAIRLEAD_TEST_NO_DEVNET"):
        pytest.skip("FAIRLEAD_TEST_NO_DEVNET is set")
    state.ensure()


@pytest.fixture(scope="session")
def devnet_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Status]:
    _built()
    runtime: Path = tmp_path_factory.mktemp("devnet")
    # No feeds of its own: whoever makes a block in the very moment a snapshot is put back leaves a chain whose blocks and state disagree.
    status = service.up(runtime=runtime, fast=True, relay=False, feeds=False)
    _told[status.runtime] = time.monotonic()
    yield status
    service.down(runtime=runtime)


_told: dict[Path, float] = {}
_told_at: dict[tuple[Path, int], int] = {}
FRESH_S = 100.0
"""As often as this a session's feeds are told their prices again: what is older counts as stale before a session is over."""


def prices_of_now(status: Status) -> None:
    """Before a snapshot, so that putting it back keeps them. A chain's clock that a test put forward stays so when its state is put back (Anvil): its feeds
    are told by that clock again."""
    now = time.monotonic()
    late = now - _told.setdefault(status.runtime, now) >= FRESH_S
    for chain, url in status.cheat_urls.items():
        with Rpc(url) as rpc:
            then = int(rpc("eth_getBlockByNumber", "pending", False)["timestamp"], 16)
            if late or then - _told_at.setdefault((status.runtime, chain), then) >= FRESH_S:
                service.refresh_feeds(rpc, chain)
                _told_at[status.runtime, chain] = then
    if late:
        _told[status.runtime] = now


def _sound(rpc: Rpc) -> None:
    """A node that was put back while it made a block can forget a block's hash (Anvil): a block more, and nobody asks for that one again."""
    for _ in range(3):
        head = rpc("eth_getBlockByNumber", "latest", False)
        call = {"to": MULTICALL3, "data": "0x" + selector("getLastBlockHash()").hex()}
        if rpc("eth_call", call, head["number"]) == head["parentHash"]:
            return
        rpc("evm_mine")


@pytest.fixture
def devnet(devnet_session: Status) -> Iterator[Status]:
    """The session's devnet; what the test changes on its chains is undone after it."""
    prices_of_now(devnet_session)
    rpcs = [Rpc(url) for url in devnet_session.cheat_urls.values()]
    for rpc in rpcs:
        _sound(rpc)
    snapshots = [rpc("evm_snapshot") for rpc in rpcs]
    yield devnet_session
    for rpc, snapshot in zip(rpcs, snapshots, strict=True):
        rpc("evm_revert", snapshot)
        rpc("anvil_dropAllTransactions")
        rpc.close()


@pytest.fixture(scope="session")
def relayed_devnet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Status]:
    _built()
    runtime: Path = tmp_path_factory.mktemp("relayed-devnet")
    yield service.up(runtime=runtime, fast=True)
    service.down(runtime=runtime)
