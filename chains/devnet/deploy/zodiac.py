"""Zodiac's Roles v2 and module factory, by EIP-2470's real CREATE2 and the packages' own salt and creation code.

The Roles mastercopy is linked with two libraries whose creation code is in no package at those addresses' version: the
roles SDK's builds run there instead (Packer differs in metadata only, Integrity is a newer build).
"""

from __future__ import annotations

from eth_abi.abi import encode
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from chains.devnet.addresses import EIP2470_FACTORY, ZODIAC
from chains.devnet.artifacts import script_hex
from chains.devnet.builder import Builder
from chains.errors import Halt

EXACT = "CREATE2 over the package's code gives its listed address"
_DEPLOY = keccak(text="deploy(bytes,bytes32)")[:4]


def deploy(b: Builder) -> None:
    sender = "0x" + script_hex("SingletonFactory.js", "singletonDeployer =").hex()
    b.fund(to_checksum_address(sender))
    raw = script_hex("SingletonFactory.js", "broadcastTransaction(")
    b.rpc("eth_sendRawTransaction", "0x" + raw.hex())
    b.rpc("evm_mine")
    if b.rpc("eth_getCode", EIP2470_FACTORY, "latest") == "0x":
        raise Halt("DEVNET_BUILD", "EIP-2470's transaction left no code")
    b.record("EIP-2470 factory", EIP2470_FACTORY, "exact", "its published raw transaction")
    for name in ("Integrity", "Packer"):
        b.etch(script_hex("RolesLibraries.js", f"var {name}__factory", before=True), ZODIAC[name])
        b.record(
            f"Zodiac {name}",
            ZODIAC[name],
            "genuine-build",
            "the roles SDK's build, run at the linked address",
        )
    for name, file in (("RolesV2", "RolesV2.js"), ("ModuleProxyFactory", "ModuleProxyFactory.js")):
        salt, creation = script_hex(file, 'exports.salt = "'), script_hex(file, 'exports.initCode = "')
        _create2(b, creation, salt, ZODIAC[name])
        b.record(
            f"Zodiac {name}",
            ZODIAC[name],
            "exact",
            EXACT,
        )


def deploy_delay(b: Builder) -> None:
    """The Delay modifier. Last of all: what is built before it stays where it was."""
    salt, creation = (
        script_hex("Delay.js", 'exports.salt = "'),
        script_hex("Delay.js", 'exports.initCode = "'),
    )
    _create2(b, creation, salt, ZODIAC["Delay"])
    b.record("Zodiac Delay", ZODIAC["Delay"], "exact", EXACT)


def _create2(b: Builder, creation: bytes, salt: bytes, expect: str) -> None:
    digest = keccak(b"\xff" + bytes.fromhex(EIP2470_FACTORY[2:]) + salt + keccak(creation))
    if to_checksum_address(digest[12:]) != expect:
        raise Halt("DEVNET_BUILD", f"this code would come to stand at 0x{digest[12:].hex()}, not at {expect}")
    if b.rpc("eth_getCode", expect, "latest") == "0x":
        b.send(EIP2470_FACTORY, _DEPLOY + encode(["bytes", "bytes32"], [creation, salt]))
