"""Balancer V2 on chain 1: the Vault with its factories, from the project's own published artifacts."""

from __future__ import annotations

from chains.devnet.addresses import BALANCER
from chains.devnet.artifacts import artifact
from chains.devnet.builder import DEPLOYER, Builder

_MONTH = 30 * 86400
ETCHED = "Balancer's own deployment artifact, its constructor run at the real address"


def deploy(b: Builder) -> None:
    authorizer = BALANCER["Authorizer"]
    b.etch(artifact("BalancerAuthorizer").creation(DEPLOYER), authorizer)
    b.record("Balancer Authorizer", authorizer, "genuine-build", ETCHED)
    vault = BALANCER["Vault"]
    b.etch(artifact("BalancerVault").creation(authorizer, b.chain.weth, 3 * _MONTH, _MONTH), vault)
    b.record("Balancer Vault", vault, "genuine-build", ETCHED)
    fees = BALANCER["ProtocolFeePercentagesProvider"]
    b.etch(artifact("ProtocolFeePercentagesProvider").creation(vault, 10**18 // 2, 10**18 // 2), fees)
    b.record("Balancer ProtocolFeePercentagesProvider", fees, "genuine-build", ETCHED)
    b.etch(artifact("BalancerHelpers").creation(vault), BALANCER["BalancerHelpers"])
    b.record("BalancerHelpers", BALANCER["BalancerHelpers"], "genuine-build", ETCHED)
    for name in ("WeightedPoolFactory", "ComposableStablePoolFactory"):
        b.etch(
            artifact(name).creation(vault, fees, f'{{"name":"{name}","version":3}}', '{"version":3}'),
            BALANCER[name],
        )
        b.record(f"Balancer {name}", BALANCER[name], "genuine-build", ETCHED)
