"""A Safe transaction and its signatures as one JSON document, in the Safe Transaction Service's own format.

Top level: the fields of the service's `multisig-transactions` objects, those of a POST (`safe to value data operation gasToken
safeTxGas baseGas gasPrice refundReceiver nonce contractTransactionHash sender signature origin`) and those of an answer
(`safeTxHash confirmationsRequired confirmations[] signatures`). Amounts, gas and nonce are written as decimal strings, as version 2
of that service does, and read as strings or numbers. Other keys of an answer are not looked at. What Fairlead knows besides stands
under `fairlead`: environment, chain id, and the Safe as it was when the transaction was proposed.

Holding a SafeDocument proves that its hash is that of its fields, and that every confirmation made by a key (ECDSA or eth_sign) is
its owner's signature of it. Approved hashes and contracts' signatures are claims until the Safe says so (`keys.safe_signatures`).
Whether the owners are the Safe's is the chain's word, too: see `check_against`. Pure: nothing is fetched, no clock is read.
Source: the Safe Transaction Service's OpenAPI schema (SafeMultisigTransaction, SafeMultisigTransactionResponseV2).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from chains.errors import Denied, Usage
from chains.types import ZERO_ADDRESS, Address
from contracts.hashing import to_checksum
from keys import safe_signatures as ss
from keys.safe import SafeTx, safe_tx_hash, typed
from keys.typed import TypedHash

FORMAT = "safe-transaction/1"
MAX_BYTES = 4 << 20
_VERSION = re.compile(r"[0-9A-Za-z.+-]{1,20}")
_ORIGIN = 200  # the service's own limit, in characters
_TYPES = {
    ss.Form.KEY: "EOA",
    ss.Form.ETH_SIGN: "ETH_SIGN",
    ss.Form.APPROVED: "APPROVED_HASH",
    ss.Form.CONTRACT: "CONTRACT_SIGNATURE",
}


@dataclass(frozen=True, slots=True)
class Confirmation:
    """One owner's signature in any form, by itself (`OwnerSignature.alone`); `at` is when it was added (RFC 3339), as its maker says."""

    owner: Address
    signature: bytes
    at: str = ""


@dataclass(frozen=True, slots=True)
class Seen:
    """The Safe when the transaction was proposed: what its owners rely on not to have changed."""

    version: str
    singleton: Address
    owners: tuple[Address, ...]
    threshold: int
    nonce: int


@dataclass(frozen=True, slots=True)
class SafeDocument:
    """`environment` and `seen` are None in a document that another program made."""

    chain_id: int
    safe: Address
    tx: SafeTx
    confirmations: tuple[Confirmation, ...] = ()
    environment: str | None = None
    seen: Seen | None = None
    origin: str = ""
    at: str = ""

    @property
    def digest(self) -> bytes:
        return safe_tx_hash(self.chain_id, self.safe, self.tx)

    @property
    def hash(self) -> str:
        return "0x" + self.digest.hex()

    @property
    def typed(self) -> TypedHash:
        return typed(self.chain_id, self.safe, self.tx)

    @property
    def signers(self) -> tuple[Address, ...]:
        return tuple(c.owner for c in self.confirmations)

    @property
    def signatures(self) -> tuple[ss.OwnerSignature, ...]:
        digest = self.digest
        return tuple(ss.read(digest, c.signature) for c in self.confirmations)

    @property
    def proved(self) -> tuple[Address, ...]:
        """Owners whose key signed: nobody need be asked about these."""
        return tuple(s.owner for s in self.signatures if s.proved)

    def packed(self, owners: Collection[str], threshold: int) -> bytes:
        """What the contract takes. Raises Denied SAFE_BELOW_THRESHOLD, SAFE_SIGNATURE_FOREIGN."""
        return ss.pack(self.signatures, owners, threshold)


def parse(data: Any, chain_id: int | None = None) -> SafeDocument:
    """The document of a JSON object. `chain_id` is needed where the object does not say it, and must not differ where it does.

    Raises Usage SAFE_FILE_INVALID naming the field, SAFE_CHAIN_UNKNOWN; Denied SAFE_HASH_DIFFERS, SAFE_OTHER_CHAIN,
    SAFE_SIGNATURE_FOREIGN, SAFE_SIGNATURE_DUPLICATE, SAFE_SIGNATURE_UNSORTED.
    """
    if not isinstance(data, Mapping):
        raise _bad("the document", "is not a JSON object")
    record = data.get("fairlead")
    said, environment, seen, at = _record(record) if record is not None else (None, None, None, "")
    chain = said if said is not None else chain_id
    if chain is None:
        raise Usage(
            "SAFE_CHAIN_UNKNOWN",
            "this transaction was made elsewhere and does not say which chain it is for",
            "name it: --chain NAME",
        )
    if chain_id is not None and chain_id != chain:
        raise Denied(
            "SAFE_OTHER_CHAIN",
            f"the transaction is for chain id {chain}, not {chain_id}",
            "a Safe's transaction counts on one chain only",
        )
    origin = data.get("origin") or ""
    if not isinstance(origin, str) or len(origin) > _ORIGIN:
        raise _bad("origin", f"is not a text of at most {_ORIGIN} characters")
    origin = "".join(c for c in origin if c.isprintable())  # it is shown on terminals
    found = SafeDocument(chain, _address(data, "safe"), _tx(data), (), environment, seen, origin, at)
    _check_hash(data, found)
    return replace(found, confirmations=_confirmations(data, found.digest))


def to_json(document: SafeDocument, threshold: int | None = None) -> dict[str, Any]:
    """The JSON object of a document; `parse` gives the document back."""
    first = document.confirmations[0] if document.confirmations else None
    needed = threshold or (document.seen.threshold if document.seen else None)
    out: dict[str, Any] = {
        **fields(document),
        "contractTransactionHash": document.hash,
        "safeTxHash": document.hash,
        "sender": first.owner if first else None,
        "signature": "0x" + first.signature.hex() if first else None,
        "origin": document.origin or None,
        "confirmationsRequired": needed,
        "confirmations": [
            _confirmation_json(c, s.form)
            for c, s in zip(document.confirmations, document.signatures, strict=True)
        ],
    }
    if document.environment is not None and document.seen is not None:
        seen = document.seen
        out["fairlead"] = {
            "format": FORMAT,
            "environment": document.environment,
            "chain_id": document.chain_id,
            "made_at": document.at,
            "seen": {
                "version": seen.version,
                "singleton": seen.singleton,
                "owners": list(seen.owners),
                "threshold": seen.threshold,
                "nonce": str(seen.nonce),
            },
        }
    return out


def fields(document: SafeDocument) -> dict[str, Any]:
    """The eleven fields that the owners sign over, and the Safe, as the service writes them."""
    tx = document.tx
    return {
        "safe": document.safe,
        "to": tx.to,
        "value": str(tx.value),
        "data": "0x" + tx.data.hex() if tx.data else None,
        "operation": tx.operation,
        "gasToken": tx.gas_token,
        "safeTxGas": str(tx.safe_tx_gas),
        "baseGas": str(tx.base_gas),
        "gasPrice": str(tx.gas_price),
        "refundReceiver": tx.refund_receiver,
        "nonce": str(tx.nonce),
    }


def with_confirmation(document: SafeDocument, added: Confirmation) -> SafeDocument:
    """With one more signature, in ascending order of owners. An owner who signed already keeps the first signature, unless that is
    a mere claim and the new one is proved: a false claim in a file must not keep its owner from signing.

    Raises Denied SAFE_SIGNATURE_FOREIGN where it is not that owner's signature of this transaction.
    """
    new = _check_signature(document.digest, added, "the signature")
    if added.owner in document.signers and (not new.proved or added.owner in document.proved):
        return document
    kept = (c for c in document.confirmations if c.owner != added.owner)
    all_of_them = sorted((*kept, added), key=lambda c: int(c.owner, 16))
    return replace(document, confirmations=tuple(all_of_them))


def merge(first: SafeDocument, *others: SafeDocument) -> SafeDocument:
    """All signatures of documents of one and the same transaction. Raises Denied SAFE_FILES_DIFFER."""
    for other in others:
        if other.digest != first.digest:
            raise Denied(
                "SAFE_FILES_DIFFER",
                f"these are two transactions: {first.hash} (nonce {first.tx.nonce}) and {other.hash} (nonce {other.tx.nonce})",
                "only the signatures of one transaction can be put together",
            )
        if first.environment and other.environment and first.environment != other.environment:
            raise Denied(
                "SAFE_OTHER_ENVIRONMENT", f"one is for {first.environment}, one for {other.environment}"
            )
        for confirmation in other.confirmations:
            first = with_confirmation(first, confirmation)
        if first.seen is None and other.seen is not None:
            first = replace(first, seen=other.seen, environment=other.environment, at=other.at)
    return first


def check_against(
    document: SafeDocument, *, environment: str, version: str, singleton: str, owners: Collection[str], threshold: int, nonce: int
) -> None:  # fmt: skip
    """The document against the Safe as it is now. Raises Denied SAFE_OTHER_ENVIRONMENT, SAFE_NONCE_USED, SAFE_CHANGED,
    SAFE_SIGNATURE_FOREIGN."""
    if document.environment is not None and document.environment != environment:
        raise Denied(
            "SAFE_OTHER_ENVIRONMENT",
            f"the transaction was proposed in {document.environment}, these settings are {environment}",
            "a rehearsal's transactions are never signed for another world",
        )
    if document.tx.nonce < nonce:
        raise Denied(
            "SAFE_NONCE_USED",
            f"its nonce is {document.tx.nonce}, the Safe has come to {nonce}: this transaction, or another at its nonce, was executed",
            "it can never execute any more; propose it again if it is still wanted",
        )
    if document.seen is not None:
        for what, then, now in (
            ("version", document.seen.version, version),
            ("singleton", document.seen.singleton, singleton),
            ("owners", sorted(document.seen.owners), sorted(owners)),
            ("threshold", document.seen.threshold, threshold),
        ):
            if then != now:
                raise Denied(
                    "SAFE_CHANGED",
                    f"since it was proposed the Safe's {what} changed from {_shown(then)} to {_shown(now)}",
                    "look why (`fairlead wallet show`), then propose it again",
                )
    for signer in document.signers:
        if signer not in owners:
            raise Denied(
                "SAFE_SIGNATURE_FOREIGN",
                f"{signer} signed it and is not an owner of this Safe",
                "take that signature out: the contract would refuse them all",
            )


# ---------------------------------------------------------------------- reading


def _shown(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)


def _bad(field: str, why: str) -> Usage:
    return Usage("SAFE_FILE_INVALID", f"{field} {why}", "the format is that of the Safe Transaction Service")


def _number(data: Mapping[str, Any], name: str, default: Any = ...) -> int:
    value = data.get(name, default)
    if value is ... or value is None:
        raise _bad(name, "is missing")
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 78:
        value = int(value)
    if type(value) is not int or not 0 <= value < 1 << 256:
        raise _bad(name, f"is {value!r}, not a non-negative integer of 256 bits")
    return value


def _address(data: Mapping[str, Any], name: str, default: str | None = None) -> Address:
    value = data.get(name)
    if value is None and default is not None:
        return Address(default)
    if not isinstance(value, str):
        raise _bad(name, "is missing" if value is None else "is not an address")
    try:
        return Address(to_checksum(value))
    except ValueError as error:
        raise _bad(name, f"is no address: {error}") from None


def _hex(data: Mapping[str, Any], name: str) -> bytes:
    value = data.get(name)
    if value is None:
        return b""
    try:
        if not isinstance(value, str) or not value.startswith("0x"):
            raise ValueError
        return bytes.fromhex(value[2:])
    except ValueError:
        raise _bad(name, "is not 0x hex") from None


def _tx(data: Mapping[str, Any]) -> SafeTx:
    operation = _number(data, "operation")
    if operation not in (0, 1):
        raise _bad("operation", f"is {operation}: 0 is a call, 1 a delegatecall, and there is no other")
    return SafeTx(
        _address(data, "to"),
        _number(data, "value"),
        _hex(data, "data"),
        operation,
        _number(data, "nonce"),
        _number(data, "safeTxGas", 0),
        _number(data, "baseGas", 0),
        _number(data, "gasPrice", 0),
        _address(data, "gasToken", ZERO_ADDRESS),
        _address(data, "refundReceiver", ZERO_ADDRESS),
    )


def _check_hash(data: Mapping[str, Any], found: SafeDocument) -> None:
    told = [name for name in ("contractTransactionHash", "safeTxHash") if data.get(name) is not None]
    if not told:
        raise _bad("contractTransactionHash", "is missing")
    for name in told:
        value = data[name]
        if not isinstance(value, str) or value.lower() != found.hash:
            raise Denied(
                "SAFE_HASH_DIFFERS",
                f"{name} is {str(value)[:80]!r}, the hash of its fields is {found.hash}",
                "a field was changed, or it is for another chain or Safe; get the file again from whoever proposed it",
            )


def _confirmations(data: Mapping[str, Any], digest: bytes) -> tuple[Confirmation, ...]:
    listed = data.get("confirmations") or []
    if not isinstance(listed, list):
        raise _bad("confirmations", "is not a list")
    by_owner: dict[str, Confirmation] = {}
    for position, entry in enumerate(listed):
        name = f"confirmations[{position}]"
        if not isinstance(entry, Mapping):
            raise _bad(name, "is not an object")
        made = Confirmation(
            _address(entry, "owner"), _hex(entry, "signature"), str(entry.get("submissionDate") or "")
        )
        made = replace(made, signature=_check_signature(digest, made, name).alone)
        if made.owner in by_owner:
            raise Denied(
                "SAFE_SIGNATURE_DUPLICATE",
                f"{name}: owner {made.owner} is there twice",
                "each owner counts once",
            )
        by_owner[made.owner] = made
    for name in ("signature", "signatures"):
        packed = _hex(data, name)
        if not packed:
            continue
        found = ss.read_all(digest, packed)
        owners = [s.owner for s in found]
        for given in found:
            by_owner.setdefault(given.owner, Confirmation(given.owner, given.alone))
        sender = data.get("sender")
        if name == "signature" and isinstance(sender, str) and _address(data, "sender") not in owners:
            raise Denied(
                "SAFE_SIGNATURE_FOREIGN",
                f"signature is {owners[0]}'s, and the sender is {_address(data, 'sender')}",
                "it was made by another key, or for another transaction, nonce, Safe or chain",
            )
    return tuple(sorted(by_owner.values(), key=lambda c: int(c.owner, 16)))


def _check_signature(digest: bytes, made: Confirmation, name: str) -> ss.OwnerSignature:
    found = ss.read(digest, made.signature)
    if found.owner != made.owner:
        raise Denied(
            "SAFE_SIGNATURE_FOREIGN",
            f"{name} is said to be {made.owner}'s and is {found.owner}'s",
            "it was made by another key, or for another transaction, nonce, Safe or chain",
        )
    return found


def _confirmation_json(made: Confirmation, form: ss.Form) -> dict[str, Any]:
    return {
        "owner": made.owner,
        "submissionDate": made.at or None,
        "transactionHash": None,
        "signature": "0x" + made.signature.hex(),
        "signatureType": _TYPES[form],
    }


def _record(record: Any) -> tuple[int, str, Seen, str]:
    if not isinstance(record, Mapping) or record.get("format") != FORMAT:
        raise _bad("fairlead.format", f"is not {FORMAT}")
    seen = record.get("seen")
    if not isinstance(seen, Mapping):
        raise _bad("fairlead.seen", "is missing")
    owners, version = seen.get("owners"), seen.get("version")
    if (
        not isinstance(owners, list)
        or not owners
        or not isinstance(version, str)
        or not _VERSION.fullmatch(version)
    ):
        raise _bad("fairlead.seen", "does not say the Safe's owners and version")
    environment = record.get("environment")
    if environment not in ("devnet", "fork", "live"):
        raise _bad("fairlead.environment", "is not devnet, fork or live")
    state = Seen(
        version,
        _address(seen, "singleton"),
        tuple(_address({"owner": o}, "owner") for o in owners),
        _number(seen, "threshold"),
        _number(seen, "nonce"),
    )
    return _number(record, "chain_id"), str(environment), state, str(record.get("made_at") or "")
