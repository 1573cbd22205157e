"""What stands at the RouteExecutor's address on each chain: nothing, ours, or something else."""

from __future__ import annotations

from agent.app.settings_tree import Chain
from agent.app.watching.check import Check, ok, warn
from agent.app.watching.reading import Reading
from chains.types import Address
from contracts.hashing import keccak
from contracts.route_executor import ADDRESS, EXECUTOR

HERE, ABSENT, OTHER = "ours", "absent", "other"


async def standing(reading: Reading, chain: Chain) -> tuple[str, bytes]:
    """(HERE, ABSENT or OTHER, the hash of the code there). Raises as the gateway's reads."""
    code = await reading.gateways[chain.chain_id].code(Address(ADDRESS))
    found = keccak(code)
    return (ABSENT if not code else HERE if found == EXECUTOR.runtime_hash else OTHER), found


async def executor(reading: Reading, chain: Chain) -> list[Check]:
    """Nothing where the settings do not opt in to it."""
    if reading.settings.wallet.route_executor is None:
        return []
    name = f"executor {chain.name}"
    state, found = await standing(reading, chain)
    if state == HERE:
        return [ok(name, f"{ADDRESS} has the code the settings name (unaudited)")]
    told = "nothing stands" if state == ABSENT else f"other code stands (hash 0x{found.hex()})"
    return [
        warn(
            name,
            f"{told} at {ADDRESS}: plans use audited routers alone",
            "`fairlead wallet executor` tells how it is placed",
        )
    ]
