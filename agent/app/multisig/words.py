"""A Safe transaction as its owners read it, on a terminal and as JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from agent.app.multisig.effects import Effects
from agent.app.multisig.room import Tokens
from agent.app.multisig.state import deadline_of, is_rejection
from chains import gate_code
from keys import landmarks
from keys.reading import sentences_of
from keys.safe_document import SafeDocument, fields


def instant(second: int) -> str:
    """RFC 3339, UTC."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def decoded(document: SafeDocument, tokens: Tokens) -> list[str]:
    """Where, which nonce, and every call to the leaf."""
    chain = document.chain_id
    named = {str(a): n for a, n in tokens.items()} | landmarks.tokens(chain)
    lines = sentences_of(chain, document.safe, document.tx, named, gate_code.compiled())
    if is_rejection(document):
        lines[1:] = [
            f"1. Does nothing but use nonce {document.tx.nonce}: nothing else signed at it can execute afterwards."
        ]
    deadline = deadline_of(document)
    if deadline is None:
        lines.append("It carries NO DEADLINE: once signed it can be executed until its nonce is used.")
    else:
        lines.append(f"It can be executed until {instant(deadline)}; after that the whole of it reverts.")
    return lines


def effect_lines(found: Effects | str | None) -> list[str]:
    if found is None:
        return []
    if isinstance(found, str):
        return [f"WHAT IT CHANGES WAS NOT FOUND OUT: {found}."]
    return found.sentences()


def document_json(document: SafeDocument, found: Effects | str | None, tokens: Tokens) -> dict[str, Any]:
    deadline = deadline_of(document)
    out: dict[str, Any] = {
        "safe_tx_hash": document.hash,
        "chain_id": document.chain_id,
        "nonce": document.tx.nonce,
        "deadline": instant(deadline) if deadline is not None else None,
        "transaction": fields(document),
        "signed_by": list(document.signers),
        "signatures_needed": document.seen.threshold if document.seen else None,
        "sentences": [*decoded(document, tokens), *effect_lines(found)],
    }
    if isinstance(found, Effects):
        out["effects"] = found.json()
    return out
