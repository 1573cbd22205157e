"""INTENT under the agent's own key: refused here by name, and on chain by Roles and Gate whatever the key sends.

An order's UID is a hash: a lock that sees only the UID cannot tell receiver, tokens or limit. The Gate builds no order from fields, so
none of its calls, and nothing the role reaches, may sign one, or let the vault relayer take anything.
"""

from __future__ import annotations

from collections.abc import Iterator

import custody as c
import pytest
from manual_clock import ManualClock
from offer_world import World

from agent.app.chaos.custody.attack import fixed, role
from agent.app.chaos.custody.world import ETH, USDC, WETH, Gated, gated
from agent.domain.events import Refused, Simulated
from agent.execution.authority import Authority
from agent.execution.outbox import Outbox
from agent.journal.book import Book
from chains.devnet.service import Status
from chains.profiles import load
from chains.types import Address, CowOrder
from contracts.codec import encode
from keys import cow_order

pytestmark = pytest.mark.devnet
SETTLEMENT = load(1).contracts["cow_settlement"]
RELAYER = load(1).contracts["cow_vault_relayer"]


@pytest.fixture
def world(devnet: Status) -> Iterator[Gated]:
    one = gated(devnet.cheat_urls)
    yield one
    one.rpc.close()


def uid_of(w: Gated, owner: str) -> bytes:
    order = CowOrder(
        1, SETTLEMENT, Address(owner), Address(c.THIEF), Address(WETH), Address(USDC), ETH, 1, w.now() + 600, cow_order.APP_DATA_HASH
    )  # fmt: skip
    return bytes.fromhex(cow_order.uid(order)[2:])


def test_roles_and_gate_refuse_every_way_to_sign_an_order(world: Gated) -> None:
    tries = {}
    for owner in (world.safe, world.gate):
        for name, args in (("setPreSignature", (True,)), ("invalidateOrder", ())):
            made = encode("gpv2_settlement", name, (uid_of(world, owner), *args))
            for op in (0, 1):
                tries[f"{name} for {owner} by role, operation {op}"] = role(
                    fixed(SETTLEMENT), lambda w, d=made: d, op
                )(world)
            tries[f"{name} for {owner} as the Gate's router call"] = world.through(
                world.trade(router=SETTLEMENT, data=made)
            )
    for amount in (1, ETH, 2**256 - 1):
        made = encode("erc20", "approve", (RELAYER, amount))
        tries[f"an allowance of {amount}"] = role(fixed(WETH), lambda w, d=made: d)(world)
        tries[f"an allowance of {amount} by the Gate"] = world.through(world.trade(router=WETH, data=made))
    before = world.fingerprint()
    for name, call in tries.items():
        assert world.why(call), name
        world.sends(call)
    assert world.fingerprint() == before
    for owner in (world.safe, world.gate):
        uid = uid_of(world, owner)
        assert world.read(SETTLEMENT, "gpv2_settlement", "preSignature", uid)[0] == 0
        assert world.read(WETH, "erc20", "allowance", owner, RELAYER)[0] == 0


@pytest.mark.parametrize("kind", ["sell", "buy"])
async def test_the_authority_names_why_it_makes_none(kind: str) -> None:
    async def ready() -> None:
        return None

    clock, offered = ManualClock(), World(kind=kind).authorized
    authority = Authority(clock, Book(), {}, {}, None, None, Outbox(clock, {}, {}), ready)  # type: ignore[arg-type]
    simulated = Simulated(offered.part, None, None, 1, 1, 0, 100, 0, offered.offer)
    refused = await authority.authorize(simulated)
    assert isinstance(refused, Refused) and refused.rule == "INTENT_NEEDS_OWNERS"
    assert "the agent's own key" in refused.message and "bare UID" in refused.message
    assert "--protection private" in refused.remedy
