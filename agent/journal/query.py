"""Finding entries: by order (with everything that came from it), by kind, by time, by place in the chain. Reads only."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence

from agent.journal.chain import Entry
from agent.journal.schema import COLUMNS, DAMAGE
from chains.errors import Halt

_FAMILY = """
WITH RECURSIVE family(id) AS (
  SELECT ? UNION SELECT lineage.id FROM lineage JOIN family ON lineage.source = family.id)
SELECT id FROM family
"""


def read_entries(
    db: sqlite3.Connection,
    *,
    order: str | None = None,
    kinds: Sequence[str] = (),
    since_ns: int | None = None,
    until_ns: int | None = None,
    first: int = 1,
    last: int | None = None,
) -> Iterator[Entry]:
    """Entries in order that meet every condition given.

    `order` is any id of ours (intent, parent, child, part, quote): entries that name it or anything derived from it.
    `since_ns` is inclusive, `until_ns` exclusive. Halt JOURNAL_CORRUPT where the file does not read.
    """
    where, values = ["seq >= ?"], [first]  # type: tuple[list[str], list[object]]
    if last is not None:
        where.append("seq <= ?")
        values.append(last)
    if since_ns is not None:
        where.append("at_ns >= ?")
        values.append(since_ns)
    if until_ns is not None:
        where.append("at_ns < ?")
        values.append(until_ns)
    if kinds:
        where.append(f"kind IN ({', '.join('?' * len(kinds))})")
        values.extend(kinds)
    if order is not None:
        where.append(f"seq IN (SELECT seq FROM subjects WHERE id IN ({_FAMILY}))")
        values.append(order)
    try:
        for row in db.execute(
            f"SELECT {COLUMNS} FROM entries WHERE {' AND '.join(where)} ORDER BY seq", values
        ):
            yield Entry(*row)
    except DAMAGE as wrong:
        raise Halt(
            "JOURNAL_CORRUPT",
            f"the journal does not read: {wrong}",
            "run `fairlead journal verify`; nothing was overwritten",
        ) from wrong
