"""Devnets for tests: built once into the cache, one set of processes a test session, every test inside its own snapshot.

    devnet          Anvil chains 1, 8453 and 42161 without a relay: every chain mines at once and answers cheat methods
    relayed_devnet  the devnet as a user has it: the relay in front of chain 1, in fast mode; no snapshots behind its back

Set FAIRLEAD_TEST_NO_DEVNET=1 to skip these tests where no npm registry and no warm cache is at hand.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from chains.devnet import service, state
from chains.devnet.jsonrpc import Rpc
from chains.devnet.service import Status


def _built() -> None:
    if os.environ.get("FAIRLEAD_TEST_NO_DEVNET"):
        pytest.skip("FAIRLEAD_TEST_NO_DEVNET is set")
    state.ensure()


@pytest.fixture(scope="session")
def devnet_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Status]:
    _built()
    runtime: Path = tmp_path_factory.mktemp("devnet")
    # Whoever makes a block in the very moment a snapshot is put back leaves a chain whose blocks and state disagree.
    yield service.up(runtime=runtime, fast=True, relay=False, feeds=False)
    service.down(runtime=runtime)


@pytest.fixture
def devnet(devnet_session: Status) -> Iterator[Status]:
    """The session's devnet; what the test changes on its chains is undone after it."""
    rpcs = [Rpc(url) for url in devnet_session.cheat_urls.values()]
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
