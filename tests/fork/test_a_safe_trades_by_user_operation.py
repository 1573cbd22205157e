"""A 2-of-3 Safe with the 4337 module trades through the devnet's bundler, on the genuine EntryPoint and Uniswap."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import custody as c
import pytest
from userop_support import OWNERS, SafeWorld, sale

from chains.bundler import Bundler, Seen
from chains.devnet.funding import give_eth, give_token, token_balance
from chains.errors import Denied, Reject, Retry
from chains.rpc import Rpc as AsyncRpc
from chains.types import Address, Call, Fees
from chains.userops import join_nonce, priced, replacement_fees, user_op_hash
from chains.wallets import identify
from contracts.codec import decode_event, encode, topic
from contracts.multisend import Part
from keys import erc4337

pytestmark = pytest.mark.devnet
E6 = 10**6


def usdc(wallet: str, amount: int) -> Part:
    return c.call(c.USDC, "erc20", "transfer", c.THIEF, amount)


async def test_two_of_three_owners_sell_on_uniswap(safe_world: SafeWorld) -> None:
    await safe_world.bundler.check()
    wallet, amount, floor = safe_world.safe_with_module(1), 3 * c.ETH, 8_900 * E6
    before = int(safe_world.rpc("eth_getBalance", safe_world.account, "latest"), 16)
    op = safe_world.signed(
        await safe_world.estimated(safe_world.operation(wallet, *sale(wallet, amount, floor)))
    )
    sent = await safe_world.bundler.send(op)
    assert sent.op_hash == user_op_hash(1, op)
    got = await safe_world.settled(sent)
    assert (got.success, got.sender, got.nonce, got.paymaster, got.reason) == (True, wallet, 0, None, "")
    assert token_balance(safe_world.rpc, c.USDC, wallet) > floor
    assert token_balance(safe_world.rpc, c.WETH, wallet) == 50 * c.ETH - amount
    allowance = await safe_world.chain.call(
        Call(Address(c.WETH), encode("erc20", "allowance", (wallet, c.ROUTER02)))
    )
    assert int.from_bytes(allowance.data, "big") == 0
    # What it cost is what left the Safe: the prefund it paid in, less what now lies for it in the EntryPoint.
    deposit = await safe_world.deposit(wallet)
    left = 10 * c.ETH - int(safe_world.rpc("eth_getBalance", wallet, "latest"), 16)
    assert left - deposit == got.gas_cost_wei <= op.prefund_wei
    # The swap's own logs and no others, the same by the bundler's answer, in the same transaction.
    transfers = [log for log in got.logs if log.topics[0] == topic("erc20", "Transfer")]
    assert {log.address for log in transfers} == {c.WETH, c.USDC} and len(transfers) == 2
    told = await safe_world.endpoint.call("eth_getUserOperationReceipt", [sent.op_hash])
    assert await safe_world.bundler.hint(sent.op_hash) == got.tx_hash
    assert [int(log["logIndex"], 16) for log in told["logs"]] == [log.log_index for log in got.logs]
    assert (told["success"], int(told["actualGasCost"], 16)) == (True, got.gas_cost_wei)
    assert await safe_world.bundler.pending(sent.op_hash) == op
    assert int(safe_world.rpc("eth_getBalance", safe_world.account, "latest"), 16) >= before


async def test_a_safe_is_created_by_its_first_operation(safe_world: SafeWorld) -> None:
    placeholder = Address(c.SAFE)
    op = safe_world.unborn(safe_world.operation(placeholder, *sale(placeholder, c.ETH)), 5)
    wallet = op.sender
    op = replace(op, call_data=safe_world.operation(wallet, *sale(wallet, c.ETH, 2_900 * E6)).call_data)
    assert safe_world.rpc("eth_getCode", wallet, "latest") == "0x"
    give_eth(safe_world.rpc.url, wallet, c.ETH)
    give_token(safe_world.rpc.url, c.WETH, wallet, c.ETH)
    got = await safe_world.done(op)
    assert got.success and got.sender == wallet, got.reason
    assert token_balance(safe_world.rpc, c.USDC, wallet) > 2_900 * E6
    known = await identify(safe_world.chain, wallet)
    assert known.safe is not None
    assert (set(known.safe.owners), known.safe.threshold) == (set(OWNERS), 2)
    assert (known.safe.modules, known.safe.fallback_handler) == ((erc4337.MODULE,), erc4337.MODULE)
    again = await safe_world.done(safe_world.operation(wallet, usdc(wallet, 5), nonce=1))
    assert again.success and token_balance(safe_world.rpc, c.USDC, c.THIEF) == 5


async def test_a_replacement_needs_ten_percent_more_of_both_fees(safe_world: SafeWorld) -> None:
    await safe_world.endpoint.call("debug_bundler_setBundlingMode", ["manual"])
    wallet = safe_world.safe_with_module(2)
    op = await safe_world.estimated(
        safe_world.operation(wallet, *sale(wallet, c.ETH), fees=Fees(40 * 10**9 + 1, 10**9 + 1))
    )
    first = await safe_world.bundler.send(safe_world.signed(op))
    enough = replacement_fees(op.fees)
    assert enough == Fees(44 * 10**9 + 2, 11 * 10**8 + 2)
    for short in (
        Fees(enough.max_fee_wei - 1, enough.max_priority_fee_wei),
        Fees(enough.max_fee_wei, enough.max_priority_fee_wei - 1),
    ):
        with pytest.raises(Reject) as caught:
            await safe_world.bundler.send(safe_world.signed(priced(op, short)))
        assert caught.value.code == "USER_OP_UNDERPRICED"
    assert await safe_world.bundler.lookup(first.op_hash, first.at_block) is Seen.PENDING
    second = await safe_world.bundler.send(safe_world.signed(priced(op, enough)))
    assert [o["maxFeePerGas"] for o in await safe_world.endpoint.call("debug_bundler_dumpMempool")] == [
        hex(enough.max_fee_wei)
    ]
    await safe_world.endpoint.call("debug_bundler_sendBundleNow")
    assert (await safe_world.settled(second)).success
    assert await safe_world.bundler.lookup(first.op_hash, first.at_block) is Seen.UNKNOWN
    assert await safe_world.endpoint.call("debug_bundler_dumpMempool") == []


async def test_a_waiting_operation_is_revoked_by_one_that_does_nothing(safe_world: SafeWorld) -> None:
    await safe_world.endpoint.call("debug_bundler_setBundlingMode", ["manual"])
    wallet = safe_world.safe_with_module(11)
    op = safe_world.signed(await safe_world.estimated(safe_world.operation(wallet, *sale(wallet, c.ETH))))
    waiting = await safe_world.bundler.send(op)
    nothing = safe_world.signed(await safe_world.estimated(erc4337.revoking(op)))
    sent = await safe_world.bundler.send(nothing)
    assert not erc4337.is_void(op, await safe_world.bundler.next_nonce(wallet), safe_world.now)
    await safe_world.endpoint.call("debug_bundler_sendBundleNow")
    assert (await safe_world.settled(sent)).success
    assert token_balance(safe_world.rpc, c.WETH, wallet) == 50 * c.ETH
    assert erc4337.is_void(op, await safe_world.bundler.next_nonce(wallet), safe_world.now)
    assert await safe_world.bundler.lookup(waiting.op_hash, waiting.at_block) is Seen.UNKNOWN


async def test_keys_of_a_nonce_run_beside_each_other(safe_world: SafeWorld) -> None:
    await safe_world.endpoint.call("debug_bundler_setBundlingMode", ["manual"])
    wallet, keys = safe_world.safe_with_module(3), [0, 7, 2**192 - 1]
    sent = []
    for key in keys:
        nonce = await safe_world.bundler.next_nonce(wallet, key)
        assert nonce == join_nonce(key, 0)
        op = await safe_world.estimated(safe_world.operation(wallet, *sale(wallet, c.ETH), nonce=nonce))
        sent.append(await safe_world.bundler.send(safe_world.signed(op)))
    assert len(await safe_world.endpoint.call("debug_bundler_dumpMempool")) == 3
    await safe_world.endpoint.call("debug_bundler_setBundlingMode", ["auto"])
    for one in sent:
        assert (await safe_world.settled(one)).success
    assert token_balance(safe_world.rpc, c.WETH, wallet) == 47 * c.ETH
    assert [await safe_world.bundler.next_nonce(wallet, key) for key in keys] == [
        join_nonce(key, 1) for key in keys
    ]


async def test_two_safes_in_one_bundle_have_their_own_logs(safe_world: SafeWorld) -> None:
    await safe_world.endpoint.call("debug_bundler_setBundlingMode", ["manual"])
    wallets = [safe_world.safe_with_module(4), safe_world.safe_with_module(5)]
    sent = [
        await safe_world.bundler.send(
            safe_world.signed(await safe_world.estimated(safe_world.operation(w, *sale(w, (i + 1) * c.ETH))))
        )
        for i, w in enumerate(wallets)
    ]
    tx_hash = await safe_world.endpoint.call("debug_bundler_sendBundleNow")
    got = [await safe_world.settled(one) for one in sent]
    assert {r.tx_hash for r in got} == {tx_hash} and got[0].success and got[1].success
    for wallet, receipt, amount in zip(wallets, got, (c.ETH, 2 * c.ETH), strict=True):
        spent = [
            e.args
            for log in receipt.logs
            if log.address == c.WETH and (e := decode_event("erc20", log)) and e.event == "Transfer"
        ]
        assert [(e["from"], e["value"]) for e in spent] == [(wallet, amount)]


async def test_a_reverted_operation_is_told_as_reverted_and_its_gas_is_paid(safe_world: SafeWorld) -> None:
    wallet = safe_world.safe_with_module(6)
    bad = safe_world.operation(wallet, usdc(wallet, 1))
    with pytest.raises(Reject, match="exceeds balance") as caught:
        await safe_world.estimated(bad)
    assert caught.value.code == "USER_OP_REVERTS"
    good = await safe_world.estimated(safe_world.operation(wallet, c.approve(c.USDC, c.THIEF, 0)))
    for nonce, with_reason in ((0, True), (1, False)):
        data = erc4337.executed(usdc(wallet, 1), with_reason=with_reason)
        op = replace(good, call_data=data, call_gas=200_000, nonce=nonce)
        before = await safe_world.deposit(wallet) + int(
            safe_world.rpc("eth_getBalance", wallet, "latest"), 16
        )
        got = await safe_world.settled(await safe_world.bundler.send(safe_world.signed(op)))
        after = await safe_world.deposit(wallet) + int(safe_world.rpc("eth_getBalance", wallet, "latest"), 16)
        assert not got.success and got.gas_used > 21_000 and before - after == got.gas_cost_wei > 0
        assert ("exceeds balance" if with_reason else "ExecutionFailed") in got.reason
        assert not any(log.address == c.USDC for log in got.logs)
    assert await safe_world.bundler.next_nonce(wallet) == 2


async def test_a_stale_nonce_and_too_few_signatures_never_leave(safe_world: SafeWorld) -> None:
    wallet = safe_world.safe_with_module(7)
    op = await safe_world.estimated(safe_world.operation(wallet, *sale(wallet, c.ETH)))
    assert (await safe_world.settled(await safe_world.bundler.send(safe_world.signed(op)))).success
    # Nobody listens at this bundler: whatever were sent to it would be Retry.
    deaf = Bundler(AsyncRpc("http://127.0.0.1:9", safe_world.session), safe_world.chain)
    with pytest.raises(Denied, match="next is 1") as caught:
        await deaf.send(safe_world.signed(op))
    assert caught.value.code == "USER_OP_NONCE_STALE"
    fresh = replace(op, nonce=1)
    with pytest.raises(Retry):
        await deaf.send(safe_world.signed(fresh))
    window = safe_world.window()
    digest = erc4337.safe_op_hash(1, fresh, window)
    with pytest.raises(Denied) as caught:
        erc4337.signed(1, fresh, window, [c.OWNERS[0].sign(digest)], OWNERS, 2)
    assert caught.value.code == "SAFE_BELOW_THRESHOLD"
    # Sent all the same, as only another program could, it is the bundler that refuses.
    forced = replace(fresh, signature=window.pack() + c.OWNERS[0].sign(digest))
    with pytest.raises(Denied):
        erc4337.check_signed(1, forced, OWNERS, 2, safe_world.now)
    with pytest.raises(Reject) as refused:
        await safe_world.bundler.send(forced)
    assert refused.value.code == "USER_OP_SIGNATURE"


async def test_a_receipt_is_gone_with_its_block_and_the_same_operation_comes_again(
    safe_world: SafeWorld,
) -> None:
    wallet = safe_world.safe_with_module(8)
    op = safe_world.signed(await safe_world.estimated(safe_world.operation(wallet, *sale(wallet, c.ETH))))
    snapshot = safe_world.rpc("evm_snapshot")
    sent = await safe_world.bundler.send(op)
    first = await safe_world.settled(sent)
    for _ in range(200):
        if not await safe_world.endpoint.call("debug_bundler_dumpMempool"):
            break
        await asyncio.sleep(0.02)
    assert safe_world.rpc("evm_revert", snapshot) is True
    assert await safe_world.bundler.lookup(sent.op_hash, sent.at_block) is Seen.UNKNOWN
    assert await safe_world.bundler.next_nonce(wallet) == 0
    again = await safe_world.settled(await safe_world.bundler.send(op))
    assert again.success and again.op_hash == first.op_hash


async def test_an_estimate_made_right_after_another_swap_holds_in_the_next_block(
    safe_world: SafeWorld,
) -> None:
    """The pool writes its oracle once a block: what is cheap behind another swap is dearer in a block of its own."""
    first, second = safe_world.safe_with_module(9), safe_world.safe_with_module(10)
    assert (await safe_world.done(safe_world.operation(first, *sale(first, c.ETH)))).success
    op = erc4337.to_estimate(safe_world.operation(second, *sale(second, c.ETH)), safe_world.window(), 2)
    behind = await safe_world.bundler.estimate(op)
    safe_world.rpc("evm_increaseTime", 60)
    safe_world.rpc("evm_mine")
    assert await safe_world.bundler.estimate(op) == behind
    bare = behind.applied(op, 2 * erc4337.OWNER_GAS, more_call_percent=0)
    assert (await safe_world.settled(await safe_world.bundler.send(safe_world.signed(bare)))).success
