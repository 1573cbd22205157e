"""A chain's logs over many blocks, in so many requests at most: endpoints refuse ranges that are too wide, each at a width of its own."""

from __future__ import annotations

from collections.abc import Sequence

from chains.gateway import Gateway
from chains.rpc import RpcReject
from chains.types import Address, Log


async def logs_within(
    gateway: Gateway,
    address: Address | Sequence[Address] | None,
    topics: Sequence[bytes | Sequence[bytes] | None],
    first: int,
    last: int,
    budget: list[int],
) -> list[Log]:
    """As `Gateway.logs`; `budget` holds one number, how many requests are left. Raises the endpoint's refusal once they are used up."""
    budget[0] -= 1
    try:
        return await gateway.logs(address, topics, first, last, halve=False)
    except RpcReject:
        if last <= first or budget[0] < 2:
            raise
    middle = (first + last) // 2
    begun = await logs_within(gateway, address, topics, first, middle, budget)
    return begun + await logs_within(gateway, address, topics, middle + 1, last, budget)
