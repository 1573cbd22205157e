"""Entries for people and programs: JSON Lines and CSV, one line per entry, money as strings."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, TextIO

from agent.journal.chain import Entry
from agent.journal.coders import loads

COLUMNS = ("seq", "at", "kind", "version", "hash", "event")


def rfc3339(at_ns: int) -> str:
    """Nanoseconds of Unix time as RFC 3339 in UTC, all nine digits kept."""
    seconds, rest = divmod(at_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def as_plain(entry: Entry) -> dict[str, Any]:
    return {
        "seq": entry.seq,
        "at": rfc3339(entry.at_ns),
        "kind": entry.kind,
        "version": entry.version,
        "hash": "0x" + entry.hash.hex(),
        "event": loads(entry.payload),
    }


def write_jsonl(entries: Iterable[Entry], out: TextIO) -> int:
    """One JSON object per line; returns how many."""
    count = 0
    for entry in entries:
        count += 1
        out.write(json.dumps(as_plain(entry), separators=(",", ":"), ensure_ascii=True) + "\n")
    return count


def write_csv(entries: Iterable[Entry], out: TextIO) -> int:
    """A header and one row per entry; `event` is JSON. Returns how many."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    count = 0
    for entry in entries:
        count += 1
        plain = as_plain(entry)
        plain["event"] = json.dumps(plain["event"], separators=(",", ":"), ensure_ascii=True)
        writer.writerow([plain[column] for column in COLUMNS])
    return count
