"""Our own Gate, by the Safe singleton factory: the place every Safe's Gate is created from, tried once a chain.

The one placed here belongs to the build's account and holds nothing: it is there to be read (its code is every Gate's).
"""

from __future__ import annotations

from eth_utils.address import to_checksum_address

from chains.devnet.artifacts import artifact
from chains.devnet.builder import DEPLOYER, Builder
from contracts import gate


def deploy(b: Builder) -> None:
    creation = bytes.fromhex(artifact("Gate").bytecode)
    holder = to_checksum_address(DEPLOYER)
    address = gate.address(creation, holder)
    b.create2(gate.init_code(creation, holder), gate.FACTORY, gate.SALT, address)
    b.record(
        "Gate (reference, ours, unaudited)",
        address,
        "exact",
        "CREATE2 over contracts/src/Gate.sol as set-up compiles it; belongs to the build's account",
    )
