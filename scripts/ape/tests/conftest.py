from __future__ import annotations

import os
from collections.abc import Iterator

import ape
import pytest
from ape.contracts import ContractInstance
from ape_fairlead_safe.accounts import ALIAS, SafeAccount

from chains.devnet.addresses import CHAINS
from chains.devnet.artifacts import artifact
from chains.devnet.jsonrpc import Rpc

CHAIN = CHAINS[1]


@pytest.fixture
def safe(chain: ape.managers.ChainManager) -> Iterator[SafeAccount]:
    """The Safe of the settings on the fork, its owners replaced; each test has keys and a signer of its own."""
    account = ape.accounts.load(ALIAS)
    account.rehearse()
    yield account
    account.end_rehearsal()


@pytest.fixture(scope="session")
def weth() -> ContractInstance:
    return ape.Contract(CHAIN.weth, abi=artifact("WETH9").abi)


@pytest.fixture(scope="session")
def usdc() -> ContractInstance:
    return ape.Contract(CHAIN.usdc, abi=artifact("MockERC20").abi)


@pytest.fixture
def safe_contract(safe: SafeAccount) -> ContractInstance:
    return ape.Contract(safe.address, abi=artifact("Safe").abi)


@pytest.fixture(scope="session")
def upstream() -> Iterator[Rpc]:
    """The devnet's own chain 1, which a rehearsal must not touch."""
    with Rpc(os.environ["FAIRLEAD_APE_UPSTREAM"]) as rpc:
        yield rpc
