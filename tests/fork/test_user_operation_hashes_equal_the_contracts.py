"""Hashes of user operations and of a Safe's messages, against the genuine EntryPoint, 4337 module, Safe and Permit2."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import custody as c
import pytest
from eth_account.messages import encode_typed_data
from userop_support import random_operation, random_window

from chains.devnet.addresses import CHAINS, ENTRY_POINT, PERMIT2, SAFE, SAFE_4337
from chains.devnet.artifacts import artifact
from chains.devnet.funding import create_safe
from chains.devnet.jsonrpc import Rpc, RpcError
from chains.devnet.service import Status
from chains.multicall import MULTICALL3
from chains.types import Address
from chains.userops import UserOperation, packed, user_op_hash
from contracts.codec import decode_result, encode
from contracts.hashing import keccak
from keys import erc4337, safe_messages
from keys.curve import SigningKey
from keys.erc4337 import Window

pytestmark = pytest.mark.devnet
OWNERS = [Address(o.address) for o in c.OWNERS]
COUNTS = [200, pytest.param(10_000, marks=pytest.mark.full)]


def read_all(
    rpc: Rpc, to: str, contract: str, function: str, arguments: Sequence[Sequence[Any]]
) -> list[Any]:
    """One view of one contract over many arguments, in batches."""
    calls = [{"to": to, "data": "0x" + encode(contract, function, args).hex()} for args in arguments]
    answers = rpc.batch(("eth_call", [call, "latest"]) for call in calls)
    return [decode_result(contract, function, bytes.fromhex(a[2:]))[0] for a in answers]


def test_the_addresses_are_one_and_the_same_everywhere() -> None:
    from chains import userops

    assert userops.ENTRY_POINT == ENTRY_POINT
    assert SAFE_4337 == {"Safe4337Module": erc4337.MODULE, "SafeModuleSetup": erc4337.MODULE_SETUP}


def test_the_contracts_are_the_official_ones(devnet: Status) -> None:
    want = {
        "EntryPoint 0.7": ENTRY_POINT,
        **{f"{name} 0.3.0": address for name, address in SAFE_4337.items()},
    }
    for chain_id, url in devnet.urls.items():
        mine = {k.name: k for k in devnet.contracts if k.chain == chain_id and k.name in want}
        assert {name: k.address for name, k in mine.items()} == want
        assert {k.label for k in mine.values()} == {"exact"}
        with Rpc(url) as rpc:
            assert read_all(rpc, erc4337.MODULE, "safe_4337_module", "SUPPORTED_ENTRYPOINT", [()]) == [
                ENTRY_POINT
            ]


@pytest.mark.parametrize("count", COUNTS)
def test_user_op_hashes_equal_the_entry_points(devnet: Status, count: int) -> None:
    rng = random.Random(count)
    ops = [random_operation(rng) for _ in range(count)]
    for chain_id, url in devnet.urls.items():
        mine = ops if chain_id == 1 else ops[:50]
        with Rpc(url) as rpc:
            theirs = read_all(
                rpc, ENTRY_POINT, "entry_point_07", "getUserOpHash", [(packed(op),) for op in mine]
            )
        assert [user_op_hash(chain_id, op) for op in mine] == ["0x" + h.hex() for h in theirs]


@pytest.mark.parametrize("count", COUNTS)
def test_safe_op_hashes_equal_the_modules(devnet: Status, count: int) -> None:
    rng = random.Random(count + 1)
    ops = []
    for _ in range(count):
        op, window = random_operation(rng), random_window(rng)
        ops.append((erc4337.to_estimate(op, window, rng.randint(0, 3)), window))
    for chain_id, url in devnet.urls.items():
        mine: list[tuple[UserOperation, erc4337.Window]] = ops if chain_id == 1 else ops[:50]
        with Rpc(url) as rpc:
            arguments = [(packed(op),) for op, _ in mine]
            theirs = read_all(rpc, erc4337.MODULE, "safe_4337_module", "getOperationHash", arguments)
            (domain,) = read_all(rpc, erc4337.MODULE, "safe_4337_module", "domainSeparator", [()])
        assert [erc4337.safe_op_hash(chain_id, op, window) for op, window in mine] == theirs
        assert domain == erc4337.module_domain(chain_id)
        assert all(erc4337.window_of(op)[0] == window for op, window in mine)


@pytest.mark.parametrize("count", [20, pytest.param(1_000, marks=pytest.mark.full)])
@pytest.mark.parametrize(("threshold", "owners"), [(1, 1), (2, 3), (7, 10)])
def test_safes_take_the_signatures_of_any_m_of_n(
    devnet: Status, threshold: int, owners: int, count: int
) -> None:
    rng, keys = random.Random(owners), [SigningKey(keccak(b"signer %d" % i)) for i in range(owners)]
    addresses = [key.address for key in keys]
    wallet, contract = create_safe(devnet.cheat_urls[1], addresses, threshold, 9), artifact("Safe")

    def asked(digest: bytes, blob: bytes) -> tuple[str, list[Any]]:
        data = contract.call("checkSignatures", digest, b"", blob)
        return "eth_call", [{"to": wallet, "data": "0x" + data.hex()}, "latest"]

    right, wrong = [], []
    for _ in range(count):
        op, window = replace(random_operation(rng), sender=wallet), Window(rng.randint(1, 2**48 - 1))
        digest = erc4337.safe_op_hash(1, op, window)
        chosen = rng.sample(keys, rng.randint(threshold, owners))
        op = erc4337.signed(1, op, window, [key.sign(digest) for key in chosen], addresses, threshold)
        assert len(erc4337.check_signed(1, op, addresses, threshold, now=0)) == threshold
        blob = erc4337.window_of(op)[1]
        right.append(asked(digest, blob))
        wrong.append(asked(digest, blob[:-65]))
        wrong.append(asked(keccak(digest), blob))
        if threshold > 1:
            wrong.append(asked(digest, blob[65:130] + blob[:65] + blob[130:]))
    with Rpc(devnet.urls[1]) as rpc:
        assert rpc.batch(right) == ["0x"] * count
        for method, params in wrong:
            with pytest.raises(RpcError, match="GS0"):
                rpc(method, *params)


@pytest.mark.parametrize("count", COUNTS)
def test_message_hashes_equal_the_fallback_handlers(devnet: Status, count: int) -> None:
    rng = random.Random(count + 2)
    messages = [rng.randbytes(rng.choice([0, 1, 32, 33, 300])) for _ in range(count)]
    handler = artifact("CompatibilityFallbackHandler")
    wallet = create_safe(devnet.cheat_urls[1], OWNERS, 2, 4)
    with Rpc(devnet.urls[1]) as rpc:
        calls = [{"to": wallet, "data": "0x" + handler.call("getMessageHash", m).hex()} for m in messages]
        theirs = rpc.batch(("eth_call", [call, "latest"]) for call in calls)
    assert ["0x" + safe_messages.message_digest(1, wallet, m).hex() for m in messages] == theirs


def permit(wallet: str) -> dict[str, Any]:
    """Permit2's PermitSingle over 5 WETH for the Universal Router, as its EIP-712 document."""
    return {
        "types": {
            "EIP712Domain": _fields("string name, uint256 chainId, address verifyingContract"),
            "PermitDetails": _fields("address token, uint160 amount, uint48 expiration, uint48 nonce"),
            "PermitSingle": _fields("PermitDetails details, address spender, uint256 sigDeadline"),
        },
        "primaryType": "PermitSingle",
        "domain": {"name": "Permit2", "chainId": 1, "verifyingContract": PERMIT2},
        "message": {
            "details": {"token": c.WETH, "amount": 5 * c.ETH, "expiration": 2**40, "nonce": 0},
            "spender": c.ROUTER,
            "sigDeadline": 2**40,
        },
    }


def order(wallet: str) -> dict[str, Any]:
    """An order of CoW Protocol (GPv2Order): the kind of message an off-chain book takes from a Safe."""
    kinds = (
        "address sellToken, address buyToken, address receiver, uint256 sellAmount, uint256 buyAmount, uint32 validTo, bytes32 appData, "
        "uint256 feeAmount, string kind, bool partiallyFillable, string sellTokenBalance, string buyTokenBalance"
    )
    return {
        "types": {
            "EIP712Domain": _fields(
                "string name, string version, uint256 chainId, address verifyingContract"
            ),
            "Order": _fields(kinds),
        },
        "primaryType": "Order",
        "domain": {
            "name": "Gnosis Protocol",
            "version": "v2",
            "chainId": 1,
            "verifyingContract": "0x9008D19f58AAbD9eD0D60971565AA8510560ab41",
        },
        "message": {
            "sellToken": c.WETH,
            "buyToken": c.USDC,
            "receiver": wallet,
            "sellAmount": 10**18,
            "buyAmount": 2_990 * 10**6,
            "validTo": 2**31,
            "appData": bytes(32),
            "feeAmount": 0,
            "kind": "sell",
            "partiallyFillable": False,
            "sellTokenBalance": "erc20",
            "buyTokenBalance": "erc20",
        },
    }


def _fields(text: str) -> list[dict[str, str]]:
    return [{"type": part.split()[0], "name": part.split()[1]} for part in text.split(", ")]


def typed_hash(document: dict[str, Any]) -> bytes:
    """By eth-account, not by us."""
    signable = encode_typed_data(full_message=document)
    return keccak(b"\x19" + signable.version + signable.header + signable.body)


@pytest.mark.parametrize("module", [False, True], ids=["handler", "module-as-handler"])
@pytest.mark.parametrize("document", [permit, order])
def test_a_safe_signs_what_contracts_ask_it_about(
    devnet: Status, document: Callable[[str], dict[str, Any]], module: bool
) -> None:
    wallet = create_safe(devnet.cheat_urls[1], OWNERS, 2, 5)
    with Rpc(devnet.cheat_urls[1]) as rpc:
        if module:
            slot = keccak(b"fallback_manager.handler.address").hex()
            rpc("anvil_setStorageAt", wallet, "0x" + slot, "0x" + erc4337.MODULE[2:].rjust(64, "0"))
        data_hash = typed_hash(document(wallet))
        digest = safe_messages.hash_digest(1, wallet, data_hash)
        signed = [owner.sign(digest) for owner in c.OWNERS]
        blob = safe_messages.signature(1, wallet, data_hash, signed[1:], OWNERS, 2)

        def asked(what: bytes, signature: bytes) -> str:
            data = encode("safe", "isValidSignature", (what, signature))
            return str(rpc("eth_call", {"to": wallet, "data": "0x" + data.hex()}, "latest"))

        assert asked(data_hash, blob) == "0x" + safe_messages.MAGIC.ljust(32, b"\0").hex()
        for what, signature in (
            (keccak(b"another"), blob),
            (data_hash, blob[:65]),
            (data_hash, signed[0] + blob[:65]),
        ):
            with pytest.raises(RpcError, match="GS0"):
                asked(what, signature)


@pytest.mark.parametrize("count", COUNTS)
def test_the_safe_itself_calls_every_random_messages_signature_valid_and_no_bent_one(
    devnet: Status, count: int
) -> None:
    """Its isValidSignature, asked through Multicall3; of each also with one bit turned over, or the signatures of another message."""
    rng, wallet = random.Random(count + 3), create_safe(devnet.cheat_urls[1], OWNERS, 2, 8)
    asked: list[tuple[bytes, bytes]] = []
    for _ in range(count):
        data_hash = rng.randbytes(32)
        digest = safe_messages.hash_digest(1, wallet, data_hash)
        signed = [owner.sign(digest) for owner in rng.sample(c.OWNERS, rng.randint(2, 3))]
        blob = safe_messages.signature(1, wallet, data_hash, signed, OWNERS, 2)
        at = rng.randrange(len(blob) * 8)
        bent = bytearray(blob)
        bent[at // 8] ^= 1 << at % 8
        asked += [(data_hash, blob), (data_hash, bytes(bent)), (rng.randbytes(32), blob)]
    magic = safe_messages.MAGIC.ljust(32, b"\0")
    with Rpc(devnet.urls[1]) as rpc:
        for begin in range(0, len(asked), 300):
            calls = [
                (wallet, True, encode("safe", "isValidSignature", one)) for one in asked[begin : begin + 300]
            ]
            data = "0x" + encode("multicall3", "aggregate3", (calls,)).hex()
            told = rpc("eth_call", {"to": MULTICALL3, "data": data, "gas": hex(29_000_000)}, "latest")
            (answers,) = decode_result("multicall3", "aggregate3", bytes.fromhex(told[2:]))
            assert [a["success"] and a["returnData"] == magic for a in answers] == [True, False, False] * (
                len(calls) // 3
            )


def test_permit2_takes_the_safes_signature(devnet: Status) -> None:
    assert CHAINS[1].weth == c.WETH and SAFE["SafeProxyFactory"]
    wallet = create_safe(devnet.cheat_urls[1], OWNERS, 2, 6)
    data_hash = typed_hash(permit(wallet))
    digest = safe_messages.hash_digest(1, wallet, data_hash)
    blob = safe_messages.signature(1, wallet, data_hash, [o.sign(digest) for o in c.OWNERS], OWNERS, 2)
    single = ((c.WETH, 5 * c.ETH, 2**40, 0), c.ROUTER, 2**40)
    permit2 = artifact("Permit2")
    give = permit2.call(
        "permit(address,((address,uint160,uint48,uint48),address,uint256),bytes)", wallet, single, blob
    )
    with Rpc(devnet.cheat_urls[1]) as rpc:
        rpc("anvil_impersonateAccount", OWNERS[0])
        rpc("anvil_setBalance", OWNERS[0], hex(10**18))
        sent = rpc.transact(
            {"from": OWNERS[0], "to": PERMIT2, "data": "0x" + give.hex(), "gas": hex(300_000)}
        )
        assert sent["status"] == "0x1"
        (allowed,) = read_all(rpc, PERMIT2, "permit2", "allowance", [(wallet, c.WETH, c.ROUTER)])
    assert allowed == 5 * c.ETH
