"""What a fork holds of its block is asked for again at a later one, and what differs there becomes overrides; anything doubtful is no answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from node_support import Node, block, running

from chains.errors import Retry
from chains.fork_difference import Override, laid_over, merged, overrides_of
from chains.fork_proxy import BATCH, ForkProxy, Key
from chains.rpc import Rpc
from chains.types import Address, BlockRef, Hash32

A, B = "0x" + "aA" * 20, "0x" + "bb" * 20
LATER = BlockRef(101, Hash32(str(block(101)["hash"])), Hash32("0x" + "00" * 32), 0, 0)
HELD: dict[Key, Any] = {
    ("eth_getBalance", (A,)): "0x5",
    ("eth_getTransactionCount", (A,)): "0x1",
    ("eth_getCode", (B,)): "0x60",
    **{("eth_getStorageAt", (B, hex(slot))): "0x0" for slot in range(150)},
}


def telling(values: dict[Key, Any], at: str = "0x65") -> dict[str, Callable[[list[Any]], Any]]:
    def of(method: str) -> Callable[[list[Any]], Any]:
        def answer(params: list[Any]) -> Any:
            assert params[-1] == at
            return values[method, tuple(params[:-1])]

        return answer

    return {method: of(method) for method, _ in HELD} | {"eth_getBlockByNumber": lambda params: block(101)}


async def asked(*nodes: Node) -> dict[Key, Any]:
    async with running(*nodes), aiohttp.ClientSession() as session:
        proxy = ForkProxy([Rpc(node.url, session) for node in nodes])
        proxy.held = dict(HELD)
        return await proxy.changed(LATER, list(HELD))


async def test_only_what_is_otherwise_is_told_in_one_request_for_each_hundred() -> None:
    news = {("eth_getBalance", (A,)): "0x7", ("eth_getStorageAt", (B, "0x8c")): "0x9"}
    node = Node(extra=telling(HELD | news))
    assert await asked(node) == news
    assert len(HELD) > BATCH and node.seen.count("eth_getBlockByNumber") == 2


async def test_an_endpoint_that_does_not_tell_all_of_it_is_passed_over() -> None:
    news: dict[Key, Any] = {("eth_getCode", (B,)): "0x61"}
    lame = telling(HELD)
    del lame["eth_getCode"]
    assert await asked(Node(extra=lame), Node(extra=telling(HELD | news))) == news
    with pytest.raises(Retry, match="NO_STATE"):
        await asked(Node(extra=lame))


async def test_another_branch_at_that_height_teaches_nothing() -> None:
    other = telling(HELD) | {"eth_getBlockByNumber": lambda params: block(102)}
    with pytest.raises(Retry, match="BLOCK_MOVED"):
        await asked(Node(extra=other))
    with pytest.raises(Retry):
        await asked(Node(broken="down"))


def test_answers_of_every_kind_become_overrides_of_their_account() -> None:
    told = {
        ("eth_getBalance", (A,)): "0x7",
        ("eth_getTransactionCount", (A,)): "0x2",
        ("eth_getStorageAt", (A, "0x10")): "0x01",
        ("eth_getStorageAt", (A.lower(), "0x11")): "0x" + "02" * 32,
        ("eth_getCode", (B,)): "0x6001",
        ("eth_getAccountInfo", ("0x" + "cc" * 20,)): {"balance": "0x3", "nonce": "0x4", "code": "0x"},
    }
    assert overrides_of(told) == {
        A.lower(): Override({16: bytes(31) + b"\1", 17: b"\2" * 32}, balance=7, nonce=2),
        B: Override(code=b"\x60\x01"),
        "0x" + "cc" * 20: Override(balance=3, nonce=4, code=b""),
    }


@pytest.mark.parametrize(
    "key,value",
    [
        (("eth_getBalance", (A,)), None), (("eth_getBalance", (A,)), "seven"), (("eth_getStorageAt", (A, "0x1")), 5),
        (("eth_getAccountInfo", (A,)), {"balance": "0x1"}), (("eth_getProof", (A,)), "0x1"), (("eth_getCode", (A,)), "0x6"),
    ],
)  # fmt: skip
def test_an_answer_of_no_known_shape_is_no_answer(key: Key, value: Any) -> None:
    with pytest.raises(Retry, match="MALFORMED_ANSWER"):
        overrides_of({key: value})


def test_what_a_simulation_says_itself_stands_over_the_chains_state() -> None:
    chain = {A.lower(): Override({1: b"\1" * 32, 2: b"\2" * 32}, balance=5, nonce=3)}
    own = {Address(A): Override({2: b"\3" * 32}, balance=9), Address(B): Override(code=b"")}
    assert merged(chain, own) == {
        A.lower(): Override({1: b"\1" * 32, 2: b"\3" * 32}, balance=9, nonce=3),
        B: Override(code=b""),
    }
    assert laid_over(Override(code=b"\1"), Override()).code == b"\1"


async def test_a_proxy_knows_what_its_fork_holds_and_what_it_read_in_another_way() -> None:
    node = Node(extra=telling({("eth_getBalance", (A,)): "0x5"}) | {"eth_getProof": lambda params: {}})
    async with running(node), aiohttp.ClientSession() as session:
        proxy = ForkProxy([Rpc(node.url, session)])
        await proxy.start()
        try:
            door = Rpc(proxy.url, session)
            assert await door.call("eth_getBalance", [A, "0x65"]) == "0x5"
            await door.call("eth_getBlockByNumber", ["0x65", False])
            assert (proxy.held, proxy.unheld) == ({("eth_getBalance", (A,)): "0x5"}, 0)
            await door.call("eth_getProof", [A, [], "0x65"])
            assert proxy.unheld == 1
            await proxy.prepare(102)
            assert (proxy.held, proxy.unheld) == ({}, 0), "set on another block, it holds nothing of the last"
        finally:
            await proxy.stop()
