"""The thief's own tool: a journal written anew, every hash and index of it as it should be. Nothing in the file itself betrays it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from agent.journal.chain import Entry, Head, Seq, genesis, link
from agent.journal.heads import HeadsFile
from agent.journal.schema import INSERT, connect, meta
from agent.journal.verify import heads_path, rows
from agent.journal.writer import index

Rewriting = Callable[[list[Entry]], Sequence[Entry]]


def rewrite(path: Path, change: Rewriting, *, heads: bool = False) -> None:
    """`change` makes the new entries out of the old ones; numbers and hashes are made to fit. `heads`: the file beside it, too."""
    db = connect(path)
    try:
        db.execute("BEGIN IMMEDIATE")
        environment = meta(db)["environment"]
        chained = chain(environment, change(list(rows(db))))
        for table in ("entries", "subjects", "lineage", "states"):
            db.execute(f"DELETE FROM {table}")
        for entry in chained:
            db.execute(
                INSERT,
                (
                    entry.seq,
                    entry.at_ns,
                    entry.kind,
                    entry.version,
                    entry.payload,
                    entry.prev_hash,
                    entry.hash,
                ),
            )
        index(db, chained)
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        db.close()
    if heads:
        heads_path(path).unlink(missing_ok=True)
        file = HeadsFile(heads_path(path))
        for entry in chained:
            file.note(Head(entry.seq, entry.hash), entry.at_ns)
        file.close()


def chain(environment: str, entries: Sequence[Entry]) -> list[Entry]:
    """The same contents in that order as a perfect chain of that environment."""
    made, before = [], genesis(environment)
    for seq, entry in enumerate(entries, 1):
        digest = link(before, seq, entry.at_ns, entry.kind, entry.version, entry.payload)
        made.append(replace(entry, seq=Seq(seq), prev_hash=before, hash=digest))
        before = digest
    return made


def stroke(path: Path, statement: str, *values: object) -> None:
    """One statement on the file, nothing made to fit."""
    db = connect(path)
    try:
        db.execute(statement, values)
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        db.close()
