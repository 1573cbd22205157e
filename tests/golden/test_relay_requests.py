"""Each builder's bundle as its published API words it, and what its answers and a hostile URL are made of."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from anvil_support import User
from eth_account import Account

from chains import bundles
from chains.bundles import Bundle
from chains.errors import Denied, Usage
from chains.relay import Sendable, replacement_id, sendable
from chains.relay_auth import local_header
from chains.relays import flashbots, profiles, protect
from chains.types import Address, Hash32, Protection

USER = User(Account.from_key(bytes([5] * 32)))
NAME = uuid.UUID("9d1b7e0a-31a4-4d0c-9c7f-0d8f6a2f3b11")
TO = Address("0x52908400098527886E0F7030069857D2E4169EE7")


def item(nonce: int = 0, chain_id: int = 1) -> Sendable:
    signed = USER.sign("0x" + "00" * 19 + "07", value=1, nonce=nonce, chain_id=chain_id)
    return sendable(signed, Protection.PRIVATE, flashbots.RELAY)


A, B = item(0), item(1)
RAW = ["0x" + i.signed.raw.hex() for i in (A, B)]
PLAIN = {"txs": RAW, "blockNumber": "0x1361bd3", "replacementUuid": str(NAME)}
WHOLE = Bundle((A, B), 0x1361BD3, NAME)


@pytest.mark.parametrize(
    "wording, bundle, expected",
    [
        (bundles.flashbots, WHOLE, PLAIN),
        (bundles.titan, WHOLE, PLAIN),
        (bundles.buildernet, WHOLE, PLAIN),
        (bundles.flashbots, Bundle((A,), 1), {"txs": RAW[:1], "blockNumber": "0x1"}),
        (
            bundles.flashbots,
            replace(WHOLE, may_revert=frozenset({B.signed.hash}), min_timestamp=5, max_timestamp=9),
            {**PLAIN, "revertingTxHashes": [B.signed.hash], "minTimestamp": 5, "maxTimestamp": 9},
        ),
        (
            bundles.titan,
            replace(WHOLE, may_drop=frozenset({A.signed.hash}), refund_percent=90, refund_to=TO),
            {**PLAIN, "droppingTxHashes": [A.signed.hash], "refundPercent": 90, "refundRecipient": TO},
        ),
        (
            bundles.buildernet,
            replace(WHOLE, may_drop=frozenset({A.signed.hash}), refund_percent=1, max_timestamp=9),
            {**PLAIN, "droppingTxHashes": [A.signed.hash], "refundPercent": 1, "maxTimestamp": 9},
        ),
    ],
)  # fmt: skip
def test_a_bundle_is_worded_as_the_builder_documents_it(
    wording: Any, bundle: Bundle, expected: dict[str, Any]
) -> None:
    assert wording(bundle) == expected


@pytest.mark.parametrize(
    "made",
    [
        lambda: Bundle((), 1),
        lambda: Bundle((A,), 0),
        lambda: Bundle((A,) * 101, 1),
        lambda: Bundle((A,), 1, may_revert=frozenset({B.signed.hash})),
        lambda: Bundle((A,), 1, refund_percent=100),
        lambda: Bundle((A,), 1, refund_to=TO),
        lambda: bundles.flashbots(Bundle((A,), 1, may_drop=frozenset({A.signed.hash}))),
        lambda: bundles.titan(Bundle((A,), 1, max_timestamp=5)),
    ],
)
def test_what_a_builder_would_refuse_or_ignore_is_refused_here(made: Any) -> None:
    with pytest.raises(Usage) as refused:
        made()
    assert refused.value.code == "BUNDLE_INVALID" and refused.value.hint


def test_one_nonce_has_one_name_in_every_run_and_another_nonce_another() -> None:
    again = USER.sign("0x" + "00" * 19 + "09", value=5, nonce=0, chain_id=1)
    assert replacement_id(again) == replacement_id(A.signed) != replacement_id(B.signed)
    assert replacement_id(item(0, 1).signed) == uuid.uuid5(
        uuid.NAMESPACE_URL, f"fairlead:1:{A.signed.sender.lower()}:0"
    )


def test_a_simulation_is_read_as_documented() -> None:
    called = flashbots._called(
        {
            "bundleGasPrice": "476190476193", "bundleHash": "0x73b1e258c7a42fd0230b2fd05529c5d4b6fcb66c227783f8bece8aeacdd1db2e",
            "coinbaseDiff": "20000000000126000", "ethSentToCoinbase": "20000000000000000", "gasFees": "126000",
            "results": [
                {"coinbaseDiff": "10000000000063000", "gasUsed": 21000, "txHash": "0x66", "value": "0x"},
                {"coinbaseDiff": "10000000000063000", "gasUsed": 21000, "txHash": "0x67", "error": "execution reverted", "revert": "no"},
            ],
            "stateBlockNumber": 5221585, "totalGasUsed": 42000,
        }
    )  # fmt: skip
    assert (called.state_block, called.coinbase_diff, called.total_gas, called.ok) == (
        5221585, 20000000000126000, 42000, False,
    )  # fmt: skip
    assert [tx.error for tx in called.txs] == ["", "execution reverted"]


@pytest.mark.parametrize(
    "query", ["?useMempool=true", "?hint=hash&useMempool=1", "?mempoolRpc=https://x", "?USEMEMPOOL=true"]
)
async def test_a_protect_url_that_goes_public_is_refused(query: str) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(Denied) as refused:
            protect.ProtectRelay(
                "https://rpc.flashbots.net/fast" + query, session, local_header(bytes([3] * 32))
            )
        assert refused.value.code == "RELAY_WOULD_PUBLISH"
        for fine in ("", "?useMempool=false", "?builder=flashbots&builder=titan&hint=hash"):
            protect.ProtectRelay(
                "https://rpc.flashbots.net/fast" + fine, session, local_header(bytes([3] * 32))
            )


def test_every_private_road_to_the_main_chain_says_whom_it_trusts_and_whether_a_revert_costs() -> None:
    private = {p.name: p for p in profiles() if Protection.PRIVATE in p.honours and 1 in p.chains}
    assert set(private) == {"flashbots", "protect", "titan", "buildernet", "mev_blocker"}
    assert {n for n, p in private.items() if not p.reverts_free} == {"mev_blocker"}
    assert all(p.trusts for p in private.values()) and Hash32
