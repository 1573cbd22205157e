"""Our own FlashRepay, by the Safe singleton factory: one address on every chain."""

from __future__ import annotations

from chains.devnet.artifacts import artifact
from chains.devnet.builder import Builder
from contracts.flash_repay import ADDRESS, FLASH
from contracts.own import FACTORY


def deploy(b: Builder) -> None:
    code = FLASH.init_code(bytes.fromhex(artifact("FlashRepay").bytecode))
    b.create2(code, FACTORY, FLASH.salt, ADDRESS)
    b.record(
        "FlashRepay (ours, unaudited)",
        ADDRESS,
        "exact",
        "CREATE2 over contracts/src/FlashRepay.sol as set-up compiles it; ownerless",
    )
