"""A flight of canaries for a home: each private road of a chain in turn, until each had its number or was named."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from agent.app.canaries import CANARY_GAS, Canaries, Copied, in_public
from agent.app.settings_tree import Chain
from chains.errors import FairleadError, Retry, Usage
from chains.gas import Urgency, bid
from chains.gateway import Gateway
from chains.rpc import Rpc
from chains.types import Address, Environment

GIVE_UP = 3
"""Refusals in a row after which a road is asked no more."""
PATIENCE_BLOCKS = 10


@dataclass
class RoadTold:
    """`landed` of `sent` canaries were in a block; `why` is empty where nothing showed that the road told; `error` its last refusal."""

    road: str
    sent: int = 0
    landed: int = 0
    why: str = ""
    error: str = ""
    refused: int = 0

    def to_json(self) -> dict[str, object]:
        return {
            "road": self.road, "sent": self.sent, "landed": self.landed, "leaked": bool(self.why), "why": self.why or None,
            "error": self.error or None,
        }  # fmt: skip


async def fly(
    canaries: Canaries,
    count: int,
    copied: Copied,
    next_head: Callable[[], Awaitable[None]],
    leaked: Callable[[str, str], None],
    say: Callable[[str], None],
) -> tuple[RoadTold, ...]:
    """`count` canaries for each road, one at a time, the roads in turn; `leaked` is told a name and why at once.

    What a road refuses is told of that road; raises Retry where the chain itself does not answer.
    """
    told = {member.profile.name: RoadTold(member.profile.name) for member in canaries.roads.members}
    for number in range(count):
        for road in [t for t in told.values() if not t.why and t.refused < GIVE_UP]:
            try:
                road.landed += await canaries.let_fly(road.road, number, copied, next_head)
                road.refused = 0
            except FairleadError as error:
                await canaries.gateway.block()  # the chain's own silence is no word of the road's
                road.error, road.refused = str(error), road.refused + 1
            road.sent = canaries.sent.get(road.road, 0)
            road.why = canaries.leaks.get(road.road, "")
            if road.why:
                leaked(road.road, road.why)
                say(f"{road.road} leaked its canary {road.sent}: {road.why}")
        say(f"{number + 1} of {count}: " + ", ".join(f"{t.road} {t.sent}" for t in told.values()))
    return tuple(told.values())


def anywhere(rpcs: Sequence[Rpc]) -> Copied:
    """Looks at every endpoint of the chain; one that does not answer shows nothing."""

    async def copied(note: bytes, own: str) -> str:
        found = await asyncio.gather(*(in_public(rpc)(note, own) for rpc in rpcs), return_exceptions=True)
        for one in found:
            if isinstance(one, BaseException) and not isinstance(one, FairleadError):
                raise one
        return next((one for one in found if isinstance(one, str) and one), "")

    return copied


def heads_of(gateway: Gateway, poll_s: float, block_time_s: float) -> Callable[[], Awaitable[None]]:
    """Waits for one more block. Raises Retry NO_NEW_BLOCK."""

    async def next_head() -> None:
        was = (await gateway.block()).hash
        for _ in range(int(PATIENCE_BLOCKS * block_time_s / poll_s) + 1):
            await asyncio.sleep(poll_s)
            if (await gateway.block()).hash != was:
                return
        raise Retry(
            "NO_NEW_BLOCK", f"no block came within {PATIENCE_BLOCKS} block times", "is the chain alive?"
        )

    return next_head


async def afford(gateway: Gateway, sender: Address, canaries: int) -> int:
    """What that many canaries cost at most, wei. Raises Usage CANARY_NO_GAS where the account has not even enough for one."""
    fees = bid(await gateway.fee_history(), Urgency.PATIENT)
    each = CANARY_GAS * fees.max_fee_wei
    if await gateway.balance(sender) < each:
        raise Usage(
            "CANARY_NO_GAS",
            f"{sender} holds too little for one canary: {each} wei",
            "send it a little of the chain's coin",
        )
    return each * canaries


def makers(chain: Chain, environment: Environment, named: Sequence[str]) -> Mapping[str, frozenset[Address]]:
    """Whose blocks a road's canary may be in: ROAD=ADDRESS as often as wanted; a local devnet's builders are known.

    Raises Usage BAD_MAKER.
    """
    from chains.devnet.builders import parse
    from chains.evm import checksum

    found: dict[str, frozenset[Address]] = {}
    if environment is Environment.DEVNET:
        for relay in chain.relays:
            name = urlsplit(relay.url).path.removeprefix("/builder/")
            if name.isidentifier():
                found[relay.name] = frozenset({parse(f"{name}:1").coinbase})
    for text in named:
        road, _, address = text.partition("=")
        if road not in {r.name for r in chain.relays} or len(address) != 42 or not address.startswith("0x"):
            known = ", ".join(r.name for r in chain.relays)
            raise Usage(
                "BAD_MAKER", f"--maker '{text}' is not ROAD=0xADDRESS", f"roads of {chain.name}: {known}"
            )
        found[road] = found.get(road, frozenset()) | {checksum(address)}
    return found


__all__ = ["RoadTold", "afford", "anywhere", "fly", "heads_of", "makers"]
