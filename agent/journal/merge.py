"""Emergency records become entries of the journal, each exactly once, whenever the process dies in between.

A write that failed may have reached the disk all the same: what was saved beside it is then an entry already, and is not moved.
"""

from __future__ import annotations

import sqlite3

from agent.journal.chain import Entry, Head, Seq, link
from agent.journal.emergency import EmergencyJournal
from agent.journal.schema import INSERT
from agent.journal.writer import MAX_GROUP, index


def merge_emergency(db: sqlite3.Connection, emergency: EmergencyJournal, head: Head) -> Head:
    """Appends what is not yet there in one durable transaction, then empties the emergency file. Raises sqlite3.Error, OSError."""
    known = {row[0] for row in db.execute("SELECT hash FROM merged")}
    moved: list[Entry] = []
    there = set(
        db.execute("SELECT at_ns, kind, payload FROM entries ORDER BY seq DESC LIMIT ?", (2 * MAX_GROUP,))
    )
    db.execute("BEGIN IMMEDIATE")
    try:
        for saved in emergency.records:
            if saved.digest in known or (saved.at_ns, saved.kind, saved.payload) in there:
                continue
            seq = Seq(head.seq + 1)
            digest = link(head.hash, seq, saved.at_ns, saved.kind, saved.version, saved.payload)
            db.execute(
                INSERT, (seq, saved.at_ns, saved.kind, saved.version, saved.payload, head.hash, digest)
            )
            db.execute("INSERT INTO merged VALUES (?, ?)", (saved.digest, seq))
            moved.append(Entry(seq, saved.at_ns, saved.kind, saved.version, saved.payload, head.hash, digest))
            head = Head(seq, digest)
        index(db, moved)
        db.execute("COMMIT")
    except sqlite3.Error:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    emergency.clear()
    return head
