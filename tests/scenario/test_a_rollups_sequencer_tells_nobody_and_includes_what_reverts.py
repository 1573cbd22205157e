"""The devnet's sequencer: one road in, first come first served, nothing of what waits is told, and a revert is included and paid for."""

from __future__ import annotations

import pytest
from anvil_support import REVERTER_AT, STORER_AT, relay_world

from chains.rpc import Rpc, RpcReject


async def test_what_it_takes_and_tells() -> None:
    async with relay_world("--sequencer") as world:
        road = Rpc(world.url + "/sequencer", world.session)
        first, second, third = world.users
        cheap = first.sign(STORER_AT, data="0x" + "11" * 32)
        dear = second.sign(STORER_AT, data="0x" + "22" * 32, tip_gwei=10)
        wrong = third.sign(REVERTER_AT)
        for tx in (cheap, dear, wrong):
            assert await road.call("eth_sendRawTransaction", ["0x" + tx.raw.hex()]) == tx.hash
        assert await world.rpc.call("eth_getTransactionByHash", [cheap.hash]) is None
        assert await world.rpc.call("eth_getTransactionCount", [first.address, "pending"]) == "0x0"
        assert (await world.rpc.call("txpool_content"))["pending"] == {}
        with pytest.raises(RpcReject):
            await road.call("eth_call", [{"to": STORER_AT}, "latest"])
        await world.mine()
        told = [await world.rpc.call("eth_getTransactionReceipt", [tx.hash]) for tx in (cheap, dear, wrong)]
        assert [int(r["transactionIndex"], 16) for r in told] == [0, 1, 2], "not by what they bid"
        assert [int(r["status"], 16) for r in told] == [1, 1, 0]
        assert {a["road"] for a in (await world.truth())["arrivals"]} == {"sequencer"}

        fault = {"road": "sequencer", "kind": "swallow", "owner": first.address}
        await world.admin.call("relay_fault", [fault])
        lost = first.sign(STORER_AT, data="0x" + "33" * 32, nonce=1)
        assert await road.call("eth_sendRawTransaction", ["0x" + lost.raw.hex()]) == lost.hash
        await world.mine()
        assert await world.rpc.call("eth_getTransactionReceipt", [lost.hash]) is None, (
            "it said yes, and lost it"
        )
        assert await world.rpc.call("eth_sendRawTransaction", ["0x" + lost.raw.hex()]) == lost.hash
        await world.mine()
        assert (await world.rpc.call("eth_getTransactionReceipt", [lost.hash]))["status"] == "0x1"
        assert [a["road"] for a in (await world.truth())["arrivals"]][-1] == "public", (
            "and who forwarded it is known"
        )
