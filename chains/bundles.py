"""Bundles: signed transactions for one block, all of them in order or none; and the builders' wordings of the same thing. Pure.

A builder leaves a bundle out whose transaction reverts, unless it is named as one that may: so a bundle costs nothing then.
Sources: the published APIs of Flashbots (`eth_sendBundle`), Titan and BuilderNet.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chains.errors import Usage
from chains.relay import Sendable
from chains.types import Address, Hash32

MAX_TXS, MAX_BYTES = 100, 300_000


@dataclass(frozen=True, slots=True)
class Bundle:
    """`may_revert` are hashes that may be included reverted, `may_drop` that may be left out. Timestamps are seconds.

    `refund_percent` (1-99) of what the builder earns by it goes to `refund_to`, or to its first sender.
    Raises Usage BUNDLE_INVALID where it is empty, too large, or its fields do not fit together.
    """

    items: tuple[Sendable, ...]
    block: int
    replacement: uuid.UUID | None = None
    may_revert: frozenset[Hash32] = frozenset()
    may_drop: frozenset[Hash32] = frozenset()
    min_timestamp: int | None = None
    max_timestamp: int | None = None
    refund_percent: int | None = None
    refund_to: Address | None = None

    def __post_init__(self) -> None:
        hashes = {i.signed.hash for i in self.items}
        size = sum(len(i.signed.raw) for i in self.items)
        wrong = [
            text
            for bad, text in (
                (not self.items, "it holds no transaction"),
                (
                    len(self.items) > MAX_TXS or size > MAX_BYTES,
                    f"{len(self.items)} transactions, {size} bytes",
                ),
                (self.block <= 0, f"block {self.block}"),
                (not (self.may_revert | self.may_drop) <= hashes, "it names a hash that is not in it"),
                (len({i.signed.chain_id for i in self.items}) > 1, "its transactions are of several chains"),
                (self.refund_percent is not None and not 1 <= self.refund_percent <= 99, "refund_percent"),
                (
                    self.refund_to is not None and self.refund_percent is None,
                    "refund_to without refund_percent",
                ),
            )
            if bad
        ]
        if wrong:
            raise Usage(
                "BUNDLE_INVALID", f"a bundle: {'; '.join(wrong)}", f"at most {MAX_TXS}, {MAX_BYTES} bytes"
            )


def flashbots(bundle: Bundle) -> dict[str, Any]:
    """relay.flashbots.net: no dropping, no refund fields (those live in Protect and in MEV-Share's own bundle)."""
    if bundle.may_drop or bundle.refund_percent is not None:
        raise Usage(
            "BUNDLE_INVALID", "Flashbots' eth_sendBundle knows no dropping and no refunds", "leave them out"
        )
    named = {"revertingTxHashes": sorted(bundle.may_revert)} if bundle.may_revert else {}
    return _common(bundle) | _times(bundle) | named


def titan(bundle: Bundle) -> dict[str, Any]:
    """rpc.titanbuilder.xyz: no timestamps."""
    if bundle.min_timestamp is not None or bundle.max_timestamp is not None:
        raise Usage("BUNDLE_INVALID", "Titan's eth_sendBundle knows no timestamps", "leave them out")
    return _common(bundle) | _named(bundle) | _refund(bundle)


def buildernet(bundle: Bundle) -> dict[str, Any]:
    """BuilderNet (buildernet.org/docs/api)."""
    return _common(bundle) | _named(bundle) | _times(bundle) | _refund(bundle)


def _common(bundle: Bundle) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "txs": ["0x" + i.signed.raw.hex() for i in bundle.items],
        "blockNumber": hex(bundle.block),
    }
    return fields | ({"replacementUuid": str(bundle.replacement)} if bundle.replacement is not None else {})


def _named(bundle: Bundle) -> dict[str, Any]:
    lists: Mapping[str, frozenset[Hash32]] = {
        "revertingTxHashes": bundle.may_revert,
        "droppingTxHashes": bundle.may_drop,
    }
    return {name: sorted(hashes) for name, hashes in lists.items() if hashes}


def _times(bundle: Bundle) -> dict[str, Any]:
    times = {"minTimestamp": bundle.min_timestamp, "maxTimestamp": bundle.max_timestamp}
    return {name: second for name, second in times.items() if second is not None}


def _refund(bundle: Bundle) -> dict[str, Any]:
    if bundle.refund_percent is None:
        return {}
    to = {} if bundle.refund_to is None else {"refundRecipient": bundle.refund_to}
    return {"refundPercent": bundle.refund_percent, **to}
