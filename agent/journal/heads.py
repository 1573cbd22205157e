"""Heads seen outside the journal: one line `seq hash at_ns` per commit, in a file of its own.

The chain proves order, not completeness: a rewritten or truncated tail is a perfect chain. It shows only against heads kept
elsewhere, here and in every alert that left this machine. Old lines are thinned, so that the file stays small.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from agent.journal.chain import Head, Seq
from chains.errors import Usage

KEEP_ALL = 2_000
"""This many newest heads are all kept; of older ones every 64th."""
_THIN_AT = 6_000


def parse_head(text: str) -> Head:
    """`SEQ:HASH`, as `journal verify` and every alert print it. Usage BAD_HEAD."""
    number, _, digest = text.strip().partition(":")
    try:
        head = Head(Seq(int(number)), bytes.fromhex(digest.removeprefix("0x")))
    except ValueError:
        head = Head(Seq(-1), b"")
    if head.seq < 0 or len(head.hash) != 32:
        raise Usage(
            "BAD_HEAD",
            f"'{text:.80}' is no journal head",
            "write it as SEQ:HASH, the way `fairlead journal verify` prints it",
        )
    return head


def read_heads(path: Path) -> list[Head]:
    """The heads in the file; a last line cut short by a crash is no head."""
    try:
        lines = path.read_bytes().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    heads = []
    for line in lines:
        fields = line.split(b" ")
        if len(fields) == 3 and len(fields[1]) == 64:
            try:
                heads.append(Head(Seq(int(fields[0])), bytes.fromhex(fields[1].decode("ascii"))))
            except ValueError:
                continue
    return heads


class HeadsFile:
    """Appends a head after each durable commit. Not synced: it follows the journal, never leads it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines = self._thin()
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, head: Head, at_ns: int) -> None:
        """Raises OSError where the line cannot be written."""
        os.write(self._fd, f"{head.seq} {head.hash.hex()} {at_ns}\n".encode())
        self._lines += 1
        if self._lines >= _THIN_AT:
            os.close(self._fd)
            self._lines = self._thin()
            self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _thin(self) -> int:
        try:
            lines = self.path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return 0
        torn = lines.pop()
        if len(lines) < _THIN_AT and not torn:
            return len(lines)
        kept = _thinned(lines)
        spare = self.path.with_name(self.path.name + ".new")
        spare.write_bytes(b"".join(line + b"\n" for line in kept))
        os.replace(spare, self.path)
        return len(kept)


def _thinned(lines: Sequence[bytes]) -> list[bytes]:
    old, new = lines[:-KEEP_ALL], lines[-KEEP_ALL:]
    return [*old[::64], *new]
