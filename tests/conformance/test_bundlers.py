"""The standard RPC of a bundler, both sides: what ours answers, and what the client makes of one that misbehaves."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import custody as c
import pytest
from crooked_bundler import crooked_bundler
from userop_support import OWNERS, ROOT, SafeWorld, bundler_process, open_safe_world, sale

from chains.bundler import REFUSALS, Bundler, Seen, Sent, receipts, refusal
from chains.devnet import state
from chains.devnet.jsonrpc import Rpc
from chains.devnet.service import Status
from chains.errors import FairleadError, Halt, Reconcile, Reject, Retry
from chains.rpc import Rpc as AsyncRpc
from chains.rpc import RpcReject
from chains.types import Address, Fees, Hash32, Log
from chains.userops import ENTRY_POINT, UserOperation, to_json, user_op_hash
from contracts.codec import topic
from contracts.hashing import address_bytes
from keys import erc4337
from keys.erc4337 import Window

pytestmark = pytest.mark.devnet
NOBODY = "0x00000000000000000000000000000000000000aa"


async def ready(world: SafeWorld, salt: int) -> UserOperation:
    """An estimated, unsigned sale of one ETH."""
    wallet = world.safe_with_module(salt)
    return await world.estimated(world.operation(wallet, *sale(wallet, c.ETH)))


async def code_of(world: SafeWorld, op: UserOperation | dict[str, Any], *more: Any) -> tuple[int, str]:
    body = to_json(op) if isinstance(op, UserOperation) else op
    with pytest.raises(RpcReject) as caught:
        await world.endpoint.call("eth_sendUserOperation", [body, *(more or (ENTRY_POINT,))])
    return caught.value.rpc_code, caught.value.rpc_message


async def test_every_refusal_has_its_code(safe_world: SafeWorld) -> None:
    op = await ready(safe_world, 1)
    signed = safe_world.signed(op)
    now = safe_world.now
    body = to_json(signed)

    def changed(**changes: Any) -> UserOperation:
        return safe_world.signed(replace(op, **changes))

    cases: list[tuple[UserOperation | dict[str, Any], int, str]] = [
        ({k: v for k, v in body.items() if k != "callGasLimit"}, -32602, "callGasLimit"),
        ({**body, "initCode": "0x"}, -32602, "initCode"),
        ({**body, "factory": c.SAFE}, -32602, "factoryData"),
        ({**body, "paymaster": c.SAFE}, -32602, "paymasterVerificationGasLimit"),
        (changed(pre_verification_gas=40_000), -32602, "preVerificationGas"),
        (changed(verification_gas=10_000_001), -32602, "verificationGasLimit"),
        (changed(fees=Fees(1, 1)), -32602, "base fee"),
        (changed(nonce=1), -32500, "AA25"),
        (changed(sender=Address(c.SAFE)), -32500, "AA20"),
        (changed(verification_gas=20_000), -32500, "AA23"),
        (changed(fees=Fees(10**15, 10**15)), -32500, "AA21"),
        (changed(call_data=c.approve(c.USDC, c.SAFE, 1).data), -32500, "UnsupportedExecutionFunction"),
        (changed(factory=Address(c.SAFE), factory_data=b"\x01"), -32500, "AA10"),
        (replace(signed, signature=signed.signature[:-1] + b"\x1d"), -32507, "AA24"),
        (replace(signed, call_gas=signed.call_gas + 1), -32507, "AA24"),
        (safe_world.signed(op, Window(now + 600, now + 300)), -32503, "time range"),
    ]
    for given, code, words in cases:
        got = await code_of(safe_world, given)
        assert got[0] == code and words in got[1], (got, code, words)
    expired = Window(now - 10)
    digest = erc4337.safe_op_hash(1, op, expired)
    late = erc4337.signed(1, op, expired, [o.sign(digest) for o in c.OWNERS], OWNERS, 2)
    assert (await code_of(safe_world, late))[0] == -32503
    assert (await code_of(safe_world, signed, c.SAFE)) == (
        -32602,
        f"the EntryPoint {c.SAFE} is not supported",
    )
    for method, params, code in (
        ("eth_nothing", [], -32601),
        ("eth_getUserOperationByHash", ["0x12"], -32602),
        ("eth_sendUserOperation", [body], -32602),
        ("debug_bundler_setBundlingMode", ["often"], -32602),
    ):
        with pytest.raises(RpcReject) as caught:
            await safe_world.endpoint.call(method, params)
        assert caught.value.rpc_code == code
    assert await safe_world.endpoint.call("debug_bundler_dumpMempool") == []


async def test_the_pool_takes_each_operation_once_and_four_of_a_sender(safe_world: SafeWorld) -> None:
    await safe_world.endpoint.call("debug_bundler_setBundlingMode", ["manual"])
    op = await ready(safe_world, 2)
    for key in range(4):
        sent = await safe_world.bundler.send(safe_world.signed(replace(op, nonce=key << 64)))
    got = await code_of(safe_world, safe_world.signed(replace(op, nonce=9 << 64)))
    assert got[0] == -32602 and "4 operations" in got[1]
    # The very same operation again is no error to the client: it is where it should be.
    waiting = await safe_world.bundler.pending(sent.op_hash)
    assert waiting is not None and (await code_of(safe_world, waiting)) == (-32602, "already known")
    assert (await safe_world.bundler.send(waiting)).op_hash == sent.op_hash
    told = await safe_world.endpoint.call("eth_getUserOperationByHash", [sent.op_hash])
    assert (told["blockNumber"], told["transactionHash"], told["entryPoint"]) == (None, None, ENTRY_POINT)
    assert await safe_world.endpoint.call("eth_getUserOperationReceipt", [sent.op_hash]) is None


async def test_an_operation_that_went_bad_is_dropped_and_spoils_no_bundle(safe_world: SafeWorld) -> None:
    await safe_world.endpoint.call("debug_bundler_setBundlingMode", ["manual"])
    bad, good = await ready(safe_world, 3), await ready(safe_world, 4)
    gone = await safe_world.bundler.send(safe_world.signed(bad))
    kept = await safe_world.bundler.send(safe_world.signed(good))
    safe_world.rpc("anvil_setBalance", bad.sender, "0x1")
    await safe_world.endpoint.call("debug_bundler_sendBundleNow")
    assert (await safe_world.settled(kept)).success
    assert await safe_world.bundler.lookup(gone.op_hash, gone.at_block) is Seen.UNKNOWN
    assert await safe_world.endpoint.call("debug_bundler_dumpMempool") == []
    assert await safe_world.endpoint.call("debug_bundler_sendBundleNow") is None


async def test_the_bundler_loses_nothing_whatever_the_size(safe_world: SafeWorld) -> None:
    wallet = safe_world.safe_with_module(5)

    def balance() -> int:
        return int(safe_world.rpc("eth_getBalance", safe_world.account, "latest"), 16)

    for nonce, size in enumerate((0, 100, 1_000, 8_000, 30_000)):
        before = balance()
        part = c.call(c.USDC, "erc20", "approve", c.THIEF, 0)
        part = replace(part, to=NOBODY, data=b"\xee" * size)
        got = await safe_world.done(safe_world.operation(wallet, part, nonce=nonce))
        assert got.success and balance() >= before, size


async def test_an_estimate_is_enough_and_not_much_more(safe_world: SafeWorld) -> None:
    """Its limits pass; the call's less a third does not, and the validation's less a third neither."""
    wallet = safe_world.safe_with_module(6)
    op = await safe_world.estimated(safe_world.operation(wallet, *sale(wallet, c.ETH)))
    got = await code_of(
        safe_world, safe_world.signed(replace(op, verification_gas=op.verification_gas * 2 // 3))
    )
    assert got[0] in (-32500, -32507)
    short = safe_world.signed(replace(op, call_gas=op.call_gas * 2 // 3))
    assert not (await safe_world.settled(await safe_world.bundler.send(short))).success
    enough = safe_world.signed(replace(op, nonce=1))
    assert (await safe_world.settled(await safe_world.bundler.send(enough))).success


@pytest.mark.parametrize("way", ["accept_then_hang", "accept_then_502"])
async def test_an_answer_lost_after_a_send_is_looked_up(safe_world: SafeWorld, way: str) -> None:
    op = safe_world.signed(await ready(safe_world, 7))
    async with crooked_bundler(safe_world.endpoint, eth_sendUserOperation=way) as crooked:
        bundler = Bundler(AsyncRpc(crooked.url, safe_world.session, timeout_s=1.0), safe_world.chain)
        since = (await safe_world.chain.block()).number
        with pytest.raises(Reconcile):
            await bundler.send(op)
        found = await bundler.lookup(user_op_hash(1, op), since)
        assert found is not Seen.UNKNOWN
    assert (await safe_world.settled(Sent(user_op_hash(1, op), since))).success
    # Asked to send it again all the same, the nonce is found used before anything leaves.
    with pytest.raises(FairleadError) as caught:
        await safe_world.bundler.send(op)
    assert caught.value.code == "USER_OP_NONCE_STALE"


async def test_a_send_that_nobody_heard_is_unknown_and_can_be_sent_again(safe_world: SafeWorld) -> None:
    op = safe_world.signed(await ready(safe_world, 8))
    async with crooked_bundler(safe_world.endpoint, eth_sendUserOperation="swallow_then_hang") as crooked:
        bundler = Bundler(AsyncRpc(crooked.url, safe_world.session, timeout_s=0.5), safe_world.chain)
        since = (await safe_world.chain.block()).number
        with pytest.raises(Reconcile):
            await bundler.send(op)
        assert await bundler.lookup(user_op_hash(1, op), since) is Seen.UNKNOWN
        crooked.ways.clear()
        patient = Bundler(AsyncRpc(crooked.url, safe_world.session, timeout_s=30), safe_world.chain)
        assert (await safe_world.settled(await patient.send(op))).success


async def test_a_bundlers_word_alone_makes_no_receipt(safe_world: SafeWorld) -> None:
    op = safe_world.signed(await ready(safe_world, 9))
    op_hash = user_op_hash(1, op)
    lie = {"userOpHash": op_hash, "success": True, "receipt": {"transactionHash": "0x" + "11" * 32}}
    other = {"userOperation": to_json(replace(op, nonce=5)), "entryPoint": ENTRY_POINT}
    async with crooked_bundler(
        safe_world.endpoint,
        eth_sendUserOperation={"result": op_hash},
        eth_getUserOperationReceipt={"result": lie},
        eth_getUserOperationByHash={"result": None},
    ) as crooked:
        bundler = Bundler(AsyncRpc(crooked.url, safe_world.session), safe_world.chain)
        sent = await bundler.send(op)
        assert await bundler.hint(op_hash) == "0x" + "11" * 32
        assert await bundler.receipt(op_hash, sent.at_block) is None
        assert await bundler.lookup(op_hash, sent.at_block) is Seen.UNKNOWN
        crooked.ways["eth_getUserOperationByHash"] = {"result": other}
        with pytest.raises(Retry, match="malformed"):
            await bundler.lookup(op_hash, sent.at_block)
        crooked.ways["eth_getUserOperationByHash"] = {
            "result": {**to_json(op), "entryPoint": ENTRY_POINT, "blockNumber": None}
        }
        assert await bundler.lookup(op_hash, sent.at_block) is Seen.PENDING
        crooked.ways["eth_sendUserOperation"] = {"result": "0x" + "22" * 32}
        with pytest.raises(Reconcile) as caught:
            await bundler.send(op)
        assert caught.value.code == "BUNDLER_OTHER_HASH"


@pytest.mark.parametrize(
    ("way", "error"),
    [
        ("503", Reconcile),
        ("429", Retry),
        ("not_json", Reconcile),
        ({"error": {"code": -32500, "message": "AA25 invalid account nonce"}}, Reconcile),
        ({"error": {"code": -32602, "message": "replacement underpriced"}}, Reject),
        ({"error": {"code": -32601, "message": "no such method"}}, Reject),
        ({"error": {"code": -32603, "message": "internal"}}, Reconcile),
        ({"error": {"code": -32000, "message": "who knows"}}, Reconcile),
        ({"result": None}, Reconcile),
    ],
)
async def test_what_a_send_comes_to(safe_world: SafeWorld, way: Any, error: type[FairleadError]) -> None:
    op = safe_world.signed(await ready(safe_world, 10))
    async with crooked_bundler(safe_world.endpoint, eth_sendUserOperation=way) as crooked:
        with pytest.raises(FairleadError) as caught:
            await Bundler(AsyncRpc(crooked.url, safe_world.session), safe_world.chain).send(op)
        assert type(caught.value) is error


@pytest.mark.parametrize(
    ("ways", "code", "error"),
    [
        ({"eth_chainId": {"result": "0x2105"}}, "WRONG_CHAIN", Halt),
        ({"eth_supportedEntryPoints": {"result": [c.SAFE]}}, "ENTRY_POINT_UNSUPPORTED", Reject),
        ({"eth_supportedEntryPoints": {"result": "0x"}}, "MALFORMED_ANSWER", Retry),
        ({"eth_chainId": {"result": "one"}}, "MALFORMED_ANSWER", Retry),
    ],
)
async def test_another_chains_bundler_is_not_used(
    safe_world: SafeWorld, ways: dict[str, Any], code: str, error: type[FairleadError]
) -> None:
    async with crooked_bundler(safe_world.endpoint, **ways) as crooked:
        with pytest.raises(error) as caught:
            await Bundler(AsyncRpc(crooked.url, safe_world.session), safe_world.chain).check()
        assert caught.value.code == code


def test_every_code_of_the_standard_is_named() -> None:
    for code, (name, about) in REFUSALS.items():
        error = refusal(RpcReject(code, "said so"), "here")
        assert isinstance(error, Reject) and error.code == name and about in error.hint
    revert = (
        "0x08c379a0"
        + (32).to_bytes(32, "big").hex()
        + (2).to_bytes(32, "big").hex()
        + b"no".ljust(32, b"\0").hex()
    )
    assert refusal(RpcReject(-32521, "reverted", revert), "here").message.endswith("reverted: no")


def test_a_log_that_only_looks_like_the_entry_points_is_no_receipt() -> None:
    op_hash = b"\x01" * 32
    topics = (
        topic("entry_point_07", "UserOperationEvent"),
        op_hash,
        bytes(12) + address_bytes(c.SAFE),
        bytes(32),
    )
    data = b"".join(n.to_bytes(32, "big") for n in (0, 1, 5, 7))

    def log(address: str) -> Log:
        return Log(Address(address), topics, data, 1, Hash32("0x" + "02" * 32), Hash32("0x" + "03" * 32), 0)

    assert receipts([log(c.THIEF)]) == ()
    (real,) = receipts([log(ENTRY_POINT)])
    assert (real.success, real.gas_cost_wei, real.gas_used) == (True, 5, 7)


async def test_it_bundles_through_the_relay_of_chain_1(relayed_devnet: Status, tmp_path: Path) -> None:
    assert relayed_devnet.relay_url is not None
    with bundler_process(relayed_devnet.urls[1], tmp_path) as (url, account):
        async with open_safe_world(relayed_devnet.cheat_urls[1], url, account) as world:
            wallet = world.safe_with_module(4337)
            got = await world.done(world.operation(wallet, *sale(wallet, c.ETH)))
            assert got.success, got.reason


def run(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "chains.devnet.bundler", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def test_it_serves_nothing_but_our_devnet(devnet: Status, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("11" * 32)
    with state.anvil(1) as foreign:
        refused = run("--port", "0", "--rpc", foreign.url, "--key-file", str(key))
        assert refused.returncode == 3 and "NOT_A_DEVNET" in refused.stderr
        with Rpc(foreign.url) as rpc:
            assert rpc("eth_chainId") == "0x1"
    say: list[Callable[[], object]] = [
        lambda: key.write_text("zz"),
        lambda: key.write_text("00" * 32),
        key.unlink,
    ]
    for spoil in say:
        spoil()
        bad = run("--port", "0", "--rpc", devnet.urls[1], "--key-file", str(key))
        assert bad.returncode == 2 and "KEY_FILE" in bad.stderr and "Traceback" not in bad.stderr
