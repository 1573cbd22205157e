"""Safe 1.4.1, and 1.3.0 (both of its sets) and 1.5.0 beside it, by the real CREATE2 of the factories that made them.

Safe's singleton factory comes by its published keyless transaction; Arachnid's deployment proxy is on a new Anvil already.
"""

from __future__ import annotations

from chains.devnet.addresses import SAFE, SAFE_PACKAGES, SAFE_SINGLETON_FACTORY
from chains.devnet.artifacts import artifact, deployment
from chains.devnet.builder import Builder
from chains.errors import Halt
from chains.safe_versions import RELEASES

_WHY = "CREATE2 over the package's code gives the official address"


def deploy(b: Builder) -> None:
    factory = deployment(f"SafeSingletonFactory-{b.chain.id}")
    b.fund(factory["signerAddress"])
    b.rpc("anvil_setNextBlockBaseFeePerGas", "0x1")
    b.rpc("eth_sendRawTransaction", factory["transaction"])
    b.rpc("evm_mine")
    if b.rpc("eth_getCode", SAFE_SINGLETON_FACTORY, "latest") == "0x":
        raise Halt("DEVNET_BUILD", "the Safe singleton factory's transaction left no code")
    b.record("SafeSingletonFactory", SAFE_SINGLETON_FACTORY, "exact", "its published raw transaction")
    for name, address in SAFE.items():
        b.create2(artifact(name).creation(), SAFE_SINGLETON_FACTORY, bytes(32), address)
        b.record(f"{name} 1.4.1", address, "exact", _WHY)
    for release in RELEASES:
        for field, name in SAFE_PACKAGES.get(release.version, {}).items():
            address = getattr(release, field)
            b.create2(artifact(name).creation(), release.deployer, bytes(32), address)
            which = "" if release.canonical else " (EIP-155 set)"
            b.record(f"{name.partition('-')[0]} {release.version}{which}", address, "exact", _WHY)
