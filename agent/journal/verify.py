"""Does the chain hold, and does it still contain every head that was ever seen?

Three ways to lie, three findings, each with the first entry it touches:
    an altered byte        the entry's hash is not what its content gives
    a gap                  a sequence number is missing
    a rewritten or truncated tail   the chain holds, but an anchor (a head written elsewhere earlier) is not in it
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.journal.chain import Entry, Head, Seq, genesis, link
from agent.journal.coders import loads
from agent.journal.heads import read_heads
from agent.journal.schema import COLUMNS, DAMAGE, FORMAT, connect_read_only, meta
from agent.journal.subjects import subjects
from chains.errors import Halt


@dataclass(frozen=True, slots=True)
class Fault:
    """`kind`: ALTERED, GAP, REWRITTEN, TRUNCATED, INDEX or DAMAGED. `seq` is the first bad entry, None where none can be named.

    `after` is the last entry still proved by an anchor, for a rewritten tail (the first bad one lies in after+1 … seq).
    """

    kind: str
    seq: int | None
    message: str
    after: int | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """`last_anchor` is the newest head seen outside the journal that the chain was compared with."""

    head: Head
    entries: int
    environment: str
    faults: tuple[Fault, ...]
    anchors: int
    last_anchor: Head | None

    @property
    def ok(self) -> bool:
        return not self.faults


class _Stop(Exception):
    def __init__(self, fault: Fault) -> None:
        self.fault = fault


def rows(db: sqlite3.Connection, first: int = 1) -> Iterator[Entry]:
    """Entries in order, types checked. Raises _Stop(Fault) at the first row that is not an entry."""
    expected = first
    cursor = db.execute(f"SELECT {COLUMNS} FROM entries WHERE seq >= ? ORDER BY seq", (first,))
    while True:
        try:
            row = cursor.fetchone()
        except DAMAGE as wrong:
            raise _Stop(Fault("DAMAGED", expected, f"entry {expected} cannot be read: {wrong}")) from wrong
        if row is None:
            return
        if tuple(map(type, row)) != (int, int, str, int, bytes, bytes, bytes) or not 0 <= row[3] < 2**32:
            raise _Stop(Fault("ALTERED", expected, f"entry {expected} has columns of the wrong type"))
        yield Entry(*row)
        expected = row[0] + 1


def check_chain(
    db: sqlite3.Connection, environment: str, visit: Callable[[Entry], None] | None = None
) -> tuple[Head, Fault | None]:
    """Every entry's hash from the first on; stops at the first fault. Returns the last good head."""
    head = Head(Seq(0), genesis(environment))
    try:
        for entry in rows(db):
            seq = head.seq + 1
            if entry.seq != seq:
                return head, Fault("GAP", seq, f"entry {seq} is missing; the next one is {entry.seq}")
            if entry.prev_hash != head.hash:
                return head, Fault(
                    "ALTERED", seq, f"entry {seq} does not follow entry {seq - 1}: its prev_hash is another"
                )
            if entry.hash != link(head.hash, seq, entry.at_ns, entry.kind, entry.version, entry.payload):
                return head, Fault(
                    "ALTERED", seq, f"entry {seq} ({entry.kind:.40}) is not what its hash says"
                )
            head = Head(entry.seq, entry.hash)
            if visit is not None:
                visit(entry)
    except _Stop as stop:
        return head, stop.fault
    except DAMAGE as wrong:
        return head, Fault("DAMAGED", head.seq + 1, f"entry {head.seq + 1} cannot be read: {wrong}")
    return head, None


def check_anchors(
    db: sqlite3.Connection, head: Head, anchors: Iterable[Head], environment: str
) -> Fault | None:
    """Compares the chain with heads seen earlier; the first anchor that it does not contain is a fault."""
    proved = 0
    start = genesis(environment)
    for anchor in sorted(anchors, key=lambda a: a.seq):
        if anchor.seq > head.seq:
            return Fault(
                "TRUNCATED",
                head.seq + 1,
                f"the journal ends at entry {head.seq}, yet entry {anchor.seq} was seen outside it",
                proved,
            )
        row = (
            db.execute("SELECT hash FROM entries WHERE seq = ?", (anchor.seq,)).fetchone()
            if anchor.seq
            else (start,)
        )
        if row is None or row[0] != anchor.hash:
            return Fault(
                "REWRITTEN",
                anchor.seq,
                f"entry {anchor.seq} is not the one seen outside; the first rewritten entry is between {proved + 1} and {anchor.seq}",
                proved,
            )
        proved = anchor.seq
    return None


def verify(path: Path, *, anchors: Iterable[Head] = (), heads_file: Path | None = None) -> Verdict:
    """Reads the whole journal; alters nothing. Anchors are those given, and those of the heads file beside it.

    Raises Halt JOURNAL_MISSING or JOURNAL_UNREADABLE; every damage is a Fault in the verdict.
    """
    seen = [*anchors, *read_heads(heads_file or heads_path(path))]
    last = max(seen, key=lambda a: a.seq, default=None)
    empty = Head(Seq(0), b"")
    try:
        db = connect_read_only(path)
    except Halt as wrong:
        if wrong.code != "JOURNAL_CORRUPT":
            raise
        return Verdict(empty, 0, "", (Fault("DAMAGED", None, wrong.message),), len(seen), last)
    try:
        try:
            facts = meta(db)
        except DAMAGE as wrong:
            return Verdict(
                empty, 0, "", (Fault("DAMAGED", None, f"not a readable journal: {wrong}"),), len(seen), last
            )
        if facts.get("format") != FORMAT or "environment" not in facts:
            return Verdict(empty, 0, "", (Fault("DAMAGED", None, f"not a {FORMAT} file"),), len(seen), last)
        environment = facts["environment"]
        index: set[tuple[str, int]] = set()
        lineage: set[tuple[str, str]] = set()

        def visit(entry: Entry) -> None:
            ids, sources = subjects(loads(entry.payload))
            index.update((i, entry.seq) for i in ids)
            lineage.update(sources)

        db.execute("BEGIN")  # one view of the file beside a running writer
        head, fault = check_chain(db, environment, visit)
        faults = [fault] if fault else []
        if fault is None:
            try:
                faults += [
                    found
                    for found in (
                        check_anchors(db, head, seen, environment),
                        _check_index(db, index, lineage),
                        _check_pages(db),
                    )
                    if found
                ]
            except DAMAGE as wrong:
                faults.append(Fault("DAMAGED", None, f"the file is damaged outside the entries: {wrong}"))
        return Verdict(head, head.seq, environment, tuple(faults), len(seen), last)
    finally:
        db.close()


def _check_index(
    db: sqlite3.Connection, index: set[tuple[str, int]], lineage: set[tuple[str, str]]
) -> Fault | None:
    stored = set(db.execute("SELECT id, seq FROM subjects"))
    sources = set(db.execute("SELECT id, source FROM lineage"))
    wrong = (stored ^ index) or (sources ^ lineage)
    return (
        Fault(
            "INDEX", None, f"the index of orders is not what the entries give ({sorted(map(str, wrong))[0]})"
        )
        if wrong
        else None
    )


def _check_pages(db: sqlite3.Connection) -> Fault | None:
    said = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
    return (
        None if said == "ok" else Fault("DAMAGED", None, f"the file is damaged outside the entries: {said}")
    )


def heads_path(path: Path) -> Path:
    return path.with_name(path.name + ".heads")
