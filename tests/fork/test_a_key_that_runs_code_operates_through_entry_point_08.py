"""EntryPoint 0.8 and EIP-7702 on the genuine contracts: hashes equal theirs, and a key delegates, operates, and takes it back."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from userop_support import random_operation

from chains import userops_08
from chains.devnet.addresses import ENTRY_POINT_08, SIMPLE_7702_ACCOUNT
from chains.devnet.artifacts import artifact
from chains.devnet.funding import give_eth
from chains.devnet.jsonrpc import Rpc, RpcError
from chains.devnet.service import Status
from chains.gateway import Gateway
from chains.rpc import Rpc as AsyncRpc
from chains.types import ZERO_ADDRESS, Address, Environment, Fees, SignedTx, UnsignedTx
from chains.userops import UserOperation, handle_ops, packed
from chains.userops_08 import MARKER, domain_separator, user_op_hash
from chains.wallets import WalletKind, identify
from contracts.codec import decode_result, encode
from contracts.hashing import keccak
from keys.curve import SigningKey
from keys.delegations import Authorization, sign, sign_set_code, typed_operation
from keys.keystore import KeystoreSigner
from keys.policy_settings import ChainPolicy

pytestmark = pytest.mark.devnet
ETH = 10**18
DELEGATE = Address(SIMPLE_7702_ACCOUNT)
FRIEND = Address("0x" + "B" * 40)
TWIN = Address("0x" + "C" * 40)
KEY = SigningKey(keccak(b"a key that runs code"))
SIGNER = KeystoreSigner(KEY, Environment.DEVNET)
POLICY = ChainPolicy(
    1, KEY.address, frozenset(), 1, {}, frozenset(), {}, ZERO_ADDRESS, delegates=frozenset({DELEGATE})
)
FEES = Fees(50 * 10**9, 10**9)


@pytest.fixture
def rpc(devnet: Status) -> Iterator[Rpc]:
    give_eth(devnet.cheat_urls[1], KEY.address, 10 * ETH)
    with Rpc(devnet.cheat_urls[1]) as found:
        yield found


def read(rpc: Rpc, function: str, *arguments: Any) -> Any:
    data = encode("entry_point_07", function, arguments)
    answer = rpc("eth_call", {"to": ENTRY_POINT_08, "data": "0x" + data.hex()}, "latest")
    return decode_result("entry_point_07", function, bytes.fromhex(answer[2:]))[0]


def sent(rpc: Rpc, signed: SignedTx) -> dict[str, Any]:
    rpc("eth_sendRawTransaction", "0x" + signed.raw.hex())
    rpc("evm_mine")
    found: dict[str, Any] = rpc("eth_getTransactionReceipt", signed.hash)
    return found


def nonce(rpc: Rpc, address: str = KEY.address) -> int:
    return int(rpc("eth_getTransactionCount", address, "latest"), 16)


def delegate_to(rpc: Rpc, code: Address) -> None:
    """The account delegates by a transaction of its own: its nonce has grown by one when the authorization is read."""
    at = nonce(rpc)
    auth = sign(SIGNER, Authorization(1, code, at + 1), POLICY)
    tx = UnsignedTx(1, at, KEY.address, 0, b"", 200_000, FEES)
    assert sent(rpc, sign_set_code(SIGNER, tx, [auth], POLICY))["status"] == "0x1"


async def seen(devnet: Status) -> tuple[WalletKind, Address | None]:
    async with aiohttp.ClientSession() as session:
        found = await identify(Gateway(1, [AsyncRpc(devnet.cheat_urls[1], session)]), KEY.address)
    return found.kind, found.delegate


def operation(rpc: Rpc, value: int = ETH, **more: Any) -> UserOperation:
    call = artifact("Simple7702Account").call("execute", FRIEND, value, b"")
    op = UserOperation(
        KEY.address,
        read(rpc, "getNonce", KEY.address, 0),
        call,
        100_000,
        200_000,
        60_000,
        FEES,
        factory=MARKER,
    )
    return replace(op, **more)


def signed(op: UserOperation) -> UserOperation:
    return replace(op, signature=SIGNER.sign_typed(typed_operation(1, op, DELEGATE, POLICY)))


def test_the_contracts_are_the_official_ones(devnet: Status) -> None:
    assert userops_08.ENTRY_POINT == ENTRY_POINT_08
    for chain_id in devnet.urls:
        mine = {k.name: (k.address, k.label) for k in devnet.contracts if k.chain == chain_id}
        assert mine["EntryPoint 0.8"] == (ENTRY_POINT_08, "exact")
        assert mine["Simple7702Account 0.8"] == (SIMPLE_7702_ACCOUNT, "exact")


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=pytest.mark.full)])
def test_hashes_equal_the_entry_points(devnet: Status, count: int) -> None:
    rng = random.Random(count)
    ops = [random_operation(rng) for _ in range(count)]
    contract = artifact("EntryPoint08")
    for chain_id, url in devnet.urls.items():
        mine = ops if chain_id == 1 else ops[:50]
        with Rpc(url) as rpc:
            calls = [
                {
                    "to": ENTRY_POINT_08,
                    "data": "0x" + encode("entry_point_07", "getUserOpHash", (packed(op),)).hex(),
                }
                for op in mine
            ]
            theirs = rpc.batch(("eth_call", [call, "latest"]) for call in calls)
            ask = contract.call("getDomainSeparatorV4")
            domain = rpc("eth_call", {"to": ENTRY_POINT_08, "data": "0x" + ask.hex()}, "latest")
        assert [user_op_hash(chain_id, op) for op in mine] == theirs
        assert domain == "0x" + domain_separator(chain_id).hex()


def test_hashes_of_delegated_senders_equal_the_entry_points(rpc: Rpc) -> None:
    rng = random.Random(7702)
    for data in (b"", b"\x01", rng.randbytes(100)):
        delegate = Address(random_operation(rng).sender)
        op = replace(random_operation(rng), factory=MARKER, factory_data=data)
        rpc("anvil_setCode", op.sender, "0xef0100" + delegate[2:])
        assert user_op_hash(1, op, delegate) == "0x" + read(rpc, "getUserOpHash", packed(op)).hex()


async def test_a_key_delegates_operates_and_takes_it_back(devnet: Status, rpc: Rpc) -> None:
    assert await seen(devnet) == (WalletKind.EOA, None)
    delegate_to(rpc, DELEGATE)
    assert await seen(devnet) == (WalletKind.DELEGATED_EOA, DELEGATE)
    bundler = SigningKey(keccak(b"a bundler of 0.8"))
    give_eth(devnet.cheat_urls[1], bundler.address, 10 * ETH)
    carrier = KeystoreSigner(bundler, Environment.DEVNET)

    def carried(op: UserOperation) -> dict[str, Any]:
        call = handle_ops([op], bundler.address, userops_08.ENTRY_POINT)
        tx = UnsignedTx(1, nonce(rpc, bundler.address), call.to, 0, call.data, 1_000_000, FEES)
        return sent(rpc, carrier.sign_transaction(tx))

    before = int(rpc("eth_getBalance", FRIEND, "latest"), 16)
    op = signed(operation(rpc))
    assert carried(op)["status"] == "0x1"
    assert int(rpc("eth_getBalance", FRIEND, "latest"), 16) == before + ETH
    assert carried(op)["status"] == "0x0", "its nonce is used"
    bent = replace(signed(operation(rpc)), call_gas=100_001)
    assert carried(bent)["status"] == "0x0"
    waiting = signed(operation(rpc, nonce=read(rpc, "getNonce", KEY.address, 0)))
    rpc("anvil_setCode", TWIN, rpc("eth_getCode", DELEGATE, "latest"))
    rpc("anvil_setCode", KEY.address, "0xef0100" + TWIN[2:])
    assert carried(waiting)["status"] == "0x0", "it is void under other code, even of the same bytes"
    delegate_to(rpc, ZERO_ADDRESS)
    assert await seen(devnet) == (WalletKind.EOA, None)
    assert carried(waiting)["status"] == "0x0", "what was signed for the delegate is void without it"
    assert int(rpc("eth_getBalance", FRIEND, "latest"), 16) == before + ETH


def test_an_authorization_is_worth_one_nonce(rpc: Rpc) -> None:
    late = sign(SIGNER, Authorization(1, DELEGATE, nonce(rpc) + 1), POLICY)
    delegate_to(rpc, ZERO_ADDRESS)
    carrier = SigningKey(keccak(b"whoever saw it"))
    rpc("anvil_setBalance", carrier.address, hex(ETH))
    tx = UnsignedTx(1, nonce(rpc, carrier.address), FRIEND, 0, b"", 200_000, FEES)
    assert (
        sent(rpc, sign_set_code(KeystoreSigner(carrier, Environment.DEVNET), tx, [late], POLICY))["status"]
        == "0x1"
    )
    assert rpc("eth_getCode", KEY.address, "latest") == "0x"


def test_the_marker_without_code_is_refused_by_both(rpc: Rpc) -> None:
    op = operation(rpc)
    with pytest.raises(RpcError):
        read(rpc, "getUserOpHash", packed(op))
    with pytest.raises(Exception, match="the delegate is missing"):
        user_op_hash(1, op)
    with pytest.raises(Exception, match="is not the EIP-7702 marker"):
        user_op_hash(1, replace(op, factory=None), DELEGATE)
