"""Endpoints lag, fail, lie about the chain they serve, and never show their keys."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from node_support import ADDRESS, Node, block, receipt, running

from chains.errors import FairleadError, Halt, Reconcile, Reject, Retry, Usage
from chains.gateway import Gateway
from chains.rpc import Rpc, RpcReject, SecretUrl
from chains.types import Address, Hash32

TX = Hash32("0x" + "ab" * 32)
ME = Address(ADDRESS)


@asynccontextmanager
async def gateway(*nodes: Node, chain_id: int = 1, timeout_s: float = 0.4) -> AsyncIterator[Gateway]:
    async with running(*nodes), aiohttp.ClientSession() as session:
        yield Gateway(chain_id, [Rpc(n.url, session, timeout_s=timeout_s) for n in nodes])


async def test_a_receipt_that_one_of_three_has_is_found() -> None:
    nodes = Node(), Node(), Node(receipts={TX: receipt(TX, 99)})
    async with gateway(*nodes) as gate:
        found = await gate.receipt(TX)
        assert found is not None and (found.block_number, found.gas_used) == (99, 21_000)


async def test_absence_needs_two_that_are_near_the_head() -> None:
    async with gateway(Node(), Node(broken="down"), Node(broken="hang")) as gate:
        with pytest.raises(Retry) as undecided:
            await gate.receipt(TX)
        assert undecided.value.code == "NO_QUORUM"
    async with gateway(Node(), Node(head=80), Node(head=80)) as gate:
        with pytest.raises(Retry):
            await gate.receipt(TX)
    async with gateway(Node(), Node(head=98), Node(broken="down")) as gate:
        assert await gate.receipt(TX) is None


async def test_a_single_endpoints_word_is_taken_where_it_is_all_there_is() -> None:
    async with gateway(Node()) as gate:
        assert await gate.receipt(TX) is None
    async with gateway(Node(broken="down")) as gate:
        with pytest.raises(Retry):
            await gate.receipt(TX)


async def test_of_two_sides_of_a_reorganisation_the_longer_one_counts() -> None:
    ahead, behind = (
        Node(head=101, receipts={TX: receipt(TX, 99, salt=7)}),
        Node(head=99, receipts={TX: receipt(TX, 99)}),
    )
    async with gateway(behind, ahead) as gate:
        found = await gate.receipt(TX)
        assert found is not None and found.block_hash == block(99, 7)["hash"]


@pytest.mark.parametrize("bare", [False, True])
async def test_what_a_flashblock_tells_is_provisional_and_no_receipt_until_its_block_is_there(
    bare: bool,
) -> None:
    """A preconfirmed transaction of block 101 while the chain is at 100: one endpoint tells it, with or without the hash it will have."""
    early = receipt(TX, 101) | ({"blockHash": "0x" + "00" * 32} if bare else {})
    flash, plain = Node(extra={"eth_getTransactionReceipt": lambda params: early}), Node()
    async with gateway(flash, plain) as gate:
        assert await gate.receipt(TX) is None, "both know of no block that holds it"
        assert [e.head for e in gate.endpoints] == [100, 100], "and nobody looks behind for it"
        flash.head = 101
        if bare:
            early["blockHash"] = block(101)["hash"]
        found = await gate.receipt(TX)
        assert found is not None and found.block_number == 101


async def test_a_receipt_of_a_block_made_since_the_head_was_asked_for_counts() -> None:
    node = Node(receipts={TX: receipt(TX, 101)})

    def told(params: list[object]) -> object:
        node.head = 101
        return node.receipts[TX]

    node.extra["eth_getTransactionReceipt"] = told
    async with gateway(node) as gate:
        found = await gate.receipt(TX)
        assert found is not None and found.block_number == 101


async def test_the_nonce_is_the_highest_any_of_a_quorum_shows() -> None:
    async with gateway(Node(nonce=1402), Node(nonce=1403), Node(broken="garbage")) as gate:
        assert await gate.nonce(ME) == 1403
    async with gateway(Node(nonce=1402), Node(broken="limited"), Node(broken="down")) as gate:
        with pytest.raises(Retry, match="too few"):
            await gate.nonce(ME)


async def test_reads_fail_over_and_finality_believes_the_slowest() -> None:
    async with gateway(Node(broken="down"), Node(finalized=88), Node(finalized=90)) as gate:
        assert (await gate.block()).number == 100
        assert (await gate.block("finalized")).number == 88
        assert [e.failures > 0 for e in gate.endpoints] == [True, False, False]


async def test_a_head_that_was_seen_is_not_unseen() -> None:
    fast, slow = Node(head=100), Node(head=50)
    async with gateway(fast, slow) as gate:
        assert (await gate.block()).number == 100
        fast.broken = "down"
        with pytest.raises(Retry) as behind:
            await gate.block()
        assert behind.value.code == "ENDPOINTS_BEHIND"
        slow.head = 99
        assert (await gate.block()).number == 99


async def test_an_endpoint_behind_the_range_is_not_asked_for_logs() -> None:
    slow, fast = Node(head=50), Node(head=100)
    for node in (slow, fast):
        node.extra["eth_getLogs"] = lambda params: []
    async with gateway(slow, fast) as gate:
        assert await gate.logs(None, [], 90, 100) == []
        assert "eth_getLogs" not in slow.seen and "eth_getLogs" in fast.seen


async def test_another_chain_behind_the_url_halts_with_both_ids() -> None:
    async with gateway(Node(), Node(chain_id=137)) as gate:
        with pytest.raises(Halt) as halted:
            await gate.nonce(ME)
    assert halted.value.code == "WRONG_CHAIN_ID"
    assert "137" in halted.value.message and "1" in halted.value.message and "settings" in halted.value.hint


@pytest.mark.parametrize("broken", ["down", "hang", "garbage", "limited"])
async def test_an_unclear_write_is_reconciled_and_an_unclear_read_retried(broken: str) -> None:
    node = Node(broken=broken)
    async with running(node), aiohttp.ClientSession() as session:
        rpc = Rpc(node.url, session, timeout_s=0.3)
        with pytest.raises(Retry):
            await rpc.call("eth_blockNumber")
        # A rate limit is a clear answer: nothing happened.
        with pytest.raises(Retry if broken == "limited" else Reconcile):
            await rpc.call("eth_sendRawTransaction", ["0x00"], write=True)


async def test_no_error_shows_a_key_that_is_in_the_url() -> None:
    node = Node()
    errors: list[FairleadError] = []
    async with running(node), aiohttp.ClientSession() as session:
        rpc = Rpc(node.url, session, timeout_s=0.3)
        for broken in ("down", "hang", "garbage", "limited", ""):
            node.broken = broken
            try:
                await rpc.call("eth_unknown", write=True)
            except FairleadError as error:
                errors.append(error)
        shown = repr(rpc)
        other = Rpc(node.url.replace("/secret-key", "/other-key"), session)
        with pytest.raises(Reject) as not_found:
            await other.call("eth_chainId")
        errors.append(not_found.value)
    async with aiohttp.ClientSession() as session:
        with pytest.raises(Retry) as unreachable:
            await Rpc(node.url, session).call("eth_chainId", write=True)
        errors.append(unreachable.value)
    shown += repr(SecretUrl(node.url)) + f"{SecretUrl(node.url)}"
    assert len(errors) == 7 and isinstance(errors[4], RpcReject)
    for error in errors:
        shown += (
            str(error)
            + repr(error)
            + repr(error.__cause__)
            + (repr(error.__context__) if not error.__suppress_context__ else "")
        )
    for secret in ("secret-key", "other-key", "hidden", "user:", "pass"):
        assert secret not in shown


@pytest.mark.parametrize("url", ["localhost:8545", "ftp://x/secret", "http://", "http://h:port/secret"])
def test_a_malformed_url_is_named_without_being_shown(url: str) -> None:
    with pytest.raises(Usage) as refused:
        SecretUrl(url)
    assert "secret" not in str(refused.value)


async def test_a_hanging_endpoint_does_not_slow_what_two_others_decide() -> None:
    import time

    async with gateway(Node(nonce=5), Node(nonce=6), Node(broken="hang"), timeout_s=20) as gate:
        began = time.monotonic()
        assert await gate.nonce(ME) == 6
        assert time.monotonic() - began < 3


async def test_the_error_of_a_wrong_chain_is_not_swallowed_by_a_quorum() -> None:
    async with gateway(Node(), Node(), Node(chain_id=5)) as gate:
        with pytest.raises(Halt):
            await gate.receipt(TX)
