"""A Safe on a fork is given other owners: a rehearsal knows none of the keys that sign for the original.

Storage of Safe 1.3.0 to 1.5.0: owners is a linked list mapping(address => address) at slot 2 that begins and ends at the
sentinel 0x1, slot 3 holds the number of owners, slot 4 the threshold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chains.devnet.funding import mapping_slot, word
from chains.devnet.jsonrpc import Rpc, RpcError
from chains.devnet.nodes import environment_at
from chains.errors import Denied, Usage
from chains.types import Address, Environment
from contracts.abi_types import AbiError
from contracts.codec import decode_result, encode

OWNERS_SLOT, COUNT_SLOT, THRESHOLD_SLOT = 2, 3, 4
SENTINEL = "0x" + "0" * 39 + "1"


@dataclass(frozen=True, slots=True)
class SafeOwners:
    owners: tuple[Address, ...]
    threshold: int


def safe_owners(rpc: Rpc, safe: str, block: int | None = None) -> SafeOwners:
    """Who owns the Safe at `block` (the head by default). Raises Usage NOT_A_SAFE where nothing answers like one."""
    at = "latest" if block is None else hex(block)

    def ask(function: str) -> object:
        data = rpc("eth_call", {"to": safe, "data": "0x" + encode("safe", function).hex()}, at)
        return decode_result("safe", function, bytes.fromhex(data[2:]))[0]

    try:
        owners, threshold = ask("getOwners"), ask("getThreshold")
    except (RpcError, AbiError):
        raise Usage(
            "NOT_A_SAFE",
            f"no Safe answers at {safe}",
            "a rehearsal with a wallet needs a Safe that stands on that chain at that block",
        ) from None
    assert isinstance(owners, tuple | list) and isinstance(threshold, int)
    return SafeOwners(tuple(Address(o) for o in owners), threshold)


def replace_safe_owners(cheat_url: str, safe: str, owners: Sequence[str], threshold: int) -> None:
    """Make `owners` the Safe's only owners, by storage. Forks only: raises Denied NOT_A_FORK; Usage SAFE_STORAGE where
    the Safe keeps its owners elsewhere."""
    if environment_at(cheat_url) is not Environment.FORK:
        raise Denied(
            "NOT_A_FORK",
            "owners are replaced on forks only",
            "start one with `fairlead fork --rpc URL --wallet 0xSAFE`",
        )
    if not 1 <= threshold <= len(set(owners)) == len(owners):
        raise Usage("SAFE_THRESHOLD_INVALID", f"{threshold} of {len(owners)} owners is no threshold")
    with Rpc(cheat_url) as rpc:
        before = safe_owners(rpc, safe)
        for old in before.owners:
            rpc("anvil_setStorageAt", safe, mapping_slot(old, OWNERS_SLOT), word(0))
        ring = [SENTINEL, *owners, SENTINEL]
        for owner, following in zip(ring, ring[1:], strict=False):
            rpc("anvil_setStorageAt", safe, mapping_slot(owner, OWNERS_SLOT), word(int(following, 16)))
        rpc("anvil_setStorageAt", safe, word(COUNT_SLOT), word(len(owners)))
        rpc("anvil_setStorageAt", safe, word(THRESHOLD_SLOT), word(threshold))
        rpc("evm_mine")
        found = safe_owners(rpc, safe)
    if (found.threshold, [o.lower() for o in found.owners]) != (
        threshold,
        [o.lower() for o in owners],
    ):
        raise Usage(
            "SAFE_STORAGE",
            f"the Safe {safe} keeps its owners elsewhere",
            "Safes 1.3.0 to 1.5.0 can be rehearsed",
        )
