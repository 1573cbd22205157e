"""Proposals kept at a Safe Transaction Service instead of handed around as files. What it answers is checked like a stranger's file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from agent.app.endpoints import resolve_endpoint
from agent.app.multisig import files
from agent.app.multisig.room import Room
from agent.app.multisig.state import SafeNow
from agent.app.settings_tree import Chain
from agent.domain.errors import Denied, FairleadError, Reject, Usage
from chains.rpc import SecretUrl
from chains.safe_service import SafeService
from keys.safe_document import Confirmation, SafeDocument, fields, merge, parse, with_confirmation
from keys.secrets import is_reference, resolve


@dataclass(frozen=True, slots=True)
class ServiceAddress:
    url: SecretUrl
    key: str | None = field(default=None, repr=False)


NONE = "none"
"""As a URL: files alone, whatever the settings say."""


def address_of(url: str | None, key: str | None, chain: Chain | None = None) -> ServiceAddress | None:
    """What was typed, else what the settings say of the chain. Raises Usage BAD_SERVICE, and where a reference cannot be resolved."""
    if url == NONE:
        return None
    if url is None and chain is not None:
        url, key = chain.safe_service, key or chain.safe_service_key
    if url is None:
        return None
    if key is not None and not is_reference(key):
        raise Usage(
            "BAD_SERVICE",
            "--service-key takes a reference, not the key itself",
            "like env:SAFE_API_KEY or file:PATH",
        )
    return ServiceAddress(resolve_endpoint(url), resolve(key).text().strip() if key else None)


def _client(room: Room, at: ServiceAddress) -> SafeService:
    return SafeService(at.url, room.session, at.key)


async def fetch(room: Room, at: ServiceAddress | None, safe_tx_hash: str) -> SafeDocument:
    """With the record of the proposal where it was made here. Raises Denied SERVICE_OTHER_TRANSACTION where it answers something
    else, and as `parse`."""
    if at is None:
        raise Usage(
            "SERVICE_MISSING",
            "a hash is looked up at a service",
            "say which: --service URL, or safe_service in the settings",
        )
    document = parse(await _client(room, at).transaction(safe_tx_hash), room.chain.chain_id)
    if document.hash != safe_tx_hash.lower():
        raise Denied(
            "SERVICE_OTHER_TRANSACTION",
            f"asked for {safe_tx_hash}, the service answered {document.hash}",
            "do not trust this service",
        )
    kept = files.folder(room.settings) / files.name_of(document)
    return merge(files.read(kept), document) if kept.exists() else document


async def post(room: Room, at: ServiceAddress, document: SafeDocument, now: SafeNow) -> None:
    """A proposal, with its first signature where it has one; without, it is listed as untrusted until somebody signs."""
    first = document.confirmations[0] if document.confirmations else None
    named = [o.address for o in room.settings.wallet.owners if o.address in now.state.owners]
    sender = first.owner if first else (named or list(now.state.owners))[0]
    body = {
        **{k: v for k, v in fields(document).items() if k != "safe"},
        "contractTransactionHash": document.hash,
        "sender": sender,
        "signature": "0x" + first.signature.hex() if first else None,
        "origin": document.origin or None,
    }
    await _client(room, at).propose(document.safe, body)


async def keep(room: Room, path: Path, document: SafeDocument, now: SafeNow) -> str | None:
    """A new proposal into its file, and to the settings' service where there is one. What that answered wrong, in a sentence."""
    files.keep(path, document)
    try:
        at = address_of(None, None, room.chain)
        if at is not None:
            await post(room, at, document, now)
    except FairleadError as error:
        return f"the settings' service did not take it: {error.message}; hand the file over instead"
    return None


async def confirm(room: Room, at: ServiceAddress, document: SafeDocument, made: Confirmation) -> SafeDocument:
    """Gives the service every signature known here, and takes those it has. A proposal it does not know is posted first."""
    client = _client(room, at)
    document = with_confirmation(document, made)
    try:
        there = parse(await client.transaction(document.hash), document.chain_id)
    except Reject as unknown:
        if unknown.code != "SERVICE_UNKNOWN_TRANSACTION":
            raise
        await post(room, at, document, await room.now())
        there = parse(await client.transaction(document.hash), document.chain_id)
    for confirmation in document.confirmations:
        if confirmation.owner not in there.signers:
            await client.confirm(document.hash, confirmation.signature)
    return merge(document, there)


async def waiting(
    room: Room, at: ServiceAddress, nonce: int
) -> tuple[list[SafeDocument], list[FairleadError]]:
    """(what is open at the service from a nonce on, what it told that is not right)."""
    found: list[SafeDocument] = []
    wrong: list[FairleadError] = []
    for entry in await _client(room, at).open_transactions(room.wallet, nonce):
        try:
            document = parse(entry, room.chain.chain_id)
            if document.safe != room.wallet:
                raise Denied(
                    "SAFE_OTHER_WALLET", f"the service tells of {document.safe}", "do not trust this service"
                )
            found.append(document)
        except FairleadError as error:
            wrong.append(error)
    return found, wrong
