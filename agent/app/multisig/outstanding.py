"""Safe transactions that somebody signed and nobody has executed: whoever has seen one can submit it, until its nonce is used or
the deadline in its calldata has passed. Known from the journal, from the files kept here, and from a service.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from agent.app.multisig import claims, files, serving
from agent.app.multisig.room import Room
from agent.app.multisig.serving import ServiceAddress
from agent.app.multisig.state import SafeNow, deadline_of, is_rejection
from agent.app.multisig.words import instant
from agent.domain.errors import FairleadError
from agent.journal.book import Book
from chains.operations import is_keyed, sequence_of
from chains.types import Address
from contracts.codec import AbiError, decode_call
from keys import safe_signatures as ss
from keys.safe import SafeTx
from keys.safe_document import Confirmation, SafeDocument, merge


@dataclass(frozen=True, slots=True)
class Open:
    """One transaction; `known_from` names files, "journal NAME" or "service"; `false` are owners whose claimed consent the Safe denies."""

    chain: str
    document: SafeDocument
    now: SafeNow
    known_from: tuple[str, ...]
    false: tuple[Address, ...] = ()

    @property
    def valid_signers(self) -> tuple[Address, ...]:
        return tuple(o for o in self.document.signers if o in self.now.state.owners and o not in self.false)

    @property
    def bearer(self) -> bool:
        """Enough owners signed: anybody who has it can submit it, now or once the Safe comes to its nonce."""
        return len(self.valid_signers) >= self.now.state.threshold

    @property
    def state(self) -> str:
        have, need = len(self.valid_signers), self.now.state.threshold
        if have < need:
            missing = f"{need - have} more signature{'s' if need - have > 1 else ''} needed"
            return missing if have else f"unsigned, {missing}"
        ahead = self.document.tx.nonce - self.now.state.nonce
        return "EXECUTABLE NOW" if ahead == 0 else f"EXECUTABLE after {ahead} other{'s' if ahead > 1 else ''}"

    @property
    def revoke(self) -> str | None:
        if is_rejection(self.document):
            return None
        return f"fairlead wallet propose --chain {self.chain} --reject {self.document.tx.nonce}"

    def json(self) -> dict[str, Any]:
        deadline = deadline_of(self.document)
        return {
            "chain": self.chain,
            "chain_id": self.document.chain_id,
            "safe_tx_hash": self.document.hash,
            "nonce": self.document.tx.nonce,
            "deadline": instant(deadline) if deadline is not None else None,
            "signed_by": list(self.document.signers),
            "not_valid": [o for o in self.document.signers if o not in self.valid_signers],
            "signatures_needed": self.now.state.threshold,
            "bearer": self.bearer,
            "state": self.state,
            "known_from": list(self.known_from),
            "revoke": self.revoke,
        }


@dataclass(frozen=True, slots=True)
class Known:
    """What this installation knows before any chain is asked: (where from, the document)."""

    documents: tuple[tuple[str, SafeDocument], ...]
    unreadable: tuple[tuple[Path, FairleadError], ...]


def known_here(kept: Path, environment: str, safe: Address, book: Book | None) -> Known:
    """Those of this Safe in this environment."""
    found, unreadable = files.listed(kept)
    here = [(str(path), d) for path, d in found if d.safe == safe and d.environment in (None, environment)]
    return Known((*here, *_journal(book, safe)), tuple(unreadable))


def _journal(book: Book | None, safe: Address) -> Iterable[tuple[str, SafeDocument]]:
    """The Safe transactions inside what was signed here: orders and lending sign them, too."""
    from chains.rawtx import decode_raw

    for name, record in (book.parts if book is not None else {}).items():
        signed = record.authorized
        if signed is None or signed.order is not None or signed.wallet_nonce < 0:
            continue
        try:
            outer = decode_raw(signed.raw)
            call = decode_call("safe", outer.data)
        except (AbiError, FairleadError):
            continue
        if call.function != "execTransaction" or outer.to != safe:
            continue
        a = call.args
        tx = SafeTx(
            a["to"], a["value"], a["data"], a["operation"], signed.wallet_nonce, a["safeTxGas"], a["baseGas"],
            a["gasPrice"], a["gasToken"], a["refundReceiver"],
        )  # fmt: skip
        document = SafeDocument(signed.chain_id, safe, tx, (), origin=record.what)
        yield f"journal {name}", replace(document, confirmations=_confirmations(document, a["signatures"]))


def agents_own(book: Book | None) -> list[dict[str, Any]]:
    """What the sending account signed by itself and no block has decided: whoever has seen it can submit it until its deadline, or
    until its nonce is used."""
    from agent.app.multisig.words import instant
    from agent.domain.submission_state import SubmissionState

    waiting = (SubmissionState.AUTHORIZED, SubmissionState.BROADCAST)
    found = []
    for name, record in (book.parts if book is not None else {}).items():
        signed = record.authorized
        if (
            signed is None
            or signed.order is not None
            or signed.wallet_nonce >= 0
            or record.submission not in waiting
        ):
            continue
        child = book.children.get(record.part.child) if book is not None else None
        order = (
            child.child.parent if child is not None else name
        )  # cancelling its order means that no other slice follows
        found.append(
            {
                "cl_ord_id": name,
                "chain_id": signed.chain_id,
                "sender": signed.sender,
                "nonce": sequence_of(signed.nonce),
                "kind": "user operation" if is_keyed(signed.nonce) else "transaction",
                "tx_hash": signed.tx_hash,
                "deadline": instant(signed.deadline_s),
                "revoke": f"fairlead cancel {order}",
            }
        )
    return found


def _confirmations(document: SafeDocument, packed: bytes) -> tuple[Confirmation, ...]:
    try:
        return tuple(Confirmation(s.owner, s.alone) for s in ss.read_all(document.digest, packed))
    except FairleadError:
        return ()


async def outstanding(
    room: Room, known: Known, service: ServiceAddress | None
) -> tuple[SafeNow, list[Open], list[FairleadError]]:
    """(the Safe, what is open on this chain by nonce, what the service told that is not right)."""
    now = await room.now()
    wrong: list[FairleadError] = []
    listed = [(where, d) for where, d in known.documents if d.chain_id == room.chain.chain_id]
    if service is not None:
        found, wrong = await serving.waiting(room, service, now.state.nonce)
        listed += [("service", d) for d in found]
    by_hash: dict[str, tuple[SafeDocument, tuple[str, ...]]] = {}
    for where, document in listed:
        if is_over(document, now):
            continue
        before = by_hash.get(document.hash)
        by_hash[document.hash] = (
            (merge(before[0], document), (*before[1], where)) if before else (document, (where,))
        )
    opened = []
    for document, sources in by_hash.values():
        counted = await claims.as_the_safe_sees(room.gateway, document, now)
        opened.append(Open(room.chain.name, counted.document, now, sources, counted.false))
    return now, sorted(opened, key=lambda o: (o.document.tx.nonce, not o.bearer)), wrong


def is_over(document: SafeDocument, now: SafeNow) -> bool:
    """Executed, replaced at its nonce, or past its deadline: by the chain's own nonce and clock, and by nothing else."""
    deadline = deadline_of(document)
    return document.tx.nonce < now.state.nonce or (deadline is not None and deadline < now.block.timestamp)
