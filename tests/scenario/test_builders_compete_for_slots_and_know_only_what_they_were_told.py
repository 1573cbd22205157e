"""Several builders behind one chain: each lands only what it was handed, in the slots it wins, as late and as wrong as it is."""

from __future__ import annotations

from collections import Counter

import pytest
from anvil_support import RelayWorld, User, relay_world

from chains.devnet.builders import Auction, parse
from chains.devnet.relay_pool import Pools
from chains.errors import Reject, Usage
from chains.relay import Relay, sendable
from chains.relay_auth import local_header
from chains.relays.flashbots import FlashbotsRelay
from chains.relays.titan import TitanRelay
from chains.types import Protection, SignedTx

AUTH = local_header(bytes([1] * 31 + [98]))
SHARES = ("--builder", "titan:49", "--builder", "beaver:28", "--builder", "quasar:17")


def road(world: RelayWorld, name: str, kind: type = FlashbotsRelay) -> Relay:
    relay: Relay = kind(f"{world.url}/builder/{name}", world.session, AUTH)
    return relay


async def hand(relay: Relay, tx: SignedTx, block: int = 0) -> None:
    await relay.send(sendable(tx, Protection.PRIVATE, relay.profile), block=block or None, max_block=None)


def pay(user: User) -> SignedTx:
    return user.sign("0x" + "00" * 19 + "07", value=1)


async def included(world: RelayWorld, tx: SignedTx) -> bool:
    return await world.rpc.call("eth_getTransactionReceipt", [tx.hash]) is not None


def test_slots_are_won_by_share_and_some_by_nobody() -> None:
    first, again = drawn(), drawn()
    won = Counter(first)
    assert 450 <= won["titan"] <= 530 and 240 <= won["beaver"] <= 320 and 135 <= won["quasar"] <= 205
    assert 35 <= won[""] <= 85
    assert first == again, "seeded"


def drawn() -> list[str]:
    auction = Auction([parse(text) for text in SHARES[1::2]], Pools(), 7)
    return [winner.name if (winner := auction.draw()) else "" for _ in range(1000)]


@pytest.mark.parametrize(
    "text", ["titan", "titan:x", "titan:101", "titan:5:leaks=all", "a b:5", "t:5:wins=1"]
)
def test_what_is_no_builder_is_named(text: str) -> None:
    with pytest.raises(Usage, match=text.split(":")[0]):
        parse(text)


def test_shares_beyond_a_hundred_are_refused() -> None:
    with pytest.raises(Usage, match="100 per cent"):
        Auction([parse("a:60"), parse("b:50")], Pools())


async def test_a_builder_lands_what_it_was_handed_when_it_wins_and_says_whose_block_it_is() -> None:
    async with relay_world(*SHARES, "--seed", "3") as world:
        relay = road(world, "beaver")
        for _ in range(3):
            tx = pay(world.users[0])
            await hand(relay, tx)
            for _ in range(40):
                await world.mine()
                if await included(world, tx):
                    break
            truth = await world.truth()
            (landed,) = [e for e in truth["included"] if e["hash"] == tx.hash]
            (won,) = [w for w in truth["winners"] if w["block"] == landed["block"]]
            assert won["winner"] == "beaver"
            block = await world.rpc.call("eth_getBlockByNumber", [hex(landed["block"]), False])
            assert block["miner"] == parse("beaver:1").coinbase.lower()
            (arrival,) = [a for a in truth["arrivals"] if a["hash"] == tx.hash]
            assert (arrival["road"], arrival["builder"]) == ("private", "beaver")
            assert truth["public_pool"] == []


async def test_two_builders_with_the_same_transaction_land_it_once() -> None:
    async with relay_world("--builder", "a:50", "--builder", "b:50") as world:
        tx = pay(world.users[0])
        for name in ("a", "b"):
            await hand(road(world, name), tx)
        await world.mine(4)
        truth = await world.truth()
        assert [e["hash"] for e in truth["included"]].count(tx.hash) == 1
        assert truth["private_pending"] == []


async def test_what_comes_after_the_cut_off_waits_for_another_slot() -> None:
    async with relay_world("--builder", "slow:100:latency=60000") as world:
        tx = pay(world.users[0])
        await hand(road(world, "slow"), tx)
        await world.mine()
        assert not await included(world, tx)
        await world.admin.call("relay_builder", [{"name": "slow", "latency": 0}])
        await world.mine()
        assert await included(world, tx)


@pytest.mark.parametrize(("race", "lands"), [(0, False), (100, True)])
@pytest.mark.parametrize("kind", [FlashbotsRelay, TitanRelay])
async def test_a_cancel_may_lose_its_race_and_then_only_for_the_next_slot(
    kind: type, race: int, lands: bool
) -> None:
    async with relay_world("--builder", f"a:100:race={race}") as world:
        tx = pay(world.users[0])
        relay = road(world, "a", kind)
        await hand(relay, tx, block=int(await world.rpc.call("eth_blockNumber"), 16) + 1)
        assert await relay.cancel(tx)
        await world.mine()
        assert await included(world, tx) is lands


async def test_its_status_lags_or_lies_and_the_chain_does_not() -> None:
    async with relay_world("--builder", "a:100:lag=2") as world:
        tx = pay(world.users[0])
        await hand(road(world, "a"), tx)

        async def told() -> str:
            async with world.session.get(f"{world.url}/builder/a/tx/{tx.hash}") as response:
                return str((await response.json())["status"])

        await world.mine()
        assert await included(world, tx) and await told() == "PENDING"
        await world.mine(2)
        assert await told() == "INCLUDED"
        await world.admin.call("relay_builder", [{"name": "a", "lies": True}])
        assert await told() == "FAILED"


async def test_faults_befall_one_builder_and_one_customer() -> None:
    async with relay_world("--builder", "a:50", "--builder", "b:50") as world:
        await world.admin.call(
            "relay_fault", [{"road": "private", "kind": "refuse", "builder": "a", "owner": ""}]
        )
        tx = pay(world.users[0])
        await hand(road(world, "b"), tx)
        with pytest.raises(Reject, match="refused"):
            await hand(road(world, "a"), tx)
        await hand(road(world, "a"), tx)


async def test_without_a_signature_nothing_is_taken() -> None:
    async with relay_world("--builder", "a:100") as world:
        body = {"jsonrpc": "2.0", "id": 1, "method": "eth_sendBundle", "params": [{}]}
        async with world.session.post(f"{world.url}/builder/a", json=body) as response:
            assert response.status == 401
        async with world.session.post(f"{world.url}/builder/nobody", json=body) as response:
            assert response.status == 404


@pytest.mark.parametrize("leaks", ["publish", "replay"])
async def test_one_that_leaks_tells_the_public_pool(leaks: str) -> None:
    async with relay_world("--builder", f"a:0:leaks={leaks}", "--builder", "b:50") as world:
        tx = pay(world.users[0])
        await hand(road(world, "a"), tx)
        truth = await world.truth()
        (public,) = truth["public_pool"]
        assert (public["hash"] == tx.hash) is (leaks == "publish")
        assert [a["road"] for a in truth["arrivals"]] == ["private", "leak"]
        await world.mine()
        assert await included(world, tx) is (leaks == "publish")
