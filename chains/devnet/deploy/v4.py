"""Uniswap V4: the singleton, its position manager and its lenses."""

from __future__ import annotations

from chains.devnet.addresses import PERMIT2
from chains.devnet.artifacts import artifact
from chains.devnet.builder import DEPLOYER, Builder
from chains.devnet.deploy.uniswap import ETCHED

UNSUBSCRIBE_GAS = 300_000


def deploy(b: Builder) -> None:
    at = b.chain.uniswap
    b.etch(artifact("PoolManager").creation(DEPLOYER), at.v4_pool_manager)
    b.record(
        "PoolManager",
        at.v4_pool_manager,
        "exact",
        "the package's build is the creation code of Uniswap's own broadcasts",
    )
    no_descriptor = "0x" + "0" * 40  # only tokenURI needs one
    manager = artifact("PositionManager").creation(
        at.v4_pool_manager, PERMIT2, UNSUBSCRIBE_GAS, no_descriptor, b.chain.weth
    )
    b.etch(manager, at.v4_position_manager)
    b.record("PositionManager", at.v4_position_manager, "genuine-build", ETCHED)
    b.etch(artifact("StateView").creation(at.v4_pool_manager), at.v4_state_view)
    b.record("StateView", at.v4_state_view, "genuine-build", ETCHED)
    b.etch(artifact("V4Quoter").creation(at.v4_pool_manager), at.v4_quoter)
    b.record("V4Quoter", at.v4_quoter, "genuine-build", ETCHED)
