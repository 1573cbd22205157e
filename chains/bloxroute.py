"""bloXroute's wire: `blxr_private_tx` and `blxr_submit_bundle` of its Cloud API. Pure.

    private_tx(item)      one transaction for the builders, never for the public
    bundle(bundle)        a bundle for one block
    read_tx, read_bundle  what they answered

Its dialect differs from Flashbots' in three ways: `params` is an object and no list, transactions and their hash travel without 0x, and who
asks is told by an Authorization header, which is a secret and belongs to whoever resolves those. A `timeout` above nothing would
publish the transaction when it has passed: it is always zero here. Source: bloXroute's published documentation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chains.bundles import Bundle
from chains.errors import Reconcile, Usage
from chains.evm import hash32
from chains.relay import Sendable
from chains.types import Hash32, SignedTx

HEADER = "Authorization"
EVERY_BUILDER: Mapping[str, str] = {"all": ""}


def private_tx(item: Sendable, builders: Mapping[str, str] = EVERY_BUILDER) -> dict[str, Any]:
    """The whole request. `builders` maps each to a signature, which may be empty."""
    fields = {"transaction": item.signed.raw.hex(), "timeout": 0, "mev_builders": dict(builders)}
    return _request("blxr_private_tx", fields)


def bundle(told: Bundle, builders: Mapping[str, str] = EVERY_BUILDER) -> dict[str, Any]:
    """The whole request. Raises Usage BUNDLE_INVALID for what it has no word for."""
    if told.refund_percent is not None:
        raise Usage(
            "BUNDLE_INVALID", "bloXroute's blxr_submit_bundle takes no share of a refund", "leave it out"
        )
    fields: dict[str, Any] = {
        "transaction": [item.signed.raw.hex() for item in told.items],
        "block_number": hex(told.block),
        "mev_builders": dict(builders),
    }
    for name, value in (("min_timestamp", told.min_timestamp), ("max_timestamp", told.max_timestamp)):
        if value is not None:
            fields[name] = value
    for name, hashes in (("reverting_hashes", told.may_revert), ("dropping_hashes", told.may_drop)):
        if hashes:
            fields[name] = sorted(hashes)
    if told.replacement is not None:
        fields["uuid"] = str(told.replacement)
    return _request("blxr_submit_bundle", fields)


def read_tx(result: object, signed: SignedTx) -> Hash32:
    """Raises Reconcile WRONG_HASH for another transaction's hash, MALFORMED_ANSWER for none."""
    told = result.get("txHash") if isinstance(result, Mapping) else None
    try:
        found = hash32(told) if isinstance(told, str) else None
    except Usage:
        found = None
    if found is None:
        raise Reconcile(
            "MALFORMED_ANSWER", "bloXroute answered without a transaction hash", "look it up by our own hash"
        )
    if found != hash32(signed.hash):
        raise Reconcile(
            "WRONG_HASH", "bloXroute answered with another transaction hash", "look it up by our own hash"
        )
    return found


def read_bundle(result: object, named: bool) -> str:
    """The bundle's hash, or '' where it was given a uuid and they answer nothing. Raises Reconcile MALFORMED_ANSWER."""
    told = result.get("bundleHash") if isinstance(result, Mapping) else None
    if isinstance(told, str) and told:
        try:
            return hash32(told)
        except Usage:
            told = None
    elif named and (
        result is None or result == {} or result == "" or (isinstance(result, Mapping) and told in (None, ""))
    ):
        return ""
    raise Reconcile("MALFORMED_ANSWER", "bloXroute answered a bundle without its hash", "watch the nonce")


def _request(method: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": dict(fields)}
