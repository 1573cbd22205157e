"""What stands at the address of a contract of ours that has one on every chain: nothing, ours, or something else."""

from __future__ import annotations

from dataclasses import dataclass

from agent.app.settings_tree import Chain, Settings
from agent.app.watching.check import Check, ok, warn
from agent.app.watching.reading import Reading
from chains.types import Address
from contracts import flash_repay, route_executor
from contracts.hashing import keccak
from contracts.own import Own

HERE, ABSENT, OTHER = "ours", "absent", "other"


@dataclass(frozen=True, slots=True)
class Placed:
    """`key` of [wallet] opts in to it, `command` of `fairlead wallet` shows it, `without` is what is done where it does not stand."""

    own: Own
    address: str
    key: str
    command: str
    without: str

    def opted_in(self, settings: Settings) -> bool:
        return getattr(settings.wallet, self.key) is not None


ROUTES = Placed(
    route_executor.EXECUTOR,
    route_executor.ADDRESS,
    "route_executor",
    "executor",
    "plans use audited routers alone",
)
FLASH = Placed(
    flash_repay.FLASH,
    flash_repay.ADDRESS,
    "flash_repay",
    "flash",
    "no loan is repaid out of its own collateral",
)


async def standing(reading: Reading, chain: Chain, of: Placed) -> tuple[str, bytes]:
    """(HERE, ABSENT or OTHER, the hash of the code there). Raises as the gateway's reads."""
    code = await reading.gateways[chain.chain_id].code(Address(of.address))
    found = keccak(code)
    return (ABSENT if not code else HERE if found == of.own.runtime_hash else OTHER), found


async def placed(reading: Reading, chain: Chain, of: Placed) -> list[Check]:
    """Nothing where the settings do not opt in to it."""
    if not of.opted_in(reading.settings):
        return []
    name = f"{of.command} {chain.name}"
    state, found = await standing(reading, chain, of)
    if state == HERE:
        return [ok(name, f"{of.address} has the code the settings name (unaudited)")]
    told = "nothing stands" if state == ABSENT else f"other code stands (hash 0x{found.hex()})"
    return [
        warn(
            name,
            f"{told} at {of.address}: {of.without}",
            f"`fairlead wallet {of.command}` tells how it is placed",
        )
    ]
