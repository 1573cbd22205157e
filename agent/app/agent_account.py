"""What stands at the account of an agent behind ERC-4337: a Safe whose one owner is the agent's key, and nothing that another could use.

The scope binds whoever acts as the account; so another owner, module or guard of it does not widen what can be had. But it is
somebody else who can use it, or stop it, and the audit names that.
"""

from __future__ import annotations

from chains.gateway import Gateway
from chains.types import ZERO_ADDRESS, Address
from chains.wallets import identify
from keys.erc4337 import MODULE


async def account_findings(gateway: Gateway, account: Address, key: Address | None) -> tuple[str, ...]:
    """What is other than the settings say. Raises Retry where the chain does not answer."""
    found = await identify(gateway, account)
    state, named = found.safe, f"the agent's account {account}"
    if state is None:
        return (f"{named} is {found.what}, no official Safe: its key could not act as it",)
    told = []
    if key is None or state.owners != (key,) or state.threshold != 1:
        has = f"{state.threshold} of {', '.join(state.owners)}"
        told.append(f"{named} is owned by {has}, the settings name {key or 'no key'} alone")
    told += [f"module {m} can act as {named}" for m in state.modules if m != MODULE]
    if MODULE not in state.modules or state.fallback_handler != MODULE:
        told.append(
            f"{named} takes no user operations: the 4337 module {MODULE} has to be its module and its fallback handler"
        )
    if state.guard != ZERO_ADDRESS:
        told.append(f"guard {state.guard} stands in front of what {named} does by itself")
    return tuple(told)
