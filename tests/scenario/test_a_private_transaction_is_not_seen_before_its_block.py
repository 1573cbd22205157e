"""The relay keeps the two roads apart: what takes the private one shows in no public answer until a block holds it."""

from __future__ import annotations

import orjson
import pytest
from anvil_support import ONE_ETH, REVERTER_AT, STORER_AT, RelayWorld, relay_world

from chains.bundles import Bundle
from chains.errors import Denied, Reconcile, Reject
from chains.relay import RelayStatus, sendable
from chains.relay_auth import HEADER, header, local_header, local_signer
from chains.relays.flashbots import RELAY, FlashbotsRelay
from chains.relays.public import PublicRelay
from chains.rpc import RpcReject, SecretUrl, post
from chains.types import Hash32, Protection, SignedTx

DEAD = "0x" + "00" * 18 + "dead"


def relay_of(world: RelayWorld, key: int = 99, timeout_s: float = 30.0) -> FlashbotsRelay:
    auth = local_header(bytes([1] * 31 + [key]))
    return FlashbotsRelay(
        world.url + "/relay", world.session, auth, status_url=world.url, timeout_s=timeout_s
    )


def private(tx: SignedTx) -> object:
    return sendable(tx, Protection.PRIVATE, RELAY)


async def everything_public(world: RelayWorld, sender: str, tx_hash: str) -> bytes:
    """All a stranger can ask."""
    asked = [
        ("txpool_content", []), ("txpool_status", []), ("eth_getBlockByNumber", ["pending", True]), ("eth_getTransactionByHash", [tx_hash]),
        ("eth_getTransactionReceipt", [tx_hash]), ("eth_getTransactionCount", [sender, "pending"]), ("eth_getBlockByNumber", ["latest", True]),
    ]  # fmt: skip
    answers = [await world.rpc.call(m, p) for m, p in asked]
    for block in (answers[2], answers[6]):
        # The pending block is made anew for every question, with the time of the question.
        for moving in ("timestamp", "hash", "size"):
            block.pop(moving)
    return orjson.dumps(answers)


async def test_nothing_public_shows_a_private_transaction_until_it_is_mined() -> None:
    async with relay_world() as world:
        alice = world.users[0]
        tx = alice.sign(STORER_AT, data="0x" + "c0ffee11" * 8)
        before = await everything_public(world, alice.address, tx.hash)
        received = await relay_of(world).send(private(tx))
        assert received.tx_hash == tx.hash
        assert await everything_public(world, alice.address, tx.hash) == before
        assert await relay_of(world).status(tx.hash) is RelayStatus.PENDING
        assert (await world.truth())["public_pool"] == []
        await world.mine()
        receipt = await world.rpc.call("eth_getTransactionReceipt", [tx.hash])
        assert receipt["status"] == "0x1"
        assert await relay_of(world).status(tx.hash) is RelayStatus.INCLUDED
        roads = [(a["hash"], a["road"]) for a in (await world.truth())["arrivals"]]
        assert roads == [(tx.hash, "private")]


async def test_a_private_transaction_that_reverts_costs_nothing_and_is_never_seen() -> None:
    async with relay_world() as world:
        alice, bob = world.users[:2]
        bad, good = alice.sign(REVERTER_AT), bob.sign(STORER_AT, data="0x" + "11" * 32)
        relay = relay_of(world)
        await relay.send(private(bad))
        await relay.send(private(good))
        await world.mine(2)
        assert await world.balance(alice.address) == 100 * ONE_ETH
        assert await world.rpc.call("eth_getTransactionCount", [alice.address, "latest"]) == "0x0"
        assert await world.rpc.call("eth_getTransactionByHash", [bad.hash]) is None
        assert (await world.rpc.call("eth_getTransactionReceipt", [good.hash]))["blockNumber"] == "0x1"
        shown = await world.status(bad.hash)
        assert (shown["status"], shown["simError"], shown["isRevert"]) == (
            "PENDING",
            "SimErrorExecutionReverted",
            True,
        )


async def test_the_same_transaction_sent_publicly_reverts_on_chain_and_pays() -> None:
    async with relay_world() as world:
        alice = world.users[0]
        bad = alice.sign(REVERTER_AT)
        await world.send_public(bad)
        assert (await world.rpc.call("eth_getTransactionByHash", [bad.hash]))["blockNumber"] is None
        assert list((await world.rpc.call("txpool_content"))["pending"]) == [alice.address]
        assert await world.rpc.call("eth_getTransactionCount", [alice.address, "pending"]) == "0x1"
        await world.mine()
        receipt = await world.rpc.call("eth_getTransactionReceipt", [bad.hash])
        paid = int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)
        assert receipt["status"] == "0x0" and paid > 0
        assert await world.balance(alice.address) == 100 * ONE_ETH - paid


async def test_private_comes_before_a_public_transaction_that_bids_fifty_times_as_much() -> None:
    async with relay_world() as world:
        alice, bob, carol = world.users
        low, high = bob.sign(DEAD, value=1, tip_gwei=1), carol.sign(DEAD, value=1, tip_gwei=60)
        quiet = alice.sign(DEAD, value=1, tip_gwei=1)
        await world.send_public(low)
        await world.send_public(high)
        await relay_of(world).send(private(quiet))
        await world.mine()
        block = await world.rpc.call("eth_getBlockByNumber", ["latest", False])
        assert block["transactions"] == [quiet.hash, high.hash, low.hash]


async def test_a_max_block_that_passes_fails_the_transaction() -> None:
    async with relay_world() as world:
        bad = world.users[0].sign(REVERTER_AT)
        await relay_of(world).send(private(bad), max_block=2)
        await world.mine(2)
        assert await relay_of(world).status(bad.hash) is RelayStatus.PENDING
        await world.mine()
        assert await relay_of(world).status(bad.hash) is RelayStatus.FAILED
        with pytest.raises(RpcReject, match="maxBlockNumber 3 is not after"):
            await relay_of(world).send(private(bad), max_block=3)


async def test_cancel_works_for_its_sender_alone() -> None:
    async with relay_world() as world:
        tx = world.users[0].sign(DEAD, value=1)
        await relay_of(world).send(private(tx))
        assert await relay_of(world, key=98).cancel(tx) is False
        assert await relay_of(world).cancel(tx) is True
        await world.mine(2)
        assert await relay_of(world).status(tx.hash) is RelayStatus.CANCELLED
        assert await world.rpc.call("eth_getTransactionReceipt", [tx.hash]) is None
        assert await relay_of(world).cancel(tx) is False


async def test_a_wrong_signature_is_refused_in_the_documented_words() -> None:
    async with relay_world() as world:
        address, sign = local_signer(bytes([1] * 31 + [99]))
        url = SecretUrl(world.url + "/relay")
        body = orjson.dumps(
            {"jsonrpc": "2.0", "id": 1, "method": "eth_sendPrivateTransaction", "params": [{"tx": "0x00"}]}
        )

        async def code(headers: dict[str, str]) -> int:
            _, answer = await post(world.session, url, body, write=True, headers=headers)
            return int(orjson.loads(answer)["error"]["code"])

        good = header(body, address, sign)
        assert await code({}) == -32600
        assert await code({HEADER: good.replace(":0x", ":")}) == -32600
        assert await code({HEADER: header(body + b" ", address, sign)}) == -32025
        assert await code({HEADER: good}) == -32000
        assert (await world.truth())["arrivals"] == []


async def test_a_bundle_lands_whole_or_not_at_all() -> None:
    async with relay_world() as world:
        alice, bob = world.users[:2]
        relay = relay_of(world)
        good, bad = alice.sign(DEAD, value=5), bob.sign(REVERTER_AT)
        await relay.send_bundle(
            Bundle(
                (
                    private(good),
                    private(bad),
                ),
                1,
            )
        )
        await world.mine()
        assert await world.rpc.call("eth_getTransactionReceipt", [good.hash]) is None
        whole = bob.sign(DEAD, value=6, nonce=0)
        await relay.send_bundle(
            Bundle(
                (
                    private(whole),
                    private(good),
                ),
                2,
            )
        )
        await world.mine()
        assert (await world.rpc.call("eth_getBlockByNumber", ["latest", False]))["transactions"] == [
            whole.hash,
            good.hash,
        ]
        assert await world.balance(DEAD) == 11


@pytest.mark.parametrize("kind", ["accept_then_5xx", "accept_then_hang"])
async def test_an_accepted_send_whose_answer_is_lost_is_reconciled_by_hash(kind: str) -> None:
    async with relay_world() as world:
        tx = world.users[0].sign(DEAD, value=1)
        await world.admin.call("relay_fault", [{"road": "private", "kind": kind}])
        relay = relay_of(world, timeout_s=0.5)
        with pytest.raises(Reconcile):
            await relay.send(private(tx))
        await world.mine()
        assert await relay.status(tx.hash) is RelayStatus.INCLUDED
        with pytest.raises(Reconcile, match="already used"):
            await relay.send(private(tx))
        assert await world.balance(DEAD) == 1


async def test_received_is_not_included() -> None:
    async with relay_world() as world:
        tx = world.users[0].sign(DEAD, value=1)
        await world.admin.call("relay_fault", [{"road": "private", "kind": "swallow"}])
        assert (await relay_of(world).send(private(tx))).tx_hash == tx.hash
        await world.mine(2)
        assert await relay_of(world).status(tx.hash) is RelayStatus.UNKNOWN
        await relay_of(world).send(private(tx))
        await world.mine()
        assert await world.balance(DEAD) == 1


async def test_inclusion_can_be_delayed_and_refused() -> None:
    async with relay_world() as world:
        tx = world.users[0].sign(DEAD, value=1)
        await world.admin.call(
            "relay_fault",
            [{"road": "private", "kind": "refuse"}, {"road": "private", "kind": "delay", "blocks": 2}],
        )
        with pytest.raises(Reject, match="refused"):
            await relay_of(world).send(private(tx))
        await relay_of(world).send(private(tx))
        await world.mine(2)
        assert await world.balance(DEAD) == 0
        await world.mine()
        assert await world.balance(DEAD) == 1


async def test_cheat_methods_exist_on_the_admin_port_alone() -> None:
    async with relay_world() as world:
        for method in ("anvil_setBalance", "evm_mine", "evm_snapshot", "hardhat_reset", "eth_newFilter", "eth_newBlockFilter",
                       "eth_newPendingTransactionFilter", "relay_truth", "eth_sendTransaction", "eth_subscribe"):  # fmt: skip
            with pytest.raises(RpcReject) as refused:
                await world.rpc.call(method, [])
            assert refused.value.rpc_code == -32601


async def test_no_road_is_taken_that_does_not_honour_the_plan() -> None:
    async with relay_world() as world:
        tx = world.users[0].sign(DEAD, value=1)
        with pytest.raises(Denied) as denied:
            sendable(tx, Protection.PRIVATE, PublicRelay.profile)
        assert denied.value.code == "PROTECTION_NOT_HONOURED"
        with pytest.raises(Denied):
            await PublicRelay(world.rpc).send(private(tx))
        assert (await world.truth())["arrivals"] == []


async def test_a_reorganisation_takes_the_receipt_back_and_the_transaction_returns() -> None:
    async with relay_world() as world:
        tx = world.users[0].sign(DEAD, value=1)
        await relay_of(world).send(private(tx))
        await world.mine(2)
        was = await world.rpc.call("eth_getTransactionReceipt", [tx.hash])
        assert await world.admin.call("relay_reorg", [2, "return"]) == [tx.hash]
        assert await world.rpc.call("eth_getTransactionReceipt", [tx.hash]) is None
        assert await world.balance(DEAD) == 0
        await world.mine()
        again = await world.rpc.call("eth_getTransactionReceipt", [tx.hash])
        assert again["blockHash"] != was["blockHash"] and await world.balance(DEAD) == 1
        await world.admin.call("relay_reorg", [1, "drop"])
        await world.mine(2)
        assert await world.rpc.call("eth_getTransactionReceipt", [tx.hash]) is None


async def test_finality_can_be_seen() -> None:
    async with relay_world("--finality-depth", "4") as world:
        await world.mine(6)
        numbers = [
            int((await world.rpc.call("eth_getBlockByNumber", [t, False]))["number"], 16)
            for t in ("latest", "safe", "finalized")
        ]
        assert numbers == [6, 4, 2]


async def test_what_a_simulation_would_publish_is_on_record() -> None:
    async with relay_world() as world:
        await world.rpc.call("eth_call", [{"to": DEAD, "data": "0xfeedface"}, "latest"])
        reads = (await world.truth())["reads"]
        assert [r["method"] for r in reads] == ["eth_call"] and reads[0]["params"][0]["data"] == "0xfeedface"


async def test_fast_mode_builds_when_something_arrives_and_keeps_to_the_clock() -> None:
    import asyncio
    import time

    async with relay_world("--fast", paused=False) as world:
        tx = world.users[0].sign(DEAD, value=1)
        started = time.monotonic()
        await relay_of(world).send(private(tx))
        while await world.rpc.call("eth_getTransactionReceipt", [tx.hash]) is None:
            assert time.monotonic() - started < 3
            await asyncio.sleep(0.02)
        await asyncio.sleep(2.5)
        head = await world.rpc.call("eth_getBlockByNumber", ["latest", False])
        mined = await world.rpc.call("eth_getTransactionReceipt", [tx.hash])
        assert int(head["number"], 16) > int(mined["blockNumber"], 16)
        assert abs(int(head["timestamp"], 16) - time.time()) < 6
        assert Hash32(head["hash"]) != Hash32(mined["blockHash"])


async def test_calling_a_bundle_leaves_no_trace() -> None:
    async with relay_world() as world:
        alice, bob = world.users[:2]
        txs = [alice.sign(STORER_AT, data="0x" + "22" * 32), bob.sign(REVERTER_AT)]
        body = orjson.dumps(
            {"jsonrpc": "2.0", "id": 1, "method": "eth_callBundle",
             "params": [{"txs": ["0x" + t.raw.hex() for t in txs], "blockNumber": "0x1", "stateBlockNumber": "latest"}]}
        )  # fmt: skip
        signature = {HEADER: header(body, *local_signer(bytes([4] * 32)))}
        _, answer = await post(
            world.session, SecretUrl(world.url + "/relay"), body, write=False, headers=signature
        )
        results = orjson.loads(answer)["result"]["results"]
        assert ["error" in r for r in results] == [False, True] and results[0]["gasUsed"] > 21_000
        assert await world.rpc.call("eth_blockNumber") == "0x0"
        await world.mine()
        assert (await world.rpc.call("eth_getBlockByNumber", ["latest", False]))["transactions"] == []


async def test_a_bundle_is_replaced_by_its_uuid_and_a_private_transaction_by_its_nonce() -> None:
    import uuid

    async with relay_world() as world:
        alice, bob = world.users[:2]
        relay, name = relay_of(world), uuid.uuid4()
        old, new = alice.sign(DEAD, value=3), alice.sign(DEAD, value=4, nonce=0)
        await relay.send_bundle(Bundle((private(old),), 1, name))
        await relay.send_bundle(Bundle((private(new),), 1, name))
        first = bob.sign(DEAD, value=100)
        await relay.send(private(first))
        with pytest.raises(RpcReject, match="underpriced"):
            await relay.send(private(bob.sign(DEAD, value=200, nonce=0)))
        await world.mine()
        assert await world.balance(DEAD) == 104
        await relay.send_bundle(Bundle((private(alice.sign(DEAD, value=5, nonce=1)),), 2, name))
        await relay.cancel_bundle(str(name))
        await world.mine()
        assert await world.balance(DEAD) == 104


async def test_a_lost_slot_delays_the_private_road_alone() -> None:
    async with relay_world("--lost-slots", "0.5", "--seed", "3") as world:
        alice, bob = world.users[:2]
        quiet, loud = alice.sign(DEAD, value=1), bob.sign(DEAD, value=1)
        await relay_of(world).send(private(quiet))
        await world.send_public(loud)
        blocks = {}
        for _ in range(12):
            await world.mine()
            for tx in (quiet, loud):
                receipt = await world.rpc.call("eth_getTransactionReceipt", [tx.hash])
                if receipt and tx.hash not in blocks:
                    blocks[tx.hash] = int(receipt["blockNumber"], 16)
        assert blocks[loud.hash] == 1 < blocks[quiet.hash]


async def test_nothing_a_caller_can_type_is_a_server_error() -> None:
    address, sign = local_signer(bytes([4] * 32))
    public = [b"", b"{", b"[]", b"[1]", b'"x"', b'{"method":1}', b'{"method":"eth_call","params":{}}', b'{"method":"eth_getBalance","params":["zz"]}',
              b'{"method":"eth_sendRawTransaction","params":[]}', b'{"method":"eth_sendRawTransaction","params":["0xc0"]}',
              b'{"method":"eth_sendRawTransaction","params":["0x02f8"]}', b'{"method":"eth_getTransactionByHash","params":[{}]}']  # fmt: skip
    bundles = [
        {},
        {"txs": 1},
        {"txs": ["0x00"], "blockNumber": 5},
        {"txs": [], "blockNumber": "0x1"},
        {"txs": ["0xzz"], "blockNumber": "x"},
    ]
    private_bodies = [
        orjson.dumps({"method": m, "params": [b]})
        for b in bundles
        for m in ("eth_sendBundle", "eth_callBundle")
    ]
    private_bodies += [
        orjson.dumps({"method": m, "params": p})
        for m in ("eth_sendPrivateTransaction", "eth_cancelBundle", "x")
        for p in ([], [{}], 7)
    ]
    admin = [b'{"method":"relay_mine","params":["zz"]}', b'{"method":"evm_increaseTime"}', b'{"method":"relay_reorg","params":["x"]}',
             b'{"method":"relay_reorg","params":[99]}', b'{"method":"relay_fault","params":[{"kind":"delay","road":"private","count":"x"}]}']  # fmt: skip
    async with relay_world() as world:
        admin_url = world.admin._url.reveal()
        sent = [(world.url, b, {}) for b in public] + [(admin_url, b, {}) for b in admin]
        sent += [
            (world.url + "/relay", b, {HEADER: header(b, address, sign)})
            for b in [*private_bodies, b"{", b"[]", b"7"]
        ]
        for url, body, headers in sent:
            async with world.session.post(url, data=body, headers=headers) as response:
                answer = orjson.loads(await response.read())
                first = answer[0] if isinstance(answer, list) else answer
                assert response.status in (200, 401) and ("error" in first or first.get("result") is False), (
                    body,
                    answer,
                )
        assert (await world.truth())["arrivals"] == []
