"""The sequence numbers of a session: the next one we send, the next one we expect. In memory, or on the disk so that a restart goes on.

The file holds one line of fixed width with its checksum, rewritten in place and on the disk before a number is used: a number that was
used is never given to another message, whatever ends the process. Where the machine ends between the two, a number is skipped, which
the other side asks for and is told that nothing was there.
"""

from __future__ import annotations

import fcntl
import os
import zlib
from pathlib import Path

from agent.domain.errors import Halt, Usage

_WIDTH = 10


class Numbers:
    """In memory: of a session that begins anew with every log-on."""

    def __init__(self) -> None:
        self.next_out, self.next_in = 1, 1

    def set(self, next_out: int, next_in: int) -> None:
        """Raises Halt FIX_NUMBERS_UNWRITABLE where they cannot be kept: nothing may be sent then."""
        self.next_out, self.next_in = next_out, next_in

    def close(self) -> None:
        """Nothing is kept open."""


class FileNumbers(Numbers):
    """Kept in a file that one process has at a time. Raises Usage FIX_SESSION_IN_USE, Halt FIX_NUMBERS_DAMAGED."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise Usage(
                "FIX_SESSION_IN_USE",
                f"another process has the session of {path.name}",
                "one at a time: a second would use the same numbers for other messages",
            ) from None
        try:
            self._read()
        except BaseException:
            os.close(self._file)
            raise

    def _read(self) -> None:
        line = os.pread(self._file, 64, 0)
        if not line:
            return
        try:
            out, in_, check = line.split()
            if int(check) != zlib.crc32(b"%s %s" % (out, in_)):
                raise ValueError("its checksum is another")
            self.next_out, self.next_in = int(out), int(in_)
        except ValueError as error:
            raise Halt(
                "FIX_NUMBERS_DAMAGED",
                f"the sequence numbers in {self.path} cannot be read: {error}",
                "have the other side reset the session to 1, then delete the file",
            ) from None

    def set(self, next_out: int, next_in: int) -> None:
        body = f"{next_out:0{_WIDTH}d} {next_in:0{_WIDTH}d}".encode()
        try:
            os.pwrite(self._file, b"%s %010d\n" % (body, zlib.crc32(body)), 0)
            os.fdatasync(self._file) if hasattr(os, "fdatasync") else os.fsync(self._file)
        except OSError as error:
            raise Halt(
                "FIX_NUMBERS_UNWRITABLE", f"{self.path}: {error.strerror}", "free the disk, then start again"
            ) from None
        super().set(next_out, next_in)

    def close(self) -> None:
        os.close(self._file)
