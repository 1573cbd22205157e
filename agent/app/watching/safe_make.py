"""What a Safe is made of, held against its publisher's: the code of its proxy and its singleton, its fallback handler, a module guard. Reads only.

A contract passes for a Safe by what it answers and by the singleton it names (`chains.wallets.identify`). Whether it also does what that
singleton does is decided by its own code: a proxy of another make may keep a door of its own.
"""

from __future__ import annotations

from chains.evm import address_of, keccak
from chains.gateway import Gateway
from chains.safe_versions import PROXY_CODES, RELEASES, code_of
from chains.types import ZERO_ADDRESS, Address
from chains.wallets import MODULE_GUARD_SLOT, SafeState


async def codes_of(gateway: Gateway, wallet: Address, state: SafeState, block: int) -> tuple[str, ...]:
    """What of its code is none of its publisher's. Raises Retry where the chain does not answer."""
    proxy = "0x" + keccak(await gateway.code(wallet, block)).hex()
    singleton = "0x" + keccak(await gateway.code(state.singleton, block)).hex()
    found = []
    if proxy not in PROXY_CODES:
        found.append(
            f"the Safe's own code {proxy} is no proxy of a release known here: it need not do what its singleton does"
        )
    if singleton != code_of(state.singleton):
        found.append(
            f"the code of its singleton {state.singleton} is {singleton}, not that of Safe {state.version}"
        )
    return tuple(found)


async def made_of(gateway: Gateway, wallet: Address, state: SafeState, block: int) -> tuple[str, ...]:
    """All of it. Raises Retry where the chain does not answer."""
    found = [*await codes_of(gateway, wallet, state, block)]
    guard = address_of(await gateway.storage_at(wallet, MODULE_GUARD_SLOT, block))
    if state.fallback_handler not in (ZERO_ADDRESS, *(r.fallback_handler for r in RELEASES)):
        found.append(
            f"fallback handler {state.fallback_handler} answers in the Safe's name, and is none of Safe's own"
        )
    if guard != ZERO_ADDRESS:
        found.append(f"module guard {guard} stands in front of what modules do")
    return tuple(found)
