"""Safe 1.4.1, by the Safe singleton factory's real CREATE2 and its published keyless transaction."""

from __future__ import annotations

from chains.devnet.addresses import SAFE, SAFE_SINGLETON_FACTORY
from chains.devnet.artifacts import artifact, deployment
from chains.devnet.builder import Builder
from chains.errors import Halt


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
        b.record(
            f"{name} 1.4.1", address, "exact", "CREATE2 over the package's code gives the official address"
        )
