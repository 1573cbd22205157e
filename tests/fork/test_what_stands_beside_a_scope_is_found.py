"""What `wallet audit` looks for beside the settings, on genuine contracts: in the logs of Gate and Roles, and in what the Safe is made of."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest

from agent.app.auditing_past import Beside, Logged, beside
from agent.app.chaos.custody.attack import DAI
from agent.app.chaos.custody.world import AGENT, MULTI_SEND, OWNERS, ROUTER02, THIEF, USDC, Gated, gated
from agent.app.scoping import Granted
from agent.app.watching.safe_make import made_of
from chains.devnet.addresses import CHAINS
from chains.devnet.funding import create_safe
from chains.devnet.service import Status
from chains.evm import keccak, word
from chains.gateway import Gateway
from chains.rpc import Rpc as AsyncRpc
from chains.rpc import RpcReject
from chains.safe_versions import RELEASES, VERSIONS
from chains.types import Address
from chains.wallets import FALLBACK_SLOT, MODULE_GUARD_SLOT, identify
from contracts.codec import encode
from keys.safe import SafeTx
from keys.scope import ROLE

pytestmark = pytest.mark.devnet
DAY = 86_400
FEED = CHAINS[1].feeds["ETH"]
MULTISEND = b"\x8d\x80\xff\x0a"


@pytest.fixture
def world(devnet: Status) -> Iterator[Gated]:
    one = gated(devnet.cheat_urls)
    yield one
    one.rpc.close()


@pytest.fixture
async def gateway(devnet: Status) -> AsyncIterator[Gateway]:
    async with aiohttp.ClientSession() as session:
        yield Gateway(1, [AsyncRpc(devnet.cheat_urls[1], session)])


async def looked(world: Gated, gateway: Gateway, logged: Logged) -> Beside:
    head = await gateway.block()
    has = Granted(world.gate, world.roles, (world.gate, world.roles), (), 0, head, 0)
    return await beside(gateway, world.scope, has, logged)


def widened(world: Gated, data: bytes) -> None:
    """By the queue, as the Safe widens after the seal."""
    world.safe_calls(world.gate, "gate", "queue", data)
    world.later(DAY + 1)
    owner = OWNERS[0].address
    world.rpc("anvil_setBalance", owner, hex(10**18))
    world.rpc("anvil_impersonateAccount", owner)
    call = {"from": owner, "to": world.gate, "data": "0x" + encode("gate", "run", (data,)).hex()}
    assert world.rpc.transact(call)["status"] == "0x1"


async def test_what_the_gate_and_roles_were_told_besides_is_named(world: Gated, gateway: Gateway) -> None:
    logged = Logged()
    assert await looked(world, gateway, logged) == Beside(), "a scope as it was granted has nothing beside it"

    widened(world, encode("gate", "setToken", (DAI, FEED, 3_600)))
    selector = keccak(b"exactOutputSingle((address,address,uint24,address,uint256,uint256,uint160))")[:4]
    widened(world, encode("gate", "setRoute", (ROUTER02, selector, 1)))
    read = logged.upto
    found = await looked(world, gateway, logged)
    assert found.drift == (
        f"the Gate lists the token {DAI}, the settings do not say so",
        f"the Gate calls 0x{selector.hex()} of {ROUTER02}, the settings do not say so",
    )
    assert logged.upto > read and found.unread == "" and found.waits == ()

    # What is taken back is no finding any more, though it stays in the logs.
    world.safe_calls(world.gate, "gate", "setToken", DAI, "0x" + "0" * 40, 0)
    world.safe_calls(world.gate, "gate", "setRoute", ROUTER02, selector, 0)
    world.safe_calls(world.roles, "zodiac_roles", "allowTarget", ROLE, THIEF, 3)
    world.safe_calls(world.roles, "zodiac_roles", "allowFunction", ROLE, world.gate, MULTISEND, 0)
    world.safe_calls(world.roles, "zodiac_roles", "setTransactionUnwrapper", MULTI_SEND, MULTISEND, THIEF)
    found = await looked(world, gateway, logged)
    assert found.drift == (
        f"the Roles modifier opens 0x{MULTISEND.hex()} of {MULTI_SEND} by an unwrapper, the settings name none",
        f"role 0x{ROLE.hex()} may reach {THIEF}, the settings do not say so",
        f"the role may call 0x{MULTISEND.hex()} of the Gate, the settings do not say so",
    )
    world.safe_calls(world.roles, "zodiac_roles", "revokeTarget", ROLE, THIEF)
    world.safe_calls(world.roles, "zodiac_roles", "revokeFunction", ROLE, world.gate, MULTISEND)
    nobody = "0x" + "0" * 40
    world.safe_calls(world.roles, "zodiac_roles", "setTransactionUnwrapper", MULTI_SEND, MULTISEND, nobody)
    assert (await looked(world, gateway, Logged())) == Beside(), "read afresh, all of it"

    # Told in a form that no compiler writes, it works all the same; and is not passed over.
    data = encode("gate", "setAgent", (nobody,))
    world.owners_do(SafeTx(world.gate, 0, data + b"\x01", 0, world.nonce()))
    (strange,) = (await looked(world, gateway, logged)).drift
    assert "cannot be read" in strange


async def test_a_widening_in_the_queue_waits_and_a_freeze_voids_it(world: Gated, gateway: Gateway) -> None:
    data = encode("gate", "setAgent", (AGENT,))
    world.safe_calls(world.gate, "gate", "queue", data)
    (told,) = (await looked(world, gateway, Logged())).waits
    assert f"setAgent(agent_ {AGENT}) waits" in told and "can run it in " in told and "cancel(0x" in told
    world.later(DAY)
    (told,) = (await looked(world, gateway, Logged())).waits
    assert "can run it NOW" in told
    world.safe_calls(world.gate, "gate", "freeze")
    assert await looked(world, gateway, Logged()) == Beside()


async def test_a_refusing_endpoint_leaves_it_unread_and_says_so(world: Gated, gateway: Gateway) -> None:
    class Narrow(Gateway):
        """An endpoint that gives the logs of a few blocks at once and no more, as some providers do."""

        widest = 0

        async def logs(self, address: Any, topics: Any, first: int, last: int, *, halve: bool = True) -> Any:
            if last - first > self.widest:
                raise RpcReject(-32005, f"more than {self.widest} blocks", origin="https://narrow.example")
            return await super().logs(address, topics, first, last, halve=halve)

    head = await gateway.block()
    has = Granted(world.gate, world.roles, (world.gate,), (), 0, head, 0)
    async with aiohttp.ClientSession() as session:
        narrow = Narrow(1, [AsyncRpc(world.url, session)])
        told = await beside(narrow, world.scope, has, Logged())
        assert "more than 0 blocks" in told.unread and told.drift == told.waits == ()
        narrow.widest = head.number // 8
        whole = Logged()
        assert await beside(narrow, world.scope, has, whole) == Beside()
        # What was found before an endpoint fell silent stays found; and it is left alone for an hour.
        world.safe_calls(world.roles, "zodiac_roles", "allowTarget", ROLE, THIEF, 3)
        (reach,) = (await looked(world, narrow, whole)).drift
        narrow.widest = -1
        told = await looked(world, narrow, whole)
        assert told.drift == (reach,) and "more than -1 blocks" in told.unread
        world.safe_calls(world.roles, "zodiac_roles", "revokeTarget", ROLE, THIEF)
        narrow.widest = 10**9
        assert (await looked(world, narrow, whole)).drift == (reach,), "not asked again yet"
        world.later(3_601)
        assert await looked(world, narrow, whole) == Beside()
    none = Granted(world.gate, world.roles, (), (), 0, head, 0)
    assert await beside(gateway, world.scope, none, Logged()) == Beside()


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_safe_of_every_release_is_of_its_publishers_make(
    devnet: Status, gateway: Gateway, version: str
) -> None:
    url = devnet.cheat_urls[1]
    for number, layer2 in enumerate((False, True)):
        who = [o.address for o in OWNERS]
        wallet = Address(create_safe(url, who, 2, 900 + number, version=version, layer2=layer2))
        found = await identify(gateway, wallet)
        assert found.safe is not None
        assert await made_of(gateway, wallet, found.safe, found.block.number) == ()


async def test_a_safe_that_is_not_what_it_seems_is_named(world: Gated, gateway: Gateway) -> None:
    safe = world.safe
    code = world.rpc("eth_getCode", safe, "latest")
    world.rpc("anvil_setCode", safe, code[:-2] + "00")
    world.rpc("anvil_setStorageAt", safe, hex(FALLBACK_SLOT), "0x" + word(THIEF).hex())
    world.rpc("anvil_setStorageAt", safe, hex(MODULE_GUARD_SLOT), "0x" + word(USDC).hex())
    found = await identify(gateway, safe)
    assert found.safe is not None, "by its singleton and what it tells it passes for one"
    told = await made_of(gateway, safe, found.safe, found.block.number)
    assert len(told) == 3 and "need not do what its singleton does" in told[0]
    assert (
        f"fallback handler {THIEF} answers in the Safe's name" in told[1]
        and f"module guard {USDC}" in told[2]
    )
    known = next(r for r in RELEASES if found.safe.singleton in (r.safe, r.safe_l2))
    world.rpc(
        "anvil_setCode",
        found.safe.singleton,
        world.rpc(
            "eth_getCode", known.safe_l2 if found.safe.singleton == known.safe else known.safe, "latest"
        ),
    )
    told = await made_of(gateway, safe, found.safe, found.block.number)
    assert any(f"the code of its singleton {found.safe.singleton}" in line for line in told)
