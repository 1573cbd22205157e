"""ERC-4337: EntryPoint 0.7 with the Safe 4337 module 0.3.0, EntryPoint 0.8 with the account an EIP-7702 key runs, by the deterministic deployment proxy's real CREATE2."""

from __future__ import annotations

from chains.devnet.addresses import (
    CREATE2_PROXY,
    ENTRY_POINT,
    ENTRY_POINT_08,
    ENTRY_POINT_08_SALT,
    ENTRY_POINT_SALT,
    SAFE_4337,
    SIMPLE_7702_ACCOUNT,
)
from chains.devnet.artifacts import artifact
from chains.devnet.builder import Builder
from chains.errors import Halt

EXACT = "CREATE2 over the package's code gives the official address"


def deploy(b: Builder) -> None:
    """Raises Halt where the node lacks the proxy (a new Anvil has it) or an address is not the official one."""
    if b.rpc("eth_getCode", CREATE2_PROXY, "latest") == "0x":
        raise Halt("DEVNET_BUILD", "the node has no deterministic deployment proxy")
    b.create2(artifact("EntryPoint").creation(), CREATE2_PROXY, ENTRY_POINT_SALT, ENTRY_POINT)
    b.record("EntryPoint 0.7", ENTRY_POINT, "exact", EXACT)
    for name, arguments in (("Safe4337Module", (ENTRY_POINT,)), ("SafeModuleSetup", ())):
        creation = artifact(name).creation(*arguments)
        b.create2(creation, CREATE2_PROXY, bytes(32), SAFE_4337[name])
        b.record(f"{name} 0.3.0", SAFE_4337[name], "exact", EXACT)


def deploy_08(b: Builder) -> None:
    """Raises Halt where an address is not the official one. Last of all: what is built before it stays where it was."""
    b.create2(artifact("EntryPoint08").creation(), CREATE2_PROXY, ENTRY_POINT_08_SALT, ENTRY_POINT_08)
    b.record("EntryPoint 0.8", ENTRY_POINT_08, "exact", EXACT)
    b.create2(artifact("Simple7702Account").creation(), CREATE2_PROXY, bytes(32), SIMPLE_7702_ACCOUNT)
    b.record("Simple7702Account 0.8", SIMPLE_7702_ACCOUNT, "exact", EXACT)
