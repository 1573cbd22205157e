"""Our own FlashRepay, by the Safe singleton factory: one address on every chain."""

from __future__ import annotations

from chains.devnet.builder import Builder
from chains.devnet.deploy.route_executor import place
from contracts.flash_repay import ADDRESS, FLASH


def deploy(b: Builder) -> None:
    place(b, FLASH, ADDRESS)
