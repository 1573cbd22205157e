"""The protocols of the devnet, one file per family; `deploy_all` in the order they depend on each other."""

from __future__ import annotations

from chains.devnet.builder import Builder
from chains.devnet.deploy import (
    aave,
    balancer,
    base,
    cow,
    erc4337,
    flash_repay,
    gate,
    route_executor,
    safe,
    uniswap,
    v4,
    zodiac,
)


def deploy_all(builder: Builder) -> None:
    """Every contract of the builder's chain, without pools or liquidity."""
    base.deploy(builder)
    safe.deploy(builder)
    zodiac.deploy(builder)
    gate.deploy(builder)
    erc4337.deploy(builder)
    uniswap.deploy(builder)
    v4.deploy(builder)
    uniswap.deploy_universal_router(builder)
    if builder.chain.id == 1:
        balancer.deploy(builder)
        aave.deploy(builder)
        cow.deploy(builder)
    erc4337.deploy_08(builder)
    zodiac.deploy_delay(builder)
    route_executor.deploy(builder)
    flash_repay.deploy(builder)
