"""MEV-Share's wire: `mev_sendBundle` with hints and refunds, its event stream, its refund totals. Pure.

    wording(bundle)        the object of `mev_sendBundle`
    read_sent(answer)      what it answered
    read_event(line)       one line of the event stream (GET, server-sent events)
    told_of(event, hash)   whether an event speaks of our transaction: events name the Keccak-256 of its hash

A hint is what searchers are shown of a transaction before a block holds it: for a PRIVATE plan nothing but the hash may be, so that
somebody may bid for the place behind it and nobody knows what it does. Requests are signed in X-Flashbots-Signature like a bundle's.
Sources: Flashbots' published MEV-Share documentation (bundles, event stream) and JSON-RPC pages (refunds).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from chains.bounded_json import loads
from chains.errors import Denied, Reconcile, Retry, Usage
from chains.evm import checksum, hash32, keccak
from chains.relay import Sendable
from chains.types import Address, Hash32, Protection

METHOD, VERSION = "mev_sendBundle", "v0.1"
MAX_BODY = 50


class Hint(Enum):
    CALLDATA = "calldata"
    CONTRACT_ADDRESS = "contract_address"
    LOGS = "logs"
    FUNCTION_SELECTOR = "function_selector"
    HASH = "hash"
    TX_HASH = "tx_hash"
    FULL = "full"
    DEFAULT_LOGS = "default_logs"


@dataclass(frozen=True, slots=True)
class ShareBundle:
    """`body`: signed transactions, or the hashes of others' that an event told of; in order, all or none, in `block` to `max_block`.

    `hints` are what searchers are shown, `builders` who may build it (none: Flashbots' own). `refund` maps a place in the body to the
    per cent of what follows it that goes back, `refund_to` shares that out among addresses, per cent.
    Raises Usage SHARE_INVALID where its fields do not fit together, Denied HINT_TELLS where a PRIVATE transaction would be shown.
    """

    body: tuple[Sendable | Hash32, ...]
    block: int
    max_block: int | None = None
    hints: frozenset[Hint] = frozenset()
    builders: tuple[str, ...] = ()
    refund: Mapping[int, int] | None = None
    refund_to: tuple[tuple[Address, int], ...] = ()

    def __post_init__(self) -> None:
        refund = self.refund or {}
        shares = [percent for _, percent in self.refund_to]
        theirs = sum(isinstance(item, str) for item in self.body)
        wrong = [
            text
            for bad, text in (
                (not 0 < len(self.body) <= MAX_BODY, f"{len(self.body)} transactions"),
                (self.block <= 0, f"block {self.block}"),
                (self.max_block is not None and self.max_block < self.block, f"blocks {self.block} to {self.max_block}"),
                (any(not 0 <= at < len(self.body) for at in refund), "a refund for a place that is not in it"),
                (any(not 0 < p < 100 for p in refund.values()) or sum(refund.values()) > 100, "refunds in per cent"),
                (bool(shares) and (sum(shares) != 100 or min(shares) <= 0), "refund_to shares out 100 per cent"),
                (bool(theirs and self.hints), "hints about another's transaction"),
                (bool(theirs) and len(self.body) - theirs > 1, "more than one transaction behind another's"),
            )
            if bad
        ]  # fmt: skip
        if wrong:
            raise Usage(
                "SHARE_INVALID", f"a MEV-Share bundle: {'; '.join(wrong)}", f"at most {MAX_BODY} in it"
            )
        private = [i for i in self.body if isinstance(i, Sendable) and i.protection is Protection.PRIVATE]
        if private and self.hints - {Hint.HASH}:
            told = ", ".join(sorted(h.value for h in self.hints - {Hint.HASH}))
            raise Denied(
                "HINT_TELLS",
                f"a PRIVATE transaction would be shown by its {told}",
                "hint `hash` alone, or none",
            )


def wording(bundle: ShareBundle) -> dict[str, Any]:
    """The one parameter of `mev_sendBundle`. Nothing in it may revert: it would be paid for."""
    inclusion = {"block": hex(bundle.block)}
    if bundle.max_block is not None:
        inclusion["maxBlock"] = hex(bundle.max_block)
    body = [
        {"hash": item} if isinstance(item, str) else {"tx": "0x" + item.signed.raw.hex(), "canRevert": False}
        for item in bundle.body
    ]
    told: dict[str, Any] = {"version": VERSION, "inclusion": inclusion, "body": body}
    validity: dict[str, Any] = {}
    if bundle.refund:
        validity["refund"] = [{"bodyIdx": at, "percent": p} for at, p in sorted(bundle.refund.items())]
    if bundle.refund_to:
        validity["refundConfig"] = [{"address": a, "percent": p} for a, p in bundle.refund_to]
    privacy: dict[str, Any] = {}
    if bundle.hints:
        privacy["hints"] = sorted(h.value for h in bundle.hints)
    if bundle.builders:
        privacy["builders"] = list(bundle.builders)
    return told | ({"validity": validity} if validity else {}) | ({"privacy": privacy} if privacy else {})


def read_sent(result: object) -> Hash32:
    """The bundle's hash: a receipt for having arrived. Raises Reconcile MALFORMED_ANSWER."""
    try:
        if isinstance(result, Mapping):
            return hash32(str(result["bundleHash"]))
    except (KeyError, Usage):
        pass
    raise Reconcile("MALFORMED_ANSWER", "MEV-Share answered a bundle without its hash", "watch the nonce")


@dataclass(frozen=True, slots=True)
class HintedTx:
    """What an event shows of one transaction; None where it does not."""

    to: Address | None
    selector: bytes | None
    data: bytes | None


@dataclass(frozen=True, slots=True)
class ShareEvent:
    """`hash` is the Keccak-256 of the transaction's hash (or of a bundle's hashes). Amounts in wei and gas, None where not told."""

    hash: Hash32
    txs: tuple[HintedTx, ...]
    logs: tuple[Mapping[str, Any], ...]
    gas_used: int | None
    mev_gas_price: int | None


def read_event(line: bytes) -> ShareEvent | None:
    """None for what is no event (a ping, an empty line, another field). Raises Retry MALFORMED_EVENT."""
    name, _, value = line.strip().partition(b":")
    if name != b"data":
        return None
    try:
        told = loads(value.strip())
        return ShareEvent(
            hash32(_text(told["hash"])),
            tuple(_tx(tx) for tx in _listed(told.get("txs"))),
            tuple(_mapping(log) for log in _listed(told.get("logs"))),
            _quantity(told.get("gasUsed")),
            _quantity(told.get("mevGasPrice")),
        )
    except (ValueError, TypeError, KeyError, AttributeError, Usage) as error:
        raise Retry(
            "MALFORMED_EVENT", f"MEV-Share's stream told something else ({type(error).__name__})"
        ) from None


def told_of(event: ShareEvent, tx_hash: Hash32) -> bool:
    """Whether the event is about the transaction of that hash alone."""
    return event.hash == hash32(keccak(bytes.fromhex(tx_hash[2:])))


def read_refund_total(result: object) -> int:
    """wei of `flashbots_getMevRefundTotalByRecipient` and `…BySender`. Raises Retry MALFORMED_ANSWER."""
    total = result.get("total") if isinstance(result, Mapping) else None
    try:
        found = _quantity(total)
    except (ValueError, TypeError):
        found = None
    if found is None:
        raise Retry("MALFORMED_ANSWER", "MEV-Share told no total of refunds")
    return found


def _tx(told: object) -> HintedTx:
    shown = _mapping(told)
    to, selector, data = (shown.get(name) for name in ("to", "functionSelector", "callData"))
    return HintedTx(
        checksum(_text(to)) if to is not None else None,
        _bytes(selector) if selector is not None else None,
        _bytes(data) if data is not None else None,
    )


def _listed(value: object) -> list[object]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise TypeError("a list is expected")
    return value


def _mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError("an object is expected")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a string is expected")
    return value


def _bytes(value: object) -> bytes:
    text = _text(value)
    if not text.startswith("0x"):
        raise ValueError("0x")
    return bytes.fromhex(text[2:])


def _quantity(value: object) -> int | None:
    """A hex quantity of zero or more."""
    if value is None:
        return None
    text = _text(value)
    if not text.startswith("0x") or len(text) > 66:
        raise ValueError("no quantity")
    return int(text[2:], 16)
