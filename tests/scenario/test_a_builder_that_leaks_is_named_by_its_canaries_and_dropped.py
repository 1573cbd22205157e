"""Each road is given canaries that no other road has; the one whose canary is seen elsewhere is named and used no longer."""

from __future__ import annotations

import pytest
from anvil_support import RelayWorld, relay_world

from agent.app.canaries import Canaries, in_public
from chains.devnet.builders import parse
from chains.gateway import Gateway
from chains.relay_auth import local_header
from chains.relay_set import RelaySet
from chains.relays.buildernet import BuilderNetRelay
from chains.relays.flashbots import FlashbotsRelay
from chains.relays.titan import TitanRelay
from chains.types import SignedTx, UnsignedTx
from contracts.hashing import keccak
from keys.curve import SigningKey
from keys.transactions import assemble, digest

AUTH = local_header(bytes([1] * 31 + [97]))
KEY = SigningKey(keccak(b"a key for canaries"))
ROADS = {"titan": TitanRelay, "buildernet": BuilderNetRelay, "flashbots": FlashbotsRelay}
SHARES = {"titan": 49, "buildernet": 28, "flashbots": 17}
MOST = 20
"""Canaries a road is given before it counts as silent."""


async def sign(tx: UnsignedTx) -> SignedTx:
    return assemble(tx, KEY.sign(digest(tx)), KEY.address)


def options(leaky: str, leaks: str) -> list[str]:
    told = [f"{n}:{share}" + (f":leaks={leaks}" if n == leaky else "") for n, share in SHARES.items()]
    return [word for text in told for word in ("--builder", text)]


async def flock(world: RelayWorld) -> Canaries:
    await world.admin.call("anvil_setBalance", [KEY.address, hex(10**18)])
    relays = RelaySet(
        [kind(f"{world.url}/builder/{name}", world.session, AUTH) for name, kind in ROADS.items()]
    )
    makers = {name: frozenset({parse(f"{name}:1").coinbase}) for name in ROADS}
    return Canaries(1, Gateway(1, [world.rpc]), relays, KEY.address, sign, makers)


async def let_fly(world: RelayWorld, canaries: Canaries, road: str, number: int) -> None:
    async def mined() -> None:
        await world.mine()

    await canaries.let_fly(road, number, in_public(world.rpc), mined)


@pytest.mark.parametrize("leaks", ["publish", "replay"])
@pytest.mark.parametrize("leaky", ["titan", "flashbots"])
async def test_it_is_named_within_twenty_and_the_others_stay(leaky: str, leaks: str) -> None:
    async with relay_world(*options(leaky, leaks), "--seed", "11") as world:
        canaries = await flock(world)
        for number in range(MOST):
            for road in [r for r in ROADS if r not in canaries.leaks]:
                await let_fly(world, canaries, road, number)
            if leaky in canaries.leaks and number >= 2:
                break
        assert set(canaries.leaks) == {leaky} == set(canaries.roads.dropped)
        assert canaries.sent[leaky] <= MOST
        assert leaky not in [m.profile.name for m in canaries.roads.members]
        told = {a["builder"] for a in (await world.truth())["arrivals"] if a["road"] == "private"}
        assert told == set(ROADS)


async def test_honest_roads_are_never_named() -> None:
    async with relay_world(*options("", ""), "--seed", "12") as world:
        canaries = await flock(world)
        for number in range(MOST):
            for road in ROADS:
                await let_fly(world, canaries, road, number)
        assert canaries.leaks == {} == canaries.roads.dropped
        assert all(canaries.sent[road] == MOST for road in ROADS)
